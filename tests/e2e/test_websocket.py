# SPDX-License-Identifier: Apache-2.0
"""Tunnels: WebSockets through the `websockets` library on both sides, and a protocol of raw
bytes, where the test holds both ends. By HTTP/2: test_websocket_h2.py."""
import asyncio
import contextlib
import queue
import resource
import signal
import socket
import threading
import time

import pytest
import websockets

import certs
from harness import (IS_SANITIZED, PATIENCE, Gate, Nobody, Origin, insecure, read_head, read_message, reply,
                     until)
from test_bodies import resident
from test_stopping import is_refused
from wsserver import WebSocketServer

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
upstreams:
  app: { servers: ["{origin}"] }
routes:
  - { upstream: app }
"""
RAW = """
listeners: { http: { address: "127.0.0.1:0" } }
upstreams: { app: { servers: ["{origin}"] } }
routes: [ { upstream: app, upgrade: [foo] } ]
"""
SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n"
LARGE = bytes(range(256)) * (16 << 12)  # 16 MiB
EITHER = pytest.mark.parametrize("listener", ["http", "https"])


class Replica(Origin):
    """Reads the first request of each connection, then hands the connection to the test."""

    def __init__(self, **kw):
        self.handed, self.done = queue.Queue(), threading.Event()
        super().__init__(self.hand_over, **kw)

    def hand_over(self, peer, _):
        self.read(peer)
        self.handed.put(peer)
        self.done.wait(120)

    def take(self):
        peer = self.handed.get(timeout=PATIENCE)
        peer.sock.settimeout(PATIENCE)
        return peer

    def close(self):
        self.done.set()
        super().close()


@pytest.fixture
def replica():
    with Replica() as r:
        yield r


@pytest.fixture
def gate(replica):
    with Gate(RAW, origin=replica.address) as g:
        yield g
        replica.close()  # its tunnels' ends: the gate would wait for them


def ask(protocol="foo", target="/", method="GET", more=""):
    return (f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
            f"Upgrade: {protocol}\r\n{more}\r\n")


def tunnel(gate, replica, **kw):
    """A tunnel's two ends: the client's and the replica's."""
    c = gate.connect(**kw)
    c.send(ask())
    r = replica.take()
    r.send(SWITCH)
    head = read_head(c)
    assert (head.status, head.get("upgrade")) == (101, "foo")
    assert head.get("connection").lower() == "upgrade"
    return c, r


def both_work(c, r):
    """A few bytes go each way."""
    for sender, reader in ((c, r), (r, c)):
        sender.send("ahoy")
        assert reader.read_exactly(4) == b"ahoy"
    return True


def tunnels_are(gate, count):
    until(lambda: gate.metric("wharfgate_tunnels_active") == count, f"{count} tunnels")


def open_ws(gate, listener="http", path="/", **options):
    """A WebSocket's client, for `async with`."""
    scheme = "wss" if listener == "https" else "ws"
    tls = {"ssl": insecure()} if listener == "https" else {}
    options = {"max_size": None, "ping_interval": None, "compression": None,
               "open_timeout": PATIENCE, "close_timeout": PATIENCE, **tls, **options}
    return websockets.connect("%s://127.0.0.1:%d%s" % (scheme, gate.address(listener)[1], path),
                              **options)


def is_over(peer):
    """Waits for the end of a connection, by FIN or by RST."""
    with contextlib.suppress(ConnectionResetError):
        while peer.recv():
            pass
    return True


def wait_for(seconds):
    """Lets time pass in which nothing is to happen."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, seconds=seconds + PATIENCE)


# ---- WebSockets ----

@EITHER
def test_text_and_binary_come_back(cert, listener):
    """Messages of all sizes around the steps of a frame's length, with the compression that the
    two agree on; the response is the server's own."""
    async def run(gate):
        async with open_ws(gate, listener, "/chat?room=1", compression="deflate") as ws:
            assert ws.path == "/chat?room=1"
            assert "permessage-deflate" in ws.response_headers["Sec-WebSocket-Extensions"]
            assert ws.response_headers["Server"].startswith("Python")
            for size in (0, 1, 125, 126, 65535, 65536, 200000):
                for message in ("ä" * size, b"\0\xff" * size):
                    await ws.send(message)
                    assert await ws.recv() == message
    with WebSocketServer(compression="deflate") as server, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=server.address) as gate:
        asyncio.run(run(gate))


