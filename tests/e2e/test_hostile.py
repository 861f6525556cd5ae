# SPDX-License-Identifier: Apache-2.0
"""Peers that mean harm, or leave at the worst moment: the gate stays alive, lets go of what
they held, bounds what they cost, and cuts off nobody's answer."""
import os
import socket
import threading
import time

import pytest

from harness import Gate, Origin, insecure, read_head, read_message, reply, until

HEAD = "HTTP/1.1\r\nHost: a\r\n"
LOCAL = """
listeners:
  http: { address: "127.0.0.1:0"{listener} }
routes:
  - { match: { path: /short/ }, respond: { status: 200, body: short } }
  - { match: { path: /empty/ }, respond: { status: 204 } }
  - { upstream: app }
upstreams:
  app: { servers: ["{origin}"], retries: 0 }
"""


def alive(gate, listener="http"):
    """Still the same process, and it answers."""
    assert gate.raw(f"GET /short/ {HEAD}\r\n", listener).body == b"short"


def active(gate):
    """Requests in progress, that for the metrics left out."""
    return gate.metric("wharfgate_requests_active") - 1


def connections(gate):
    return gate.metric("wharfgate_connections_active") - 1


def resident(pid):
    with open(f"/proc/{pid}/statm", encoding="ascii") as f:
        return int(f.read().split()[1]) * 4096


