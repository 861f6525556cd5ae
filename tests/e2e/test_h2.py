# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 through the gate: how it is chosen, many streams on one connection, how a connection
ends, and real clients. Replicas that speak it: test_h2_upstream.py."""
import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from certs import Authority, client
from h2peer import (CANCEL, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW_SIZE,
                    MAX_CONCURRENT_STREAMS, NO_ERROR, NOTICE, PREFACE, PROTOCOL_ERROR,
                    REFUSED_STREAM, SETTINGS, H2Client, H2Load, H2Origin, fields_of, frame, h2,
                    read_body, shell, tls_h2)
from harness import PATIENCE, Gate, Origin, Peer, read_head, read_message, reply, until

SITE = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  auto: { address: "127.0.0.1:0" }
  https: { address: "127.0.0.1:0", tls: { certificates: [ {cert} ] } }
  old: { address: "127.0.0.1:0", http2: off, tls: { certificates: [ {cert} ] } }
  never: { address: "127.0.0.1:0", http2: off }
upstreams:
  app: { servers: ["{origin}"], retries: 0 }
rate_limits:
  few: { rate: 1/h, burst: 1 }
defaults: { max_body: unlimited }
routes:
  - { match: { host: localhost, path: /moved }, redirect: "https://example.org/there" }
  - { match: { host: localhost, path: /local }, respond: { body: local } }
  - { match: { host: localhost, path: /few }, upstream: app, rate_limit: few }
  - { match: { host: localhost, path: /small }, upstream: app, max_body: 1KiB }
  - { match: { host: localhost }, upstream: app }
"""
CONFIG = """
listeners: { http: { address: "127.0.0.1:0", http2: on } }
upstreams: { app: { servers: ["{origin}"]{upstream} } }
routes: [ { upstream: app, max_body: unlimited } ]
"""
BIG = os.urandom(1 << 20) * 8


class SlowOrigin(Origin):
    """HTTP/1: /big is BIG, /hang waits for `release`, /stall reads its body after that, the
    rest is echoed."""

    def __init__(self):
        self.release, self.stalled = threading.Event(), []
        super().__init__(SlowOrigin.run)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    @staticmethod
    def run(peer, o):
        while True:
            head = read_head(peer)
            if head.target == "/stall":
                o.stalled.append(head)
                o.release.wait(60)
            read_body(peer, head)
            with o.lock:
                o.requests.append(head)
            if head.target == "/hang":
                o.release.wait(60)
            if head.target == "/big":
                peer.send(reply(200, BIG))
            else:
                peer.send(echoed(o, head))

    def hanging(self, count=1):
        """Waits until so many requests hang."""
        until(lambda: [r.target for r in self.requests].count("/hang") >= count, "/hang")


def echoed(o, request):
    return reply(200, json.dumps({"origin": o.name, "start": request.start,
                                  "fields": request.fields, "body": len(request.body),
                                  "trailers": request.trailers}))


@pytest.fixture(scope="module")
def pair(cert):
    """(gate, origin) with all kinds of listeners."""
    with SlowOrigin() as o, Gate(SITE, origin=o.address,
                                 cert=f"{{ cert: '{cert[0]}', key: '{cert[1]}' }}") as gate:
        yield gate, o
        o.release.set()


@pytest.fixture
def gate(pair):
    return pair[0]


@pytest.fixture
def slow(pair):
    pair[1].release.clear()
    pair[1].requests.clear()
    pair[1].stalled.clear()
    yield pair[1]
    pair[1].release.set()


# ---- how it is chosen ----

@pytest.mark.parametrize("listener, offers, chosen", [
    ("https", ["h2", "http/1.1"], "h2"), ("https", ["http/1.1", "h2"], "h2"),
    ("https", ["h2"], "h2"), ("https", ["http/1.1"], "http/1.1"), ("https", ["h3", "h2"], "h2"),
    ("old", ["h2", "http/1.1"], "http/1.1")])
