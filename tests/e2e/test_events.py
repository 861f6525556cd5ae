# SPDX-License-Identifier: Apache-2.0
"""Answers that take their time: server-sent events and long polling, by each version of HTTP,
in the clear and by TLS. The test holds both ends, so that nothing is sent before what came
earlier has been seen."""
import queue
import threading
import time

import pytest

import certs
from h2peer import H2Origin, h2
from harness import PATIENCE, Gate, insecure, read_head, read_message, reply, until
from test_websocket import Replica, is_over, wait_for

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
upstreams:
  app: { servers: ["{origin}"] }
routes:
  - { upstream: app, timeouts: { {timeouts} } }
  - { match: { path: /own }, respond: { body: "the gate's own" } }
timeouts: { {globally} }
"""
HEAD = ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
        "Transfer-Encoding: chunked\r\n\r\n")
KINDS = ["http1", "https1", "h2c", "h2"]
EACH = pytest.mark.parametrize("kind", KINDS)


class ByOne:
    """A client of HTTP/1.1: one request on its connection."""

    def __init__(self, gate, tls):
        self.peer = gate.connect("https", tls=insecure()) if tls else gate.connect()
        self.data, self.is_ended = b"", False

    def get(self, path):
        self.peer.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")
        self.is_ended = False

    def status(self):
        self.response = read_head(self.peer)
        return self.response.status

    def type(self):
        return self.response.get("content-type")

    def event(self):
        """Up to the next empty line."""
        while b"\n\n" not in self.data:
            self._chunk()
        event, self.data = self.data.split(b"\n\n", 1)
        return event.decode()

    def _chunk(self):
        size = int(self.peer.read_until(b"\r\n"), 16)
        self.data += self.peer.read_exactly(size)
        self.peer.read_exactly(2)
        self.is_ended = size == 0

    def end(self):
        """Was it whole? Waits for the end."""
        try:
            while not self.is_ended:
                self._chunk()
        except (EOFError, ConnectionResetError):
            return False
        return True

    def leave(self):
        self.peer.reset()

    def close(self):
        self.peer.close()


class ByTwo:
    """The same by HTTP/2; the connection stays when it leaves."""

    def __init__(self, gate, tls):
        self.client = h2(gate, "https" if tls else "http", tls=tls or None)

    def get(self, path):
        self.stream = self.client.open(path=path)

    def status(self):
        return self.stream.has_head().status

    def type(self):
        return self.stream.get("content-type")

    def event(self):
        body = self.stream.body
        self.stream.wait(lambda: b"\n\n" in body, "an event")
        event, rest = bytes(body).split(b"\n\n", 1)
        body[:] = rest
        return event.decode()

    def end(self):
        return self.stream.done().is_ended

    def leave(self):
        self.stream.reset()

    def close(self):
        self.client.close()


def by(kind, gate):
    return (ByTwo if kind.startswith("h2") else ByOne)(gate, kind in ("https1", "h2"))


def chunk(text):
    return b"%x\r\n%s\r\n" % (len(text.encode()), text.encode())


@pytest.fixture
def replica():
    with Replica() as r:
        yield r


@pytest.fixture
def open_gate(replica, cert):
    """A gate with these timeouts."""
    gates = []

    def start(timeouts="", globally="", config=CONFIG):
        gates.append(Gate(config, cert=cert[0], key=cert[1], origin=replica.address,
                          timeouts=timeouts, globally=globally))
        return gates[-1]
    yield start
    replica.close()  # else the gate would let what runs run on
    for gate in gates:
        gate.__exit__(None)


def begin(viewer, replica, path="/events"):
    """An event stream's head is with the client before there is any event; the replica's end."""
    viewer.get(path)
    r = replica.take()
    r.send(HEAD)
    assert viewer.status() == 200
    assert viewer.type() == "text/event-stream"
    return r


# ---- Server-sent events ----

@EACH
def test_each_event_arrives_before_the_next_is_sent(open_gate, replica, kind):
    """Short ones and long ones, one in two pieces, comments; then the end, and another request."""
    viewer = by(kind, open_gate())
    r = begin(viewer, replica)
    for i in range(50):
        r.send(chunk(f"id: {i}\ndata: number {i}\n\n"))
        assert viewer.event() == f"id: {i}\ndata: number {i}"
    for text in ("data: " + "x" * 100000, ":", "data: ä\ndata: ö"):
        r.send(chunk(text + "\n\n"))
        assert viewer.event() == text
    r.send(chunk("data: ha"))
    r.send(chunk("lf\n\n"))
    assert viewer.event() == "data: half"
    r.send("0\r\n\r\n")
    assert viewer.end()
    # Both connections go on.
    viewer.get("/next")
    assert read_message(r).target == "/next"
    r.send(reply(204))
    assert viewer.status() == 204
    viewer.close()


def test_replica_without_chunks(open_gate, replica):
    """Its stream ends with its connection."""
    for kind in KINDS:
        viewer = by(kind, open_gate())
        viewer.get("/events")
        r = replica.take()
        r.send("HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        assert viewer.status() == 200
        assert viewer.event() == "data: 1"
        r.send("data: 2\n\n")
        assert viewer.event() == "data: 2"
        r.sock.shutdown(1)
        assert viewer.end()
        viewer.close()


@pytest.mark.parametrize("tls", [False, True])
def test_replica_that_speaks_h2(cert, tls):
    """By prior knowledge, and by TLS."""
    handed = queue.Queue()

    def handle(stream):
        stream.head([(":status", "200"), ("content-type", "text/event-stream")])
        handed.put(stream)
        stream.wait(lambda: stream.has_sent_end, "the test")
    config = CONFIG.replace('"{origin}"]', '"{origin}"], protocol: h2{more}')
    context = None
    if tls:
        context = certs.server(cert)
        context.set_alpn_protocols(["h2"])
    more = f', tls: {{ ca: "{cert[0]}", sni: localhost }}' if tls else ""
    with H2Origin(handle, tls=context) as o, \
            Gate(config, cert=cert[0], key=cert[1], origin=o.address, timeouts="", globally="",
                 more=more) as gate:
        for kind in KINDS:
            viewer = by(kind, gate)
            viewer.get("/events")
            stream = handed.get(timeout=PATIENCE)
            assert viewer.status() == 200
            for i in range(10):
                stream.send(f"data: {i}\n\n")
                assert viewer.event() == f"data: {i}"
            stream.end()
            assert viewer.end()
            viewer.close()


def test_a_hundred_streams_on_one_connection(open_gate, replica):
    """The last to begin is the first to get an event; ordinary requests pass between."""
    gate = open_gate()
    with h2(gate, "https", tls=True) as c:
        limit = min(100, c.request("/own") and c.theirs.get(3, 100))
        streams = [c.open(path=f"/{i}") for i in range(limit - 1)]
        ends = [replica.take() for _ in streams]
        with replica.lock:
            targets = [r.target for r in replica.requests]
        assert sorted(targets) == sorted(f"/{i}" for i in range(limit - 1))
        for r in ends:
            r.send(HEAD)
        for s in streams:
            assert s.has_head().status == 200
        for _ in range(2):
            for r in reversed(ends):
                r.send(chunk("data: x\n\n"))
            for s in reversed(streams):
                s.wait(lambda: bytes(s.body) == b"data: x\n\n", "its event")
                s.body.clear()
            assert c.request("/own").body == b"the gate's own"


@EACH
def test_a_client_that_leaves_ends_the_replicas_work(open_gate, replica, kind):
    """By a reset of its connection or of its stream: the replica learns it at once, not with its
    next event. An HTTP/2 client's connection goes on."""
    viewer = by(kind, open_gate())
    r = begin(viewer, replica)
    r.send(chunk("data: 1\n\n"))
    assert viewer.event() == "data: 1"
    began = time.monotonic()
    viewer.leave()
    assert is_over(r)
    assert time.monotonic() - began < PATIENCE / 5
    if kind.startswith("h2"):
        assert viewer.client.request("/own").body == b"the gate's own"
    viewer.close()


