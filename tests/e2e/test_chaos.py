# SPDX-License-Identifier: Apache-2.0
"""Everything at once, at random but from a seed: clients and replicas that are slow, cut
off, reset, half-close, pipeline and lie, on plain and TLS connections, while the
configuration is reloaded. Whatever happens, an answer belongs to its request, what was cut
is never shown as complete, no POST is delivered twice, and in the end nothing is left over.

WHARFGATE_CHAOS_SEED and WHARFGATE_CHAOS_SECONDS vary it.
"""
import collections
import os
import random
import socket
import ssl
import threading
import time

import pytest

from harness import Gate, Origin, Peer, insecure, read_chunked, read_head, read_message, until

SEED = int(os.environ.get("WHARFGATE_CHAOS_SEED", "20261121"))
SECONDS = float(os.environ.get("WHARFGATE_CHAOS_SECONDS", "9"))
ROUNDS, CLIENTS = 3, 10

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
{extra}
upstreams:
  app: { servers: ["{one}", "{two}"], retries: {retries} }
routes:
  - { match: { path: /local/ }, respond: { status: 200, body: "local" } }
  - { match: { path: /nothing/ }, respond: { status: 204 } }
  - { upstream: app }
defaults:
  timeouts: { response_header: 3s, response_idle: 3s, body_idle: 3s, connect: 3s, write_idle: 3s }
