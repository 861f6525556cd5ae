# SPDX-License-Identifier: Apache-2.0
"""Security headers and edits of headers, on the wire: the exact lines, on answers of servers and of
the gateway's own, by HTTP/1 and HTTP/2. What a browser makes of them: test_headers_browser.py."""
import base64
import contextlib
import json
import re
import socket

import pytest

from certs import Authority
from h2peer import H2Origin, fields_of, h2
from harness import Gate, Nobody, Origin, insecure, read_head, read_message, reply, run

STRICT = {
    "content-security-policy": "default-src 'self'; base-uri 'self'; form-action 'self'; "
                               "frame-ancestors 'none'; object-src 'none'",
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), display-capture=(), geolocation=(), microphone=(), "
                          "payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
BASIC = {"x-frame-options": "SAMEORIGIN", "x-content-type-options": "nosniff",
         "referrer-policy": "strict-origin-when-cross-origin"}
HSTS = {"strict-transport-security": "max-age=63072000; includeSubDomains"}
ALL = {*STRICT, *HSTS, "content-security-policy-report-only", "cross-origin-embedder-policy",
       "server", "x-powered-by"}

LISTENERS = """
listeners:
  http: { address: "127.0.0.1:0" }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: '{cert}', key: '{key}' } ] } }
  proxied: { address: "127.0.0.1:0", trusted_proxies: [127.0.0.1] }
  moved: { address: "127.0.0.1:0", redirect: https }
upstreams:
  app: { servers: ["{app}"] }
  nobody: { servers: ["{nobody}"], retries: 0 }
"""


def worn(message):
    """The security headers of an answer: each once."""
    pairs = [(k.lower(), v) for k, v in message.fields if k.lower() in ALL]
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def h1(gate, target="/", *lines, listener="http", method="GET", host="a.test"):
    head = [f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""]
    return gate.raw("\r\n".join(head), listener, tls=insecure() if listener == "https" else None)


def seen(message):
    return {k.lower(): v for k, v in message.json["fields"]}


def chatty(peer, o):
    """A server with headers of its own, told by the target: /?X-A=1&X-B=2."""
    while True:
        request = o.read(peer)
        path, _, query = request.target.partition("?")
        pairs = dict(p.split("=", 1) for p in query.split("&") if "=" in p) if "=" in query else {}
        if path == "/304":
            peer.send("HTTP/1.1 304 Not Modified\r\n" + "".join(
                f"{k}: {v}\r\n" for k, v in pairs.items()) + "\r\n")
            continue
        body = json.dumps({"fields": request.fields, "body": "", "trailers": []})
        peer.send(reply(200, body, Server="tell/1.0", X_Powered_By="PHP/4", **pairs))


@contextlib.contextmanager
def serve(routes, cert, serve_app=chatty, **values):
    with Origin(serve_app) as app, Nobody() as nobody, \
            Gate(LISTENERS + routes, app=app.address, nobody=nobody.address, cert=cert[0],
                 key=cert[1], **values) as gate:
        yield gate


@pytest.fixture(scope="module")
def strict(cert):
    with serve("""
rate_limits: { once: { key: "header:X-Key", rate: 1/h } }
defaults:
  security_headers: strict
  headers: { response: { set: { X-Gate: "${status}" } } }
routes:
  - { match: { host: a.test }, upstream: app, max_body: 10B }
  - { match: { host: a.test, path: /nobody }, upstream: nobody }
  - { match: { host: a.test, path: /once }, respond: { body: ok }, rate_limit: once }
  - { match: { host: a.test, path: /basic }, respond: { body: ok }, security_headers: basic }
  - { match: { host: a.test, path: /plain }, upstream: app, security_headers: off }
  - { match: { host: only.test, path: /only }, respond: { body: ok } }
""", cert) as gate:
        yield gate


def test_strict_lines(strict):
    assert worn(h1(strict, "/")) == STRICT
    assert worn(h1(strict, "/", method="HEAD")) == STRICT
    assert worn(h1(strict, "/", listener="https")) == STRICT | HSTS
    with h2(strict, "https", tls=True) as c:
        assert worn(c.request("/", authority="a.test")) == STRICT | HSTS