@EITHER
def test_large_messages_both_ways(cert, listener):
    """16 MiB up and the same down, uncompressed."""
    async def run(gate):
        async with open_ws(gate, listener) as ws:
            await ws.send(LARGE)
            assert await ws.recv() == LARGE
    with WebSocketServer() as server, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=server.address) as gate:
        asyncio.run(run(gate))


def test_subprotocols_are_agreed_upon(cert):
    """The client's list reaches the server, the server's choice the client."""
    async def run(gate):
        async with open_ws(gate, subprotocols=["chat.v3", "chat.v2", "chat.v1"]) as ws:
            assert ws.subprotocol == "chat.v2"
        async with open_ws(gate, subprotocols=["mqtt"]) as ws:
            assert ws.subprotocol is None
    with WebSocketServer(subprotocols=["chat.v2", "chat.v1"]) as server, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=server.address) as gate:
        asyncio.run(run(gate))


def test_pings_are_answered_by_the_other_end(cert):
    """From the client and from the server, with their payload."""
    async def handler(ws):
        await asyncio.wait_for(await ws.ping(b"from the server"), PATIENCE)
        await ws.send("answered")
        await ws.wait_closed()

    async def run(gate):
        async with open_ws(gate) as ws:
            assert await ws.recv() == "answered"
            for i in range(10):
                await asyncio.wait_for(await ws.ping(b"%d" % i), PATIENCE)
    with WebSocketServer(handler) as server, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=server.address) as gate:
        asyncio.run(run(gate))


@EITHER
def test_close_codes_are_passed_on(cert, listener):
    """From either side, with the reason; the tunnel is gone afterwards."""
    async def handler(ws):
        if ws.path == "/server":
            await ws.close(4002, "the server's")
        else:
            await server.echo(ws)

    async def run(gate):
        async with open_ws(gate, listener, "/client") as ws:
            await ws.close(4001, "the client's")
        async with open_ws(gate, listener, "/server") as ws:
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (4002, "the server's")
    with WebSocketServer(handler) as server, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=server.address) as gate:
        asyncio.run(run(gate))
        until(lambda: server.seen == [(4001, "the client's")], "the client's code")
        tunnels_are(gate, 0)
        assert gate.metric("wharfgate_tunnels_total") == 2


def test_tls_on_both_sides(cert):
    """wss to the gate, wss to the replica."""
    config = CONFIG.replace('"{origin}"]', '"{origin}"], tls: { ca: "{cert}", sni: localhost }')

    async def run(gate):
        async with open_ws(gate, "https") as ws:
            for message in ("ahoy", LARGE[:1 << 20]):
                await ws.send(message)
                assert await ws.recv() == message
    with WebSocketServer(ssl=certs.server(cert)) as server, \
            Gate(config, cert=cert[0], key=cert[1], origin=server.address) as gate:
        asyncio.run(run(gate))


def test_a_thousand_at_once(cert):
    """Each echoes while all are open; the gauge counts them and goes back to zero."""
    count = 1000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert hard >= 5 * count, f"at most {hard} files"
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

    async def run(gate):
        door = asyncio.Semaphore(50)

        async def knock():
            async with door:
                return await open_ws(gate)

        async def echo(i, ws):
            await ws.send(f"I am {i}")
            assert await ws.recv() == f"I am {i}"
        all_ws = await asyncio.gather(*(knock() for _ in range(count)))
        tunnels_are(gate, count)
        for _ in range(2):
            await asyncio.gather(*(echo(i, ws) for i, ws in enumerate(all_ws)))
        tunnels_are(gate, count)
        await asyncio.gather(*(ws.close() for ws in all_ws))
    try:
        with WebSocketServer() as server, Gate(CONFIG, workers=2, cert=cert[0], key=cert[1],
                                               origin=server.address) as gate:
            asyncio.run(run(gate))
            tunnels_are(gate, 0)
            assert gate.metric("wharfgate_tunnels_total") == count
            until(lambda: len(server.seen) == count, "every close")
            assert set(server.seen) == {(1000, "")}
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# ---- What a route lets through ----

