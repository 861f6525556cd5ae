# SPDX-License-Identifier: Apache-2.0
"""Prometheus text: strictly well-formed, every family there, true numbers."""
import math
import re
import socket
import threading
import time

import pytest

from harness import Gate, Load, Origin, Peer, insecure, read_message, reply, until

LINE = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)")
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')


def parse_labels(text):
    labels, at = {}, 0
    while at < len(text):
        m = LABEL.match(text, at)
        assert m and m[1] not in labels, text
        labels[m[1]] = re.sub(r"\\(.)", lambda e: "\n" if e[1] == "n" else e[1], m[2])
        at = m.end()
        assert m[3] or at == len(text)
    return labels


def parse(text):
    """The exposition format 0.0.4, strictly: {family: (type, help, {(name, labels): value})}."""
    assert text.endswith("\n") and "\r" not in text
    families, current = {}, None
    lines = text.split("\n")[:-1]
    for i, line in enumerate(lines):
        if line.startswith("# HELP "):
            name, help_text = line[7:].split(" ", 1)
            assert name not in families and help_text, line
            kind = lines[i + 1].removeprefix(f"# TYPE {name} ")
            assert kind in ("counter", "gauge", "histogram"), lines[i + 1]
            current = families[name] = (kind, help_text, {})
            current_name = name
            continue
        if line.startswith("# TYPE "):
            assert lines[i - 1].startswith("# HELP " + line.split()[2] + " ")
            continue
        m = LINE.fullmatch(line)
        assert m, line
        name, labels, value = m[1], parse_labels(m[2] or ""), float(m[3])
        kind, _, samples = current
        allowed = {current_name + s for s in ("_bucket", "_sum", "_count")} \
            if kind == "histogram" else {current_name}
        assert name in allowed, f"{line} stands under {current_name}"
        key = (name, tuple(sorted(labels.items())))
        assert key not in samples, f"twice: {line}"
        assert kind == "gauge" or value >= 0
        samples[key] = value
    for name, (kind, _, samples) in families.items():
        assert kind != "counter" or name.endswith("_total"), name
        if kind == "histogram":
            check_histogram(name, samples)
    return families


def check_histogram(name, samples):
    series = {}
    for (sample, labels), value in samples.items():
        labels = dict(labels)
        bound = labels.pop("le", None)
        one = series.setdefault(tuple(sorted(labels.items())), {"buckets": []})
        if sample == name + "_bucket":
            one["buckets"].append((float(bound), value))
        else:
            one[sample[len(name):]] = value
    for labels, one in series.items():
        bounds, counts = zip(*one["buckets"])
        assert list(bounds) == sorted(set(bounds)) and bounds[-1] == math.inf, (name, labels)
        assert list(counts) == sorted(counts), (name, labels)
        assert counts[-1] == one["_count"]


def scrape(gate):
    answer = gate.admin("/metrics")
    assert answer.status == 200
    assert answer.get("content-type").startswith("text/plain; version=0.0.4")
    return parse(answer.body.decode())


def value(families, name, **labels):
    """The one sample."""
    family = re.sub("_(bucket|sum|count)$", "", name) if name not in families else name
    found = [v for (n, l), v in families[family][2].items()
             if n == name and all(dict(l).get(k) == want for k, want in labels.items())]
    assert len(found) == 1, (name, labels, found)
    return found[0]


@pytest.fixture
def busy(cert):
    """A gate with something of everything, and what was done to it."""
    def serve(peer, o):
        while True:
            request = o.read(peer)
            if request.target == "/slow":
                o.slow.set()
                o.release.wait(30)
            peer.send(reply(404 if request.target == "/missing" else 200, "x" * 100))
    with Origin(serve) as o, Origin() as dead:
        o.slow, o.release = threading.Event(), threading.Event()
        dead.close()
        with Gate("""
            listeners:
              http: { address: "127.0.0.1:0" }
              https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
            upstreams:
              app: { servers: ["{origin}"] }
              dead: { servers: ["{dead}"], retries: 0 }
            rate_limits: { few: { rate: 1/h, burst: 1 } }
            routes:
              - { name: app, match: { host: a }, upstream: app }
              - { name: dead, match: { host: a, path: /dead }, upstream: dead }
              - { name: limited, match: { host: a, path: /limited }, rate_limit: few, respond: { body: ok } }
              - { name: 'odd "name\\', match: { host: a, path: /odd }, respond: { body: "123" } }
            """, workers=2, origin=o.address, dead=dead.address, cert=cert[0], key=cert[1]) as gate:
            yield gate, o
            o.release.set()


