# SPDX-License-Identifier: Apache-2.0
"""Routes that containers' labels make, against a fake daemon (fakedocker.py). Real engines: tests/e2e/docker."""
import base64
import hashlib
import json
import time

import pytest

from fakedocker import Container, Daemon
from harness import Gate, Origin, read_message, run, until
from test_docker_fake import say_where

CONFIG = """
listeners: { http: { address: "127.0.0.1:0" } }
discovery: { docker: { endpoint: "unix://{socket}"{more} } }
rate_limits: { slow: { key: client_ip, rate: 1/h } }
upstreams: { fixed: { servers: ["127.0.0.1:{port}"] } }
defaults: { max_body: 2KiB }
routes: [ {routes} ]
"""
FILE_ROUTE = "{ name: file, match: { host: file.example }, upstream: fixed }"


@pytest.fixture
def origin():
    with Origin(say_where, host="0.0.0.0") as o:
        yield o


@pytest.fixture
def daemon(tmp_path):
    with Daemon(tmp_path / "docker.sock") as d:
        yield d


class Fleet:
    """Makes containers with a route, each with a loopback address of its own: 127.30.0.<number>."""

    def __init__(self, daemon, origin):
        self.daemon, self.origin = daemon, origin

    def make(self, number, service="web", host="a.example", **labels):
        names = {f"wharfgate.{key.replace('__', '.')}": value for key, value in labels.items()}
        enable = {"wharfgate.enable": "true", "wharfgate.host": host, "wharfgate.port": str(self.origin.port),
                  "wharfgate.network": "front"}
        return Container(number, service, f"127.30.0.{number}", labels={**enable, **names})

    def start(self, number, *args, **kw):
        c = self.make(number, *args, **kw)
        self.daemon.start(c)
        return c


@pytest.fixture
def fleet(daemon, origin):
    return Fleet(daemon, origin)


def start(daemon, origin, more="", routes=FILE_ROUTE, **kw):
    gate = Gate(CONFIG, socket=daemon.path, port=origin.port, more=more, routes=routes, **kw)
    until(lambda: status(gate)["docker"]["lists"] >= 1 or status(gate)["docker"]["trouble"], "a list")
    return gate


def status(gate):
    return gate.admin("/v1/status").json


def routes(gate):
    return {r["name"]: r for r in status(gate)["docker"]["routes"]}


def state(gate, name):
    return routes(gate).get(name, {}).get("state")


def wait_state(gate, name, wanted):
    until(lambda: state(gate, name) == wanted, f"{name} {wanted}")


def who(gate, host="a.example", path="/"):
    """The number of the container that answered, or the status."""
    r = gate.request(path, host=host)
    return int(r.body.split(b".")[-1]) if r.status == 200 else r.status


def served_by(gate, host="a.example", path="/", times=20):
    return sorted({who(gate, host, path) for _ in range(times)})


def explain(gate, word):
    done = run("explain", word, "--socket", gate.socket_path)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ---- coming and going ----

def test_a_route_comes_with_its_containers(daemon, origin, fleet):
    """It is there soon after the first; replicas join it without another plan; other routes stay."""
    with start(daemon, origin) as gate:
        assert who(gate) == 404 and who(gate, "file.example") == 1
        generation = status(gate)["generation"]
        fleet.start(2)
        wait_state(gate, "docker:shop/web", "serves")
        assert who(gate) == 2 and status(gate)["generation"] == generation + 1
        fleet.start(3)
        until(lambda: served_by(gate) == [2, 3], "both")
        until(lambda: routes(gate)["docker:shop/web"]["containers"] == 2, "the second")
        assert status(gate)["generation"] == generation + 1
        route = routes(gate)["docker:shop/web"]
        assert (route["hosts"], route["path"]) == ("a.example", "/")
        assert "route docker:shop/web: a.example /, by the labels of container shop-web-2" in gate.errors()
        assert gate.metric("wharfgate_requests_total", route="docker:shop/web") > 0
        [web] = [u for u in status(gate)["upstreams"] if u["name"] == "docker:shop/web"]
        assert [e["state"] for e in web["endpoints"]] == ["ready", "ready"]
        assert who(gate, "file.example") == 1


def test_those_that_are_there_at_the_start(daemon, origin, fleet):
    daemon.containers = [fleet.make(i, f"s{i}", f"h{i}.example") for i in range(2, 60)]
    with start(daemon, origin) as gate:
        wait_state(gate, "docker:shop/s59", "serves")
        assert status(gate)["generation"] == 2
        assert [who(gate, f"h{i}.example") for i in (2, 30, 59)] == [2, 30, 59]