def test_without_leave_it_is_an_ordinary_request(cert):
    """`upgrade: off`: the `websockets` server is asked without Upgrade and says 426."""
    async def run(gate):
        async with open_ws(gate, path="/on") as ws:
            await ws.send("ahoy")
            assert await ws.recv() == "ahoy"
        with pytest.raises(websockets.InvalidStatusCode) as e:
            async with open_ws(gate, path="/off"):
                pass
        assert e.value.status_code == 426
    config = CONFIG + "  - { match: { path: /off }, upstream: app, upgrade: off }\n"
    with WebSocketServer() as server, \
            Gate(config, cert=cert[0], key=cert[1], origin=server.address) as gate:
        asyncio.run(run(gate))


@pytest.mark.parametrize("key, asked, passes", [
    ("", "websocket", True),
    ("", "WebSocket", True),
    ("", "foo", False),
    ("", "h2c", False),
    ("upgrade: off", "websocket", False),
    ("upgrade: [foo]", "foo", True),
    ("upgrade: [foo]", "websocket", False),
    ("upgrade: [websocket, foo]", "foo", True),
    ("upgrade: any", "bar/2", True),
    ("upgrade: any", "h2c", False),  # whoever could speak it would be past the routes
])
def test_protocols_that_a_route_lets_through(origin, key, asked, passes):
    """What is not let through arrives as a request without Upgrade, and keep-alive goes on."""
    config = RAW.replace("upgrade: [foo]", key)
    with Gate(config, origin=origin.address) as gate, gate.connect() as c:
        for _ in range(2):
            c.send(ask(asked))
            message = read_message(c)
            seen = {k.lower(): v for k, v in message.json["fields"]}
            assert message.status == 200
            assert seen.get("upgrade") == (asked if passes else None)
            assert ("upgrade" in seen.get("connection", "").lower()) == passes


def test_defaults_and_routes_say_what_passes(origin):
    """`defaults` holds where a route says nothing."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        defaults: { upgrade: [foo] }
        routes:
          - { upstream: app }
          - { match: { path: /own }, upstream: app, upgrade: off }
        """
    with Gate(config, origin=origin.address) as gate:
        for target, passes in (("/", True), ("/own", False)):
            seen = [k.lower() for k, _ in gate.raw(ask(target=target)).json["fields"]]
            assert ("upgrade" in seen) == passes


@pytest.mark.parametrize("request_head", [
    "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: foo\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n",
], ids=["not in Connection", "no Upgrade", "HTTP/1.0"])
def test_what_asks_for_nothing(gate, replica, request_head):
    """RFC 9110 7.8: no upgrade; a 101 that comes all the same is the replica's fault."""
    with gate.connect() as c:
        c.send(request_head)
        r = replica.take()
        assert replica.requests[0].get("upgrade") is None
        r.send(SWITCH)
        assert read_message(c).status == 502
        assert is_over(r)


def test_whatever_else_connection_says(gate, replica):
    """As browsers send it, with fields that end at the gate, and a list of protocols."""
    gate.reload(RAW.replace("[foo]", "[foo, bar]"))
    with gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Hop, uPGRADE\r\nX-Hop: 1\r\n"
               "Upgrade: bar, foo\r\n\r\n")
        r = replica.take()
        request = replica.requests[0]
        assert (request.get("upgrade"), request.get("x-hop")) == ("bar, foo", None)
        r.send(SWITCH)
        assert read_head(c).get("upgrade") == "foo"
        assert both_work(c, r)


def test_a_dead_replica_is_passed_over(replica):
    """An upgrade goes to the next one, as any request does."""
    with Nobody() as nobody, Gate(RAW.replace('"{origin}"', '"{nobody}", "{origin}"'),
                                  origin=replica.address, nobody=nobody.address) as gate:
        for _ in range(4):
            c, r = tunnel(gate, replica)
            assert both_work(c, r)
            c.close()
            r.close()


