# SPDX-License-Identifier: Apache-2.0
"""Bodies stream with back-pressure: memory stays where it was, whoever is slow."""
import pathlib
import threading

import pytest

from harness import IS_SANITIZED, Gate, Origin, read_head, read_message, reply

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
upstreams:
  app: { servers: ["{origin}"] }
routes:
  - { upstream: app, max_body: unlimited }
"""
GIB = 1 << 30
# Grown by what a page cache of free lists needs, not by the body.
GROWTH_MAX = 2 * 1024 * 1024
BLOCK = b"x" * (1 << 18)


def resident(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) * 1024


@pytest.fixture
def size():
    return GIB


def growth(gate, run):
    pid = gate.ready["worker_pid"]
    gate.request("/warm")
    before = resident(pid)
    peak = [before]
    done = threading.Event()

    def watch():
        while not done.wait(0.01):
            peak[0] = max(peak[0], resident(pid))
    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        run()
    finally:
        done.set()
        watcher.join()
    return peak[0] - before, IS_SANITIZED


def test_download_of_a_gibibyte_by_a_slow_client(size):
    sent = [0]

    def serve(peer, o):
        while True:
            if o.read(peer).target == "/warm":
                peer.send(reply(200, b"x" * 200000))
                continue
            peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n")
            while sent[0] < size:
                peer.send(BLOCK)
                sent[0] += len(BLOCK)

    def run():
        with gate.connect() as c:
            c.send("GET /big HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_head(c).get("content-length") == str(size)
            got, stops = len(c.pending), 0
            c.pending = b""
            while got < size:
                if got > stops * size // 8:  # now and then the client stops reading
                    stops += 1
                    stopped_at = -1
                    while sent[0] != stopped_at:  # until the replica can send no more
                        stopped_at = sent[0]
                        threading.Event().wait(0.05)
                got += len(c.sock.recv(1 << 20))
            assert got == size
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate:
        grown, sanitized = growth(gate, run)
        assert sanitized or grown < GROWTH_MAX


def test_upload_of_a_gibibyte_to_a_slow_replica(size):
    received = [0]

    def serve(peer, o):
        while True:
            head = read_head(peer)
            if head.target == "/warm":
                peer.send(reply(200, b"x" * 200000))
                continue
            left, stops = size - len(peer.pending), 0
            peer.pending = b""
            while left:
                if size - left > stops * size // 8:
                    stops += 1
                    threading.Event().wait(0.05)
                left -= len(peer.sock.recv(min(left, 1 << 20)))
                received[0] = size - left
            peer.send(reply(200, "all"))

    def run():
        with gate.connect() as c:
            c.send(f"PUT /big HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n")
            sent = 0
            while sent < size:
                c.send(BLOCK)
                sent += len(BLOCK)
            assert read_message(c).body == b"all"
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate:
        grown, sanitized = growth(gate, run)
        assert received[0] == size
        assert sanitized or grown < GROWTH_MAX


@pytest.mark.parametrize("piece", [1, 100, 5000, 100000])
def test_bodies_arrive_unchanged(piece):
    """Every byte, in order, whatever the pieces."""
    payload = bytes(i * 7 % 251 for i in range(200000)) if piece > 1 else bytes(range(256)) * 4

    def serve(peer, o):
        while True:
            body = o.read(peer).body
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            for i in range(0, len(body), piece):
                part = body[i:i + piece]
                peer.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
            peer.send("0\r\n\r\n")
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate, gate.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        for i in range(0, len(payload), piece):
            part = payload[i:i + piece]
            c.send(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        c.send("0\r\n\r\n")
        assert read_message(c).body == payload
