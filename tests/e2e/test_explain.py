# SPDX-License-Identifier: Apache-2.0
"""`wharfgate explain`: who would serve a request and why not another route."""
import json
import urllib.parse

import pytest

from harness import Gate, Nobody, Origin, reply, run, until

CONFIG = """
    listeners:
      http: { address: "127.0.0.1:0" }
      other: { address: "127.0.0.1:0" }
    rate_limits:
      api: { key: client_ip, rate: 10/m, burst: 2 }
    timeouts: { response_idle: 2s }
    upstreams:
      site: { servers: ["{origin}"] }
      hashed:
        servers: ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]
        balance: { algorithm: ring_hash, key: "header:x-user" }
    routes:
      - { name: all, match: { host: "*.example" }, upstream: site }
      - { name: api, match: { host: shop.example, path: /api }, upstream: site, rate_limit: api }
      - { name: write, match: { host: shop.example, path: /api, method: POST }, upstream: site }
      - { name: user, match: { host: user.example }, upstream: hashed }
      - { name: slash, match: { host: [slash.example, www.slash.example] }, upstream: site,
          canonical_host: slash.example, trailing_slash: add, security_headers: basic }
      - { name: big, match: { host: big.example }, upstream: site, max_body: unlimited,
          buffer_request: 64KiB, timeouts: { connect: 250ms } }
      - { name: old, match: { host: old.example }, redirect: { to: "http://shop.example/" } }
"""


def explain(gate, *args):
    return run("explain", *args, "--socket", gate.socket_path)


