# SPDX-License-Identifier: Apache-2.0
"""TLS towards replicas: verified unless told otherwise, and what is cut short stays so."""
import hashlib
import socket
import ssl

import pytest

from certs import Authority, server
from harness import Gate, Origin, make_cert, read_head, read_message, reply, run, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
upstreams:
  app: { servers: ["{origin}"], tls: {tls}, retries: 0 }
routes:
  - { upstream: app, max_body: 60MiB }
timeouts: { connect: 3s }
"""


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def pairs(pki):
    day, end = "20200101000000Z", "20490101000000Z"
    return {
        "ip": pki.issue("ip", "127.0.0.1"),
        "name": pki.issue("name", "replica.internal"),
        "wild": pki.issue("wild", "*.apps.internal"),
        "self": make_cert(pki.dir, "self", "127.0.0.1"),
        "expired": pki.issue_between("expired", day, "20210101000000Z", "replica.internal"),
        "client": pki.issue_between("gateway", day, end),
        "client-only": pki.issue_between("client-only", day, end, "replica.internal", usage="clientAuth"),
    }


def gate_for(o, tls):
    return Gate(CONFIG, origin=o.address, tls=tls)


def names(context, seen):
    """Notes the SNI of each handshake."""
    context.sni_callback = lambda sock, name, ctx: seen.append(name)
    return context


def refused(gate, reason):
    """502 for the client, the reason in the log."""
    assert gate.request().status == 502
    line = gate.access_lines()[0]
    assert (line["status"], line["reason"]) == (502, "connect_failed")
    until(lambda: reason in gate.errors(), f"{reason!r} in the log")


def test_self_signed_replica_is_refused_by_default(pairs):
    """`tls: true` verifies against the system's authorities."""
    with Origin(tls=server(pairs["self"])) as o, gate_for(o, "true") as gate:
        refused(gate, "self-signed certificate")
        assert o.requests == []


def test_unknown_authority_is_refused_by_default(pairs):
    with Origin(tls=server(pairs["ip"])) as o, gate_for(o, "true") as gate:
        refused(gate, "unable to get local issuer certificate")
        assert o.requests == []


def test_ca_and_address(pki, pairs):
    """The replica's address stands in its certificate: nothing else is needed; no SNI for addresses."""
    seen = []
    with Origin(tls=names(server(pairs["ip"]), seen)) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate:
        assert gate.request("/x?y").json["start"] == "GET /x?y HTTP/1.1"
        assert seen == [None]
        assert o.peers[0].sock.version() == "TLSv1.3"
        assert o.peers[0].sock.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("which, sni", [("name", "replica.internal"), ("wild", "a.apps.internal")])
def test_sni_is_sent_and_verified(pki, pairs, which, sni):
    seen = []
    with Origin(tls=names(server(pairs[which]), seen)) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}', sni: {sni} }}") as gate:
        assert gate.request(host="public.example").status == 200
        assert seen == [sni]
        assert o.requests[0].get("host") == "public.example"


def test_sni_is_the_servers_name(pki):
    seen = []
    pair = pki.issue("localhost", "localhost")
    with Origin(tls=names(server(pair), seen)) as o, \
            Gate(CONFIG, origin=f"localhost:{o.port}", tls=f"{{ ca: '{pki.cert}' }}") as gate:
        assert gate.request().status == 200 and seen == ["localhost"]


@pytest.mark.parametrize("which, sni, reason", [
    ("name", "other.internal", "hostname mismatch: the certificate is for replica.internal"),
    ("wild", "a.b.apps.internal", "hostname mismatch: the certificate is for *.apps.internal"),
    ("ip", "replica.internal", "hostname mismatch"),
    ("expired", "replica.internal", "certificate has expired"),
    ("client-only", "replica.internal", "unsuitable certificate purpose"),
])
def test_unfit_certificate_is_refused(pki, pairs, which, sni, reason):
    with Origin(tls=server(pairs[which])) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}', sni: {sni} }}") as gate:
        refused(gate, reason)
        assert o.requests == []


def test_address_that_the_certificate_does_not_name(pki, pairs):
    with Origin(tls=server(pairs["name"])) as o, gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate:
        refused(gate, "hostname mismatch")
        assert o.requests == []


@pytest.mark.parametrize("which", ["self", "expired", "name"])
def test_verify_false_takes_anything(pairs, which):
    with Origin(tls=server(pairs[which])) as o, gate_for(o, "{ verify: false }") as gate:
        assert gate.request().status == 200


def test_another_authority_is_not_enough(pki, pairs, tmp_path):
    other = Authority(tmp_path, "Other CA")
    with Origin(tls=server(pairs["ip"])) as o, gate_for(o, f"{{ ca: '{other.cert}' }}") as gate:
        refused(gate, "unable to get local issuer certificate")


