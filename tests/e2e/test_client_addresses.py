# SPDX-License-Identifier: Apache-2.0
"""What one client address may have on a listener: connections at once, and TLS handshakes."""
import contextlib
import ssl
import threading

import pytest

from harness import Gate, insecure, read_message, until

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0", {listener} } }
    routes: [ { respond: { body: ok } } ]
    """
REQUEST = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def refused(gate, reason="connections_per_address", listener="http"):
    return gate.metric("wharfgate_listener_connections_refused_total", listener=listener, reason=reason)


def until_there_are(gate, count):
    """Connections of clients, beside the one that asks."""
    until(lambda: gate.metric("wharfgate_connections_active") == count + 1, f"{count} connections")


@pytest.fixture
def held():
    """Connections that stay until the test's end."""
    with contextlib.ExitStack() as stack:
        yield stack


def enter(gate, held, source=None, proxy=None, **kw):
    """A connection that is served and stays."""
    peer = held.enter_context(gate.connect(source=source, **kw))
    peer.send((f"PROXY {proxy}\r\n" if proxy else "") + REQUEST)
    assert read_message(peer).body == b"ok"
    return peer


def is_turned_away(gate, source=None, proxy=None):
    try:
        with gate.connect(source=source) as peer:
            peer.send((f"PROXY {proxy}\r\n" if proxy else "") + REQUEST)
            return peer.is_closed()
    except (ConnectionResetError, BrokenPipeError):
        return True


@pytest.mark.parametrize("workers", [1, 3])
def test_an_address_has_so_many_connections(held, workers):
    """Of all workers together; each other address has as many."""
    with Gate(CONFIG, listener="max_connections_per_address: 3", workers=workers) as gate:
        peers = [enter(gate, held) for _ in range(3)]
        for _ in range(4):
            assert is_turned_away(gate)
        enter(gate, held, source="127.0.0.2")
        assert refused(gate) == 4
        peers.pop().close()
        until_there_are(gate, 3)
        enter(gate, held)
        assert is_turned_away(gate)
        assert gate.errors().count("client 127.0.0.1: its connection to the listener http is closed: "
                                   "it has max_connections_per_address") == 5


def test_the_bound_holds_while_many_come_at_once(held):
    """Fifty connect at the same time: what is served is what there is room for."""
    with Gate(CONFIG, listener="max_connections_per_address: 7", workers=3) as gate:
        barrier, served = threading.Barrier(50), []

        def come():
            with contextlib.suppress(OSError, EOFError):
                barrier.wait()
                peer = held.enter_context(gate.connect())
                peer.send(REQUEST)
                served.append(read_message(peer).status)

        threads = [threading.Thread(target=come) for _ in range(50)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        assert served == [200] * 7
        assert refused(gate) == 43


def test_the_address_is_that_of_the_proxy_header(held):
    """Who comes through a load balancer is told apart; IPv6 by the /64 that a client has."""
    listener = "max_connections_per_address: 1, accept_proxy_protocol: [127.0.0.1]"
    v4 = "TCP4 203.0.113.{} 192.0.2.1 4711 80".format
    v6 = "TCP6 2001:db8:0:{}::{} 2001:db8::1 4711 80".format
    with Gate(CONFIG, listener=listener) as gate:
        enter(gate, held, proxy=v4(1))
        enter(gate, held, proxy=v4(2))
        assert is_turned_away(gate, proxy=v4(1))
        enter(gate, held, proxy=v6(1, 1))
        enter(gate, held, proxy=v6(2, 1))
        assert is_turned_away(gate, proxy=v6(1, "ffff:2"))
        assert refused(gate) == 2
        # What the balancer asks for itself is no client's.
        enter(gate, held, proxy="UNKNOWN")
        enter(gate, held, proxy="UNKNOWN")
        assert refused(gate) == 2


def test_unix_sockets_have_no_address(held, tmp_path):
    import socket
    from harness import Peer
    with Gate("""
            listeners: { http: { address: "unix:{path}", max_connections_per_address: 1 } }
            routes: [ { respond: { body: ok } } ]
            """, path=tmp_path / "gate.sock") as gate:
        for _ in range(3):
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(str(tmp_path / "gate.sock"))
            peer = held.enter_context(Peer(sock))
            peer.send(REQUEST)
            assert read_message(peer).body == b"ok"
        assert refused(gate) == 0


def test_a_reload_keeps_the_counts(held):
    """A new bound counts who is there already; one that is gone and comes again does, too."""
    with Gate(CONFIG, listener="max_connections_per_address: 2") as gate:
        peers = [enter(gate, held) for _ in range(2)]
        assert gate.reload(CONFIG, listener="max_connections_per_address: 3").returncode == 0
        peers.append(enter(gate, held))
        assert is_turned_away(gate)
        assert gate.reload(CONFIG, listener="http2: off").returncode == 0
        enter(gate, held).close()
        peers.pop().close()
        until_there_are(gate, 2)
        assert gate.reload(CONFIG, listener="max_connections_per_address: 3").returncode == 0
        enter(gate, held)
        assert is_turned_away(gate)
        assert refused(gate) == 2


def test_an_address_makes_so_many_handshakes(held):
    """As many at once as in a period; then they are closed before TLS, resumed sessions too.
    The rate is that of the connections, not of the requests on them."""
    config = """
        listeners:
          http:
            address: "127.0.0.1:0"
            tls: { self_signed: true, handshakes_per_address: 3/h }
          plain: { address: "127.0.0.1:0" }
        routes: [ { respond: { body: ok } } ]
        """
    context = insecure()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with Gate(config) as gate:
        first = enter(gate, held, tls=context)
        sock = held.enter_context(context.wrap_socket(gate.connect().sock, session=first.sock.session))
        assert sock.session_reused
        enter(gate, held, tls=context)
        with pytest.raises(OSError):
            context.wrap_socket(gate.connect().sock, session=first.sock.session)
        enter(gate, held, tls=context, source="127.0.0.2")
        for _ in range(3):
            first.send(REQUEST)
            assert read_message(first).body == b"ok"
        for _ in range(5):
            enter(gate, held, listener="plain")
        assert refused(gate, "handshakes_per_address") == 1
        assert refused(gate, "handshakes_per_address", "plain") == 0
        assert gate.metric("wharfgate_tls_handshakes_total") == 4
        assert gate.reload().returncode == 0
        with pytest.raises(OSError):
            gate.connect(tls=context)
        assert "more than tls.handshakes_per_address" in gate.errors()


def test_a_refused_handshake_leaves_no_connection_behind(held):
    """Both bounds: who is refused by the second has not used up the first."""
    config = """
        listeners:
          http:
            address: "127.0.0.1:0"
            max_connections_per_address: 2
            tls: { self_signed: true{rate} }
        routes: [ { respond: { body: ok } } ]
        """
    with Gate(config, rate=", handshakes_per_address: 1/h") as gate:
        enter(gate, held, tls=insecure())
        for _ in range(5):
            with pytest.raises(OSError):
                gate.connect(tls=insecure())
        assert refused(gate, "handshakes_per_address") == 5
        assert gate.reload(config, rate="").returncode == 0
        enter(gate, held, tls=insecure())
        with pytest.raises(OSError):
            gate.connect(tls=insecure())
        assert refused(gate) == 1
