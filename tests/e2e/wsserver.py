# SPDX-License-Identifier: Apache-2.0
"""The `websockets` library's server, a replica that somebody else wrote, in a thread of its own."""
import asyncio
import contextlib
import threading

import websockets

from harness import PATIENCE


class WebSocketServer:
    """Sends back every message. `handler(ws)` may do something else; `seen` is for its notes.
    Options are those of `websockets.serve`."""

    def __init__(self, handler=None, **options):
        self.seen = []
        options = {"max_size": None, "ping_interval": None, "compression": None, **options}
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.server = self.call(self._serve(handler or self.echo, options))
        self.address = "127.0.0.1:%d" % self.server.sockets[0].getsockname()[1]

    async def _serve(self, handler, options):
        return await websockets.serve(handler, "127.0.0.1", 0, backlog=2048, **options)

    async def echo(self, ws):
        """Notes how the connection was closed."""
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await ws.send(await ws.recv())
        self.seen.append((ws.close_code, ws.close_reason))

    def call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(PATIENCE)

    async def _close(self):
        self.server.close()
        await self.server.wait_closed()

    def close(self):
        self.call(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
