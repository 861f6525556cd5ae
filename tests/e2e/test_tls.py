# SPDX-License-Identifier: Apache-2.0
"""TLS towards clients: versions and ciphers, which certificate, tickets, client
certificates, stapling, and peers that break the protocol."""
import hashlib
import http.client
import os
import socket
import ssl
import subprocess

import pytest

from certs import Authority, SClient, client, fingerprint, openssl, shown
from harness import (Gate, Origin, PATIENCE, make_cert, read_head, read_message, reply, run, until)

CONFIG = """
listeners:
  https:
    address: "127.0.0.1:0"
    tls: { certificates: [ {certificates} ]{tls} }{listener}
upstreams:
  app: { servers: ["{origin}"] }
routes:
  - { upstream: app }
timeouts: { tls_handshake: {handshake} }
"""
GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def local(pki):
    return pki.issue("localhost", "localhost", "127.0.0.1")


def gate_for(origin, *certificates, tls="", listener="", handshake="10s", **kw):
    pairs = ", ".join(c if isinstance(c, str) else f"{{ cert: '{c[0]}', key: '{c[1]}' }}"
                      for c in certificates)
    return Gate(CONFIG, origin=origin.address, certificates=pairs, tls=tls and ", " + tls,
                listener=listener and "\n    " + listener, handshake=handshake, **kw)


def secure(gate, context=None, name="localhost", listener="https"):
    return gate.connect(listener, tls=context or client(), server_name=name)


def ask(peer, host="localhost", target="/"):
    peer.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
    return read_message(peer)


def fields(response):
    return {k.lower(): v for k, v in response.json["fields"]}


# ---- real clients ----

def test_curl_verifies_the_chain(origin, pki, local):
    """curl with the authority's certificate, by name; and keep-alive: two requests, one handshake."""
    with gate_for(origin, local) as gate:
        port = gate.address("https")[1]
        done = subprocess.run(
            ["curl", "-sS", "--noproxy", "*", "--cacert", pki.cert, "-w",
             " %{http_version} %{num_connects} %{ssl_verify_result}\n",
             f"https://localhost:{port}/a", f"https://localhost:{port}/b"],
            capture_output=True, text=True, timeout=PATIENCE * 3)
        assert done.returncode == 0, done.stderr
        lines = done.stdout.splitlines()
        assert "GET /a HTTP/1.1" in lines[0] and lines[0].endswith(" 2 1 0")
        assert "GET /b HTTP/1.1" in lines[1] and lines[1].endswith(" 2 0 0")
        assert gate.metric("wharfgate_tls_handshakes_total", result="full") == 1
        assert gate.access_lines()[0]["tls"] == "TLSv1.3"


def test_replica_is_told_of_https(origin, local):
    with gate_for(origin, local) as gate, secure(gate) as c:
        seen = fields(ask(c))
        assert (seen["x-forwarded-proto"], seen["x-forwarded-port"]) == ("https", "443")


# ---- profiles ----

def accepted_ciphers(gate, names):
    """Those of TLS 1.2 with which a handshake succeeds."""
    good = set()
    for name in names:
        try:
            context = client(version=ssl.TLSVersion.TLSv1_2, ciphers=name + ":@SECLEVEL=0")
            with secure(gate, context) as c:
                good.add(c.sock.cipher()[0])
        except ssl.SSLError:
            pass
    return good


def test_intermediate_ciphers(origin, local, pki):
    """TLS 1.2 and 1.3 with forward secrecy and AEAD alone: no CBC, no RSA key exchange."""
    rsa = pki.issue("rsa", "localhost", key="rsa")
    with gate_for(origin, local, rsa) as gate:
        known = openssl("ciphers", "-tls1_2", "-s", "ALL:COMPLEMENTOFALL:@SECLEVEL=0").decode()
        known = [n for n in known.strip().split(":") if not n.startswith("TLS_")]
        assert "AES128-SHA" in known and "ECDHE-RSA-AES128-SHA" in known
        assert accepted_ciphers(gate, known) == {
            f"ECDHE-{k}-{c}" for k in ("ECDSA", "RSA")
            for c in ("AES128-GCM-SHA256", "AES256-GCM-SHA384", "CHACHA20-POLY1305")}
        with secure(gate, client(version=ssl.TLSVersion.TLSv1_2)) as c:
            assert ask(c).status == 200
        with secure(gate) as c:
            assert c.sock.version() == "TLSv1.3" and ask(c).status == 200
        assert {line["tls"] for line in gate.access_lines(2)} == {"TLSv1.2", "TLSv1.3"}


@pytest.mark.parametrize("profile, refused", [
    ("intermediate", ["-tls1", "-tls1_1"]), ("modern", ["-tls1", "-tls1_1", "-tls1_2"])])
def test_old_versions_are_refused(origin, local, profile, refused):
    with gate_for(origin, local, tls=f"profile: {profile}") as gate:
        for version in refused:
            seen = SClient(gate, version, "-cipher", "ALL:@SECLEVEL=0")
            assert seen.status is None and "protocol version" in seen.text, version
        assert SClient(gate, "-tls1_3").status == 200
        assert gate.metric("wharfgate_tls_handshakes_total", result="failed") == len(refused)
        assert len(origin.requests) == 1


@pytest.mark.parametrize("group, is_good", [
    ("X25519", True), ("P-256", True), ("P-384", True), ("P-521", False), ("X448", False)])
