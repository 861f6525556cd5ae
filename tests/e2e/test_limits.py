# SPDX-License-Identifier: Apache-2.0
"""Rate limits of one gateway: who shares a bucket, what several rules do together, who waits and
for how long, what the answers and the log say. A rate of 1/h means: never again in this test."""
import collections
import re
import resource
import signal
import socket
import threading
import time

import pytest

from certs import Authority, client
from h2peer import h2
from harness import IS_SANITIZED, PATIENCE, Gate, Origin, read_head, read_message, reply, run, until
from test_h2_lifetimes import at_once

KEYS = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  proxied: { address: "127.0.0.1:0", accept_proxy_protocol: [127.0.0.1] }
  behind: { address: "127.0.0.1:0", trusted_proxies: [127.0.0.1] }
  local: { address: "unix:{dir}/http.sock" }
  https:
    address: "127.0.0.1:0"
    tls:
      certificates: [ { cert: "{cert}", key: "{key}" } ]
      client_auth: optional
      client_ca: "{ca}"
rate_limits:
  ip: { rate: 1/h }
  net48: { rate: 1/h, ipv6_prefix: 48 }
  net61: { rate: 1/h, ipv6_prefix: 61 }
  whole: { rate: 1/h, ipv6_prefix: 128 }
  host: { key: host, rate: 1/h }
  path: { key: path, rate: 1/h }
  route: { key: route, rate: 1/h }
  certificate: { key: client_cert, rate: 1/h }
  header: { key: "header:X-Api-Key", rate: 1/h }
  authority: { key: "header:Host", rate: 1/h }
  cookie: { key: "cookie:sid", rate: 1/h }
  query: { key: "query:user name", rate: 1/h }
  pair: { key: [client_ip, "header:X-Api-Key"], rate: 1/h }
  parameters: { key: ["query:a", "query:b"], rate: 1/h }
  everything: { key: [host, path, route, client_ip, "cookie:sid", "query:a"], rate: 1/h }
  friends: { rate: 1/h, allow: [127.0.0.8/29, "2001:db8:5::/48"] }
routes:
  - { name: ip, match: { path: /ip }, rate_limit: ip, respond: { body: ok } }
  - { name: net48, match: { path: /net48 }, rate_limit: net48, respond: { body: ok } }
  - { name: net61, match: { path: /net61 }, rate_limit: net61, respond: { body: ok } }
  - { name: whole, match: { path: /whole }, rate_limit: whole, respond: { body: ok } }
  - { name: host, match: { path: /host }, rate_limit: host, respond: { body: ok } }
  - { name: path, match: { path: /path }, rate_limit: path, respond: { body: ok } }
  - { name: one, match: { path: /one }, rate_limit: route, respond: { body: ok } }
  - { name: two, match: { path: /two }, rate_limit: route, respond: { body: ok } }
  - { name: certificate, match: { path: /certificate }, rate_limit: certificate, respond: { body: ok } }
  - { name: header, match: { path: /header }, rate_limit: header, respond: { body: ok } }
  - { name: authority, match: { path: /authority }, rate_limit: authority, respond: { body: ok } }
  - { name: cookie, match: { path: /cookie }, rate_limit: cookie, respond: { body: ok } }
  - { name: query, match: { path: /query }, rate_limit: query, respond: { body: ok } }
  - { name: pair, match: { path: /pair }, rate_limit: pair, respond: { body: ok } }
  - { name: parameters, match: { path: /parameters }, rate_limit: parameters, respond: { body: ok } }
  - { name: everything, match: { path: /everything }, rate_limit: everything, respond: { body: ok } }
  - { name: friends, match: { path: /friends }, rate_limit: friends, respond: { body: ok } }
