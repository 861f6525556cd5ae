# SPDX-License-Identifier: Apache-2.0
"""A new configuration under load: nobody notices but those whom it concerns."""
import json
import signal
import socket
import threading

import pytest

from harness import (Gate, Load, Origin, insecure, make_cert, read_head, read_message, reply, run,
                     until)

BODY = """
listeners: { http: { address: "127.0.0.1:0" } }
routes: [ { respond: { body: "{body}" } } ]
"""


def plans_alive_is(gate, count):
    until(lambda: gate.metric("wharfgate_plans_alive") == count, f"{count} plans alive")


def test_reloads_under_load(cert):
    """Twenty reloads that change one upstream of two, under plain and TLS keep-alive load: no
    request fails, no client's connection is closed, the other upstream keeps its connections,
    and what changed has effect."""
    config = """
        listeners:
          http: { address: "127.0.0.1:0" }
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
        upstreams:
          kept: { servers: ["{kept}"] }
          changed: { servers: ["{changed}"] }
        routes:
          - { match: { path: /changed }, upstream: changed }
          - { upstream: kept }
        """
    clients = 4
    with Origin() as kept, Origin(name="b") as b, Origin(name="c") as c:
        values = {"cert": cert[0], "key": cert[1], "kept": kept.address}
        with Gate(config, workers=2, changed=b.address, **values) as gate, \
                Load(gate, clients) as plain, \
                Load(gate, clients, "https", insecure()) as tls:
            for i in range(20):
                now = c if i % 2 == 0 else b
                done = gate.reload(config, changed=now.address)
                assert done.returncode == 0, done.stderr
                assert gate.request("/changed").json["origin"] == now.name
                plain.progress(2)
                tls.progress(2)
            # One a client at the most: a lost one would have been made anew.
            assert kept.connections <= 2 * clients
            assert gate.ready["generation"] == 21
            assert gate.metric("wharfgate_reloads_total", result="ok") == 20
            plans_alive_is(gate, 1)


def test_unchanged_upstream_keeps_its_very_connection(origin):
    """One client, one connection of the client and one to the replica, through ten reloads."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes:
          - { upstream: app }
          - { match: { path: "/{i}" }, respond: { body: "{i}" } }
        """
    with Gate(config, origin=origin.address, i=0) as gate, gate.connect() as c:
        for i in range(10):
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == 200
            assert gate.reload(config, i=i).returncode == 0
            assert gate.request(f"/{i}").body == str(i).encode()
        assert origin.connections == 1


def test_changed_upstream_gets_new_connections(origin):
    """Settings of an upstream that changed take effect, its old connections end."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"], host: "{host}" } }
        routes: [ { upstream: app } ]
        """
    with Gate(config, origin=origin.address, host="one") as gate, gate.connect() as c:
        for host in ("one", "two"):
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert ["Host", host] in read_message(c).json["fields"]
            assert gate.reload(config, host="two").returncode == 0
        until(lambda: gate.metric("wharfgate_upstream_connections_idle") == 1, "one pool")


@pytest.mark.parametrize("args", [[], ["--no-supervisor"]])
def test_sighup(args):
    with Gate(BODY, body="old", args=args) as gate:
        assert gate.request().body == b"old"
        gate.write(BODY, body="new")
        gate.process.send_signal(signal.SIGHUP)
        until(lambda: gate.ready["generation"] == 2, "the second generation")
        assert gate.request().body == b"new"


def test_sighup_with_a_bad_file_changes_nothing():
    with Gate(BODY, body="old") as gate:
        gate.write(BODY.replace("routes", "rotues"), body="new")
        gate.process.send_signal(signal.SIGHUP)
        until(lambda: gate.metric("wharfgate_reloads_total", result="failed") == 1, "the refusal")
        assert gate.request().body == b"old"
        text = gate.errors()
        assert f"{gate.path}:3:1: error:" in text and "rotues" in text and "did you mean" in text


