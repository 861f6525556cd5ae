# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 towards replicas: streams share connections, a connection that ends loses nothing, what
was not begun is tried elsewhere, and who does not speak it is asked in HTTP/1.1."""
import socket
import threading

import pytest

from certs import server
from h2peer import (MAX_CONCURRENT_STREAMS, NOTICE, REFUSED_STREAM, SETTINGS, H2Load, H2Origin,
                    fields_of, frame, h2)
from harness import PATIENCE, Gate, Load, Origin, read_message, until

CONFIG = """
listeners: { http: { address: "127.0.0.1:0", http2: on } }
upstreams: { app: { servers: ["{origin}"]{upstream} } }
routes: [ { upstream: app, max_body: unlimited } ]
"""
OVER_H2 = ", protocol: h2"


@pytest.fixture
def h2_origin():
    with H2Origin() as o:
        yield o


def test_replica_over_h2(h2_origin):
    """From either version of a client: the replica sees HTTP/2 as it should be."""
    with Gate(CONFIG, origin=h2_origin.address, upstream=OVER_H2) as gate:
        with gate.connect() as c:
            c.send("GET /a?b HTTP/1.1\r\nHost: a.example\r\nX-Thing: 1\r\nCookie: a=1; b=2\r\n"
                   "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\n")
            first = read_message(c)
        with h2(gate) as c:
            second = c.request("/a?b", authority="a.example",
                               headers=[("x-thing", "1"), ("cookie", "a=1"), ("cookie", "b=2")])
        for response in first, second:
            seen = fields_of(response)
            assert response.json["start"] == "GET /a?b HTTP/2"
            assert (seen[":authority"], seen[":scheme"]) == ("a.example", "http")
            assert seen["x-thing"] == "1"
            assert {"host", "connection", "x-hop", "keep-alive"} & set(seen) == set()
            assert "; ".join(v for k, v in response.json["fields"] if k == "cookie") == "a=1; b=2"
    assert h2_origin.connections == 1


@pytest.mark.parametrize("version", ["h1", "h2"])
def test_requests_share_a_connection(version):
    """32 at once: all of them run before the first is answered."""
    barrier = threading.Barrier(32)

    def handle(stream):
        if stream.target == "/warm":
            return stream.respond()
        barrier.wait(PATIENCE)
        stream.respond(200, "ok")
    with H2Origin(handle) as o, Gate(CONFIG, origin=o.address, upstream=OVER_H2) as gate:
        assert gate.request("/warm").status == 200
        if version == "h2":
            with h2(gate) as c:
                streams = [c.open(path="/all") for _ in range(32)]
                assert [s.done().status for s in streams] == [200] * 32
        else:
            peers = [gate.connect() for _ in range(32)]
            for p in peers:
                p.send("GET /all HTTP/1.1\r\nHost: a\r\n\r\n")
            assert [read_message(p).status for p in peers] == [200] * 32
            for p in peers:
                p.close()
        assert o.connections <= 2
        assert gate.metric("wharfgate_upstream_retries_total") == 0


def test_cold_burst_takes_few_connections(h2_origin):
    """32 at once where there is no connection yet."""
    with Gate(CONFIG, origin=h2_origin.address, upstream=OVER_H2) as gate, h2(gate) as c:
        streams = [c.open(path=f"/{i}") for i in range(32)]
        assert [s.done().status for s in streams] == [200] * 32
        assert h2_origin.connections <= 4


def test_replica_with_few_streams():
    """SETTINGS_MAX_CONCURRENT_STREAMS 2: more connections, and never a third stream on one."""
    barrier = threading.Barrier(10)

    def handle(stream):
        if stream.target == "/all":
            barrier.wait(PATIENCE)
        stream.respond(200, "ok")
    with H2Origin(handle, {MAX_CONCURRENT_STREAMS: 2}) as o, \
            Gate(CONFIG, origin=o.address, upstream=OVER_H2) as gate, h2(gate) as c:
        assert c.request("/warm").status == 200
        streams = [c.open("POST", "/all") for _ in range(10)]
        assert [s.done().status for s in streams] == [200] * 10
        assert o.connections >= 5 and max(w.most_open for w in o.wires) == 2
        assert len([r for r in o.requests if r.target == "/all"]) == 10


@pytest.mark.parametrize("with_notice", [False, True])
def test_goaway_of_the_replica_loses_nothing(with_notice):
    """Every ten requests it says goodbye; streams behind its last one are asked elsewhere, and
    those before are answered. POST too: nothing was done."""
    def handle(stream):
        wire = stream.wire
        with wire.lock:
            if len(wire.streams) >= 10 and wire.last is None:
                if with_notice:
                    wire.send_goaway(NOTICE)
                wire.stop_after(max(wire.streams.values(), key=lambda s: s.id))
        stream.respond(200, stream.read())
    with H2Origin(handle) as o, Gate(CONFIG, origin=o.address, upstream=OVER_H2) as gate, \
            h2(gate) as c:
        for turn in range(10):
            streams = [c.open("POST", end=False) for i in range(16)]
            for i, s in enumerate(streams):
                s.send(f"{turn}-{i}", end=True)
            for i, s in enumerate(streams):
                assert (s.done().status, bytes(s.body)) == (200, f"{turn}-{i}".encode())
        assert len(o.requests) == 160
        assert 5 <= o.connections <= 40


def test_refused_stream_is_tried_elsewhere():
    """REFUSED_STREAM promises that nothing was done: POST goes to the other replica, too."""
    with H2Origin(lambda s: s.reset(REFUSED_STREAM), name="a") as a, H2Origin(name="b") as b, \
            Gate("""
        listeners: { http: { address: "127.0.0.1:0", http2: on } }
        upstreams: { app: { servers: ["{a}", "{b}"], balance: round_robin, protocol: h2 } }
        routes: [ { upstream: app } ]
        """, a=a.address, b=b.address) as gate, h2(gate) as c:
        for i in range(10):
            response = c.request("/", "POST", body=b"x" * 100)
            assert (response.status, response.json["origin"]) == (200, "b")
            assert gate.request(method="POST", body=b"x").json["origin"] == "b"
        assert a.requests and len(b.requests) == 20


def test_refused_by_the_only_replica(h2_origin):
    with H2Origin(lambda s: s.reset(REFUSED_STREAM)) as o, \
            Gate(CONFIG, origin=o.address, upstream=OVER_H2) as gate, h2(gate) as c:
        assert c.request().status in (502, 503)
        assert c.goaway is None and len(o.requests) <= 4


def test_replica_closes_an_idle_connection():
    """With and without GOAWAY, between two requests, or as the next one comes: nobody notices."""
    def handle(stream):
        wire = stream.wire
        with wire.lock:
            wire.last = stream.id  # what comes now is not looked at
        stream.respond(200, "ok")
        if stream.target == "/goaway":
            wire.stop_after(stream)
        wire.peer.sock.shutdown(socket.SHUT_RDWR)
    with H2Origin(handle) as o, Gate(CONFIG, origin=o.address, upstream=OVER_H2) as gate, \
            h2(gate) as c:
        for i in range(20):
            assert c.request("/goaway" if i % 2 else "/").status == 200
        assert c.goaway is None and len(o.requests) == 20


@pytest.mark.parametrize("answer", ["whole", "reset", "goaway"])
def test_first_answer_together_with_settings(answer):
    """On a new connection, all in one packet: it is idle once, and not twice."""
    def handle(stream):
        wire = stream.wire
        if answer == "reset":
            stream.reset(REFUSED_STREAM)
        else:
            stream.respond(200, "ok")
        if answer == "goaway":
            wire.stop_after(stream)
        wire.release()
        wire.peer.sock.shutdown(socket.SHUT_RDWR)
    with H2Origin(handle, is_held=True) as o, \
            Gate(CONFIG, origin=o.address, upstream=OVER_H2 + ", retries: 0") as gate, \
            h2(gate) as c:
        for i in range(5):
            assert c.request().status == (200 if answer != "reset" else 502)
            until(lambda: gate.metric("wharfgate_upstream_connections_active") == 0, "its end")
            assert gate.metric("wharfgate_upstream_connections_idle") == 0
        assert o.connections >= 5 and c.goaway is None


@pytest.mark.parametrize("data", [b"", frame(SETTINGS), b"HTTP/1.1 400 Bad Request\r\n\r\n"])
def test_burst_to_a_replica_that_leaves(data):
    """Many wait for the first connection, which ends, with or without a word: each is told."""
    def serve(peer, o):
        peer.recv()
        peer.send(data)
    with Origin(serve) as o, \
            Gate(CONFIG, origin=o.address, upstream=OVER_H2 + ", retries: 0") as gate, \
            h2(gate) as c:
        streams = [c.open("POST") for _ in range(16)]
        assert [s.done().status for s in streams] == [502] * 16
        until(lambda: gate.metric("wharfgate_upstream_connections_active") == 0, "their end")


@pytest.mark.parametrize("count", [1, 10])
def test_burst_whose_first_answer_comes_with_settings(count):
    """Those who waited take the connection, which then is not idle: GOAWAY ends it after them."""
    barrier, begun = threading.Barrier(count), []

    def handle(stream):
        wire = stream.wire
        if not begun:
            begun.append(stream)
            stream.respond(200, "first")
            wire.release()
            return
        with wire.lock:
            begun.append(stream)
            if len(begun) == count + 1:
                wire.stop_after(max(wire.streams.values(), key=lambda s: s.id))
        barrier.wait(PATIENCE)
        wire.settle()
        stream.respond(200, "ok")
    with H2Origin(handle, is_held=True) as o, \
            Gate(CONFIG, origin=o.address, upstream=OVER_H2 + ", retries: 0") as gate, \
            h2(gate) as c:
        streams = [c.open("POST") for _ in range(count + 1)]
        assert [s.done().status for s in streams] == [200] * (count + 1)


def test_replica_breaks_with_many_streams():
    """Each stream has its own answer: what is idempotent is asked again, POST is 502."""
    barrier = threading.Barrier(8)
    broke = []

    def handle(stream):
        if not broke:
            barrier.wait(PATIENCE)
            broke.append(True)
            stream.wire.peer.sock.shutdown(socket.SHUT_RDWR)
            return
        stream.respond(200, "ok")
    with H2Origin(handle) as o, Gate(CONFIG, origin=o.address, upstream=OVER_H2) as gate, \
            h2(gate) as c:
        gets = [c.open() for _ in range(4)]
        posts = [c.open("POST") for _ in range(4)]
        assert {s.done().status for s in posts} == {502}
        assert {s.done().status for s in gets} <= {200, 502}
        assert c.request().status == 200 and c.goaway is None


def test_connection_of_a_stream_that_timed_out_takes_no_more():
    """It may be dead silently."""
    def handle(stream):
        if stream.target == "/hang":
            stream.wait(lambda: False, "the reset")
        stream.respond(200, "ok")
    config = CONFIG + "timeouts: { response_header: 300ms }\n"
    upstream = OVER_H2 + ", retries: 0"
    with H2Origin(handle) as o, Gate(config, origin=o.address, upstream=upstream) as gate, \
            h2(gate) as c:
        assert c.request("/").status == 200
        assert c.request("/hang").status == 504
        assert c.request("/").status == 200
        assert o.connections == 2
        until(lambda: any(r.reset_code is not None or r.is_gone for r in o.requests
                          if r.target == "/hang"), "the stream's reset")


TLS_UPSTREAM = ", tls: { verify: false }"


@pytest.mark.parametrize("protocol, offers, seen", [
    ("auto", ["h2", "http/1.1"], "HTTP/2"), ("auto", ["http/1.1"], "HTTP/1.1"),
    ("auto", [], "HTTP/1.1"), ("h2", ["h2"], "HTTP/2"), ("h1", ["h2", "http/1.1"], "HTTP/1.1"),
    ("h2", ["http/1.1"], None)])
def test_protocol_towards_replicas_with_tls(cert, protocol, offers, seen):
    """`auto` takes what the replica chooses; `h2` takes nothing else."""
    context = server(cert)
    context.set_alpn_protocols(offers)
    upstream = f"{TLS_UPSTREAM}, protocol: {protocol}"
    with H2Origin(tls=context) as o, Gate(CONFIG, origin=o.address, upstream=upstream) as gate, \
            h2(gate) as c:
        for _ in range(3):
            response = c.request("/a")
            if seen:
                assert response.json["start"] == f"GET /a {seen}"
            else:
                assert response.status == 502
        if seen == "HTTP/2":
            streams = [c.open(path=f"/{i}") for i in range(16)]
            assert [s.done().status for s in streams] == [200] * 16
            assert o.connections == 1
            assert fields_of(c.request("/"))[":scheme"] in ("http", "https")


@pytest.mark.parametrize("protocol", ["auto", "h1"])
def test_protocol_in_the_clear_is_http_1(origin, protocol):
    with Gate(CONFIG, origin=origin.address, upstream=f", protocol: {protocol}") as gate:
        assert gate.request("/a").json["start"] == "GET /a HTTP/1.1"


def test_load_over_both(h2_origin):
    """Clients of both versions, one h2 replica: no failure, few connections."""
    with Gate(CONFIG, origin=h2_origin.address, upstream=OVER_H2) as gate, \
            H2Load(gate, 4) as many, Load(gate, 4) as old:
        many.progress(50)
        old.progress(50)
        assert h2_origin.connections <= 4


def test_replica_without_tunnels_is_not_sick():
    """A WebSocket to it is refused, which is no failure of the replica's."""
    with H2Origin() as o, Gate(CONFIG, origin=o.address, upstream=OVER_H2) as gate:
        for _ in range(3):
            answer = gate.request(headers={"Connection": "Upgrade", "Upgrade": "websocket",
                                           "Sec-WebSocket-Version": "13",
                                           "Sec-WebSocket-Key": "MDEyMzQ1Njc4OWFiY2RlZg=="})
            assert answer.status == 502
        assert gate.access_lines(3)[0]["reason"] == "upgrade_unsupported"
        assert gate.metric("wharfgate_endpoint_failures_in_a_row") == 0
        assert "takes no WebSocket over it" in gate.errors()


def test_the_log_says_who_speaks_http_2():
    """At the start, by listener."""
    with H2Origin() as o, Gate(f"""
        listeners:
          a: {{ address: "127.0.0.1:0" }}
          b: {{ address: "127.0.0.1:0", http2: on }}
          c: {{ address: "127.0.0.1:0", tls: {{ self_signed: true }} }}
          d: {{ address: "127.0.0.1:0", http2: off, tls: {{ self_signed: true }} }}
        upstreams: {{ app: {{ servers: ["{o.address}"] }} }}
        routes: [ {{ upstream: app }} ]
        """) as gate:
        said = [line.rsplit(" on ", 1)[1].partition(" ")[2]
                for line in gate.errors().splitlines() if "listening: " in line][:4]
        assert said == ["", "(HTTP/2)", "(TLS, HTTP/2)", "(TLS)"]
