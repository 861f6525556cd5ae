# SPDX-License-Identifier: Apache-2.0
"""What lies between a gate and its Redis: a relay that delays the answers, and a server whose
answers are none."""
import contextlib
import queue
import socket
import threading
import time

from harness import Origin


class Relay(Origin):
    """Passes bytes both ways; what comes back is `delay` seconds late. It may be changed at any
    time; bytes keep their order."""

    def __init__(self, target, delay=0.0):
        self.target, self.delay = target, delay
        super().__init__(Relay.pass_on, name="relay")

    @staticmethod
    def pass_on(peer, relay):
        host, port = relay.target.rsplit(":", 1)
        peer.sock.settimeout(None)
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with socket.create_connection((host, int(port))) as server:
            server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            late = queue.SimpleQueue()
            threads = [threading.Thread(target=relay.listen, args=(server, late), daemon=True),
                       threading.Thread(target=relay.send_late, args=(peer.sock, late), daemon=True)]
            for t in threads:
                t.start()
            while data := peer.sock.recv(65536):
                server.sendall(data)
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            for t in threads:
                t.join()

    def listen(self, server, late):
        data = b"x"
        while data:
            try:
                data = server.recv(65536)
            except OSError:
                data = b""
            late.put((time.monotonic() + self.delay if data else 0, data))

    @staticmethod
    def send_late(client, late):
        with contextlib.suppress(OSError):
            while (item := late.get())[1]:
                time.sleep(max(0.0, item[0] - time.monotonic()))
                client.sendall(item[1])
        with contextlib.suppress(OSError):
            client.shutdown(socket.SHUT_RDWR)


class Garbler(Origin):
    """Says PONG to the greeting, and then `garbage` to whatever is asked."""

    def __init__(self, garbage):
        self.garbage = garbage
        super().__init__(Garbler.garble, name="garbler")

    @staticmethod
    def garble(peer, garbler):
        while data := peer.recv():
            peer.send(b"+PONG\r\n" if data.endswith(b"\r\nPING\r\n") else garbler.garbage)
