# SPDX-License-Identifier: Apache-2.0
"""Redirects, canonical URLs and rewriting: what clients are told, and what a real origin gets.
Whatever a client sends, it is not led to a host that the configuration does not name, and no
expression keeps a worker busy."""
import json

import pytest

from h2peer import H2Client
from harness import Gate, Origin, insecure, read_message, run, until

CONFIG = """
    listeners:
      http: { address: "127.0.0.1:0", http2: on }
      tls: { address: "127.0.0.1:0", tls: { self_signed: true } }
      behind: { address: "127.0.0.1:0", trusted_proxies: [127.0.0.0/8] }
    upstreams: { app: { servers: ["{origin}"] } }
    routes:
      - match: { host: api }
        upstream: app
        rewrite:
          strip_prefix: /api
          path:
            - { match: "^/user-(?<id>\\\\d+)$", to: "/users?id=${match:id}&${query}" }
            - { match: "^/evil/(a+)+$", to: "/never" }
            - { match: "^/evil/", to: "/gave-up" }
            - { match: "^/again/(.*)$", to: "/%$1" }
          add_prefix: /v2
      - { match: { host: plain }, upstream: app }
      - { match: { host: one }, upstream: app, canonical_host: one.example, trailing_slash: add }
      - { match: { host: cut }, upstream: app, trailing_slash: remove }
      - { match: { host: path }, redirect: "${path}?${query}" }
      - { match: { host: moved }, redirect: "https://new.example${path}?${query}" }
      - { match: { host: same }, redirect: "https://${host}:8443${path}" }
      - { match: { host: bare }, redirect: { match: "^/(.*)$", to: "/$1", status: 302 } }
      - { match: { host: other }, redirect: { match: "^/(.*)$", to: "https://new.example$1" } }
      - { match: { host: again }, redirect: { match: "^/%25(..)%25(..)(.*)$", to: "/%$1%$2$3" } }
      - { match: { host: posts, path: "~ ^/posts/(\\\\d+)$" }, redirect: "/articles/$1" }
      - match: { host: tenant, path: "~* ^/of/(?<tenant>[^/]+)(/deep)?" }
        upstream: app
        rewrite: { path: [ { match: "^/(.*)$", to: "/all/$1" } ] }
        headers:
          request: { set: { X-Tenant: "${match:tenant}", X-Deep: "${match:2}" } }
          response: { set: { X-Tenant: "<${match:1}>" } }
      - { match: { host: regex }, redirect: { match: "^/(a+)+$", to: "/never" } }
    """


@pytest.fixture(scope="module")
def origin():
    with Origin() as o:
        yield o


@pytest.fixture(scope="module")
def gate(origin):
    with Gate(CONFIG, origin=origin.address) as g:
        yield g


def seen(gate, target, host="api", **kw):
    """The request's first line and fields, as the origin got them."""
    answer = gate.request(target, host=host, **kw)
    assert answer.status == 200, answer
    told = answer.json
    return told["start"], {name.lower(): value for name, value in told["fields"]}


def location(gate, target, host, **kw):
    """Of a raw request, so that no client mends it; None: there is none."""
    if isinstance(target, str):
        target = target.encode("utf-8")
    answer = gate.raw(b"GET " + target + b" HTTP/1.1\r\nHost: " + host.encode() + b"\r\n\r\n", **kw)
    if answer.status in (400, 404):
        assert answer.get("location") is None
        return None
    assert answer.status in (302, 308), answer.start
    return answer.get("location")


def logged(gate, target):
    return [line for line in gate.access_lines() if line["path"] == target]


# ---- rewriting ----

@pytest.mark.parametrize("target, start, prefix", [
    ("/api/x?q=1", "GET /v2/x?q=1 HTTP/1.1", "/api"),
    ("/api", "GET /v2/ HTTP/1.1", "/api"),
    ("/apix", "GET /v2/apix HTTP/1.1", None),
    ("/api/user-7?a=b", "GET /v2/users?id=7&a=b HTTP/1.1", "/api"),
    ("/user-7", "GET /v2/users?id=7 HTTP/1.1", None),
    ("/api/%7Ea/./b//c", "GET /v2/~a/b/c HTTP/1.1", "/api"),
    ("/api/../x", "GET /v2/x HTTP/1.1", None),
])
def test_the_origin_sees_the_new_path(gate, target, start, prefix):
    told, fields = seen(gate, target)
    assert told == start and fields.get("x-forwarded-prefix") == prefix


def test_the_new_path_by_http2(gate):
    client = H2Client(gate.connect())
    answer = client.request("/api/user-7", authority="api")
    assert json.loads(answer.body)["start"] == "GET /v2/users?id=7 HTTP/1.1"