@EACH
def test_a_client_that_closes_is_left_at_the_next_event(open_gate, replica, kind):
    """A FIN may be that of a client that still reads: at the latest the next bytes tell."""
    viewer = by(kind, open_gate())
    r = begin(viewer, replica)
    viewer.close()

    def is_left():
        try:
            r.send(chunk("data: anyone?\n\n"))
        except OSError:
            return True
        return False
    until(is_left, "the replica to be left")


@EACH
def test_a_replica_that_dies_is_no_end(open_gate, replica, kind):
    """Amid its events: the client must not take it for the stream's end."""
    viewer = by(kind, open_gate())
    r = begin(viewer, replica)
    r.send(chunk("data: 1\n\n"))
    assert viewer.event() == "data: 1"
    r.close()
    assert not viewer.end()
    viewer.close()


@EACH
def test_a_quiet_stream_outlives_keep_alive(open_gate, replica, kind):
    """No deadline of other states is its own."""
    gate = open_gate(globally="keep_alive: 150ms, header: 150ms, upstream_keep_alive: 150ms",
                     timeouts="write_idle: 150ms, body_idle: 150ms, response_header: 150ms, "
                     "connect: 150ms")
    viewer = by(kind, gate)
    r = begin(viewer, replica)
    for i in range(2):
        wait_for(0.4)
        r.send(chunk(f"data: {i}\n\n"))
        assert viewer.event() == f"data: {i}"
    viewer.close()


