# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 through the gate: what arrives, what comes back, what stays open."""
import json
import os
import pathlib
import signal
import socket
import threading
import time

import pytest

from harness import Gate, Origin, Peer, read_head, read_message, reply, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
upstreams:
  app: { servers: ["{origin}"] }
routes:
  - { upstream: app }
"""


@pytest.fixture
def gate(origin):
    with Gate(CONFIG, origin=origin.address) as g:
        yield g


def test_round_robin_alternates():
    """Two replicas take turns."""
    with Origin(name="a") as a, Origin(name="b") as b, Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{a}", "{b}"], balance: round_robin } }
        routes: [ { upstream: app } ]
        """, a=a.address, b=b.address) as gate:
        seen = [gate.request().json["origin"] for _ in range(6)]
        assert seen in (["a", "b"] * 3, ["b", "a"] * 3)


def test_keep_alive_both_sides(gate, origin):
    """Many requests, one connection on either side."""
    with gate.connect() as c:
        for i in range(20):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).json["start"] == f"GET /{i} HTTP/1.1"
    assert origin.connections == 1


def is_stopped(pid):
    """A signal is told to the threads one after the other."""
    tasks = pathlib.Path(f"/proc/{pid}/task").iterdir()
    return all((t / "stat").read_text().rpartition(")")[2].split()[0] == "T" for t in tasks)


def test_post_avoids_a_connection_that_has_just_ended():
    """A POST that comes in the same turn as the end of the idle connection, and before it, goes over a new
    one: on the old one it would be lost, since nobody may send it again."""
    idle = []

    def serve(peer, origin):
        idle.append(peer)
        Origin.echo(peer, origin)

    with Origin(serve) as origin, Gate("""
            listeners: { http: { address: "127.0.0.1:0" } }
            upstreams: { app: { servers: ["{app}"] } }
            routes: [ { upstream: app } ]
            """, app=origin.address) as gate, gate.connect() as c:
        c.send("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c).status == 200
        os.kill(gate.worker_pid, signal.SIGSTOP)
        until(lambda: is_stopped(gate.worker_pid), "all of its threads to stand still")
        c.send("POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        idle[0].sock.shutdown(socket.SHUT_RDWR)
        os.kill(gate.worker_pid, signal.SIGCONT)
        assert read_message(c).json["start"] == "POST /2 HTTP/1.1"
        assert origin.connections == 2


def test_connections_leave_no_local_ports_behind():
    """Towards replicas that are connected to again and again: each in TIME_WAIT would keep a port for a minute,
    and in the end there is none left."""
    with Origin() as origin, Gate("""
            listeners: { http: { address: "127.0.0.1:0" } }
            upstreams: { app: { servers: ["{app}"], keep_alive_connections: 0 } }
            routes: [ { upstream: app } ]
            """, app=origin.address) as gate, gate.connect() as c:
        for i in range(20):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == 200
        lines = [line.split() for line in pathlib.Path("/proc/net/tcp").read_text().splitlines()[1:]]
        waiting = [x for x in lines if x[2].endswith(f":{origin.port:04X}") and x[3] == "06"]
        assert origin.connections == 20 and not waiting


def test_pipelined_requests_are_answered_in_order(gate):
    with gate.connect() as c:
        c.send("".join(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(50)))
        for i in range(50):
            assert read_message(c).json["start"] == f"GET /{i} HTTP/1.1"


def test_pipelined_bodies(gate):
    with gate.connect() as c:
        c.send("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
               "POST /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
               "GET /c HTTP/1.1\r\nHost: a\r\n\r\n")
        assert [read_message(c).json["body"] for _ in range(3)] == [5, 3, 0]


def test_chunked_both_ways_with_trailers(origin):
    """Trailers of the request reach the replica; those of the response the client that asks."""
    def serve(peer, o):
        o.read(peer)
        peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                  "5\r\nhello\r\n6\r\n world\r\n0\r\nX-Sum: 42\r\n\r\n")
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\n"
               "Transfer-Encoding: chunked\r\n\r\n"
               "4;ext=1\r\nbody\r\n0\r\nX-Check: yes\r\n\r\n")
        response = read_message(c)
        assert response.body == b"hello world"
        assert response.trailers == [("X-Sum", "42")]
        assert o.requests[0].body == b"body"
        assert o.requests[0].trailers == [("X-Check", "yes")]


