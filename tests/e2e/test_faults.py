# SPDX-License-Identifier: Apache-2.0
"""Replicas and clients that lie, stall, send half, reset: one answer each, with its reason."""
import select

import pytest

from harness import Gate, Nobody, Origin, Peer, read_head, read_message, reply, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
upstreams:
  app: { servers: ["{origin}"], retries: 0 }
routes:
  - { upstream: app }
defaults:
  timeouts: { response_header: 300ms, response_idle: 300ms, body_idle: 300ms, connect: 300ms }
timeouts: { header: 300ms, keep_alive: 10s }
"""


def closes(peer, o):
    o.read(peer)


def resets(peer, o):
    o.read(peer)
    peer.reset()


def sends(data):
    def serve(peer, o):
        o.read(peer)
        peer.send(data)
        peer.recv()
    return serve


@pytest.mark.parametrize("serve, status, reason", [
    (closes, 502, "upstream_closed"),
    (resets, 502, None),
    (sends("HTTP/1.1 200 OK\r\nContent-Le"), 504, "response_timeout"),
    (sends("garbage\r\n\r\n"), 502, "upstream_malformed"),
    (sends("HTTP/1.1 abc OK\r\n\r\n"), 502, "upstream_malformed"),
    (sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 502,
     "upstream_malformed"),
    (sends("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 502,
     "upstream_malformed"),
    (sends("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), 502, "upstream_malformed"),
    (sends("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n"), 502, "upstream_malformed"),
    (sends("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"), 502, None),
    (sends("HTTP/1.1 200 OK\r\nX: " + "y" * 70000 + "\r\n\r\n"), 502, "upstream_malformed"),
    (sends("HTTP/1.1 100 Continue\r\n\r\n" * 200), 502, "upstream_malformed"),
    (sends(""), 504, "response_timeout"),
])
def test_bad_replica_before_its_head(serve, status, reason):
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        response = read_message(c)
        while response.status == 100:
            response = read_message(c)
        assert response.status == status
        line = gate.access_lines()[0]
        assert line["status"] == status
        if reason:
            assert line["reason"] == reason


@pytest.mark.parametrize("data", [
    "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
])
def test_response_cut_short_is_never_shown_as_complete(data):
    def serve(peer, o):
        o.read(peer)
        peer.send(data)
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            read_message(c)
        assert gate.access_lines()[0]["reason"].startswith("upstream_")


def test_replica_that_stalls_amid_the_body():
    with Origin(sends("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")) as o, \
            Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            read_message(c)
        assert gate.access_lines()[0]["reason"] == "response_timeout"


def test_no_one_listens():
    with Nobody() as o, Gate(CONFIG, origin=o.address) as gate:
        assert gate.request().status == 502
        assert gate.access_lines()[0]["reason"] == "connect_failed"


def test_another_replica_is_tried_when_one_refuses():
    """Any method, since nothing was sent; and it is counted."""
    with Nobody() as dead, Origin() as alive, Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{dead}", "{alive}"], balance: round_robin } }
        routes: [ { upstream: app } ]
        """, dead=dead.address, alive=alive.address) as gate:
        for i in range(10):
            method, body = ("POST", b"x") if i % 2 else ("GET", None)
            assert gate.request(method=method, body=body).status == 200
        assert gate.metric("wharfgate_upstream_retries_total") >= 4


def test_idempotent_request_survives_a_reset_and_post_does_not():
    def bad(peer, o):
        o.read(peer)
        peer.reset()
    with Origin(bad) as a, Origin() as b, Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams:
          app:
            servers: ["{a}", "{b}"]
            balance: round_robin
            outlier_ejection: { max_share: off }
        routes: [ { upstream: app } ]
        """, a=a.address, b=b.address) as gate:
        for _ in range(6):
            assert gate.request().status == 200
            assert gate.request(method="PUT", body=b"x" * 1000).json["body"] == 1000
        statuses = [gate.request(method="POST", body=b"x").status for _ in range(4)]
        assert sorted(set(statuses)) == [200, 502]
        # What was delivered twice would show here.
        posts = [r for o in (a, b) for r in o.requests if r.method == "POST"]
        assert len(posts) == 4


def test_keep_alive_race_goes_unnoticed():
    """A replica that closes each connection after its answer without saying so."""
    def serve(peer, o):
        o.read(peer)
        peer.send(reply(200, "ok"))
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        for i in range(40):
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == 200


def test_surplus_bytes_close_the_replica_connection():
    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(200, "ok") + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        for _ in range(5):
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).body == b"ok"
        assert o.connections == 5


def test_slow_head_is_408(origin):
    with Gate(CONFIG, origin=origin.address) as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost:")
        response = read_message(c)
        assert response.status == 408
        assert c.is_closed()
        assert gate.access_lines()[0]["reason"] == "header_timeout"


def test_stalled_request_body_is_408(origin):
    with Gate(CONFIG, origin=origin.address) as gate, gate.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
        assert read_message(c).status == 408
        assert gate.access_lines()[0]["reason"] == "body_timeout"


def test_client_that_goes_away_cancels_the_attempt():
    """A reset by the client reaches the replica as a closed connection."""
    gone = []

    def serve(peer, o):
        o.read(peer)
        gone.append(peer.recv() == b"")
    config = CONFIG.replace("response_header: 300ms", "response_header: 30s")
    with Origin(serve) as o, Gate(config, origin=o.address) as gate:
        c = gate.connect()
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: o.requests, "the request")
        c.reset()
        until(lambda: gone, "the replica's connection to close")
        line = gate.access_lines()[0]
        assert line["reason"] == "client_closed"


def test_error_page_as_json_or_html():
    with Nobody() as o, Gate(CONFIG, origin=o.address) as gate:
        html = gate.request(headers={"Accept": "text/html,*/*"})
        assert html.headers["content-type"].startswith("text/html") and b"<h1>502" in html.body
        as_json = gate.request(headers={"Accept": "application/json"})
        assert as_json.json["status"] == 502 and as_json.json["reason"] == "connect_failed"


def test_own_error_page(tmp_path):
    page = tmp_path / "sorry.html"
    page.write_text("<p>sorry")
    config = CONFIG.replace("defaults:", "defaults:\n  error_pages: { 502: '{page}' }")
    with Nobody() as o, Gate(config, origin=o.address, page=page) as gate:
        assert gate.request().body == b"<p>sorry"


def test_trickling_body_is_408(origin):
    """Never idle, but slower than `body_min_rate`: cut off too."""
    with Gate(CONFIG, origin=origin.address) as gate, gate.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(2000):
            if select.select([c.sock], [], [], 0.02)[0]:
                break
            c.send("x")
        assert read_message(c).status == 408
        assert gate.access_lines()[0]["reason"] == "body_too_slow"


def test_client_that_does_not_read_is_cut_off():
    """A response that nobody takes ends at `write_idle`, and the replica is let go."""
    gone = []

    def serve(peer, o):
        o.read(peer)
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {1 << 30}\r\n\r\n")
        try:
            while True:
                peer.send(b"x" * 65536)
        except OSError:
            gone.append(True)
    config = CONFIG.replace("{ header: 300ms", "{ write_idle: 300ms, header: 300ms")
    with Origin(serve) as o, Gate(config, origin=o.address) as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: gone, "the replica to be let go")
        assert gate.access_lines()[0]["reason"] == "write_timeout"
