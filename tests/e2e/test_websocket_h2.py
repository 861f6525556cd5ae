# SPDX-License-Identifier: Apache-2.0
"""Tunnels where a side speaks HTTP/2: extended CONNECT (RFC 8441)."""
import asyncio
import base64
import contextlib
import hashlib
import re
import signal
import socket
import threading

import pytest
import websockets
from websockets.frames import Frame, Opcode

from h2peer import H2Origin, h2
from harness import PATIENCE, Gate, Origin, read_head, reply, until
from test_websocket import Replica, ask, is_over, open_ws, tunnels_are
from wsserver import WebSocketServer

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
upstreams:
  app: { servers: ["{origin}"] }
routes:
  - { upstream: app, upgrade: [websocket, foo] }
  - { match: { path: /plain }, upstream: app, upgrade: off }
  - { match: { path: /own }, respond: { body: "the gate's own" } }
"""
ENABLE_CONNECT_PROTOCOL = 8
KEY_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


@pytest.fixture
def replica():
    with Replica() as r:
        yield r


@pytest.fixture
def gate(replica, cert):
    with Gate(CONFIG, cert=cert[0], key=cert[1], origin=replica.address) as g:
        yield g
        replica.close()


@pytest.fixture(params=["h2c", "h2"])
def client(request, gate):
    with (h2(gate) if request.param == "h2c" else h2(gate, "https", tls=True)) as c:
        yield c


def connect(client, path="/chat", protocol="websocket", **more):
    """An extended CONNECT; returns its stream."""
    head = client.head_of("CONNECT", path)
    head.insert(1, (":protocol", protocol))
    more = {"sec-websocket-version": "13", **more}
    return client.open(head=head + [(k.replace("_", "-"), v) for k, v in more.items()], end=False)


def status(stream):
    """Waits for the head; 0 when the stream was reset without one."""
    stream.wire.wait(lambda: stream.fields is not None or stream.is_gone, "an answer")
    return stream.status or 0


def take(stream, count):
    """Bytes of the tunnel, once there are so many."""
    stream.wait(lambda: len(stream.body) >= count, f"{count} bytes")
    data = bytes(stream.body[:count])
    del stream.body[:count]
    return data


def accept(request, **fields):
    """The 101 that a server by RFC 6455 gives to it."""
    key = request.get("sec-websocket-key")
    proof = base64.b64encode(hashlib.sha1((key + KEY_MAGIC).encode()).digest()).decode()
    more = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in fields.items())
    return ("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Accept: {proof}\r\n{more}\r\n")


def tunnel(client, replica, path="/chat"):
    """A tunnel's two ends: a stream and the replica's connection."""
    s = connect(client, path)
    r = replica.take()
    r.send(accept(replica.requests[-1]))
    assert status(s) == 200
    return s, r


def other_tunnel(client, replica):
    """The same of another protocol."""
    s = connect(client, protocol="foo")
    r = replica.take()
    r.send("HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
    assert status(s) == 200
    return s, r


def both_work(s, r):
    s.send("ahoy")
    assert r.read_exactly(4) == b"ahoy"
    r.send("ahoy")
    assert take(s, 4) == b"ahoy"
    return True


def message(text):
    """A client's text message, masked."""
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=True)


def test_the_setting_is_announced(client):
    client.wait(lambda: client.theirs.get(ENABLE_CONNECT_PROTOCOL) == 1, "the setting")