def test_alpn(gate, listener, offers, chosen):
    """HTTP/2 wherever a client knows it, but for a listener that says off."""
    with gate.connect(listener, tls=tls_h2(*offers)) as peer:
        assert peer.sock.selected_alpn_protocol() == chosen
        if chosen == "h2":
            assert H2Client(peer).request("/a").json["start"] == "GET /a HTTP/1.1"
        else:
            peer.send("GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_message(peer).json["start"] == "GET /a HTTP/1.1"


def test_tls_without_alpn_is_http_1(gate):
    assert gate.request("/a", listener="https", tls=client()).status == 200


def test_prior_knowledge_beside_http_1(gate):
    """One plain port, both versions; a method that begins like the preface is none."""
    with h2(gate) as c:
        assert c.request("/a").status == 200
    with gate.connect() as c:
        for method in ("GET", "PROPFIND", "PR", "PRINT"):
            c.send(f"{method} /b HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert read_message(c).json["start"] == f"{method} /b HTTP/1.1"
    with gate.connect() as c:
        for byte in b"PRINT /b HTTP/1.1\r\nHost: localhost\r\n\r\n":
            c.send(bytes([byte]))
        assert read_message(c).json["start"] == "PRINT /b HTTP/1.1"


def test_preface_in_single_bytes(gate):
    with h2(gate, preface=False) as c:
        for byte in PREFACE + frame(SETTINGS):
            c.raw(bytes([byte]))
        c.unacked.append({})
        assert c.request("/a").status == 200


@pytest.mark.parametrize("listener", ["auto", "never"])
def test_preface_where_it_is_not_spoken(gate, listener):
    """Plain HTTP/2 only where it is asked for: elsewhere an answer of HTTP/1."""
    with gate.connect(listener) as c:
        c.send(PREFACE)
        assert read_message(c).status == 505


def test_upgrade_to_h2c_is_ignored(gate):
    """RFC 9113 3.1: it is obsolete; the request is answered as HTTP/1.1."""
    response = gate.raw("GET /a HTTP/1.1\r\nHost: localhost\r\n"
                        "Connection: Upgrade, HTTP2-Settings\r\n"
                        "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n")
    assert response.status == 200 and "upgrade" not in fields_of(response)


def test_first_frame_is_settings(gate):
    """With the bounds that the gate keeps: streams, no push, windows."""
    with h2(gate) as c:
        c.wait(lambda: c.received, "a frame")
        first = c.received[0]
        assert first.type == SETTINGS and "ACK" not in first.flags
        assert first.settings[MAX_CONCURRENT_STREAMS] == 128
        assert c.theirs[INITIAL_WINDOW_SIZE] == 65536 or c.theirs[INITIAL_WINDOW_SIZE] == 65535
        c.wait(lambda: not c.unacked, "the ACK")


# ---- many streams ----

def test_hundred_streams_at_once(gate, slow):
    """All run at the same time on one connection; each gets its own answer."""
    with h2(gate) as c:
        streams = [c.open(path=f"/{i}") for i in range(100)]
        for i, s in enumerate(streams):
            assert s.done().json["start"] == f"GET /{i} HTTP/1.1"
        assert c.goaway is None


def test_slow_stream_stops_no_other(gate, slow):
    with h2(gate) as c:
        first = c.open(path="/hang")
        slow.hanging()
        for i in range(20):
            assert c.request(f"/{i}").status == 200
        assert first.fields is None
        slow.release.set()
        assert first.done().status == 200


def test_responses_interleave(gate, slow):
    """Two large answers share the connection: neither waits for the other's end."""
    with h2(gate) as c:
        a, b = c.open(path="/big"), c.open(path="/big")
        c.wait(lambda: a.is_ended or b.is_ended, "the first end")
        late = b if a.is_ended else a
        assert len(late.body) > 1 << 17
        assert bytes(late.done().body) == bytes(a.body) == BIG


def test_stream_that_is_not_taken_stops_no_other(gate, slow):
    """One closed window, one connection: the others go on, a large one too."""
    with h2(gate) as c:
        stuck = c.open(path="/big")
        stuck.gives_back = False
        c.wait(lambda: stuck.room == 0, "its window's end")
        assert bytes(c.request("/big").body) == BIG
        for i in range(20):
            assert c.request(f"/{i}").status == 200
        assert len(stuck.body) == 65535
        stuck.give_back(1 << 24)
        assert bytes(stuck.done().body) == BIG


def test_window_that_opens_by_single_bytes(gate, slow):
    """Never more than the window, whatever it is."""
    with h2(gate, settings={INITIAL_WINDOW_SIZE: 0}) as c:
        s = c.open(path="/a")
        s.gives_back = False
        s.has_head()
        assert not s.body and not s.is_ended
        size = int(s.get("content-length"))
        for i in range(size):
            s.give_back(1)
            c.wait(lambda: len(s.body) == i + 1, "a byte")
        assert s.done().json["start"] == "GET /a HTTP/1.1"


def test_window_of_all_streams_is_moved_by_settings(gate, slow):
    with h2(gate, settings={INITIAL_WINDOW_SIZE: 10}) as c:
        s = c.open(path="/big")
        s.gives_back = False
        c.wait(lambda: len(s.body) == 10, "ten bytes")
        c.settings({INITIAL_WINDOW_SIZE: 1000})
        c.wait(lambda: len(s.body) == 1000, "a thousand")
        c.settings({INITIAL_WINDOW_SIZE: 500})  # below zero now
        c.wait(lambda: not c.unacked, "the ACK")
        s.give_back(500)
        c.settle()
        assert len(s.body) == 1000
        s.give_back(1)
        c.wait(lambda: len(s.body) == 1001, "one more")
        s.reset()
        c.settle()


@pytest.mark.parametrize("listener", ["http", "https"])
def test_upload_and_download(gate, slow, listener):
    """1 MiB up, 8 MiB down, within the windows; the length is known to the replica."""
    with h2(gate, listener, tls=listener == "https") as c:
        assert c.request("/up", "POST", body=BIG[:1 << 20]).json["body"] == 1 << 20
        sized = c.request("/up", "PUT", [("content-length", str(1 << 20))], BIG[:1 << 20])
        assert fields_of(sized)["content-length"] == str(1 << 20) and sized.json["body"] == 1 << 20
        assert slow.requests[0].body == slow.requests[1].body == BIG[:1 << 20]
        assert bytes(c.request("/big").body) == BIG


def test_upload_that_the_replica_does_not_take(gate, slow):
    """It stops itself: at its window, not at the connection's."""
    with h2(gate) as c:
        s = c.open("POST", "/stall", end=False)
        until(lambda: slow.stalled, "the head at the replica")
        sent, size = 0, 32 << 20
        still = 0
        while still < 3:
            c.settle()
            room = min(s.window, c.window, c.theirs[5], size - sent)
            still = 0 if room else still + 1
            if room:
                s.send(b"x" * room)
                sent += room
            else:
                assert c.request("/beside").status == 200
        assert sent < size and c.window > 0
        slow.release.set()
        s.send(b"x" * (1 << 20)).end()
        assert s.done().json["body"] == sent + (1 << 20)


def test_max_concurrent_streams(gate, slow):
    """The 129th is refused with the code that makes it safe to ask again, and goes nowhere."""
    with h2(gate, acks=False) as c:
        running = [c.open(path="/hang") for _ in range(128)]
        extra = c.open(path="/hang")
        assert extra.done().reset_code == REFUSED_STREAM
        slow.hanging(128)
        c.settle()
        c.settings(ack=True)
        assert [r.target for r in slow.requests].count("/hang") == 128
        slow.release.set()
        assert [s.done().status for s in running] == [200] * 128
        assert c.request("/again").status == 200
        assert [r.target for r in slow.requests].count("/hang") == 128


def test_streams_per_connection(origin):
    """`limits.streams_per_connection` is what SETTINGS says, and what is kept. A client that has
    said that it knows is at fault: it may lose the connection (RFC 9113 5.4.2)."""
    with Gate(CONFIG + "limits: { streams_per_connection: 3 }\n", origin=origin.address,
              upstream="") as gate, h2(gate) as c:
        c.settle()
        assert c.theirs[MAX_CONCURRENT_STREAMS] == 3
        for _ in range(3):
            assert [s.end().done().status for s in
                    [c.open("POST", end=False) for _ in range(3)]] == [200] * 3
        streams = [c.open("POST", end=False) for _ in range(4)]
        assert streams[3].done().reset_code == REFUSED_STREAM or c.ended() == PROTOCOL_ERROR
        assert len(origin.requests) == 9


def test_reset_stream_lets_the_replica_go(gate, slow):
    """The client's RST_STREAM cancels the attempt; the connection goes on."""
    with h2(gate) as c:
        before = gate.metric("wharfgate_requests_active")
        s = c.open(path="/hang")
        slow.hanging()
        s.reset()
        until(lambda: gate.metric("wharfgate_requests_active") == before, "the exchange's end")
        assert c.request("/a").status == 200


# ---- what a request says ----

def test_pseudo_fields_become_a_request_of_http_1(gate, slow):
    with h2(gate) as c:
        seen = c.request("/a/b?c=d", headers=[("accept", "*/*"), ("x-one", "1"), ("x-one", "2")])
        assert seen.json["start"] == "GET /a/b?c=d HTTP/1.1"
        all_fields = seen.json["fields"]
        assert ["Host", "localhost"] in all_fields
        assert [v for k, v in all_fields if k.lower() == "x-one"] == ["1", "2"]
        assert not [k for k, _ in all_fields if k.startswith(":")]
        assert fields_of(seen)["x-forwarded-proto"] == "http"
    with h2(gate, "https", tls=True) as c:
        assert fields_of(c.request("/"))["x-forwarded-proto"] == "https"


def test_host_instead_of_authority(gate, slow):
    with h2(gate) as c:
        seen = c.request(authority=None, headers=[("host", "localhost")])
        assert fields_of(seen)["host"] == "localhost"
        both = c.request(headers=[("host", "localhost")])
        assert [k.lower() for k, _ in both.json["fields"]].count("host") == 1


def test_cookie_crumbs_are_joined(gate, slow):
    """RFC 9113 8.2.3."""
    with h2(gate) as c:
        seen = c.request(headers=[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2"),
                                  ("cookie", "c=3")])
        cookies = [v for k, v in seen.json["fields"] if k.lower() == "cookie"]
        assert cookies == ["a=1; b=2; c=3"]


def test_set_cookie_is_not_joined():
    def serve(peer, o):
        o.read(peer)
        peer.send("HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-UP: Yes\r\n"
                  "Content-Length: 0\r\n\r\n")
    with Origin(serve) as o, Gate(CONFIG, origin=o.address, upstream="") as gate, h2(gate) as c:
        response = c.request()
        assert response.get_all("set-cookie") == ["a=1", "b=2"]
        assert response.get("x-up") == "Yes"


def test_trailers_both_ways():
    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                      "5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n")
    with Origin(serve) as o, Gate(CONFIG, origin=o.address, upstream="") as gate, h2(gate) as c:
        response = c.request("/", "POST", [("te", "trailers")], b"body", [("x-check", "yes")])
        assert (bytes(response.body), response.trailers) == (b"hello", [("x-sum", "42")])
        assert response.get("transfer-encoding") is None
        assert o.requests[0].body == b"body"
        assert [(k.lower(), v) for k, v in o.requests[0].trailers] == [("x-check", "yes")]


def test_expect_continue():
    def serve(peer, o):
        head = read_head(peer)
        assert head.get("expect") == "100-continue"
        peer.send("HTTP/1.1 100 Continue\r\n\r\n")
        peer.send(reply(200, peer.read_exactly(5)))
    with Origin(serve) as o, Gate(CONFIG, origin=o.address, upstream="") as gate, h2(gate) as c:
        s = c.open("PUT", headers=[("content-length", "5"), ("expect", "100-continue")], end=False)
        c.wait(lambda: s.interim, "the 100")
        assert s.interim == [[(":status", "100")]]
        s.send("hello", end=True)
        assert bytes(s.done().body) == b"hello"


def test_priority_is_passed_on(gate, slow):
    """RFC 9218: between two ends, so a proxy passes it."""
    with h2(gate) as c:
        assert fields_of(c.request(headers=[("priority", "u=1, i")]))["priority"] == "u=1, i"


def test_head_and_options(gate, slow):
    with h2(gate) as c:
        response = c.request("/a", "HEAD")
        assert response.status == 200 and not response.body and response.is_ended
        assert int(response.get("content-length")) > 0
        assert c.request("*", "OPTIONS").json["start"] == "OPTIONS * HTTP/1.1"


@pytest.mark.parametrize("method", ["CONNECT", "TRACE"])
def test_methods_that_are_not_served(gate, slow, method):
    """CONNECT has neither scheme nor path."""
    with h2(gate) as c:
        head = [(":method", method), (":authority", "localhost:443")]
        if method == "TRACE":
            head += [(":scheme", "http"), (":path", "/")]
        assert c.request(head=head).status == 405
        assert c.request("/a").status == 200
        assert len(slow.requests) == 1


# ---- answers of our own ----

def test_answers_of_the_gate(gate, slow):
    """A redirect, a fixed answer, 404, 429, 413 by length: each on its stream, and the
    connection goes on."""
    with h2(gate) as c:
        moved = c.request("/moved")
        assert (moved.status, moved.get("location")) == (308, "https://example.org/there")
        assert bytes(c.request("/local").body) == b"local"
        assert c.request("/", authority="nobody.example").status == 404
        assert 429 in [c.request("/few").status for _ in range(3)]
        big = c.open("POST", "/small", [("content-length", "1025")], end=False)
        assert big.done().status == 413
        assert c.request("/small", "POST", body=b"x" * 1024).status == 200
        assert c.request("/a").status == 200 and c.goaway is None


def test_body_that_grows_too_large(gate, slow):
    """413 when it is more than the route takes; the stream alone ends."""
    with h2(gate) as c:
        s = c.open("POST", "/small", end=False)
        s.send(b"x" * 1024)
        s.send(b"x" * 10)
        s.done()
        assert s.status == 413
        assert c.request("/a").status == 200 and c.goaway is None


def test_early_answer_ends_with_no_error(gate, slow):
    """RFC 9113 8.1: a complete answer before the request's end, then RST_STREAM(NO_ERROR), so
    that the client stops sending."""
    with h2(gate) as c:
        s = c.open("POST", "/moved", end=False)
        s.wait(lambda: s.is_ended, "the answer")
        assert s.status == 308
        for _ in range(200):
            if s.reset_code is not None or s.window < 1024:
                break
            s.send(b"x" * 1024)
            c.settle()
        c.wait(lambda: s.reset_code is not None, "the RST_STREAM")
        assert s.reset_code in (NO_ERROR, CANCEL)
        assert c.request("/a").status == 200


def test_access_log(gate, slow):
    with h2(gate) as c:
        c.request("/logged-by-h2")
        c.request("/", authority="nobody.example")
    lines = until(lambda: [x for x in gate.access_lines() if "/logged-by-h2" in str(x)], "a line")
    assert (lines[0]["protocol"], lines[0]["status"]) == ("HTTP/2.0", 200)
    assert lines[0]["method"] == "GET"


def test_host_of_another_certificate_is_421(origin, tmp_path):
    """A browser that reuses a connection for a name that this certificate does not cover."""
    ca = Authority(tmp_path)
    pairs = ", ".join(f"{{ cert: '{c}', key: '{k}' }}" for c, k in
                      (ca.issue("a", "a.example"), ca.issue("b", "b.example")))
    with Gate("""
        listeners: { https: { address: "127.0.0.1:0", tls: { certificates: [ {pairs} ] } } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { upstream: app } ]
        """, origin=origin.address, pairs=pairs) as gate, \
            h2(gate, "https", tls=True, server_name="a.example") as c:
        for _ in range(2):
            assert c.request(authority="a.example").status == 200
            assert c.request(authority="b.example").status == 421
        assert c.goaway is None


# ---- how a connection ends ----

TIMED = CONFIG + "timeouts: { header: 300ms, keep_alive: {keep_alive} }\n"


def test_idle_connection_lives_past_the_header_timeout(origin):
    """No half a head is waited for; PINGs are answered meanwhile."""
    with Gate(TIMED, origin=origin.address, upstream="", keep_alive="60s") as gate, h2(gate) as c:
        end = time.monotonic() + 0.8
        while time.monotonic() < end:
            c.settle()
            c.drain(0.1)
        assert c.request().status == 200 and c.goaway is None


def test_idle_connection_ends_after_keep_alive(origin):
    with Gate(TIMED, origin=origin.address, upstream="", keep_alive="300ms") as gate:
        with h2(gate) as c:
            assert c.request().status == 200
            assert c.ended() == NO_ERROR
        with h2(gate) as c:  # never asked for anything
            assert c.ended() == NO_ERROR


@pytest.mark.parametrize("part", ["block", "frame", "preface"])
def test_half_a_head_ends_by_the_header_timeout(origin, part):
    with Gate(TIMED, origin=origin.address, upstream="", keep_alive="60s") as gate, \
            h2(gate, preface=part != "preface") as c:
        if part == "preface":
            c.raw(PREFACE[:20])
        else:
            c.settle()
            block = c.encoder.encode(c.head_of())
            whole = frame(HEADERS, 1, 1, block)
            c.raw(whole if part == "block" else whole[:-3])
        code = c.ended()
        assert code == ENHANCE_YOUR_CALM or (code is None and part != "block")


def test_half_a_body_is_408(origin):
    """A stream that stalls is answered; the connection goes on."""
    config = CONFIG + "timeouts: { body_idle: 300ms }\n"
    with Gate(config, origin=origin.address, upstream="") as gate, h2(gate) as c:
        s = c.open("POST", headers=[("content-length", "10")], end=False)
        s.send("abc")
        assert s.done().status == 408
        assert c.request().status == 200
        assert gate.access_lines()[0]["reason"] == "body_timeout"


@pytest.fixture
def slow_own():
    with SlowOrigin() as o:
        yield o
        o.release.set()


def test_sigterm_finishes_what_runs(slow_own):
    """GOAWAY, the running streams' answers whole, then the end with 0."""
    with Gate(CONFIG, origin=slow_own.address, upstream="", workers=2) as gate, h2(gate) as c, \
            h2(gate) as idle:
        assert idle.request("/").status == 200
        streams = [c.open(path="/hang") for _ in range(5)]
        slow_own.hanging(5)
        gate.process.send_signal(signal.SIGTERM)
        c.wait(lambda: c.goaway, "GOAWAY")
        assert c.goaway.error_code == NO_ERROR
        assert idle.ended() == NO_ERROR
        assert gate.process.poll() is None
        slow_own.release.set()
        assert [s.done().status for s in streams] == [200] * 5
        assert c.ended() == NO_ERROR and c.goaway.last_stream_id >= streams[-1].id
        c.close()
        idle.close()
        assert gate.process.wait(PATIENCE) == 0


def test_request_behind_the_notice_is_served(slow_own):
    """RFC 9113 6.8: what was on its way when GOAWAY came is answered; what comes after the
    real one is not."""
    with Gate(CONFIG, origin=slow_own.address, upstream="") as gate, h2(gate) as c:
        first = c.open(path="/hang")
        slow_own.hanging()
        c.wait(lambda: not c.unacked and c.of_type(SETTINGS), "SETTINGS")
        c.acks = False
        gate.process.send_signal(signal.SIGTERM)
        c.wait(lambda: c.goaway and [p for p in c.of_type(6) if "ACK" not in p.flags], "the PING")
        assert (c.goaway.last_stream_id, c.goaway.error_code) == (NOTICE, NO_ERROR)
        late = c.request("/late")
        assert late.status == 200
        for ping in c.of_type(6):
            c.ping(ping.opaque_data, ack=True)
        c.wait(lambda: c.goaway.last_stream_id != NOTICE, "the second GOAWAY")
        assert c.goaway.last_stream_id == late.id
        ignored = c.open(path="/ignored")
        slow_own.release.set()
        assert first.done().status == 200
        assert c.ended() == NO_ERROR and ignored.fields is None
        c.close()
        assert gate.process.wait(PATIENCE) == 0
        assert "/ignored" not in [r.target for r in slow_own.requests]


def test_no_stream_of_a_load_is_lost_by_sigterm(slow_own):
    """Many clients that ask until they are told; every stream up to the last one is answered."""
    lost, done = [], []

    def one():
        with h2(gate) as c:
            while not c.goaway and not c.is_closed:
                streams = []
                with contextlib.suppress(OSError):
                    for _ in range(8):
                        streams.append(c.open(path="/load"))
                for s in streams:
                    s.done()
                last = c.goaway.last_stream_id if c.goaway else NOTICE
                lost.extend((s.id, last, s.reset_code) for s in streams
                            if s.id <= last and s.status != 200)
                done.extend(s for s in streams if s.status == 200)
    with Gate(CONFIG, origin=slow_own.address, upstream="", workers=2) as gate:
        threads = [threading.Thread(target=one) for _ in range(4)]
        for t in threads:
            t.start()
        until(lambda: len(slow_own.requests) > 100, "requests")
        gate.process.send_signal(signal.SIGTERM)
        for t in threads:
            t.join()
        assert gate.process.wait(PATIENCE) == 0
    assert not lost and len(done) > 100


def test_removed_listener_sends_goaway(slow_own):
    """A reload without it: what runs is finished, then the connection ends."""
    config = CONFIG.replace("http2: on }", "http2: on }, {other}")
    with Gate(config, origin=slow_own.address, upstream="",
              other="zother: { address: '127.0.0.1:0', http2: on }") as gate, \
            h2(gate, "zother") as c, h2(gate) as stays:
        s = c.open(path="/hang")
        assert stays.request("/").status == 200
        slow_own.hanging()
        assert gate.reload(config, other="").returncode == 0
        c.wait(lambda: c.goaway, "GOAWAY")
        slow_own.release.set()
        assert s.done().status == 200
        assert c.ended() == NO_ERROR
        assert stays.request("/").status == 200 and stays.goaway is None


def test_reload_keeps_the_connection(origin):
    """A changed route serves the next stream of the same connection; no answer is lost."""
    config = """
    listeners: { http: { address: "127.0.0.1:0", http2: on } }
    upstreams: { app: { servers: ["{origin}"] } }
    routes: [ { match: { path: /a }, respond: { body: "{body}" } }, { upstream: app } ]
    """
    with Gate(config, origin=origin.address, body="one") as gate, h2(gate) as c, \
            H2Load(gate, clients=2) as load:
        assert bytes(c.request("/a").body) == b"one"
        assert gate.reload(config, body="two").returncode == 0
        assert bytes(c.request("/a").body) == b"two"
        load.progress()
        assert c.goaway is None


def test_client_goaway_finishes_what_runs(gate, slow):
    with h2(gate) as c:
        s = c.open(path="/hang")
        slow.hanging()
        c.send_goaway()
        slow.release.set()
        assert s.done().status == 200
        c.ended()


def test_client_that_has_ended_is_gone(gate, slow):
    """Unlike in HTTP/1: it cannot open a window any more, nor tell that it lives."""
    with h2(gate) as c:
        c.open(path="/hang")
        slow.hanging()
        c.peer.sock.shutdown(socket.SHUT_WR)
        until(lambda: gate.metric("wharfgate_requests_active") == 1, "the exchange's end")
        c.ended()


# ---- real clients ----

def test_our_client_with_a_real_server(tmp_path):
    """The tool itself: nghttpd understands it."""
    (tmp_path / "page").write_bytes(BIG)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]

    def connect():
        try:
            return socket.create_connection(("127.0.0.1", port), 5)
        except ConnectionRefusedError:
            return None
    process = subprocess.Popen(["nghttpd", "--no-tls", "--echo-upload", str(port),
                                "-d", str(tmp_path)])
    try:
        with H2Client(Peer(until(connect, "nghttpd"))) as c:
            assert bytes(c.request("/page").body) == BIG
            assert bytes(c.request("/x", "POST", body=BIG[:100000]).body) == BIG[:100000]
            assert c.request("/none").status == 404
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("command", [
    ["curl", "-sS", "--noproxy", "*", "--http2-prior-knowledge", "-d", "x" * 100000],
    ["nghttp", "-v", "-m", "3"], ["h2load", "-n", "200", "-c", "2", "-m", "8"]])
