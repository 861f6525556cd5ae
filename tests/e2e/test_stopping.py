# SPDX-License-Identifier: Apache-2.0
"""SIGTERM: what runs is finished, what is new is refused, and it ends in time."""
import signal
import socket
import threading
import time

import pytest

from harness import PATIENCE, Gate, Origin, Peer, insecure, read_head, read_message, reply, until

CONFIG = """
listeners: { http: { address: "127.0.0.1:0" } }
upstreams: { app: { servers: ["{origin}"] } }
routes: [ { upstream: app } ]
shutdown_grace: {grace}
"""
BOTH = pytest.mark.parametrize("args", [[], ["--no-supervisor"]])


@pytest.fixture
def slow():
    """An origin that answers /slow once it is released, everything else at once."""
    release = threading.Event()

    def serve(peer, o):
        while True:
            if o.read(peer).target == "/slow":
                release.wait(60)
            peer.send(reply(200, "done"))
    with Origin(serve) as origin:
        origin.release = release
        yield origin
        release.set()


def begin_slow(gate, origin, connection):
    connection.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    until(lambda: any(r.target == "/slow" for r in origin.requests), "the slow request")


def is_refused(address):
    try:
        socket.create_connection(address, 5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        pass  # it waited to be accepted when the socket was closed
    return False


@BOTH
def test_running_request_is_finished(slow, args):
    """New connections are refused at once, an idle one is closed, the slow answer is whole and
    says Connection: close, then the process ends with 0."""
    with Gate(CONFIG, origin=slow.address, grace="30s", args=args, workers=2) as gate, \
            gate.connect() as busy, gate.connect() as idle:
        address = gate.address("http")
        idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(idle).status == 200
        begin_slow(gate, slow, busy)
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(address), "connections to be refused")
        assert idle.is_closed()
        assert gate.process.poll() is None
        slow.release.set()
        response = read_message(busy)
        assert (response.body, response.get("connection")) == (b"done", "close")
        assert busy.is_closed()
        assert gate.process.wait(PATIENCE) == 0


def test_no_request_of_a_load_is_lost(origin):
    """Clients that keep asking get whole answers, the last one with Connection: close."""
    cut, ended = [], []
    with Gate(CONFIG, origin=origin.address, grace="30s", workers=2) as gate:
        def one():
            with gate.connect() as c:
                while True:
                    try:
                        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                        first = c.recv(1)
                    except OSError:
                        first = b""
                    # Closed between two requests: the race that any idle connection has.
                    if not first:
                        ended.append("idle")
                        return
                    c.pending = first + c.pending
                    try:
                        response = read_message(c)
                    except (OSError, EOFError) as e:
                        cut.append(repr(e))
                        return
                    assert response.status == 200
                    if response.get("connection") == "close":
                        ended.append("told")
                        return
        threads = [threading.Thread(target=one) for _ in range(8)]
        for t in threads:
            t.start()
        until(lambda: len(origin.requests) > 100, "requests")
        gate.process.send_signal(signal.SIGTERM)
        for t in threads:
            t.join()
        assert not cut and len(ended) == 8
        assert gate.process.wait(PATIENCE) == 0


def test_body_that_is_being_sent_is_finished():
    """An upload and its answer go through after the signal."""
    def serve(peer, o):
        head = read_head(peer)
        o.requests.append(head)
        body = peer.read_exactly(int(head.get("content-length")))
        peer.send(reply(200, body))
    with Origin(serve) as o, Gate(CONFIG, origin=o.address, grace="30s") as gate, \
            gate.connect() as c:
        c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nfirst")
        until(lambda: o.requests, "the request")
        address = gate.address("http")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(address), "connections to be refused")
        c.send("then.")
        assert read_message(c).body == b"firstthen."
        assert gate.process.wait(PATIENCE) == 0


@BOTH
def test_second_signal_ends_at_once(slow, args):
    with Gate(CONFIG, origin=slow.address, grace="1h", args=args) as gate, gate.connect() as busy:
        begin_slow(gate, slow, busy)
        address = gate.address("http")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(address), "connections to be refused")
        began = time.monotonic()
        gate.process.send_signal(signal.SIGTERM)
        assert gate.process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 1.5
        assert busy.is_closed()


@BOTH
def test_grace_that_passes_cuts(slow, args):
    with Gate(CONFIG, origin=slow.address, grace="300ms", args=args) as gate, \
            gate.connect() as busy:
        begin_slow(gate, slow, busy)
        began = time.monotonic()
        assert gate.stop() == 0
        took = time.monotonic() - began
        assert 0.3 <= took < 0.3 + PATIENCE / 5
        assert busy.is_closed()
        assert "shutdown_grace has passed" in gate.errors()


def test_sigint_does_the_same(slow):
    with Gate(CONFIG, origin=slow.address, grace="30s") as gate:
        assert gate.stop(signal.SIGINT) == 0


def test_tls_connections_end_cleanly(slow, cert):
    """The answer that runs, then close_notify."""
    config = """
        listeners:
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { upstream: app } ]
        """
    with Gate(config, origin=slow.address, cert=cert[0], key=cert[1]) as gate, \
            gate.connect("https", tls=insecure()) as busy:
        begin_slow(gate, slow, busy)
        address = gate.address("https")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(address), "connections to be refused")
        slow.release.set()
        assert read_message(busy).body == b"done"
        # SSLEOFError here would be an end without close_notify.
        assert busy.recv(1) == b""
        assert gate.process.wait(PATIENCE) == 0


def test_handshake_that_runs_does_not_hold_up_the_end(slow, cert):
    """A client amid its TLS handshake has asked for nothing yet: it is told so by close_notify."""
    config = """
        listeners:
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { upstream: app } ]
        """
    with Gate(config, origin=slow.address, cert=cert[0], key=cert[1]) as gate, \
            socket.create_connection(gate.address("https"), PATIENCE) as plain:
        # The admin's own connection is the other one.
        until(lambda: gate.metric("wharfgate_connections_active") == 2, "the connection")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(plain.getpeername()), "connections to be refused")
        with Peer(insecure().wrap_socket(plain, server_hostname="localhost")) as c:
            assert c.recv(1) == b""
        assert gate.process.wait(PATIENCE) == 0


def test_nothing_is_reloaded_any_more(slow):
    """A reload amid stopping is refused, and does no harm."""
    with Gate(CONFIG, origin=slow.address, grace="30s") as gate, gate.connect() as busy:
        begin_slow(gate, slow, busy)
        address = gate.address("http")
        gate.process.send_signal(signal.SIGTERM)
        until(lambda: is_refused(address), "connections to be refused")
        gate.process.send_signal(signal.SIGHUP)
        gate.process.send_signal(signal.SIGUSR1)
        slow.release.set()
        assert read_message(busy).body == b"done"
        assert gate.process.wait(PATIENCE) == 0


def test_unix_sockets_are_gone_afterwards(tmp_path, origin):
    path = tmp_path / "in.sock"
    config = CONFIG.replace('"127.0.0.1:0"', '["127.0.0.1:0", "unix:{path}"]')
    with Gate(config, origin=origin.address, grace="1s", path=path) as gate:
        assert path.is_socket() and gate.socket_path.is_socket()
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(str(path))
            s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert s.recv(100).startswith(b"HTTP/1.1 200")
        assert gate.stop() == 0
        assert not path.exists() and not gate.socket_path.exists()