def test_handshake_towards_an_h1_replica(client, replica):
    """The replica sees RFC 6455's, with a key of the gate's; the client a plain 200, with what
    the replica chose."""
    s = connect(client, "/chat?room=1", sec_websocket_protocol="chat, superchat",
                origin="https://x", cookie="a=b")
    r = replica.take()
    request = replica.requests[0]
    assert request.start == "GET /chat?room=1 HTTP/1.1"
    assert request.get("host") == "localhost"
    assert request.get("upgrade") == "websocket"
    assert request.get("connection").lower() == "upgrade"
    assert request.get_all("sec-websocket-version") == ["13"]
    assert len(base64.b64decode(request.get("sec-websocket-key"), validate=True)) == 16
    assert request.get("sec-websocket-protocol") == "chat, superchat"
    assert (request.get("origin"), request.get("cookie")) == ("https://x", "a=b")
    assert request.get("content-length") is None and request.get("transfer-encoding") is None
    r.send(accept(request, Sec_WebSocket_Protocol="chat") + "at once")
    assert status(s) == 200
    assert s.get("sec-websocket-protocol") == "chat"
    assert s.get("sec-websocket-accept") is None and s.get("content-length") is None
    assert take(s, 7) == b"at once"
    assert both_work(s, r)


def test_keys_are_not_used_twice(client, replica):
    for _ in range(2):
        connect(client)
        replica.take()
    assert len({r.get("sec-websocket-key") for r in replica.requests}) == 2


def test_bytes_behind_the_request(client, replica):
    """A client that does not wait for the answer."""
    s = connect(client).send("early bird")
    r = replica.take()
    r.send(accept(replica.requests[0]))
    assert status(s) == 200
    assert r.read_exactly(10) == b"early bird"
    assert both_work(s, r)


def test_a_tunnel_that_ends_with_its_head(client, replica):
    """END_STREAM with the head leaves nothing to tunnel: 400."""
    head = client.head_of("CONNECT", "/")
    s = client.open(head=[head[0], (":protocol", "foo"), *head[1:]], end=True)
    assert status(s) == 400
    assert client.request("/own").body == b"the gate's own"
    assert replica.connections == 0


def test_a_handshake_that_is_given_up(client, gate, replica):
    """RST_STREAM before the answer, with bytes on their way."""
    s = connect(client).send(b"x" * 60000)
    r = replica.take()
    s.reset()
    assert is_over(r)
    assert client.request("/own").body == b"the gate's own"
    assert gate.metric("wharfgate_tunnels_total") == 0


def test_messages_through_a_real_server(cert):
    """The `websockets` server, which is strict about the handshake and about masks, on two
    streams, with ordinary requests between them on the same connection."""
    async def handler(ws):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await ws.send(f"{ws.path} {await ws.recv()}")
        server.seen.append(ws.close_code)
    with WebSocketServer(handler) as server, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=server.address) as gate, \
            h2(gate, "https", tls=True) as c:
        both = {name: connect(c, f"/{name}") for name in "ab"}
        assert [status(s) for s in both.values()] == [200, 200]
        tunnels_are(gate, 2)
        for n in range(10):
            for name, s in both.items():
                s.send(message(f"message {n}"))
                expected = f"/{name} message {n}".encode()
                assert take(s, len(expected) + 2) == bytes([0x81, len(expected)]) + expected
            assert c.request("/own").body == b"the gate's own"
            assert c.request("/").status == 426  # the server's, to an ordinary request
        for s in both.values():
            s.send(Frame(Opcode.CLOSE, b"\x0f\xa1").serialize(mask=True))
            assert take(s, 4) == b"\x88\x02\x0f\xa1"
            # The server closes its connection after that.
            assert s.done().is_ended
            s.end()
        until(lambda: server.seen == [4001, 4001], "the codes")
        tunnels_are(gate, 0)


def test_both_versions_to_one_replica(cert):
    """An HTTP/1.1 and an HTTP/2 WebSocket at once."""
    async def run(gate, s):
        async with open_ws(gate, "https") as ws:
            s.send(message("by 2"))
            await ws.send("by 1")
            assert await ws.recv() == "by 1"
            assert take(s, 6) == b"\x81\x04by 2"
    with WebSocketServer() as server, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=server.address) as gate, \
            h2(gate, "https", tls=True) as c:
        s = connect(c)
        assert status(s) == 200
        asyncio.run(run(gate, s))


def test_another_protocol(client, replica):
    """One that the route lets through and that has no handshake of its own."""
    assert both_work(*other_tunnel(client, replica))
    assert replica.requests[0].get("upgrade") == "foo"
    assert replica.requests[0].get("sec-websocket-key") is None