def test_replica_that_does_not_answer(replica):
    """`response_header` holds until there is a tunnel: 504."""
    config = RAW.replace("[foo]", "[foo], timeouts: { response_header: 200ms }")
    with Gate(config, origin=replica.address) as gate, gate.connect() as c:
        c.send(ask())
        assert read_message(c).status == 504
        assert is_over(replica.take())


def test_switch_to_another_protocol(gate, replica):
    """Than was asked for: 502."""
    with gate.connect() as c:
        c.send(ask())
        r = replica.take()
        r.send(SWITCH.replace("foo", "bar"))
        assert read_message(c).status == 502
        assert is_over(r)


@pytest.mark.parametrize("asked", [None, "bar"])
def test_unasked_101_is_a_bad_answer(gate, replica, asked):
    """Neither asked for by the client nor let through by the route: 502, and nothing of what
    the replica sends behind it reaches the client; its connection ends."""
    with gate.connect() as c:
        c.send(ask(asked) if asked else "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        r = replica.take()
        r.send(SWITCH + "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmug!")
        message = read_message(c)
        assert message.status == 502
        assert is_over(r)
        # The client's own connection is good.
        c.send("GET /next HTTP/1.1\r\nHost: a\r\n\r\n")
        replica.take().send(reply(200, "next"))
        assert read_message(c).body == b"next"
        assert gate.metric("wharfgate_tunnels_total") == 0


@pytest.mark.parametrize("status, body", [(200, "plain"), (403, "no"), (204, "")])
def test_an_ordinary_answer_to_an_upgrade(status, body):
    """It is passed on, and both connections are kept."""
    def serve(peer, o):
        while True:
            request = o.read(peer)
            if request.get("upgrade"):
                peer.send(f"HTTP/1.1 {status} No\r\nX-Why: because\r\n" + (
                    f"Content-Length: {len(body)}\r\n\r\n{body}" if body else "\r\n"))
            else:
                peer.send(reply(200, "ordinary"))
    with Origin(serve) as o, Gate(RAW, origin=o.address) as gate, gate.connect() as c:
        for _ in range(3):
            c.send(ask())
            message = read_message(c)
            assert (message.status, message.body) == (status, body.encode())
            assert message.get("x-why") == "because"
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).body == b"ordinary"
        assert o.connections == 1
        assert gate.metric("wharfgate_tunnels_total") == 0


def test_what_is_behind_a_refused_upgrade_is_routed():
    """Smuggling by a fake upgrade: the replica says 426, the request that the client sent
    behind its head meets the router, not the replica."""
    config = RAW.replace("routes: [", "routes: [ { match: { path: /admin }, "
                         "respond: { status: 403, body: guarded } },")

    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(426, "upgrade to bar", Upgrade="bar", Connection="Upgrade"))
    with Origin(serve) as o, Gate(config, origin=o.address) as gate, gate.connect() as c:
        c.send(ask() + "GET /admin HTTP/1.1\r\nHost: a\r\n\r\n" + ask(target="/third"))
        first, second, third = (read_message(c) for _ in range(3))
        assert (first.status, first.body) == (426, b"upgrade to bar")
        assert (second.status, second.body) == (403, b"guarded")
        assert third.status == 426
        assert [r.target for r in o.requests] == ["/", "/third"]


@pytest.mark.parametrize("framing, body", [
    ("Content-Length: 5\r\n", "hello"),
    ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
], ids=["length", "chunked"])
def test_a_request_with_a_body_is_no_upgrade(gate, replica, framing, body):
    """It is an ordinary request, whose body arrives whole; what stands behind it is the next one,
    and a 101 is unasked."""
    post = ask(method="POST", more=framing) + body
    with gate.connect() as c:
        c.send(post + ask(target="/next"))
        r = replica.take()
        request = replica.requests[-1]
        assert (request.method, request.body, request.get("upgrade")) == ("POST", b"hello", None)
        r.send(reply(200, "posted"))
        assert read_message(c).body == b"posted"
        assert replica.read(r).get("upgrade") == "foo"
        r.send(reply(200, "no"))
        assert read_message(c).body == b"no"
        c.send(post)
        assert replica.read(r).body == b"hello"
        r.send(SWITCH)
        assert read_message(c).status == 502
        assert is_over(r)