def test_our_origin_with_real_clients(command):
    """The tool itself: they understand it."""
    with H2Origin() as o:
        code, said = shell(*command, f"http://{o.address}/page")
        assert code == 0 and ("/page HTTP/2" in said or "200 succeeded" in said), said


def test_curl(gate, slow, cert):
    """By ALPN and by prior knowledge, up and down; two URLs take one connection (not by prior
    knowledge: curl 7.88 fails there with any server)."""
    plain, secure = "http://localhost:%d" % gate.address("http")[1], \
        "https://localhost:%d" % gate.address("https")[1]
    for how, url in (["--http2-prior-knowledge"], plain), (["--http2", "-k"], secure):
        urls = [f"{url}/{name}" for name in ("a" if url == plain else "ab")]
        code, said = shell("curl", "-sS", "--noproxy", "*", *how, "-w",
                           " %{http_version} %{num_connects}\n", *urls)
        assert code == 0, said
        lines = said.splitlines()
        assert "GET /a HTTP/1.1" in lines[0] and lines[0].endswith(" 2 1"), said
        assert len(urls) == 1 or lines[1].endswith(" 2 0"), said
        code, said = shell("curl", "-sS", "--noproxy", "*", *how, "-d", "x" * 100000, f"{url}/up")
        assert '"body": 100000' in said
        code, said = shell("curl", "-sS", "--noproxy", "*", *how, "-o", "/dev/null", "-w",
                           "%{size_download} %{http_code}", f"{url}/big")
        assert said == f"{len(BIG)} 200"