@pytest.mark.parametrize("path, protocol", [
    ("/plain", "websocket"), ("/", "bar"), ("/own", "websocket")])
def test_what_the_route_does_not_let_through(path, protocol, cert):
    """It must not look like a tunnel: a 200 would be taken for one."""
    with Origin() as o, Gate(CONFIG, cert=cert[0], key=cert[1], origin=o.address) as gate, \
            h2(gate, "https", tls=True) as c:
        s = connect(c, path, protocol)
        assert status(s) == 0 or status(s) >= 400
        assert all(r.get("upgrade") is None for r in o.requests)
        assert c.request("/own").body == b"the gate's own"


def test_a_replica_that_does_not_switch(client, replica):
    """Its refusal is passed on; its 200 is none that the client may take for a tunnel."""
    s = connect(client)
    replica.take().send(reply(403, "not you", Connection="close"))
    assert (status(s), s.read()) == (403, b"not you")
    s = connect(client)
    replica.take().send(reply(200, "<html>", Connection="close"))
    assert status(s) == 0 or status(s) >= 400


@pytest.mark.parametrize("field, wrong", [
    ("Sec-WebSocket-Accept: .*\r\n", "Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n"),
    ("Sec-WebSocket-Accept: .*\r\n", ""),
    ("Upgrade: websocket", "Upgrade: foo"),
], ids=["wrong key", "no key", "another protocol"])
def test_a_replica_that_switches_wrongly(client, replica, field, wrong):
    """The gate made the key: it has to look at the answer."""
    s = connect(client)
    r = replica.take()
    r.send(re.sub(field, wrong, accept(replica.requests[0])))
    assert status(s) == 502
    assert is_over(r)


@pytest.mark.parametrize("head", [
    [(":method", "CONNECT"), (":authority", "localhost:443")],
    [(":method", "CONNECT"), (":scheme", "https"), (":path", "/"), (":authority", "localhost")],
    [(":method", "GET"), (":protocol", "websocket"), (":scheme", "https"), (":path", "/"),
     (":authority", "localhost")],
    [(":method", "CONNECT"), (":protocol", "websocket"), (":authority", "localhost")],
], ids=["plain", "plain with a path", "GET with :protocol", "no scheme and path"])
def test_other_connects_are_refused(client, replica, head):
    """405 or 400 or the stream's end; the connection goes on."""
    s = client.open(head=head, end=False)
    assert status(s) in (0, 400, 405, 501)
    assert client.request("/own").body == b"the gate's own"
    assert replica.connections == 0


# ---- How they end ----

def test_the_clients_end_is_passed_on(client, gate, replica):
    """END_STREAM is a FIN; the replica goes on sending, and its FIN is an END_STREAM."""
    s, r = tunnel(client, replica)
    s.send("last words", end=True)
    assert r.read_exactly(10) == b"last words"
    assert r.is_closed()
    r.send("and mine")
    assert take(s, 8) == b"and mine"
    r.sock.shutdown(socket.SHUT_WR)
    s.done()
    assert s.is_ended and s.reset_code in (None, 0)
    tunnels_are(gate, 0)


def test_the_replicas_end_is_passed_on(client, gate, replica):
    """The other way about, where the protocol is not WebSocket."""
    s, r = other_tunnel(client, replica)
    r.send("last words")
    r.sock.shutdown(socket.SHUT_WR)
    assert take(s, 10) == b"last words"
    assert s.done().is_ended
    s.send("and mine", end=True)
    assert r.read_all() == b"and mine"
    tunnels_are(gate, 0)


def test_the_replicas_end_is_a_web_sockets(client, gate, replica):
    """Its server closes first (RFC 6455 section 7.1.1). Not every browser ends its stream then: the
    tunnel is over all the same, and both ends see a clean one."""
    s, r = tunnel(client, replica)
    s.send("before")
    assert r.read_exactly(6) == b"before"
    r.send("last words")
    r.sock.shutdown(socket.SHUT_WR)
    assert take(s, 10) == b"last words"
    assert s.done().is_ended
    assert r.is_closed()
    tunnels_are(gate, 0)
    assert client.request("/own").body == b"the gate's own"


