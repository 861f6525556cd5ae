# SPDX-License-Identifier: Apache-2.0
"""Who the client is, as replicas, logs and limits see it; PROXY protocol in and out."""
import socket
import struct

import pytest

from h2peer import PREFACE, H2Client, fields_of, h2
from harness import Gate, Origin, Peer, read_message, reply

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0"{listener} }
upstreams:
  app: { servers: ["{origin}"]{upstream} }
routes:
  - { upstream: app }
"""


def gate_for(origin, listener="", upstream=""):
    return Gate(CONFIG, origin=origin.address, listener=listener, upstream=upstream)


def fields(response):
    return {k.lower(): v for k, v in response.json["fields"]}


def test_untrusted_peer_is_overwritten(origin):
    with gate_for(origin) as gate:
        seen = fields(gate.request(headers={
            "X-Forwarded-For": "6.6.6.6", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil",
            "X-Forwarded-Port": "1", "X-Real-IP": "6.6.6.6", "Forwarded": "for=6.6.6.6",
            "X-Request-ID": "forged", "X-Client-Cert-Subject": "CN=admin",
            "X-Client-Cert": "x"}, host="app.example:8080"))
        assert seen["x-forwarded-for"] == seen["x-real-ip"] == "127.0.0.1"
        assert seen["x-forwarded-proto"] == "http"
        assert seen["x-forwarded-host"] == "app.example:8080"
        assert seen["x-forwarded-port"] == "8080"
        assert "forwarded" not in seen
        assert seen["x-request-id"] != "forged" and len(seen["x-request-id"]) == 32
        assert not [name for name in seen if name.startswith("x-client-cert")]
        assert gate.access_lines()[0]["client"] == "127.0.0.1"


def test_trusted_peer_is_believed_from_the_right(origin):
    with gate_for(origin, listener=", trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]") as gate:
        seen = fields(gate.request(headers={
            "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 10.1.1.1", "X-Forwarded-Proto": "https",
            "X-Request-ID": "abc-123"}))
        assert seen["x-forwarded-for"] == "6.6.6.6, 203.0.113.9, 10.1.1.1, 127.0.0.1"
        assert seen["x-real-ip"] == "203.0.113.9"
        assert seen["x-forwarded-proto"] == "https"
        assert seen["x-request-id"] == "abc-123"
        line = gate.access_lines()[0]
        assert (line["client"], line["request_id"]) == ("203.0.113.9", "abc-123")


def test_fields_with_underscores_are_dropped(origin):
    """X_Forwarded_For would become X-Forwarded-For in a CGI-like application."""
    with gate_for(origin) as gate:
        assert "x_forwarded_for" not in fields(gate.request(headers={"X_Forwarded_For": "6.6.6.6"}))


def test_host_of_the_upstream(origin):
    with gate_for(origin, upstream=", host: internal.example") as gate:
        seen = fields(gate.request(host="public.example"))
        assert (seen["host"], seen["x-forwarded-host"]) == ("internal.example", "public.example")


V2_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"


def v2(source, port):
    addresses = socket.inet_aton(source) + socket.inet_aton("192.0.2.1") + struct.pack(">HH", port, 80)
    tlv = b"\x04\0\3abc"
    return V2_SIGNATURE + b"\x21\x11" + struct.pack(">H", len(addresses + tlv)) + addresses + tlv


@pytest.mark.parametrize("header", [
    b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", v2("203.0.113.7", 4711)])
@pytest.mark.parametrize("is_split", [False, True])
def test_proxy_header_in(origin, header, is_split):
    data = header + b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
    with gate_for(origin, listener=", accept_proxy_protocol: [127.0.0.1]") as gate, \
            gate.connect() as c:
        for piece in ([data[i:i + 1] for i in range(len(data))] if is_split else [data]):
            c.send(piece)
        assert fields(read_message(c))["x-real-ip"] == "203.0.113.7"
        assert gate.access_lines()[0]["client"] == "203.0.113.7"


@pytest.mark.parametrize("how", ["with_preface", "single_bytes", "mid_preface"])
@pytest.mark.parametrize("header", [
    b"PROXY TCP4 203.0.113.7 192.0.2.1 4711 80\r\n", v2("203.0.113.7", 4711)])
def test_proxy_header_before_http_2(origin, header, how):
    """Both are held back until they tell; neither takes from the other's bytes."""
    data = header + PREFACE
    pieces = {"with_preface": [data], "single_bytes": [data[i:i + 1] for i in range(len(data))],
              "mid_preface": [data[:-20], data[-20:]]}[how]
    with gate_for(origin, listener=", http2: on, accept_proxy_protocol: [127.0.0.1]") as gate, \
            h2(gate, preface=False) as c:
        for piece in pieces:
            c.raw(piece)
        c.settings()
        assert fields_of(c.request())["x-real-ip"] == "203.0.113.7"
        assert fields_of(c.request("/again"))["x-real-ip"] == "203.0.113.7"
        line = gate.access_lines()[0]
        assert (line["client"], line["protocol"]) == ("203.0.113.7", "HTTP/2.0")


def test_http_2_without_the_proxy_header_is_refused(origin):
    with gate_for(origin, listener=", http2: on, accept_proxy_protocol: [127.0.0.1]") as gate:
        with gate.connect() as c:
            c.send(PREFACE)
            assert c.is_closed()
        with H2Client(gate.connect(source="127.0.0.2")) as c:
            assert c.request().status == 200


def test_proxy_header_is_required_from_listed_peers_only(origin):
    with gate_for(origin, listener=", accept_proxy_protocol: [127.0.0.1]") as gate:
        with gate.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert c.is_closed()
        with gate.connect(source="127.0.0.2") as c:
            c.send("PROXY TCP4 6.6.6.6 192.0.2.1 1 80\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status in (400, 405, 501)


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_proxy_header_out(version):
    seen = []

    def serve(peer, o):
        if version == "v1":
            seen.append(peer.read_until(b"\r\n"))
        else:
            head = peer.read_exactly(16)
            seen.append(head + peer.read_exactly(struct.unpack(">H", head[14:])[0]))
        while True:
            o.read(peer)
            peer.send(reply(200, "ok"))
    with Origin(serve) as o, gate_for(o, upstream=f", proxy_protocol: {version}") as gate:
        for source in ("127.0.0.1", "127.0.0.9"):
            with gate.connect(source=source) as c:
                c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                assert read_message(c).body == b"ok"
    if version == "v1":
        assert [s.split()[2] for s in seen] == [b"127.0.0.1", b"127.0.0.9"]
    else:
        assert [socket.inet_ntoa(s[16:20]) for s in seen] == ["127.0.0.1", "127.0.0.9"]