def test_groups(origin, local, group, is_good):
    with gate_for(origin, local) as gate:
        assert (SClient(gate, "-groups", group).status == 200) is is_good


def test_renegotiation_is_refused(origin, local):
    """`R` makes s_client ask for one."""
    with gate_for(origin, local) as gate:
        address = "%s:%d" % gate.address("https")
        done = subprocess.run(["openssl", "s_client", "-connect", address, "-tls1_2"], input=b"R\n",
                              capture_output=True, timeout=PATIENCE * 3)
        said = done.stdout + done.stderr
        assert b"RENEGOTIATING" in said and b"no renegotiation" in said, said
        assert gate.request(listener="https", tls=client()).status == 200


# ---- certificates by name ----

@pytest.fixture(scope="module")
def shop(pki):
    """Certificates: the default, one exact name, a wildcard, and the exact name below it."""
    return {name: pki.issue(name, *hosts) for name, hosts in {
        "default": ["default.example"], "exact": ["a.example", "b.example"],
        "wild": ["*.shop.example"], "below": ["vip.shop.example"]}.items()}


@pytest.mark.parametrize("sni, expected", [
    ("default.example", "default"), ("a.example", "exact"), ("b.example", "exact"),
    ("A.Example", "exact"), ("x.shop.example", "wild"), ("vip.shop.example", "below"),
    ("x.y.shop.example", "default"), ("shop.example", "default"), ("other.example", "default"),
    (None, "default")])
def test_certificate_by_server_name(shop_gate, shop, sni, expected):
    with secure(shop_gate, name=sni) as c:
        assert shown(c) == fingerprint(shop[expected][0])
        assert ask(c, sni or "default.example").status == 200


@pytest.fixture(scope="module")
def shop_gate(shop):
    with Origin() as o, gate_for(o, *shop.values()) as gate:
        gate.origin = o
        yield gate


@pytest.mark.parametrize("sni, host, status", [
    ("a.example", "a.example", 200), ("a.example", "A.EXAMPLE:443", 200),
    ("a.example", "b.example", 200), ("a.example", "x.shop.example", 421),
    ("a.example", "default.example", 421), ("a.example", "unknown.example", 421),
    ("x.shop.example", "y.shop.example", 200), ("x.shop.example", "vip.shop.example", 421),
    ("vip.shop.example", "x.shop.example", 421), ("default.example", "a.example", 421),
    ("unknown.example", "a.example", 421), ("unknown.example", "unknown.example", 200)])
def test_host_of_another_certificate_is_421(shop_gate, sni, host, status):
    """RFC 9110 section 7.4. The connection goes on for hosts that it may serve."""
    before = len(shop_gate.origin.requests)
    with secure(shop_gate, name=sni) as c:
        assert ask(c, host).status == status
        assert len(shop_gate.origin.requests) - before == (status == 200)
        assert ask(c, sni).status == 200


def test_421_by_absolute_form_and_its_reason(shop_gate):
    with secure(shop_gate, name="a.example") as c:
        c.send("GET https://x.shop.example/ HTTP/1.1\r\nHost: x.shop.example\r\n\r\n")
        assert read_message(c).status == 421
    lines = until(lambda: [x for x in shop_gate.access_lines() if x.get("reason") ==
                           "misdirected_request"], "the line of the log")
    assert lines[0]["status"] == 421


