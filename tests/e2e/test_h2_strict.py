# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by the letter, after h2spec: one table of what a client may do wrong, one of what a
replica may. Each row says what is to come of it, and after it the gate still serves: on the
same connection unless that was to end. What was refused never reaches a replica."""
import contextlib
import itertools
import struct

import pytest

from h2peer import (ACK, CANCEL, COMPRESSION_ERROR, CONTINUATION, DATA, ENABLE_PUSH,
                    END_HEADERS, END_STREAM, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, GOAWAY,
                    HEADER_TABLE_SIZE, HEADERS, INITIAL_WINDOW_SIZE, INTERNAL_ERROR,
                    MAX_FRAME_SIZE, PADDED, PING, PREFACE, PRIORITY, PRIORITY_UPDATE,
                    PROTOCOL_ERROR, PUSH_PROMISE, REFUSED_STREAM, RST_STREAM, SETTINGS,
                    STREAM_CLOSED, WINDOW_UPDATE, WITH_PRIORITY, Gone, H2Origin, frame, h2, integer,
                    literal, settings_payload)
from harness import Gate, Origin, read_message, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  https: { address: "127.0.0.1:0", tls: { self_signed: true } }
upstreams:
  app: { servers: ["{origin}"], retries: 0{upstream} }
routes:
  - { upstream: app, max_body: unlimited }
limits: { header_bytes: 16KiB, header_count: 100 }
timeouts: { response_header: 5s, response_idle: 300ms }
"""
GET = literal((":method", "GET"), (":scheme", "http"), (":authority", "localhost"),
              (":path", "/refused"))
POST = literal((":method", "POST"), (":scheme", "http"), (":authority", "localhost"),
               (":path", "/refused"))
FINE = POST.replace(b"\x08/refused", b"\x05/fine")


# ---- what may come of it ----

def connection(*codes):
    """The connection ends with one of these codes."""
    return lambda c, s: c.is_closed and c.goaway and c.goaway.error_code in codes


def closed(c, s):
    """The connection ends, without a word."""
    return c.is_closed and not c.goaway


def stream(*codes):
    """The stream is reset with one of these; it has no answer, or one of refusal."""
    return lambda c, s: not c.is_closed and s.reset_code in codes and s.status in (None, 400)


def answer(*statuses):
    """It is answered like that; a reset may follow."""
    return lambda c, s: not c.is_closed and s.status in statuses and \
        (s.is_ended or s.reset_code in (0, PROTOCOL_ERROR))


def ignored(c, s):
    """Nothing comes of it."""
    return not c.is_closed and not c.goaway and (s is None or s.reset_code is None)


MALFORMED = [stream(PROTOCOL_ERROR), answer(400)]


# ---- what is done: functions of a client; they return the stream that is to blame ----

def write(c, frames):
    """Until it is closed: what it said before is still there to be read."""
    with contextlib.suppress(OSError):
        c.raw(b"".join(frames))


def send(*frames):
    return lambda c: write(c, frames)


def opened(*frames, block=POST):
    """Behind a head on stream 1 that is not the request's end."""
    def act(c):
        s = c.stream()
        c.headers(1, (), block=block)
        write(c, frames)
        return s
    return act


def started(*frames):
    """On stream 1, whose frames these are."""
    def act(c):
        s = c.stream()
        write(c, frames)
        return s
    return act


def finished(*frames):
    """On stream 1, which was answered."""
    def act(c):
        s = c.request("/fine")
        assert s.status == 200
        write(c, frames)
        return s
    return act


def cancelled(*frames):
    """On stream 1, which the client has reset."""
    def act(c):
        s = c.stream()
        c.headers(1, (), block=POST)
        c.rst(1)
        write(c, frames)
        return s
    return act


def half_closed(*frames):
    """On stream 1, whose request is complete and whose answer waits (its window is 0)."""
    def act(c):
        c.settings({INITIAL_WINDOW_SIZE: 0})
        c.wait(lambda: not c.unacked, "the ACK")
        s = c.open(path="/fine").has_head()
        write(c, frames)
        return s
    return act


def head(*pairs, **replaced):
    """A request with these fields more; method, scheme, authority, path may be replaced, and
    are left out when None."""
    def act(c):
        pseudo = {"method": "GET", "scheme": "http", "authority": "localhost",
                  "path": "/refused", **replaced}
        first = [(f":{k}", v) for k, v in pseudo.items() if v is not None]
        s = c.stream()
        c.headers(s.id, (), True, block=literal(*first, *pairs))
        return s
    return act


def body(length, *pieces, trailers=None):
    """A request whose Content-Length says that."""
    def act(c):
        s = c.stream()
        c.headers(s.id, (), block=POST + literal(("content-length", length)))
        for i, piece in enumerate(pieces):
            c.data(s.id, piece, i == len(pieces) - 1 and not trailers)
        if trailers:
            c.headers(s.id, (), True, block=literal(*trailers))
        return s
    return act


def overflowing(c):
    """More than the stream's window: the replica takes nothing."""
    s = c.open("POST", "/stall", end=False)
    c.pour(itertools.takewhile(lambda _: s.reset_code is None,
                               itertools.repeat(frame(DATA, 0, s.id, bytes(16384)), 2000)))
    return s


def word(value):
    return struct.pack(">L", value)


def settings(pairs, flags=0, number=0, more=b""):
    return frame(SETTINGS, flags, number, settings_payload(pairs) + more)


