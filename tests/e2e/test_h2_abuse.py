# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 clients that mean harm: each flood ends its own connection, soon and with the reason in
the log; others on the same worker notice nothing, and the polite are not taken for them."""
import itertools
import os
import select
import socket
import struct
import threading
import time

import pytest

from h2peer import (CONTINUATION, DATA, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW_SIZE, PADDED,
                    PING, PREFACE, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE,
                    H2Client, H2Load, frame, h2, integer, literal, read_body, settings_payload)
from harness import IS_SANITIZED, PATIENCE, Gate, Load, Origin, Peer, read_head, reply, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
upstreams:
  app: { servers: ["{origin}"], retries: 0 }
routes:
  - { match: { path: /short }, respond: { body: short } }
  - { upstream: app }
limits: { header_bytes: 16KiB }
"""
BOUND = 20000  # frames until a flood is over
# A sanitizer would keep what has been freed.
FORGETFUL = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
COUNTER = "wharfgate_connections_abusive_total"


def request_block(method="GET", path="/short", *more):
    return literal((":method", method), (":scheme", "http"), (":authority", "localhost"),
                   (":path", path), *more)


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


# ---- the floods: endless pieces, each a frame or two ----

def word(value):
    return struct.pack(">L", value)


def streams():
    return itertools.count(1, 2)


def forever(piece):
    return itertools.repeat(piece)


def resets(path):
    """Rapid reset: asked and taken back (CVE-2023-44487)."""
    block = request_block(path=path)
    return (frame(HEADERS, 5, i, block) + frame(RST_STREAM, 0, i, word(8)) for i in streams())


def provoked():
    """Resets that we are made to send (CVE-2025-8671): a window beyond all bounds."""
    block = request_block("POST", "/hang")
    return by_fifty(frame(HEADERS, 4, i, block) + frame(WINDOW_UPDATE, 0, i, word((1 << 31) - 1))
                    for i in streams())


def malformed():
    """The same by requests that are none, and never end."""
    block = request_block("POST", "/short", ("connection", "close"))
    return by_fifty(frame(HEADERS, 4, i, block) for i in streams())


def by_fifty(pieces):
    """With rests, so that there are never too many streams at once."""
    for i, piece in enumerate(pieces):
        yield piece
        if i % 50 == 49:
            yield None


def in_body(piece):
    return itertools.chain([frame(HEADERS, 4, 1, request_block("POST", "/hang"))], forever(piece))


def headers_then(*pieces):
    return itertools.chain([frame(HEADERS, 0, 1, request_block())], itertools.cycle(pieces))


def header_bomb():
    """One field in the table, referred to until it is more than four times what is allowed."""
    block = request_block() + b"\x40\x01x" + integer(3500, 7) + b"y" * 3500 + b"\xbe" * 40
    return [frame(HEADERS, 5, 1, block)]


def header_bomb_in_parts():
    """The same without compression, in many frames."""
    large = literal(("x", "y" * 15000))
    return headers_then(frame(CONTINUATION, 0, 1, large))


FLOODS = [
    ("reset-local", lambda: resets("/short"), ["reset_flood"]),
    ("reset-replica", lambda: resets("/hang"), ["reset_flood"]),
    ("reset-provoked", provoked, ["reset_flood", "window_update_flood"]),
    ("reset-malformed", malformed, ["reset_flood"]),
    ("ping", lambda: by_fifty(forever(frame(PING, 0, 0, bytes(8)))), ["ping_flood"]),
    ("ping-at-once", lambda: forever(frame(PING, 0, 0, bytes(8)) * 100),
     ["ping_flood", "answer_flood"]),
    ("settings", lambda: forever(frame(SETTINGS)), ["settings_flood"]),
    ("settings-window", lambda: itertools.cycle(
        frame(SETTINGS, 0, 0, settings_payload({INITIAL_WINDOW_SIZE: n})) for n in (1, 65535)),
     ["settings_flood"]),
    ("empty-data", lambda: in_body(frame(DATA, 0, 1)), ["empty_data_flood"]),
    ("empty-data-padded", lambda: in_body(frame(DATA, PADDED, 1, b"\x08" + bytes(8))),
     ["empty_data_flood"]),
    ("continuation-empty", lambda: headers_then(frame(CONTINUATION, 0, 1)),
     ["continuation_flood"]),
    ("continuation-bytes", lambda: headers_then(
        *(frame(CONTINUATION, 0, 1, bytes([b])) for b in literal(("x", "y")))),
     ["continuation_flood", "header_flood"]),
    ("window-update", lambda: forever(frame(WINDOW_UPDATE, 0, 0, word(1))),
     ["window_update_flood"]),
    ("window-update-stream", lambda: in_body(frame(WINDOW_UPDATE, 0, 1, word(1))),
     ["window_update_flood"]),
    ("priority", lambda: (frame(PRIORITY, 0, i, word(0) + b"\x0f") for i in streams()),
     ["priority_flood"]),
    ("priority-one", lambda: forever(frame(PRIORITY, 0, 1, word(3) + b"\x0f")),
     ["priority_flood"]),
    ("header-bomb", header_bomb, ["header_flood"]),
    ("header-bomb-in-parts", header_bomb_in_parts, ["header_flood", "continuation_flood"]),
]