"""


def get(target="/", *lines, host="a", method="GET"):
    return "\r\n".join([f"{method} {target} HTTP/1.1", f"Host: {host}", *lines, "", ""])


def proxied(address, target):
    family = "TCP6" if ":" in address else "TCP4"
    return f"PROXY {family} {address} {'::1' if ':' in address else '127.0.0.1'} 4711 80\r\n" \
        + get(target)


@pytest.fixture(scope="module")
def pki(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def keys(cert, pki, tmp_path_factory):
    sockets = tmp_path_factory.mktemp("sockets")
    with Gate(KEYS, cert=cert[0], key=cert[1], ca=pki.cert, dir=sockets) as gate:
        gate.unix = str(sockets / "http.sock")  # the ready file cuts a long one
        yield gate


# What is sent, and how: two of one bucket, then one of another.
SAME_AND_OTHER = {
    "address": ((get("/ip"), dict(source="127.0.0.2")), (get("/ip"), dict(source="127.0.0.2")),
                (get("/ip"), dict(source="127.0.0.3"))),
    "ipv6_64": ((proxied("2001:db8:1:2:a::1", "/ip"), dict(listener="proxied")),
                (proxied("2001:db8:1:2:b::2", "/ip"), dict(listener="proxied")),
                (proxied("2001:db8:1:3:a::1", "/ip"), dict(listener="proxied"))),
    "ipv6_48": ((proxied("2001:db8:1:2::1", "/net48"), dict(listener="proxied")),
                (proxied("2001:db8:1:ffff::1", "/net48"), dict(listener="proxied")),
                (proxied("2001:db8:2:2::1", "/net48"), dict(listener="proxied"))),
    "ipv6_61": ((proxied("2001:db8:1:8::1", "/net61"), dict(listener="proxied")),
                (proxied("2001:db8:1:f::1", "/net61"), dict(listener="proxied")),
                (proxied("2001:db8:1:10::1", "/net61"), dict(listener="proxied"))),
    "ipv6_128": ((proxied("2001:db8::1", "/whole"), dict(listener="proxied")),
                 (proxied("2001:db8::1", "/whole"), dict(listener="proxied")),
                 (proxied("2001:db8::2", "/whole"), dict(listener="proxied"))),
    "mapped": ((proxied("::ffff:192.0.2.1", "/ip"), dict(listener="proxied")),
               (proxied("192.0.2.1", "/ip"), dict(listener="proxied")),
               (proxied("::ffff:192.0.2.2", "/ip"), dict(listener="proxied"))),
    "forwarded": ((get("/ip", "X-Forwarded-For: 203.0.113.1"), dict(listener="behind")),
                  (get("/ip", "X-Forwarded-For: 6.6.6.6, 203.0.113.1"), dict(listener="behind")),
                  (get("/ip", "X-Forwarded-For: 203.0.113.2"), dict(listener="behind"))),
    "forwarded_mapped": (
        (get("/ip", "X-Forwarded-For: ::ffff:203.0.113.8"), dict(listener="behind")),
        (get("/ip", "X-Forwarded-For: 203.0.113.8"), dict(listener="behind")),
        (get("/ip", "X-Forwarded-For: ::ffff:203.0.113.9"), dict(listener="behind"))),
    "host": ((get("/host"), {}), (get("/host/x", host="A.:80"), {}), (get("/host", host="b"), {})),
    "path": ((get("/path/a?b"), {}), (get("/path/./x/../%61"), {}), (get("/path/b"), {})),
    "route": ((get("/one"), {}), (get("/one/more", host="b"), {}), (get("/two"), {})),
    "header": ((get("/header", "X-Api-Key: a"), {}), (get("/header", "x-api-key:  a "), {}),
               (get("/header", "X-Api-Key: A"), {})),
    "host_header": ((get("/authority", host="x"), {}), (get("/authority", host="x"), {}),
                    (get("/authority", host="y"), {})),
    "cookie": ((get("/cookie", "Cookie: sid=1; x=2"), {}), (get("/cookie", "Cookie: x=3; sid=1"), {}),
               (get("/cookie", "Cookie: sid=2; x=1"), {})),
    "query": ((get("/query?user+name=a%20b&x"), {}), (get("/query?x&user%20name=a+b"), {}),
              (get("/query?user+name=ab"), {})),
    "odd_query": ((get("/query?user+name=%zz%4"), {}), (get("/query?user+name=%zz%4&y=1"), {}),
                  (get("/query?user+name=%zz%5"), {})),
    # Two values of one name: by address, whatever they are; the same one twice is one.
    "two_headers": ((get("/header", "X-Api-Key: 1", "X-Api-Key: d"), {}),
                    (get("/header", "X-Api-Key: d", "X-Api-Key: 2"), {}),
                    (get("/header", "X-Api-Key: d", "X-Api-Key: d"), {})),
    "two_cookies": ((get("/cookie", "Cookie: sid=d; sid=e"), {}), (get("/cookie", "Cookie: sid=f; sid=d"), {}),
                    (get("/cookie", "Cookie: sid=d; sid=d"), {})),
    "two_parameters": ((get("/query?user+name=d&user%20name=e"), {}),
                       (get("/query?user+name=d&user+name="), {}),
                       (get("/query?user+name=d&user+name=%64"), {})),
    "no_host": (("GET /host HTTP/1.0\r\n\r\n", {}), ("GET /host HTTP/1.0\r\n\r\n", {}),
                ("GET /host HTTP/1.0\r\nHost: old\r\n\r\n", {})),
    "pair": ((get("/pair", "X-Api-Key: a"), {}), (get("/pair", "X-Api-Key: a"), {}),
             (get("/pair", "X-Api-Key: a"), dict(source="127.0.0.2"))),
    "other_of_pair": ((get("/pair", "X-Api-Key: b"), {}), (get("/pair", "X-Api-Key: b"), {}),
                      (get("/pair", "X-Api-Key: c"), {})),
    # What a part holds never reads as the mark between two.
    "nul": ((get("/parameters?a=x%00y&b=z"), {}), (get("/parameters?b=z&a=x%00y"), {}),
            (get("/parameters?a=x&b=y%00z"), {})),
    "everything": ((get("/everything?a=1", "Cookie: sid=1"), {}),
                   (get("/everything?b&a=%31", "Cookie: sid=1"), {}),
                   (get("/everything?a=2", "Cookie: sid=1"), {})),
    "long": ((get("/header", "X-Api-Key: " + "k" * 16000 + "1"), {}),
             (get("/header", "X-Api-Key: " + "k" * 16000 + "1"), {}),
             (get("/header", "X-Api-Key: " + "k" * 16000 + "2"), {})),
}


@pytest.mark.parametrize("case", SAME_AND_OTHER)
def test_who_shares_a_bucket(keys, case):
    first, same, other = SAME_AND_OTHER[case]
    assert [keys.raw(data, **how).status for data, how in (first, same, other)] == [200, 429, 200]


@pytest.mark.parametrize("data, how", [
    (get("/header"), {}),
    (get("/header", "X-Api-Key:"), {}),
    (get("/cookie"), {}),
    (get("/cookie", "Cookie: xsid=1; sid=; SID=1"), {}),
    (get("/query?user=1"), {}),
    (get("/query?user%20name="), {}),
    (get("/pair"), {}),
    (get("/parameters?a=1"), {}),
    (get("/everything", "Cookie: sid=1"), {}),
    (get("/certificate"), {}),
    (get("/certificate"), dict(listener="https", tls=client())),
    (get("/friends"), dict(source="127.0.0.9")),
    (proxied("2001:db8:5:1::1", "/friends"), dict(listener="proxied")),
])
def test_who_has_no_key_or_is_allowed_is_not_limited(keys, data, how):
    """Nor is he told of a limit."""
    answers = [keys.raw(data, **how) for _ in range(3)]
    assert [a.status for a in answers] == [200] * 3
    assert not any(a.get("RateLimit") or a.get("RateLimit-Policy") for a in answers)


def test_allowed_networks_end_where_they_end(keys):
    assert [keys.raw(get("/friends"), source="127.0.0.16").status for _ in range(2)] == [200, 429]


def test_who_comes_by_a_unix_socket_has_no_address(keys):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(keys.unix)
        s.settimeout(PATIENCE)
        for _ in range(2):
            s.sendall(get("/ip").encode())
            assert s.recv(65536).startswith(b"HTTP/1.1 200")


def test_client_certificates_by_their_subject(keys, pki):
    """Another certificate of the same subject is the same client."""
    people = [client(cert=pki.issue(f"p{i}")) for i in range(2)]
    again = client(cert=pki.issue("p0"))
    asked = [keys.raw(get("/certificate"), listener="https", tls=who).status
             for who in (people[0], people[0], again, people[1])]
    assert asked == [200, 429, 429, 200]


def test_cookies_and_headers_over_http2(keys):
    """A client may send each cookie in a field of its own, and :authority is the host."""
    with h2(keys) as c:
        cookies = [("cookie", "x=1"), ("cookie", "sid=h2")]
        assert [c.request("/cookie", headers=cookies).status for _ in range(2)] == [200, 429]
        assert c.request("/cookie", headers=[("cookie", "sid=other")]).status == 200
        assert [c.request("/host", authority=f"{x}.h2").status for x in "aab"] == [200, 429, 200]
        assert [c.request("/authority", authority=f"{x}.h2").status for x in "aab"] == [200, 429, 200]


# ---- several rules ----

SEVERAL = """
listeners: { http: { address: "127.0.0.1:0" } }
rate_limits:
  narrow: { key: "header:X-Key", rate: 1/h, burst: 1, status: 503 }
  wide: { rate: 1/h, burst: 3 }
  last: { key: host, rate: 1/h, burst: 9 }