def test_hsts_behind_a_trusted_proxy(strict):
    """It came by TLS, there."""
    assert worn(h1(strict, "/", "X-Forwarded-Proto: https", listener="proxied")) == STRICT | HSTS
    assert worn(h1(strict, "/", "X-Forwarded-Proto: http", listener="proxied")) == STRICT
    assert worn(h1(strict, "/", "X-Forwarded-Proto: https")) == STRICT


def test_a_routes_own_replace_those_of_defaults(strict):
    assert worn(h1(strict, "/basic")) == BASIC
    assert worn(h1(strict, "/basic", listener="https")) == BASIC | {
        "strict-transport-security": "max-age=63072000"}
    assert worn(h1(strict, "/plain")) == {"server": "tell/1.0", "x-powered-by": "PHP/4"}


@pytest.mark.parametrize("name, data, status", [
    ("no-route", "GET /only HTTP/1.1\r\nHost: b.test\r\n\r\n", 404),
    ("malformed", "GET / HTTP/1.1\r\nHost: a.test\r\nBad Name: x\r\n\r\n", 400),
    ("garbage", "garbage\r\n\r\n", 400),
    ("no-host", "GET / HTTP/1.1\r\n\r\n", 400),
    ("large-head", "GET / HTTP/1.1\r\nHost: a.test\r\nX: " + "x" * 20000 + "\r\n\r\n", 431),
    ("large-body", "POST / HTTP/1.1\r\nHost: a.test\r\nContent-Length: 11\r\n\r\n", 413),
    ("encoded-slash", "GET /a%2fb HTTP/1.1\r\nHost: a.test\r\n\r\n", 400),
    ("no-server", "GET /nobody HTTP/1.1\r\nHost: a.test\r\n\r\n", 502),
    ("fixed", "GET /only HTTP/1.1\r\nHost: only.test\r\n\r\n", 200)])
def test_own_answers_wear_them(strict, name, data, status):
    """The gateway's own answers do, those before routing as `defaults` says."""
    answer = strict.raw(data)
    assert (answer.status, answer.get("x-gate")) == (status, str(status))
    assert worn(answer) == STRICT


def test_what_other_filters_refuse_wears_them(strict):
    """A limit's turn comes before that of headers, and the answer wears them all the same."""
    assert h1(strict, "/once", "X-Key: worn").status == 200
    answer = h1(strict, "/once", "X-Key: worn")
    assert (answer.status, answer.get("x-gate"), worn(answer)) == (429, "429", STRICT)
    assert answer.get("ratelimit")


def test_own_answers_by_h2(strict):
    with h2(strict, "https", tls=True) as c:
        answer = c.request("/only", authority="b.test")
        assert (answer.status, worn(answer)) == (404, STRICT | HSTS)
        answer = c.request("/nobody", authority="a.test")
        assert (answer.status, worn(answer)) == (502, STRICT | HSTS)


def test_the_redirect_to_https_wears_them(strict):
    answer = h1(strict, "/", listener="moved")
    assert (answer.status, worn(answer), answer.get("x-gate")) == (308, STRICT, "308")


def test_the_admin_listener_does_not(strict):
    answer = strict.admin("/v1/status")
    assert (worn(answer), answer.get("x-gate")) == ({}, None)


def test_a_servers_own_are_kept_or_replaced(cert):
    own = "/?Content-Security-Policy=own&X-Frame-Options=own&Permissions-Policy=own&X-Own=own" \
        "&Strict-Transport-Security=own"
    with serve("""
routes:
  - { upstream: app, match: { path: / }, security_headers: strict }
  - { upstream: app, match: { path: /csp }, security_headers: { csp: "img-src 'none'" } }
  - { upstream: app, match: { path: /keep },
      security_headers: { csp: "img-src 'none'", hide: [],
                          keep: [X-Frame-Options, Strict-Transport-Security] } }
  - { upstream: app, match: { path: /report },
      security_headers: { preset: off, csp: "img-src 'none'", report_only: true } }
""", cert) as gate:
        answer = h1(gate, own, listener="https")
        assert worn(answer) == STRICT | HSTS | {"content-security-policy": "own"}
        assert answer.get("x-own") == "own"
        assert worn(h1(gate, "/csp" + own[1:])) == STRICT | {
            "content-security-policy": "img-src 'none'"}
        assert worn(h1(gate, "/keep" + own[1:], listener="https")) == STRICT | {
            "content-security-policy": "img-src 'none'", "x-frame-options": "own",
            "strict-transport-security": "own", "server": "tell/1.0", "x-powered-by": "PHP/4"}
        assert worn(h1(gate, "/report?Content-Security-Policy=own")) == {
            "content-security-policy": "own", "server": "tell/1.0", "x-powered-by": "PHP/4",
            "content-security-policy-report-only": "img-src 'none'"}


