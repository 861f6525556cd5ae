# SPDX-License-Identifier: Apache-2.0
"""Maintenance: on by a file or by a person, off the same way; who is served all the same; that a
reload leaves it alone, and that status, log and metrics say so."""
import json
import pathlib

import pytest

from h2peer import h2
from harness import Gate, Origin, run, until

CONFIG = """
    listeners:
      http: { address: "127.0.0.1:0", http2: on, trusted_proxies: [127.0.0.1] }
    upstreams: { app: { servers: ["{origin}"] } }
    defaults:
      maintenance: { file: "{dir}/closed", page: "{dir}/page.html", allow: [192.0.2.0/24], retry_after: 90s }
    routes:
      - { match: { host: site }, upstream: app }
      - { match: { host: own }, upstream: app, maintenance: { status: 502, retry_after: off } }
      - { match: { host: always }, upstream: app, maintenance: false }
    """


@pytest.fixture
def gate(tmp_path):
    (tmp_path / "page.html").write_text("<h1>back at noon</h1>")
    with Origin() as o, Gate(CONFIG, origin=o.address, dir=tmp_path, workers=2) as g:
        g.folder, g.origin = tmp_path, o
        yield g


def command(gate, *words):
    return run("maintenance", *words, "--socket", gate.socket_path)


def is_closed(gate, host="site", **kw):
    return gate.request("/", host=host, **kw).status != 200


def test_a_file_turns_it_on(gate):
    """Within a second or so; requests do not look for it themselves."""
    closed = pathlib.Path(gate.folder / "closed")
    assert not is_closed(gate)
    closed.touch()
    until(lambda: is_closed(gate), "the page")
    answer = gate.request("/x", host="site", method="POST", body=b"a" * 1000)
    assert answer.status == 503 and answer.body == b"<h1>back at noon</h1>"
    assert answer.headers["retry-after"] == "90" and answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert not is_closed(gate, "own") and not is_closed(gate, "always")
    assert "maintenance on: " in gate.errors()
    assert gate.metric("wharfgate_maintenance_on", reason="file") == 1
    assert gate.metric("wharfgate_maintenance_on", reason="admin") == 0
    assert f"maintenance is on: {closed} is there  " in \
        run("status", "--socket", gate.socket_path).stdout
    assert command(gate, "off").stdout == \
        f"maintenance is off, but where a file turns it on: {closed} is there\n"
    assert gate.reload().returncode == 0 and is_closed(gate)
    closed.unlink()
    until(lambda: not is_closed(gate), "the site")
    until(lambda: "maintenance off: " in gate.errors(), "its line")
    assert gate.metric("wharfgate_maintenance_on") == 0


def test_explain_says_by_what_and_for_whom(gate):
    def explained(*more):
        return run("explain", "--socket", gate.socket_path, "site/", *more).stdout
    assert "maintenance: off\n" in explained() and "goes to" in explained()
    (gate.folder / "closed").touch()
    until(lambda: is_closed(gate), "the page")
    assert f"maintenance: on; {gate.folder}/closed is there; not for whom `allow` lists (--client)" \
        "\nanswer    maintenance: 503\n" in explained()
    assert "`allow` does not list this client\nanswer    maintenance: 503\n" in \
        explained("--client", "198.51.100.1")
    allowed = explained("--client", "192.0.2.7")
    assert "not for this client: `allow` lists it\n" in allowed and "goes to" in allowed


def test_a_file_that_is_there_at_the_start(tmp_path):
    """No request slips through before the first look."""
    (tmp_path / "closed").touch()
    (tmp_path / "page.html").write_text("closed")
    with Origin() as o, Gate(CONFIG, origin=o.address, dir=tmp_path) as gate:
        assert is_closed(gate) and not o.requests


def test_a_person_turns_it_on(gate):
    done = command(gate, "on")
    assert (done.returncode, done.stdout) == (0, "maintenance is on: 2 routes answer so\n")
    answer = gate.request("/", host="own")
    assert answer.status == 502 and "retry-after" not in answer.headers
    assert is_closed(gate) and not is_closed(gate, "always")
    assert gate.request("/", host="else").status == 404
    assert gate.reload().returncode == 0 and is_closed(gate)
    assert gate.reload(CONFIG.replace("retry_after: 90s", "retry_after: 1h")).returncode == 0
    assert gate.request("/", host="site").headers["retry-after"] == "3600"
    assert "maintenance is on: by command  " in run("status", "--socket", gate.socket_path).stdout
    status = gate.admin("/v1/status").json["maintenance"]
    assert status == {"on": True, "asked": True, "routes": 2,
                      "files": [{"path": f"{gate.folder}/closed", "exists": False}]}
    assert gate.metric("wharfgate_maintenance_on", reason="admin") == 1
    explained = run("explain", "--socket", gate.socket_path, "own/").stdout
    assert "filters   maintenance: on, by `wharfgate maintenance on`\nanswer    maintenance: 502\n" \
        in explained and "upstream" not in explained
    done = command(gate, "off", "--json")
    assert done.returncode == 0 and json.loads(done.stdout)["maintenance"]["on"] is False
    assert not is_closed(gate) and not is_closed(gate, "own")
    assert "maintenance on, over the admin socket" in gate.errors()
    assert "maintenance off, over the admin socket" in gate.errors()
    until(lambda: sum(r.get("reason") == "maintenance" for r in gate.access_lines()) >= 3, "lines")


def test_some_are_served_all_the_same(gate):
    """By the one client address, which a trusted proxy may tell."""
    command(gate, "on")
    assert not is_closed(gate, headers={"X-Forwarded-For": "192.0.2.7"})
    assert is_closed(gate, headers={"X-Forwarded-For": "198.51.100.7"})


def test_grpc_is_told_in_its_own_words(gate):
    """Its clients read no page: a status, in the head of a 200."""
    command(gate, "on")
    with h2(gate) as c:
        s = c.request("/test.Test/Echo", "POST", [("content-type", "application/grpc")],
                      b"\0\0\0\0\0", authority="site")
        assert (s.status, s.get("content-type"), bytes(s.body)) == (200, "application/grpc", b"")
        assert s.get("grpc-status") == "14" and "maintenance" in s.get("grpc-message")


def test_what_it_refuses(gate):
    assert command(gate).returncode == 2 and command(gate, "maybe").returncode == 2
    assert gate.admin("/v1/maintenance?maybe", "POST").status == 400
    assert gate.admin("/v1/maintenance?on", "GET").status == 405
    assert gate.reload("""
        listeners: { http: { address: "127.0.0.1:0" } }
        routes: [ { respond: { body: here } } ]
        """).returncode == 0
    done = command(gate, "on")
    assert done.returncode == 1 and "no route has `maintenance`" in done.stderr