def test_resets_are_passed_on(client, gate, replica):
    """RST_STREAM ends the replica's connection, the replica's reset is a RST_STREAM; the client's
    connection and its other tunnel go on."""
    kept = tunnel(client, replica)
    s, r = tunnel(client, replica)
    s.reset()
    assert is_over(r)
    s, r = tunnel(client, replica)
    r.reset()
    assert s.done().reset_code is not None
    assert both_work(*kept)
    tunnels_are(gate, 1)


def test_the_connections_end_is_each_tunnels(client, gate, replica):
    ends = [tunnel(client, replica) for _ in range(3)]
    client.close()
    assert all(is_over(r) for _, r in ends)
    tunnels_are(gate, 0)


def test_access_log_says_101(client, gate, replica):
    """Whatever the wire says; one line, when the tunnel ends."""
    s, r = tunnel(client, replica)
    assert both_work(s, r)
    tunnels_are(gate, 1)
    assert not gate.access_path.exists() or not gate.access_path.read_text()
    s.reset()
    line, = gate.access_lines()
    assert (line["status"], line["path"]) == (101, "/chat")
    assert "HTTP/2" in str(line.values())


# ---- Flow control ----

def test_a_megabyte_each_way(client, replica):
    """More than any window, in both directions at once."""
    data = bytes(range(256)) * (1 << 12)
    s, r = tunnel(client, replica)
    got = []
    threads = [threading.Thread(target=r.send, args=(data,)),
               threading.Thread(target=lambda: got.append(r.read_exactly(len(data))))]
    for t in threads:
        t.start()
    s.send(data)
    assert take(s, len(data)) == data
    for t in threads:
        t.join()
    assert got == [data]


def test_a_tunnel_that_is_not_read_stops_only_itself(client, replica):
    """Its window is used up and its replica held up, while the other tunnel of the connection
    and ordinary requests go on."""
    size = 16 << 20
    s, r = tunnel(client, replica)
    other = tunnel(client, replica)
    s.gives_back = False
    r.sock.settimeout(PATIENCE * 2)
    sender = threading.Thread(target=r.send, args=(b"x" * size,))
    sender.start()
    s.wait(lambda: len(s.body) == 65535, "a full window")
    for _ in range(20):
        assert both_work(*other)
        assert client.request("/own").body == b"the gate's own"
    assert sender.is_alive() and len(s.body) == 65535
    s.gives_back = True
    s.give_back(65535)
    assert len(take(s, size)) == size
    sender.join()


# ---- Reload and stop ----

def test_reload_and_stop(gate, replica):
    """A reload without the upstream, then SIGTERM: GOAWAY, a tunnel that is no WebSocket's goes on
    during the grace, and what is left is cut. (WebSockets: test_farewell.py.)"""
    other = CONFIG[:CONFIG.index("upstreams:")] + """
routes: [ { respond: { body: new } } ]
shutdown_grace: 1s
"""
    with h2(gate, "https", tls=True) as c:
        ends = other_tunnel(c, replica)
        done = gate.reload(other)
        assert done.returncode == 0, done.stderr
        assert both_work(*ends)
        assert c.request("/").body == b"new"
        assert both_work(*ends)
        gate.process.send_signal(signal.SIGTERM)
        c.wait(lambda: c.goaway, "GOAWAY")
        assert c.goaway.error_code == 0
        assert both_work(*ends)
        c.ended()
        assert is_over(ends[1])
        assert gate.process.wait(PATIENCE) == 0


# ---- Replicas that speak HTTP/2 ----

def send_back(stream):
    """A replica that accepts extended CONNECT and sends back every byte."""
    if stream.method != "CONNECT":
        stream.respond(200, "ordinary")
        return
    stream.head([(":status", "200")])
    while True:
        stream.wait(lambda: stream.body or stream.is_ended, "bytes")
        with stream.wire.lock:
            data = bytes(stream.body)
            stream.body.clear()
        if not data:
            break
        stream.send(data)
    stream.end()