timeouts: { header: 3s, keep_alive: 4s }
"""

WHOLE = ["good", "good", "good", "slow", "chunked", "until_close", "interim", "then_closes",
         "then_half_closes", "surplus"]
CUT = ["cut_length", "cut_chunked", "reset_length", "reset_chunked", "reset_until_close"]
FAILING = ["resets", "may_reset", "closes", "garbage", "huge_head", "silent", "early",
           "switches", "half_a_head"]
EMPTY = ["no_content", "not_modified"]
OWN = ["local", "nothing"]


def filler(ident, count):
    """The body that belongs to a request, and to no other."""
    word = f"<{ident}>".encode()
    return (word * (count // len(word) + 1))[:count]


class Replica:
    """Does to each request what its path says: /script/ident/bytes."""

    def __init__(self, seed, ledger):
        self.random, self.ledger = random.Random(seed), ledger

    def __call__(self, peer, origin):
        while True:
            head = read_head(peer)
            script, ident, count = head.target.strip("/").split("/")
            self.ledger.arrived(head.method, ident)
            if script == "early":
                peer.send(f"HTTP/1.1 413 Early\r\nX-Id: {ident}\r\nContent-Length: 0\r\n\r\n")
                return
            if head.get("expect"):
                peer.send("HTTP/1.1 100 Continue\r\n\r\n")
            self.read_body(peer, head, ident)
            if not getattr(self, script)(peer, head, ident, int(count)):
                return

    def read_body(self, peer, head, ident):
        if head.get("transfer-encoding"):
            read_chunked(peer, head)
        elif head.get("content-length"):
            head.body = peer.read_exactly(int(head.get("content-length")))
        if head.body != filler(ident, len(head.body)) or (
                head.get("x-length") and int(head.get("x-length")) != len(head.body)):
            self.ledger.fault(f"{ident}: arrived with another body, {len(head.body)} bytes")

    def head(self, ident, *fields, status=200):
        return "".join(f"{line}\r\n" for line in
                       (f"HTTP/1.1 {status} X", f"X-Id: {ident}", *fields, "")).encode()

    def good(self, peer, head, ident, count):
        body = b"" if head.method == "HEAD" else filler(ident, count)
        peer.send(self.head(ident, f"Content-Length: {count}") + body)
        return True

    def slow(self, peer, head, ident, count):
        if head.method == "HEAD":
            return self.good(peer, head, ident, count)
        body = filler(ident, count)
        peer.send(self.head(ident, f"Content-Length: {count}"))
        for i in range(0, count, count // 5 + 1):
            time.sleep(self.random.random() / 50)
            peer.send(body[i:i + count // 5 + 1])
        return True

    def chunks(self, peer, head, ident, count):
        peer.send(self.head(ident, "Transfer-Encoding: chunked", "Trailer: X-End"))
        at, body = 0, filler(ident, count)
        while at < count and head.method != "HEAD":
            size = self.random.choice([1, 100, 5000, 40000])
            piece = body[at:at + size]
            peer.send(b"%x;a=b\r\n%s\r\n" % (len(piece), piece))
            at += size

    def chunked(self, peer, head, ident, count):
        self.chunks(peer, head, ident, count)
        if head.method != "HEAD":
            peer.send(f"0\r\nX-End: {ident}\r\n\r\n")
        return True

    def until_close(self, peer, head, ident, count):
        peer.send(self.head(ident) + (b"" if head.method == "HEAD" else filler(ident, count)))

    def interim(self, peer, head, ident, count):
        peer.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" * 3)
        return self.good(peer, head, ident, count)

    def then_closes(self, peer, head, ident, count):
        self.good(peer, head, ident, count)

    def then_half_closes(self, peer, head, ident, count):
        self.good(peer, head, ident, count)
        peer.sock.shutdown(socket.SHUT_WR)
        peer.recv()

    def surplus(self, peer, head, ident, count):
        if count > 3000:
            return self.good(peer, head, ident, count)
        # In one piece: what comes later may be taken for the answer to the next request.
        body = b"" if head.method == "HEAD" else filler(ident, count)
        peer.send(self.head(ident, f"Content-Length: {count}") + body
                  + b"HTTP/1.1 200 OK\r\nX-Id: nobody\r\nContent-Length: 0\r\n\r\n")
        return True

    def cut_length(self, peer, head, ident, count):
        peer.send(self.head(ident, f"Content-Length: {count + 1}") + filler(ident, count))

    def cut_chunked(self, peer, head, ident, count):
        self.chunks(peer, head, ident, count)

    def reset_length(self, peer, head, ident, count):
        self.cut_length(peer, head, ident, count)
        peer.reset()

    def reset_chunked(self, peer, head, ident, count):
        self.chunks(peer, head, ident, count)
        peer.reset()

    def reset_until_close(self, peer, head, ident, count):
        # No answer to HEAD, which would be complete.
        if head.method != "HEAD":
            peer.send(self.head(ident) + filler(ident, count))
            time.sleep(0.02)  # else the reset overtakes it, as on a real wire it may
        peer.reset()

    def resets(self, peer, head, ident, count):
        peer.reset()

    def may_reset(self, peer, head, ident, count):
        if self.random.random() < 0.5:
            peer.reset()
            return False
        return self.good(peer, head, ident, count)

    def closes(self, peer, head, ident, count):
        pass

    def garbage(self, peer, head, ident, count):
        peer.send(self.random.randbytes(300))

    def huge_head(self, peer, head, ident, count):
        peer.send(self.head(ident, "X: " + "y" * 100000, "Content-Length: 0"))

    def silent(self, peer, head, ident, count):
        peer.recv()

    def switches(self, peer, head, ident, count):
        peer.send("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")

    def half_a_head(self, peer, head, ident, count):
        peer.send(self.head(ident)[:-4])

    def no_content(self, peer, head, ident, count):
        peer.send(self.head(ident, status=204))
        return True

    def not_modified(self, peer, head, ident, count):
        peer.send(self.head(ident, f"Content-Length: {count}", status=304))
        return True


class Ledger:
    """What was found out, by all threads."""

    def __init__(self):
        self.lock = threading.Lock()
        self.posts, self.seen, self.faults = set(), collections.Counter(), []

    def fault(self, text):
        with self.lock:
            self.faults.append(text)

    def arrived(self, method, ident):
        with self.lock:
            if method == "POST" and ident in self.posts:
                self.faults.append(f"{ident}: POST delivered twice")
            self.posts.add(ident)

    def count(self, what):
        with self.lock:
            self.seen[what] += 1


class Request:
    def __init__(self, rng, ident):
        self.script = rng.choice(WHOLE * 3 + CUT + FAILING + EMPTY * 2 + OWN * 2)
        self.ident = ident
        self.count = rng.choice([0, 1, 200, 3000, 70000, 400000])
        self.method = rng.choice(["GET", "GET", "GET", "HEAD", "POST", "PUT", "DELETE"])
        self.minor = rng.choice([1, 1, 1, 1, 0])
        self.length = rng.choice([0, 1, 5000, 60000, 300000]) if self.method in ("POST", "PUT") else 0
        self.is_chunked = bool(self.length and self.minor and rng.random() < 0.4)
        self.expects = bool(self.length and self.minor and rng.random() < 0.3)
        self.says_close = rng.random() < 0.1

    @property
    def head(self):
        lines = [f"{self.method} /{self.script}/{self.ident}/{self.count} HTTP/1.{self.minor}",
                 "Host: localhost", f"X-Length: {self.length}", "TE: trailers"]
        if self.is_chunked:
            lines.append("Transfer-Encoding: chunked")
        elif self.length or self.method in ("POST", "PUT"):
            lines.append(f"Content-Length: {self.length}")
        if self.expects:
            lines.append("Expect: 100-continue")
        if self.says_close:
            lines.append("Connection: close")
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    @property
    def body(self):
        body = filler(self.ident, self.length)
        if not self.is_chunked:
            return body
        pieces = [body[i:i + 7000] for i in range(0, len(body), 7000)]
        return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"

    def judge(self, answer):
        """What is wrong with a complete answer, or None."""
        ident, status = answer.get("x-id"), answer.status
        if ident is None:
            return self.judge_own(answer)
        if ident != self.ident:
            return f"got the answer of {ident}"
        if status != 200:
            return None if self.script in EMPTY + ["early"] else f"status {status}"
        if self.method == "HEAD":
            return None
        if self.script in CUT:
            return "was cut, and looks complete"
        if answer.body != filler(self.ident, self.count):
            return f"another body: {len(answer.body)} bytes of {self.count}"
        return None

    def judge_own(self, answer):
        if self.script == "local":
            right = b"" if self.method == "HEAD" else b"local"
            return None if (answer.status, answer.body) == (200, right) else "not ours"
        if self.script == "nothing":
            return None if answer.status == 204 else f"status {answer.status}"
        # A long PUT is not held for a second try.
        if self.script in WHOLE + EMPTY and self.method != "POST" and self.length < 65536:
            return f"status {answer.status} for a replica that answered"
        return None if answer.status in (400, 408, 502, 503, 504) else f"status {answer.status}"


class GateCloses(EOFError):
    """As its last answer said."""


class Client:
    def __init__(self, gate, ledger, seed):
        self.gate, self.ledger, self.random = gate, ledger, random.Random(seed)
        self.seed, self.next = seed, 0

    def connect(self):
        rng = self.random
        sock = socket.socket()
        if rng.random() < 0.2:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        is_tls = rng.random() < 0.3
        sock.connect(self.gate.address("https" if is_tls else "http"))
        sock.settimeout(20)
        if is_tls:
            # Else Python takes an end without close_notify, or a reset, for an end like others.
            sock = insecure().wrap_socket(sock, server_hostname="localhost",
                                          suppress_ragged_eofs=False)
        return Peer(sock)

    def run(self, end):
        while time.monotonic() < end:
            manner = self.random.choice(["reads"] * 6 + ["resets", "leaves", "half_closes",
                                                         "stops", "idles", "lies"])
            try:
                with self.connect() as peer:
                    getattr(self, manner)(peer)
                self.ledger.count(manner)
            except (OSError, EOFError, ssl.SSLError) as e:
                self.ledger.count(f"{manner}: {type(e).__name__}")

    def requests(self):
        for _ in range(self.random.choice([1, 1, 2, 3, 6])):
            self.next += 1
            request = Request(self.random, f"{self.seed}-{self.next}")
            yield request
            if request.says_close or request.minor == 0:
                return

    def send(self, peer, data):
        rng, at = self.random, 0
        while at < len(data):
            size = rng.choice([1, 50, 5000, 1 << 20, 1 << 20])
            peer.sock.sendall(data[at:at + size])
            at += size
            if rng.random() < 0.05:
                time.sleep(0.005)

    def read_answer(self, peer, request):
        while True:
            answer = read_message(peer, has_body=request.method != "HEAD")
            if answer.status >= 200:
                break
        self.ledger.count(f"status {answer.status}")
        wrong = request.judge(answer)
        if wrong:
            self.ledger.fault(f"{request.head!r}: {wrong}; {answer.start} {answer.fields}")
        if answer.get("connection") == "close":
            raise GateCloses

    def send_all(self, peer, requests):
        def send():
            try:
                for request in requests:
                    self.send(peer, request.head + request.body)
            except OSError:
                pass  # answered and closed meanwhile
        if isinstance(peer.sock, ssl.SSLSocket):  # not to be used from two threads
            small = sum(r.length for r in requests) < 10000
            self.send(peer, b"".join(r.head + r.body for r in requests)) if small else None
            return small, None
        thread = threading.Thread(target=send)
        thread.start()
        return True, thread

    def reads(self, peer):
        requests = list(self.requests())
        is_sent, thread = self.send_all(peer, requests)
        if is_sent:
            self.read_answers(peer, requests, thread)

    def half_closes(self, peer):
        requests = list(self.requests())
        is_sent, thread = self.send_all(peer, requests)
        if thread:
            thread.join(3)
            if thread.is_alive():
                requests = []
            peer.sock.shutdown(socket.SHUT_WR)
        if is_sent:
            self.read_answers(peer, requests, thread)

    def read_answers(self, peer, requests, thread):
        request = None
        try:
            for request in requests:
                self.read_answer(peer, request)
        except GateCloses:
            pass
        except (OSError, EOFError) as e:
            # A body that is not wanted is discarded for two seconds: a slow reader who goes on
            # sending may lose answers to the reset that follows; as to that of a cut answer.
            may_lose = any(r.script in CUT or r.length > 65536 or
                           (r.length and r.script == "early") for r in requests)
            if not may_lose and request.script in WHOLE + EMPTY + OWN:
                self.ledger.fault(f"{request.head!r}: no answer: {e!r}"[:600])
            raise
        finally:
            if thread:
                with_suppressed(peer.sock.shutdown, socket.SHUT_RDWR)
                thread.join()

    def resets(self, peer):
        data = b"".join(r.head + r.body for r in self.requests())
        peer.sock.settimeout(0.2)
        self.send(peer, data[:self.random.randrange(len(data)) + 1])
        if self.random.random() < 0.5:
            peer.recv(self.random.choice([1, 1000, 100000]))
        peer.reset()

    def leaves(self, peer):
        data = b"".join(r.head + r.body for r in self.requests())
        peer.sock.settimeout(0.2)
        self.send(peer, data[:self.random.randrange(len(data)) + 1])
        if isinstance(peer.sock, ssl.SSLSocket) and self.random.random() < 0.5:
            peer.sock.unwrap()

    def stops(self, peer):
        """Sends a part, then nothing; takes what comes until the gate has had enough."""
        data = b"".join(r.head + r.body for r in self.requests())
        peer.sock.settimeout(1)
        self.send(peer, data[:self.random.randrange(len(data)) + 1])
        while peer.recv():
            pass

    def idles(self, peer):
        peer.send(self.random.choice([b"", b"\r\n", b"G", b"\r"]))
        time.sleep(self.random.random())

    def lies(self, peer):
        peer.sock.settimeout(3)
        self.send(peer, self.random.choice([
            self.random.randbytes(200), b"HEAD / HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
            b"POST /local/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST /good/lie/9 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcdeX",
            b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 100000 + b"\r\n\r\n",
            b"GET /nothing/ HTTP/1.1\r\nHost: a\r\n\r\n" * 400 + b"HEAD /\r\n\r\n",
        ]))
        while peer.recv():
            pass


def with_suppressed(call, *args):
    try:
        call(*args)
    except OSError:
        pass


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


def reload_at_random(gate, rng, end, ledger):
    while time.monotonic() < end:
        time.sleep(rng.random())
        extra = rng.choice(["", "  more: { address: '127.0.0.1:0' }"])
        done = gate.reload(CONFIG, extra=extra, retries=rng.choice([1, 2]))
        if done.returncode:
            ledger.fault(f"reload: {done.stdout}{done.stderr}")


def is_quiet(gate):
    """Only the admin request that asks, and its connection."""
    return (gate.metric("wharfgate_requests_active") <= 1
            and gate.metric("wharfgate_connections_active") <= 1)


def chaos(gate, ledger, seed, seconds):
    end = time.monotonic() + seconds
    threads = [threading.Thread(target=Client(gate, ledger, seed * 1000 + i).run, args=(end,))
               for i in range(CLIENTS)]
    threads.append(threading.Thread(
        target=reload_at_random, args=(gate, random.Random(seed), end, ledger)))
    for t in threads:
        t.start()
    for t in threads:
        t.join()


@pytest.mark.long
def test_chaos(cert):
    print("seed", SEED)
    ledger, sizes = Ledger(), []
    env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=8"}
    with Origin(Replica(SEED, ledger)) as one, Origin(Replica(SEED + 1, ledger)) as two, \
            Gate(CONFIG, workers=2, env=env, cert=cert[0], key=cert[1], one=one.address,
                 two=two.address, extra="", retries=1) as gate:
        pid = gate.worker_pid
        for i in range(ROUNDS):
            chaos(gate, ledger, SEED + i, SECONDS / ROUNDS)
            assert not ledger.faults, (len(ledger.faults), ledger.faults[:3])
            until(lambda: is_quiet(gate), "quiet", 15)
            sizes.append(resident(pid))
        print(dict(sorted(ledger.seen.items())), [s >> 20 for s in sizes])
        assert gate.worker_pid == pid
        assert ledger.seen["status 200"] > 10 * SECONDS
        assert sizes[-1] < sizes[0] * 1.5 + (32 << 20), sizes