NONCE = """
routes:
  - { upstream: app,
      security_headers: { preset: off, csp: "script-src 'nonce-${csp_nonce}'; img-src *" },
      headers: { request: { set: { X-Twice: "${csp_nonce}" } },
                 response: { set: { X-Thrice: "${csp_nonce}" } } } }
"""


def nonce_of(answer):
    policy = answer.get("content-security-policy")
    nonce = policy.removeprefix("script-src 'nonce-").removesuffix("'; img-src *")
    assert len(base64.b64decode(nonce, validate=True)) == 16
    return nonce


def test_a_nonce_is_new_each_time_and_told_to_the_server(cert):
    with serve(NONCE, cert) as gate:
        nonces = set()
        with gate.connect() as c, h2(gate, "https", tls=True) as d:
            for i in range(20):
                c.send(f"GET /{i} HTTP/1.1\r\nHost: a\r\nX-CSP-Nonce: forged\r\n"
                       "x-csp-nonce: again\r\n\r\n")
                for answer in read_message(c), d.request("/", headers=[("x-csp-nonce", "forged")]):
                    nonce = nonce_of(answer)
                    told = [v for k, v in answer.json["fields"] if k.lower() == "x-csp-nonce"]
                    assert told == [nonce] == [seen(answer)["x-twice"]]
                    assert answer.get("x-thrice") == nonce
                    nonces.add(nonce)
        assert len(nonces) == 40


def test_a_304_has_no_nonce(cert):
    """What the client kept has that of then; a policy with another would refuse its scripts."""
    with serve(NONCE, cert) as gate:
        assert h1(gate, "/304").get("content-security-policy") is None
        assert h1(gate, "/304?Content-Security-Policy=own").get("content-security-policy") is None
        gate.reload(LISTENERS + "routes: [ { upstream: app, security_headers: strict } ]\n")
        assert worn(h1(gate, "/304")) == STRICT


def test_a_101_is_left_alone(cert):
    """And a header that is set by hand is there: the person said so."""
    def switch(peer, o):
        o.read(peer)
        peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n"
                  "Server: tell/1.0\r\n\r\nmore")
        peer.read_until(b"end")
    with serve("""
defaults: { security_headers: strict, headers: { response: { set: { X-Gate: here } } } }
routes: [ { upstream: app, upgrade: [foo] } ]
""", cert, switch) as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\n")
        head = read_head(c)
        assert (head.status, worn(head), head.get("x-gate")) == (101, {"server": "tell/1.0"}, "here")
        assert c.read_exactly(4) == b"more"
        c.send("end")


def test_trailers_are_left_alone(cert):
    def trailing(peer, o):
        while True:
            o.read(peer)
            peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n"
                      "2\r\nok\r\n0\r\nX-Sum: 1\r\nX-Gone: 2\r\nServer: 3\r\n\r\n")
    with serve("""
defaults: { security_headers: strict, headers: { response: { remove: [X-Gone, X-Sum] } } }
routes: [ { upstream: app } ]
""", cert, trailing) as gate:
        answer = h1(gate, "/", "TE: trailers")
        assert worn(answer) == STRICT
        assert answer.trailers == [("X-Sum", "1"), ("X-Gone", "2"), ("Server", "3")]


