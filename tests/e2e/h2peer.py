# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 as a test needs it: a client and an origin made of frames.

Both sides are a `Wire`: it writes any frame, a wrong one too, reads frames by hyperframe,
header blocks by hpack, and notes in `Stream`s what they mean. It is a strict peer: what the
gate may not send (data beyond a window, frames that are too large, fields that do not belong
to HTTP/2) is a ProtocolViolation, whatever the test is about.

`H2Client` has no thread: it reads while it waits. `H2Origin` reads in a thread a connection
and runs the test's function in a thread a stream, so that it may wait, stall or hang.
"""
import contextlib
import json
import select
import socket
import ssl
import struct
import subprocess
import threading
import time

from hpack import Decoder, Encoder
from hyperframe.frame import Frame

from harness import PATIENCE, Load, Origin, insecure, read_chunked

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, \
    CONTINUATION = range(10)
PRIORITY_UPDATE = 0x10
END_STREAM = ACK = 0x1
END_HEADERS, PADDED, WITH_PRIORITY = 0x4, 0x8, 0x20
NO_ERROR, PROTOCOL_ERROR, INTERNAL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, \
    FRAME_SIZE_ERROR, REFUSED_STREAM, CANCEL, COMPRESSION_ERROR, CONNECT_ERROR, \
    ENHANCE_YOUR_CALM, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED = range(14)
HEADER_TABLE_SIZE, ENABLE_PUSH, MAX_CONCURRENT_STREAMS, INITIAL_WINDOW_SIZE, MAX_FRAME_SIZE, \
    MAX_HEADER_LIST_SIZE = range(1, 7)
PRESETS = {HEADER_TABLE_SIZE: 4096, ENABLE_PUSH: 1, INITIAL_WINDOW_SIZE: 65535,
           MAX_FRAME_SIZE: 16384}
NOTICE = (1 << 31) - 1  # last stream of a GOAWAY that only gives notice
HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}


class ProtocolViolation(AssertionError):
    """The gate sent what RFC 9113 forbids."""


class Gone(EOFError):
    """The stream or the connection ended while something was awaited of it."""


def frame(kind, flags=0, stream=0, payload=b"", length=None):
    """A frame's bytes; `length` may lie."""
    size = len(payload) if length is None else length
    return struct.pack(">BHBBL", size >> 16, size & 0xffff, kind, flags, stream) + payload


def encoded(text):
    return text.encode("latin-1") if isinstance(text, str) else bytes(text)


def literal(*pairs):
    """A header block without tables and Huffman: never indexed, whatever the bytes are."""
    block = b""
    for pair in pairs:
        block += b"\x10" + b"".join(integer(len(encoded(x)), 7) + encoded(x) for x in pair)
    return block


def integer(value, bits, first=0):
    """HPACK's integer (RFC 7541 5.1)."""
    most = (1 << bits) - 1
    if value < most:
        return bytes([first | value])
    data, value = bytes([first | most]), value - most
    while value >= 128:
        data, value = data + bytes([value & 127 | 128]), value >> 7
    return data + bytes([value])


def settings_payload(settings):
    return b"".join(struct.pack(">HL", key, value) for key, value in dict(settings).items())