def test_101_amid_the_body():
    """A replica that switches before it has read the body, unasked: 502."""
    def serve(peer, _):
        read_head(peer)
        peer.send(SWITCH)
        peer.read_all()
    with Origin(serve) as o, Gate(RAW, origin=o.address) as gate, gate.connect() as c:
        c.send(ask(method="POST", more="Content-Length: 10\r\n") + "first")
        assert read_message(c).status == 502


# ---- Bytes both ways ----

def test_bytes_right_behind_the_heads(gate, replica):
    """The client's behind its request, the replica's in one packet with its 101: none is lost,
    none comes twice."""
    with gate.connect() as c:
        c.send(ask() + "early bird")
        r = replica.take()
        assert r.pending in (b"", b"early bird")
        r.send(SWITCH + "at once")
        assert read_head(c).status == 101
        assert c.read_exactly(7) == b"at once"
        assert r.read_exactly(10) == b"early bird"
        assert both_work(c, r)


def test_much_behind_the_heads(gate, replica):
    """8 MiB each way, sent before either side can have seen the other's head."""
    data = LARGE[:8 << 20]
    with gate.connect() as c:
        senders = [threading.Thread(target=c.send, args=(ask().encode() + data,))]
        senders[0].start()
        r = replica.take()
        senders.append(threading.Thread(target=r.send, args=(SWITCH.encode() + data,)))
        senders[1].start()
        assert read_head(c).status == 101
        assert c.read_exactly(len(data)) == data
        assert r.read_exactly(len(data)) == data
        for t in senders:
            t.join()
        assert both_work(c, r)


def test_a_refused_upgrade_with_much_behind_it(gate, replica):
    """What a client sends on the strength of a tunnel that it does not get is a bad request, be it
    ever so much; the replica sees none of it."""
    with gate.connect() as c:
        sender = threading.Thread(target=push_all, args=(c, ask().encode() + b"\0" * (1 << 20)))
        sender.start()
        r = replica.take()
        r.send(reply(403, "no"))
        assert read_message(c).body == b"no"
        with contextlib.suppress(ConnectionResetError):
            assert read_message(c).status in (400, 414)
        assert is_over(c)
        sender.join()
    replica.close()
    assert not r.pending


def push_all(peer, data):
    with contextlib.suppress(OSError):
        peer.send(data)


