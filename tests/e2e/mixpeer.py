# SPDX-License-Identifier: Apache-2.0
"""Replicas and clients for test_mix.py that speak of bodies, trailers and resets, and not of
versions: a call is one request as a replica sees it, an ask one as a client makes it; each of
them there is for HTTP/1 and for HTTP/2, with the same methods."""
import contextlib
import socket

from h2peer import INTERNAL_ERROR, Gone, read_body
from harness import Peer, read_chunked, read_head

BARE = (204, 304)  # no body, whatever the head says


# ---- one request as a replica sees it ----

class H1Call:
    """On a connection of HTTP/1; the fields' names in lower case."""

    def __init__(self, peer):
        self.peer, message = peer, read_head(peer)
        self.message, self.method, self.target = message, message.method, message.target
        self.fields = [(k.lower(), v) for k, v in message.fields]
        self.is_read, self.is_chunked, self.is_ended, self.is_broken = False, False, False, False

    def get(self, name):
        return self.message.get(name)

    def read(self):
        read_body(self.peer, self.message)
        self.is_read = True
        return self.message.body

    def read_some(self):
        """A piece of the body, whatever comes: the next chunk."""
        size = int(self.peer.read_until(b"\r\n"), 16)
        data = self.peer.read_exactly(size + 2)[:-2]
        self.is_read |= size == 0
        return data

    @property
    def trailers(self):
        return [(k.lower(), v) for k, v in self.message.trailers]

    def inform(self, status, *pairs):
        lines = "".join(f"{k}: {v}\r\n" for k, v in pairs)
        self.peer.send(f"HTTP/1.1 {status} Interim\r\n{lines}\r\n")

    def head(self, status=200, *pairs, length=None):
        has_body = status not in BARE and self.method != "HEAD"
        pairs = list(pairs)
        if length is not None:
            pairs.append(("Content-Length", length))
        elif has_body:
            pairs.append(("Transfer-Encoding", "chunked"))
        self.is_chunked, self.is_ended = has_body and length is None, not has_body
        lines = "".join(f"{k}: {v}\r\n" for k, v in pairs)
        self.peer.send(f"HTTP/1.1 {status} X\r\n{lines}\r\n")

    def send(self, data):
        if self.is_chunked:
            data = b"%x\r\n%s\r\n" % (len(data), data)
        self.peer.send(data)

    def end(self, *trailers):
        if self.is_chunked:
            self.peer.send("0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in trailers) + "\r\n")
        self.is_ended = True

    def reset(self):
        self.is_broken = True
        self.peer.reset()

    def close(self):
        self.is_broken = True
        self.peer.close()

    def gone(self):
        """Waits until the gate lets go of it."""
        self.is_broken = True
        with contextlib.suppress(OSError):
            while self.peer.recv():
                pass

    def gone_while_sending(self, piece):
        """The same, writing without end."""
        self.is_broken = True
        with contextlib.suppress(OSError):
            while True:
                self.send(piece)


class H2Call:
    """On a stream of HTTP/2."""

    def __init__(self, stream):
        self.stream, self.method, self.target = stream, stream.method, stream.target
        self.fields = [(k, v) for k, v in stream.fields if not k.startswith(":")]
        self.taken = 0

    def get(self, name):
        return self.stream.get(name.lower())

    def read(self):
        return self.stream.read()

    def read_some(self):
        s = self.stream
        s.wait(lambda: len(s.body) > self.taken or s.is_ended, "a piece")
        data, self.taken = bytes(s.body[self.taken:]), len(s.body)
        return data

    @property
    def trailers(self):
        return self.stream.trailers

    def inform(self, status, *pairs):
        self.stream.inform(status, *lower(pairs))

    def head(self, status=200, *pairs, length=None):
        pairs = [(":status", str(status)), *lower(pairs)]
        if length is not None:
            pairs.append(("content-length", str(length)))
        self.stream.head(pairs, status in BARE or self.method == "HEAD")

    def send(self, data):
        self.stream.send(data)

    def end(self, *trailers):
        if not self.stream.has_sent_end:
            self.stream.end(lower(trailers))

    def reset(self):
        self.stream.reset(INTERNAL_ERROR)

    def close(self):
        self.stream.wire.peer.sock.shutdown(socket.SHUT_RDWR)

    def gone(self):
        self.stream.wire.wait(lambda: self.stream.is_gone)

    def gone_while_sending(self, piece):
        with contextlib.suppress(Gone):
            while True:
                self.stream.send(piece)


def lower(pairs):
    return [(k.lower(), str(v)) for k, v in pairs]


# ---- one request as a client makes it ----

class Seen:
    """What came of it. `is_whole`: it ended as a message ends."""

    def __init__(self):
        self.status, self.fields, self.body, self.trailers = None, [], b"", []
        self.interim, self.is_whole = [], False

    def get(self, name):
        return next((v for k, v in self.fields if k == name), None)


class H1Ask:
    """On a connection of its own."""

    def __init__(self, gate, receives=None):
        sock = socket.socket()
        if receives:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        sock.connect(gate.address("http"))
        self.peer, self.seen, self.is_chunked, self.message = Peer(sock), Seen(), False, None

    def begin(self, method="GET", path="/", *pairs, length=None, has_body=False):
        self.method, pairs = method, list(pairs)
        self.is_chunked = has_body and length is None
        if length is not None:
            pairs.append(("Content-Length", length))
        if self.is_chunked:
            pairs.append(("Transfer-Encoding", "chunked"))
        if ("te", "trailers") in pairs:
            pairs.append(("Connection", "TE"))
        lines = "".join(f"{k}: {v}\r\n" for k, v in pairs)
        self.peer.send(f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n")
        return self

    def send(self, data):
        self.peer.send(b"%x\r\n%s\r\n" % (len(data), data) if self.is_chunked else data)

    def end(self, *trailers):
        if self.is_chunked:
            self.peer.send("0\r\n" + "".join(f"{k}: {v}\r\n" for k, v in trailers) + "\r\n")

    def informed(self):
        """Waits for an interim head; its status."""
        return read_head(self.peer).status

    def head(self):
        """Waits for the final head."""
        self.message = read_head(self.peer)
        while self.message.status < 200:
            self.seen.interim.append(self.message.status)
            self.message = read_head(self.peer)
        self.seen.status = self.message.status
        self.seen.fields = [(k.lower(), v) for k, v in self.message.fields]
        return self.seen.status

    def some(self):
        """A chunk of the body."""
        return self.peer.read_exactly(int(self.peer.read_until(b"\r\n"), 16) + 2)[:-2]

    def done(self):
        seen = self.seen
        try:
            if not self.message:
                self.head()
            message = self.message
            if seen.status not in BARE and self.method != "HEAD":
                if message.get("transfer-encoding") == "chunked":
                    read_chunked(self.peer, message)
                else:
                    message.body = self.peer.read_exactly(int(message.get("content-length")))
            seen.is_whole = True
        except (EOFError, ConnectionResetError):
            pass
        if self.message:
            seen.body = self.message.body
            seen.trailers = [(k.lower(), v) for k, v in self.message.trailers]
        return seen

    def slowly(self, piece):
        """Takes a body of known length by small pieces."""
        self.head()
        left, body = int(self.message.get("content-length")), b""
        while left:
            data = self.peer.recv(min(piece, left))
            assert data
            body, left = body + data, left - len(data)
        return body

    def reset(self):
        self.peer.reset()

    def takes_nothing(self):
        pass

    def close(self):
        self.peer.close()


class H2Ask:
    """A stream on the test's one connection."""

    def __init__(self, client):
        self.client, self.stream, self.taken = client, None, 0

    def begin(self, method="GET", path="/", *pairs, length=None, has_body=False):
        pairs = lower(pairs) + ([("content-length", str(length))] if length is not None else [])
        self.stream = self.client.open(method, path, pairs, end=length is None and not has_body)
        return self

    def send(self, data):
        with contextlib.suppress(Gone):
            self.stream.send(data)

    def end(self, *trailers):
        if not self.stream.has_sent_end and not self.stream.is_gone:
            self.stream.end(lower(trailers))

    def informed(self):
        s, count = self.stream, len(self.stream.interim)
        s.wait(lambda: len(s.interim) > count or s.fields, "an interim head")
        return int(s.interim[-1][0][1])

    def head(self):
        return self.stream.has_head().status

    def some(self):
        s = self.stream
        s.wait(lambda: len(s.body) > self.taken or s.is_ended, "a piece")
        data, self.taken = bytes(s.body[self.taken:]), len(s.body)
        return data

    def done(self):
        s, seen = self.stream.done(), Seen()
        seen.status, seen.fields, seen.body = s.status, s.fields or [], bytes(s.body)
        seen.trailers, seen.interim = s.trailers, [int(i[0][1]) for i in s.interim]
        seen.is_whole = s.is_ended
        return seen

    def slowly(self, piece):
        s = self.stream
        s.gives_back = False
        while not s.is_ended:
            if s.room < piece:
                s.give_back(piece)
            self.client.read()
        return bytes(s.body)

    def reset(self):
        self.stream.reset()

    def takes_nothing(self):
        self.stream.gives_back = False

    def close(self):
        pass