class Stream:
    """One stream as this side sees it. What was received: `fields` of the head, pseudo-fields
    included, `interim` heads, `body`, `trailers`; how it ended: `is_ended`, `reset_code`."""

    def __init__(self, wire, number):
        self.wire, self.id = wire, number
        self.fields, self.interim, self.trailers, self.body = None, [], [], bytearray()
        self.is_ended = self.was_reset = self.has_sent_end = False
        self.reset_code = None
        self.window = wire.theirs[INITIAL_WINDOW_SIZE]  # what we may send
        self.room = wire.ours[INITIAL_WINDOW_SIZE]      # what may be sent to us
        self.gives_back, self.taken = True, 0           # WINDOW_UPDATEs as data comes?

    @property
    def status(self):
        return self.fields and int(self.get(":status"))

    @property
    def method(self):
        return self.get(":method")

    @property
    def target(self):
        return self.get(":path")

    @property
    def json(self):
        return json.loads(bytes(self.body))

    @property
    def is_over(self):
        """Closed, as far as this side knows."""
        return self.is_gone or (self.is_ended and self.has_sent_end)

    @property
    def is_gone(self):
        return self.reset_code is not None or self.was_reset or self.wire.is_closed

    def get(self, name, default=None):
        return next((v for k, v in self.fields or () if k == name), default)

    def get_all(self, name):
        return [v for k, v in self.fields if k == name]

    def wait(self, condition, what):
        """Waits until the condition holds; Gone when the stream ends without it."""
        self.wire.wait(lambda: condition() or self.is_gone, f"{what} of stream {self.id}")
        if not condition():
            raise Gone(f"stream {self.id} ended before {what}, {self.reset_code=}")
        return self

    def done(self):
        """Waits until it ended, in whatever way."""
        self.wire.wait(lambda: self.is_ended or self.is_gone, f"the end of stream {self.id}")
        return self

    def has_head(self):
        return self.wait(lambda: self.fields is not None, "the head")

    def read(self):
        """The whole body."""
        self.wait(lambda: self.is_ended, "the end")
        return bytes(self.body)

    # ---- sending ----

    def head(self, pairs, end=False):
        self.has_sent_end |= end
        self.wire.headers(self.id, pairs, end)
        return self

    def inform(self, status, *pairs):
        return self.head([(":status", str(status)), *pairs])

    def respond(self, status=200, body=b"", pairs=(), trailers=None):
        """An origin's answer, whole."""
        body = encoded(body)
        self.head([(":status", str(status)), *pairs], end=not body and trailers is None)
        if body:
            self.send(body, end=trailers is None)
        if trailers is not None:
            self.end(trailers)

    def send(self, data, end=False):
        """Body, as the windows allow."""
        data = encoded(data)
        while data:
            size = self.wire.take_window(self, len(data))
            is_last = end and size == len(data)
            self.has_sent_end |= is_last
            self.wire.data(self.id, data[:size], is_last)
            data = data[size:]
        return self

    def end(self, trailers=None):
        self.has_sent_end = True
        if trailers:
            self.wire.headers(self.id, trailers, True)
        else:
            self.wire.data(self.id, b"", True)
        return self

    def reset(self, code=CANCEL):
        self.was_reset = True
        self.wire.rst(self.id, code)

    def give_back(self, size):
        """Opens its window further."""
        self.wire.window_update(size, self.id)