def test_a_route_outlives_its_containers_for_a_while(daemon, origin, fleet):
    """503 with Retry-After, not 404; a new container takes it up; at last it goes."""
    with start(daemon, origin, ", keep_routes: 2s") as gate:
        old = fleet.start(2)
        wait_state(gate, "docker:shop/web", "serves")
        generation = status(gate)["generation"]
        daemon.die(old)
        daemon.remove(old)
        wait_state(gate, "docker:shop/web", "waits")
        new = fleet.make(3)
        waiting = gate.connect()
        waiting.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        until(lambda: status(gate)["upstreams"][-1]["queued"] == 1, "a request that waits")
        daemon.start(new)
        assert read_message(waiting).body == b"127.30.0.3"
        # Its end alone counts once the route has seen it, a moment after the upstream.
        wait_state(gate, "docker:shop/web", "serves")
        assert status(gate)["generation"] == generation
        begun = time.monotonic()
        daemon.die(new)
        until(lambda: state(gate, "docker:shop/web") is None, "its end")
        assert time.monotonic() - begun > 2
        assert status(gate)["generation"] == generation + 1 and who(gate) == 404
        assert "route docker:shop/web goes" in gate.errors()


def test_flapping_makes_no_plans(daemon, origin, fleet):
    with start(daemon, origin) as gate:
        c = fleet.start(2)
        wait_state(gate, "docker:shop/web", "serves")
        generation = status(gate)["generation"]
        for _ in range(10):
            daemon.die(c)
            until(lambda: state(gate, "docker:shop/web") == "waits", "its end")
            daemon.start(c)
            until(lambda: who(gate) == 2, "its return")
        assert status(gate)["generation"] == generation


def test_many_at_once_are_few_plans(daemon, origin, fleet):
    with start(daemon, origin) as gate:
        for i in range(2, 202):
            fleet.start(i % 250, f"s{i}", f"h{i}.example")
        until(lambda: len([r for r in routes(gate).values() if r["state"] == "serves"]) == 200, "all")
        assert status(gate)["generation"] < 12
        assert who(gate, "h200.example") == 200


def test_one_that_has_ended_or_was_never_started_makes_none(daemon, origin, fleet):
    a, b = fleet.make(2, "a"), fleet.make(3, "b", "b.example")
    a.state, b.state = "exited", "created"
    daemon.containers = [a, b]
    with start(daemon, origin) as gate:
        fleet.start(4, "c", "c.example")
        wait_state(gate, "docker:shop/c", "serves")
        assert list(routes(gate)) == ["docker:shop/c"] and who(gate) == 404


# ---- what labels say ----

def test_hosts_and_paths(daemon, origin, fleet):
    """As in `match` of the configuration; the most specific route serves, whoever made it."""
    with start(daemon, origin) as gate:
        fleet.start(2, host="B.example, a.example ,a.example")
        fleet.start(3, "api", "a.example", path="/api")
        fleet.start(4, "any", "*.example")
        fleet.start(5, "below", "file.example", path="/below/")
        fleet.start(6, "regex", "a.example", path="~ ^/r[0-9]+$")
        wait_state(gate, "docker:shop/regex", "serves")
        asked = [("a.example", "/"), ("b.example", "/x"), ("a.example", "/api/x"), ("a.example", "/apix"),
                 ("z.example", "/"), ("file.example", "/"), ("file.example", "/below/x"), ("a.example", "/r7")]
        assert [who(gate, *one) for one in asked] == [2, 2, 3, 2, 4, 1, 5, 6]
        assert routes(gate)["docker:shop/web"]["hosts"] == "a.example,b.example"


def test_policies_and_upstreams(daemon, origin, fleet):
    """Labels that are keys of the configuration; `defaults` hold."""
    with start(daemon, origin) as gate:
        fleet.start(2, rate_limit="slow", max_body="1KiB", balance="round_robin", health__path="/well",
                    health__interval="1s", compress="br,gzip")
        fleet.start(3, "plain", "plain.example")
        wait_state(gate, "docker:shop/plain", "serves")
        until(lambda: [e["check"] for u in status(gate)["upstreams"] for e in u["endpoints"]
                       if u["name"] == "docker:shop/web"][0], "a check")
        [web] = [u for u in status(gate)["upstreams"] if u["name"] == "docker:shop/web"]
        assert web["balance"] == "round_robin" and web["endpoints"][0]["check"]["ok"]
        assert gate.request("/", "POST", host="a.example", body=b"x" * 1500).status in (413, 429)
        until(lambda: gate.request("/", host="a.example").status == 429, "the limit")
        assert "br 2, gzip 1; from 1024 bytes" in explain(gate, "http://a.example/")
        assert gate.request("/", "POST", host="plain.example", body=b"x" * 2500).status == 413
        assert gate.request("/", "POST", host="plain.example", body=b"x" * 1500).status == 200


