# SPDX-License-Identifier: Apache-2.0
"""WebSockets whose replica takes no new requests any more, or whose gateway stops, are told to go: both
ends get 1001 between two frames. With the `websockets` library, and with bytes where it matters which."""
import asyncio
import contextlib
import signal
import time

import pytest
import websockets
from websockets.frames import Frame, Opcode

from fakedocker import Container, Daemon
from h2peer import h2
from harness import PATIENCE, Gate, Nobody, Origin, read_head, reply, until
from test_websocket import EITHER, Replica, ask, is_over, open_ws, tunnels_are
from test_websocket_h2 import accept, connect, message, status, take
from wsserver import WebSocketServer

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
upstreams:
  app: { servers: [{servers}] }
routes:
  - { upstream: app, upgrade: [websocket, foo] }
"""
KEY = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
CLOSE = b"\x88\x02\x03\xe9"


def quoted(*addresses):
    return ", ".join(f'"{a}"' for a in addresses)


def gate_for(cert, *addresses, **kw):
    return Gate(CONFIG, cert=cert[0], key=cert[1], servers=quoted(*addresses), **kw)


def leave_only(gate, *addresses):
    """The configuration has these replicas alone from now on."""
    done = gate.reload(CONFIG, servers=quoted(*addresses))
    assert done.returncode == 0, done.stderr


@pytest.fixture
def nobody():
    with Nobody() as n:
        yield n


@pytest.fixture
def replica():
    with Replica() as r:
        yield r


@pytest.fixture
def gate(cert, replica):
    with gate_for(cert, replica.address) as g:
        yield g
        replica.close()


def begin(gate, replica, protocol="websocket"):
    """A tunnel's two ends."""
    c = gate.connect()
    c.send(ask(protocol, more=KEY))
    r = replica.take()
    r.send(accept(replica.requests[-1]).replace("websocket", protocol))
    assert read_head(c).status == 101
    tunnels_are(gate, 1)
    return c, r


def frame(data, opcode=Opcode.BINARY, fin=True, mask=False):
    return Frame(opcode, data, fin).serialize(mask=mask)


def unmask(peer):
    """A short frame of a client's: its first byte and its payload."""
    head = peer.read_exactly(2)
    assert head[1] & 0x80 and head[1] & 0x7f < 126
    key, payload = peer.read_exactly(4), peer.read_exactly(head[1] & 0x7f)
    return head[0], bytes(b ^ key[i % 4] for i, b in enumerate(payload))


def is_told(peer):
    """The next that a client gets is the Close."""
    assert peer.read_exactly(4) == CLOSE
    return True


def answer(client):
    """A client's Close, as an answer to 1001."""
    client.send(frame(b"\x03\xe9", Opcode.CLOSE, mask=True))


def is_silent(peer, seconds=0.3):
    """Nothing comes for some time."""
    peer.sock.settimeout(seconds)
    with contextlib.suppress(TimeoutError):
        assert not peer.sock.recv(1), "something came"
    peer.sock.settimeout(PATIENCE)
    return True


def meanwhile(what, *args):
    """Something that blocks, while the library's clients and servers go on."""
    return asyncio.get_running_loop().run_in_executor(None, what, *args)


# ---- the whole of it ----

@pytest.mark.long
@EITHER
def test_both_ends_get_1001(cert, listener):
    """A replica leaves the configuration: its client and itself see 1001 at once, the connections end in
    order, and the client finds the other replica. That one's are left alone."""
    async def run(gate, one, two):
        opened = [await open_ws(gate, listener) for _ in range(4)]
        for ws in opened:
            await ws.send("ahoy")
            assert await ws.recv() in ("one", "two")
        began = time.monotonic()
        await meanwhile(leave_only, gate, two.address)
        await meanwhile(until, lambda: len(one.seen) == 2, "the replica's end")
        gone = [ws for ws in opened if ws.closed or not await still_works(ws)]
        assert [(ws.close_code, ws.close_reason) for ws in gone] == [(1001, "")] * 2
        assert time.monotonic() - began < 2
        assert one.seen == [1001, 1001] and not two.seen
        again = await open_ws(gate, listener)
        await again.send("ahoy")
        assert await again.recv() == "two"

    async def still_works(ws):
        with contextlib.suppress(websockets.ConnectionClosed):
            await ws.send("still?")
            return await ws.recv() == "two"
        return False

    def handler(name):
        async def talk(ws):
            with contextlib.suppress(websockets.ConnectionClosed):
                while await ws.recv():
                    await ws.send(name)
            servers[name].seen.append(ws.close_code)
        return talk
    servers = {name: WebSocketServer(handler(name)) for name in ("one", "two")}
    with servers["one"] as one, servers["two"] as two, gate_for(cert, one.address, two.address, workers=1) as gate:
        asyncio.run(run(gate, one, two))
        assert gate.metric("wharfgate_websockets_told_to_go_total") == 2
        lines = gate.access_lines(2)
        assert [(line["status"], line["reason"]) for line in lines[:2]] == [(101, "going_away")] * 2