class Wire:
    """One connection, either side. `acks`, `windows`: answer SETTINGS and PING, give windows
    back by itself."""
    is_server = False

    def __init__(self, peer, acks=True, windows=True):
        self.peer, self.acks, self.windows = peer, acks, windows
        if peer.sock.family != socket.AF_UNIX:
            peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lock = threading.RLock()
        self.encoder, self.decoder = Encoder(), Decoder(max_header_list_size=1 << 24)
        self.streams, self.received = {}, []
        self.theirs, self.ours, self.unacked = dict(PRESETS), dict(PRESETS), []
        self.window = self.room = 65535
        self.taken, self.pongs = 0, set()
        self.buffer, self.block = bytearray(), None
        self.goaway, self.is_closed = None, False
        self.held = None  # collects what is to be sent, while it is not None
        self.by_hand = False  # streams and windows are made by raw frames too

    # ---- frames of any kind ----

    def raw(self, data):
        with self.lock:
            if self.held is None:
                self.peer.send(data)
            else:
                self.held += data

    def frame(self, *args, **kw):
        self.raw(frame(*args, **kw))

    def headers(self, stream, pairs, end=False, split=None, flags=0, pad=None, block=None):
        """HEADERS with as many CONTINUATIONs as it takes, or pieces of `split` bytes. `block`
        replaces the encoded pairs."""
        with self.lock:
            if block is None:
                pairs = [(encoded(k), encoded(v)) for k, v in pairs]
                block = self.encoder.encode(pairs)
            size = split or self.theirs[MAX_FRAME_SIZE] - 300
            pieces = [block[i:i + size] for i in range(0, len(block), size)] or [b""]
            flags |= END_STREAM if end else 0
            for i, piece in enumerate(pieces):
                if i == 0 and pad is not None:
                    piece, flags = bytes([pad]) + piece + bytes(pad), flags | PADDED
                last = END_HEADERS if i == len(pieces) - 1 else 0
                if i:
                    self.frame(CONTINUATION, last, stream, piece)
                else:
                    self.frame(HEADERS, last | flags, stream, piece)

    def data(self, stream, data=b"", end=False, pad=None):
        flags = END_STREAM if end else 0
        if pad is not None:
            data, flags = bytes([pad]) + data + bytes(pad), flags | PADDED
        self.frame(DATA, flags, stream, encoded(data))

    def rst(self, stream, code=CANCEL):
        self.frame(RST_STREAM, 0, stream, struct.pack(">L", code))

    def settings(self, settings=(), ack=False):
        with self.lock:
            if not ack:
                self.unacked.append(dict(settings))
                # Room is granted at once, taken back when they know.
                more = dict(settings).get(INITIAL_WINDOW_SIZE, 0) - self.ours[INITIAL_WINDOW_SIZE]
                if more > 0:
                    self._move_rooms(more)
                if MAX_FRAME_SIZE in dict(settings):
                    self.ours[MAX_FRAME_SIZE] = dict(settings)[MAX_FRAME_SIZE]
            self.frame(SETTINGS, ACK if ack else 0, 0, settings_payload(settings))

    def ping(self, data=b"pingpong", ack=False):
        self.frame(PING, ACK if ack else 0, 0, data)

    def window_update(self, size, stream=0):
        with self.lock:
            if stream and stream in self.streams:
                self.streams[stream].room += size
            elif not stream:
                self.room += size
            self.frame(WINDOW_UPDATE, 0, stream, struct.pack(">L", size))

    def priority(self, stream, depends=0, weight=15, exclusive=False):
        self.frame(PRIORITY, 0, stream, struct.pack(">LB", depends | exclusive << 31, weight))

    def send_goaway(self, last=0, code=NO_ERROR, debug=b""):
        self.frame(GOAWAY, 0, 0, struct.pack(">LL", last, code) + debug)

    def continuation(self, stream, block, end=True):
        self.frame(CONTINUATION, END_HEADERS if end else 0, stream, block)

    def take_window(self, stream, most):
        """Takes up to a frame's size from the windows, once there is some."""
        stream.wait(lambda: self.window > 0 and stream.window > 0, "an open window")
        with self.lock:
            size = min(most, self.window, stream.window, self.theirs[MAX_FRAME_SIZE])
            self.window -= size
            stream.window -= size
        return size

    def settle(self):
        """Returns when the gate has read everything sent so far: a PING came back."""
        data = struct.pack(">Q", time.monotonic_ns())
        self.ping(data)
        self.wait(lambda: data in self.pongs, "the PING's answer")

    # ---- reading ----

    def read(self):
        """The next frame, noted; None when the connection ended."""
        while not self.is_closed:
            if (got := self._parse()) is not None:
                with self.lock, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                    self._note(got)  # an answer to it may come too late
                return got
            try:
                data = self.peer.recv()
            except TimeoutError:
                raise
            except OSError:
                data = b""
            if not data:
                self.is_closed = True
            self.buffer += data
        return None

    def _parse(self):
        if len(self.buffer) < 9:
            return None
        got, length = Frame.parse_frame_header(memoryview(bytes(self.buffer[:9])))
        if length > self.ours[MAX_FRAME_SIZE]:
            raise ProtocolViolation(f"frame of {length} bytes")
        if len(self.buffer) < 9 + length:
            return None
        got.parse_body(memoryview(bytes(self.buffer[9:9 + length])))
        got.size = length
        del self.buffer[:9 + length]
        return got

    def _note(self, got):
        self.received.append(got)
        if self.block is not None and got.type != CONTINUATION:
            raise ProtocolViolation(f"{got} amid a header block")
        if got.stream_id and got.stream_id not in self.streams:
            self._new_stream(got)
        name = f"_on_{type(got).__name__[:-5].lower()}"
        handler = getattr(self, name, None)
        if handler:
            handler(got, self.streams.get(got.stream_id))

    def _new_stream(self, got):
        if got.type in (HEADERS, DATA, PUSH_PROMISE):
            raise ProtocolViolation(f"{got} on an idle stream")

    def _on_headers(self, got, stream):
        if stream.is_ended:
            raise ProtocolViolation(f"{got} after the end")
        self.block = got.data
        self.block_ends = "END_STREAM" in got.flags
        if "END_HEADERS" in got.flags:
            self._on_block(stream)

    def _on_continuation(self, got, stream):
        if self.block is None:
            raise ProtocolViolation(f"{got} without a header block")
        self.block += got.data
        if "END_HEADERS" in got.flags:
            self._on_block(stream)

    def _on_block(self, stream):
        block, self.block = self.block, None
        fields = [(k.decode("latin-1"), v.decode("latin-1"))
                  for k, v in self.decoder.decode(block, raw=True)]
        check_fields(fields)
        if stream.fields is not None:
            if not self.block_ends or any(k.startswith(":") for k, _ in fields):
                raise ProtocolViolation(f"trailers {fields}, end {self.block_ends}")
            stream.trailers = fields
        elif not self.is_server and fields[0][1].startswith("1"):
            stream.interim.append(fields)
        else:
            stream.fields = fields
            self._on_head(stream)
        if self.block_ends:
            self._on_end(stream)

    def _on_head(self, stream):
        pass

    def _on_end(self, stream):
        stream.is_ended = True

    def _on_data(self, got, stream):
        if stream.fields is None or stream.is_ended:
            raise ProtocolViolation(f"{got} outside of a body")
        self.room -= got.size
        stream.room -= got.size
        if not self.by_hand and (self.room < 0 or stream.room < 0):
            raise ProtocolViolation(f"beyond the window: {self.room=} {stream.room=}")
        stream.body += got.data
        if "END_STREAM" in got.flags:
            self._on_end(stream)
        self._give_back(got.size, stream)

    def _give_back(self, size, stream):
        if not self.windows:
            return
        self.taken += size
        stream.taken += size
        if self.taken >= 16384:
            size, self.taken = self.taken, 0
            self.window_update(size)
        if stream.gives_back and stream.taken >= 16384 and not stream.is_ended:
            size, stream.taken = stream.taken, 0
            stream.give_back(size)

    def _on_rststream(self, got, stream):
        if stream is None:
            raise ProtocolViolation(f"{got} on an idle stream")
        stream.reset_code = got.error_code

    def _on_settings(self, got, _):
        if "ACK" in got.flags:
            change = self.unacked.pop(0) if self.unacked else {}  # or sent by hand
            less = change.get(INITIAL_WINDOW_SIZE, 1 << 31) - self.ours[INITIAL_WINDOW_SIZE]
            if less < 0:
                self._move_rooms(less)
            self.ours.update(change)
            return
        if INITIAL_WINDOW_SIZE in got.settings:
            more = got.settings[INITIAL_WINDOW_SIZE] - self.theirs[INITIAL_WINDOW_SIZE]
            for stream in self.streams.values():
                stream.window += more
        self.theirs.update(got.settings)
        self.encoder.header_table_size = min(4096, self.theirs[HEADER_TABLE_SIZE])
        if self.acks:
            self.settings(ack=True)

    def _move_rooms(self, more):
        self.ours[INITIAL_WINDOW_SIZE] += more
        for stream in self.streams.values():
            stream.room += more

    def _on_ping(self, got, _):
        if "ACK" in got.flags:
            self.pongs.add(got.opaque_data)
        elif self.acks:
            self.ping(got.opaque_data, ack=True)

    def _on_goaway(self, got, _):
        if self.goaway and got.last_stream_id > self.goaway.last_stream_id:
            raise ProtocolViolation("GOAWAY with a growing last stream")
        self.goaway = got

    def _on_windowupdate(self, got, stream):
        if not got.stream_id:
            self.window += got.window_increment
        elif stream:
            stream.window += got.window_increment

    def _on_pushpromise(self, got, _):
        raise ProtocolViolation("a push")

    def of_type(self, kind):
        """Received frames of a type."""
        with self.lock:
            return [f for f in self.received if f.type == kind]