EDITS = """
defaults:
  headers:
    request: { remove: [X-Gone], set: { X-Both: default, X-First: default } }
    response: { set: { X-Both: default, X-First: default } }
routes:
  - { upstream: app, match: { path: / } }
  - upstream: app
    match: { path: /edit }
    headers:
      request:
        remove: [X-First, User-Agent]
        rename: { X-Old: X-New, X-Missing: X-Stays }
        set: { X-Both: route, Accept: text/edited, X-Empty: "${cookie:none}" }
        add: { Accept: text/added }
      response:
        remove: [X-First, Server, Content-Type]
        rename: { X-Powered-By: X-Engine }
        set: { X-Both: "route ${response_header:X-Own}", X-Own: "${response_header:X-Own}!" }
        add: { Set-Cookie: "a=1; Path=/", Vary: Origin }
  - { respond: { body: ok, headers: { X-Both: own } }, match: { path: /own } }
"""


@pytest.mark.parametrize("how", ["h1", "h2"])
def test_edits(cert, how):
    with serve(EDITS, cert) as gate:
        def get(target, *pairs):
            if how == "h1":
                return h1(gate, target, *[f"{k}: {v}" for k, v in pairs])
            with h2(gate, "https", tls=True) as c:
                return c.request(target, headers=[(k.lower(), v) for k, v in pairs])
        sent = [("X-Gone", "1"), ("X-Gone", "2"), ("X-Old", "3"), ("X-New", "forged"),
                ("X-Stays", "4"), ("User-Agent", "test"), ("Accept", "text/plain"),
                ("X-Empty", "forged")]
        answer = get("/?Vary=Accept", *sent)
        got = seen(answer)
        assert "x-gone" not in got and (got["x-both"], got["x-first"]) == ("default", "default")
        assert got["x-old"] == "3" and got["user-agent"] == "test"
        assert (answer.get("x-both"), answer.get("x-first")) == ("default", "default")
        answer = get("/edit?Vary=Accept&X-Own=5&Set-Cookie=b", *sent)
        got = answer.json["fields"]
        values = {name: [v for k, v in got if k.lower() == name] for name in
                  ("x-gone", "x-first", "x-old", "x-new", "x-stays", "x-both", "user-agent",
                   "accept", "x-empty")}
        assert values == {"x-gone": [], "x-first": [], "x-old": [], "x-new": ["3"],
                          "x-stays": ["4"], "x-both": ["route"], "user-agent": [],
                          "accept": ["text/edited", "text/added"], "x-empty": []}
        assert {name: answer.get_all(name) for name in
                ("x-first", "server", "x-engine", "x-powered-by", "x-both", "x-own", "set-cookie",
                 "vary")} == {
            "x-first": [], "server": [], "x-engine": ["PHP/4"], "x-powered-by": [],
            "x-both": ["route 5"], "x-own": ["5!"], "set-cookie": ["b", "a=1; Path=/"],
            "vary": ["Accept", "Origin"]}
        assert get("/own").get_all("x-both") == ["default"]


VARIABLES = {
    "client": "${client_ip}:${client_port}", "request": "${method} ${uri} ${path} ${query}",
    "where": "${scheme}://${host} ${listener} ${route} ${upstream}",
    "said": "${header:host}|${header:X-Word}|${cookie:sid}|${query:a b}|${query:none}",
    "tls": "${tls_version} ${tls_cipher} ${tls_sni}",
    "cert": "${client_cert_subject} ${client_cert_fingerprint} ${client_cert_serial}",
    "id": "${request_id}", "time": "${time_iso}", "literal": "$${host} $ ${HOME}", "plain": "x"}