routes:
  - { rate_limit: [narrow, wide, last], respond: { body: ok } }
"""


def test_several_rules_on_a_route():
    """All are told of; the first that refuses answers; those after it are not charged."""
    with Gate(SEVERAL) as gate:
        def ask(key):
            answer = gate.raw(get("/", f"X-Key: {key}"))
            return answer.status, [int(r) for r in re.findall(r"r=(\d+)", ", ".join(
                answer.get_all("RateLimit")))], answer
        status, left, answer = ask("a")
        assert (status, left) == (200, [1, 3, 9])
        assert ", ".join(answer.get_all("RateLimit-Policy")) == \
            '"narrow";q=2;w=7200, "wide";q=4;w=14400, "last";q=10;w=36000'
        assert ask("a")[:2] == (200, [0, 2, 8])
        for _ in range(3):
            status, left, answer = ask("a")
            assert (status, left) == (503, [0, 2, 8]) and answer.get("Retry-After") == "3600"
        assert ask("b")[:2] == (200, [1, 1, 7])
        assert ask("c")[:2] == (200, [1, 0, 6])
        # The second refuses: the first has counted it, the third has not.
        status, left, answer = ask("d")
        assert (status, left) == (429, [1, 0, 6])
        assert [line["limit"] for line in gate.access_lines(8) if "limit" in line] == \
            ["narrow"] * 3 + ["wide"]
        counted = {(name, result): gate.metric("wharfgate_rate_limit_requests_total", limit=name,
                                               result=result)
                   for name in ("narrow", "wide", "last") for result in ("admitted", "refused")}
        assert counted == {("narrow", "admitted"): 5, ("narrow", "refused"): 3,
                           ("wide", "admitted"): 4, ("wide", "refused"): 1,
                           ("last", "admitted"): 4, ("last", "refused"): 0}


# ---- what answers say ----

ANSWERS = """
listeners: { http: { address: "127.0.0.1:0", http2: on } }
rate_limits:
  plain: { rate: 1/h, burst: 1 }
  legacy: { rate: 1/h, burst: 1, headers: legacy, status: 503 }
  silent: { rate: 1/h, headers: off }
  trial: { rate: 1/h, dry_run: true }
  page: { rate: 1/h }