def test_expect_continue(gate, origin):
    """The replica's 100 is passed on before the body is sent."""
    def serve(peer, o):
        head = read_head(peer)
        assert head.get("expect") == "100-continue"
        peer.send("HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(reply(200, peer.read_exactly(5)))
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as g, g.connect() as c:
        c.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        assert read_head(c).status == 100
        c.send("hello")
        assert read_message(c).body == b"hello"


def test_expect_is_refused_at_once_when_too_large(origin):
    with Gate(CONFIG + "defaults: { max_body: 10 }", origin=origin.address) as gate, \
            gate.connect() as c:
        c.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\nExpect: 100-continue\r\n\r\n")
        assert read_message(c).status == 413
        assert origin.connections == 0


def test_head_204_304_have_no_body():
    def serve(peer, o):
        while True:
            request = o.read(peer)
            if request.method == "HEAD":
                peer.send("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            elif request.target == "/204":
                peer.send("HTTP/1.1 204 No Content\r\n\r\n")
            else:
                peer.send('HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 77\r\n\r\n')
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c, has_body=False).get("content-length") == "1000"
        c.send("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c).status == 204
        c.send("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c).get("etag") == '"x"'
        assert o.connections == 1


def test_interim_responses_pass():
    """103 Early Hints reach an HTTP/1.1 client, not an HTTP/1.0 one."""
    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send("HTTP/1.1 103 Early Hints\r\nLink: </x.css>; rel=preload\r\n\r\n" +
                      reply(200, "done").decode())
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate:
        with gate.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == 103
            assert read_message(c).body == b"done"
        with gate.connect() as c:
            c.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n")
            assert read_message(c).body == b"done"


def test_absolute_form_and_asterisk(gate):
    with gate.connect() as c:
        c.send("GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n")
        seen = read_message(c).json
        assert seen["start"] == "GET /x?y HTTP/1.1"
        assert ["Host", "a.example"] in seen["fields"]
        c.send("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c).json["start"] == "OPTIONS * HTTP/1.1"


def test_connect_is_refused(gate, origin):
    with gate.connect() as c:
        c.send("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n")
        assert read_message(c).status in (405, 501)
    assert origin.connections == 0


def test_http_1_0_client(gate):
    """Closed after the answer, unless it asks to be kept."""
    with gate.connect() as c:
        c.send("GET / HTTP/1.0\r\n\r\n")
        assert read_message(c).status == 200
        assert c.is_closed()
    with gate.connect() as c:
        for _ in range(2):
            c.send("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n")
            response = read_message(c)
            assert response.get("connection").lower() == "keep-alive"


def test_http_1_0_replica_and_body_ended_by_close():
    def serve(peer, o):
        o.read(peer)
        peer.send("HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nuntil the end")
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        for _ in range(3):
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            response = read_message(c)
            assert response.body == b"until the end"
            assert response.get("transfer-encoding") == "chunked"
        assert o.connections == 3


def test_hop_by_hop_fields_are_dropped():
    def serve(peer, o):
        while True:
            request = o.read(peer)
            peer.send(reply(200, json.dumps([k.lower() for k, _ in request.fields]),
                            Connection="X-Reply-Hop", X_Reply_Hop="1", Keep_Alive="timeout=5",
                            Proxy_Authenticate="Basic", X_Kept="1"))
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate:
        response = gate.raw("GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, close\r\nX-Hop: 1\r\n"
                            "Keep-Alive: 5\r\nProxy-Connection: x\r\nUpgrade: h2c\r\n"
                            "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nTE: gzip\r\nX-Kept: 1\r\n\r\n")
        seen = response.json
        for name in ("x-hop", "keep-alive", "proxy-connection", "upgrade", "http2-settings", "te"):
            assert name not in seen
        assert "x-kept" in seen
        assert response.get("x-reply-hop") is None and response.get("keep-alive") is None
        assert response.get("x-kept") == "1"


def test_half_closed_client_is_answered(gate):
    """A FIN after a complete request is no abort."""
    with gate.connect() as c:
        c.send("GET /half HTTP/1.1\r\nHost: a\r\n\r\n")
        c.sock.shutdown(1)
        assert read_message(c).json["start"] == "GET /half HTTP/1.1"
        assert c.is_closed()


def test_request_in_single_bytes(gate):
    with gate.connect() as c:
        for byte in b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n":
            c.send(bytes([byte]))
        assert read_message(c).json["body"] == 3


def test_early_answer_while_the_client_is_sending():
    """A replica that answers before the body is read: the client gets the answer whole."""
    def serve(peer, o):
        read_head(peer)
        peer.send(reply(413, "too much", Connection="close"))
    with Origin(serve) as o, Gate(CONFIG + "defaults: { max_body: unlimited }", origin=o.address) as gate, \
            gate.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n")
        c.send(b"x" * 100000)
        response = read_message(c)
        assert (response.status, response.body) == (413, b"too much")
        assert response.get("connection") == "close"


def test_max_body(origin):
    """413 by length and by count; the connection closes after the answer is read."""
    with Gate(CONFIG + "defaults: { max_body: 1KiB }", origin=origin.address) as gate:
        assert gate.request(method="POST", body=b"x" * 1024).status == 200
        assert gate.request(method="POST", body=b"x" * 1025).status == 413
        with gate.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
            c.send("400\r\n" + "x" * 1024 + "\r\n" + "1\r\nx\r\n")
            assert read_message(c).status == 413
            assert c.is_closed()


def test_unix_socket_replica(tmp_path):
    with Origin(unix=str(tmp_path / "app.sock")) as o, Gate(CONFIG, origin=o.address) as gate:
        assert gate.request("/unix").json["start"] == "GET /unix HTTP/1.1"


def test_parallel_clients_get_their_own_answers(gate):
    """Many at once; no answer is mixed up."""
    wrong = []

    def one(i):
        with gate.connect() as c:
            for k in range(25):
                body = "x" * (i * 37 + k)
                c.send(f"POST /{i}/{k} HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n{body}")
                seen = read_message(c).json
                if seen["start"] != f"POST /{i}/{k} HTTP/1.1" or seen["body"] != len(body):
                    wrong.append(seen)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(16)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_local_answer_keeps_the_connection_after_a_small_body():
    """A body that a fixed answer has no use for is read, and the connection goes on."""
    with Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        routes: [ { respond: { status: 201, body: "made" } } ]
        """) as gate, gate.connect() as c:
        for _ in range(3):
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            response = read_message(c)
            assert (response.status, response.body) == (201, b"made")
        c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c, has_body=False).get("content-length") == "4"


def test_connection_is_good_after_a_rest(gate):
    """Idle for longer than a second, a connection gives memory back; it goes on all the same."""
    with gate.connect() as c, gate.connect() as quiet:
        for i in range(3):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).json["start"] == f"GET /{i} HTTP/1.1"
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 1.2)
        quiet.send("GET /late HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(quiet).json["start"] == "GET /late HTTP/1.1"