def answer(gate, *args):
    done = explain(gate, *args, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_the_route_and_why_not_the_others(origin):
    with Gate(CONFIG, origin=origin.address) as gate:
        port = gate.address("http")[1]
        done = explain(gate, f"http://shop.example:{port}/api/items?q=1")
        assert done.returncode == 0 and done.stderr == ""
        for part in (f"GET http://shop.example:{port}/api/items?q=1\n",
                     f"listener  http: port {port}, without TLS\n",
                     "route     api: host shop.example, path /api (the longest prefix)\n",
                     "filters   rate_limit: api: 10/m, burst 2, by client_ip; then 429\n",
                     "bounds    max_body 1MiB, connect 5s, response_header 1m, response_idle 2s\n",
                     "upstream  site, by least_requests\n",
                     f"          {origin.address}  ready\n",
                     f"goes to   {origin.address}: the only one that is ready\n",
                     "  write  its method is POST only\n",
                     "  all    fits too, but by a wildcard host\n",
                     "  user   the host is not user.example\n"):
            assert part in done.stdout, done.stdout
        assert answer(gate, "big.example/")["bounds"] == "max_body unlimited, " \
            "buffer_request 64KiB, connect 250ms, response_header 1m, response_idle 2s"
        assert answer(gate, "shop.example/api", "--method", "POST")["route"]["name"] == "write"
        assert gate.metric("wharfgate_endpoint_requests_total") == 0


def test_a_url_that_is_sent_elsewhere_goes_to_no_endpoint(origin):
    """By the reason that the log has, to the very place."""
    with Gate(CONFIG, origin=origin.address) as gate:
        wanted = (("slash.example", "/a?b=1", "trailing_slash"),
                  ("www.slash.example", "/a", "canonical_host"),
                  ("WWW.slash.example", "/a/", "canonical_host"))
        for i, (host, path, reason) in enumerate(wanted, 1):
            told = answer(gate, f"http://{host}{path}")
            got = gate.request(path, host=host)
            assert told["detail"] == f"{got.status} to {got.headers['location']}"
            assert told["origin"] == reason == gate.access_lines(i)[-1]["reason"]
            assert told["upstream"] is None
        assert answer(gate, "http://Slash.example/a/")["upstream"]["name"] == "site"
        assert "Strict-Transport-Security (not without TLS)" in explain(gate, "slash.example/").stdout


def test_no_route_is_a_404_and_says_why(origin):
    with Gate(CONFIG, origin=origin.address) as gate:
        done = explain(gate, "http://nowhere.test/")
        assert done.returncode == 0
        assert "none: the answer is 404" in done.stdout
        assert "the host is not shop.example" in done.stdout
        assert answer(gate, "http://nowhere.test/")["route"] is None
        assert gate.request("/", host="nowhere.test").status == 404


def test_a_key_leads_to_the_endpoint_that_gets_the_request():
    """The very one: the origins say who got it."""
    names = [Origin(name=f"o{i}") for i in range(3)]
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams:
          hashed:
            servers: ["{a}", "{b}", "{c}"]
            balance: { algorithm: ring_hash, key: "header:x-user" }
        routes: [ { name: all, upstream: hashed } ]
    """
    a, b, c = names
    with a, b, c, Gate(config, a=a.address, b=b.address, c=c.address) as gate:
        seen = set()
        for user in range(12):
            told = answer(gate, "any.test/", "--header", f"X-User: {user}")["upstream"]["choice"]
            got = gate.request("/", headers={"X-User": str(user)}).json["origin"]
            assert told["endpoint"] == {o.name: o.address for o in names}[got]
            assert told["why"] == "ring_hash: by the header x-user"
            seen.add(got)
        assert len(seen) > 1
        assert answer(gate, "any.test/")["upstream"]["choice"]["endpoint"] is None


def test_a_cookie_leads_to_the_endpoint_that_it_names():
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams:
          sticky:
            servers: ["{a}", "{b}"]
            balance: { algorithm: sticky, cookie: at, secret: "0123456789abcdef0123456789abcdef" }
        routes: [ { name: all, upstream: sticky } ]
    """
    with Origin(name="a") as a, Origin(name="b") as b, \
            Gate(config, a=a.address, b=b.address) as gate:
        for _ in range(6):
            first = gate.request("/")
            cookie = "Cookie: x=1; " + first.headers["set-cookie"].split(";")[0]
            told = answer(gate, "h/", "--header", cookie)["upstream"]["choice"]
            served = {"a": a, "b": b}[first.json["origin"]]
            assert told == {"endpoint": served.address, "why": "sticky: the cookie names it"}
        told = answer(gate, "h/", "--header=Cookie: at=nobody")["upstream"]["choice"]
        assert told["endpoint"] is None and told["why"].startswith("the cookie names none of them")


def test_an_endpoint_that_is_not_ready_is_told_with_its_reason():
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams:
          app: { servers: ["{app}"], health_check: { interval: 100ms }, wait_for_endpoint: 3s }
        routes: [ { upstream: app } ]
    """
    with Nobody() as app, Gate(config, app=app.address) as gate:
        until(lambda: "unhealthy" in explain(gate, "a.test/").stdout, "the check")
        shown = explain(gate, "a.test/").stdout
        assert "unhealthy: " in shown and "waits for up to 3000 ms, then 503" in shown


def test_a_file_is_explained_without_a_gateway(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text(CONFIG.replace("{origin}", "127.0.0.1:8000"))
    done = run("explain", "-c", path, "https://shop.example/api/")
    assert done.returncode == 0, done.stderr
    assert "none is with TLS: the first one" in done.stdout
    assert "127.0.0.1:8000  not known: not running\n" in done.stdout
    old = json.loads(run("explain", "-c", path, "old.example/", "--json").stdout)
    assert old["origin"] == "redirect" and old["upstream"] is None and old["running"] is False
    path.write_text("routes: [ { upstream: nobody } ]\n")
    broken = run("explain", "-c", path, "shop.example/")
    assert broken.returncode == 3 and "nobody" in broken.stderr


def test_listeners_by_port_and_scheme(tmp_path):
    path = tmp_path / "gate.yaml"
    path.write_text("""
listeners:
  plain: { address: ":80", redirect: https }
  tls: { address: ":443", tls: { self_signed: true } }
  tls2: { address: ["127.0.0.1:8443"], tls: { self_signed: true } }
upstreams: { web: { docker: { service: web } } }
discovery: { docker: { endpoint: "unix:///nowhere" } }
routes: [ { upstream: web } ]
""")

    def ask(url, *args):
        done = run("explain", "-c", path, url, "--json", *args)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    for url, name in (("http://h/", "plain"), ("https://h/", "tls"), ("h/", "tls"),
                      ("https://h:8443/", "tls2"), ("h:8443", "tls2"), ("h:80/", "plain"),
                      ("https://h:9999/", "tls"), ("http://h:9999/", "plain")):
        assert ask(url)["listener"]["name"] == name, url
    assert ask("https://h:9999/")["listener"]["also"] == ["tls2"]
    assert ask("http://h/")["origin"] == "redirect_https"
    assert ask("h:8443/", "--header", "Host: other")["listener"]["name"] == "tls2"
    assert "containers" in ask("https://h/")["upstream"]["trouble"]


def test_what_cannot_be_explained(origin, tmp_path):
    with Gate(CONFIG, origin=origin.address) as gate:
        for url in ("ftp://shop.example/", "http:///x", "http://a b/", "h/%zz", "h/a b"):
            done = explain(gate, url)
            assert done.returncode == 2 and done.stderr, url
        assert explain(gate, "h/", "--header", "nonsense").returncode == 2
        assert explain(gate, "h/", "--client", "10.0.0.0/8").returncode == 2
        assert explain(gate).returncode == 2
        assert explain(gate, "h/", "-c", gate.path).returncode == 2
        nobody = explain(gate, "web-1.x")
        assert nobody.returncode == 1 and "no discovery.docker" in nobody.stderr
        assert "web-1.x/" in nobody.stderr
        assert gate.admin("/v1/explain").status == 400
        url = urllib.parse.quote("http://shop.example/", safe="")
        assert gate.admin(f"/v1/explain?url={url}").json["route"]["name"] == "all"
    away = run("explain", "h/", "--socket", tmp_path / "none.sock")
    assert away.returncode == 4 and "cannot be reached" in away.stderr


def test_nothing_steers_the_terminal(origin):
    with Gate(CONFIG, origin=origin.address) as gate:
        done = explain(gate, "http://shop.example/\x1b[2Jx")
        assert done.returncode == 2 and "\x1b" not in done.stdout + done.stderr


# ---- containers ----

DOCKER = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "{engine}" } }
    upstreams:
      web: { docker: { service: web, port: {port} } }
      other: { docker: { service: other } }
      third: { docker: { label: role=db } }
    routes: [ { name: all, upstream: web }, { match: { path: /o }, upstream: other } ]
"""


def container(number, name, labels, networks=("shop",), status="Up 2 minutes"):
    return {"Id": f"{number:x}" * 64, "Names": [f"/{name}"], "State": "running", "Status": status,
            "Labels": labels, "Ports": [], "HostConfig": {"NetworkMode": networks[0]},
            "NetworkSettings": {"Networks": {
                n: {"NetworkID": f"id-{n}", "IPAddress": "127.0.0.1"} for n in networks}}}


@pytest.fixture
def engine(tmp_path):
    """A daemon that answers three questions; its containers never change."""
    service = {"com.docker.compose.service": "web"}
    containers = [
        container(1, "web-1", {**service, "role": "web", "own": "x", "wharfgate.weight": "7", "wharfgate.wieght": "8"}),
        container(2, "web-2", service, networks=("a", "b")),
        container(3, "web-3", service, status="Up 1 minute (unhealthy)"),
        container(4, "evil\x1b[2J", {**service, "wharfgate.port": "\x1b]0;x\x07"}),
    ]

    def serve(peer, origin):
        while True:
            target = origin.read(peer).target
            if "/events" in target:
                peer.send("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n")
            elif "/containers/json" in target:
                peer.send(reply(200, json.dumps(containers), Content_Type="application/json"))
            else:
                peer.send(reply(200, "OK", Api_Version="1.44"))

    with Origin(serve, unix=str(tmp_path / "engine.sock")) as one:
        yield one


def test_a_container_and_what_upstreams_make_of_it(engine, origin):
    with Gate(DOCKER, engine="unix://" + engine.address[5:], port=origin.port) as gate:
        until(lambda: explain(gate, "web-1").returncode == 0, "the list")
        shown = explain(gate, "web-1").stdout
        for part in ("container web-1 111111111111: running, no HEALTHCHECK\n",
                     "networks  shop 127.0.0.1\n",
                     "wharfgate.weight=7: share of the requests",
                     "com.docker.compose.service=web: what `service` of an upstream asks for\n",
                     "role=web: what `label` of an upstream asks for\n",
                     "unknown   wharfgate.wieght: did you mean wharfgate.weight?\n",
                     f"upstream  web: ready, at 127.0.0.1:{origin.port}\n",
                     "  network shop: the only one\n",
                     f"  port    {origin.port}: `port` of the upstream\n",
                     "upstream  other: no replica of it: its compose service is web, not other\n",
                     "upstream  third: no replica of it: it does not have the label role=db\n"):
            assert part in shown, shown
        assert "own=" not in shown
        assert explain(gate, "1" * 12).stdout == shown
        assert "quarantined: it is in several networks" in explain(gate, "web-2").stdout
        assert "unhealthy: its HEALTHCHECK fails" in explain(gate, "web-3").stdout
        told = answer(gate, "2222")
        assert told["upstreams"][0]["state"] == "quarantined" and told["connected"]
        assert explain(gate, "web").returncode == 1
        assert "there is no container web among the 4" in explain(gate, "web").stderr
        assert run("explain", "-c", gate.path, "web-1").returncode == 2


def test_labels_do_not_steer_the_terminal(engine, origin):
    with Gate(DOCKER, engine="unix://" + engine.address[5:], port=origin.port) as gate:
        until(lambda: explain(gate, "4444").returncode == 0, "the list")
        shown = explain(gate, "4444").stdout
        assert "\x1b" not in shown and "\x07" not in shown and "\\x1b" in shown
        assert "quarantined: label wharfgate.port=" in shown