def test_without_compose(daemon, origin, fleet):
    """Grouped by host and path alone."""
    none = {"com.docker.compose.project": None}
    with start(daemon, origin) as gate:
        for i in (2, 3):
            c = fleet.make(i, path="/x")
            c.service, c.labels = None, {**c.labels, **none}
            c.id = f"{i}" * 64
            daemon.start(c)
        until(lambda: served_by(gate, path="/x") == [2, 3], "both")
        assert list(routes(gate)) == ["docker:a.example/x"]


HOSTILE = ["${HOME}", "a.example\nroutes: []", "\"}, {x: y", "*anchor", "&a b", "file:/etc/passwd", "!!str a",
           "a.example: {b}", "\u2028", "%s%n", "a.example#", "", ",", "[a.example]", "http://a.example/",
           "a" * 5000, ",".join(f"h{i}.example" for i in range(65)), "x" * 20000]


@pytest.mark.parametrize("label", ["host", "path", "rate_limit", "max_body", "balance", "health__path"])
def test_hostile_values_are_but_values(daemon, origin, fleet, label):
    """Each is refused, or a value; nothing else comes of it, and others serve."""
    made = [fleet.make(i, f"s{i}", f"h{i}.test" if label != "host" else value)
            for i, value in enumerate(HOSTILE, 2)]
    for c, value in zip(made, HOSTILE):
        c.labels["wharfgate." + label.replace("__", ".")] = value
    daemon.containers = [*made, fleet.make(99, "good", "good.example")]
    with start(daemon, origin) as gate:
        wait_state(gate, "docker:shop/good", "serves")
        assert who(gate, "good.example") == 99 and who(gate, "file.example") == 1
        assert [r["name"] for r in routes(gate).values() if r["state"] == "serves"] == ["docker:shop/good"]
        assert all("label wharfgate." + label.replace("__", ".") in r["reason"] or label == "host"
                   for r in routes(gate).values() if r["state"] == "refused")
        assert gate.reload().returncode == 0


# ---- conflicts and quarantine ----

def test_the_file_goes_first(daemon, origin, fleet):
    """Same host and path: the file's route stays, and the container is named."""
    with start(daemon, origin) as gate:
        fleet.start(2, host="file.example,other.example")
        wait_state(gate, "docker:shop/web", "refused")
        assert who(gate, "file.example") == 1 and who(gate, "other.example") == 404
        why = routes(gate)["docker:shop/web"]["reason"]
        assert f"the route in {gate.path}:7 does, for the host `file.example`" in why
        assert f"container shop-web-2 is in quarantine: its route is refused: {why}" in gate.errors()
        assert f"route docker:shop/web is refused: {why}\n" in run("status", "--socket", gate.socket_path).stdout
        assert "docker:shop/web of container shop-web-2 is refused" in explain(gate, "http://other.example/")
        assert f"docker:shop/web, file.example,other.example /: refused: {why}" in explain(gate, "shop-web-2")
        # Without the file's route it is taken.
        assert gate.reload(CONFIG, routes="").returncode == 0
        assert state(gate, "docker:shop/web") == "serves" and who(gate, "file.example") == 2
        assert gate.reload(CONFIG).returncode == 0
        assert state(gate, "docker:shop/web") == "refused" and who(gate, "file.example") == 1


def test_the_older_of_two_goes_first(daemon, origin, fleet):
    """By the age of the oldest container; a replacement of it changes nothing; the other takes over once the
    winner is gone for good."""
    young, old = fleet.make(9, "blog"), fleet.make(3, "web")
    daemon.containers = [young, old]
    with start(daemon, origin, ", keep_routes: 2s") as gate:
        wait_state(gate, "docker:shop/web", "serves")
        assert state(gate, "docker:shop/blog") == "refused" and served_by(gate) == [3]
        why = routes(gate)["docker:shop/blog"]["reason"]
        assert why == "this route matches just what the route in the labels of docker:shop/web does, for the host `a.example`"
        assert gate.errors().count("container shop-blog-9 is in quarantine") == 1
        new = fleet.start(20, "web")
        daemon.die(old)
        until(lambda: served_by(gate) == [20], "the replacement")
        assert state(gate, "docker:shop/blog") == "refused"
        daemon.die(new)
        until(lambda: state(gate, "docker:shop/blog") == "serves", "the other")
        assert served_by(gate) == [9]