def test_bad_file_is_refused_with_its_errors(tmp_path):
    """Exit code 3, every error with its place, the running plan untouched, connections too."""
    with Gate(BODY, body="old") as gate, Load(gate, 2) as load:
        gate.path.write_text(gate.path.read_text().replace("respond", "repsond") +
                             "limits: { header_count: 2 }\n")
        done = gate.reload()
        assert done.returncode == 3
        assert f"{gate.path}:3:13: error:" in done.stderr and "repsond" in done.stderr
        assert "header_count" in done.stderr and "nothing has changed" in done.stderr
        load.progress()
        assert gate.request().body == b"old"
        status = gate.admin("/v1/status").json
        assert status["generation"] == 1
        assert (status["reloads"]["failed"], status["reloads"]["last"]["ok"]) == (1, False)
        assert {p["line"] for p in status["reloads"]["last"]["problems"]} >= {3}
        # And the way back needs no restart.
        assert gate.reload(BODY, body="new").returncode == 0
        assert gate.request().body == b"new"


def test_faults_beyond_the_file_are_found_before_anything_changes(tmp_path):
    """A certificate that is none, an address that is taken: refused as a whole."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with Gate(BODY, body="old") as gate:
            port = taken.getsockname()[1]
            more = BODY.replace("listeners: {", "listeners: { more: { address: '127.0.0.1:%d' }," % port)
            done = gate.reload(more, body="new")
            assert done.returncode == 3 and f"127.0.0.1:{port}" in done.stderr
            broken = tmp_path / "broken.pem"
            broken.write_text("not a certificate")
            tls = BODY.replace("listeners: {", "listeners: { tls: { address: '127.0.0.1:0', "
                               "tls: { certificates: [ { cert: '%s' } ] } }," % broken)
            done = gate.reload(tls, body="new")
            assert done.returncode == 3 and str(broken) in done.stderr
            assert gate.request().body == b"old"
            assert list(gate.ready["listeners"]) == ["http"]


def test_reload_as_json():
    with Gate(BODY, body="old") as gate:
        done = run("reload", "--json", "--socket", gate.socket_path)
        assert done.returncode == 0 and json.loads(done.stdout)["generation"] == 2
        gate.path.write_text("listeners: 1\n")
        done = run("reload", "--json", "--socket", gate.socket_path)
        answer = json.loads(done.stdout)
        assert done.returncode == 3 and not answer["ok"]
        assert answer["problems"][0]["line"] == 1


def test_listeners_come_and_go(origin):
    """A new one serves at once; one that went refuses, finishes what runs, and closes."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" }{more} }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { upstream: app } ]
        """
    release = threading.Event()

    def serve(peer, o):
        while True:
            if o.read(peer).target == "/slow":
                release.wait(10)
            peer.send(reply(200, "ok"))
    with Origin(serve) as o, Gate(config, origin=o.address, more="", workers=2) as gate, \
            Load(gate, 2) as load:
        assert gate.reload(config, more=', extra: { address: "127.0.0.1:0" }').returncode == 0
        address = gate.address("extra")
        assert gate.request(listener="extra").body == b"ok"
        with gate.connect("extra") as idle, gate.connect("extra") as busy:
            idle.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(idle).status == 200
            busy.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: any(r.target == "/slow" for r in o.requests), "the slow request")
            assert gate.reload(config, more="").returncode == 0
            assert "extra" not in gate.ready["listeners"]
            until(lambda: idle.is_closed(), "the idle connection's end")
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, 5)
            release.set()
            response = read_message(busy)
            assert (response.body, response.get("connection")) == (b"ok", "close")
            assert busy.is_closed()
        load.progress()


def test_a_listener_moves_to_another_port():
    config = """
        listeners: { http: { address: "127.0.0.1:{port}" } }
        routes: [ { respond: { body: ok } } ]
        """
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    with Gate(config, port=0) as gate:
        old = gate.address("http")
        assert gate.reload(config, port=port).returncode == 0
        assert gate.address("http")[1] == port
        assert gate.request().body == b"ok"
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(old, 5)


def test_running_request_keeps_its_plan():
    """A request that began under the old plan ends under it; then that plan is freed."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        upstreams: { app: { servers: ["{origin}"] } }
        routes: [ { upstream: app } ]
        """
    release = threading.Event()

    def serve(peer, o):
        o.read(peer)
        release.wait(10)
        peer.send(reply(200, "from the old one"))
    with Origin(serve) as o, Gate(config, origin=o.address) as gate, gate.connect() as c:
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: o.requests, "the request")
        assert gate.reload(BODY, body="new").returncode == 0
        assert gate.request().body == b"new"
        assert gate.metric("wharfgate_plans_alive") == 2
        release.set()
        assert read_message(c).body == b"from the old one"
        c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c).body == b"new"
        plans_alive_is(gate, 1)


def test_certificate_changes_while_a_connection_stays(tmp_path, cert):
    config = """
        listeners:
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
        routes: [ { respond: { body: ok } } ]
        """
    other = make_cert(tmp_path, "other", "localhost")

    def shown(peer):
        return peer.sock.getpeercert(binary_form=True)
    with Gate(config, cert=cert[0], key=cert[1]) as gate, \
            gate.connect("https", tls=insecure()) as old:
        assert gate.reload(config, cert=other[0], key=other[1]).returncode == 0
        with gate.connect("https", tls=insecure()) as new:
            assert shown(new) != shown(old)
        old.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert read_message(old).body == b"ok"


def test_rate_limit_keeps_its_counts(origin):
    """A client does not get a fresh allowance by a reload."""
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        rate_limits: { few: { rate: 1/h, burst: 1 } }
        routes: [ { rate_limit: few, respond: { body: "{i}" } } ]
        """
    with Gate(config, i=0) as gate:
        assert [gate.request().status for _ in range(3)] == [200, 200, 429]
        assert gate.reload(config, i=1).returncode == 0
        assert gate.request().status == 429