DEPENDS_ON_ITSELF = word(1) + b"\x0f"
P, FS, FC, SC, CE = (PROTOCOL_ERROR, FRAME_SIZE_ERROR, FLOW_CONTROL_ERROR, STREAM_CLOSED,
                     COMPRESSION_ERROR)
CASES = [
    # 4.1 Frame format
    ("unknown-type", send(frame(0xbe, 0, 0, b"12345678")), [ignored]),
    ("unknown-flags", send(frame(PING, 0x16, 0, b"12345678")), [ignored]),
    ("reserved-bit", send(frame(PING, 0, 1 << 31, b"12345678")), [ignored]),
    # 4.2 Frame size
    ("data-of-2^14", opened(frame(DATA, END_STREAM, 1, bytes(16384)), block=FINE), [answer(200)]),
    ("data-too-large", opened(frame(DATA, 0, 1, bytes(16385))), [stream(FS), connection(FS)]),
    ("headers-too-large", started(frame(HEADERS, 5, 1, GET + literal(("x", "y" * 16384)))),
     [connection(FS)]),
    ("settings-too-large", send(frame(SETTINGS, 0, 0, bytes(6) * 3000)), [connection(FS)]),
    ("unknown-too-large", send(frame(0xbe, 0, 0, bytes(16385))), [connection(FS)]),
    # 4.3 Header compression: blocks are whole
    ("bad-block", started(frame(HEADERS, 5, 1, b"\xff\xff\xff\xff\xff\xff")), [connection(CE)]),
    ("priority-amid-block",
     started(frame(HEADERS, 1, 1, GET), frame(PRIORITY, 0, 1, word(0) + b"1")),
     [connection(P)]),
    ("headers-amid-block", started(frame(HEADERS, 1, 1, GET), frame(HEADERS, 5, 3, GET)),
     [connection(P)]),
    ("ping-amid-block", started(frame(HEADERS, 1, 1, GET), frame(PING, 0, 0, bytes(8))),
     [connection(P)]),
    ("unknown-amid-block", started(frame(HEADERS, 1, 1, GET), frame(0xbe, 0, 1, b"x")),
     [connection(P)]),
    ("other-continuation-amid-block",
     started(frame(HEADERS, 1, 1, GET), frame(CONTINUATION, 4, 3, b"")), [connection(P)]),
    # 5.1 States: idle
    ("idle-data", send(frame(DATA, END_STREAM, 1, b"test")), [connection(P, SC)]),
    ("idle-rst", send(frame(RST_STREAM, 0, 1, word(CANCEL))), [connection(P)]),
    ("idle-window", send(frame(WINDOW_UPDATE, 0, 1, word(100))), [connection(P)]),
    ("idle-continuation", send(frame(CONTINUATION, 4, 1, GET)), [connection(P)]),
    ("idle-priority", send(frame(PRIORITY, 0, 1, word(0) + b"\x0f")), [ignored]),
    # 5.1 half closed by the client
    ("half-closed-data", half_closed(frame(DATA, END_STREAM, 1, b"test")),
     [stream(SC), connection(SC)]),
    ("half-closed-headers", half_closed(frame(HEADERS, 5, 1, GET)), [stream(SC), connection(SC)]),
    ("half-closed-continuation", half_closed(frame(CONTINUATION, 4, 1, GET)), [connection(SC, P)]),
    ("half-closed-window", half_closed(frame(WINDOW_UPDATE, 0, 1, word(100))), [ignored]),
    ("half-closed-priority", half_closed(frame(PRIORITY, 0, 1, word(0) + b"\x0f")), [ignored]),
    # 5.1 closed
    ("reset-data", cancelled(frame(DATA, END_STREAM, 1, b"test")),
     [stream(SC), connection(SC), ignored]),
    ("reset-headers", cancelled(frame(HEADERS, 5, 1, GET)), [stream(SC), connection(SC), ignored]),
    ("reset-continuation", cancelled(frame(CONTINUATION, 4, 1, GET)), [connection(SC, P)]),
    ("reset-window", cancelled(frame(WINDOW_UPDATE, 0, 1, word(100))), [ignored]),
    ("reset-twice", cancelled(frame(RST_STREAM, 0, 1, word(CANCEL))), [ignored]),
    # Nobody remembers it, and a stream that we have reset looks the same: so they are dropped.
    ("closed-data", finished(frame(DATA, END_STREAM, 1, b"test")),
     [stream(SC), connection(SC), ignored]),
    ("closed-headers",
     finished(frame(HEADERS, 5, 1, GET)), [stream(SC), connection(SC, P), ignored]),
    ("closed-continuation", finished(frame(CONTINUATION, 4, 1, GET)), [connection(SC, P)]),
    ("closed-window", finished(frame(WINDOW_UPDATE, 0, 1, word(100))), [ignored]),
    ("closed-rst", finished(frame(RST_STREAM, 0, 1, word(CANCEL))), [ignored]),
    ("closed-priority", finished(frame(PRIORITY, 0, 1, word(0) + b"\x0f")), [ignored]),
    # 5.1.1 Identifiers
    ("even-id", send(frame(HEADERS, 5, 2, GET)), [connection(P)]),
    ("smaller-id", lambda c: c.raw(frame(HEADERS, 4, 5, POST) + frame(HEADERS, 5, 3, GET)),
     [connection(P), ignored]),
    ("same-id", finished(frame(HEADERS, 5, 1, POST)), [connection(SC, P), stream(SC), ignored]),
    # 5.3 Priorities are deprecated: whatever they say, it is nothing
    ("headers-depends-on-itself", started(
        frame(HEADERS, 5 | WITH_PRIORITY, 1, DEPENDS_ON_ITSELF + FINE)),
     [answer(200), connection(P), stream(P)]),
    ("priority-depends-on-itself", send(frame(PRIORITY, 0, 1, DEPENDS_ON_ITSELF)), [ignored]),
    ("priority-update", send(frame(PRIORITY_UPDATE, 0, 0, word(1) + b"u=1")), [ignored]),
    ("priority-update-garbage", send(frame(PRIORITY_UPDATE, 0, 0, word(1) + b"\xff\0")), [ignored]),
    # 5.5 Extensions
    ("unknown-on-stream",
     opened(frame(0xbe, 0xff, 1, b"x"), frame(DATA, END_STREAM, 1), block=FINE),
     [answer(200)]),
    ("unknown-setting", send(settings({0xbeef: 1})), [ignored]),
    ("altsvc", send(frame(0xa, 0, 0, b"\0\0x")), [ignored]),
    # 6.1 DATA
    ("data-on-0", send(frame(DATA, 0, 0, b"test")), [connection(P)]),
    ("data-pad-too-long",
     opened(frame(DATA, PADDED | END_STREAM, 1, b"\x06test1")), [connection(P)]),
    ("data-pad-missing", opened(frame(DATA, PADDED | END_STREAM, 1)), [connection(P, FS)]),
    ("data-padded",
     opened(frame(DATA, PADDED | END_STREAM, 1, b"\x02testpp"), block=FINE), [answer(200)]),
    ("data-all-padding",
     opened(frame(DATA, PADDED | END_STREAM, 1, b"\xff" + bytes(255)), block=FINE),
     [answer(200)]),
    # 6.2 HEADERS
    ("headers-on-0", send(frame(HEADERS, 5, 0, GET)), [connection(P)]),
    ("headers-pad-too-long", started(frame(HEADERS, 5 | PADDED, 1, bytes([len(GET) + 1]) + GET)),
     [connection(P, FS)]),
    ("headers-padded", started(frame(HEADERS, 4 | PADDED, 1, b"\x03" + FINE + bytes(3)),
                               frame(DATA, END_STREAM, 1)), [answer(200)]),
    ("headers-priority-missing", started(frame(HEADERS, 5 | WITH_PRIORITY, 1, b"12")),
     [connection(P, FS)]),
    ("headers-empty", started(frame(HEADERS, 5, 1)), MALFORMED),
    # 6.3 PRIORITY
    ("priority-on-0", send(frame(PRIORITY, 0, 0, word(0) + b"\x0f")), [connection(P)]),
    ("priority-of-4", opened(frame(PRIORITY, 0, 1, word(0))), [stream(FS), connection(FS)]),
    ("priority-of-6", opened(frame(PRIORITY, 0, 1, word(0) + b"12")), [stream(FS), connection(FS)]),
    # 6.4 RST_STREAM
    ("rst-on-0", send(frame(RST_STREAM, 0, 0, word(CANCEL))), [connection(P)]),
    ("rst-of-3", opened(frame(RST_STREAM, 0, 1, bytes(3))), [connection(FS)]),
    ("rst-unknown-code", opened(frame(RST_STREAM, 0, 1, word(0xff))), [ignored]),
    # 6.5 SETTINGS
    ("settings-ack-with-payload", send(settings({ENABLE_PUSH: 0}, ACK)), [connection(FS)]),
    ("settings-ack-unasked", send(settings({}, ACK)), [ignored, connection(P)]),
    ("settings-on-1", send(settings({}, 0, 1)), [connection(P)]),
    ("settings-of-3", send(settings({}, more=bytes(3))), [connection(FS)]),
    ("settings-push-2", send(settings({ENABLE_PUSH: 2})), [connection(P)]),
    ("settings-window-2^31", send(settings({INITIAL_WINDOW_SIZE: 1 << 31})), [connection(FC)]),
    ("settings-frame-small", send(settings({MAX_FRAME_SIZE: 16383})), [connection(P)]),
    ("settings-frame-large", send(settings({MAX_FRAME_SIZE: 1 << 24})), [connection(P)]),
    ("settings-table-huge", send(settings({HEADER_TABLE_SIZE: 0xffffffff})), [ignored]),
    ("settings-twice",
     send(settings({INITIAL_WINDOW_SIZE: 1}), settings({INITIAL_WINDOW_SIZE: 65535})),
     [ignored]),
    # 6.6 PUSH_PROMISE
    ("push", opened(frame(PUSH_PROMISE, 4, 1, word(2) + GET)), [connection(P)]),
    # 6.7 PING
    ("ping-on-1", send(frame(PING, 0, 1, bytes(8))), [connection(P)]),
    ("ping-of-6", send(frame(PING, 0, 0, bytes(6))), [connection(FS)]),
    ("ping-ack-unasked", send(frame(PING, ACK, 0, b"unasked!")), [ignored]),
    # 6.8 GOAWAY
    ("goaway-on-1", send(frame(GOAWAY, 0, 1, word(0) + word(0))), [connection(P)]),
    ("goaway-of-7", send(frame(GOAWAY, 0, 0, bytes(7))), [connection(FS)]),
    # 6.9 WINDOW_UPDATE
    ("window-0", send(frame(WINDOW_UPDATE, 0, 0, word(0))), [connection(P)]),
    ("window-0-on-stream", opened(frame(WINDOW_UPDATE, 0, 1, word(0))), [stream(P), connection(P)]),
    ("window-of-3", send(frame(WINDOW_UPDATE, 0, 0, bytes(3))), [connection(FS)]),
    ("window-of-5", send(frame(WINDOW_UPDATE, 0, 0, bytes(5))), [connection(FS)]),
    ("window-2^31", send(frame(WINDOW_UPDATE, 0, 0, word((1 << 31) - 1)) * 2), [connection(FC)]),
    ("window-2^31-on-stream", opened(frame(WINDOW_UPDATE, 0, 1, word((1 << 31) - 1)) * 2),
     [stream(FC), connection(FC)]),
    ("window-2^31-by-settings", opened(frame(WINDOW_UPDATE, 0, 1, word((1 << 31) - 65536)),
                                       settings({INITIAL_WINDOW_SIZE: 65536})),
     [connection(FC), stream(FC)]),
    ("window-overrun", overflowing, [stream(FC), connection(FC)]),
    # 6.10 CONTINUATION
    ("continuations", started(frame(HEADERS, 0, 1, FINE[:9]), *[
        frame(CONTINUATION, 0, 1, FINE[i:i + 15]) for i in range(9, len(FINE), 15)],
        frame(CONTINUATION, 4, 1), frame(DATA, END_STREAM, 1)), [answer(200)]),
    ("continuation-then-data",
     started(frame(HEADERS, 0, 1, GET[:9]), frame(CONTINUATION, 0, 1, GET[9:]),
             frame(DATA, END_STREAM, 1, b"x")), [connection(P)]),
    ("continuation-on-0",
     started(frame(HEADERS, 0, 1, GET[:9]), frame(CONTINUATION, 4, 0, GET[9:])),
     [connection(P)]),
    ("continuation-behind-headers", opened(frame(CONTINUATION, 4, 1, literal(("x", "y")))),
     [connection(P)]),
    ("continuation-behind-continuation",
     started(frame(HEADERS, 0, 1, POST[:9]), frame(CONTINUATION, 4, 1, POST[9:]),
             frame(CONTINUATION, 4, 1)), [connection(P)]),
    ("continuation-behind-data", opened(frame(DATA, 0, 1, b"x"), frame(CONTINUATION, 4, 1)),
     [connection(P)]),
    # 8.1 Framing of messages
    ("headers-amid-body", opened(frame(HEADERS, END_HEADERS, 1, literal(("x", "y")))), MALFORMED),
    ("headers-twice", opened(frame(HEADERS, END_HEADERS, 1, POST)), MALFORMED),
    ("trailers", opened(frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 1, literal(("x", "y"))),
                        block=FINE), [answer(200)]),
    ("trailers-empty", opened(frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 1), block=FINE),
     [answer(200)]),
    ("trailers-pseudo",
     opened(frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 1, literal((":path", "/x")))),
     MALFORMED),
    ("trailers-upper", opened(frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 1, literal(("X", "y")))),
     MALFORMED),
    ("trailers-connection",
     opened(frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 1, literal(("connection", "close")))),
     MALFORMED),
    ("trailers-lf", opened(frame(DATA, 0, 1, b"x"), frame(HEADERS, 5, 1, literal(("x", "y\n")))),
     MALFORMED),
    ("trailers-behind-trailers",
     opened(frame(HEADERS, 5, 1, literal(("x", "y"))), frame(HEADERS, 5, 1, literal(("x", "y")))),
     [stream(SC), connection(SC), ignored]),
    # 8.1.1 Lengths
    ("length-longer", body("1", b"test"), MALFORMED),
    ("length-shorter", body("5", b"test"), MALFORMED),
    ("length-longer-in-parts", body("1", b"", b"te", b"st"), MALFORMED),
    ("length-shorter-in-parts", body("10", b"te", b"st"), MALFORMED),
    ("length-shorter-with-trailers", body("5", b"test", trailers=[("x", "y")]), MALFORMED),
    ("length-without-body", head(("content-length", "1"), method="POST"), MALFORMED),
    ("length-minus", body("-1", b"x"), MALFORMED),
    ("length-plus", body("+1", b"x"), MALFORMED),
    ("length-list", body("1, 1", b"x"), MALFORMED),
    ("length-hex", body("0x1", b"x"), MALFORMED),
    ("length-empty", body("", b""), MALFORMED),
    ("length-overflow", body("18446744073709551617", b"x"), MALFORMED),
    ("length-twice", head(("content-length", "0"), ("content-length", "1")), MALFORMED),
    # 8.2 Fields
    ("name-upper", head(("X-TEST", "ok")), MALFORMED),
    ("name-empty", head(("", "x")), MALFORMED),
    ("name-space", head(("a b", "x")), MALFORMED),
    ("name-space-behind", head(("transfer-encoding ", "chunked")), MALFORMED),
    ("name-colon", head(("a:b", "x")), MALFORMED),
    ("name-lf", head(("a\nb", "x")), MALFORMED),
    ("name-crlf", head(("a: b\r\nc", "x")), MALFORMED),
    ("name-nul", head(("a\0", "x")), MALFORMED),
    ("name-high", head(("a\xff", "x")), MALFORMED),
    ("name-tab", head(("a\t", "x")), MALFORMED),
    ("value-lf", head(("x", "a\nb")), MALFORMED),
    ("value-cr", head(("x", "a\rb")), MALFORMED),
    ("value-crlf", head(("x", "a\r\nhost: evil")), MALFORMED),
    ("value-smuggled",
     head(("x", "a\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: evil\r\n\r\n")), MALFORMED),
    ("value-nul", head(("x", "a\0b")), MALFORMED),
    ("value-control", head(("x", "a\x01b")), MALFORMED),
    ("value-delete", head(("x", "a\x7fb")), MALFORMED),
    ("value-space-before", head(("x", " a")), MALFORMED + [ignored]),
    ("value-space-behind", head(("x", "a ")), MALFORMED + [ignored]),
    ("cookie-lf", head(("cookie", "a=1"), ("cookie", "b=2\r\nx: y")), MALFORMED),
    ("connection", head(("connection", "keep-alive")), MALFORMED),
    ("connection-names", head(("connection", "x"), ("x", "y")), MALFORMED),
    ("keep-alive", head(("keep-alive", "timeout=5")), MALFORMED),
    ("proxy-connection", head(("proxy-connection", "keep-alive")), MALFORMED),
    ("transfer-encoding", head(("transfer-encoding", "chunked"), method="POST"), MALFORMED),
    ("transfer-encoding-identity", head(("transfer-encoding", "identity")), MALFORMED),
    ("upgrade", head(("upgrade", "websocket")), MALFORMED),
    ("te-gzip", head(("te", "gzip")), MALFORMED),
    ("te-list", head(("te", "trailers, deflate;q=0.5")), MALFORMED),
    ("te-trailers", head(("te", "trailers"), path="/fine"), [answer(200)]),
    ("expect-x", head(("expect", "x"), method="POST"), [answer(417)]),
    # 8.3 Pseudo-fields
    ("pseudo-unknown", head((":test", "ok")), MALFORMED),
    ("pseudo-empty", head((":", "ok")), MALFORMED),
    ("pseudo-status", head((":status", "200")), MALFORMED),
    ("pseudo-behind", head(("x", "y"), (":path", "/refused"), path=None), MALFORMED),
    ("pseudo-authority-behind",
     head(("x", "y"), (":authority", "localhost"), authority=None), MALFORMED),
    ("pseudo-protocol", head((":protocol", "websocket")), MALFORMED),
    ("method-missing", head(method=None), MALFORMED),
    ("scheme-missing", head(scheme=None), MALFORMED),
    ("path-missing", head(path=None), MALFORMED),
    ("all-missing", head(method=None, scheme=None, path=None, authority=None), MALFORMED),
    ("method-twice", head((":method", "GET")), MALFORMED),
    ("scheme-twice", head((":scheme", "http")), MALFORMED),
    ("path-twice", head((":path", "/refused")), MALFORMED),
    ("authority-twice", head((":authority", "localhost")), MALFORMED),
    ("method-empty", head(method=""), MALFORMED),
    ("method-space", head(method="GET /smuggled HTTP/1.1"), MALFORMED),
    ("method-crlf", head(method="GET / HTTP/1.1\r\nx:"), MALFORMED),
    ("scheme-empty", head(scheme=""), MALFORMED),
    ("scheme-crlf", head(scheme="http\r\n"), MALFORMED),
    ("scheme-text", head(scheme="http://evil/?"), MALFORMED),
    ("path-empty", head(path=""), MALFORMED),
    ("path-no-slash", head(path="refused"), MALFORMED),
    ("path-asterisk", head(path="*"), MALFORMED),
    ("path-absolute", head(path="http://localhost/refused"), MALFORMED),
    ("path-space", head(path="/refused HTTP/1.1"), MALFORMED),
    ("path-crlf", head(path="/refused\r\nx: y"), MALFORMED),
    ("path-nul", head(path="/refused\0"), MALFORMED),
    ("path-fragment", head(path="/refused#x"), MALFORMED),
    ("path-high", head(path="/refused\xff"), MALFORMED),
    ("path-above-root", head(path="/../refused"), MALFORMED),
    ("path-bad-percent", head(path="/refused%zz"), MALFORMED),
    ("authority-missing", head(authority=None), MALFORMED),
    ("authority-empty", head(authority=""), MALFORMED),
    ("authority-user", head(authority="user@localhost"), MALFORMED),
    ("authority-path", head(authority="localhost/refused"), MALFORMED),
    ("authority-space", head(authority="local host"), MALFORMED),
    ("authority-crlf", head(authority="localhost\r\nx: y"), MALFORMED),
    ("authority-port", head(authority="localhost:99999"), MALFORMED),
    ("host-differs", head(("host", "evil.example")), MALFORMED),
    ("host-twice", head(("host", "localhost"), ("host", "localhost")), MALFORMED),
    ("host-empty", head(("host", "")), MALFORMED),
    ("connect-with-path", head(method="CONNECT"), [stream(P), answer(400, 405)]),
    ("connect-without-authority", head(method="CONNECT", scheme=None, path=None, authority=None),
     [stream(P), answer(400, 405)]),
    # Bounds
    ("too-many-fields", head(*[("x", "y")] * 101), [answer(431)]),
    ("too-large", lambda c: large(c, 20000), [answer(431)]),
    ("too-large-by-reference", lambda c: referring(c, 10), [answer(431)]),
    # 8.4 Codes that nobody knows
    ("goaway-unknown-code", send(frame(GOAWAY, 0, 0, word(0) + word(0xff))), [ignored, closed,
                                                                          connection(0)]),
    # RFC 7541
    ("hpack-index-0", started(frame(HEADERS, 5, 1, b"\x80")), [connection(CE)]),
    ("hpack-index-beyond",
     started(frame(HEADERS, 5, 1, GET + integer(70, 7, 0x80))), [connection(CE)]),
    ("hpack-name-beyond", started(frame(HEADERS, 5, 1, GET + integer(70, 4) + b"\x01x")),
     [connection(CE)]),
    ("hpack-update-at-end", started(frame(HEADERS, 5, 1, GET + b"\x3f\x01")), [connection(CE)]),
    ("hpack-update-too-large", started(frame(HEADERS, 5, 1, integer(4097, 5, 0x20) + GET)),
     [connection(CE)]),
    ("hpack-integer-endless",
     started(frame(HEADERS, 5, 1, b"\xff" + b"\x80" * 20)), [connection(CE)]),
    ("hpack-huffman-padding-8", started(frame(HEADERS, 5, 1, GET + b"\x00\x01x\x82\x1f\xff")),
     [connection(CE)]),
    ("hpack-huffman-padding-0", started(frame(HEADERS, 5, 1, GET + b"\x00\x01x\x81\x18")),
     [connection(CE)]),
    ("hpack-huffman-eos", started(frame(HEADERS, 5, 1, GET + b"\x00\x01x\x84\xff\xff\xff\xff")),
     [connection(CE)]),
    ("hpack-cut-string", started(frame(HEADERS, 5, 1, GET + b"\x00\x05ab")), [connection(CE)]),
    ("hpack-cut-name", started(frame(HEADERS, 5, 1, GET + b"\x00")), [connection(CE)]),
    ("hpack-bad-trailers", opened(frame(HEADERS, 5, 1, b"\x80")), [connection(CE)]),
    ("hpack-bad-block-of-closed", cancelled(frame(HEADERS, 5, 1, b"\x80")), [connection(CE, SC)]),
]


