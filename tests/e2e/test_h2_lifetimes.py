# SPDX-License-Identifier: Apache-2.0
"""Ends that meet other ends, and who gets how much: what a hostile review of HTTP/2 found. Answers
that leave in one turn, tunnels that are cut at bad moments, replicas that take nothing, streams
that share a window. Whatever happens, the worker is the same one afterwards, and serves."""
import base64
import contextlib
import itertools
import os
import queue
import socket
import struct
import threading
import time

import pytest

from h2peer import (END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, GOAWAY, HEADERS,
                    INITIAL_WINDOW_SIZE, MAX_CONCURRENT_STREAMS, PREFACE, SETTINGS, WINDOW_UPDATE,
                    H2Client, H2Origin, frame, h2)
from harness import PATIENCE, Gate, Origin, Peer, read_head, read_message, reply, until
from test_websocket import SWITCH, Replica, ask, tunnels_are, wait_for
from test_websocket_h2 import ENABLE_CONNECT_PROTOCOL, connect, status

CONFIG = """
listeners: { http: { address: "127.0.0.1:0", http2: on } }
upstreams: { app: { servers: ["{origin}"]{upstream} } }
{timeouts}
routes:
  - { match: { path: /own }, respond: { body: own } }
  - { upstream: app, upgrade: any, max_body: unlimited }
"""
OVER_H2 = ", protocol: h2"
ONCE = OVER_H2 + ", retries: 0"
WIDE = {INITIAL_WINDOW_SIZE: 1 << 30}  # the connection's window is all that bounds
TURN = 32 << 10                        # bytes of a stream, before it is the next one's turn
GRANT = 16 << 10


@contextlib.contextmanager
def gate_to(origin, upstream="", timeouts=""):
    """A gate whose worker outlives what is done to it."""
    timeouts = timeouts and f"timeouts: {{ {timeouts} }}"
    address = origin.address if origin else "127.0.0.1:1"
    with Gate(CONFIG, origin=address, upstream=upstream, timeouts=timeouts) as gate:
        pid = gate.worker_pid
        yield gate
        assert gate.request("/own").body == b"own"
        assert gate.worker_pid == pid and os.path.exists(f"/proc/{pid}")


class Streams(H2Origin):
    """Hands each stream to the test."""

    def __init__(self, *args, **kw):
        self.handed = queue.Queue()
        super().__init__(self.handed.put, *args, **kw)

    def take(self):
        return self.handed.get(timeout=PATIENCE)

    def take_of(self, target):
        stream = self.take()
        assert stream.target == target
        return stream


@contextlib.contextmanager
def at_once(wire):
    """What is sent meanwhile leaves in one piece."""
    with wire.lock:
        wire.held = bytearray()
        yield
        data, wire.held = bytes(wire.held), None
        wire.raw(data)


def word(value):
    return struct.pack(">L", value)


def active(gate, count):
    """Waits until so many requests run, besides the one that asks."""
    until(lambda: gate.metric("wharfgate_requests_active") == count + 1, f"{count} requests")


def warm(client, origin):
    """The replica's connection stands, and is shared from now on."""
    s = client.open(path="/warm")
    mine = origin.take_of("/warm")
    mine.respond()
    assert s.done().status == 200
    return mine.wire


# ---- Answers that leave together ----