def test_curl_upgrade_in_the_clear_stays_http_1(gate, slow):
    """`--http2` offers h2c: refused quietly."""
    url = "http://localhost:%d/a" % gate.address("http")[1]
    code, said = shell("curl", "-sS", "--noproxy", "*", "--http2", "-w", " %{http_version}", url)
    assert code == 0 and said.endswith(" 1.1")


@pytest.mark.parametrize("listener", ["http", "https"])
def test_nghttp(gate, slow, listener):
    scheme = "http" if listener == "http" else "https"
    url = f"{scheme}://localhost:{gate.address(listener)[1]}"
    code, said = shell("nghttp", "-v", "--no-verify-peer", "-H", "x-a: b", f"{url}/a", f"{url}/b",
                       f"{url}/c")
    assert code == 0 and said.count(":status: 200") == 3, said[-3000:]
    assert "error" not in said.lower().replace("error_code=no_error", ""), said[-3000:]


@pytest.mark.parametrize("listener", ["http", "https"])
def test_h2load(gate, slow, listener):
    scheme = "http" if listener == "http" else "https"
    code, said = shell("h2load", "-n", "2000", "-c", "4", "-m", "32",
                       f"{scheme}://localhost:{gate.address(listener)[1]}/local")
    assert code == 0 and "2000 2xx" in said and "0 failed, 0 errored" in said, said