def small_client(gate, listener="http"):
    """A connection that has room for next to nothing that it does not read."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect(gate.address(listener))
    sock.settimeout(10)
    return sock


def send_until_stuck(sock, data, most=1 << 27):
    """How many bytes the other side takes before it stops reading."""
    sock.setblocking(False)
    sent, since = 0, time.monotonic()
    while sent < most and time.monotonic() - since < 0.5:
        try:
            sent += sock.send(data)
            since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.01)
    sock.settimeout(10)
    return sent


@pytest.mark.parametrize("line", ["Bad Header: x", "Content-Length: x", "Host: b"])
def test_malformed_head_of_a_request_without_an_answer_body(origin, line):
    """The answer to HEAD has no body, also where the head could not be understood."""
    with Gate(LOCAL, origin=origin.address, listener="") as gate:
        pid = gate.worker_pid
        with gate.connect() as c:
            c.send(f"HEAD / {HEAD}{line}\r\n\r\n")
            assert read_head(c).status == 400
            assert c.read_all() == b""
        assert gate.worker_pid == pid


def test_admin_answer_that_nobody_awaits_any_more(origin):
    """The question was withdrawn by a malformed body; the answer comes nevertheless."""
    with Gate(LOCAL, origin=origin.address, listener="") as gate:
        for _ in range(20):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(gate.socket_path))
            sock.sendall(f"GET /metrics {HEAD}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode())
            assert sock.recv(100).startswith(b"HTTP/1.1 400")
            sock.close()
        alive(gate)


def test_client_resets_while_its_400_waits(origin, tmp_path):
    """Nothing of the exchange survives the connection."""
    page = tmp_path / "400.html"
    page.write_bytes(b"4" * (4 << 20))  # more than a socket takes
    config = LOCAL + f"defaults: {{ error_pages: {{ 400: '{page}' }} }}\n"
    with Gate(config, origin=origin.address, listener="") as gate:
        pid = gate.worker_pid
        for _ in range(4):
            sock = small_client(gate)
            sock.sendall(b"BAD\r\n\r\n")
            until(lambda: active(gate) == 1, "the bad request")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            sock.close()
            until(lambda: connections(gate) == 0, "the connection's end")
            assert active(gate) == 0
        alive(gate)
        assert gate.worker_pid == pid


def test_body_and_more_behind_the_proxy_header(origin):
    """All in one packet: the header, a request with a body, another request."""
    listener = ", accept_proxy_protocol: [127.0.0.1]"
    with Gate(LOCAL, origin=origin.address, listener=listener) as gate:
        body = "x" * 5000
        for _ in range(3):  # the second time there is a connection to send it on at once
            with gate.connect() as c:
                c.send("PROXY TCP4 192.0.2.1 192.0.2.2 5 80\r\n"
                       f"PUT /a {HEAD}Content-Length: 5000\r\n\r\n{body}GET /short/ {HEAD}\r\n")
                assert read_message(c).json["body"] == 5000
                assert read_message(c).body == b"short"
        assert [r.body for r in origin.requests] == [body.encode()] * 3


def test_an_empty_line_is_no_request(origin):
    """It does not hold a connection for ever."""
    config = LOCAL + "timeouts: { header: 200ms, keep_alive: 500ms }\n"
    with Gate(config, origin=origin.address, listener="") as gate:
        for line in ("\r\n", "\r"):
            with gate.connect() as c:
                c.send(line)
                c.read_all()


@pytest.mark.parametrize("path", ["/empty/", "/short/"])
def test_flood_of_requests_whose_answers_are_not_read(origin, path):
    """Requests are taken only while their answers leave."""
    # A sanitizer would keep what has been freed.
    env = {"ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1"}
    with Gate(LOCAL, origin=origin.address, listener="", env=env) as gate:
        sock = small_client(gate)
        before = resident(gate.worker_pid)
        request = f"GET {path} {HEAD}\r\n".encode()
        assert send_until_stuck(sock, request * 1000) < 1 << 25
        assert resident(gate.worker_pid) - before < 32 << 20
        sock.close()


def test_flood_of_requests_is_answered_in_full(origin):
    """A client that reads slowly gets each of its answers, a half-closed one too."""
    with Gate(LOCAL, origin=origin.address, listener="") as gate:
        sock, count, seen = small_client(gate), 20000, b""
        data = f"GET /empty/ {HEAD}\r\n".encode() * count

        def send():
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        while more := sock.recv(65536):
            seen += more
        sender.join()
        sock.close()
        assert seen.count(b"HTTP/1.1 204") == count and seen.endswith(b"\r\n\r\n")


def stream(peer, origin):
    """Answers without end, until the gate has enough of it."""
    origin.read(peer)
    peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        peer.send(b"1000\r\n" + b"s" * 4096 + b"\r\n")
        time.sleep(0.002)


@pytest.mark.parametrize("how", ["fin", "pipelined", "tls"])
def test_client_leaves_amid_the_answer(cert, how):
    """However it leaves, the replica does not go on working for nobody."""
    tls = ""
    if how == "tls":
        tls = f', tls: {{ certificates: [ {{ cert: "{cert[0]}", key: "{cert[1]}" }} ] }}'
    with Origin(stream) as o, Gate(LOCAL, origin=o.address, listener=tls) as gate:
        c = gate.connect(tls=insecure() if tls else None)
        c.send(f"GET / {HEAD}\r\n")
        read_head(c)
        if how == "pipelined":
            c.read_exactly(50000)
            c.send(f"GET / {HEAD}\r\n")
        if how == "tls":
            c.sock.setblocking(False)
            try:
                c.sock.unwrap()  # sends close_notify
            except OSError:
                pass
        if how == "fin":
            c.sock.setblocking(False)
            end = time.monotonic() + 0.2
            while time.monotonic() < end:  # nothing unread: close() is a FIN
                try:
                    c.sock.recv(1 << 20)
                except BlockingIOError:
                    break
        c.close()
        until(lambda: active(gate) == 0, "the exchange's end")


@pytest.mark.parametrize("has_tls", [False, True])
def test_slow_reader_gets_the_last_byte(cert, has_tls):
    """Connection: close, and a drain at the worst moment: what was answered still leaves."""
    tls, size = "", 3 << 20
    if has_tls:
        tls = f', tls: {{ certificates: [ {{ cert: "{cert[0]}", key: "{cert[1]}" }} ] }}'

    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(200, b"e" * size))
    with Origin(serve) as o, Gate(LOCAL, origin=o.address, listener=tls) as gate:
        for extra in range(0, 40):
            sock = small_client(gate)
            if has_tls:
                sock = insecure().wrap_socket(sock, server_hostname="localhost")
            sock.sendall(f"GET /{extra} {HEAD}Connection: close\r\n\r\n".encode())
            got = 0
            time.sleep(0.02)
            while more := sock.recv(16384):
                got += len(more)
                if got % 7 == 0:
                    time.sleep(0.0005)
            sock.close()
            assert got > size, got
            break


def test_body_that_trickles_for_an_answer_of_our_own(origin):
    """A 404 is not held back for a body that comes a byte at a time."""
    config = LOCAL + "timeouts: { body_idle: 400ms }\nlimits: { body_min_rate: 1000 }\n"
    with Gate(config, origin=origin.address, listener="") as gate, gate.connect() as c:
        c.send(f"POST /short/ {HEAD}Content-Length: 60000\r\n\r\n")
        c.sock.settimeout(0.1)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            try:
                c.send("x")
                assert c.recv(9) == b"HTTP/1.1 "
                break
            except TimeoutError:
                continue
        else:
            raise AssertionError("no answer")


def test_listener_goes_while_a_head_is_on_its_way(origin):
    """The request that was begun belongs to the configuration of its listener."""
    config = """
    listeners:
      http: { address: "127.0.0.1:0" }
      {other}
    routes:
      - { match: { listener: http }, respond: { body: short } }
      {route}
    """
    first = "zother: { address: '127.0.0.1:0' }"
    with Gate(config, other=first,
              route="- { match: { listener: zother }, respond: { body: other } }") as gate, \
            gate.connect("zother") as c:
        c.send(f"GET / {HEAD}X: ")
        until(lambda: gate.metric("wharfgate_connections_idle") == 0, "the head's begin")
        assert gate.reload(config, other="", route="").returncode == 0
        c.send("y\r\n\r\n")
        response = read_message(c)
        assert (response.body, response.get("connection")) == (b"other", "close")
        alive(gate)


def test_listener_at_its_bound_closes_its_own(origin):
    """One listener's visitors do not cost another's their connections."""
    config = LOCAL.replace("{listener}", ", max_connections: 2") + "\n"
    config = config.replace("listeners:\n", "listeners:\n  other: { address: '127.0.0.1:0' }\n")
    with Gate(config, origin=origin.address) as gate, gate.connect("other") as kept:
        kept.send(f"GET /short/ {HEAD}\r\n")
        assert read_message(kept).body == b"short"
        peers = []
        for _ in range(4):
            peers.append(gate.connect())
            peers[-1].send(f"GET /short/ {HEAD}\r\n")
            assert read_message(peers[-1]).body == b"short"
        assert [p.is_closed() for p in peers[:2]] == [True, True]
        kept.send(f"GET /short/ {HEAD}\r\n")
        assert read_message(kept).body == b"short"
        for p in peers:
            p.close()


def test_fewer_connections_than_workers(origin):
    with Gate(LOCAL + "limits: { max_connections: 1 }\n", workers=2, origin=origin.address,
              listener="") as gate:
        for _ in range(8):
            alive(gate)