def cpu_ticks(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def comes_to_rest(gate):
    """Waits for a tenth of a second in which the worker does next to nothing."""
    def rests():
        before = cpu_ticks(gate.worker_pid)
        wait_for(0.1)
        return cpu_ticks(gate.worker_pid) - before < os.sysconf("SC_CLK_TCK") * 0.1 / 3
    until(rests, "a worker that rests")


def test_head_behind_a_goaway():
    """In one packet, answered by the gate itself: that answer is the connection's last."""
    with gate_to(None) as gate, h2(gate) as c:
        c.settle()
        with at_once(c):
            c.send_goaway()
            s = c.open("HEAD", "/own")
        assert s.done().status == 200 and s.is_ended
        c.ended()


GRPC_ERROR = (200, b"", [("content-type", "application/grpc"), ("grpc-status", "14")])


@pytest.mark.parametrize("second", [(204,), GRPC_ERROR], ids=["204", "trailers-only"])
@pytest.mark.parametrize("clients", [1, 2])
def test_answers_before_the_requests_end_in_one_turn(clients, second):
    """The first has no body, so that the stream is reset behind it."""
    with Streams() as o, gate_to(o, OVER_H2) as gate, \
            contextlib.ExitStack() as stack:
        mine = [stack.enter_context(h2(gate)) for _ in range(clients)]
        warm(mine[0], o)
        for _ in range(5):
            streams = [mine[i % clients].open("POST", end=False) for i in range(2)]
            theirs = [o.take() for _ in streams]
            with at_once(theirs[0].wire):
                for s, answer in zip(theirs, (GRPC_ERROR, second)):
                    s.respond(*answer)
            for s in streams:
                assert s.done().is_ended and s.status in (200, 204)
            assert gate.request("/own", "HEAD").status == 200
        assert o.connections == 1
        comes_to_rest(gate)


def test_answers_of_two_replicas_in_one_turn():
    """204 to a request that has not ended, and a large answer: by HTTP/1, as it happens."""
    barrier = threading.Barrier(2)

    def serve(peer, _):
        while True:
            is_post = read_head(peer).method == "POST"
            barrier.wait(PATIENCE)
            if is_post:
                peer.send("HTTP/1.1 204 No\r\nConnection: close\r\n\r\n")
                return
            peer.send(reply(200, b"y" * 40000))
    with Origin(serve) as o, gate_to(o) as gate:
        for _ in range(100):
            with h2(gate) as c:
                a, b = c.open("POST", end=False), c.open()
                assert a.done().status == 204 and a.is_ended
                assert b.done().status == 200 and len(b.body) == 40000
        comes_to_rest(gate)


# ---- Tunnels ----

@pytest.mark.parametrize("version", ["h1", "h2"])
@pytest.mark.parametrize("size", [3000, 40000])
def test_bytes_before_the_tunnel_stands(size, version):
    """They arrive unchanged, and before those that come behind the answer."""
    early, late = (b"".join(word(i) for i in range(start, start + size // 4))
                   for start in (0, size // 4))
    with (Replica() if version == "h1" else Streams({ENABLE_CONNECT_PROTOCOL: 1})) as o, \
            gate_to(o, f", protocol: {version}") as gate, h2(gate) as c:
        for _ in range(3):
            s = connect(c, protocol="foo").send(early)
            r = o.take()
            c.settle()
            if version == "h1":
                r.send(SWITCH)
            else:
                r.inform(200)
            s.send(late)
            assert status(s) == 200
            if version == "h1":
                seen = r.read_exactly(2 * size)
            else:
                r.wait(lambda r=r: len(r.body) >= 2 * size, "the bytes")
                seen = bytes(r.body)
            assert seen == early + late
            s.reset()


def fill(peer):
    """A large answer, sent until nothing goes any more."""
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
    peer.sock.settimeout(0.25)
    with pytest.raises(TimeoutError):
        while True:
            peer.send(b"y" * 65536)


def test_abort_with_early_bytes_on_their_way():
    """The client takes nothing, has sent bytes of the tunnel before the 101 came, and is gone; the
    replica goes on sending."""
    with Replica() as o, gate_to(o) as gate:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(gate.address("http"))
        c = H2Client(Peer(sock), settings=WIDE)
        c.window_update(1 << 30)
        connect(c, protocol="foo").send(b"x" * 10)
        r = o.take()
        c.open(path="/big")
        fill(o.take())
        r.send(SWITCH)
        tunnels_are(gate, 1)
        c.peer.reset()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            for _ in range(20):
                r.send(b"z" * 1000)
        tunnels_are(gate, 0)
        active(gate, 0)


@pytest.mark.parametrize("how", ["reset-h1", "idle-h1", "reset-h2-stream", "reset-h2-connection"])
def test_a_cut_tunnel_is_no_clean_end(how):
    """The replica must not take half of it for the whole."""
    timeouts = f"tunnel_idle: {'300ms' if 'idle' in how else '60s'}"
    with Replica() as o, gate_to(o, timeouts=timeouts) as gate:
        if how.endswith("h1"):
            c = gate.connect()
            c.send(ask())
        else:
            c = h2(gate)
            s = connect(c, protocol="foo")
        with c:
            r = o.take()
            r.send(SWITCH)
            if how.endswith("h1"):
                assert read_head(c).status == 101
                c.send("half")
            else:
                assert status(s) == 200
                s.send("half")
            assert r.read_exactly(4) == b"half"
            if how == "reset-h2-stream":
                s.reset()
            elif how == "reset-h2-connection":
                c.peer.reset()
            elif how == "reset-h1":
                c.reset()
            with pytest.raises(ConnectionResetError):
                r.recv()
        tunnels_are(gate, 0)


def test_refused_tunnels_leave_nothing():
    """128 extended CONNECTs whose client says no more than that: the next request has room."""
    def serve(peer, o):
        while True:
            is_plain = o.read(peer).target == "/plain"
            peer.send(reply(200 if is_plain else 403, "no"))
    with Origin(serve) as o, gate_to(o) as gate, h2(gate) as c:
        for _ in range(128):
            s = connect(c, protocol="foo")
            assert s.done().status == 403 and s.is_ended
        assert c.request("/plain").status == 200 and c.goaway is None


# ---- Replicas that take little, or nothing ----

def is_told(peer):
    """Waits for the answer of those that cannot be served."""
    return read_message(peer).status in (502, 503, 504)


GET = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
WEBSOCKET = ask("websocket", more="Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n" %
                base64.b64encode(bytes(16)).decode())


def test_replica_that_takes_no_stream():
    """A few connections are tried, not one after another as fast as they come."""
    none = {MAX_CONCURRENT_STREAMS: 0, ENABLE_CONNECT_PROTOCOL: 1}
    with H2Origin(settings=none) as o, gate_to(o, ONCE) as gate, \
            contextlib.ExitStack() as stack:
        peers = [stack.enter_context(gate.connect()) for _ in range(4)]
        for p in peers:
            p.send(WEBSOCKET)
        assert all(is_told(p) for p in peers)
        assert o.connections <= 16 and not o.requests


@pytest.mark.parametrize("is_warm", [True, False])
def test_many_requests_to_a_replica_with_few_streams(is_warm):
    """32 at once, two a connection: as many connections as that takes. All of them run before the
    first is answered."""
    barrier = threading.Barrier(32)

    def handle(stream):
        if stream.target != "/warm":
            barrier.wait(PATIENCE)
        stream.respond(200, "ok")
    with H2Origin(handle, {MAX_CONCURRENT_STREAMS: 2}) as o, gate_to(o, OVER_H2) as gate, \
            h2(gate) as c:
        if is_warm:
            assert c.request("/warm").status == 200
        streams = [c.open() for _ in range(32)]
        assert [s.done().status for s in streams] == [200] * 32
        assert 16 <= o.connections <= 20 and max(w.most_open for w in o.wires) <= 2


class Silence(Origin):
    """Accepts connections, and hands each to the test."""

    def __init__(self):
        self.handed, self.done = queue.Queue(), threading.Event()
        super().__init__(self.hand_over)

    def hand_over(self, peer, _):
        self.handed.put(peer)
        self.done.wait(120)

    def take(self):
        peer = self.handed.get(timeout=PATIENCE)
        peer.read_exactly(len(PREFACE))
        return peer

    def __exit__(self, *args):
        self.done.set()
        super().__exit__(*args)


def test_connect_deadline_of_a_replica_that_says_nothing():
    """It accepts, and that is all; the request's stream is open already."""
    with Silence() as o, gate_to(o, ONCE, "connect: 200ms, response_header: 600ms") as gate, \
            gate.connect() as c:
        began = time.monotonic()
        c.send(GET)
        assert is_told(c)
        assert time.monotonic() - began < 0.6 + PATIENCE / 5
        until(lambda: gate.metric("wharfgate_upstream_connections_active") == 0, "its end")


@pytest.mark.parametrize("how", ["silence", "first-leaves", "fin", "half-close", "goaway"])
def test_who_waits_for_a_connection_that_comes_to_nothing(how):
    """One has its stream on it, the other waits for it to settle: both are told, and in time."""
    timeouts = "connect: 300ms, response_header: 600ms, upstream_keep_alive: 200ms"
    with Silence() as o, gate_to(o, ONCE, timeouts) as gate, \
            gate.connect() as first, gate.connect() as second:
        first.send(GET)
        replica = o.take()
        second.send(GET)
        active(gate, 2)
        began = time.monotonic()
        if how == "first-leaves":
            first.reset()
        elif how == "fin":
            replica.sock.shutdown(socket.SHUT_RDWR)
        elif how == "half-close":
            replica.sock.shutdown(socket.SHUT_WR)
        elif how == "goaway":
            replica.send(frame(SETTINGS) + frame(GOAWAY, 0, 0, word(0) + word(0)))
        assert is_told(second)
        assert how == "first-leaves" or is_told(first)
        assert time.monotonic() - began < 2 * 0.6 + PATIENCE / 5
        active(gate, 0)


def test_connection_whose_first_request_left_before_settings():
    """Another one waited for it and takes it: it is not idle, and the pool does not close it."""
    with Streams(is_held=True) as o, \
            gate_to(o, ONCE, "upstream_keep_alive: 200ms, response_idle: 30s") as gate, \
            h2(gate) as c, h2(gate) as d:
        a = c.open(path="/a")
        first = o.take_of("/a")
        b = d.open(path="/b")
        active(gate, 2)
        a.reset()
        active(gate, 1)
        first.wire.release()
        mine = o.take_of("/b").inform(200)
        began = time.monotonic()
        for i in itertools.count(1):
            mine.send(b"d" * 10)
            b.wait(lambda i=i: len(b.body) == i * 10, "a piece")
            if time.monotonic() > began + 0.5:
                break
        mine.end()
        assert b.done().is_ended and o.connections == 1


def test_no_authority_no_field():
    """HTTP/1.0 without Host: an empty `:authority` is malformed, one that is not there is none."""
    with H2Origin() as o, gate_to(o, OVER_H2) as gate:
        assert gate.raw("GET /x HTTP/1.0\r\n\r\n").status == 200
        assert o.requests[0].target == "/x"
        assert "" not in o.requests[0].get_all(":authority") + o.requests[0].get_all("host")


# ---- Windows ----

def together(counts, size):
    """None is far behind another: what is on its way, a turn and a little."""
    return max(counts) - min(counts) <= 3 * TURN or min(counts) == size


def test_downloads_take_turns():
    """Eight of 300 kB on a connection whose window opens by small steps."""
    size, sent = 300000, []

    def serve(peer, _):
        while True:
            target = read_head(peer).target
            peer.send(reply(200, b"y" * (65535 if target == "/first" else size)))
            sent.append(target)
    with Origin(serve) as o, gate_to(o) as gate, h2(gate, settings=WIDE, windows=False) as c:
        assert len(c.request("/first").body) == 65535 and c.room == 0
        streams = [c.open() for _ in range(8)]
        until(lambda: len(sent) == 9, "all that the replicas say")
        for s in streams:
            s.has_head()
        c.settle()
        left = 8 * size
        while left:
            step = min(left, GRANT)
            c.window_update(step)
            c.wait(lambda: c.room == 0, "what was granted")
            left -= step
            assert together([len(s.body) for s in streams], size)
        assert all(s.done().is_ended for s in streams)


def test_uploads_of_two_clients_take_turns():
    """To one replica over one connection, whose window opens by small steps."""
    size = 300000

    def upload(peer):
        with contextlib.suppress(OSError):
            peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            peer.send(b"u" * size)
    with Streams(WIDE) as o, gate_to(o, OVER_H2) as gate, h2(gate) as c:
        wire = warm(c, o)
        wire.windows = False
        peers = [gate.connect() for _ in range(2)]
        senders = [threading.Thread(target=upload, args=(p,)) for p in peers]
        senders[0].start()
        first = o.take()
        wire.wait(lambda: wire.room == 0, "the first one's bytes")
        senders[1].start()
        streams, begun, left = [first, o.take()], len(first.body), 2 * size - 65535
        for t in senders:
            t.join(PATIENCE)
        c.settle()
        while left:
            step = min(left, GRANT)
            wire.window_update(step)
            wire.wait(lambda: wire.room == 0, "what was granted")
            left -= step
            a, b = (len(s.body) for s in streams)
            assert together([a - begun, b], size - begun)
        for s, p in zip(streams, peers):
            assert len(s.read()) == size
            s.respond(200, "ok")
            assert read_message(p).status == 200
            p.close()
        assert o.connections == 1


LARGE = 16 << 20


def test_client_that_opens_windows_by_four_kibibytes():
    """As Go's does behind a small reader: two WINDOW_UPDATEs each time, and no flood."""
    def serve(peer, _):
        read_head(peer)
        peer.send(reply(200, b"y" * LARGE))
    with Origin(serve) as o, gate_to(o) as gate, \
            h2(gate, settings={INITIAL_WINDOW_SIZE: 4 << 20}, windows=False) as c:
        c.window_update(4 << 20)
        s, given = c.open(), 0
        while not s.is_ended and not c.is_over:
            c.read()
            count = (len(s.body) - given) // 4096
            given += count * 4096
            c.room += count * 4096
            s.room += count * 4096
            c.raw((frame(WINDOW_UPDATE, 0, 0, word(4096)) +
                   frame(WINDOW_UPDATE, 0, s.id, word(4096))) * count)
        assert len(s.body) == LARGE and c.goaway is None


def test_replica_that_opens_windows_by_four_kibibytes():
    """The other side of it."""
    with Streams({INITIAL_WINDOW_SIZE: 4 << 20}) as o, gate_to(o, OVER_H2) as gate, h2(gate) as c:
        wire = warm(c, o)
        wire.windows = False
        wire.window_update(4 << 20)
        answers = []
        client = threading.Thread(
            target=lambda: answers.append(gate.request("/", "POST", body=b"u" * LARGE)))
        client.start()
        s, given = o.take(), 0
        while not s.is_ended:
            s.wait(lambda: len(s.body) >= given + 4096 or s.is_ended, "more")
            count = (len(s.body) - given) // 4096
            given += count * 4096
            with at_once(wire):
                for _ in range(count):
                    wire.window_update(4096)
                    s.give_back(4096)
        s.respond(200, str(len(s.body)))
        client.join()
        assert (answers[0].status, answers[0].body) == (200, b"%d" % LARGE)
        assert wire.goaway is None and o.connections == 1


def test_flood_of_heads_on_closed_streams():
    """They open nothing, and cost the gate their decoding: the connection ends, with the reason."""
    piece = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x82")
    with gate_to(None) as gate, h2(gate) as c:
        assert c.request("/own").status == 200
        c.settle()
        c.by_hand = True
        sent = c.pour(itertools.repeat(piece, 20000))
        assert c.ended() == ENHANCE_YOUR_CALM, sent
        assert "closed_stream_flood" in gate.errors()
        assert gate.metric("wharfgate_connections_abusive_total") == 1