def large(c, size):
    """A head that is larger than allowed, in several frames."""
    s = c.stream()
    c.headers(s.id, (), True, block=GET + literal(("x", "y" * size)))
    return s


def referring(c, times):
    """Few bytes that stand for many: one large field in the table, referred to again and again."""
    block = GET + b"\x40\x01x" + integer(3500, 7) + b"y" * 3500 + b"\xbe" * times
    s = c.stream()
    c.headers(s.id, (), True, block=block)
    return s


class Site:
    """A gate, and an HTTP/1 replica whose requests are remembered; /stall is not read."""

    def __init__(self):
        def serve(peer, o):
            while True:
                request = peer.read_until(b"\r\n\r\n")
                peer.pending = request + peer.pending
                if b"/stall" in request.split(b"\r\n")[0]:
                    o.requests.append(request)
                    until(lambda: self.is_over, "the test's end", 60)
                    return
                request = o.read(peer)
                text = f"{request.target}"
                peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(text)}\r\n\r\n{text}")
        self.is_over = False
        self.origin = Origin(serve)
        self.gate = Gate(CONFIG, origin=self.origin.address, upstream="")

    def forwarded(self):
        return [r.target for r in self.origin.requests if hasattr(r, "target")]


@pytest.fixture(scope="module")
def site():
    s = Site()
    with s.origin, s.gate:
        yield s
        s.is_over = True