def check_fields(fields):
    """What RFC 9113 8.2 and 8.3 ask of any head that is sent."""
    seen_regular = False
    for name, value in fields:
        is_pseudo = name.startswith(":")
        bad = (name != name.lower() or name in HOP_BY_HOP or (is_pseudo and seen_regular)
               or value != value.strip(" \t") or any(c in value for c in "\r\n\0")
               or (name == "te" and value != "trailers"))
        if bad:
            raise ProtocolViolation(f"field {name}: {value}")
        seen_regular |= not is_pseudo
    pseudo = [k for k, _ in fields if k.startswith(":")]
    if len(set(pseudo)) != len(pseudo):
        raise ProtocolViolation(f"doubled {pseudo}")


class H2Client(Wire):
    """A client on a harness' Peer. `preface=False` sends nothing by itself."""

    def __init__(self, peer, settings=(), preface=True, **kw):
        super().__init__(peer, **kw)
        self.next_id = 1
        self.scheme = "https" if hasattr(peer.sock, "selected_alpn_protocol") else "http"
        if preface:
            self.raw(PREFACE)
            self.settings(settings)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.peer.close()

    def close(self):
        self.peer.close()

    def _new_stream(self, got):
        if self.by_hand and got.stream_id % 2:
            self.streams[got.stream_id] = Stream(self, got.stream_id)
        else:
            super()._new_stream(got)

    def wait(self, condition, what="condition"):
        """Reads until the condition holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            try:
                got = self.read()
            except TimeoutError:
                got = "nothing"
            if condition():
                return
            if got is None or got == "nothing" or time.monotonic() > end:
                raise AssertionError(f"waited in vain for {what}; {self.is_closed=} {self.goaway=}")

    def drain(self, seconds=0.0):
        """Notes what is there already, or comes within the time; never fails."""
        end = time.monotonic() + seconds
        while not self.is_closed:
            left = max(0, end - time.monotonic())
            if not self._has_frame() and not select.select([self.peer.sock], [], [], left)[0]:
                return
            try:
                self.peer.sock.settimeout(0.05)
                self.read()
            except TimeoutError:
                pass
            finally:
                self.peer.sock.settimeout(PATIENCE)

    def _has_frame(self):
        return len(self.buffer) >= 9 and \
            len(self.buffer) >= 9 + int.from_bytes(self.buffer[:3], "big")

    def ended(self):
        """Waits for the connection's end; the last GOAWAY's code, None without one."""
        self.wait(lambda: self.is_closed, "the connection's end")
        return self.goaway and self.goaway.error_code

    def stream(self):
        """A stream that nothing was sent on yet."""
        with self.lock:
            stream = Stream(self, self.next_id)
            self.streams[self.next_id] = stream
            self.next_id += 2
        return stream

    def head_of(self, method="GET", path="/", headers=(), authority="localhost"):
        head = [(":method", method), (":scheme", self.scheme), (":authority", authority),
                (":path", path)]
        return [p for p in head if p[1] is not None] + list(headers)

    def open(self, method="GET", path="/", headers=(), end=True, authority="localhost",
             head=None):
        """Sends a head; `head` replaces the whole list."""
        pairs = head if head is not None else self.head_of(method, path, headers, authority)
        return self.stream().head(pairs, end)

    def request(self, path="/", method="GET", headers=(), body=None, trailers=None,
                authority="localhost", head=None):
        """One request and its response, or how it ended without one."""
        is_bare = body is None and not trailers
        stream = self.open(method, path, headers, is_bare, authority, head)
        try:
            if body is not None:
                stream.send(body, end=bool(body) and not trailers)
            if not is_bare and not stream.has_sent_end:
                stream.end(trailers)
        except (Gone, BrokenPipeError, ConnectionResetError):
            pass  # answered or reset before it was sent
        return stream.done()

    def pour(self, pieces):
        """Sends pieces until the gate ends the connection, or there are no more, reading
        meanwhile; how many were sent. None among them: wait until the gate has read so far."""
        sent, pieces, end = 0, iter(pieces), time.monotonic() + PATIENCE
        self.held, rest = bytearray(), b""
        while not self.is_over and time.monotonic() < end:
            self.drain()
            if not rest:
                piece = next(pieces, b"")
                if piece == b"" and not self.held:
                    break
                if piece is None:
                    self._pause()
                    continue
                rest, self.held, sent = bytes(self.held) + piece, bytearray(), sent + 1
            try:
                rest = rest[self.peer.sock.send(rest, socket.MSG_DONTWAIT):]
            except BlockingIOError:
                select.select([self.peer.sock], [self.peer.sock], [], 0.5)
            except OSError:
                break
        self.held = None
        return sent

    @property
    def is_over(self):
        return bool(self.goaway or self.is_closed)

    def _pause(self):
        """settle(), or the end; twice, since a PING's answer overtakes others."""
        self.held = None
        for _ in range(2):
            data = struct.pack(">Q", time.monotonic_ns())
            with contextlib.suppress(OSError):
                self.ping(data)
            self.wait(lambda data=data: data in self.pongs or self.is_over, "the PING's answer")
        self.held = bytearray()