def test_every_family_with_true_numbers(busy, cert):
    gate, origin = busy
    with gate.connect() as c:
        for _ in range(10):
            c.send("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\n" + "b" * 50)
            assert read_message(c).status == 200
        for path, status in (("missing", 404), ("dead", 502), ("limited", 200), ("limited", 200),
                             ("limited", 429), ("odd", 200)):
            c.send(f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == status
        c.send("GET / HTTP/1.1\r\nHost: nobody\r\n\r\n")
        assert read_message(c).status == 404
        # This one rests when its worker's turn is over, which the answer does not wait for.
        until(lambda: value(scrape(gate), "wharfgate_connections_idle") == 1, "a connection at rest")
        m = scrape(gate)
        # This connection and the scrape's own.
        assert value(m, "wharfgate_connections_active") == 2
    context = insecure()
    with gate.connect("https", tls=context) as c:
        c.send("GET /odd HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_message(c).status == 404
        session = c.sock.session
        assert session
    with socket.create_connection(gate.address("https")) as plain, \
            context.wrap_socket(plain, session=session) as again:
        assert again.session_reused
    with gate.connect("https") as c:
        c.send("no TLS at all\r\n\r\n")
        until(lambda: gate.metric("wharfgate_tls_handshakes_total", result="failed") == 1,
              "the failed handshake")
    with gate.connect() as c:
        c.send("bad request\r\n\r\n")
        assert read_message(c).status == 400
    assert gate.reload().returncode == 0

    slow = gate.connect()
    slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    assert origin.slow.wait(10)
    m = scrape(gate)
    exact = dict((
        ("wharfgate_requests_active", 2),  # the slow one and the scrape
        ("wharfgate_requests_unrouted_total", 2),
        ("wharfgate_upstream_connections_failed_total", 1),
        ("wharfgate_upstream_connections_idle", origin.connections - 1),
        ("wharfgate_upstream_connections_active", origin.connections),
        ("wharfgate_upstream_retries_total", 0),
        ("wharfgate_plans_alive", 1),
        ("wharfgate_config_generation", 2),
        ("wharfgate_worker_crashes_total", 0),
        ("wharfgate_log_lines_dropped_total", 0),
        ("wharfgate_connections_shed_total", 0),
        ("wharfgate_accept_failures_total", 0),
        ("wharfgate_regex_limits_total", 0)))
    assert {name: value(m, name) for name in exact} == exact
    assert value(m, "wharfgate_requests_total", route="app", code="2xx") == 10
    assert value(m, "wharfgate_requests_total", route="app", code="4xx") == 1
    assert value(m, "wharfgate_requests_total", route="dead", code="5xx") == 1
    assert value(m, "wharfgate_requests_total", route="limited", code="4xx") == 1
    assert value(m, "wharfgate_requests_total", route='odd "name\\', code="2xx") == 1
    assert value(m, "wharfgate_request_body_bytes_total", route="app") == 500
    assert value(m, "wharfgate_response_body_bytes_total", route="app") == 1100
    assert value(m, "wharfgate_request_duration_seconds_count", route="app") == 11
    assert 0 < value(m, "wharfgate_request_duration_seconds_sum", route="app") < 10
    assert value(m, "wharfgate_upstream_requests_total", upstream="app", code="2xx") == 10
    assert value(m, "wharfgate_upstream_requests_total", upstream="app", code="4xx") == 1
    assert value(m, "wharfgate_upstream_requests_total", upstream="dead", code="none") == 1
    assert value(m, "wharfgate_upstream_duration_seconds_count", upstream="app") == 11
    assert value(m, "wharfgate_upstream_first_byte_seconds_count", upstream="app") == 11
    assert value(m, "wharfgate_upstream_request_body_bytes_total", upstream="app") == 500
    assert value(m, "wharfgate_upstream_response_body_bytes_total", upstream="app") == 1100
    assert value(m, "wharfgate_upstream_connections_opened_total") == origin.connections + 1
    assert value(m, "wharfgate_upstream_connections_reused_total") == 12 - origin.connections
    assert value(m, "wharfgate_tls_handshakes_total", result="full") == 1
    assert value(m, "wharfgate_tls_handshakes_total", result="resumed") == 1
    assert value(m, "wharfgate_requests_invalid_total", reason="syntax") == 1
    assert value(m, "wharfgate_reloads_total", result="ok") == 1
    assert value(m, "wharfgate_reloads_total", result="failed") == 0
    assert value(m, "wharfgate_rate_limit_requests_total", limit="few", result="admitted") == 2
    assert value(m, "wharfgate_rate_limit_requests_total", limit="few", result="refused") == 1
    assert value(m, "wharfgate_access_log_lines_total", result="written") >= 18
    assert value(m, "wharfgate_received_bytes_total") > 500
    assert value(m, "wharfgate_sent_bytes_total") > 1100
    assert value(m, "wharfgate_upstream_sent_bytes_total") > 500
    assert value(m, "wharfgate_upstream_received_bytes_total") > 1100
    assert value(m, "wharfgate_build_info") == 1
    assert abs(time.time() - value(m, "wharfgate_start_timestamp_seconds")) < 300
    assert abs(time.time() - value(m, "wharfgate_reload_last_timestamp_seconds")) < 300
    ends = value(m, "wharfgate_certificate_expiry_timestamp_seconds", file=str(cert[0]))
    assert 80 * 86400 < ends - time.time() < 91 * 86400
    origin.release.set()
    assert read_message(slow).status == 200
    slow.close()
    until(lambda: gate.metric("wharfgate_requests_active") == 1, "the slow request's end")
    m = scrape(gate)
    assert value(m, "wharfgate_request_duration_seconds_count", route="app") == 12
    assert value(m, "wharfgate_upstream_connections_idle") == origin.connections


def test_latency_lands_in_its_bucket():
    """A replica that takes 100 ms: below that none, above what the client saw one."""
    def serve(peer, o):
        o.read(peer)
        threading.Event().wait(0.1)
        peer.send(reply(200, "ok"))
    with Origin(serve) as o, Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { name: all, upstream: app } ]
        """, origin=o.address) as gate:
        began = time.monotonic()
        gate.request()
        took = time.monotonic() - began
        m = scrape(gate)
        for name, labels in (("wharfgate_request_duration_seconds", {"route": "all"}),
                             ("wharfgate_upstream_duration_seconds", {"upstream": "app"}),
                             ("wharfgate_upstream_first_byte_seconds", {"upstream": "app"})):
            for (sample, found), count in m[name][2].items():
                found = dict(found)
                if not sample.endswith("_bucket") or labels.items() - found.items():
                    continue
                if float(found["le"]) < 0.1:
                    assert count == 0, (name, found)
                if float(found["le"]) >= took:
                    assert count == 1, (name, found)
            assert 0.1 <= value(m, name + "_sum", **labels) <= took


def test_bytes_are_counted_while_connections_live():
    """After each request, not at the connection's end."""
    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(200, "x" * 10000))
    with Origin(serve) as o, Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { upstream: app } ]
        """, origin=o.address) as gate, gate.connect() as c:
        for _ in range(3):
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + "y" * 5000)
            assert read_message(c).status == 200
        m = scrape(gate)
        assert value(m, "wharfgate_upstream_connections_idle") == 1
        assert 30000 < value(m, "wharfgate_upstream_received_bytes_total") < 32000
        assert 15000 < value(m, "wharfgate_upstream_sent_bytes_total") < 17000
        assert 15000 < value(m, "wharfgate_received_bytes_total") < 17000
        # The last answer may be on its way while the next request is awaited.
        assert 20000 < value(m, "wharfgate_sent_bytes_total") < 62000


def test_labels_come_from_the_configuration_alone(origin):
    """A thousand hosts, paths, methods and agents make no series."""
    with Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { name: all, upstream: app } ]
        """, origin=origin.address) as gate:
        def series():
            return {key for _, _, samples in scrape(gate).values() for key in samples}
        with gate.connect() as c:
            def ask(i):
                c.send(f"M{i} /path{i} HTTP/1.1\r\nHost: host{i}\r\nUser-Agent: agent{i}\r\n"
                       f"X-Request-Id: id{i}\r\n\r\n")
                read_message(c)
            ask(0)
            scrape(gate)  # counted under _other, as what no route takes
            before = series()
            for i in range(1, 300):
                ask(i)
            assert series() == before
        names = {(k, v) for _, labels in before for k, v in labels if k != "le"}
        assert {k for k, _ in names} <= {"route", "upstream", "endpoint", "listener", "code", "result", "reason",
                                      "version", "coding"}


