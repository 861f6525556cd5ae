# SPDX-License-Identifier: Apache-2.0
"""The four ways that a request may take: HTTP/1 or HTTP/2 from the client, HTTP/1 or HTTP/2 to
the replica. Each row of the tables is played on all of them, by a client and a replica that
speak of bodies, trailers and resets and not of versions: what comes out is the same.

After each, the same client is served again, and the gate holds no exchange any more."""
import contextlib
import hashlib
import json
import re
import socket
import threading

import pytest

from h2peer import Gone, H2Origin, h2
from harness import PATIENCE, Gate, Origin, until
from mixpeer import H1Ask, H1Call, H2Ask, H2Call

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
upstreams:
  app: { servers: ["{origin}"], retries: 0, protocol: {protocol} }
routes:
  - match: { path: /timed }
    upstream: app
    timeouts: { body_idle: 300ms, response_header: 300ms, response_idle: 300ms, write_idle: 300ms }
  - { upstream: app }
defaults: { max_body: unlimited }
"""
MIB = bytes(range(256)) * 4096


# ---- the four ways ----

class Mix:
    """A gate with one replica; `handle` is what that does with a call."""

    def __init__(self, client, replica):
        self.is_h2, self.handle, self.calls, self.faults = client == "h2", None, [], []
        self.number = 0  # of the last request, and the end of its path
        if replica == "h2":
            self.origin = H2Origin(lambda s: self.run(H2Call(s)))
        else:
            self.origin = Origin(self.serve)
        self.gate = Gate(CONFIG, origin=self.origin.address, protocol=replica)
        self.client, self.asks = None, []

    def serve(self, peer, _):
        while True:
            call = H1Call(peer)
            self.run(call)
            if call.is_broken or not call.is_ended:
                return
            if (call.get("content-length") or call.get("transfer-encoding")) and not call.is_read:
                peer.sock.shutdown(socket.SHUT_WR)  # a close with unread input would be a reset
                call.gone()
                return

    def run(self, call):
        call.target = re.sub(r"[?&]number=\d+$", "", call.target)
        if call.target == "/fence":
            call.read()
            call.head(200, length=5)
            call.send(b"fence")
            call.end()
            return
        self.calls.append(call)
        try:
            self.handle(call)
        except AssertionError as e:
            self.faults.append(e)
            raise

    def ask(self, method, path, *args, receives=None, **kw):
        self.number += 1
        path += f"{'&' if '?' in path else '?'}number={self.number}"
        if not self.is_h2:
            self.asks.append(H1Ask(self.gate, receives))
        else:
            if not self.client:
                self.client = h2(self.gate)
            self.asks.append(H2Ask(self.client))
        return self.asks[-1].begin(method, path, *args, **kw)

    def whole(self, method, path, *pairs, pieces=(), length=None, trailers=(), has_body=True):
        """A request sent whole, and what came of it."""
        ask = self.ask(method, path, *pairs, length=length, has_body=has_body)
        for piece in pieces:
            ask.send(piece)
        if has_body:
            ask.end(*trailers)
        return ask.done()

    def call(self, count=1):
        """The last call of the replica, once there are so many."""
        until(lambda: len(self.calls) >= count, "the replica's call")
        return self.calls[-1]

    def log(self):
        """The line of the last request in the access log."""
        mark = f'number={self.number}"'

        def find():
            text = self.gate.access_path.read_text() if self.gate.access_path.exists() else ""
            return [line for line in text.splitlines() if mark in line]
        return json.loads(until(find, "the line of the log")[0])

    def begin(self):
        self.calls.clear()
        self.asks.clear()

    def finish(self):
        """The same client goes on, and nothing is left."""
        ask = self.ask("GET", "/fence")
        seen = ask.done()
        assert (seen.status, seen.body) == (200, b"fence")
        for ask in self.asks:
            ask.close()
        if self.client:
            assert self.client.goaway is None
            self.client.close()
            self.client = None
        until(lambda: self.gate.metric("wharfgate_requests_active") == 1, "the exchanges' end")
        faults, self.faults = self.faults, []
        assert not faults


@pytest.fixture(scope="module", params=[("h1", "h1"), ("h1", "h2"), ("h2", "h1"), ("h2", "h2")],
                ids="-".join)
def ways(request):
    m = Mix(*request.param)
    with m.origin, m.gate:
        yield m


@pytest.fixture
def mix(ways):
    ways.begin()
    yield ways
    ways.finish()


# ---- bodies and trailers ----

def digest(data):
    return hashlib.sha256(data).hexdigest()


# Each: the pieces of a body, whether its length is told, its trailers.
BODIES = [
    pytest.param(pieces, is_sized, trailers, id=f"{name}-{'sized' if is_sized else 'open'}" +
                 ("-trailers" if trailers else ""))
    for name, pieces in {
        "empty": [], "one": [b"x"], "some": [b"hello ", b"world"], "16KiB": [MIB[:16384]],
        "window": [MIB[:65535]], "beyond": [MIB[:65536], b"!"], "small": [b"ab"] * 200,
        "1MiB": [MIB]}.items()
    for is_sized, trailers in ((True, ()), (False, ()), (False, (("x-sum", "42"), ("x-more", "b"))))
]


@pytest.mark.parametrize("pieces, is_sized, trailers", BODIES)
def test_request_body(mix, pieces, is_sized, trailers):
    """It arrives as it was sent, with its length where that was told, and its trailers."""
    whole = b"".join(pieces)

    def handle(call):
        answer = digest(call.read()).encode()
        call.head(200, length=len(answer))
        call.send(answer)
        call.end()
    mix.handle = handle
    seen = mix.whole("POST", "/up", ("te", "trailers"), pieces=pieces, trailers=trailers,
                     length=len(whole) if is_sized else None)
    assert (seen.status, seen.body, seen.is_whole) == (200, digest(whole).encode(), True)
    call = mix.call()
    assert call.trailers == list(trailers)
    if is_sized:
        assert call.get("content-length") == str(len(whole))
    elif whole:
        assert call.get("content-length") is None


@pytest.mark.parametrize("pieces, is_sized, trailers", BODIES)
def test_response_body(mix, pieces, is_sized, trailers):
    """The same the other way."""
    whole = b"".join(pieces)

    def handle(call):
        call.read()
        call.head(200, ("X-Kind", "b"), length=len(whole) if is_sized else None)
        for piece in pieces:
            call.send(piece)
        call.end(*trailers)
    mix.handle = handle
    seen = mix.whole("GET", "/down", ("te", "trailers"), has_body=False)
    assert (seen.status, seen.body, seen.is_whole) == (200, whole, True)
    assert seen.trailers == list(trailers) and seen.get("x-kind") == "b"
    if is_sized:
        assert seen.get("content-length") == str(len(whole))


def test_log(mix):
    """One line, whatever way it took."""
    def handle(call):
        call.head(200, length=len(call.read()))
        call.send(b"hello")
        call.end()
    mix.handle = handle
    assert mix.whole("PUT", "/logged", pieces=[b"hel", b"lo"]).status == 200
    line = mix.log()
    assert (line["status"], line["method"], line.get("reason")) == (200, "PUT", None)
    assert line["protocol"] == ("HTTP/2.0" if mix.is_h2 else "HTTP/1.1")


def test_body_until_the_connection_ends(mix):
    """HTTP/1 without a length; in HTTP/2 it is the same as any."""
    def handle(call):
        call.read()
        if isinstance(call, H1Call):
            call.peer.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end")
            call.close()
        else:
            call.head(200)
            call.send(b"until the end")
            call.end()
    mix.handle = handle
    seen = mix.whole("GET", "/", has_body=False)
    assert (seen.status, seen.body, seen.is_whole) == (200, b"until the end", True)


def test_trailers_that_nobody_asked_for(mix):
    """Without `te: trailers` the body is whole all the same."""
    def handle(call):
        call.read()
        call.head(200)
        call.send(b"x")
        call.end(("x-sum", "42"))
    mix.handle = handle
    seen = mix.whole("GET", "/", has_body=False)
    assert (seen.body, seen.is_whole) == (b"x", True)


def test_fields_both_ways(mix):
    """End-to-end fields pass, in order; what belongs to one connection does not."""
    def handle(call):
        call.read()
        call.head(200, ("Set-Cookie", "a=1"), ("X-Many", "1"), ("Set-Cookie", "b=2"),
                  ("X-Many", "2"), ("X-Utf8", "gr\xfcn"), length=0)
        call.end()
    mix.handle = handle
    seen = mix.whole("GET", "/a%20b?c=%20d", ("cookie", "a=1; b=2"), ("x-many", "1"),
                     ("accept", "*/*"), ("x-many", "2"), ("x-utf8", "gr\xfcn"),
                     ("authorization", "Basic eDp5"), has_body=False)
    call = mix.call()
    assert call.target == "/a%20b?c=%20d"
    assert [v for k, v in call.fields if k == "x-many"] == ["1", "2"]
    assert "; ".join(v for k, v in call.fields if k == "cookie") == "a=1; b=2"
    assert call.get("x-utf8") == "gr\xfcn" and call.get("authorization") == "Basic eDp5"
    assert call.get("x-forwarded-for") == "127.0.0.1"
    assert call.get("host" if isinstance(call, H1Call) else ":authority") == "localhost"
    assert [v for k, v in seen.fields if k == "set-cookie"] == ["a=1", "b=2"]
    assert [v for k, v in seen.fields if k == "x-many"] == ["1", "2"]
    assert seen.get("x-utf8") == "gr\xfcn"


# ---- responses without a body, interim responses ----

@pytest.mark.parametrize("method, status, length", [
    ("HEAD", 200, 1000), ("HEAD", 200, None), ("HEAD", 404, 0), ("GET", 204, None),
    ("GET", 304, None), ("GET", 304, 77), ("HEAD", 304, 77), ("POST", 204, None), ("GET", 200, 0)])
def test_no_body(mix, method, status, length):
    def handle(call):
        call.read()
        call.head(status, ("ETag", '"x"'), length=length)
        call.end()
    mix.handle = handle
    seen = mix.whole(method, "/", pieces=[b"x"] if method == "POST" else [],
                     has_body=method == "POST")
    assert (seen.status, seen.body, seen.is_whole) == (status, b"", True)
    assert seen.get("etag") == '"x"'
    if length:
        assert seen.get("content-length") == str(length)


def test_interim_responses(mix):
    """103 as often as it comes, before the answer."""
    def handle(call):
        call.read()
        for i in range(3):
            call.inform(103, ("Link", f"</{i}.css>; rel=preload"))
        call.head(200, length=4)
        call.send(b"done")
        call.end()
    mix.handle = handle
    seen = mix.whole("GET", "/", has_body=False)
    assert (seen.interim, seen.status, seen.body) == ([103] * 3, 200, b"done")


@pytest.mark.parametrize("is_sized", [True, False])
def test_continue(mix, is_sized):
    """The body is sent when the replica has asked for it."""
    def handle(call):
        assert call.get("expect") == "100-continue"
        call.inform(100)
        body = call.read()
        call.head(200, length=len(body))
        call.send(body)
        call.end()
    mix.handle = handle
    ask = mix.ask("PUT", "/", ("expect", "100-continue"), length=5 if is_sized else None,
                  has_body=True)
    assert ask.informed() == 100
    ask.send(b"hello")
    ask.end()
    seen = ask.done()
    assert (seen.status, seen.body) == (200, b"hello")


def test_continue_that_is_refused(mix):
    """A final answer instead: the body is never sent."""
    def handle(call):
        call.head(403, length=2)
        call.send(b"no")
        call.end()
    mix.handle = handle
    seen = mix.ask("PUT", "/", ("expect", "100-continue"), length=5).done()
    assert (seen.status, seen.body, seen.is_whole) == (403, b"no", True)


# ---- early answers ----

@pytest.mark.parametrize("sent", [0, 1000, 500000])
def test_early_answer(mix, sent):
    """Complete before the request is: the client gets it whole, however much it was sending."""
    def handle(call):
        call.head(413, length=8)
        call.send(b"too much")
        call.end()
    mix.handle = handle
    ask = mix.ask("POST", "/", length=10 << 20)
    with contextlib.suppress(OSError):
        for i in range(0, sent, 50000):
            ask.send(b"x" * min(50000, sent - i))
    seen = ask.done()
    assert (seen.status, seen.body, seen.is_whole) == (413, b"too much", True)
    assert mix.log()["status"] == 413


def test_both_directions_at_once(mix):
    """Each piece is answered before the next one is sent."""
    def handle(call):
        call.head(200)
        while piece := call.read_some():
            call.send(b"<" + piece + b">")
        call.end()
    mix.handle = handle
    ask = mix.ask("POST", "/", has_body=True)
    assert ask.head() == 200
    for i in range(10):
        ask.send(b"piece %d" % i)
        assert ask.some() == b"<piece %d>" % i
    ask.end()
    if not mix.is_h2:
        assert ask.peer.read_until(b"0\r\n\r\n")
    else:
        assert ask.done().is_whole


def test_answer_that_ends_before_the_request(mix):
    """The head early, the end early, then the client goes on sending: no harm."""
    def handle(call):
        call.read_some()
        call.head(200, length=2)
        call.send(b"ok")
        call.end()
    mix.handle = handle
    ask = mix.ask("POST", "/", has_body=True)
    ask.send(b"first")
    seen = ask.done()
    assert (seen.status, seen.body, seen.is_whole) == (200, b"ok", True)
    with contextlib.suppress(OSError, Gone):
        ask.send(b"more")
        ask.end()


# ---- resets ----

def awaits(call):
    call.read()
    call.gone()


def answers_half(call):
    call.read()
    call.head(200)
    call.send(b"half")
    call.gone()


def streams_on(call):
    call.read()
    call.head(200)
    call.gone_while_sending(b"s" * 4096)


def reads_on(call):
    with contextlib.suppress(EOFError):
        call.read()
        assert False, "a cut body was shown as complete"
    call.gone()


@pytest.mark.parametrize("handle, has_head", [(awaits, False), (answers_half, True),
                                              (streams_on, True)])
def test_client_resets(mix, handle, has_head):
    """Before the answer or amid it: the replica is let go, and only that request ends."""
    over = threading.Event()

    def watched(call):
        handle(call)
        over.set()
    mix.handle = watched
    ask = mix.ask("GET", "/")
    mix.call()
    if has_head:
        assert ask.head() == 200
    ask.reset()
    until(over.is_set, "the replica to be let go")
    assert mix.log()["reason"].startswith("client_")


@pytest.mark.parametrize("is_sized", [True, False])
def test_client_resets_amid_its_body(mix, is_sized):
    over = threading.Event()

    def watched(call):
        reads_on(call)
        over.set()
    mix.handle = watched
    ask = mix.ask("POST", "/", length=100 if is_sized else None, has_body=True)
    ask.send(b"half")
    mix.call()
    ask.reset()
    until(over.is_set, "the replica to be let go")
    assert mix.log()["reason"].startswith("client_")


def begins(*sent, length=None):
    """Reads the request, and sends a part of the answer."""
    def handle(call):
        call.read()
        call.head(length=length)
        for piece in sent:
            call.send(piece)
    return handle


def informs(call):
    call.read()
    call.inform(103)


# Each: what the replica does first and how it breaks, what of it the client sees, the status it
# gets and whether that answer is whole.
BREAKS = [
    ("reset", lambda call: call.read(), "reset", None, 502, True),
    ("close", lambda call: call.read(), "close", None, 502, True),
    ("reset-unread", lambda call: None, "reset", None, 502, True),
    ("reset-after-interim", informs, "reset", "informed", 502, True),
    ("reset-amid", begins(b"half"), "reset", "head", 200, False),
    ("close-amid", begins(b"half"), "close", "head", 200, False),
    ("reset-amid-sized", begins(b"half", length=100), "reset", "head", 200, False),
    ("close-amid-sized", begins(b"half", length=100), "close", "head", 200, False),
    ("close-behind", lambda call: (begins(b"full", length=4)(call), call.end()), "close", "head",
     200, True),
]


@pytest.mark.parametrize("first, how, seen_first, status, is_whole",
                         [pytest.param(*b[1:], id=b[0]) for b in BREAKS])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_replica_breaks(mix, first, how, seen_first, status, is_whole, method):
    """Before, amid or behind its answer: 502, a cut, or nothing at all. With GET all comes at once,
    with POST the client has seen the begin."""
    has_seen, is_over = threading.Event(), threading.Event()

    def handle(call):
        first(call)
        if seen_first and method == "POST":
            has_seen.wait(PATIENCE)
        getattr(call, how)()
        is_over.set()
    mix.handle = handle
    ask = mix.ask(method, "/", has_body=method == "POST")
    if method == "POST":
        with contextlib.suppress(OSError):
            ask.send(b"x" * 100)
            ask.end()
        if seen_first:
            getattr(ask, seen_first)()
            has_seen.set()
    seen = ask.done()
    if status == 200 and not is_whole:
        assert not seen.is_whole and seen.status in (200, None)
    else:
        assert (seen.status, seen.is_whole) == (status, is_whole)
    # Else a request of the next test may be under way on the connection that ends.
    assert is_over.wait(PATIENCE)
    if method == "GET":
        reason = mix.log().get("reason")
        assert reason.startswith("upstream_") if status == 502 or not is_whole else not reason


def test_replica_resets_amid_the_request(mix):
    """502, and the client may stop sending."""
    def handle(call):
        call.read_some()
        call.reset()
    mix.handle = handle
    ask = mix.ask("POST", "/", has_body=True)
    ask.send(b"first")
    seen = ask.done()
    assert (seen.status, seen.is_whole) == (502, True)
    assert mix.log()["reason"].startswith("upstream_")


# ---- time ----

def test_replica_that_does_not_answer(mix):
    mix.handle = awaits
    seen = mix.whole("GET", "/timed", has_body=False)
    assert (seen.status, seen.is_whole) == (504, True)
    assert mix.log()["reason"] == "response_timeout"


def test_replica_that_stalls(mix):
    mix.handle = answers_half
    seen = mix.whole("GET", "/timed", has_body=False)
    assert seen.status == 200 and not seen.is_whole
    assert mix.log()["reason"] == "response_timeout"


@pytest.mark.parametrize("is_sized", [True, False])
def test_client_that_stalls(mix, is_sized):
    mix.handle = reads_on
    ask = mix.ask("POST", "/timed", length=100 if is_sized else None, has_body=True)
    ask.send(b"half")
    assert ask.done().status == 408
    assert mix.log()["reason"] == "body_timeout"


def test_client_that_takes_nothing(mix):
    """It ends by `write_idle`, and the replica is let go."""
    over = threading.Event()

    def handle(call):
        call.read()
        call.head(200)
        call.gone_while_sending(b"s" * 65536)
        over.set()
    mix.handle = handle
    ask = mix.ask("GET", "/timed", receives=4096)
    ask.takes_nothing()
    ask.head()
    if mix.is_h2:
        mix.client.wait(lambda: ask.stream.is_gone, "the reset")
    until(over.is_set, "the replica to be let go")
    assert mix.log()["reason"] == "write_timeout"
    if not mix.is_h2:
        ask.close()


def test_slow_reader(mix):
    """1 MiB, 4 KiB at a time; the replica is held back, and nothing is lost."""
    def handle(call):
        call.read()
        call.head(200, length=len(MIB))
        for i in range(0, len(MIB), 65536):
            call.send(MIB[i:i + 65536])
        call.end()
    mix.handle = handle
    assert digest(mix.ask("GET", "/", receives=4096).slowly(4096)) == digest(MIB)


def test_slow_replica(mix):
    """1 MiB up to a replica that begins late and takes it in pieces."""
    begin = threading.Event()

    def handle(call):
        if isinstance(call, H2Call):
            call.stream.gives_back = False
        begin.wait(10)
        if isinstance(call, H2Call):
            s = call.stream
            while not s.is_ended:
                if s.room < 16384:
                    s.give_back(16384)
                size = len(s.body)
                s.wait(lambda size=size: len(s.body) > size or s.is_ended, "a piece")
            body = bytes(s.body)
        else:
            body = b""
            while len(body) < len(MIB):
                body += call.peer.recv(16384)
            call.is_read = True
        call.head(200, length=64)
        call.send(digest(body).encode())
        call.end()
    mix.handle = handle
    ask = mix.ask("POST", "/", length=len(MIB))
    sender = threading.Thread(target=lambda: [ask.send(MIB[i:i + 65536])
                                              for i in range(0, len(MIB), 65536)])
    sender.start()
    mix.call()
    begin.set()
    sender.join()
    ask.end()
    seen = ask.done()
    assert (seen.status, seen.body) == (200, digest(MIB).encode())


def test_many_at_once(mix):
    """Bodies of all sizes, both ways, at the same time: each gets its own."""
    def handle(call):
        body = call.read()
        call.head(200)
        for i in range(0, len(body), 5000):
            call.send(body[i:i + 5000])
        call.end(("x-size", str(len(body))))
    mix.handle = handle
    sizes = [i * i * 131 for i in range(24)]
    asks = [mix.ask("POST", f"/{size}", ("te", "trailers"), has_body=True) for size in sizes]
    for ask, size in zip(asks, sizes):
        ask.send(MIB[size % 256:][:size]) if size else None
        ask.end()
    for ask, size in zip(asks, sizes):
        seen = ask.done()
        assert (seen.status, seen.is_whole, seen.trailers) == (200, True, [("x-size", str(size))])
        assert seen.body == MIB[size % 256:][:size]