@pytest.mark.parametrize("tls", [False, True], ids=["h2c", "h2"])
def test_over_http_2(cert, nobody, tls):
    """The Close in DATA, then END_STREAM; the connection and its other stream go on."""
    with WebSocketServer() as server, gate_for(cert, server.address) as gate, \
            (h2(gate, "https", tls=True) if tls else h2(gate)) as c:
        s = connect(c)
        assert status(s) == 200
        s.send(message("ahoy"))
        assert take(s, 6) == b"\x81\x04ahoy"
        leave_only(gate, nobody.address)
        assert take(s, 4) == CLOSE
        s.send(frame(b"\x03\xe9", Opcode.CLOSE, mask=True))
        assert s.done().is_ended and s.reset_code in (None, 0)
        until(lambda: server.seen == [(1001, "")], "the replica's end")
        s.end()
        tunnels_are(gate, 0)
        assert c.request("/").status == 502


def test_a_docker_kill(tmp_path, cert):
    """Of the container; also after a reload that has put another upstream in the place of the one that the
    WebSocket is of."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        discovery: { docker: { endpoint: "unix://{socket}" } }
        upstreams: { app: { {more} docker: { service: s0, port: {port}, network: front } } }
        routes: [ { upstream: app } ]
        """

    async def run(gate, daemon, server):
        kept, one = daemon.containers[0], daemon.containers[1]
        ws = [await open_ws(gate) for _ in range(4)]
        assert gate.reload(config, more="balance: round_robin,").returncode == 0
        for w in ws:
            await w.send("ahoy")
            assert await w.recv() == "ahoy"
        daemon.kill(one)
        await meanwhile(until, lambda: len(server.seen) == 2, "the end of two")
        daemon.kill(kept)
        await meanwhile(until, lambda: len(server.seen) == 4, "the end of all")
        assert set(server.seen) == {(1001, "")}
        for w in ws:
            with pytest.raises(websockets.ConnectionClosed):
                await w.recv()
            assert w.close_code == 1001
    pair = [Container(1, "s0", "127.0.0.1"), Container(2, "s0", "127.0.0.1")]
    with WebSocketServer() as server, Daemon(tmp_path / "docker.sock", pair) as daemon, \
            Gate(config, socket=daemon.path, port=server.address.split(":")[1], more="", workers=1) as gate:
        until(lambda: gate.admin("/v1/status").json["docker"]["lists"] >= 1, "a list")
        asyncio.run(run(gate, daemon, server))


def test_the_gateway_stops(cert):
    """SIGTERM: told at once, and then nothing keeps the gateway."""
    async def run(gate):
        async with open_ws(gate) as ws:
            gate.process.send_signal(signal.SIGTERM)
            with pytest.raises(websockets.ConnectionClosed):
                await ws.recv()
            assert ws.close_code == 1001
    with WebSocketServer() as server, gate_for(cert, server.address) as gate:
        asyncio.run(run(gate))
        assert gate.process.wait(PATIENCE / 2) == 0
        until(lambda: server.seen == [(1001, "")], "the replica's end")


# ---- between two frames ----

def test_amid_a_long_frame(gate, replica, nobody):
    """What was begun is finished: the Close comes behind the frame, the moment that it is whole; what
    the replica says after it reaches nobody."""
    c, r = begin(gate, replica)
    long = frame(bytes(range(256)) * 4096)  # a megabyte
    r.send(long[:500_000])
    assert c.read_exactly(500_000) == long[:500_000]
    leave_only(gate, nobody.address)
    assert is_silent(c)
    r.send(long[500_000:-1])
    assert c.read_exactly(len(long) - 500_001) == long[500_000:-1]
    assert is_silent(c)
    r.send(long[-1:] + frame(b"too late"))
    assert c.read_exactly(1) == long[-1:] and is_told(c)
    answer(c)
    assert c.is_closed()
    assert unmask(r) == (0x88, b"\x03\xe9")