def serve(peer, o):
    """/hang is never answered, /big is 8 MiB; the rest is echoed in short."""
    while True:
        head = read_head(peer)
        if head.target == "/hang":
            peer.recv()
            return
        read_body(peer, head)
        peer.send(reply(200, b"b" * (8 << 20) if head.target == "/big" else head.target))


@pytest.fixture(scope="module")
def origin_here():
    with Origin(serve) as o:
        yield o


@pytest.fixture(scope="module")
def gate(origin_here):
    with Gate(CONFIG, origin=origin_here.address) as g:
        yield g


@pytest.mark.parametrize("pieces, reasons",
                         [pytest.param(*rest, id=name) for name, *rest in FLOODS])
def test_flood(origin_here, pieces, reasons):
    """GOAWAY(ENHANCE_YOUR_CALM) within bounds, one more in the counter, the reason in the log; and
    clients of both versions go on being answered meanwhile."""
    # A gate of its own: a log that is flooded drops lines.
    with Gate(CONFIG, origin=origin_here.address) as gate, H2Load(gate, 1) as many, \
            Load(gate, 1) as old:
        many.progress(2)
        with h2(gate) as c:
            c.settle()  # no ACK of SETTINGS amid a header block
            c.by_hand = True
            sent = c.pour(itertools.islice(pieces(), BOUND))
            assert c.ended() == ENHANCE_YOUR_CALM, sent
        many.progress(2)
        old.progress(2)
        assert gate.metric(COUNTER) == 1
        assert any(r in gate.errors() for r in reasons), gate.errors()
        many.stop.set()
        old.stop.set()
        until(lambda: gate.metric("wharfgate_requests_active") == 1, "the end of its exchanges")


def test_floods_by_many_connections(gate):
    """Ten at once, while another is served; the worker is the same one afterwards."""
    pid, ended = gate.worker_pid, []

    def one(name, pieces, _):
        with h2(gate) as c:
            c.settle()
            c.by_hand = True
            c.pour(itertools.islice(pieces(), BOUND))
            ended.append((name, c.ended(), c.goaway))
    with H2Load(gate, 1) as many:
        threads = [threading.Thread(target=one, args=f) for f in FLOODS[:10]]
        for t in threads:
            t.start()
        many.progress(5)
        for t in threads:
            t.join()
    assert len(ended) == 10 and gate.worker_pid == pid
    assert not [e for e in ended if e[1] != ENHANCE_YOUR_CALM]


# ---- the polite ----

@pytest.fixture
def unharmed(gate):
    before = gate.metric(COUNTER)
    yield
    assert gate.metric(COUNTER) == before


def test_many_requests_with_pings(gate, unharmed):
    """A PING every ten requests, bodies that end with an empty DATA, as gRPC's are."""
    with h2(gate) as c:
        for i in range(500):
            if i % 10 == 0:
                c.settle()
            s = c.open("POST" if i % 2 else "GET", "/short", end=i % 2 == 0)
            if i % 2:
                s.send(b"x").end()
            assert s.done().status == 200
        assert c.goaway is None


def test_page_that_is_left(gate, unharmed):
    """A hundred cancelled at once, and served again on the same connection."""
    with h2(gate) as c:
        for s in [c.open(path="/hang") for _ in range(100)]:
            s.reset()
        assert c.request("/short").status == 200
        c.settle()
        assert c.goaway is None


def test_cancelled_one_by_one(gate, unharmed):
    """Two hundred, a hundred a second."""
    with h2(gate) as c:
        began = time.monotonic()
        for i in range(200):
            c.open(path="/hang").reset()
            assert c.request("/short").status == 200
            until(lambda i=i: time.monotonic() > began + i * 0.01)
        assert c.goaway is None


def test_large_download_with_many_window_updates(gate, unharmed):
    """Two for each DATA, however small it is."""
    with h2(gate) as c:
        c.windows = False
        s = c.open(path="/big")
        while not s.is_ended:
            size = len(s.body)
            c.wait(lambda size=size: s.is_ended or len(s.body) > size, "data")
            c.window_update(len(s.body) - size)
            if not s.is_ended:
                s.give_back(len(s.body) - size)
        assert len(s.body) == 8 << 20 and c.goaway is None


def test_upload_in_small_pieces(gate, unharmed):
    with h2(gate) as c:
        s = c.open("POST", "/x", end=False)
        for _ in range(5000):
            s.send(b"x")
        assert s.end().done().status == 200