def tls_h2(*protocols):
    """A TLS client that believes anything and offers h2, or those protocols."""
    context = insecure()
    context.set_alpn_protocols(list(protocols) or ["h2"])
    return context


def h2(gate, listener="http", tls=None, server_name="localhost", **kw):
    """A client of the gate. `tls`: True, or a context."""
    context = tls_h2() if tls is True else tls
    peer = gate.connect(listener, tls=context, server_name=server_name)
    if context:
        assert peer.sock.selected_alpn_protocol() == "h2"
    return H2Client(peer, **kw)


class ServerWire(Wire):
    """An origin's side of a connection: a thread for each stream."""
    is_server = True

    def __init__(self, peer, origin):
        super().__init__(peer)
        self.origin, self.open, self.most_open, self.last = origin, [], 0, None
        self.changed = threading.Condition(self.lock)

    def wait(self, condition, what="condition"):
        with self.changed:
            if not self.changed.wait_for(condition, 60):
                raise Gone(f"waited in vain for {what}")

    def run(self):
        if self.peer.read_exactly(len(PREFACE)) != PREFACE:
            raise ProtocolViolation("no preface")
        if self.origin.is_held:
            self.held = bytearray()
        self.settings(self.origin.settings)
        try:
            while self.read() is not None:
                with self.changed:
                    self.changed.notify_all()
        finally:
            with self.changed:
                self.is_closed = True
                self.changed.notify_all()

    def _new_stream(self, got):
        if got.type == HEADERS:
            if got.stream_id % 2 == 0 or got.stream_id <= max(self.streams, default=0):
                raise ProtocolViolation(f"stream {got.stream_id} after {max(self.streams)}")
            self.streams[got.stream_id] = Stream(self, got.stream_id)
        elif got.type != PRIORITY:
            super()._new_stream(got)

    def release(self):
        """Sends what was held back, in one piece."""
        with self.lock:
            data, self.held = self.held, None
            self.raw(bytes(data))

    def stop_after(self, stream, code=NO_ERROR):
        """GOAWAY: this stream is the last one that is looked at."""
        with self.lock:
            self.last = stream.id if stream else 0
            self.send_goaway(self.last, code)

    def _on_head(self, stream):
        if self.last is not None and stream.id > self.last:
            return
        self.open = [s for s in self.open if not s.is_over] + [stream]
        limit = self.origin.settings.get(MAX_CONCURRENT_STREAMS)
        if limit is not None and len(self.open) > limit:
            stream.reset(REFUSED_STREAM)
            return
        self.most_open = max(len(self.open), self.most_open)
        with self.origin.lock:
            self.origin.requests.append(stream)
        threading.Thread(target=self._handle, args=(stream,), daemon=True).start()

    def _handle(self, stream):
        try:
            self.origin.handle(stream)
        except (EOFError, OSError):
            pass
        except Exception as e:  # a fault of the test's own: shown, not lost
            self.origin.errors.append(e)