@pytest.mark.parametrize("cut", range(1, 10))
def test_amid_a_head(gate, replica, nobody, cut):
    """However few bytes of it have come."""
    c, r = begin(gate, replica)
    whole = frame(b"x" * 70000)  # ten bytes of head
    r.send(whole[:cut])
    assert c.read_exactly(cut) == whole[:cut]
    leave_only(gate, nobody.address)
    r.send(whole[cut:])
    assert c.read_exactly(len(whole) - cut) == whole[cut:]
    assert is_told(c)


def test_between_fragments(gate, replica, nobody):
    """A control frame may come between them; those of the client all reach the replica."""
    c, r = begin(gate, replica)
    r.send(frame(b"a long st", Opcode.TEXT, fin=False))
    assert c.read_exactly(11) == b"\x01\x09a long st"
    c.send(frame(b"one and", Opcode.TEXT, fin=False, mask=True))
    assert unmask(r) == (0x01, b"one and")
    leave_only(gate, nobody.address)
    assert is_told(c)
    c.send(frame(b" two", Opcode.CONT, mask=True))
    answer(c)
    assert unmask(r) == (0x80, b" two")
    assert unmask(r) == (0x88, b"\x03\xe9")


def test_fragments_of_a_real_client(cert, nobody):
    """The library on both sides, in the midst of a message each way: whole messages before, 1001 for both,
    no protocol error."""
    async def handler(ws):
        async def pieces():
            yield "the first piece"
            await asyncio.sleep(3600)
        asyncio.ensure_future(swallow(ws.send(pieces())))
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                server.seen.append(await ws.recv())
        server.seen.append(ws.close_code)

    async def swallow(what):
        with contextlib.suppress(websockets.ConnectionClosed, websockets.InvalidState, asyncio.CancelledError):
            await what

    async def run(gate):
        async def pieces():
            yield "begun"
            await meanwhile(leave_only, gate, nobody.address)
            await ws.wait_closed()
        ws = await open_ws(gate)
        for i in range(10):
            await ws.send(f"whole {i}")
        await swallow(ws.send(pieces()))
        assert ws.close_code == 1001
    with WebSocketServer(handler) as server, gate_for(cert, server.address) as gate:
        asyncio.run(run(gate))
        until(lambda: server.seen[-1:] == [1001], "the replica's end")
        assert server.seen[:-1] == [f"whole {i}" for i in range(10)]


def test_no_message_of_the_clients_is_lost(gate, replica, nobody):
    """What it sent before it knew, and its own Close: all of it reaches the replica."""
    c, r = begin(gate, replica)
    leave_only(gate, nobody.address)
    assert is_told(c)
    sent = [b"message %d" % i for i in range(100)]
    c.send(b"".join(frame(m, mask=True) for m in sent))
    answer(c)
    assert c.is_closed()
    c.close()
    r.send(frame(b"an answer that nobody waits for"))
    assert [unmask(r)[1] for _ in sent] == sent
    assert unmask(r) == (0x88, b"\x03\xe9")
    r.send(CLOSE)
    assert r.is_closed()  # in order
    r.close()
    tunnels_are(gate, 0)


def test_a_handshake_at_a_replica_that_leaves(gate, replica, nobody):
    """The replica was asked before, and switches after it: told at once."""
    with gate.connect() as c:
        c.send(ask("websocket", more=KEY))
        r = replica.take()
        leave_only(gate, nobody.address)
        r.send(accept(replica.requests[-1]))
        assert read_head(c).status == 101
        assert is_told(c)


# ---- ends that do not play along ----

def test_a_replica_that_ignores_it(gate, replica, nobody):
    """The client is done at once; the replica's connection is broken off after some seconds."""
    c, r = begin(gate, replica)
    leave_only(gate, nobody.address)
    assert is_told(c)
    began = time.monotonic()
    answer(c)
    assert c.is_closed()
    assert time.monotonic() - began < 1
    assert unmask(r) == (0x88, b"\x03\xe9")
    c.close()
    r.sock.settimeout(PATIENCE * 2)
    assert is_over(r)
    assert time.monotonic() - began < 5 + PATIENCE / 5
    tunnels_are(gate, 0)


def test_a_client_that_ignores_it(cert, nobody):
    """The replica gets a Close in its name, and ends; so does the client's connection."""
    with WebSocketServer() as server, gate_for(cert, server.address) as gate, gate.connect() as c:
        c.send(ask("websocket", more=KEY))
        assert read_head(c).status == 101
        c.send(frame(b"half", mask=True)[:5])
        leave_only(gate, nobody.address)
        assert is_told(c)
        c.send(frame(b"half", mask=True)[5:])
        c.sock.settimeout(PATIENCE * 2)
        until(lambda: server.seen == [(1001, "")], "the replica's end", PATIENCE * 2)
        assert c.is_closed()
        tunnels_are(gate, 0)


