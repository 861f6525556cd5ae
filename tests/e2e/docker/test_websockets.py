# SPDX-License-Identifier: Apache-2.0
"""WebSockets through the gate to containers that are stopped: their clients are told, come back, and
find another one."""
import asyncio
import socket

import pytest
import websockets

from engine import HERE, PATIENCE
from harness import Gate, until
from members import becomes
from test_websocket import open_ws

CONFIG = """
    listeners:
      http: { address: "127.0.0.1:0" }
      https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
    discovery: { docker: { endpoint: "{docker}" } }
    upstreams: { app: { docker: { service: web, port: 8000 }, wait_for_endpoint: 60s } }
    routes: [ { upstream: app } ]
    """
CLIENTS = 20
SIZES = 1, 200, 70_000, 1_000_000  # of all lengths that a frame's head may have


def run(engine, name):
    """A container with this machine's Python, which has the library."""
    system = [f"{path}:{path}:ro" for path in ("/usr", "/lib", "/lib64", "/etc/ssl")]
    return engine.run(name, Entrypoint=["/usr/bin/python3", "/tests/wsreplica.py"], Cmd=[], HostConfig={
        "Binds": [f"{engine.records_dir}:/records", f"{HERE}:/tests:ro", *system], "NetworkMode": "app"})


class Client:
    """Sends one message after the other and connects again whenever it is told to. A message that was not
    answered is sent again: every one must come back whole, in the end."""

    def __init__(self, number):
        self.number, self.codes, self.where, self.is_done, self.count = number, [], [], False, 0

    async def talk(self, ws):
        while not self.is_done:
            message = f"{self.number} {self.count} " + "x" * SIZES[self.count % len(SIZES)]
            await ws.send(message)
            name, _, back = (await ws.recv()).partition(" ")
            assert back == message
            self.where.append(name)
            self.count += 1

    async def run(self, gate, listener):
        while not self.is_done:
            ws = await open_ws(gate, listener)
            try:
                await self.talk(ws)
            except websockets.ConnectionClosed:
                self.codes.append(ws.close_code)
        await ws.close()


@pytest.mark.parametrize("listener", ["http", "https"])
def test_one_of_two_is_stopped(engine, cert, listener):
    """docker stop, while messages of all lengths go both ways: each client that was at the one gets 1001,
    connects again and reaches the other; every message comes back whole; the replica, too, is told 1001,
    and ends long before the engine's patience does."""
    one, two = run(engine, "web-1"), run(engine, "web-2")
    clients = [Client(i) for i in range(CLIENTS)]
    loop = asyncio.new_event_loop()

    def more(by=1):
        counts = [c.count for c in clients]
        until(lambda: all(c.count >= n + by for c, n in zip(clients, counts)), "answers for all", PATIENCE)

    async def stop_and_look():
        await loop.run_in_executor(None, more, len(SIZES))
        assert {c.where[-1] for c in clients} == {"web-1", "web-2"}
        await loop.run_in_executor(None, one.stop, 60)
        await loop.run_in_executor(None, more, len(SIZES))
        for c in clients:
            c.is_done = True

    async def everything(gate):
        await asyncio.gather(stop_and_look(), *(c.run(gate, listener) for c in clients))

    with Gate(CONFIG, docker=engine.endpoint, cert=cert[0], key=cert[1]) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        # Without a check: it may listen a little later than it runs.
        until(lambda: all(is_listening(w.address) for w in (one, two)), "them to listen", PATIENCE)
        loop.run_until_complete(everything(gate))
        told = [c for c in clients if c.codes]
        assert 0 < len(told) < CLIENTS and all(c.codes == [1001] for c in told)
        assert all(c.where[-1] == "web-2" for c in clients)
        assert [r for r in one.records() if r[0] == "closed"] == [["closed", "1001"]] * len(told)
        assert one.inspect()["State"]["ExitCode"] == 0
        assert gate.metric("wharfgate_websockets_told_to_go_total") == len(told)


def is_listening(address):
    try:
        socket.create_connection((address, 8000), 5).close()
        return True
    except OSError:
        return False