# ---- the gate's own certificate ----

@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_is_shown(pki, pairs, version):
    context = server(pairs["ip"], client_ca=pki.cert)
    context.maximum_version = version
    cert, key = pairs["client"]
    with Origin(tls=context) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}', cert: '{cert}', key: '{key}' }}") as gate:
        assert gate.request().status == 200
        subject = dict(x[0] for x in o.peers[0].sock.getpeercert()["subject"])
        assert subject["commonName"] == "gateway"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_replica_that_requires_a_certificate(pki, pairs, version):
    """Without one: 502, whether the replica says so in the handshake or behind it (TLS 1.3)."""
    context = server(pairs["ip"], client_ca=pki.cert)
    context.maximum_version = version
    with Origin(tls=context) as o, gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate:
        assert gate.request().status == 502
        assert gate.access_lines()[0]["reason"] in ("connect_failed", "upstream_reset", "upstream_closed")
        assert o.requests == []


# ---- connections ----

def test_one_handshake_for_many_requests(pki, pairs):
    with Origin(tls=server(pairs["ip"])) as o, gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate, \
            gate.connect() as c:
        for i in range(20):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == 200
        assert o.connections == 1


def test_sessions_are_resumed(pki, pairs):
    """A replica that closes after each answer: later handshakes are short ones."""
    reused = []

    def serve(peer, o):
        reused.append(peer.sock.session_reused)
        o.read(peer)
        peer.send(reply(200, "ok", Connection="close"))
        peer.sock.unwrap()
    with Origin(serve, tls=server(pairs["ip"])) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate:
        for _ in range(5):
            assert gate.request().body == b"ok"
    assert reused == [False, True, True, True, True]


def test_session_of_another_name_is_not_resumed(pki, pairs):
    """OpenSSL verifies no one whom it resumes: a session verified for the address must not be
    offered where the name is to be verified, though the replica would take it."""
    reused = []

    def serve(peer, o):
        reused.append(peer.sock.session_reused)
        Origin.echo(peer, o)
    with Origin(serve, tls=server(pairs["ip"])) as o, Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams:
          app:
            servers: ["127.0.0.1:{port}", "localhost:{port}"]
            balance: round_robin
            keep_alive_connections: 0
            tls: { ca: '{ca}' }
        routes: [ { upstream: app } ]
        """, port=o.port, ca=pki.cert) as gate:
        for _ in range(12):
            assert gate.request().status == 200
        assert gate.errors().count("not for localhost") >= 4
        assert sum(reused) >= 4


def test_plain_replica_behind_tls(pki):
    """A replica that speaks no TLS gets no request, and its garbage is not shown."""
    def serve(peer, o):
        o.got = peer.recv()
        peer.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 5\r\n\r\noops!")
    with Origin(serve) as o, gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate:
        refused(gate, "does not speak TLS")
        assert o.got[0] == 0x16 and b"GET /" not in o.got


def test_tls_replica_that_is_spoken_to_in_clear(pairs):
    with Origin(tls=server(pairs["ip"])) as o, gate_for(o, "false") as gate:
        assert gate.request().status == 502
        assert o.requests == []


def test_replica_that_never_shakes_hands(pki):
    """`timeouts.connect` includes the handshake."""
    def serve(peer, o):
        while peer.recv():
            pass
    with Origin(serve) as o:
        gate = Gate(CONFIG.replace("3s", "200ms"), origin=o.address, tls=f"{{ ca: '{pki.cert}' }}")
        with gate:
            assert gate.request().status == 504
            assert gate.access_lines()[0]["reason"] == "connect_timeout"


def test_retry_goes_to_a_replica_that_can_be_verified(pki, pairs):
    """Nothing was sent to the other one, so a POST is saved as well."""
    with Origin(tls=server(pairs["self"])) as bad, Origin(tls=server(pairs["ip"])) as good, Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{bad}", "{good}"], balance: round_robin, tls: { ca: '{ca}' } } }
        routes: [ { upstream: app } ]
        """, bad=bad.address, good=good.address, ca=pki.cert) as gate:
        for _ in range(6):
            assert gate.request(method="POST", body=b"x").status == 200
        assert bad.requests == []


# ---- bodies ----

CUTS = {
    "length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "close": "HTTP/1.1 200 OK\r\n\r\nhalf",
}