def test_containers_of_one_group_that_disagree(daemon, origin, fleet):
    """The oldest one's labels count; both are named, with both values; what is one's own may differ."""
    with start(daemon, origin) as gate:
        fleet.start(2, max_body="1KiB", weight="3")
        wait_state(gate, "docker:shop/web", "serves")
        generation = status(gate)["generation"]
        fleet.start(3, max_body="2KiB", weight="5", backup="true")
        until(lambda: routes(gate)["docker:shop/web"]["warning"], "a warning")
        assert routes(gate)["docker:shop/web"]["warning"] == (
            'its containers disagree in wharfgate.max_body (shop-web-2: "1KiB", shop-web-3: "2KiB"): that of '
            "shop-web-2, the oldest, counts")
        assert status(gate)["generation"] == generation
        assert "the oldest, counts" in explain(gate, "shop-web-3")
        assert gate.errors().count("disagree") == 1
        assert gate.request("/", "POST", host="a.example", body=b"x" * 1500).status == 413
        daemon.die(daemon.containers[-1])
        until(lambda: gate.request("/", "POST", host="a.example", body=b"x" * 1500).status == 200, "the other's")
        assert routes(gate)["docker:shop/web"]["warning"] is None


def test_an_unknown_rate_limit_is_quarantine_of_one(daemon, origin, fleet):
    """The replica with a good label serves; all else as well; a reload that has the limit mends it."""
    with start(daemon, origin) as gate:
        fleet.start(2, rate_limit="slwo")
        wait_state(gate, "docker:shop/web", "refused")
        why = "label wharfgate.rate_limit: `rate_limit`: there is no rate limit `slwo` (did you mean `slow`?)"
        assert routes(gate)["docker:shop/web"]["reason"] == why and who(gate) == 404
        fleet.start(3)
        until(lambda: who(gate) == 3, "the other one")
        assert served_by(gate) == [3]
        [web] = [u for u in status(gate)["upstreams"] if u["name"] == "docker:shop/web"]
        assert {e["address"].split(" ")[-1]: e["state"] for e in web["endpoints"]} == {
            "shop-web-3": "ready", "shop-web-2": "quarantined"}
        assert f"refused: {why}" in explain(gate, "shop-web-2") and "quarantined" in explain(gate, "shop-web-2")
        assert "slwo" not in explain(gate, "shop-web-3")
        # An error of the file is one of the file; nothing changes.
        bad = gate.reload(CONFIG.replace("slow", "quick") + "nonsense: 1\n")
        assert bad.returncode != 0 and "slwo" not in bad.stdout + bad.stderr and served_by(gate) == [3]
        assert gate.reload(CONFIG.replace("slow", "slwo")).returncode == 0
        until(lambda: served_by(gate, times=5) in ([2, 429], [3, 429], [2, 3, 429], [429]), "the limit")
        assert state(gate, "docker:shop/web") == "serves"


def test_near_misses(daemon, origin, fleet):
    """No enable, a misspelt label: told once, by the log and by explain."""
    with start(daemon, origin) as gate:
        fleet.start(2, enable=None)
        c = fleet.make(3, "typo")
        c.labels["wharfgate.hots"] = c.labels.pop("wharfgate.host")
        daemon.start(c)
        fleet.start(4, "yes", enable="yes")
        until(lambda: "shop-yes-4 makes no route" in gate.errors(), "a word")
        assert routes(gate) == {}
        missing = "wharfgate.enable=true is missing beside wharfgate.host"
        assert f"container shop-web-2 makes no route: {missing}" in gate.errors()
        assert "no route  " + missing in explain(gate, "shop-web-2")
        assert "container shop-typo-3: there is no label wharfgate.hots; did you mean wharfgate.host?" in gate.errors()
        assert "wharfgate.hots: did you mean wharfgate.host?" in explain(gate, "shop-typo-3")
        assert "label wharfgate.enable: expected true or false" in explain(gate, "shop-yes-4")
        fleet.start(5, "good", "good.example")
        wait_state(gate, "docker:shop/good", "serves")
        assert gate.errors().count(missing) == 1


# ---- explain ----