@pytest.mark.parametrize("is_13", [False, True])
def test_rsa_and_ecdsa_side_by_side(origin, pki, is_13):
    """The client's ciphers (1.2) or signature algorithms (1.3) decide."""
    pair = {kind: pki.issue(f"{kind}-{is_13}", "localhost", key=kind) for kind in ("rsa", "ec")}
    with gate_for(origin, pair["rsa"], pair["ec"]) as gate:
        for kind, cipher, algorithms in (
                ("rsa", "ECDHE-RSA-AES128-GCM-SHA256", "rsa_pss_rsae_sha256:RSA+SHA256"),
                ("ec", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDSA+SHA256")):
            args = ["-tls1_3", "-sigalgs", algorithms] if is_13 else ["-tls1_2", "-cipher", cipher]
            seen = SClient(gate, *args)
            assert seen.status == 200 and seen.subject == f"{kind}-{is_13}"
        # Who takes both gets the cheaper one.
        with secure(gate) as c:
            assert shown(c) == fingerprint(pair["ec"][0])


# ---- ALPN ----

@pytest.mark.parametrize("offered, chosen", [
    (["http/1.1"], "http/1.1"), (["x", "http/1.1"], "http/1.1"), (None, None)])
def test_alpn(local_gate, offered, chosen):
    with secure(local_gate, client(alpn=offered)) as c:
        assert c.sock.selected_alpn_protocol() == chosen
        assert ask(c).status == 200


def test_alpn_without_a_common_protocol_is_refused(local_gate):
    """RFC 7301 section 3.2."""
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        secure(local_gate, client(alpn=["spdy/3"]))


@pytest.fixture(scope="module")
def local_gate(local):
    with Origin() as o, gate_for(o, local, handshake="400ms") as gate:
        gate.origin = o
        yield gate


# ---- tickets ----

def resume(gate, context, session, listener="https", name="localhost"):
    """One request on a new connection; returns (was it resumed, its newest session)."""
    sock = socket.create_connection(gate.address(listener), PATIENCE)
    with context.wrap_socket(sock, server_hostname=name, session=session) as tls:
        tls.sendall(GET.encode())
        assert tls.recv(65536).startswith(b"HTTP/1.1 200")
        return tls.session_reused, tls.session


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tickets_resume_across_workers_and_reloads(origin, local, version):
    """Four workers share the keys: forty connections fall on one of them by no chance that counts."""
    with gate_for(origin, local, workers=4) as gate:
        context = client(version=version)
        was_resumed, session = resume(gate, context, None)
        assert not was_resumed
        for i in range(40):
            if i == 20:
                text = gate.path.read_text()
                gate.path.write_text(text.replace("  app:", "  more: { servers: [127.0.0.1:1] }\n  app:"))
                done = gate.reload()
                assert done.returncode == 0, done.stderr
            was_resumed, session = resume(gate, context, session)
            assert was_resumed, f"connection {i}"
        assert gate.metric("wharfgate_tls_handshakes_total", result="resumed") == 40
        assert gate.metric("wharfgate_tls_handshakes_total", result="full") == 1


def test_one_ticket_a_handshake(local_gate):
    seen = SClient(local_gate, "-tls1_3")
    assert seen.status == 200 and seen.text.count("New Session Ticket arrived") == 1


def test_tickets_off(origin, local):
    with gate_for(origin, local, tls="tickets: false") as gate:
        assert "New Session Ticket arrived" not in SClient(gate, "-tls1_3").text
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = client(version=version)
            session = resume(gate, context, None)[1]
            assert not resume(gate, context, session)[0]


def test_a_forged_ticket_is_a_full_handshake(local_gate, tmp_path):
    """A ticket of which a bit was turned is not believed, nor is it an error."""
    path = tmp_path / "session.pem"
    assert SClient(local_gate, "-tls1_2", "-sess_out", path).status == 200
    der = bytearray(openssl("sess_id", "-in", path, "-outform", "DER"))
    good = SClient(local_gate, "-tls1_2", "-sess_in", path)
    assert good.find("^Reused, TLSv1.2")
    # The ticket stands behind [10] EXPLICIT OCTET STRING; a byte amid it is turned.
    text = openssl("sess_id", "-in", path, "-text", "-noout").decode()
    middle = bytes.fromhex(text.split("0050 - ")[1][:47].replace("-", " "))
    at = der.index(middle)
    der[at + 5] ^= 1
    body = ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "SSL SESSION PARAMETERS")
    path.write_text(body)
    forged = SClient(local_gate, "-tls1_2", "-sess_in", path)
    assert forged.find("^New, TLSv1.2") and forged.status == 200


# ---- certificates of clients ----

@pytest.fixture(scope="module")
def people(pki):
    day = "20200101000000Z"
    return {
        "alice": pki.issue_between("alice", day, "20490101000000Z", serial="0A1B2C"),
        "expired": pki.issue_between("expired", day, "20210101000000Z"),
        "early": pki.issue_between("early", "20480101000000Z", "20490101000000Z"),
        "server": pki.issue_between("server", day, "20490101000000Z", usage="serverAuth"),
        "stranger": Authority(pki.dir, "Other CA").issue("stranger"),
        "self": make_cert(pki.dir, "self"),
    }


FORGED = {
    "X-Client-Cert-Verified": "SUCCESS", "X-Client-Cert-Subject": "CN=admin",
    "x-client-cert-fingerprint": "00", "X-CLIENT-CERT-SERIAL": "1", "X-Client-Cert": "pem",
    "X-Client-Cert-Anything": "x", "X_Client_Cert_Subject": "CN=admin",
}


def cert_fields(gate, cert, version=None):
    """X-Client-Cert-* that the replica sees of a client that forges them all."""
    with secure(gate, client(cert=cert, version=version)) as c:
        c.send("GET / HTTP/1.1\r\nHost: localhost\r\n" +
               "".join(f"{k}: {v}\r\n" for k, v in FORGED.items()) + "\r\n")
        seen = read_message(c).json["fields"]
    return [(k, v) for k, v in seen if k.lower().replace("_", "-").startswith("x-client-cert")]


@pytest.fixture(scope="module", params=["optional", "required"])
def auth_gate(request, local, pki):
    auth = f"client_auth: {{ mode: {request.param}, ca: '{pki.cert}' }}"
    with Origin() as o, gate_for(o, local, tls=auth) as gate:
        gate.origin, gate.mode = o, request.param
        yield gate


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_is_passed_on(auth_gate, people, version):
    assert sorted(cert_fields(auth_gate, people["alice"], version)) == [
        ("X-Client-Cert-Fingerprint", fingerprint(people["alice"][0])),
        ("X-Client-Cert-Serial", "0a1b2c"),
        ("X-Client-Cert-Subject", "O=Test,CN=alice"),
        ("X-Client-Cert-Verified", "SUCCESS")]


def refusal(gate, cert, version):
    """What the client is told when it is not let in; in TLS 1.3 only after its handshake."""
    with pytest.raises((ssl.SSLError, ConnectionError)) as told:
        with secure(gate, client(cert=cert, version=version)) as c:
            c.send(GET)
            answer = c.recv()
            assert answer == b"", answer
            raise ConnectionError("closed without an alert")
    return str(told.value).lower().replace("_", " ")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_no_client_certificate(auth_gate, version):
    """Optional: let in, and nothing that a client wrote reaches the replica. Required: refused."""
    before = len(auth_gate.origin.requests)
    if auth_gate.mode == "optional":
        assert cert_fields(auth_gate, None, version) == []
    else:
        alert = "handshake failure" if version == ssl.TLSVersion.TLSv1_2 else "certificate required"
        assert alert in refusal(auth_gate, None, version)
        assert len(auth_gate.origin.requests) == before


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("who, alert, reason", [
    ("stranger", "unknown ca", "unable to get local issuer certificate"),
    ("self", "unknown ca", "self-signed certificate"),
    ("expired", "certificate expired", "certificate has expired"),
    ("early", "bad certificate", "certificate is not yet valid"),
    ("server", "unsupported certificate", "unsuitable certificate purpose"),
])
def test_bad_client_certificate_is_refused(auth_gate, people, who, alert, reason, version):
    """In both modes, and the log says why."""
    before = len(auth_gate.origin.requests)
    assert alert in refusal(auth_gate, people[who], version)
    assert len(auth_gate.origin.requests) == before
    until(lambda: reason in auth_gate.errors(), f"{reason!r} in the log")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_of_a_resumed_session(auth_gate, people, version):
    """It is known after resumption as well."""
    context = client(cert=people["alice"], version=version)
    session = resume(auth_gate, context, None)[1]
    assert resume(auth_gate, context, session)[0]
    seen = {k: v for k, v in auth_gate.origin.requests[-1].fields}
    assert seen["X-Client-Cert-Fingerprint"] == fingerprint(people["alice"][0])


def test_ticket_does_not_carry_a_client_past_another_authority(origin, local, pki, people):
    """A session of a listener that believes another CA, or asks for nothing, is not resumed."""
    other = pki.dir / "Other-CA" / "ca.pem"
    with Gate("""
        listeners:
          one: { address: "127.0.0.1:0", tls: { certificates: [{pair}], client_auth: required, client_ca: '{ca}' } }
          two: { address: "127.0.0.1:0", tls: { certificates: [{pair}], client_auth: required, client_ca: '{other}' } }
          some: { address: "127.0.0.1:0", tls: { certificates: [{pair}], client_auth: optional, client_ca: '{ca}' } }
          none: { address: "127.0.0.1:0", tls: { certificates: [{pair}] } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { upstream: app } ]
        """, pair=f"{{ cert: '{local[0]}', key: '{local[1]}' }}", ca=pki.cert, other=other,
              origin=origin.address) as gate:
        context = client(version=ssl.TLSVersion.TLSv1_3)
        session = resume(gate, context, None, "none")[1]
        assert not resume(gate, context, session, "some")[0]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            resume(gate, context, session, "one")
        context = client(cert=people["alice"], version=ssl.TLSVersion.TLSv1_3)
        session = resume(gate, context, None, "one")[1]
        with pytest.raises((ssl.SSLError, ConnectionError)):
            resume(gate, context, session, "two")
        assert not resume(gate, context, session, "some")[0]
        assert resume(gate, context, session, "one")[0]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_client_certificate_where_the_name_selects_another_context(origin, shop, local, pki, people, version):
    """Asking, verifying and resuming hold for every certificate of the listener, not for the default alone."""
    auth = f"client_auth: required, client_ca: '{pki.cert}'"
    with gate_for(origin, shop["default"], local, tls=auth) as gate:
        refusal(gate, None, version)
        assert "unknown ca" in refusal(gate, people["stranger"], version)
        assert origin.requests == []
        context = client(cert=people["alice"], version=version)
        session = resume(gate, context, None)[1]
        assert resume(gate, context, session)[0]
        assert [r.get("x-client-cert-subject") for r in origin.requests] == ["O=Test,CN=alice"] * 2


def test_client_certificate_fields_can_be_turned_off(origin, local, pki, people):
    auth = f"client_auth: required, client_ca: '{pki.cert}'"
    with gate_for(origin, local, tls=auth) as gate:
        gate.path.write_text(gate.path.read_text().replace(
            "{ upstream: app }", "{ upstream: app, client_cert_headers: false }"))
        assert gate.reload().returncode == 0
        assert cert_fields(gate, people["alice"]) == []


# ---- OCSP ----

def test_ocsp_response_is_stapled(origin, pki, tmp_path):
    """To those who ask, for the certificate that it is about."""
    cert, key = pki.issue("stapled", "localhost")
    other = pki.issue("plain", "plain.example")
    chain, staple = pki.chain(cert), pki.ocsp(cert, tmp_path / "good.der")
    pair = f"{{ cert: '{chain}', key: '{key}', ocsp: '{staple}' }}"
    with gate_for(origin, pair, other) as gate:
        for version in ("-tls1_2", "-tls1_3"):
            seen = SClient(gate, "-status", version, "-CAfile", pki.cert)
            assert seen.status == 200
            assert "OCSP Response Status: successful" in seen.text and "Cert Status: good" in seen.text
        assert "OCSP response: no response sent" in SClient(gate, "-status", name="plain.example").text
        assert "OCSP" not in SClient(gate).text
        # curl fails unless the response is there, about this certificate and signed.
        port = gate.address("https")[1]
        for host, code in (("localhost", 0), ("plain.example", 91)):
            done = subprocess.run(
                ["curl", "-sS", "--noproxy", "*", "--cert-status", "--cacert", pki.cert, "--resolve",
                 f"{host}:{port}:127.0.0.1", f"https://{host}:{port}/"], capture_output=True, text=True,
                timeout=PATIENCE * 3)
            assert done.returncode == code, done.stderr


def test_bad_ocsp_response(origin, pki, tmp_path, local):
    """One that is revoked is not stapled, with a warning; one about another certificate is an error."""
    cert, key = pki.issue("revoked", "localhost")
    chain, staple = pki.chain(cert), pki.ocsp(cert, tmp_path / "revoked.der", is_revoked=True)
    with gate_for(origin, f"{{ cert: '{chain}', key: '{key}', ocsp: '{staple}' }}") as gate:
        assert "OCSP response: no response sent" in SClient(gate, "-status").text
        assert "says that the certificate is revoked" in gate.errors()
        text = gate.path.read_text().replace(str(chain), str(pki.chain(local[0])))
        gate.path.write_text(text.replace(str(key), str(local[1])))
        done = gate.reload()
        assert done.returncode != 0 and "about another certificate" in done.stderr + gate.errors()


# ---- peers that break the protocol ----

def failed(gate):
    return gate.metric("wharfgate_tls_handshakes_total", result="failed")


@pytest.mark.parametrize("data, reason", [
    (GET.encode(), "plain HTTP was sent to a TLS port"),
    (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\n", "does not speak TLS"),
    (b"\0" * 200, "does not speak TLS"),
    (b"\x16\x03\x01\x00\x05hello", ""),
    (b"\x16\x03\x01\xff\xff" + b"x" * 70000, ""),
    (b"\x17\x03\x03\x00\x05hello", ""),
    (b"\x15\x03\x03\x00\x02\x02\x28", "unexpected message"),
    (b"\x80\x2e\x01\x00\x02" + b"x" * 43, ""),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\xff" * 600, ""),
    (os.urandom(4096), ""),
], ids=["http", "proxy", "zeros", "short", "long-record", "data", "alert", "sslv2", "hello", "noise"])
def test_garbage_handshake(local_gate, data, reason):
    """Is closed, counted, told; nothing that looks like HTTP is answered; the next client is served."""
    before, requests = failed(local_gate), len(local_gate.origin.requests)
    with local_gate.connect("https") as c:
        try:
            c.send(data)
            answer = c.read_all()
        except ConnectionError:
            answer = b""
        assert not answer.startswith(b"HTTP/")
        assert answer == b"" or answer[0] == 0x15, answer
    until(lambda: failed(local_gate) == before + 1, "the failure to be counted")
    if reason:
        assert reason in local_gate.errors()
    assert len(local_gate.origin.requests) == requests
    with secure(local_gate) as c:
        assert ask(c).status == 200


class ByHand:
    """A TLS client whose records pass through the test's hands."""

    def __init__(self, gate, context=None):
        self.peer = gate.connect("https")
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = (context or client()).wrap_bio(self.into, self.out, server_hostname="localhost")

    def step(self, call):
        """Repeats the call, feeding it with what arrives, until it succeeds."""
        while True:
            try:
                return call()
            except ssl.SSLWantReadError:
                self.peer.send(self.out.read())
                data = self.peer.recv()
                if not data:
                    raise EOFError("closed")
                self.into.write(data)

    def handshake(self):
        self.step(self.tls.do_handshake)

    def records(self, data):
        self.tls.write(data)
        return self.out.read()

    def read(self):
        return self.step(lambda: self.tls.read(65536))


@pytest.mark.parametrize("count", [0, 1, 5, 100])
def test_stalled_handshake_is_cut(local_gate, count):
    """After `timeouts.tls_handshake` whatever part of the client's hello was sent."""
    hand = ByHand(local_gate)
    with pytest.raises(ssl.SSLWantReadError):
        hand.tls.do_handshake()
    hello = hand.out.read()
    assert len(hello) > 100
    hand.peer.send(hello[:count])
    assert hand.peer.is_closed()


def test_trickled_handshake_is_cut(local_gate):
    """Bytes that keep coming do not lengthen the deadline: it is for the whole handshake."""
    hand = ByHand(local_gate)
    with pytest.raises(ssl.SSLWantReadError):
        hand.tls.do_handshake()
    hello = hand.out.read() + b"x" * 100000
    sent = 0
    hand.peer.sock.settimeout(0.01)

    def is_cut():
        nonlocal sent
        try:
            sent += hand.peer.sock.send(hello[sent:sent + 1]) if sent < 300 else 0
            return hand.peer.sock.recv(1) == b""
        except TimeoutError:
            return False
        except ConnectionError:
            return True
    until(is_cut, "the connection to be cut")
    assert 5 < sent <= 300


def test_handshake_byte_by_byte(origin, local):
    """And a request whose records come in single bytes."""
    with gate_for(origin, local) as gate:
        hand = ByHand(gate)
        send = hand.peer.send
        hand.peer.send = lambda data: [send(data[i:i + 1]) for i in range(len(data))]
        hand.handshake()
        hand.peer.send(hand.records(GET.encode()))
        assert hand.read().startswith(b"HTTP/1.1 200")


def test_several_records_in_one_segment(local_gate):
    """A record a byte of the request, all at once; and two requests in one record."""
    hand = ByHand(local_gate)
    hand.handshake()
    hand.peer.send(b"".join(hand.records(GET[i:i + 1].encode()) for i in range(len(GET))))
    assert hand.read().startswith(b"HTTP/1.1 200")
    hand.peer.send(hand.records(GET.encode() * 2))
    answers = hand.read()
    while answers.count(b"HTTP/1.1 200") < 2:
        answers += hand.read()


def test_empty_records_are_nothing(local_gate):
    hand = ByHand(local_gate, client(version=ssl.TLSVersion.TLSv1_2))
    hand.handshake()
    hand.peer.send(hand.records(GET[:10].encode()) + hand.records(b"") + hand.records(GET[10:].encode()))
    assert hand.read().startswith(b"HTTP/1.1 200")


def drain(peer):
    """Waits for the end, tidy or not."""
    try:
        while peer.recv():
            pass
    except ConnectionResetError:
        pass


def test_half_a_record_is_no_request(local_gate):
    """Its bytes reach no replica, however much of it came."""
    before = len(local_gate.origin.requests)
    hand = ByHand(local_gate)
    hand.handshake()
    record = hand.records(GET.encode())
    hand.peer.send(record[:-1])
    hand.peer.sock.shutdown(socket.SHUT_WR)
    drain(hand.peer)
    assert len(local_gate.origin.requests) == before


@pytest.mark.parametrize("at", [0, 3, 10, -1])
def test_record_that_was_tampered_with(local_gate, at):
    """An alert, the end, and nothing of it is a request."""
    before = len(local_gate.origin.requests)
    hand = ByHand(local_gate)
    hand.handshake()
    record = bytearray(hand.records(GET.encode()))
    record[at] ^= 0x40
    hand.peer.send(bytes(record) + (b"x" * 20000 if at == 3 else b""))
    with pytest.raises((ssl.SSLError, EOFError, ConnectionError)):
        data = hand.read()
        assert data == b"", data
        raise EOFError
    assert len(local_gate.origin.requests) == before


def test_request_body_cut_without_close_notify(local_gate):
    """A truncated upload is not a complete one, with either framing."""
    for framing, body in (("Content-Length: 10", "hello"), ("Transfer-Encoding: chunked", "5\r\nhello\r\n")):
        before = len(local_gate.origin.requests)
        hand = ByHand(local_gate)
        hand.handshake()
        hand.peer.send(hand.records(f"POST / HTTP/1.1\r\nHost: localhost\r\n{framing}\r\n\r\n{body}".encode()))
        hand.peer.sock.shutdown(socket.SHUT_WR)
        drain(hand.peer)
        assert len(local_gate.origin.requests) == before


# ---- the end of a connection ----

def test_close_notify_by_the_gate(local_gate):
    """`Connection: close` ends with close_notify, not with a mere FIN."""
    hand = ByHand(local_gate)
    hand.handshake()
    hand.peer.send(hand.records(GET.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()))
    data = b""
    while more := hand.step(lambda: hand.tls.read(65536)):  # b"": close_notify; EOFError: none
        data += more
    assert data.startswith(b"HTTP/1.1 200") and b"Connection: close" in data
    assert hand.peer.recv() == b""


def test_close_notify_by_the_client(local_gate):
    """The gate answers it in kind and closes."""
    with secure(local_gate) as c:
        assert ask(c).status == 200
        raw = c.sock.unwrap()  # raises unless the gate's close_notify came
        assert raw.recv(1) == b""


def test_response_after_the_clients_close_notify(local):
    """A client that has said all may still read: half-close as in plain HTTP."""
    def serve(peer, o):
        o.read(peer)
        until(lambda: o.may_answer, "the client to have finished")
        peer.send(reply(200, "late"))
    with Origin(serve) as o, gate_for(o, local) as gate:
        o.may_answer = False
        hand = ByHand(gate)
        hand.handshake()
        request = hand.records(GET.encode())
        with pytest.raises(ssl.SSLWantReadError):
            hand.tls.unwrap()
        hand.peer.send(request + hand.out.read())
        until(lambda: o.requests, "the request")
        o.may_answer = True
        data = b""
        while more := hand.peer.recv():
            data += more
        # Python's object reads nothing after its close_notify: what came is two records or more.
        assert len(data) > 200 and data[:1] == b"\x17"


# ---- bodies ----

MANY = 50 * 1024 * 1024


def blocks(total):
    """The same unpredictable bytes each time, in pieces."""
    piece = hashlib.sha512(b"seed").digest() * 1024
    left = total
    while left:
        piece = hashlib.sha512(piece[:64]).digest() + piece[64:]
        yield piece[:left]
        left -= min(left, len(piece))


def digest_of(pieces):
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()


@pytest.mark.parametrize("is_chunked", [False, True])
def test_large_bodies_both_ways(local, is_chunked):
    """50 MiB up and down over TLS, byte for byte."""
    def serve(peer, o):
        head = read_head(peer)
        up = hashlib.sha256()
        if head.get("content-length"):
            left = int(head.get("content-length"))
            while left:
                data = peer.recv(min(left, 262144))
                up.update(data)
                left -= len(data)
        else:
            while size := int(peer.read_until(b"\r\n"), 16):
                up.update(peer.read_exactly(size))
                peer.read_exactly(2)
            peer.read_exactly(2)
        framing = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {MANY}"
        peer.send(f"HTTP/1.1 200 OK\r\n{framing}\r\nX-Up: {up.hexdigest()}\r\n\r\n")
        for piece in blocks(MANY):
            peer.send(b"%x\r\n%s\r\n" % (len(piece), piece) if is_chunked else piece)
        peer.send("0\r\n\r\n" if is_chunked else "")
    expected = digest_of(blocks(MANY))
    with Origin(serve) as o, gate_for(o, local) as gate:
        gate.path.write_text(gate.path.read_text().replace(
            "{ upstream: app }", "{ upstream: app, max_body: 60MiB }"))
        assert gate.reload().returncode == 0
        c = http.client.HTTPSConnection(*gate.address("https"), timeout=PATIENCE * 3, context=client())
        headers = {"Host": "localhost"}
        if not is_chunked:
            headers["Content-Length"] = str(MANY)
        c.request("POST", "/", body=blocks(MANY), headers=headers, encode_chunked=is_chunked)
        response = c.getresponse()
        assert response.status == 200 and response.headers["X-Up"] == expected
        assert digest_of(iter(lambda: response.read(262144), b"")) == expected
        c.close()


# ---- behind PROXY protocol ----

@pytest.mark.parametrize("is_split", [False, True])
def test_tls_behind_proxy_protocol(origin, local, is_split):
    """The header comes in clear, in the same segment as the hello or before it."""
    with gate_for(origin, local, listener="accept_proxy_protocol: [127.0.0.1]") as gate:
        hand = ByHand(gate)
        header = b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 443\r\n"
        with pytest.raises(ssl.SSLWantReadError):
            hand.tls.do_handshake()
        data = header + hand.out.read()
        for piece in ([data[i:i + 1] for i in range(len(data))] if is_split else [data]):
            hand.peer.send(piece)
        hand.handshake()
        hand.peer.send(hand.records(GET.encode()))
        assert b'"X-Real-IP", "203.0.113.7"' in hand.read()
        line = gate.access_lines()[0]
        assert (line["client"], line["tls"]) == ("203.0.113.7", "TLSv1.3")


def test_tls_without_the_proxy_header_is_refused(origin, local):
    with gate_for(origin, local, listener="accept_proxy_protocol: [127.0.0.1]") as gate:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            secure(gate)
        with gate.connect("https", tls=client(), source="127.0.0.2") as c:
            assert ask(c).status == 200


# ---- redirect: https ----

REDIRECT = """
listeners:
  http: { address: "127.0.0.1:0", redirect: https{port} }
  https: { address: "127.0.0.1:{tls_port}", tls: { certificates: [ { cert: '{cert}', key: '{key}' } ] } }
upstreams: { app: { servers: ["{origin}"] } }
routes: [ { upstream: app } ]
"""


def redirect_gate(origin, local, port=""):
    with socket.socket() as free:  # its number must be known before, to stand in Location
        free.bind(("127.0.0.1", 0))
        tls_port = free.getsockname()[1]
    return Gate(REDIRECT, origin=origin.address, cert=local[0], key=local[1], port=port, tls_port=tls_port)


def test_redirect_to_https(origin, local):
    with redirect_gate(origin, local) as gate, gate.connect("http") as c:
        port = gate.address("https")[1]
        for target, host, expected in (
                ("/a/b?c=d&e=%20f", "x.example", f"https://x.example:{port}/a/b?c=d&e=%20f"),
                ("/", "x.example:8080", f"https://x.example:{port}/"),
                ("/?", "[::1]:80", f"https://[::1]:{port}/?"),
                ("http://y.example/z?q", "y.example", f"https://y.example:{port}/z?q"),
                ("//evil.example/x", "x.example", f"https://x.example:{port}/evil.example/x"),
                ("/a/../b//c?d=//e/..", "x.example", f"https://x.example:{port}/b/c?d=//e/..")):
            c.send(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")
            response = read_message(c)
            assert (response.status, response.get("location")) == (308, expected)
        c.send("POST /form HTTP/1.1\r\nHost: x.example\r\nContent-Length: 3\r\n\r\nabc")
        assert read_message(c).status == 308
        c.send("HEAD /h HTTP/1.1\r\nHost: x.example\r\n\r\n")
        assert read_message(c, has_body=False).get("location") == f"https://x.example:{port}/h"
    assert origin.requests == []


@pytest.mark.parametrize("port, text", [(443, ""), (9443, ":9443")])
def test_redirect_port(origin, local, port, text):
    """What stands before the gate may show other ports; the default one is not written."""
    with redirect_gate(origin, local, f", redirect_port: {port}") as gate, gate.connect("http") as c:
        c.send("GET /x?y HTTP/1.1\r\nHost: a.example:8080\r\n\r\n")
        assert read_message(c).get("location") == f"https://a.example{text}/x?y"


def test_redirect_is_followed_by_curl(origin, local, pki):
    with redirect_gate(origin, local) as gate:
        done = subprocess.run(
            ["curl", "-sSL", "--noproxy", "*", "--cacert", pki.cert, "--data", "a=b",
             f"http://localhost:{gate.address('http')[1]}/form?x=1"], capture_output=True, text=True,
            timeout=PATIENCE * 3)
        assert done.returncode == 0, done.stderr
        assert origin.requests[0].start == "POST /form?x=1 HTTP/1.1"  # 308 keeps the method
        assert origin.requests[0].body == b"a=b"


# ---- what `check` says ----

@pytest.fixture(scope="module")
def broken(pki, local, tmp_path_factory):
    """Files that cannot be served, each with the words that are expected."""
    where = tmp_path_factory.mktemp("broken")

    def write(name, data):
        path = where / name
        path.write_bytes(data)
        return path
    cert, key = (p.read_bytes() for p in local)
    other = pki.issue("another", "localhost")
    old = pki.issue_between("old", "20200101000000Z", "20210203040506Z")
    early = pki.issue_between("early2", "20480101000000Z", "20490101000000Z")
    weak = where / "weak.pem", where / "weak.key"
    openssl("req", "-x509", "-newkey", "rsa:1024", "-nodes", "-subj", "/CN=weak", "-keyout", weak[1],
            "-out", weak[0])
    locked = where / "locked.key"
    openssl("pkey", "-in", local[1], "-aes256", "-passout", "pass:x", "-out", locked)
    return {
        "key of another": ((local[0], other[1]), "does not belong to this certificate"),
        "no key": ((local[0], write("no.key", b"hello\n")), None),
        "half a key": ((local[0], write("half.key", key[:len(key) // 2])), None),
        "empty key": ((local[0], write("empty.key", b"")), None),
        "encrypted key": ((local[0], locked), None),
        "no certificate": ((write("no.pem", b"hello\n"), local[1]), None),
        "half a certificate": ((write("half.pem", cert[:len(cert) // 2]), local[1]), None),
        "expired": (old, "has expired on 2021-02-03 04:05 UTC"),
        "not yet valid": (early, "is not valid before 2048-01-01"),
        "missing certificate": ((where / "missing.pem", local[1]), "No such file"),
        "missing key": ((local[0], where / "missing.key"), "No such file"),
        "a folder": ((where, local[1]), None),
        "weak": (weak, "an RSA key of 1024 bits is too weak"),
        "wrong order": ((write("order.pem", pki.cert.read_bytes() + cert), local[1]), "first"),
    }


@pytest.mark.parametrize("fault", [
    "key of another", "no key", "half a key", "empty key", "encrypted key", "no certificate",
    "half a certificate", "expired", "not yet valid", "missing certificate", "missing key",
    "a folder", "weak", "wrong order"])
def test_check_names_the_fault_and_its_place(broken, local, tmp_path, fault):
    (cert, key), words = broken[fault]
    path = tmp_path / "w.yaml"
    path.write_text(f"""listeners:
  https:
    address: ":0"
    tls:
      certificates:
        - {{ cert: '{local[0]}', key: '{local[1]}' }}
        - {{ cert: '{cert}', key: '{key}' }}
routes: [ {{ respond: {{ status: 200 }} }} ]
""")
    done = run("check", "-c", path)
    assert done.returncode == 3, done.stderr
    assert f"{path}:7:" in done.stderr and " error" in done.stderr
    at_fault = key if "key" in fault else cert
    assert str(at_fault) in done.stderr
    assert (words or "") in done.stderr, done.stderr
    assert not any(line in done.stderr for line in local[1].read_text().splitlines()[1:-1])
    if fault == "expired":  # which is a warning at a start
        return
    started = run("run", "-c", path)
    assert started.returncode == 3 and f"{path}:7:" in started.stderr


def test_check_names_all_faults_at_once(broken, tmp_path):
    pairs = [broken[name][0] for name in ("key of another", "expired", "weak")]
    path = tmp_path / "w.yaml"
    path.write_text("listeners:\n  https:\n    address: ':0'\n    tls:\n      certificates:\n" +
                    "".join(f"        - {{ cert: '{c}', key: '{k}' }}\n" for c, k in pairs) +
                    "routes: [ { respond: { status: 200 } } ]\n")
    done = run("check", "-c", path)
    assert done.returncode == 3
    assert all(f"{path}:{line}:" in done.stderr for line in (6, 7, 8)), done.stderr


def test_check_warns_of_an_early_end(tmp_path):
    cert, key = make_cert(tmp_path, "soon", "localhost", days=3)
    path = tmp_path / "w.yaml"
    path.write_text("listeners: { https: { address: ':0', tls: { certificates: [ "
                    f"{{ cert: '{cert}', key: '{key}' }} ] }} }} }}\n"
                    "routes: [ { respond: { status: 200 } } ]\n")
    done = run("check", "-c", path)
    assert done.returncode == 0 and "expires in" in done.stderr


def test_subject_is_escaped(origin, local, pki):
    """A client's own words cannot become another field."""
    csr, cert, key = (pki.dir / f"odd.{x}" for x in ("csr", "pem", "key"))
    openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-utf8",
            "-subj", "/CN=a\r\nX-Admin: yes, ü", "-keyout", key, "-out", csr)
    openssl("x509", "-req", "-in", csr, "-CA", pki.cert, "-CAkey", pki.key, "-CAcreateserial",
            "-out", cert, "-days", 5)
    with gate_for(origin, local, tls=f"client_auth: required, client_ca: '{pki.cert}'") as gate:
        seen = dict(cert_fields(gate, (cert, key)))
        assert seen["X-Client-Cert-Subject"] == r"CN=a\0D\0AX-Admin: yes\, \C3\BC"
        assert "x-admin" not in {k.lower() for k, _ in origin.requests[-1].fields}