def test_large_head_in_parts(gate, unharmed):
    """Seven CONTINUATIONs, twenty times: nghttp2's own bound is eight."""
    with h2(gate) as c:
        for _ in range(20):
            s = c.stream()
            block = request_block("GET", "/short", ("x", "y" * 15000))
            c.headers(s.id, (), True, split=2000, block=block)
            assert s.done().status == 200


# ---- those who take nothing ----

def test_windows_that_never_open(origin_here):
    """A thousand answers that nobody takes: the first ones end by `write_idle`, the rest with their
    connections, for which ten of them are enough; and all cost little till then."""
    config = CONFIG + f"timeouts: {{ write_idle: {int(PATIENCE * 250)}ms }}\n"
    with Gate(config, origin=origin_here.address, env=FORGETFUL) as gate:
        with h2(gate) as c:
            assert c.request("/warm").status == 200
        before, clients = resident(gate.worker_pid), []
        for _ in range(10):
            c = h2(gate, settings={INITIAL_WINDOW_SIZE: 0})
            c.wait(lambda c=c: not c.unacked, "the ACK")
            clients.append((c, [c.open(path="/answer") for _ in range(100)]))
        for c, mine in clients:
            c.wait(lambda mine=mine: all(s.fields or s.is_gone for s in mine), "the heads")
        assert gate.metric("wharfgate_requests_active") > 900
        assert IS_SANITIZED or resident(gate.worker_pid) - before < 32 << 20
        for c, mine in clients:
            assert c.ended() == ENHANCE_YOUR_CALM
            assert not any(s.body for s in mine)
            c.close()
        assert gate.metric(COUNTER) == 10 and "window_stall" in gate.errors()
        until(lambda: gate.metric("wharfgate_requests_active") == 1, "the end of all")
        lines = gate.access_lines(1001)
        assert {x.get("reason") for x in lines[1:]} == {"write_timeout", "client_closed"}


def test_large_answers_behind_closed_windows(origin_here):
    """What is held of each is bounded by the window, not by the answer."""
    config = CONFIG + f"timeouts: {{ write_idle: {int(PATIENCE * 250)}ms }}\n"
    with Gate(config, origin=origin_here.address) as gate, \
            h2(gate, settings={INITIAL_WINDOW_SIZE: 0}) as c:
        assert c.open(path="/warm").has_head().status == 200
        before = resident(gate.worker_pid)
        mine = [c.open(path="/big") for _ in range(50)]
        c.wait(lambda: all(s.fields for s in mine), "the heads")
        c.settle()
        grown = resident(gate.worker_pid) - before
        assert IS_SANITIZED or grown < 50 * (256 << 10) + (8 << 20)
        c.wait(lambda: all(s.is_gone for s in mine), "the resets")


def stuck(sock, pieces, most):
    """Sends without reading; how many bytes go before nothing does for half a second."""
    sent, since, rest = 0, time.monotonic(), b""
    sock.setblocking(False)
    while sent < most and time.monotonic() - since < 0.5:
        rest = rest or next(pieces)
        try:
            count = sock.send(rest)
            rest, sent, since = rest[count:], sent + count, time.monotonic()
        except BlockingIOError:
            select.select([], [sock], [], 0.1)
        except OSError:
            break
    return sent


def small_client(gate):
    """A connection that has room for next to nothing that it does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(gate.address("http"))
    sock.sendall(PREFACE + frame(SETTINGS))
    return sock


def batches(kind):
    """A thousand frames at a time."""
    if kind == "request":
        block = request_block()
        for first in itertools.count(1, 2000):
            yield b"".join(frame(HEADERS, 5, i, block) for i in range(first, first + 2000, 2))
    while True:
        yield frame(PING, 0, 0, bytes(8)) * 1000


@pytest.mark.parametrize("kind", ["request", "ping"])
def test_client_that_does_not_read(origin_here, kind):
    """Nothing more is read from it than its answers leave room for."""
    with Gate(CONFIG, origin=origin_here.address, env=FORGETFUL) as gate:
        before = resident(gate.worker_pid)
        sock = small_client(gate)
        assert stuck(sock, batches(kind), 1 << 26) < 1 << 25
        assert resident(gate.worker_pid) - before < 32 << 20
        with h2(gate) as c:
            assert c.request("/short").status == 200
        sock.close()


def test_requests_of_a_slow_reader_are_all_answered(origin_here):
    """What was taken in is answered, however slowly it is read."""
    with Gate(CONFIG, origin=origin_here.address) as gate:
        count, block = 5000, request_block()
        with H2Client(Peer(small_client(gate)), preface=False) as c:
            c.unacked.append({})
            mine, done = [], 0
            for i in range(count):
                s = c.stream()
                mine.append(s)
                c.headers(s.id, (), True, block=block)
                if i - done > 100:
                    mine[done].done()
                    done += 1
            for s in mine:
                assert s.done().status == 200
