# SPDX-License-Identifier: Apache-2.0
"""Requests that wait for a place or for a replica: each gets its turn, and whatever else happens
meanwhile (clients that leave, a reload, a stop) costs nobody's turn."""
import contextlib
import signal
import threading
import time

from h2peer import H2Client
from harness import Gate, Origin, read_message, reply, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
upstreams:
  app:
    servers: ["{origin}"]
    outlier_ejection: { max_share: off }
    {more}
routes:
  - { upstream: app }
defaults: { max_body: 64MiB }
"""


class Held(Origin):
    """Answers when told to; counts how many it has at once."""

    def __init__(self):
        self.may_answer = threading.Event()
        self.now, self.most = 0, 0
        super().__init__(self.hold)

    def hold(self, peer, _):
        while True:
            message = self.read(peer)
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            self.may_answer.wait(30)
            with self.lock:
                self.now -= 1
            peer.send(reply(200, message.target + f" {len(message.body)}"))


def ask(peer, target="/"):
    peer.send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
    return peer


def queued(gate):
    return gate.admin("/v1/status").json["upstreams"][0]["queued"]


def active(gate):
    return gate.admin("/v1/status").json["upstreams"][0]["active"]


def test_each_gets_its_turn_on_every_worker():
    """Far more clients than places, each asking again and again: none starves into a 503."""
    def serve(peer, o):
        while True:
            o.read(peer)
            time.sleep(0.002)
            peer.send(reply(200, "ok"))
    statuses, lock = [], threading.Lock()

    def client(gate):
        with gate.connect() as c:
            for _ in range(40):
                status = read_message(ask(c)).status
                with lock:
                    statuses.append(status)
    with Origin(serve) as o, Gate(CONFIG, workers=2, origin=o.address, more="""
    limits: { requests_per_server: 2, queue_timeout: 3s }""") as gate:
        threads = [threading.Thread(target=client, args=(gate,)) for _ in range(30)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert statuses == [200] * 1200
        assert queued(gate) == 0 and active(gate) == 0


def test_clients_that_leave_cost_nobody_a_turn():
    with Held() as o, Gate(CONFIG, origin=o.address, more="limits: { requests: 1 }") as gate, \
            contextlib.ExitStack() as stack:
        peers = [ask(stack.enter_context(gate.connect()), f"/{i}") for i in range(4)
                 if not i or until(lambda: active(gate) == 1, "the first") and
                 until(lambda: queued(gate) == i - 1, "those before")]
        until(lambda: queued(gate) == 3, "all wait")
        peers[1].reset()
        until(lambda: queued(gate) == 2, "one has left")
        peers[0].reset()  # and so does the one that is served
        o.may_answer.set()
        assert read_message(peers[2]).body == b"/2 0"
        assert read_message(peers[3]).body == b"/3 0"
        assert queued(gate) == 0 and active(gate) == 0


def test_a_body_is_bounded_while_its_request_waits():
    size = 48 * 1024 * 1024
    with Held() as o, Gate(CONFIG, origin=o.address, more="""
    limits: { requests: 1, queue_timeout: 30s }""") as gate, gate.connect() as a, \
            gate.connect() as b:
        ask(a)
        until(lambda: active(gate) == 1, "the first")
        b.send(f"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
        until(lambda: queued(gate) == 1, "the second waits")
        b.sock.settimeout(1)
        sent = 0
        with contextlib.suppress(OSError):  # until nothing moves any more
            while sent < size:
                sent += b.sock.send(b"x" * min(65536, size - sent))
        assert sent < size / 2  # what sockets hold, and a window
        b.sock.settimeout(20)
        o.may_answer.set()
        assert read_message(a).status == 200
        b.sock.sendall(b"x" * (size - sent))
        assert read_message(b).body == f"/b {size}".encode()


def test_streams_wait_and_one_is_reset():
    with Held() as o, Gate(CONFIG, origin=o.address, more="limits: { requests: 1 }") as gate, \
            H2Client(gate.connect()) as c:
        streams = [c.open(path=f"/{i}") for i in range(4)]
        until(lambda: queued(gate) == 3, "three wait")
        streams[1].reset()
        until(lambda: queued(gate) == 2, "one has left")
        o.may_answer.set()
        for i in (0, 2, 3):
            assert streams[i].done().status == 200
        assert queued(gate) == 0 and active(gate) == 0
        assert [m.target for m in o.requests] == ["/0", "/2", "/3"]


def test_waiting_through_a_reload():
    """The plan that they came with is served to its end, with what it knew."""
    with Held() as o, Gate(CONFIG, origin=o.address, more="""
    limits: { requests_per_server: 1 }""") as gate, gate.connect() as a, gate.connect() as b, \
            gate.connect() as c:
        ask(a, "/a")
        until(lambda: active(gate) == 1, "the first")
        ask(b, "/b")
        until(lambda: queued(gate) == 1, "the second waits")
        gate.reload(CONFIG, origin=o.address, more="""
    limits: { requests_per_server: 1 }
    retries: 1""")
        ask(c, "/c")  # of the new upstream, at the same replica
        until(lambda: queued(gate) == 1, "the third waits")
        o.may_answer.set()
        assert [read_message(p).status for p in (a, b, c)] == [200, 200, 200]
        assert o.most == 1
        assert queued(gate) == 0 and active(gate) == 0


def test_waiting_through_a_stop():
    with Held() as o, Gate(CONFIG, origin=o.address, more="limits: { requests: 1 }") as gate, \
            gate.connect() as a, gate.connect() as b:
        ask(a)
        until(lambda: active(gate) == 1, "the first")
        ask(b)
        until(lambda: queued(gate) == 1, "the second waits")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in gate.errors(), "it stops")
        o.may_answer.set()
        assert read_message(a).status == 200
        assert read_message(b).status == 200
        assert gate.process.wait(20) == 0


def test_stopped_at_once_while_they_wait():
    with Held() as o, Gate(CONFIG, workers=2, origin=o.address, more="""
    limits: { requests: 1 }""") as gate, contextlib.ExitStack() as stack:
        for _ in range(8):
            ask(stack.enter_context(gate.connect()))
        until(lambda: queued(gate) == 7, "seven wait")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: "stopping" in gate.errors(), "it stops")
        gate.process.send_signal(signal.SIGTERM)
        assert gate.process.wait(20) == 0


def test_a_retry_keeps_to_the_limit():
    """The only replica refuses its first request; another has its place by the time it is
    tried again."""
    def serve(peer, o):
        while True:
            message = o.read(peer)
            with o.lock:
                o.now = getattr(o, "now", 0) + 1
                o.most = max(getattr(o, "most", 0), o.now)
                is_first = len(o.requests) == 1
            if not is_first:
                time.sleep(0.15)
            with o.lock:
                o.now -= 1
            if is_first:
                peer.close()
                return
            peer.send(reply(200, message.target))
    with Origin(serve) as o, Gate(CONFIG, origin=o.address, more="""
    limits: { requests_per_server: 1 }""") as gate, gate.connect() as a, gate.connect() as b, \
            gate.connect() as c:
        ask(a, "/a")
        ask(b, "/b")
        ask(c, "/c")
        assert [read_message(p).status for p in (a, b, c)] == [200, 200, 200]
        assert o.most == 1