class TlsForThreads:
    """A TLS socket that one thread reads while others write: the library's may not be used by two
    at once, so each takes its turn and nobody waits within."""

    def __init__(self, sock):
        self.sock, self.lock = sock, threading.Lock()
        sock.setblocking(False)

    def __getattr__(self, name):
        return getattr(self.sock, name)

    def settimeout(self, seconds):
        pass

    def _turn(self, call):
        while True:
            try:
                with self.lock:
                    return call()
            except ssl.SSLWantReadError:
                select.select([self.sock], [], [], 0.05)
            except ssl.SSLWantWriteError:
                select.select([], [self.sock], [], 0.05)

    def recv(self, most):
        return self._turn(lambda: self.sock.recv(most))

    def sendall(self, data):
        rest = memoryview(data)
        while rest:
            rest = rest[self._turn(lambda: self.sock.send(rest)):]


class H2Origin(Origin):
    """A real HTTP/2 server on loopback. `handle(stream)` answers a request; the default one
    with the JSON echo of harness.Origin. `wires`: its connections. With `tls` it speaks HTTP/1.1
    to who does not ask for h2. `is_held`: on each connection it sends nothing, SETTINGS neither,
    before `wire.release()`."""

    def __init__(self, handle=None, settings=(), is_held=False, **kw):
        self.handle = handle or self.echo_stream
        self.settings, self.is_held, self.wires = dict(settings), is_held, []
        super().__init__(H2Origin.serve_h2, **kw)

    @staticmethod
    def serve_h2(peer, origin):
        if origin.tls and peer.sock.selected_alpn_protocol() != "h2":
            Origin.echo(peer, origin)
        if origin.tls:
            peer.sock = TlsForThreads(peer.sock)
        wire = ServerWire(peer, origin)
        with origin.lock:
            origin.wires.append(wire)
        wire.run()

    def echo_stream(self, stream):
        body = stream.read()
        answer = json.dumps({
            "origin": self.name, "start": f"{stream.method} {stream.target} HTTP/2",
            "fields": stream.fields, "body": len(body), "trailers": stream.trailers})
        stream.respond(200, answer, [("content-type", "application/json"),
                                     ("content-length", str(len(answer)))])