@pytest.fixture(scope="module")
def variables(tmp_path_factory):
    ca = Authority(tmp_path_factory.mktemp("variables"))
    site, key = ca.issue("site", "a.test")
    lines = "".join(f"        X-{name}: \"{text}\"\n" for name, text in VARIABLES.items())
    config = f"""
listeners:
  http: {{ address: "127.0.0.1:0", http2: on }}
  https:
    address: "127.0.0.1:0"
    tls: {{ certificates: [ {{ cert: '{site}', key: '{key}' }} ], client_auth: optional,
           client_ca: '{ca.cert}' }}
  local: {{ address: "unix:{{dir}}/http.sock" }}
upstreams: {{ app: {{ servers: ["{{app}}"] }} }}
defaults:
  headers:
    request:
      set:
{lines}
    response:
      set:
{lines}        X-endpoint: "${{status}} ${{endpoint}} ${{response_header:Server}}"
routes:
  - {{ name: all, upstream: app }}
"""
    directory = tmp_path_factory.mktemp("socket")
    with Origin(chatty) as app, Gate(config, app=app.address, dir=directory,
                                     env={"HOME": "/home/${host}"}) as gate:
        gate.ca, gate.app, gate.socket = ca, app.address, f"{directory}/http.sock"
        yield gate


def values_of(answer):
    got = {k.lower(): v for k, v in answer.fields}
    asked = seen(answer)
    for name in VARIABLES:
        if name != "time":
            assert got.get(f"x-{name}") == asked.get(f"x-{name}"), name
    return {name: asked.get(f"x-{name}") for name in VARIABLES} | {"endpoint": got["x-endpoint"]}


def test_variables_without_tls(variables):
    with variables.connect() as c:
        c.send("GET /x/../a%41?a+b=1%2C2&c HTTP/1.1\r\nHost: A.test:81\r\nX-Word: one\r\n"
               "X-Word: two\r\nCookie: a=1; sid=me\r\nX-Request-ID: mine\r\n\r\n")
        got = values_of(read_message(c))
        port = c.sock.getsockname()[1]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", got["time"])
    id_ = got["id"]
    assert len(id_) == 32
    assert got | {"time": ""} == {
        "client": f"127.0.0.1:{port}", "request": "GET /aA?a+b=1%2C2&c /aA a+b=1%2C2&c",
        "where": "http://a.test http all app", "said": "A.test:81|one|me|1,2|", "tls": None,
        "cert": None, "id": id_, "time": "", "literal": "${host} $ /home/${host}", "plain": "x",
        "endpoint": f"200 {variables.app} tell/1.0"}


def test_variables_of_tls(variables):
    ca = variables.ca
    cert, key = ca.issue("me", "me.test")
    for how in "h1", "h2":
        context = insecure()
        context.load_cert_chain(cert, key)
        if how == "h2":
            context.set_alpn_protocols(["h2"])
            with h2(variables, "https", tls=context, server_name="a.test") as c:
                got = values_of(c.request("/", authority="a.test"))
        else:
            got = values_of(variables.raw("GET / HTTP/1.1\r\nHost: a.test\r\n\r\n", "https",
                                          tls=context, server_name="a.test"))
        version, cipher, name = got["tls"].split()
        assert (version, cipher[:4], name) == ("TLSv1.3", "TLS_", "a.test")
        subject, fingerprint, serial = got["cert"].split()
        assert "CN=me" in subject and len(fingerprint) == 64 and int(serial, 16)
        assert got["where"].startswith("https://a.test https ")


def test_variables_of_a_unix_socket(variables):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(variables.socket)
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: s.recv(65536), b"")).decode()
    assert "X-client: unix::\r\n" in answer


def test_variables_of_a_request_that_cannot_be_read(variables):
    """There is nothing of it, and the rest is there."""
    answer = variables.raw("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n")
    assert answer.status == 400
    assert answer.get("x-where") == "http:// http"
    assert (answer.get("x-said"), answer.get("x-plain")) == ("||||", "x")
    assert len(answer.get("x-id")) == 32 and answer.get("x-endpoint") == "400"


@pytest.mark.parametrize("value", ["%0d%0aX-Evil:%201", "a%0aX-Evil:%201", "%0d", "a%00b", "%1b[2J",
                                   "%7f", "%0D%0A%0D%0A<script>", "+%0D%0A+"])