def test_access_log_moves_and_changes_its_format(tmp_path):
    """`log.access` and `log.format` apply at a reload."""
    config = BODY + "log: { access: '{path}', format: {format} }\n"
    first, second = tmp_path / "first.log", tmp_path / "second.log"
    with Gate(config, body="x", path=first, format="json") as gate:
        gate.request("/1")
        # What was logged before the reload stays where it was logged to.
        assert gate.reload(config, path=second, format="combined").returncode == 0
        gate.request("/2")
        until(lambda: second.exists() and second.read_text(), "a line in the new file")
        assert '"GET /2 HTTP/1.1" 200' in second.read_text()
        assert not second.read_text().startswith("{")
        until(lambda: first.read_text().count("\n") == 1, "the line in the old file")
        assert json.loads(first.read_text())["path"] == "/1"


def test_access_log_that_cannot_be_opened_refuses_the_reload(tmp_path):
    """As a whole: the listener that came with it is gone again."""
    config = BODY + "log: { access: '{path}' }\n"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        more = s.getsockname()
    with Gate(config, body="old", path=tmp_path / "access.log") as gate:
        with_more = config.replace("listeners: {", "listeners: { more: { address: '%s:%d' }," % more)
        done = gate.reload(with_more, body="new", path=tmp_path / "no" / "such" / "access.log")
        assert done.returncode == 3 and "such/access.log" in done.stderr
        assert gate.request().body == b"old"
        plans_alive_is(gate, 1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(more, 5)


def test_access_log_is_switched_on_and_off(tmp_path):
    config = BODY + "log: { access: '{path}' }\n"
    path = tmp_path / "access.log"
    with Gate(config, body="x", path="off") as gate:
        gate.request("/0")
        assert gate.reload(config, path=path).returncode == 0
        gate.request("/1")
        until(lambda: path.exists() and path.read_text(), "a line")
        assert gate.reload(config, path="off").returncode == 0
        gate.request("/2")
        assert gate.reload(config, path=path).returncode == 0
        gate.request("/3")
        until(lambda: path.read_text().count("\n") >= 2, "the second line")
        assert [json.loads(l)["path"] for l in path.read_text().splitlines()] == ["/1", "/3"]


def test_changed_files_of_a_certificate_are_taken_up_by_a_reload(tmp_path):
    """The same path, another content."""
    cert, key = make_cert(tmp_path, "one", "localhost")
    config = """
        listeners:
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
        routes: [ { respond: { body: ok } } ]
        """
    with Gate(config, cert=cert, key=key) as gate:
        def shown():
            with gate.connect("https", tls=insecure()) as c:
                return c.sock.getpeercert(binary_form=True)
        before = shown()
        make_cert(tmp_path, "one", "localhost")
        assert gate.reload().returncode == 0
        assert shown() != before


def test_what_needs_a_restart_is_told():
    with Gate(BODY + "workers: 1\n", body="x") as gate:
        done = gate.reload(BODY + "workers: 2\n")
        assert done.returncode == 0
        assert "warning" in done.stdout + done.stderr and "workers" in done.stdout + done.stderr
        assert gate.request().body == b"x"
