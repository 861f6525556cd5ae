# SPDX-License-Identifier: Apache-2.0
"""buffer_request: the replica hears of a request when its body is there, or the bound is reached;
slow clients are cut by the usual deadlines; nothing is sent twice or lost."""
import pytest

from h2peer import H2Client, H2Origin
from harness import Gate, Nobody, Origin, read_head, read_message, until
from test_bodies import growth

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0", http2: on } }
    upstreams: { app: { servers: [{servers}] } }
    routes:
      - { match: { path: /direct }, upstream: app }
      - { upstream: app{route} }
    """


def gate_for(origin, servers="", route=", buffer_request: 64KiB, max_body: 10MiB"):
    return Gate(CONFIG, servers=f"'{origin.address}'{servers}", route=route)


def test_the_replica_is_asked_when_the_body_is_there():
    with Origin() as o, gate_for(o) as gate, gate.connect() as peer:
        peer.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        assert gate.request("/direct").status == 200  # by then the other one is known
        assert [r.target for r in o.requests] == ["/direct"] and o.connections == 1
        peer.send("half")
        told = read_message(peer).json
        assert told["body"] == 8 and ["Content-Length", "8"] in told["fields"]
        peer.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        assert read_message(peer).json["body"] == 0


def test_a_chunked_body_gets_a_length():
    """Unless there are trailers."""
    with Origin() as o, gate_for(o) as gate, gate.connect() as peer:
        head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        peer.send(head + "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
        fields = dict(read_message(peer).json["fields"])
        assert fields["Content-Length"] == "5" and "Transfer-Encoding" not in fields
        peer.send(head + "0\r\n\r\n")
        assert read_message(peer).json["body"] == 0
        peer.send(head + "3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n")
        told = read_message(peer).json
        assert told["body"] == 3 and dict(told["trailers"]) == {"X-Sum": "1"}


@pytest.mark.parametrize("size", [64 * 1024 - 1, 64 * 1024, 64 * 1024 + 1, 5 * 1024 * 1024])
def test_a_long_body_streams_from_the_bound_on(size):
    seen = []

    def serve(peer, origin):
        head = read_head(peer)
        left = int(head.get("content-length"))
        while left:
            data = peer.recv(min(left, 65536))
            assert data == b"x" * len(data)
            left -= len(data)
            seen.append(len(data))
        peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with Origin(serve) as o, gate_for(o) as gate, gate.connect() as peer:
        peer.send(f"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
        first = min(size - 1, 64 * 1024)
        peer.send(b"x" * first)
        if first == 64 * 1024:
            until(lambda: sum(seen) == first, "what was held")
        peer.send(b"x" * (size - first))
        assert read_message(peer).body == b"ok" and sum(seen) == size
        assert not o.errors


def test_streams_of_http2_wait_too():
    """Past their window: what is held counts as taken."""
    with Origin() as o, gate_for(o) as gate:
        client = H2Client(gate.connect())
        stream = client.request("/", "POST", body=b"x" * 300000)
        assert stream.json["body"] == 300000
    with Origin() as o, gate_for(o, route=", max_body: 10MiB, buffer_request: 8MiB") as gate:
        with gate.connect() as peer:
            peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000000\r\n\r\n")
            peer.send(b"x" * 4999999)
            assert gate.request("/direct").status == 200 and len(o.requests) == 1
            peer.send(b"x")
            assert read_message(peer).json["body"] == 5000000


def test_expectations_are_met_by_the_gateway():
    with Origin() as o, gate_for(o) as gate, gate.connect() as peer:
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
        assert peer.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        assert not o.requests
        peer.send("body")
        told = read_message(peer).json
        assert told["body"] == 4 and "expect" not in {n.lower() for n, _ in told["fields"]}


def test_clients_that_stop_sending_reach_no_replica():
    with Origin() as o, gate_for(o, route=", buffer_request: 64KiB, timeouts: { body_idle: 200ms }") as gate, \
            gate.connect() as peer:
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        assert read_message(peer).status == 408
        with gate.connect() as other:
            other.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nhalf")
        reasons = {line["reason"] for line in gate.access_lines(2)}
        assert not o.requests and reasons == {"body_timeout", "client_truncated"}


def test_bodies_over_max_body_are_refused_before():
    with Origin() as o, gate_for(o, route=", buffer_request: 64KiB, max_body: 1KiB") as gate, gate.connect() as peer:
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n800\r\n"
                  + "x" * 2048 + "\r\n0\r\n\r\n")
        assert read_message(peer).status == 413 and not o.requests


def test_what_was_held_goes_to_another_replica():
    with Origin() as o, Nobody() as gone, gate_for(o, f", '{gone.address}'") as gate:
        for _ in range(8):
            assert gate.request("/", method="POST", body=b"x" * 60000).json["body"] == 60000


@pytest.mark.parametrize("by_h2", [False, True])
def test_what_was_held_is_let_go_of_with_the_response(by_h2):
    """Memory is for requests that are sending, not for all the time that their answers take."""
    size, peers = 1 << 20, []

    def serve(peer, o):
        while True:
            request = o.read(peer)
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no")
            if request.body:
                assert peer.is_closed()
                return
            peer.send("k")

    def serve_h2(stream):
        body = stream.read()
        stream.head([(":status", "200")])
        stream.send(b"o", end=not body)

    def upload():
        for _ in range(20):
            peers.append(gate.connect())
            peers[-1].send(f"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
            peers[-1].send(b"x" * size)
            assert read_head(peers[-1]).status == 200
    route = ", buffer_request: 1MiB, max_body: 10MiB"
    with (H2Origin(serve_h2) if by_h2 else Origin(serve)) as o:
        config = CONFIG.replace("servers: [{servers}]", "servers: [{servers}]{more}")
        with Gate(config, servers=f"'{o.address}'", route=route,
                  more=", protocol: h2" if by_h2 else "") as gate:
            grown, sanitized = growth(gate, upload)
            assert sanitized or grown < 8 << 20
            for peer in peers:
                peer.reset()