upstreams: { app: { servers: ["{origin}"] } }
routes:
  - { match: { path: /plain }, rate_limit: plain, respond: { body: ok } }
  - { match: { path: /legacy }, rate_limit: legacy, upstream: app }
  - { match: { path: /silent }, rate_limit: silent, respond: { body: ok } }
  - { match: { path: /trial }, rate_limit: [trial], respond: { body: ok } }
  - { match: { path: /page }, rate_limit: page, respond: { body: ok }, error_pages: { 429: "{page}" } }
"""


@pytest.fixture
def answers(tmp_path, origin):
    (tmp_path / "slow.html").write_text("<p>slow down</p>")
    with Gate(ANSWERS, page=tmp_path / "slow.html", origin=origin.address) as gate:
        yield gate


def told(answer):
    return {k: v for k, v in answer.fields if "ratelimit" in k.lower() or k == "Retry-After"}


def test_headers(answers):
    policy = {"RateLimit-Policy": '"plain";q=2;w=7200'}
    assert told(answers.raw(get("/plain"))) == {**policy, "RateLimit": '"plain";r=1;t=3600'}
    assert told(answers.raw(get("/plain"))) == {**policy, "RateLimit": '"plain";r=0;t=7200'}
    answer = answers.raw(get("/plain"))
    assert answer.status == 429 and answer.get("Cache-Control") == "no-store"
    assert told(answer) == {**policy, "RateLimit": '"plain";r=0;t=7200', "Retry-After": "3600"}


def test_headers_of_legacy_clients(tmp_path):
    """The replica's own are replaced: two answers to one question help nobody."""
    def serve(peer, origin):
        while True:
            origin.read(peer)
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-RateLimit-Limit: 99\r\n"
                      "x-ratelimit-remaining: 98\r\nX-Ratelimit-Reset: 97\r\n\r\n")
    (tmp_path / "slow.html").write_text("slow")
    with Origin(serve) as o, \
            Gate(ANSWERS, page=tmp_path / "slow.html", origin=o.address) as gate:
        for left, reset in (("1", "3600"), ("0", "7200")):
            answer = gate.raw(get("/legacy"))
            assert answer.status == 200
            assert [answer.get_all(f"X-RateLimit-{n}") for n in ("Limit", "Remaining", "Reset")] == \
                [["2"], [left], [reset]]
            assert answer.get("RateLimit") == f'"legacy";r={left};t={reset}'
        answer = gate.raw(get("/legacy"))
        assert answer.status == 503 and answer.get_all("Retry-After") == ["3600"]
        assert answer.get("X-RateLimit-Remaining") == "0"