def test_informational_answers_before_the_switch(gate, replica):
    """103 first, then 101."""
    with gate.connect() as c:
        c.send(ask())
        r = replica.take()
        r.send("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + SWITCH)
        assert [read_head(c).status, read_head(c).status] == [103, 101]
        assert both_work(c, r)


@pytest.mark.parametrize("first", ["client", "replica"])
def test_half_close(gate, replica, first):
    """The FIN of one end reaches the other, which goes on sending; its FIN ends the tunnel."""
    c, r = tunnel(gate, replica)
    one, other = (c, r) if first == "client" else (r, c)
    with c:
        one.send("last words")
        one.sock.shutdown(socket.SHUT_WR)
        assert other.read_exactly(10) == b"last words"
        assert other.is_closed()
        for i in range(50):
            other.send(b"%05d" % i * 2000)
            assert one.read_exactly(10000) == b"%05d" % i * 2000
        assert gate.metric("wharfgate_tunnels_active") == 1
        other.sock.shutdown(socket.SHUT_WR)
        assert one.is_closed()
        tunnels_are(gate, 0)


def test_everything_before_the_end_arrives(gate, replica):
    """A replica that sends a lot and closes at once: all of it, then the end."""
    c, r = tunnel(gate, replica)
    with c:
        sender = threading.Thread(target=lambda: (r.send(LARGE), r.close()))
        sender.start()
        assert c.read_exactly(len(LARGE)) == LARGE
        assert c.is_closed()
        sender.join()


def test_back_pressure(gate, replica):
    """64 MiB each way at once, none read until both senders stand still: the worker holds next
    to nothing of it, and all of it arrives in order."""
    block, count = LARGE[:1 << 18], 256
    c, r = tunnel(gate, replica)
    for end in (c, r):
        end.sock.settimeout(PATIENCE * 3)
    before, sent, wrong = resident(gate.worker_pid), [0, 0], []

    def is_bounded():
        return IS_SANITIZED or resident(gate.worker_pid) - before < 4 << 20

    def push(end, i):
        for _ in range(count):
            end.send(block)
            sent[i] += 1
        end.sock.shutdown(socket.SHUT_WR)

    def pull(end):
        for _ in range(count):
            if end.read_exactly(len(block)) != block:
                wrong.append("other bytes")
        if not end.is_closed():
            wrong.append("more bytes")

    def stand_still():
        was = list(sent)
        threading.Event().wait(0.2)
        return was == sent
    with c:
        pushers = [threading.Thread(target=push, args=a) for a in ((c, 0), (r, 1))]
        for t in pushers:
            t.start()
        until(stand_still, "the senders to be held up")
        assert max(sent) < count
        assert is_bounded()
        pullers = [threading.Thread(target=pull, args=(end,)) for end in (c, r)]
        for t in pullers:
            t.start()
        for t in pushers + pullers:
            t.join()
        assert not wrong
        assert is_bounded()


def test_one_slow_direction_does_not_stop_the_other(gate, replica):
    """A client that does not read can still send."""
    c, r = tunnel(gate, replica)
    sent = [0]

    def push():
        with contextlib.suppress(OSError):
            while True:
                r.sock.sendall(LARGE[:1 << 18])
                sent[0] += 1
    with c:
        pusher = threading.Thread(target=push)
        pusher.start()

        def stands_still():
            was = sent[0]
            threading.Event().wait(0.2)
            return was and was == sent[0]
        until(stands_still, "the replica to be held up")
        for i in range(20):
            c.send(b"%03d" % i * 1000)
            assert r.read_exactly(3000) == b"%03d" % i * 1000
        c.close()
        pusher.join()


# ---- How tunnels end ----

@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("who", ["client", "replica"])
def test_the_death_of_one_end_is_the_others(gate, replica, who, how):
    """At once, and the gauge says so."""
    c, r = tunnel(gate, replica)
    one, other = (c, r) if who == "client" else (r, c)
    assert both_work(c, r)
    began = time.monotonic()
    getattr(one, how)()
    assert is_over(other)  # then it ends, too: a FIN alone is half an end
    assert time.monotonic() - began < PATIENCE / 5
    other.close()
    tunnels_are(gate, 0)


def test_death_of_an_end_that_takes_nothing(gate, replica):
    """A replica that does not read dies while bytes for it wait everywhere: the client that
    still sends learns it at once."""
    c, r = tunnel(gate, replica)
    ended = threading.Event()

    def push():
        with contextlib.suppress(OSError):
            while True:
                c.sock.sendall(LARGE[:1 << 18])
        ended.set()
    with c:
        pusher = threading.Thread(target=push)
        pusher.start()
        assert r.read_exactly(1 << 18) == LARGE[:1 << 18]
        r.reset()
        assert ended.wait(PATIENCE / 5)
        pusher.join()
        tunnels_are(gate, 0)


def test_idle_tunnels_are_closed(replica):
    """`tunnel_idle` begins anew with every byte, whichever way it goes; then both ends are
    closed and the access log has its line."""
    config = RAW.replace("upgrade: [foo]", "upgrade: [foo], timeouts: { tunnel_idle: 600ms }")
    with Gate(config, origin=replica.address) as gate:
        c, r = tunnel(gate, replica)
        with c:
            for sender, reader in [(r, c)] * 4 + [(c, r)] * 4:
                wait_for(0.2)
                sender.send("x")
                assert reader.read_exactly(1) == b"x"
            assert not gate.access_path.exists() or not gate.access_path.read_text()
            began = time.monotonic()
            assert is_over(c) and is_over(r)
            assert 0.5 < time.monotonic() - began < 0.6 + PATIENCE / 5
        r.close()
        assert gate.access_lines()[0]["status"] == 101
        tunnels_are(gate, 0)


@pytest.mark.parametrize("first", ["client", "replica"])
def test_half_a_tunnel_has_less_time(replica, first):
    """After one side's end `write_idle` bounds the rest, each byte of which begins it anew: a FIN
    may be all that is heard of a peer that has gone."""
    config = RAW.replace("upgrade: [foo]", "upgrade: [foo], timeouts: { write_idle: 600ms }")
    with Gate(config, origin=replica.address) as gate:
        c, r = tunnel(gate, replica)
        one, other = (c, r) if first == "client" else (r, c)
        with c:
            one.sock.shutdown(socket.SHUT_WR)
            assert other.is_closed()
            for _ in range(4):
                wait_for(0.2)
                other.send("x")
                assert one.read_exactly(1) == b"x"
            assert is_over(one)
            other.close()
        tunnels_are(gate, 0)


def test_no_other_deadline_or_bound_is_a_tunnels(replica):
    """Neither those of requests and responses nor `max_body` nor a body's least rate."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        timeouts: { header: 150ms, body_idle: 150ms, keep_alive: 150ms, write_idle: 150ms,
                    response_header: 150ms, response_idle: 150ms, upstream_keep_alive: 150ms }
        routes: [ { upstream: app, upgrade: [foo], max_body: 10 } ]
        """
    with Gate(config, origin=replica.address) as gate:
        c, r = tunnel(gate, replica)
        with c:
            for _ in range(3):
                wait_for(0.25)
                assert both_work(c, r)
            c.send(LARGE[:1 << 16])
            assert r.read_exactly(1 << 16) == LARGE[:1 << 16]
        r.close()


def test_access_log_and_metrics(gate, replica):
    """One line, when the tunnel ends, with status 101."""
    c, r = tunnel(gate, replica)
    tunnels_are(gate, 1)
    assert both_work(c, r)
    assert not gate.access_path.exists() or not gate.access_path.read_text()
    c.close()
    assert is_over(r)
    r.close()
    line, = gate.access_lines()
    assert (line["status"], line["method"], line["path"]) == (101, "GET", "/")
    tunnels_are(gate, 0)
    assert gate.metric("wharfgate_tunnels_total") == 1


# ---- Reload and stop ----

def test_reloads_leave_tunnels_alone(replica):
    """One that changes routes, one that forbids upgrades, one that removes the upstream."""
    other = """
        listeners: { http: { address: "127.0.0.1:0" } }
        routes: [ { respond: { body: "{body}" } } ]
        """
    with Gate(RAW, origin=replica.address) as gate:
        c, r = tunnel(gate, replica)
        with c:
            changed = RAW.replace("upgrade: [foo]", "upgrade: off")
            more = RAW.replace("routes: [", "routes: [ { match: { path: /x }, "
                               "redirect: { to: /y } },")
            for i, config in enumerate((more, changed, other, other), 1):
                done = gate.reload(config, body=i)
                assert done.returncode == 0, done.stderr
                assert both_work(c, r)
            assert gate.request().body == b"4"
            tunnels_are(gate, 1)
            assert gate.metric("wharfgate_plans_alive") == 2
        assert is_over(r)
        r.close()
        until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plan's end")


@pytest.mark.parametrize("args", [[], ["--no-supervisor"]])
def test_tunnels_work_until_the_grace_is_over(replica, args):
    """SIGTERM: the tunnel goes on, then it is cut, and the exit code is 0."""
    with Gate(RAW + "shutdown_grace: 1s\n", origin=replica.address, args=args) as gate:
        c, r = tunnel(gate, replica)
        with c:
            address, began = gate.address("http"), time.monotonic()
            gate.process.send_signal(signal.SIGTERM)
            until(lambda: is_refused(address), "connections to be refused")
            for _ in range(5):
                assert both_work(c, r)
            assert is_over(c) and is_over(r)
            assert time.monotonic() - began > 0.95
            assert gate.process.wait(PATIENCE) == 0


def test_a_tunnel_that_ends_lets_the_gate_end(replica):
    """SIGTERM waits for the last tunnel, no longer."""
    with Gate(RAW + "shutdown_grace: 1h\n", origin=replica.address) as gate:
        c, r = tunnel(gate, replica)
        address = gate.address("http")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(address), "connections to be refused")
        assert both_work(c, r)
        for end in (c, r):
            assert gate.process.poll() is None
            end.close()
        assert gate.process.wait(PATIENCE) == 0