def settle(c, s, is_quiet):
    """Waits for what comes of it, or long enough to tell that nothing does."""
    if not is_quiet:
        c.wait(lambda: c.is_closed or (s and (s.is_ended or s.reset_code is not None)),
               "an error")
    with contextlib.suppress(OSError, AssertionError):
        c.settle()
        c.settle()
    if c.goaway:
        c.wait(lambda: c.is_closed, "the end behind GOAWAY")


@pytest.mark.parametrize("act, expected", [pytest.param(*rest, id=name) for name, *rest in CASES])
def test_client(site, act, expected):
    """What it may be for: the RFC's rule; what must hold besides: the connection goes on unless it
    had to end, others too, and nothing reaches a replica that was refused."""
    before = len(site.forwarded())
    with h2(site.gate) as c:
        c.settle()
        c.by_hand = True
        s = act(c)
        settle(c, s, ignored in expected)
        seen = f"{c.is_closed=} {c.goaway=} " + (
            f"{s.status=} {s.reset_code=} {s.is_ended=}" if s else "")
        assert any(e(c, s) for e in expected), seen
        if not c.is_closed and not c.goaway:
            c.next_id = max(c.next_id, 101)
            after = c.open(path="/fine-after")
            c.window_update(1000, after.id)
            assert after.done().status == 200
        c.peer.reset()  # a FIN would let what waits for its window wait on
    fresh = site.gate.raw("GET /fence HTTP/1.1\r\nHost: a\r\n\r\n")
    assert fresh.body == b"/fence"
    reached = site.forwarded()[before:]
    assert "/smuggled" not in reached
    if expected is MALFORMED:  # nor was it shown as complete
        assert "/refused" not in reached