def test_no_headers(answers):
    assert told(answers.raw(get("/silent"))) == {}
    answer = answers.raw(get("/silent"))
    assert answer.status == 429 and told(answer) == {"Retry-After": "3600"}


def test_dry_run(answers):
    """Counted and logged, and the client notices nothing."""
    for _ in range(3):
        answer = answers.raw(get("/trial"))
        assert answer.status == 200 and told(answer) == {}
    lines = answers.access_lines(3)
    assert [line.get("limit_dry_run") for line in lines] == [None, "trial", "trial"]
    assert not any("limit" in line for line in lines)
    counted = [answers.metric("wharfgate_rate_limit_requests_total", limit="trial", result=r)
               for r in ("admitted", "refused")]
    assert counted == [1, 2]


def test_page_of_the_route(answers):
    assert answers.raw(get("/page")).status == 200
    answer = answers.raw(get("/page"))
    assert (answer.status, answer.body) == (429, b"<p>slow down</p>")
    assert told(answer)["Retry-After"] == "3600"


def test_json_and_head(answers):
    assert answers.raw(get("/page")).status == 200
    assert answers.raw(get("/silent")).status == 200
    answer = answers.raw(get("/silent", "Accept: application/json"))
    assert answer.json["status"] == 429 and answer.json["reason"] == "rate_limited"
    answer = answers.raw(get("/page", method="HEAD"))
    assert answer.status == 429 and told(answer)["Retry-After"] == "3600"


def test_grpc(answers):
    """RESOURCE_EXHAUSTED, where a client of gRPC looks for it."""
    kind = "Content-Type: application/grpc"
    assert answers.raw(get("/silent", kind)).status == 200
    answer = answers.raw(get("/silent", kind))
    assert (answer.status, answer.get("grpc-status")) == (200, "8")
    assert answer.get("Retry-After") == "3600"
    assert answers.access_lines(2)[1]["limit"] == "silent"


