# SPDX-License-Identifier: Apache-2.0
"""Active health checks: which replicas get requests, and what the status says of them."""
import os
import threading
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402
import pytest  # noqa: E402

from certs import Authority, server  # noqa: E402
from harness import Gate, Load, Nobody, Origin, reply, until  # noqa: E402

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    upstreams:
      app: { servers: {servers}, balance: round_robin, health_check: {check}, {more} }
    routes: [ { upstream: app } ]
"""
QUICK = "interval: 100ms, fast_interval: 100ms, timeout: 5s"


class Replica(Origin):
    """Answers `/health` as `health` says (bytes, or None: not at all), and everything else
    with 200, or 500 while it `is_broken`."""

    def __init__(self, name="replica", health=reply(200, "fine"), **kw):
        self.health, self.is_broken = health, False
        self.checks, self.asked = [], 0
        self.gate = threading.Event()
        super().__init__(Replica.answer, name=name, **kw)

    @staticmethod
    def answer(peer, self):
        while True:
            request = self.read(peer)
            if not request.target.startswith("/health"):
                self.asked += 1
                peer.send(reply(500 if self.is_broken else 200, self.name))
                continue
            self.checks.append(request)
            if self.health is None:
                self.gate.wait(60)
                return
            peer.send(self.health)


def gate_for(*replicas, check="{ path: /health }", more="retries: 2", **kw):
    servers = "[" + ", ".join(f'"{r.address}"' for r in replicas) + "]"
    return Gate(CONFIG, servers=servers, check=check, more=more, **kw)


def endpoints(gate, upstream="app"):
    """What the status says, by address."""
    for u in gate.admin("/v1/status").json["upstreams"]:
        if u["name"] == upstream:
            return {e["address"]: e for e in u["endpoints"]}
    return {}


def state_is(gate, replica, state, output=None):
    """Waits for a state, and for what the last check saw; returns what the status says."""
    def look():
        e = endpoints(gate).get(replica.address)
        if e and e["state"] == state and (not output or (e["check"] or {}).get("output") == output):
            return e
    try:
        return until(look, f"{state} {output or ''}")
    except AssertionError as e:
        raise AssertionError(f"{e}: {endpoints(gate)}") from None


# ---- what is good ----

@pytest.mark.parametrize("check, health, state, output", [
    ("path: /health", reply(200), "ready", "200 OK"),
    ("path: /health", reply(302), "ready", "302 Found"),
    ("path: /health", reply(404), "unchecked", "404 Not Found"),
    ("path: /health", reply(503), "unchecked", "503 Service Unavailable"),
    ("path: /health, status: [ 503 ]", reply(503), "ready", "503 Service Unavailable"),
    ("path: /health, status: [ 503 ]", reply(200), "unchecked", "200 OK"),
    ("path: /health, body: 'status.*ok'", reply(200, '{"status": "ok"}'), "ready", "200 OK"),
    ("path: /health, body: 'status.*ok'", reply(200, '{"status": "no"}'), "unchecked",
     "the body does not match"),
    ("path: /health", b"SMTP\r\n\r\n", "unchecked", "malformed answer: bad_status_line"),
    ("path: /health, timeout: 100ms", None, "unchecked", "no answer within 100ms"),
], ids=lambda v: v if isinstance(v, str) else None)
def test_status_and_body_decide(check, health, state, output):
    with Replica(health=health) as r, gate_for(r, check=f"{{ {check} }}", more="wait_for_endpoint: off") as gate:
        seen = state_is(gate, r, state, output)
        assert seen["check"]["ok"] == (state == "ready")
        assert seen["check"]["total"] >= 1
        assert gate.request().status == (200 if state == "ready" else 503)
        if state != "ready":
            assert seen["reason"] == f"no good check yet: {output}"


def test_a_check_asks_as_the_configuration_says():
    check = '{ path: "/health?deep=1", method: HEAD, host: probe.internal, headers: { X-Key: "1 2" } }'
    with Replica(health=b"HTTP/1.1 200 X\r\nContent-Length: 5\r\n\r\n") as r, gate_for(r, check=check) as gate:
        state_is(gate, r, "ready")
        asked = r.checks[0]
        assert asked.start == "HEAD /health?deep=1 HTTP/1.1"
        assert asked.fields == [("Host", "probe.internal"), ("User-Agent", "wharfgate-health-check"),
                                ("X-Key", "1 2"), ("Connection", "close")]


def test_nobody_listens():
    with Nobody() as n, gate_for(n, more="wait_for_endpoint: off") as gate:
        state_is(gate, n, "unchecked", "connect_refused")
        r = gate.request()
        assert r.status == 503 and "retry-after" in r.headers


# ---- the way that requests go ----

def test_over_a_unix_socket(tmp_path):
    with Replica(unix=str(tmp_path / "s")) as r, gate_for(r) as gate:
        state_is(gate, r, "ready", "200 OK")
        assert r.checks[0].get("host") == "localhost"
        assert gate.request().status == 200


@pytest.mark.parametrize("check", ["{ path: /health }", "{ type: tls }"])
def test_over_tls(tmp_path, check):
    """A replica whose certificate requests would not believe is not healthy either."""
    pki = Authority(tmp_path)
    good, other = server(pki.issue("good", "127.0.0.1")), server(pki.issue("other", "elsewhere.internal"))
    with Replica("a", tls=good) as a, Replica("b", tls=other) as b, \
            gate_for(a, b, check=check, more=f"tls: {{ ca: '{pki.cert}' }}") as gate:
        assert "TLSv1" in state_is(gate, a, "ready")["check"]["output"] or "path" in check
        assert "mismatch" in until(lambda: endpoints(gate)[b.address]["check"], "a check")["output"]
        for _ in range(4):
            assert gate.request().body == b"a"
        assert b.requests == []


def test_by_connecting_alone():
    with Replica() as r, Nobody() as n, gate_for(r, n, check="{ type: tcp }") as gate:
        state_is(gate, r, "ready", "connected")
        state_is(gate, n, "unchecked", "connect_refused")
        assert r.checks == []


def test_behind_a_proxy_header():
    """The gate speaks for itself: UNKNOWN."""
    lines = []

    def serve(peer, origin):
        lines.append(peer.read_until(b"\r\n"))
        Origin.echo(peer, origin)

    with Origin(serve) as o, gate_for(o, more="proxy_protocol: v1") as gate:
        state_is(gate, o, "ready", "200 OK")
        assert lines[0] == b"PROXY UNKNOWN\r\n"


# ---- gRPC ----

class Health(grpc.GenericRpcHandler):
    """grpc.health.v1.Health/Check by hand."""

    def __init__(self):
        self.status, self.asked = 1, []
        self.is_known = True
        self.server = grpc.server(ThreadPoolExecutor(4))
        self.server.add_generic_rpc_handlers([self])
        self.address = f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def service(self, details):
        if details.method != "/grpc.health.v1.Health/Check" or not self.is_known:
            return None
        return grpc.unary_unary_rpc_method_handler(self.check)

    def check(self, message, context):
        self.asked.append(message)
        if self.status is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such service\r\n\x1b[31m")
        return b"\x08" + bytes([self.status])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.stop(None).wait()


def test_by_grpc():
    check = f"{{ type: grpc, service: shop.Orders, rise: 1, fall: 1, {QUICK} }}"
    with Health() as h, gate_for(h, check=check, more="protocol: h2") as gate:
        state_is(gate, h, "ready", "SERVING")
        assert h.asked[0] == b"\x0a\x0bshop.Orders"
        h.status = 2
        state_is(gate, h, "unhealthy", "NOT_SERVING")
        h.status = 1
        state_is(gate, h, "ready", "SERVING")
        h.status = None
        state_is(gate, h, "unhealthy", "grpc-status 5: NOT_FOUND")
        h.is_known = False
        state_is(gate, h, "unhealthy", "grpc-status 12: UNIMPLEMENTED")


# ---- bad and good again ----

def test_a_replica_turns_bad_and_good_while_requests_run():
    """No request fails, though the bad one answers 500 as soon as it is known to be bad."""
    check = f"{{ path: /health, rise: 2, fall: 2, {QUICK} }}"
    with Replica("a") as a, Replica("b") as b, gate_for(a, b, check=check, workers=2) as gate, \
            Load(gate, 4) as load:
        for _ in range(3):
            state_is(gate, a, "ready")
            before = a.asked
            until(lambda: a.asked > before, "requests at a")
            a.health = reply(503)
            seen = state_is(gate, a, "unhealthy", "503 Service Unavailable")
            assert seen["reason"] == "checks fail: 503 Service Unavailable"
            load.progress(20)  # what was chosen before has been answered
            a.is_broken, before = True, a.asked
            load.progress(50)
            assert a.asked == before
            a.is_broken, a.health = False, reply(200)
        state_is(gate, a, "ready")
        assert "is unhealthy: checks fail: 503 Service Unavailable" in gate.errors()
        until(lambda: gate.errors().count(f"{a.address} is ready") == 4, "it in the log")
        assert gate.metric("wharfgate_endpoint_checks_failed_total", endpoint=a.address) >= 6


def test_a_request_waits_for_the_first_good_check():
    with Replica(health=reply(503)) as r, \
            gate_for(r, check=f"{{ path: /health, {QUICK} }}") as gate, gate.connect() as c:
        state_is(gate, r, "unchecked", "503 Service Unavailable")
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: gate.admin("/v1/status").json["upstreams"][0]["queued"] == 1, "it in the queue")
        r.health = reply(200)
        assert b" 200 " in c.read_until(b"\r\n")


# ---- reloads ----

def test_a_new_replica_gets_nothing_before_its_first_good_check():
    with Replica("a") as a, Replica("b", health=None) as b, gate_for(a) as gate:
        state_is(gate, a, "ready")
        assert gate.reload(CONFIG, servers=f'["{a.address}", "{b.address}"]').returncode == 0
        until(lambda: b.checks, "a check of b")
        assert endpoints(gate)[b.address]["state"] == "unchecked"
        for _ in range(10):
            assert gate.request().body == b"a"
        b.health = reply(200)
        b.gate.set()
        state_is(gate, b, "ready")
        until(lambda: gate.request().body == b"b", "an answer of b")


def test_serve_unchecked_lets_it_have_requests_at_once():
    check = "{ path: /health, serve_unchecked: true, fall: 1, timeout: 20s }"
    with Replica(health=None) as r, gate_for(r, check=check, more="wait_for_endpoint: off") as gate:
        assert endpoints(gate)[r.address]["state"] == "ready"
        assert gate.request().status == 200
        r.health = reply(503)
        r.gate.set()  # the connection ends without an answer
        state_is(gate, r, "unhealthy")
        assert gate.request().status == 503


def test_verdicts_outlive_a_reload_that_changes_the_upstream():
    """The bad one stays out and the good one in, though no check of the new upstream ends."""
    check = f"{{ path: /health, fall: 1, {QUICK} }}"
    with Replica("a") as a, Replica("b") as b, gate_for(a, b, check=check) as gate:
        state_is(gate, a, "ready")
        state_is(gate, b, "ready")
        b.health = reply(503)
        state_is(gate, b, "unhealthy")
        a.health = b.health = None
        before = b.asked
        assert gate.reload(CONFIG, more="retries: 1").returncode == 0
        assert endpoints(gate)[a.address]["state"] == "ready"
        assert endpoints(gate)[b.address]["state"] == "unhealthy"
        for _ in range(6):
            assert gate.request().body == b"a"
        assert b.asked == before
        a.gate.set()
        b.gate.set()


def test_checks_go_on_where_nothing_changed_and_end_with_the_upstream():
    check = f"{{ path: /health, {QUICK} }}"
    other = """
        listeners: { http: { address: "127.0.0.1:0" } }
        routes: [ { respond: { body: "{body}" } } ]
        """
    with Replica() as r, gate_for(r, check=check) as gate:
        state_is(gate, r, "ready")
        total = endpoints(gate)[r.address]["check"]["total"]
        same = CONFIG + "    timeouts: { keep_alive: 70s }\n"
        assert gate.reload(same).returncode == 0
        until(lambda: endpoints(gate)[r.address]["check"]["total"] > total + 2, "checks")
        assert gate.reload(other, body="x").returncode == 0
        until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plan's end")
        until(lambda: all(p.sock.fileno() == -1 for p in r.peers), "the last check's end")
        count = len(r.checks)
        assert gate.reload(other, body="y").returncode == 0
        assert len(r.checks) == count
        assert gate.reload(CONFIG).returncode == 0
        state_is(gate, r, "ready")


@pytest.mark.parametrize("check", ["{ path: /health }", "{ type: tls }"])
def test_it_stops_while_checks_run(cert, check):
    """No leak, no delay."""
    with Replica(health=None) as r, \
            gate_for(r, check=check, more="tls: { verify: false }" if "tls" in check else "retries: 1") as gate:
        until(lambda: r.connections == 1, "a check")
        assert gate.stop() == 0
        r.gate.set()