def h2_replica(config):
    return config.replace('servers: ["{origin}"]', 'servers: ["{origin}"], protocol: h2')


@pytest.fixture
def echo():
    with H2Origin(send_back, {ENABLE_CONNECT_PROTOCOL: 1}) as o:
        yield o


@pytest.fixture
def echo_gate(echo, cert):
    with Gate(h2_replica(CONFIG), cert=cert[0], key=cert[1], origin=echo.address) as g:
        yield g


@pytest.mark.parametrize("is_warm", [False, True], ids=["new connection", "old connection"])
def test_h1_client_and_h2_replica(echo, echo_gate, is_warm):
    """The replica knows nothing of the client's key: the gate answers it, as RFC 6455 wants. On a
    new connection to the replica, too, whose SETTINGS are still on their way."""
    if is_warm:
        assert echo_gate.request("/plain").body == b"ordinary"
    key = base64.b64encode(b"0123456789abcdef").decode()
    with echo_gate.connect() as c:
        c.send(ask("websocket", "/chat?a=b", more="Sec-WebSocket-Version: 13\r\n"
                   f"Sec-WebSocket-Key: {key}\r\n"))
        head = read_head(c)
        proof = base64.b64encode(hashlib.sha1((key + KEY_MAGIC).encode()).digest()).decode()
        assert (head.status, head.get("sec-websocket-accept")) == (101, proof)
        assert head.get("upgrade").lower() == "websocket"
        seen = echo.requests[-1]
        assert (seen.method, seen.get(":protocol")) == ("CONNECT", "websocket")
        assert (seen.target, seen.get(":authority")) == ("/chat?a=b", "a")
        assert seen.get("sec-websocket-version") == "13"
        assert seen.get("sec-websocket-key") is None
        for size in (1, 1000, 100000):
            c.send(b"x" * size)
            assert c.read_exactly(size) == b"x" * size
        c.sock.shutdown(socket.SHUT_WR)
        assert c.is_closed()
        tunnels_are(echo_gate, 0)


def test_the_library_and_an_h2_replica(echo, echo_gate):
    """The `websockets` client checks the key's answer."""
    async def run():
        ws = await open_ws(echo_gate, "https", path="/chat")
        assert ws.response_headers["Upgrade"].lower() == "websocket"
        # A message would come back masked, which no client may take: it is enough to be open.
        ws.transport.abort()
    asyncio.run(run())
    tunnels_are(echo_gate, 0)


def test_h2_client_and_h2_replica(echo, echo_gate):
    """Three tunnels; one ends, one is reset, one goes on."""
    with h2(echo_gate, "https", tls=True) as c:
        three = [connect(c) for _ in range(3)]
        assert [status(s) for s in three] == [200] * 3
        for size in (1, 1000, 100000):
            for s in three:
                s.send(b"x" * size)
                assert take(s, size) == b"x" * size
        three[0].end()
        assert three[0].done().is_ended
        three[1].reset()
        until(lambda: sum(r.is_over for r in echo.requests) == 2, "the reset at the replica")
        tunnels_are(echo_gate, 1)
        three[2].send("still here")
        assert take(three[2], 10) == b"still here"


def test_h2_replica_that_has_no_tunnels(cert):
    """It did not announce them, and is not sent what it would have to take for a breach of
    protocol. An HTTP/1.1 client's request is an ordinary one; an HTTP/2 client's cannot be, and
    is refused."""
    with H2Origin(send_back) as o, \
            Gate(h2_replica(CONFIG), cert=cert[0], key=cert[1], origin=o.address) as gate:
        for _ in range(2):
            answer = gate.raw(ask("websocket", more="Sec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"))
            assert answer.body == b"ordinary" or answer.status >= 500
            with h2(gate) as c:
                s = connect(c)
                assert status(s) == 0 or status(s) >= 400
        assert all(r.method != "CONNECT" for r in o.requests)
        assert gate.request("/plain").body == b"ordinary"