def test_retry_after_is_true():
    """Who comes back then is admitted; who comes before is not."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        rate_limits: { slow: { rate: {rate}/m } }
        routes: [ { rate_limit: slow, respond: { body: ok } } ]
        """
    with Gate(config, rate=int(60 // max(2, PATIENCE / 10))) as gate:
        assert gate.raw(get()).status == 200
        refused = gate.raw(get())
        came = time.monotonic()
        wait = int(refused.get("Retry-After"))
        assert refused.status == 429 and wait >= 2
        assert gate.raw(get()).status == 429
        time.sleep(came + wait - time.monotonic())
        assert gate.raw(get()).status == 200


def test_explain():
    with Gate(SEVERAL.replace("burst: 3", "burst: 3, delay: true")) as gate:
        said = run("explain", f"http://a:{gate.address('http')[1]}/", "--socket",
                   gate.socket_path).stdout
        assert "narrow: 1/h, burst 1, by header:X-Key; then 503" in said
        assert "wide: 1/h, burst 3 (held back), by client_ip; then 429" in said
        assert "last: 1/h, burst 9, by host; then 429" in said


# ---- delay ----

DELAY = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
upstreams: { app: { servers: ["{origin}"] } }
rate_limits:
  even: { rate: 10/s, burst: 5, delay: true }
  late: { rate: 2/h, burst: 100, delay: true }
  later: { key: host, rate: 5/s, burst: 10, delay: true }
routes:
  - { match: { path: /even }, upstream: app, rate_limit: even, max_body: unlimited }
  - { match: { path: /both }, upstream: app, rate_limit: [even, later] }
  - { match: { path: /short }, respond: { body: ok }, rate_limit: even, timeouts: { response_header: 50ms } }
  - { match: { path: /late }, upstream: app, rate_limit: {late}, max_body: 10 }
shutdown_grace: {grace}
"""
SLOW = DELAY.replace("2/h", "1/s")


@pytest.fixture
def delays(origin):
    with Gate(DELAY, origin=origin.address, grace="30s", late="late") as gate:
        gate.origin = origin
        yield gate


def delayed(gate, count, limit="late"):
    """Waits until so many requests are held back."""
    until(lambda: gate.metric("wharfgate_rate_limit_delayed_total", limit=limit) == count,
          f"{count} delayed requests")


def active(gate):
    """Requests in progress, but for the one that asks."""
    return gate.metric("wharfgate_requests_active") - 1


def is_idle(gate):
    return active(gate) == 0


def test_a_burst_is_spread_at_the_rate(delays):
    """Over connections of their own: none comes early."""
    ended = []

    def ask():
        assert delays.raw(get("/even")).status == 200
        ended.append(time.monotonic() - began)
    threads = [threading.Thread(target=ask) for _ in range(6)]
    began = time.monotonic()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(ended) == 6
    for i, at in enumerate(sorted(ended)):
        assert at >= 0.1 * i, ended


def test_what_is_over_the_burst_is_refused_at_once(delays):
    """Asked in one piece: the answer of the seventh overtakes those that wait."""
    with h2(delays) as c:
        began, order = time.monotonic(), []
        with at_once(c):
            streams = [c.open(path="/even") for _ in range(8)]
        waiting = list(streams)
        while waiting:
            c.wait(lambda: any(s.is_ended for s in waiting), "an answer")
            for s in [s for s in waiting if s.is_ended]:
                order.append((streams.index(s), s.status, time.monotonic() - began))
                waiting.remove(s)
    assert sorted(s.status for s in streams) == [200] * 6 + [429] * 2
    admitted = [at for _, status, at in order if status == 200]
    for i, at in enumerate(admitted):
        assert at >= 0.1 * i
    refused = [i for i, (_, status, _) in enumerate(order) if status == 429]
    assert max(refused) <= 2, order


def test_the_longest_of_several_delays_counts(delays):
    began = time.monotonic()
    with h2(delays) as c:
        with at_once(c):
            streams = [c.open(path="/both") for _ in range(4)]
        assert [s.done().status for s in streams] == [200] * 4
    assert time.monotonic() - began >= 0.6 # by the second rule; 0.3 by the first


def test_waiting_is_not_the_replicas_time(delays):
    """A delay is not cut by the time that an answer may take."""
    with h2(delays) as c:
        with at_once(c):
            streams = [c.open(path="/short") for _ in range(4)]
        assert [s.done().status for s in streams] == [200] * 4


def test_a_client_that_leaves_while_it_waits(delays):
    """Nothing is left behind, and the replica never hears of it."""
    assert delays.raw(get("/late")).status == 200
    peers = [delays.connect() for _ in range(3)]
    for peer in peers:
        peer.send(get("/late"))
    delayed(delays, 3)
    assert active(delays) == 3
    for left, peer in enumerate(peers):
        peer.reset()
        until(lambda: active(delays) == 2 - left, "one less")
    assert len(delays.origin.requests) == 1
    assert [line["reason"] for line in delays.access_lines(4)[1:]] == ["client_closed"] * 3


def test_who_only_ends_his_side_is_answered_in_his_turn(delays):
    assert delays.raw(get("/even")).status == 200
    with delays.connect() as c:
        c.send(get("/even"))
        c.sock.shutdown(socket.SHUT_WR)
        assert read_message(c).status == 200
        assert c.is_closed()


def test_streams_that_are_reset_while_they_wait(delays):
    with h2(delays) as c:
        assert c.request("/late").status == 200
        streams = [c.open(path="/late") for _ in range(50)]
        delayed(delays, 50)
        for s in streams[::2]:
            s.reset()
        until(lambda: active(delays) == 25, "half of them to be gone")
    until(lambda: is_idle(delays), "no request")
    assert len(delays.origin.requests) == 1


@pytest.mark.parametrize("how", ["length", "chunked", "h2"])
def test_a_body_that_comes_meanwhile(delays, how):
    """All of it, more than is held for a retry, reaches the replica once it is its turn."""
    body = bytes(range(256)) * 4096 # 1 MiB
    assert [delays.raw(get("/even")).status for _ in range(1)] == [200]
    if how == "h2":
        with h2(delays) as c:
            answers = [c.open("POST", "/even", end=False) for _ in range(3)]
            for s in answers:
                s.send(body, end=True)
            assert [s.done().json["body"] for s in answers] == [len(body)] * 3
        return
    with delays.connect() as c:
        if how == "length":
            c.send(get("/even", f"Content-Length: {len(body)}", method="POST").encode() + body)
        else:
            c.send(get("/even", "Transfer-Encoding: chunked", method="POST").encode() +
                   b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body))
        assert read_message(c).json["body"] == len(body)


def test_who_is_asked_to_continue():
    """`Expect: 100-continue` reaches the replica in its turn."""
    def serve(peer, origin):
        while True:
            head = read_head(peer)
            if head.get("Expect"):
                peer.send("HTTP/1.1 100 Continue\r\n\r\n")
                assert peer.read_exactly(3) == b"abc"
            peer.send(reply(200))
    with Origin(serve) as o, Gate(DELAY, origin=o.address, grace="1s", late="late") as gate:
        assert gate.raw(get("/even")).status == 200
        with gate.connect() as c:
            c.send(get("/even", "Expect: 100-continue", "Content-Length: 3", method="POST"))
            assert read_message(c).status == 100
            c.send("abc")
            assert read_message(c).status == 200


def test_a_broken_body_while_it_waits(delays):
    """The client is told at once, and its turn passes unused."""
    assert delays.raw(get("/late")).status == 200
    with delays.connect() as c:
        c.send(get("/late", "Transfer-Encoding: chunked", method="POST") + "zz\r\n")
        assert read_message(c).status == 400
    with delays.connect() as c:
        c.send(get("/late", "Transfer-Encoding: chunked", method="POST"))
        delayed(delays, 2)
        c.send(b"b\r\n12345678901\r\n")
        assert read_message(c).status == 413
    until(lambda: is_idle(delays), "no request")
    assert len(delays.origin.requests) == 1


def test_many_streams_wait_at_once():
    """Of several connections, each at its own bound of streams."""
    config = """
        listeners: { http: { address: "127.0.0.1:0", http2: on } }
        rate_limits: { fast: { rate: 1000/s, burst: 300, delay: true } }
        routes: [ { rate_limit: fast, respond: { body: ok } } ]
        """
    with Gate(config) as gate:
        began = time.monotonic()
        clients = [h2(gate) for _ in range(3)]
        streams = [c.open() for c in clients for _ in range(100)]
        assert [s.done().status for s in streams] == [200] * 300
        assert time.monotonic() - began >= 0.299
        for c in clients:
            c.close()
        until(lambda: is_idle(gate), "no request")


@pytest.mark.parametrize("protocol", ["h1", "h2"])
def test_stopping_answers_those_that_wait(origin, protocol):
    """SIGTERM: they still have their turn, then the connection ends."""
    with Gate(SLOW, origin=origin.address, grace="30s", late="late") as gate:
        assert gate.raw(get("/late")).status == 200
        if protocol == "h2":
            with h2(gate) as c:
                streams = [c.open(path="/late") for _ in range(2)]
                delayed(gate, 2)
                gate.process.send_signal(signal.SIGTERM)
                assert [s.done().status for s in streams] == [200] * 2
                c.ended()
        else:
            peers = [gate.connect() for _ in range(2)]
            for peer in peers:
                peer.send(get("/late"))
            delayed(gate, 2)
            gate.process.send_signal(signal.SIGTERM)
            for peer in peers:
                assert read_message(peer).status == 200
                assert peer.is_closed()
        assert gate.process.wait(PATIENCE) == 0


def test_stopping_does_not_wait_for_longer_than_the_grace(origin):
    with Gate(DELAY, origin=origin.address, grace="200ms", late="late") as gate:
        assert gate.raw(get("/late")).status == 200
        with gate.connect() as c:
            c.send(get("/late"))
            delayed(gate, 1)
            gate.process.send_signal(signal.SIGTERM)
            assert c.is_closed()
        gate.process.wait(PATIENCE)


# ---- reloads ----

def test_reload_keeps_what_did_not_change(origin):
    """A bucket lives as long as its rule says the same; another place or name in the file, other
    routes and rules change nothing."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        rate_limits:
          {before}
          few: { rate: 1/h, burst: 1{few} }
        routes: [ { {host} rate_limit: {rules}, respond: { body: ok } } ]
        """
    steady = dict(before="", few="", host="", rules="few")
    with Gate(config, **steady) as gate:
        def ask():
            return gate.raw(get()).status
        assert [ask(), ask(), ask()] == [200, 200, 429]
        for change in (dict(before="other: { rate: 1/s }"), dict(host="match: { host: a },"),
                       dict(few=", store: local"), dict(rules="[few]"), {}):
            assert gate.reload(config, **{**steady, **change}).returncode == 0
            assert ask() == 429, change
        for change in (", status: 503", ", allow: [10.0.0.1]", ", memory: 1MiB", ", ipv6_prefix: 56"):
            assert gate.reload(config, **{**steady, "few": change}).returncode == 0
            assert [ask(), ask()] == [200, 200], change
        assert gate.reload(config, **steady).returncode == 0
        assert [ask(), ask(), ask()] == [200, 200, 429]
        assert gate.metric("wharfgate_plans_alive") == 1


def test_rules_that_go_while_requests_wait_for_them(origin):
    """They keep their turn by the rule that they met; then its memory goes with the old plan."""
    with Gate(SLOW, origin=origin.address, grace="30s", late="late") as gate:
        began = time.monotonic()
        with h2(gate) as c:
            with at_once(c):
                streams = [c.open(path="/late") for _ in range(3)]
            delayed(gate, 2)
            assert gate.reload(SLOW, late="even").returncode == 0
            assert gate.reload("\n".join(line for line in SLOW.splitlines() if "late" not in line)
                               ).returncode == 0
            assert gate.metric("wharfgate_plans_alive") == 2
            assert [s.done().status for s in streams] == [200] * 3
        assert time.monotonic() - began >= 2
        until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plan to go")


# ---- many keys, many workers ----

def test_little_memory_forgets_and_says_so():
    """4 KiB hold 384 keys at most: the others push out those that would be full soonest."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        rate_limits: { few: { key: "header:X-Key", rate: 1/h, memory: 4KiB } }
        routes: [ { rate_limit: few, respond: { body: ok } } ]
        """
    with Gate(config) as gate, gate.connect() as c:
        for i in range(20):
            c.send("".join(get("/", f"X-Key: {i * 100 + k}") for k in range(100)))
            assert {read_message(c).status for _ in range(100)} == {200}
        assert gate.metric("wharfgate_rate_limit_evictions_total", limit="few") >= 2000 - 384
        assert [gate.raw(get("/", "X-Key: 1999")).status for _ in range(2)] == [429, 429]


# Sanitizers take terabytes of addresses: there is nothing to bound.
HUGE_MEMORY = [] if IS_SANITIZED else [("local", 64), ("redis", 8)]


def test_memory_that_cannot_be_had_is_a_mistake_of_the_file():
    """The table of the counts, and beside it that of leases."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        stores: { redis: "redis://127.0.0.1:1" }
        rate_limits: { few: { rate: 1/h, store: {store}, memory: {memory} } }
        routes: [ { rate_limit: few, respond: { body: ok } } ]
        """
    for store, memory in HUGE_MEMORY:
        with Gate(config, memory="16MiB", store="local") as gate:
            assert gate.raw(get()).status == 200
            resource.prlimit(gate.worker_pid, resource.RLIMIT_AS, (1 << 34, 1 << 34))
            done = gate.reload(config, memory=f"{memory}GiB", store=store)
            assert done.returncode != 0
            assert f"4:16: error: the system has no {memory << 30} bytes of `memory`" in done.stderr
            assert gate.raw(get()).status == 429
            assert gate.metric("wharfgate_worker_crashes_total") == 0


@pytest.mark.parametrize("rate, burst", [("1/h", 99), ("300/s", 20)])
def test_workers_share_the_buckets(rate, burst):
    """Eight clients on four workers, few keys: over the time that it took, none is admitted more
    often than rate x time + burst + 1. Without a refill to speak of, exactly the burst and one."""
    config = """
        workers: 4
        listeners: { http: { address: "127.0.0.1:0" } }
        rate_limits: { few: { key: "header:X-Key", rate: {rate}, burst: {burst}, memory: 64KiB } }
        routes: [ { rate_limit: few, respond: { body: ok } } ]
        """
    key_count, piece, counts, failures = 4, 20, [], []
    batch = "".join(get("/", f"X-Key: {k}") for _ in range(piece) for k in range(key_count))

    def hammer(gate):
        mine = collections.Counter()
        try:
            with gate.connect() as c:
                for _ in range(15):
                    c.send(batch)
                    for i in range(piece * key_count):
                        status = read_message(c).status
                        assert status in (200, 429)
                        mine[i % key_count] += status == 200
        except (AssertionError, EOFError, OSError) as e:
            failures.append(repr(e))
        counts.append(mine)
    with Gate(config, rate=rate, burst=burst) as gate:
        threads = [threading.Thread(target=hammer, args=(gate,)) for _ in range(8)]
        began = time.monotonic()
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        took = time.monotonic() - began
        assert not failures
        assert gate.metric("wharfgate_rate_limit_evictions_total") == 0
    total = sum(counts, collections.Counter())
    number, period = rate.split("/")
    refill = int(number) * took if period == "s" else 0
    for k in range(key_count):
        assert burst + 1 <= total[k] <= burst + 1 + refill, (total, took)