@pytest.mark.parametrize("framing", CUTS)
@pytest.mark.parametrize("is_notified", [False, True])
@pytest.mark.parametrize("protocol", ["1.1", "1.0"])
def test_cut_body_is_never_shown_as_complete(pki, pairs, framing, is_notified, protocol):
    """Only a close_notify ends a body that has no other end (RFC 9112 section 9.8)."""
    def serve(peer, o):
        o.read(peer)
        peer.send(CUTS[framing])
        if is_notified:
            peer.sock.unwrap()
    with Origin(serve, tls=server(pairs["ip"])) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate, gate.connect() as c:
        c.send(f"GET / HTTP/{protocol}\r\nHost: a\r\n\r\n")
        if framing == "close" and is_notified:
            assert read_message(c).body == b"half"
            assert not gate.access_lines()[0].get("reason")
            return
        is_bare = framing != "length" and protocol == "1.0"  # then only a reset can tell
        with pytest.raises(ConnectionResetError if is_bare else (EOFError, ConnectionResetError)):
            read_message(c)
        assert gate.access_lines()[0]["reason"].startswith("upstream_")


def test_tampered_body_is_never_shown_as_complete(pki, pairs):
    """A record that does not authenticate, amid a body with no other end."""
    def serve(peer, o):
        o.read(peer)
        peer.send("HTTP/1.1 200 OK\r\n\r\nhalf")
        with socket.socket(fileno=peer.sock.detach()) as s:
            s.sendall(b"\x17\x03\x03\x00\x20" + b"x" * 32)
            s.shutdown(socket.SHUT_WR)
            while s.recv(4096):
                pass
    with Origin(serve, tls=server(pairs["ip"])) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        with pytest.raises((EOFError, ConnectionResetError)):
            read_message(c)


MANY = 50 * 1024 * 1024


def test_large_bodies_both_ways(pki, pairs):
    """50 MiB up and down through a TLS replica."""
    piece = hashlib.sha512(b"x").digest() * 4096
    count = MANY // len(piece)

    def serve(peer, o):
        left = int(read_head(peer).get("content-length"))
        up = hashlib.sha256()
        while left:
            data = peer.recv(262144)
            up.update(data)
            left -= len(data)
        peer.send(f"HTTP/1.1 200 OK\r\nContent-Length: {MANY}\r\nX-Up: {up.hexdigest()}\r\n\r\n")
        for _ in range(count):
            peer.send(piece)
    expected = hashlib.sha256(piece * count).hexdigest()
    with Origin(serve, tls=server(pairs["ip"])) as o, \
            gate_for(o, f"{{ ca: '{pki.cert}' }}") as gate:
        answer = gate.request(method="POST", body=piece * count)
        assert answer.headers["x-up"] == expected
        assert hashlib.sha256(answer.body).hexdigest() == expected


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_proxy_header_before_the_handshake(pki, pairs, version):
    """The header goes in clear, the rest in TLS."""
    seen = []

    def serve(peer, o):
        head = peer.sock.recv(16, 0)
        while version == "v1" and not head.endswith(b"\r\n"):
            head += peer.sock.recv(1)
        if version == "v2":
            head += peer.sock.recv(int.from_bytes(head[14:16], "big"))
        seen.append(head)
        peer.sock = server(pairs["ip"]).wrap_socket(peer.sock, server_side=True)
        Origin.echo(peer, o)
    with Origin(serve) as o, Gate(CONFIG.replace("retries: 0", f"proxy_protocol: {version}"),
                                  origin=o.address, tls=f"{{ ca: '{pki.cert}' }}") as gate:
        assert gate.request().status == 200
    assert seen[0].startswith(b"PROXY TCP4 127.0.0.1 " if version == "v1" else b"\r\n\r\n\0\r\nQUIT\n")


# ---- what `check` says ----

@pytest.mark.parametrize("settings, words", [
    ("ca: '{dir}/missing.pem'", "missing.pem"),
    ("ca: '{key}'", "ca"),
    ("cert: '{cert}', key: '{other}'", "does not belong"),
    ("cert: '{expired}', key: '{expired_key}'", "has expired"),
    ("key: '{key}'", "cert"),
])
def test_check_names_the_fault(pki, pairs, tmp_path, settings, words):
    for name, value in {"dir": tmp_path, "cert": pairs["client"][0], "key": pairs["client"][1],
                        "other": pairs["ip"][1], "expired": pairs["expired"][0],
                        "expired_key": pairs["expired"][1]}.items():
        settings = settings.replace("{" + name + "}", str(value))
    path = tmp_path / "w.yaml"
    path.write_text("listeners: { http: { address: ':0' } }\nupstreams:\n  app:\n"
                    f"    servers: ['127.0.0.1:1']\n    tls: {{ {settings} }}\n"
                    "routes: [ { upstream: app } ]\n")
    done = run("check", "-c", path)
    assert done.returncode == 3, done.stderr
    assert f"{path}:" in done.stderr and words in done.stderr
    place = done.stderr.split(f"{path}:")[1].split(":")
    assert place[0] in ("3", "4", "5") and place[1].isdigit()