def test_explain(daemon, origin, fleet):
    with start(daemon, origin) as gate:
        fleet.start(2, path="/api")
        wait_state(gate, "docker:shop/web", "serves")
        told = explain(gate, "http://a.example/api/x")
        assert "route     docker:shop/web: host a.example, path /api" in told
        assert "the labels of docker:shop/web\n" in told and "goes to   127.30.0.2" in told
        told = explain(gate, "shop-web-2")
        assert "route     docker:shop/web, a.example /api: serves\n" in told
        assert "upstream  docker:shop/web: ready, at 127.30.0.2" in told
        assert json.loads(run("explain", "shop-web-2", "--json", "--socket", gate.socket_path).stdout)["route"] == {
            "name": "docker:shop/web", "hosts": "a.example", "path": "/api", "state": "serves", "reason": None,
            "warning": None}


# ---- reloads, starts ----

def test_reloads(daemon, origin, fleet):
    """Routes of labels stay with the file's; they go when discovery.docker does; a bad file changes nothing."""
    with start(daemon, origin) as gate:
        fleet.start(2)
        wait_state(gate, "docker:shop/web", "serves")
        assert gate.reload(CONFIG.replace("2KiB", "3KiB")).returncode == 0
        assert who(gate) == 2 and gate.request("/", "POST", host="a.example", body=b"x" * 2500).status == 200
        before = status(gate)["generation"]
        assert gate.reload(CONFIG + "nonsense: 1\n").returncode != 0
        assert status(gate)["generation"] == before and who(gate) == 2
        without = "".join(line for line in CONFIG.splitlines(True) if "docker" not in line)
        assert gate.reload(without).returncode == 0
        assert who(gate) == 404 and routes(gate) == {} and who(gate, "file.example") == 1
        assert "is in quarantine" not in gate.errors()
        fleet.start(3, "more", "more.example")
        assert gate.reload(CONFIG).returncode == 0
        assert who(gate) == 2
        wait_state(gate, "docker:shop/more", "serves")


def echo_after_upgrade(peer, origin):
    key = read_message(peer).get("sec-websocket-key").encode()
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
    peer.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
              f"Sec-WebSocket-Accept: {accept}\r\n\r\n")
    while data := peer.recv():
        peer.send(data)


def test_connections_survive_other_routes(daemon, origin, fleet):
    """Kept-alive ones, and tunnels, though the plan that they began with is old; it goes with the last of them."""
    with Origin(echo_after_upgrade, host="0.0.0.0") as echo, start(daemon, origin) as gate, gate.connect() as peer:
        fleet.start(2)
        fleet.start(99, "ws", "ws.example", port=str(echo.port))
        wait_state(gate, "docker:shop/ws", "serves")
        with gate.connect() as tunnel:
            tunnel.send("GET / HTTP/1.1\r\nHost: ws.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
                        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
            assert b" 101 " in tunnel.read_until(b"\r\n\r\n")
            for i in range(3, 6):
                peer.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
                assert read_message(peer).body == b"127.30.0.2"
                tunnel.send(b"still there?")
                assert tunnel.read_exactly(12) == b"still there?"
                fleet.start(i, f"s{i}", f"h{i}.example")
                wait_state(gate, f"docker:shop/s{i}", "serves")
            assert status(gate)["plans_alive"] == 2
        until(lambda: status(gate)["plans_alive"] == 1, "old plans' end")


def test_a_start_by_the_snapshot(daemon, origin, fleet, tmp_path):
    """The daemon is away: routes and endpoints are those of the snapshot. It answers late: requests wait."""
    more = f', snapshot: "{tmp_path}/containers"'
    with start(daemon, origin, more) as gate:
        fleet.start(2)
        wait_state(gate, "docker:shop/web", "serves")
        until(lambda: b"127.30.0.2" in (tmp_path / "containers").read_bytes(), "the snapshot")
    daemon.close()
    with start(daemon, origin, more) as gate:
        until(lambda: who(gate) == 2, "the route")
        daemon.open()
        until(lambda: status(gate)["docker"]["connected"] and not status(gate)["docker"]["snapshot"], "the daemon")
        assert who(gate) == 2 and status(gate)["generation"] == 1
    daemon.is_hung = True
    gate = Gate(CONFIG, socket=daemon.path, port=origin.port, more=more, routes=FILE_ROUTE)
    with gate, gate.connect() as peer:
        peer.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n")
        until(lambda: [u["queued"] for u in status(gate)["upstreams"] if u["name"] == "docker:shop/web"] == [1],
              "a request that waits")
        daemon.is_hung = False
        daemon.end_streams()
        assert read_message(peer).body == b"127.30.0.2"
