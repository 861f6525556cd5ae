# SPDX-License-Identifier: Apache-2.0
"""A WebSocket server for a container: sends each message back behind its host's name, and after SIGTERM
goes on with those that are connected, as servers do that stop politely. Writes how each was closed to
/records/NAME."""
import asyncio
import contextlib
import signal
import socket

import websockets

NAME = socket.gethostname()


async def serve(ws):
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            await ws.send(f"{NAME} {await ws.recv()}")
    with open(f"/records/{NAME}", "a") as records:
        records.write(f"closed {ws.close_code}\n")


async def main():
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await websockets.serve(serve, "0.0.0.0", 8000, max_size=None, ping_interval=None, compression=None)
    await stop.wait()
    for sock in server.sockets:
        asyncio.get_running_loop().remove_reader(sock.fileno())
    while server.websockets:
        await asyncio.sleep(0.05)

asyncio.run(main())