def test_groups_of_the_routes_path_go_into_headers(gate):
    """Of the path that came, whatever became of it; nothing the client says stands in for a group
    that took no part; what is encoded stays so."""
    spoofed = {"X-Tenant": "root", "X-Deep": "root"}
    told, fields = seen(gate, "/OF/a%0Ab%20/deep", "tenant", headers=spoofed)
    assert told == "GET /all/OF/a%0Ab%20/deep HTTP/1.1"
    assert (fields["x-tenant"], fields["x-deep"]) == ("a%0Ab%20", "/deep")
    answer = gate.request("/of/b", host="tenant", headers=spoofed)
    fields = {name.lower(): value for name, value in answer.json["fields"]}
    assert fields["x-tenant"] == "b" and "x-deep" not in fields
    assert answer.headers["x-tenant"] == "<b>"


def test_logs_keep_the_path_that_came(gate):
    seen(gate, "/api/logged?x=1")
    until(lambda: logged(gate, "/api/logged?x=1"), "its line")


def test_a_prefix_is_believed_of_trusted_proxies_alone(gate):
    """On every route: applications make links of it."""
    spoofed = {"X-Forwarded-Prefix": "/evil"}
    assert seen(gate, "/api/x", headers=spoofed)[1]["x-forwarded-prefix"] == "/api"
    assert "x-forwarded-prefix" not in seen(gate, "/x", headers=spoofed)[1]
    assert "x-forwarded-prefix" not in seen(gate, "/x", "plain", headers=spoofed)[1]
    outer = {"headers": {"X-Forwarded-Prefix": "/outer"}, "listener": "behind"}
    assert seen(gate, "/api/x", **outer)[1]["x-forwarded-prefix"] == "/outer/api"
    assert seen(gate, "/x", "plain", **outer)[1]["x-forwarded-prefix"] == "/outer"


@pytest.mark.parametrize("target", ["/again/2f", "/again/5C", "/again/00", "/again/0d", "/again/0A",
                                    "/again/x", "/again/"])
def test_what_has_no_normal_form_is_refused(gate, origin, target):
    """An encoded slash, NUL or line end cannot be put together; the origin never sees it."""
    before = len(origin.requests)
    answer = gate.request(target, host="api")
    assert answer.status == 400 and len(origin.requests) == before
    line, = until(lambda: logged(gate, target), "its line")
    assert line["reason"] == "rewrite_refused"


def test_an_evil_pattern_gives_up(gate):
    """Counted, not timed: each match that would explode ends at its limit, and does not match."""
    before = gate.metric("wharfgate_regex_limits_total")
    for _ in range(20):
        assert seen(gate, "/evil/" + "a" * 4000 + "!")[0] == "GET /v2/gave-up HTTP/1.1"
    assert gate.metric("wharfgate_regex_limits_total") == before + 20
    assert gate.request("/" + "a" * 4000 + "!", host="regex").status == 404
    assert gate.metric("wharfgate_regex_limits_total") == before + 21


# ---- redirects ----

def test_parts_of_the_request_go_into_a_redirect(gate):
    assert location(gate, "/a/b?c=d", "moved") == "https://new.example/a/b?c=d"
    assert location(gate, "/a", "moved") == "https://new.example/a"
    assert location(gate, "/a", "SAME:1234") == "https://same:8443/a"
    assert location(gate, "/posts/12", "posts") == "/articles/12"
    assert gate.request("/posts/x", host="posts").status == 404


TRICKS = [
    "//evil.example", "///evil.example", "/\\evil.example", "/\\/evil.example", "/%5cevil.example",
    "/%2fevil.example", "/%2f%2fevil.example", "/%252f%252fevil.example", "/.//evil.example",
    "/x/..//evil.example", "/%2e%2e//evil.example", "/%09/evil.example", "/@evil.example",
    "/%0d%0aLocation:%20//evil.example", "/.evil.example", "/:1@evil.example", "/;@evil.example",
    "/https://evil.example", "/%40evil.example", "/..;//evil.example", "/%23@evil.example",
    "/?@evil.example", "/?//evil.example", "/%00//evil.example", "/%u002f%u002fevil.example",
    "/%E2%88%95%E2%88%95evil.example", "/%EF%BC%8F%EF%BC%8Fevil.example", "/%E3%80%82evil.example",
    "/\u2215\u2215evil.example", "/\t/evil.example", "/%c0%af%c0%afevil.example",
    "http://same//evil.example", "http://evil.example@same//x", "//evil.example/..;/",
]