def test_max_series():
    """Past the bound routes are counted together."""
    routes = "\n".join(f'  - {{ name: r{i}, match: {{ path: "= /{i}" }}, respond: {{ body: x }} }}'
                       for i in range(20))
    with Gate('listeners: { http: { address: "127.0.0.1:0" } }\nmetrics: { max_series: 5 }\n'
              f"routes:\n{routes}\n") as gate:
        for i in range(20):
            assert gate.request(f"/{i}").status == 200
        samples = scrape(gate)["wharfgate_requests_total"][2]
        routes = {dict(labels)["route"] for _, labels in samples}
        assert "_other" in routes and len(routes) <= 7
        assert sum(samples.values()) >= 20


ENDPOINTS = """
    listeners: { http: { address: "127.0.0.1:0" } }
    metrics: { max_series: {max} }
    upstreams:
      app: { servers: [ { address: "{origin}", weight: 3 }, { address: "127.0.0.1:9", backup: true } ] }
      dead: { servers: [ "127.0.0.1:1" ], balance: least_requests }
    routes: [ { match: { path: /dead }, upstream: dead }, { upstream: app } ]
    """


def test_endpoints_tell_which_replica_is_bad():
    """Status and metrics agree: what was asked of each, what runs, what failed in a row."""
    seen, release = threading.Event(), threading.Event()

    def serve(peer, _):
        while True:
            if "/slow" in read_message(peer).start:
                seen.set()
                assert release.wait(10)
            peer.send(reply(200, "x"))
    with Origin(serve) as origin, Gate(ENDPOINTS, origin=origin.address, max=1000) as gate:
        for path, status in (("/", 200), ("/", 200), ("/dead", 502), ("/dead", 502), ("/dead", 502)):
            assert gate.request(path).status == status
        with gate.connect() as slow:
            slow.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            assert seen.wait(10)
            app, dead = gate.admin("/v1/status").json["upstreams"]
            m = scrape(gate)
            release.set()
            assert read_message(slow).status == 200
        good, idle = app["endpoints"]
        [bad] = dead["endpoints"]
        assert (app["name"], dead["name"], dead["balance"]) == ("app", "dead", "least_requests")
        since, latency = good.pop("since"), good.pop("latency_ms")
        assert 0 < latency < 10000 and abs(time.time() - since) < 60
        assert good == {"address": origin.address, "identity": origin.address, "state": "ready",
                        "reason": None, "weight": 3, "backup": False, "active": 1,
                        "connections": 1, "failures": 0, "failed": 0, "requests": 3,
                        "ejections": 0, "check": None}
        assert idle["backup"] and idle["requests"] == 0 and idle["address"] == "127.0.0.1:9"
        assert bad["failures"] >= 3 and bad["requests"] >= 3 and bad["active"] == 0
        for upstream, e in (("app", good), ("app", idle), ("dead", bad)):
            labels = {"upstream": upstream, "endpoint": e["address"]}
            assert value(m, "wharfgate_endpoint_requests_total", **labels) == e["requests"]
            assert value(m, "wharfgate_endpoint_active", **labels) == e["active"]
            assert value(m, "wharfgate_endpoint_failures_in_a_row", **labels) == e["failures"]