def test_neither_plays_along(gate, replica, nobody):
    """The client has its Close, then the replica, then both are broken off."""
    c, r = begin(gate, replica)
    began = time.monotonic()
    leave_only(gate, nobody.address)
    assert is_told(c)
    assert unmask(r) == (0x88, b"\x03\xe9")
    assert 1.9 < time.monotonic() - began
    assert is_over(c) and is_over(r)
    assert 4.9 < time.monotonic() - began < 5 + PATIENCE / 5
    tunnels_are(gate, 0)
    assert gate.access_lines()[0]["reason"] == "going_away"


def test_who_is_closing_already(gate, replica, nobody):
    """Is not told again: the replica's own answer is the last that the client gets."""
    c, r = begin(gate, replica)
    c.send(frame(b"\x0f\xa1", Opcode.CLOSE, mask=True))
    assert unmask(r) == (0x88, b"\x0f\xa1")
    leave_only(gate, nobody.address)
    assert is_silent(c)
    r.send(frame(b"last words") + b"\x88\x02\x0f\xa1")
    assert c.read_exactly(12) == frame(b"last words")
    assert c.read_exactly(4) == b"\x88\x02\x0f\xa1"
    r.close()
    assert c.is_closed()


@pytest.mark.parametrize("protocol, words", [("websocket", b"GET / HTTP/1.1"), ("foo", b"\x81\x01x")])
def test_what_is_no_websocket_is_left_alone(gate, replica, nobody, protocol, words):
    """Bytes that are no frames, and other protocols: they end with the replica."""
    c, r = begin(gate, replica, protocol)
    c.send(words)
    assert r.read_exactly(len(words)) == words
    leave_only(gate, nobody.address)
    assert is_silent(c)
    for sender, reader in ((c, r), (r, c)):
        sender.send(words)
        assert reader.read_exactly(len(words)) == words
    r.close()
    assert is_over(c)


def test_what_turns_out_to_be_none(gate, replica, nobody):
    """Amid a frame it was told, and what follows is no frame: it goes on."""
    c, r = begin(gate, replica)
    r.send(b"\x81\x04ah")
    assert c.read_exactly(4) == b"\x81\x04ah"
    leave_only(gate, nobody.address)
    r.send(b"oy")
    assert c.read_exactly(2) == b"oy"
    assert is_told(c)


# ---- unhealthy ones ----

SICK = CONFIG.replace("servers: [{servers}]", """servers: [{servers}], balance: round_robin,
    health_check: { path: /health, interval: 100ms, rise: 1, fall: 1 }""")


class Patient(Origin):
    """Switches to a WebSocket, and is as healthy as it is told to be."""

    def __init__(self):
        self.is_well, self.tunnels = True, []
        super().__init__(self.serve)

    def serve(self, peer, _):
        while request := self.read(peer):
            if request.get("upgrade"):
                self.tunnels.append(peer)
                peer.send(accept(request))
                until(lambda: peer.sock.fileno() < 0, seconds=120)
                return
            peer.send(reply(200 if self.is_well else 503))


def test_unhealthy_ones_are_told_while_others_are_well(cert):
    """Of three, the first that falls ill: its clients find the others. When most are ill, something that
    all need is at fault, and nobody is sent from one to the next."""
    with Patient() as a, Patient() as b, Patient() as c, \
            Gate(SICK, cert=cert[0], key=cert[1],
                 servers=quoted(a.address, b.address, c.address)) as gate:
        until(lambda: [e["state"] for e in gate.admin("/v1/status").json["upstreams"][0]["endpoints"]]
              == ["ready"] * 3, "all")
        clients = {}
        for _ in range(3):
            client = gate.connect()
            client.send(ask("websocket", more=KEY))
            assert read_head(client).status == 101
            [where] = {o for o in (a, b, c) if o.tunnels} - set(clients)
            clients[where] = client
        told = "wharfgate_websockets_told_to_go_total"
        a.is_well = False
        assert is_told(clients[a])
        count = gate.metric(told)
        b.is_well = False
        until(lambda: gate.metric("wharfgate_endpoint_ready") == 1, "the second")
        assert is_silent(clients[b]) and is_silent(clients[c])
        assert gate.metric(told) == count