@EACH
def test_response_idle_ends_it(open_gate, replica, kind):
    """Each event begins the time anew; then the stream breaks off, and the replica is left."""
    viewer = by(kind, open_gate("response_idle: 500ms"))
    r = begin(viewer, replica)
    for i in range(4):
        wait_for(0.2)
        r.send(chunk(f"data: {i}\n\n"))
        assert viewer.event() == f"data: {i}"
    began = time.monotonic()
    assert not viewer.end()
    assert 0.4 < time.monotonic() - began < 0.5 + PATIENCE / 5
    assert is_over(r)
    if kind.startswith("h2"):
        assert viewer.client.request("/own").body == b"the gate's own"
    viewer.close()


@EACH
def test_events_go_on_through_a_reload(open_gate, replica, kind):
    """Under the plan that they began with."""
    gate = open_gate()
    viewer = by(kind, gate)
    r = begin(viewer, replica)
    other = CONFIG.replace("upstream: app, timeouts: { {timeouts} }", "respond: { body: new }")
    for i in range(3):
        r.send(chunk(f"data: {i}\n\n"))
        assert viewer.event() == f"data: {i}"
        done = gate.reload(other)
        assert done.returncode == 0, done.stderr
    assert gate.metric("wharfgate_plans_alive") == 2
    r.send("0\r\n\r\n")
    assert viewer.end()
    until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plan's end")
    viewer.close()


# ---- Long polling ----

@EACH
def test_long_polls(open_gate, replica, kind):
    """One after the other on one connection, each answered late; `keep_alive` is shorter than
    they take."""
    gate = open_gate(globally="keep_alive: 200ms")
    viewer, r = by(kind, gate), None
    for i in range(3):
        viewer.get(f"/poll/{i}")
        if r is None:
            r = replica.take()
        else:
            assert read_message(r).target == f"/poll/{i}"
        wait_for(0.3)
        r.send(reply(204, X_Number=i))
        assert viewer.status() == 204
    assert replica.connections == 1
    viewer.close()


def test_polls_beside_each_other(open_gate, replica):
    """Twenty on one HTTP/2 connection, answered the other way about."""
    gate = open_gate()
    with h2(gate) as c:
        polls = {f"/poll/{i}": c.open(path=f"/poll/{i}") for i in range(20)}
        ends = []
        for _ in polls:
            r = replica.take()
            ends.append(r)
        until(lambda: len(replica.requests) == 20, "the polls")
        # Which connection got which is told by its answer.
        for r in reversed(ends):
            r.send(reply(200, "news"))
        for s in reversed(polls.values()):
            assert s.read() == b"news"
        assert c.request("/own").body == b"the gate's own"


@EACH
def test_a_poll_that_is_given_up(open_gate, replica, kind):
    """Before there is an answer: the replica learns it."""
    viewer = by(kind, open_gate())
    viewer.get("/poll")
    r = replica.take()
    viewer.leave()
    assert is_over(r)
    viewer.close()


@EACH
def test_a_poll_that_takes_too_long(open_gate, replica, kind):
    """504 after `response_header`, and the client's connection goes on."""
    viewer = by(kind, open_gate("response_header: 200ms"))
    viewer.get("/poll")
    r = replica.take()
    assert viewer.status() == 504
    assert is_over(r)
    viewer.close()


def test_many_viewers(open_gate, replica):
    """Two hundred clients of every kind; each event reaches all before the next one is sent."""
    gate, viewers, ends = open_gate(), [], []
    for i in range(200):
        viewer = by(KINDS[i % 4], gate)
        ends.append(begin(viewer, replica, f"/{i}"))
        viewers.append(viewer)
    for n in range(3):
        for r in ends:
            r.send(chunk(f"data: {n}\n\n"))
        for viewer in viewers:
            assert viewer.event() == f"data: {n}"
    for viewer in viewers:
        viewer.leave()
    sweepers = [threading.Thread(target=is_over, args=(r,)) for r in ends]
    for t in sweepers:
        t.start()
    for t in sweepers:
        t.join(PATIENCE)
    assert not any(t.is_alive() for t in sweepers)