def test_no_line_is_put_in(cert, value):
    """A value that cannot stand in a header is no header, and neither is what had its name."""
    with serve("""
defaults:
  headers:
    request: { set: { X-User: "${query:user}" } }
    response: { set: { X-User: "for ${query:user}" }, add: { X-More: "${query:user}" } }
routes: [ { upstream: app }, { match: { path: /own }, respond: { body: ok } } ]
""", cert) as gate:
        for target in "/304", "/own", "/nowhere":
            answer = h1(gate, f"{target}?user={value}", "X-User: forged")
            assert answer.get("x-evil") is None and not answer.get_all("x-more")
            assert not answer.get_all("x-user")
        with h2(gate, "https", tls=True) as c:
            answer = c.request(f"/own?user={value}")
            assert answer.status == 200 and answer.get("x-user") is None
        answer = h1(gate, "/own?user=%c3%a4%09b", "X-User: forged")
        assert answer.get("x-user") == "for \xc3\xa4\tb"


def test_identity_is_not_edited(cert):
    """Edits come before it is said who the client is; a replica gets what the gateway says."""
    with serve("""
routes:
  - upstream: app
    headers: { request: { set: { X-Copy: "${header:X-Forwarded-For} ${client_ip}" } } }
""", cert) as gate:
        got = seen(h1(gate, "/", "X-Forwarded-For: 6.6.6.6", "X-Real-IP: 6.6.6.6"))
        assert (got["x-forwarded-for"], got["x-real-ip"]) == ("127.0.0.1", "127.0.0.1")
        assert got["x-copy"] == "6.6.6.6 127.0.0.1"


def test_values_from_files_and_reloads(cert, tmp_path):
    (tmp_path / "token").write_text("Bearer ${host}\n")
    routes = """
routes:
  - upstream: app
    security_headers: basic
    headers: { request: { set: { Authorization: "file:{token}" } } }
"""
    with serve(routes, cert, token=tmp_path / "token") as gate:
        assert seen(h1(gate, "/"))["authorization"] == "Bearer ${host}"
        with gate.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert worn(read_message(c)) == BASIC
            assert gate.reload(LISTENERS + routes.replace("basic", "strict")).returncode == 0
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert worn(read_message(c)) == STRICT


def test_edits_towards_a_server_by_h2(cert):
    with H2Origin() as app, Gate("""
listeners: { http: { address: "127.0.0.1:0", http2: on } }
upstreams: { app: { servers: ["{app}"], protocol: h2 } }
routes:
  - upstream: app
    security_headers: strict
    headers: { request: { set: { X-A: "${host}" }, rename: { X-Old: X-New } } }
""", app=app.address) as gate, h2(gate) as c:
        answer = c.request("/", headers=[("x-old", "1")], authority="b.test")
        got = fields_of(answer)
        assert (got["x-a"], got["x-new"], "x-old" in got) == ("b.test", "1", False)
        assert worn(answer) == STRICT


def test_large_edits_by_h2():
    """As long a head as edits make, to the server and to the client."""
    sets = ", ".join(f'X-{i}: "${{query}}"' for i in range(20))
    with H2Origin() as app, Gate(f"""
listeners: {{ http: {{ address: "127.0.0.1:0", http2: on }} }}
upstreams: {{ app: {{ servers: ["{app.address}"], protocol: h2 }} }}
routes: [ {{ upstream: app, headers: {{ request: {{ set: {{ {sets} }} }}, response: {{ set: {{ {sets} }} }} }} }} ]
""") as gate, h2(gate) as c:
        answer = c.request("/?" + "q" * 8000)
        for fields in (fields_of(answer), dict(answer.fields)):
            assert sum(v == "q" * 8000 for v in fields.values()) == 20


def test_explain_names_them_without_values(cert):
    with serve("""
defaults: { security_headers: basic }
routes:
  - upstream: app
    headers:
      request: { remove: X-A, rename: { X-B: X-C }, set: { X-D: secret, X-E: secret } }
      response: { add: { X-F: secret } }
""", cert) as gate:
        told = run("explain", "http://a.test/", "--socket", gate.socket_path).stdout
        assert "headers: request: removes X-A, renames X-B to X-C, sets X-D, X-E; " \
            "response: adds X-F\n" in told, told
        assert "security_headers: X-Frame-Options, X-Content-Type-Options, Referrer-Policy, " \
            "Strict-Transport-Security (not without TLS), no Server, no X-Powered-By\n" in told, told
        assert "secret" not in told