def test_endpoints_past_the_bound_are_counted_together(origin):
    with Gate(ENDPOINTS, origin=origin.address, max=1) as gate:
        for _ in range(3):
            gate.request()
            gate.request("/dead")
        samples = scrape(gate)["wharfgate_endpoint_requests_total"][2]
        by = {tuple(dict(labels).values()): n for (_, labels), n in samples.items()}
        assert set(by) == {(origin.address, "app"), ("_other", "_other")}
        assert by[(origin.address, "app")] == 3 and by[("_other", "_other")] >= 3


def test_counters_survive_reloads_and_plans_die(origin):
    """A route's series goes on by its name; the old plans are freed."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { name: all, upstream: app, max_body: {max} } ]
        """
    with Gate(config, origin=origin.address, max=100, workers=2) as gate:
        for i in range(10):
            gate.request()
            assert gate.reload(config, max=101 + i).returncode == 0
        until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plans' end")
        m = scrape(gate)
        assert value(m, "wharfgate_requests_total", route="all", code="2xx") == 10
        assert value(m, "wharfgate_reloads_total", result="ok") == 10
        assert value(m, "wharfgate_config_generation") == 11


# ---- the admin listener ----

def admin_request(gate, method, path, fields=""):
    host, port = gate.ready["admin"].rsplit(":", 1)
    with Peer(socket.create_connection((host, int(port)), 10)) as c:
        c.send(f"{method} {path} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\n{fields}\r\n")
        return read_message(c, has_body=method != "HEAD")