@pytest.mark.parametrize("trick", TRICKS)
def test_redirects_lead_nowhere_else(gate, trick):
    """As a browser reads it: the configured origin and a path, or a path with one slash."""
    for host, start in (("path", "/"), ("bare", "/"), ("again", "/"), ("other", "https://new.example/"),
                        ("moved", "https://new.example/"), ("same", "https://same:8443/")):
        if trick.startswith("http"):
            trick = trick.replace("same", host)
        got = location(gate, trick, host)
        if got is not None:
            assert got.startswith(start) and got[len(start):len(start) + 1] not in ("/", "\\"), got
            assert got.isascii() and got.isprintable() and "\\" not in got and " " not in got


def test_a_host_cannot_be_made_up(gate):
    """What names no host is refused before anything is redirected."""
    for host in ("same@evil.example", "same/evil.example", "same\\evil.example", "same evil.example",
                 "same#evil.example", "same?evil.example", "same:443:evil", "same:x"):
        assert location(gate, "/", host) is None, host


# ---- canonical URLs ----

def test_canonical_hosts_and_slashes(gate):
    assert location(gate, "/x?y=z", "one") == "http://one.example/x/?y=z"
    assert location(gate, "/a.css", "one:81") == "http://one.example:81/a.css"
    assert location(gate, "/x", "one", listener="tls", tls=insecure()) == "https://one.example/x/"
    assert location(gate, "/x/?y", "cut") == "/x?y"
    assert seen(gate, "/", "cut")[0] == "GET / HTTP/1.1"
    assert location(gate, "//evil.example/", "cut") == "/evil.example"
    answer = gate.raw("GET /x HTTP/1.1\r\nHost: one\r\nX-Forwarded-Proto: https\r\n\r\n", "behind")
    assert answer.get("location") == "https://one.example/x/"


def test_a_canonical_host_is_served():
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        defaults: { canonical_host: Shop.Example, trailing_slash: add }
        routes: [ { respond: { body: here } } ]
        """
    with Gate(config) as gate:
        assert location(gate, "/x", "www.shop.example") == "http://shop.example/x/"
        assert gate.request("/x/", host="SHOP.example:80").body == b"here"
        with gate.connect() as peer:  # the body is not lost on the way, nor the method: 308
            peer.send("POST /x/ HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")
            assert read_message(peer).status == 308
            peer.send("GET /x/ HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            assert read_message(peer).body == b"here"


# ---- what people are told ----

def test_explain_says_what_becomes_of_a_request(gate):
    def shown(url):
        return run("explain", "--socket", str(gate.socket_path), url).stdout
    assert "rewrite: to /v2/users?id=7&a=b" in shown("api/api/user-7?a=b")
    assert "rewrite: refused: encoded_slash\nanswer    rewrite_refused: 400\n" in \
        shown("api/again/2f")
    assert "308 to https://new.example/a?b" in shown("moved/a?b")
    assert "none: redirect_unmatched" in shown("again/a")
    assert "canonical: host one.example; a slash is added" in shown("one/a")
    assert "none: redirect_unmatched (a regular expression gave up at its limits)" in \
        shown(f"regex/{'a' * 100}!")


def test_faults_are_told_at_their_place(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text("""
listeners: { http: { address: ":80" } }
upstreams: { app: { servers: ["a:1"] } }
defaults: { headers: { request: { set: { X-A: "${match:a}" } } } }
routes:
  - { match: { path: /d }, upstream: app, headers: { request: { add: { X-A: "${match:1}" } } } }
  - { match: { path: "~ ^/(?<id>.)" }, upstream: app, headers: { request: { set: { X-A: "${match:ids}" } } } }
  - { match: { path: /a }, redirect: "https://${host}.evil.example/" }
  - { match: { path: /b }, redirect: { match: "^/(b)", to: "/$2" } }
  - { match: { path: /c }, upstream: app, rewrite: { path: [ { match: "^/c", to: "https://x/" } ] } }
""")
    done = run("check", "-c", str(path))
    assert done.returncode != 0
    no_pattern = "needs a `match.path` that is an expression"
    for text in (f":4:22: error: `headers`: `${{match:a}}` {no_pattern}",
                 "it stands in `headers` of that route, not in `defaults`",
                 f":6:52: error: `headers`: `${{match:a}}` {no_pattern}",
                 ":7:64: error: `headers`: the expression of `match.path` has no group for",
                 ":8:38: error: after `${host}` comes a port or a path",
                 "as in `https://example.org${path}?${query}`; what `$1` is says `match`, or",
                 ":9:38: error: the pattern of `match` has no group for `$2`",
                 ":10:52: error: `to: https://x/`: it is a path and, after a `?`, a query"):
        assert text in done.stderr, done.stderr