class H2Load(Load):
    """harness.Load over HTTP/2: a connection each, a request after the other, all answers 200."""

    def _run(self, i):
        gate, listener, tls, _ = self.options
        try:
            with h2(gate, listener, tls) as c:
                while not self.stop.is_set():
                    answer = c.request("/load")
                    if answer.status != 200 or c.goaway:
                        self.failures.append((answer.fields, answer.reset_code, c.goaway))
                        return
                    self.counts[i] += 1
        except (AssertionError, EOFError, OSError) as e:
            self.failures.append(repr(e))


def fields_of(response):
    """What an echoing origin says that it got; the names in lower case."""
    return {k.lower(): v for k, v in response.json["fields"]}


def read_body(peer, message):
    """HTTP/1: the body behind a head that was read alone, added to it."""
    if (message.get("transfer-encoding") or "").lower() == "chunked":
        read_chunked(peer, message)
    elif message.get("content-length") is not None:
        message.body = peer.read_exactly(int(message.get("content-length")))
    return message


def shell(*command):
    """A real client's run: (exit code, all that it said)."""
    done = subprocess.run([str(x) for x in command], capture_output=True, timeout=PATIENCE * 6,
                          stdin=subprocess.DEVNULL)
    return done.returncode, (done.stdout + done.stderr).decode("latin-1")