OK = """
listeners: { http: { address: "127.0.0.1:0" } }
routes: [ { respond: { body: ok } } ]
"""


def test_admin_over_tcp_only_tells():
    with Gate(OK) as gate:
        assert parse(admin_request(gate, "GET", "/metrics").body.decode())
        assert admin_request(gate, "GET", "/v1/status").json["generation"] == 1
        assert admin_request(gate, "HEAD", "/metrics").status == 200
        assert admin_request(gate, "GET", "/").status == 200
        for method in ("POST", "PUT", "DELETE", "OPTIONS"):
            assert admin_request(gate, method, "/metrics").status == 405
        assert admin_request(gate, "POST", "/v1/reload").status == 403
        assert admin_request(gate, "GET", "/v1/reload").status == 405
        assert admin_request(gate, "GET", "/none").status == 404
        assert gate.metric("wharfgate_config_generation") == 1
        assert gate.admin("/v1/reload", "POST").status == 200
        assert gate.metric("wharfgate_config_generation") == 2
        # The gate's own listeners know nothing of it.
        assert gate.request("/metrics").body == b"ok"


def test_admin_listens_on_loopback_by_default():
    with Gate(OK) as gate:
        assert gate.ready["admin"].startswith("127.0.0.1:")


def test_admin_socket_is_for_us_alone():
    with Gate(OK) as gate:
        assert gate.socket_path.stat().st_mode & 0o007 == 0


def test_metrics_elsewhere_or_off():
    with Gate(OK + "metrics: { path: /counted }\n") as gate:
        assert parse(gate.admin("/counted").body.decode())
        assert gate.admin("/metrics").status == 404
        assert gate.reload(OK + "metrics: { enabled: false }\n").returncode == 0
        assert gate.admin("/metrics").status == gate.admin("/counted").status == 404


def test_scrapes_while_workers_are_busy(origin):
    """Every scrape is well-formed, counters never fall."""
    with Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { name: all, upstream: app } ]
        """, origin=origin.address, workers=2) as gate, Load(gate, 4) as load:
        last = {}
        for _ in range(30):
            now = {(name, key): v for name, (kind, _, samples) in scrape(gate).items()
                   if kind != "gauge" for key, v in samples.items()}
            fell = {k: (last[k], v) for k, v in now.items() if v < last.get(k, 0)}
            assert not fell
            last = now
        load.progress()
        load.stop.set()
        for t in load.threads:
            t.join()
        until(lambda: gate.metric("wharfgate_requests_total", route="all") == sum(load.counts),
              "all requests counted")