def test_every_refusal_has_a_reason(site):
    """Of the table above: what was answered says why in the log."""
    with h2(site.gate) as c:
        assert head(("connection", "close"))(c).done().status in (400, None)
    lines = site.gate.access_lines()
    refused = [x for x in lines if x.get("status") in (400, 405, 417, 431)]
    assert refused and not [x for x in refused if not x.get("reason")]


@pytest.mark.parametrize("data, codes", [
    (b"INVALID CONNECTION PREFACE\r\n\r\n", (PROTOCOL_ERROR,)),
    (PREFACE[:-2] + b"XX" + frame(SETTINGS), (PROTOCOL_ERROR,)),
    (PREFACE + frame(PING, 0, 0, bytes(8)), (PROTOCOL_ERROR,)),
    (PREFACE + frame(HEADERS, 5, 1, GET), (PROTOCOL_ERROR,)),
    (PREFACE + frame(SETTINGS, ACK), (PROTOCOL_ERROR,)),
    (PREFACE + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (PROTOCOL_ERROR, FRAME_SIZE_ERROR)),
    (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", (PROTOCOL_ERROR,))])
def test_preface(site, data, codes):
    """3.4: where h2 was agreed on, something else ends the connection."""
    with h2(site.gate, "https", tls=True, preface=False) as c:
        c.raw(data)
        assert c.ended() in (*codes, None)


@pytest.mark.parametrize("settings_sent, flags", [({}, 0), ({ENABLE_PUSH: 0, 99: 1}, 0)])
def test_settings_are_acknowledged(site, settings_sent, flags):
    with h2(site.gate) as c:
        c.settings(settings_sent)
        c.wait(lambda: not c.unacked, "both ACKs")


def test_ping_comes_back(site):
    with h2(site.gate) as c:
        c.ping(b"\0\1\2\3\4\5\6\7")
        c.wait(lambda: b"\0\1\2\3\4\5\6\7" in c.pongs, "the PING")


def test_table_size_of_the_client_is_kept(site):
    """A client without a table gets blocks without references to one."""
    with h2(site.gate, settings={HEADER_TABLE_SIZE: 0}) as c:
        c.decoder.max_allowed_table_size = 0
        c.wait(lambda: not c.unacked, "the ACK")
        for _ in range(3):
            assert c.request("/fine").status == 200
        assert c.decoder.header_table_size == 0 and not c.decoder.header_table.dynamic_entries


# ---- replicas ----

OK = [(":status", "200")]
CUT = "cut"  # the client's stream is reset, and never complete


def sends(*steps):
    """Head blocks (a list of pairs), body bytes, END, or functions of the stream."""
    def handle(s):
        for step in steps:
            if callable(step):
                step(s)
            elif isinstance(step, list):
                s.wire.headers(s.id, (), block=literal(*step))
            else:
                s.send(step)
    return handle


def ends(s):
    s.end()


def head_end(*pairs):
    return lambda s: s.wire.headers(s.id, (), True, block=literal(*pairs))


def breaks(*args):
    """A frame on the stream, or on no stream with `0` first."""
    return lambda s: s.wire.raw(frame(args[0], args[1], s.id, args[2]))


def hangs(s):
    s.wait(lambda: False, "the reset")


RESPONSES = [
    ("no-status", sends([("x", "y")], ends), 502),
    ("status-empty", sends([(":status", "")], ends), 502),
    ("status-word", sends([(":status", "OK")], ends), 502),
    ("status-20", sends([(":status", "20")], ends), 502),
    ("status-2000", sends([(":status", "2000")], ends), 502),
    ("status-099", sends([(":status", "099")], ends), 502),
    ("status-600", sends([(":status", "600")], ends), 502),
    ("status-minus", sends([(":status", "-200")], ends), 502),
    ("status-twice", sends([*OK, *OK], ends), 502),
    ("status-behind", sends([("x", "y"), *OK], ends), 502),
    ("pseudo-path", sends([*OK, (":path", "/")], ends), 502),
    ("pseudo-unknown", sends([*OK, (":x", "/")], ends), 502),
    ("name-upper", sends([*OK, ("X", "y")], ends), 502),
    ("name-lf", sends([*OK, ("a\nb", "y")], ends), 502),
    ("name-empty", sends([*OK, ("", "y")], ends), 502),
    ("value-crlf", sends([*OK, ("x", "y\r\nset-cookie: evil=1")], ends), 502),
    ("value-nul", sends([*OK, ("x", "y\0")], ends), 502),
    ("connection", sends([*OK, ("connection", "close")], ends), 502),
    ("transfer-encoding", sends([*OK, ("transfer-encoding", "chunked")], b"0\r\n\r\n", ends), 502),
    ("keep-alive", sends([*OK, ("keep-alive", "1")], ends), 502),
    ("upgrade", sends([*OK, ("upgrade", "x")], ends), 502),
    ("length-list", sends([*OK, ("content-length", "5, 5")], b"hello", ends), 502),
    ("length-twice",
     sends([*OK, ("content-length", "5"), ("content-length", "6")], b"hello", ends), 502),
    ("length-minus", sends([*OK, ("content-length", "-5")], ends), 502),
    ("length-without-body", sends(head_end(*OK, ("content-length", "5"))), (502, CUT)),
    ("too-many-fields", sends([*OK, *[("x", "y")] * 101], ends), 502),
    ("too-large", sends([*OK, ("x", "y" * 20000)], ends), 502),
    ("far-too-large", sends([*OK, *[("x", "y" * 15000)] * 8], ends), 502),
    ("101", sends([(":status", "101")], hangs), 502),
    ("1xx-end", sends(head_end((":status", "103"))), 502),
    ("1xx-for-ever", sends(*[[(":status", "103")]] * 200, OK, ends), 502),
    ("body-before-head", sends(breaks(DATA, 0, b"x"), hangs), 502),
    ("end-before-head", sends(breaks(DATA, END_STREAM, b"")), 502),
    ("reset-before-head", sends(lambda s: s.reset(INTERNAL_ERROR)), 502),
    ("reset-refused", sends(lambda s: s.reset(REFUSED_STREAM)), (502, 503)),
    ("reset-no-error", sends(lambda s: s.reset(0)), 502),
    ("hpack", sends(breaks(HEADERS, 4, b"\x80"), hangs), 502),
    ("push", sends(breaks(PUSH_PROMISE, 4, word(2) + GET), hangs), 502),
    ("frame-too-large", sends(breaks(DATA, 0, bytes(16385)), hangs), 502),
    ("window-0", sends(breaks(WINDOW_UPDATE, 0, word(0)), hangs), 502),
    ("goaway-0", sends(lambda s: s.wire.send_goaway(0, PROTOCOL_ERROR), hangs), 502),
    ("closes", sends(lambda s: s.wire.peer.reset()), 502),
    # Behind a good head
    ("length-longer", sends([*OK, ("content-length", "4")], b"hello", ends), CUT),
    ("length-shorter", sends([*OK, ("content-length", "6")], b"hello", ends), CUT),
    ("length-shorter-trailers", sends([*OK, ("content-length", "6")], b"hello",
                                      head_end(("x", "y"))), CUT),
    ("reset-amid", sends(OK, b"hello", lambda s: s.reset(INTERNAL_ERROR)), CUT),
    ("reset-cancel-amid", sends(OK, b"hello", lambda s: s.reset(CANCEL)), CUT),
    ("reset-no-error-amid", sends(OK, b"hello", lambda s: s.reset(0)), CUT),
    ("closes-amid", sends(OK, b"hello", lambda s: s.wire.peer.reset()), CUT),
    ("stalls-amid", sends(OK, b"hello", hangs), CUT),
    ("headers-amid", sends(OK, b"hello", OK, hangs), CUT),
    ("trailers-pseudo", sends(OK, b"hello", head_end((":status", "200"))), CUT),
    ("trailers-upper", sends(OK, b"hello", head_end(("X", "y"))), CUT),
    ("trailers-lf", sends(OK, b"hello", head_end(("x", "y\n"))), CUT),
    ("hpack-amid", sends(OK, b"hello", breaks(HEADERS, 5, b"\x80"), hangs), CUT),
    ("pad-amid", sends(OK, b"hello", breaks(DATA, PADDED, b"\x06test1"), hangs), CUT),
    # Odd, and right
    ("until-end", sends(OK, b"hello", ends), (200, b"hello")),
    ("empty-data", sends(OK, b"hel", breaks(DATA, 0, b""), b"lo", ends), (200, b"hello")),
    ("padded", sends(OK, breaks(DATA, PADDED | END_STREAM, b"\x03hello\0\0\0")), (200, b"hello")),
    ("unknown-frame", sends(breaks(0xbe, 0, b"x"), OK, b"hello", ends), (200, b"hello")),
    ("trailers-empty", sends(OK, b"hello", head_end()), (200, b"hello")),
    ("head-alone", sends(head_end(*OK)), (200, b"")),
    ("length-0", sends([*OK, ("content-length", "0")], ends), (200, b"")),
    ("204", sends(head_end((":status", "204"))), (204, b"")),
    ("304-length", sends(head_end((":status", "304"), ("content-length", "77"))), (304, b"")),
]


class Bad:
    """A gate, and an HTTP/2 replica that answers /bad as told."""

    def __init__(self):
        self.bad = None
        self.origin = H2Origin(lambda s: self.bad(s) if s.target == "/bad" else
                               s.respond(200, s.target))
        self.gate = Gate(CONFIG, origin=self.origin.address, upstream=", protocol: h2")


@pytest.fixture(scope="module")
def bad():
    b = Bad()
    with b.gate:
        yield b
    b.origin.close()


@pytest.mark.parametrize("handle, expected",
                         [pytest.param(*rest, id=name) for name, *rest in RESPONSES])
def test_response(bad, handle, expected):
    """To a client of either version: a refusal, a cut, or what was meant; never half of it as a
    whole. Others, and the next one, get theirs."""
    bad.bad = handle
    with h2(bad.gate) as c:
        assert bytes(c.request("/fine").body) == b"/fine"
        s = c.request("/bad")
        check(expected, s.status, bytes(s.body), s.is_ended and s.reset_code is None)
        assert not s.get("set-cookie")
        assert bytes(c.request("/fine").body) == b"/fine"
        assert c.goaway is None
    with bad.gate.connect() as c:
        c.send("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n")
        try:
            r = read_message(c)
            while r.status < 200:
                r = read_message(c)
            check(expected, r.status, r.body, True)
        except (EOFError, ConnectionResetError):
            check(expected, None, b"", False)
    assert not [e for e in bad.origin.errors if not isinstance(e, Gone)]


def check(expected, status, got, is_whole):
    if expected == CUT:
        assert not is_whole and status in (200, None), (status, got)
    elif isinstance(expected, tuple) and isinstance(expected[1], bytes):
        assert is_whole and (status, got) == expected
    else:
        allowed = expected if isinstance(expected, tuple) else (expected,)
        assert (status in allowed and is_whole) or (CUT in allowed and not is_whole), (status, got)


@pytest.mark.parametrize("data", [
    b"", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", frame(PING, 0, 0, bytes(8)),
    frame(SETTINGS, 0, 0, bytes(3)), frame(GOAWAY, 0, 0, word(0) + word(1))])
def test_replica_that_does_not_speak_it(data):
    """502, in short."""
    def serve(peer, o):
        peer.recv()
        peer.send(data)
    with Origin(serve) as o, Gate(CONFIG, origin=o.address, upstream=", protocol: h2") as gate, \
            h2(gate) as c:
        assert c.request().status == 502
        assert gate.request().status == 502
        assert gate.access_lines(2)[0]["reason"].startswith(("upstream_", "connect"))
