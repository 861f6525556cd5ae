# SPDX-License-Identifier: Apache-2.0
"""Replicas that misbehave, each in a manner of its own, and one ledger of what reached them.

All run in the test's one event loop, so nothing needs a lock. A client gives each request a
number; the ledger notes where its head was seen and where it was *delivered*: head and body
read whole, whatever the origin did then. What an origin answers carries the number again.
No manner waits for a guess: they go by what arrives, and a flapping one by how many requests
all of them have had.
"""
import asyncio
import collections
import random
import socket
import struct

LINGER_NONE = struct.pack("ii", 1, 0)  # close() sends RST


def filler(number, count):
    """The body that belongs to a number, and to no other."""
    word = b"<%d>" % number
    return (word * (count // len(word) + 1))[:count]


class Ledger:
    """Who saw what."""

    def __init__(self):
        self.seen = collections.defaultdict(list)       # number -> origins that read its head
        self.delivered = collections.defaultdict(list)  # number -> origins that had it whole
        self.methods, self.total, self.faults, self.watchers = {}, 0, [], []
        self.open = set()   # what clients wait for
        self.shaken = set()  # what they waited for when a replica was last restarted

    def see(self, request, origin):
        self.methods[request.number] = request.method
        self.seen[request.number].append(origin.name)

    def deliver(self, request, origin):
        self.delivered[request.number].append(origin.name)
        self.total += 1
        for watch in self.watchers:
            watch(self.total)

    def doubles(self, where, *methods):
        """{number: origins} of those that were there more than once."""
        return {n: names for n, names in where.items()
                if len(names) > 1 and self.methods[n] in methods}


class Request:
    """A head as an origin reads it; the body follows."""

    def __init__(self, head):
        lines = head.decode("latin-1").split("\r\n")
        self.method, self.target, _ = lines[0].split(" ")
        pairs = (line.split(":", 1) for line in lines[1:])
        self.fields = {k.lower(): v.strip() for k, v in pairs}
        self.number = int(self.fields["x-request-number"])
        self.want = int(self.fields["x-want"])
        self.body = None

    def take_body(self, buffer):
        """Takes the body from the buffer's beginning once it is there; was it?"""
        if self.fields.get("transfer-encoding", "").lower() == "chunked":
            return self._take_chunks(buffer)
        length = int(self.fields.get("content-length", "0"))
        if len(buffer) < length:
            return False
        self.body = bytes(buffer[:length])
        del buffer[:length]
        return True

    def _take_chunks(self, buffer):
        at, body = 0, b""
        while (end := buffer.find(b"\r\n", at)) >= 0:
            size = int(buffer[at:end].split(b";")[0], 16)
            at = end + 2 + size + 2
            if len(buffer) < at:
                return False
            body += buffer[end + 2:end + 2 + size]
            if size == 0:
                del buffer[:at]
                self.body = body
                return True
        return False

    def head(self, origin, status=200, *lines):
        lines = (f"HTTP/1.1 {status} X", f"X-Request-Number: {self.number}",
                 f"X-Received: {len(self.body)}", f"X-Origin: {origin.name}", *lines, "", "")
        return "\r\n".join(lines).encode()

    def answer(self, origin):
        """The right one: (head, body)."""
        body = filler(self.number, self.want)
        if self.number % 3:
            head = self.head(origin, 200, f"Content-Length: {len(body)}")
        else:
            head = self.head(origin, 200, "Transfer-Encoding: chunked")
            half = len(body) // 2
            pieces = [p for p in (body[:half], body[half:]) if p]
            body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces) + b"0\r\n\r\n"
        return head, b"" if self.method == "HEAD" else body


class Session(asyncio.Protocol):
    """A connection to an origin that is in good health. What others do instead, they say in
    `opened`, `on_head` (the body may not be there yet) or `on_request`."""

    def __init__(self, origin):
        self.origin, self.ledger = origin, origin.ledger
        self.transport, self.buffer, self.request = None, bytearray(), None
        self.served, self.is_over = 0, False

    def connection_made(self, transport):
        self.transport = transport
        self.origin.sessions.add(self)
        self.origin.connections += 1
        self.opened()

    def connection_lost(self, exc):
        self.is_over = True
        self.origin.sessions.discard(self)

    def data_received(self, data):
        self.buffer += data
        while not self.is_over and self._read():
            request, self.request = self.request, None
            if request.body != filler(request.number, int(request.fields["x-sent"])):
                self.ledger.faults.append(f"{request.number}: {len(request.body)} other bytes")
            self.ledger.deliver(request, self.origin)
            self.served += 1
            if not self.is_over:  # or the schedule has ended it just then
                self.on_request(request)

    def _read(self):
        if not self.request:
            end = self.buffer.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.request = Request(bytes(self.buffer[:end]))
            del self.buffer[:end + 4]
            self.ledger.see(self.request, self.origin)
            self.on_head(self.request)
        return not self.is_over and self.request.take_body(self.buffer)

    def opened(self):
        pass

    def on_head(self, request):
        pass

    def on_request(self, request):
        head, body = request.answer(self.origin)
        self.transport.write(head + body)

    # ---- ways to end ----

    def fails(self):
        """The origin misbehaves once more."""
        self.origin.failed += 1

    def reset(self):
        self.is_over = True
        sock = self.transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        self.transport.abort()

    def close(self):
        self.is_over = True
        self.transport.close()


class ResetsOnAccept(Session):
    def opened(self):
        self.fails()
        self.reset()


class ResetsAmidRequest(Session):
    """Having read the head, whatever is still to come."""

    def on_head(self, request):
        self.fails()
        self.reset()


class ResetsBeforeHead(Session):
    """Takes the request, and resets or closes in turn."""

    def on_request(self, request):
        self.fails()
        if self.origin.failed % 2:
            self.reset()
        else:
            self.close()


class ResetsAmidHead(Session):
    def on_request(self, request):
        self.fails()
        head, _ = request.answer(self.origin)
        self.transport.write(head[:len(head) // 2])
        if self.origin.failed % 2:
            self.reset()
        else:
            self.close()


class CutsBody(Session):
    """Its head is right; the body ends too early, with RST or FIN, in either framing. Only
    what has no body is complete."""

    def on_request(self, request):
        head, body = request.answer(self.origin)
        if request.method == "HEAD" or not body:
            self.transport.write(head)
            return
        self.fails()
        self.transport.write(head + body[:len(body) // 2])
        if self.origin.failed % 2:
            self.reset()
        else:
            self.close()


class Hangs(Session):
    """Has received the request, and that was that."""

    def on_request(self, request):
        self.fails()


class ClosesIdle(Session):
    """A keep-alive time that ends just as the next request comes, or with the answer. What
    comes too late is not looked at."""

    def on_head(self, request):
        if self.served:
            self.fails()
            if self.origin.failed % 3:
                self.close()
            else:
                self.reset()

    def on_request(self, request):
        super().on_request(request)
        if request.number % 4 == 0:
            self.fails()
            self.close()


class SendsGarbage(Session):
    KINDS = (
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"<html>it works</html>\r\n\r\n",
    )

    def on_request(self, request):
        self.fails()
        kind = self.origin.failed % (len(self.KINDS) + 1)
        noise = random.Random(request.number).randbytes(300)
        self.transport.write(self.KINDS[kind] if kind < len(self.KINDS) else noise + b"\r\n\r\n")


class SendsSurplus(Session):
    """The right answer, and in the same piece one that nobody asked for."""

    def on_request(self, request):
        head, body = request.answer(self.origin)
        self.fails()
        self.transport.write(head + body + b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")


class HalfCloses(Session):
    """Ends its side at once, after the request or after the answer, and goes on listening."""

    def opened(self):
        self.way = self.origin.connections % 3
        if self.way == 0:
            self.fails()
            self.transport.write_eof()

    def eof_received(self):
        return False

    def on_request(self, request):
        if self.way == 0:
            return
        if self.way == 1:
            self.fails()
        else:
            super().on_request(request)
        if self.transport.can_write_eof() and not self.transport.is_closing():
            self.transport.write_eof()
        self.way = 0


class Slow(Session):
    """The head after a while, the body by pieces. Still quick enough for every limit."""

    def on_request(self, request):
        self.fails()
        head, body = request.answer(self.origin)
        size = len(body) // 3 + 1
        pieces = [head[:20], head[20:], *(body[i:i + size] for i in range(0, len(body), size))]
        self._send(pieces)

    def _send(self, pieces):
        if self.is_over:
            return
        self.transport.write(pieces[0])
        if pieces[1:]:
            asyncio.get_running_loop().call_later(0.01, self._send, pieces[1:])


class Late(Session):
    """Answers, but after any patience; by then nobody may be there."""

    def on_request(self, request):
        self.fails()
        asyncio.get_running_loop().call_later(0.6, self._send, request)

    def _send(self, request):
        if not self.is_over:
            super().on_request(request)


class Unwell(Session):
    """503 to everything."""

    def on_request(self, request):
        self.fails()
        self.transport.write(request.head(self.origin, 503, "Content-Length: 0"))


class BadOrigin:
    """A listening socket whose connections are `manner`s. The port stays ours while it is
    down: a second socket is bound to it, which never listens. `is_silent`: it does not see
    what it fails."""
    is_silent = False

    def __init__(self, ledger, manner=Session, name=None):
        self.ledger, self.manner = ledger, manner
        self.name = name or manner.__name__
        self.sessions, self.tasks = set(), set()
        self.connections = self.failed = 0
        self.sock, self.holder, self.is_closed = None, self._bind(0), False
        self.port = self.holder.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"

    def _bind(self, port):
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    def start(self):
        self.sock = self._bind(self.port)
        self.sock.listen(1024)
        self.sock.setblocking(False)
        asyncio.get_running_loop().add_reader(self.sock, self._accept)

    def _accept(self):
        loop = asyncio.get_running_loop()
        while self.sock:
            try:
                sock, _ = self.sock.accept()
            except BlockingIOError:
                return
            task = loop.create_task(loop.connect_accepted_socket(lambda: self.manner(self), sock))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)

    def stop(self):
        """Nobody there any more, at once: what was open is reset."""
        if self.sock:
            asyncio.get_running_loop().remove_reader(self.sock)
            self.sock.close()
            self.sock = None
        for session in list(self.sessions):
            session.reset()

    async def close(self):
        self.is_closed = True
        self.stop()
        if self.tasks:
            await asyncio.wait(self.tasks)
        self.holder.close()


class Flapping(BadOrigin):
    """Up and down in turn, by the number of requests that were delivered anywhere."""
    PERIOD, UP, AHEAD = 120, 65, 0

    def __init__(self, *args):
        super().__init__(*args)
        self.ledger.watchers.append(self.look)

    def start(self):
        if self._is_due(self.ledger.total):
            super().start()

    def _is_due(self, total):
        return (total + self.AHEAD) % self.PERIOD < self.UP

    def look(self, total):
        is_up = self._is_due(total)
        if is_up == bool(self.sock) or self.is_closed:
            return
        if is_up:
            super().start()
        else:
            self.failed += 1
            self.stop()


class Rolling(Flapping):
    """One of two that are restarted in turn, again and again: the other one has just come back.
    As who restarts replicas would, it waits until the last restart is over for every client:
    else a request could meet one restart after the other."""
    PERIOD, UP = 1200, 680

    def look(self, total):
        is_last_over = not self.ledger.shaken & self.ledger.open
        if is_last_over or self._is_due(total):
            super().look(total)

    def stop(self):
        self.ledger.shaken = set(self.ledger.open)
        super().stop()


class RollingToo(Rolling):
    AHEAD = Rolling.PERIOD // 2


class Refusing(BadOrigin):
    """Nobody listens."""
    is_silent = True

    def start(self):
        pass


class Deaf(BadOrigin):
    """Listens and never accepts: connections are made, what is sent is read by nobody."""
    is_silent = True

    def start(self):
        self.sock = self._bind(self.port)
        self.sock.listen(4096)

    def stop(self):
        if self.sock:
            self.sock.close()
            self.sock = None


class Unreachable(Deaf):
    """Its backlog is full: connections are neither made nor refused."""

    def start(self):
        self.sock = self._bind(self.port)
        self.sock.listen(0)
        self.fillers = [socket.socket() for _ in range(4)]
        for sock in self.fillers:
            sock.setblocking(False)
            sock.connect_ex(("127.0.0.1", self.port))

    def stop(self):
        super().stop()
        for sock in self.fillers:
            sock.close()


def make(ledger, kind, name=None):
    """An origin of that kind: a manner, or an origin with a life of its own."""
    if issubclass(kind, BadOrigin):
        return kind(ledger, Session, name or kind.__name__)
    return BadOrigin(ledger, kind, name)
