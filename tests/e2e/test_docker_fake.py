# SPDX-License-Identifier: Apache-2.0
"""Containers as replicas where the daemon does what a real one does not do on demand: see fakedocker.py, a
fake. Real engines: tests/e2e/docker."""
import contextlib
import json
import subprocess
import time

import pytest

from fakedocker import Container, Daemon, fleet, recorded_list
from harness import PATIENCE, Gate, Origin, read_message, reply, until

CONFIG = """
listeners: { http: { address: "127.0.0.1:0" } }
discovery: { docker: { endpoint: "unix://{socket}"{more} } }
upstreams: { app: { wait_for_endpoint: 1ms, docker: { service: s0, port: {port}, network: front } } }
routes: [ { upstream: app } ]
"""


def say_where(peer, origin):
    """Answers with the address that was reached."""
    while True:
        read_message(peer)
        peer.send(reply(200, peer.sock.getsockname()[0]))


@pytest.fixture
def origin():
    with Origin(say_where, host="0.0.0.0") as o:
        yield o


@pytest.fixture
def daemon(tmp_path):
    """Three replicas: 127.20.0.1, .2 and .3."""
    with Daemon(tmp_path / "docker.sock", fleet(3, 1)) as d:
        yield d


def start(daemon, origin, more=""):
    gate = Gate(CONFIG, socket=daemon.path, port=origin.port, more=more)
    until(lambda: docker(gate)["lists"] >= 1 or docker(gate)["trouble"], "a list")
    return gate


def docker(gate):
    return gate.admin("/v1/status").json["docker"]


def endpoints(gate):
    """State by the end of the address."""
    [app] = gate.admin("/v1/status").json["upstreams"]
    return {e["address"].split(":")[0]: e["state"] for e in app["endpoints"] if "address" in e}


def ready(gate):
    return sorted(int(a.split(".")[-1]) for a, s in endpoints(gate).items() if s == "ready")


def wait_ready(gate, *ends):
    until(lambda: ready(gate) == list(ends), f"{ends} ready")


def serving(gate):
    answers = [gate.request("/") for _ in range(40)]
    return sorted({int(r.body.split(b".")[-1]) if r.status == 200 else r.status for r in answers})


# ---- the event stream ----

def test_events_split_and_join_anywhere(daemon, origin):
    """A byte a chunk; then three in one, with the third's end later."""
    with start(daemon, origin) as gate:
        wait_ready(gate, 1, 2, 3)
        a, b, c = daemon.containers
        die = [json.dumps(x.event("die")).encode() + b"\n" for x in (a, b, c)]
        a.state = "exited"
        daemon.write(*[bytes([byte]) for byte in die[0]])
        wait_ready(gate, 2, 3)
        b.state = c.state = "exited"
        daemon.write(die[1] + b"\n" + die[2][:70])
        wait_ready(gate, 3)
        daemon.write(die[2][70:])
        wait_ready(gate)
        assert docker(gate)["events"] == 3 and serving(gate) == [503]


@pytest.mark.parametrize("garbage", [b"not JSON\n", b"{}\n", b"[1,2]\n", b'{"Type":"container","Action":7}\n',
                                     b"\x00\xff\xfe\n", b'{"Type":"container","Action":"die"}\n'])
def test_garbage_among_events(daemon, origin, garbage):
    """Costs a list at most; the next event counts."""
    with start(daemon, origin) as gate:
        daemon.write(garbage)
        daemon.die(daemon.containers[0])
        wait_ready(gate, 2, 3)
        assert docker(gate)["reconnects"] == 0 and serving(gate) == [2, 3]


def test_an_event_without_end(daemon, origin):
    """Over 1 MiB: another connection; what is known stays."""
    with start(daemon, origin) as gate:
        daemon.write(b"x" * 600000, b"x" * 600000)
        until(lambda: docker(gate)["reconnects"] >= 1 and docker(gate)["connected"], "another connection")
        assert serving(gate) == [1, 2, 3]
        daemon.die(daemon.containers[0])
        wait_ready(gate, 2, 3)


def test_a_proxy_that_ends_the_stream(daemon, origin):
    """Again and again: it is no trouble, and what happened meanwhile is in the list."""
    with start(daemon, origin) as gate:
        for i, left in enumerate(([2, 3], [3], [])):
            daemon.containers[i].state = "exited"  # and no event says so
            daemon.end_streams()
            wait_ready(gate, *left)
        assert docker(gate)["reconnects"] >= 3
        assert "the Docker daemon:" not in gate.errors()


# ---- lists ----

@pytest.mark.parametrize("fault, why", [
    (dict(list_status=500, list_body=b'{"message":"no"}'), "status 500"),
    (dict(list_body=b'{"message":"no"}'), "expected an array"),
    (dict(list_body=b"[{"), "no JSON"), (dict(events_status=403), "status 403"),
    (dict(ping_status=500), "status 500")])
def test_a_daemon_that_answers_wrong(daemon, origin, fault, why):
    """It is told, replicas stay as they were; then it is well again."""
    with start(daemon, origin) as gate:
        good = {key: getattr(daemon, key) for key in fault}
        vars(daemon).update(fault)
        daemon.end_streams()
        until(lambda: why in (docker(gate)["trouble"] or ""), "trouble")
        assert gate.metric("wharfgate_upstream_discovery_trouble") == 1
        assert serving(gate) == [1, 2, 3]
        daemon.containers[0].state = "exited"
        vars(daemon).update(good)
        wait_ready(gate, 2, 3)
        assert not docker(gate)["trouble"] and "the Docker daemon answers" in gate.errors()


@pytest.mark.long
def test_a_daemon_that_hangs_on_the_list(daemon, origin):
    """Events are heard all the same; after 10 s another connection."""
    with start(daemon, origin) as gate:
        daemon.is_hung = True
        daemon.write(b"a list, please\n")
        until(lambda: len(daemon.lists()) == 2, "its call")
        daemon.die(daemon.containers[0])
        wait_ready(gate, 2, 3)
        daemon.is_hung = False
        until(lambda: docker(gate)["reconnects"] == 1 and docker(gate)["lists"] >= 2, "another", 20)
        assert serving(gate) == [2, 3]


def test_a_list_that_lags_behind(daemon, origin):
    """The dead stay dead, whatever it says, until they are started."""
    with start(daemon, origin) as gate:
        a = daemon.containers[0]
        daemon.say(a, "die")  # it is running, says the list
        until(lambda: docker(gate)["lists"] >= 2, "a list")
        assert ready(gate) == [2, 3] == serving(gate)
        daemon.start(a)
        wait_ready(gate, 1, 2, 3)


def test_the_address_of_one_that_died(daemon, origin):
    """A container that nobody asked for has it now: it is not reached."""
    with start(daemon, origin) as gate:
        a = daemon.containers[0]
        daemon.die(a)
        daemon.start(Container(9, "other", a.address))
        until(lambda: docker(gate)["lists"] >= 2 and docker(gate)["containers"] == 4, "it")
        assert serving(gate) == [2, 3]
        heir = Container(4, "s0", a.address)
        daemon.start(heir)
        wait_ready(gate, 1, 2, 3)
        [app] = gate.admin("/v1/status").json["upstreams"]
        assert [e["identity"][:64] for e in app["endpoints"] if e["address"].startswith(a.address + ":")] == [heir.id]


# ---- who it is ----

@pytest.mark.parametrize("version, used", [("1.24", "1.24"), ("1.41", "1.41"), ("1.60", "1.44")])
def test_versions(daemon, origin, version, used):
    """We speak the older of ours and theirs."""
    daemon.version = version
    with start(daemon, origin) as gate:
        assert docker(gate)["api"] == used
        assert all(t.startswith(f"/v{used}/") for t in daemon.requests[1:])
        assert serving(gate) == [1, 2, 3]


def test_too_old(daemon, origin):
    daemon.version = "1.23"
    with start(daemon, origin) as gate:
        assert "older than API 1.24" in docker(gate)["trouble"] and serving(gate) == [503]


def test_podman(daemon, origin):
    """Its list as recorded, with one address put in; and the same without its replica."""
    listed = recorded_list("podman-4.3-list-1.41.json")
    [web] = [c for c in listed if c["Names"] == ["/web-1"]]
    web["Labels"]["com.docker.compose.service"] = "s0"
    web["NetworkSettings"]["Networks"]["front"]["IPAddress"] = "127.20.0.7"
    daemon.list_body = json.dumps(listed).encode()
    with start(daemon, origin) as gate:
        assert ready(gate) == [7] == serving(gate)
        web["State"] = "stopping"
        daemon.list_body = json.dumps(listed).encode()
        daemon.write(b'{"status":"stop","id":"' + web["Id"].encode() + b'","Type":"container","Action":"stop"}\n')
        until(lambda: endpoints(gate) == {"127.20.0.7": "draining"}, "draining")


# ---- many ----

def test_two_thousand(daemon, origin):
    """Listed at once; then of those that events name, and of no others."""
    daemon.containers = fleet()
    with start(daemon, origin) as gate:
        assert docker(gate)["containers"] == 2000 and len(ready(gate)) == 50
        mine = [c for c in daemon.containers if c.service == "s0"]
        for c in mine[1:]:
            daemon.kill(c)
            daemon.die(c)
        until(lambda: len(ready(gate)) == 1, "the rest")
        assert serving(gate) == [1]
        whole = [t for t in daemon.lists() if "filters" not in t]
        for c in mine[1:]:
            daemon.start(c, "health: starting")
        until(lambda: list(endpoints(gate).values()).count("starting") == 49, "starting ones")
        for c in mine[1:]:
            daemon.set_health(c, "healthy")
        until(lambda: len(ready(gate)) == 50, "all")
        new = Container(99, "s0", "127.21.0.1")
        daemon.start(new)
        until(lambda: endpoints(gate).get("127.21.0.1") == "ready", "a new one")
        daemon.remove(new)
        until(lambda: len(ready(gate)) == 50, "its end")
        assert [t for t in daemon.lists() if "filters" not in t] == whole


def test_two_thousand_and_a_part_that_is_without_one(daemon, origin):
    """It was asked for and is not there: gone. Garbage instead of an event: all of it is asked for."""
    daemon.containers = fleet()
    with start(daemon, origin) as gate:
        a, b = [c for c in daemon.containers if c.service == "s0"][:2]
        daemon.containers.remove(a)
        daemon.say(a, "start")
        until(lambda: len(ready(gate)) == 49, "its end")
        assert docker(gate)["containers"] == 1999
        daemon.containers.remove(b)
        daemon.write(b"what?\n")
        until(lambda: len(ready(gate)) == 48, "its end")
        assert "filters" not in daemon.lists()[-1]


def test_a_daemon_that_does_not_know_the_filter(daemon, origin):
    """Its answer is all of the list, and it is asked for parts no more."""
    daemon.containers = fleet()
    with start(daemon, origin) as gate:
        daemon.list = lambda query=None: Daemon.list(daemon)
        a, b = [c for c in daemon.containers if c.service == "s0"][:2]
        a.state = "exited"  # and nobody says so
        daemon.start(b)
        until(lambda: len(ready(gate)) == 49, "its end")
        daemon.start(a)
        until(lambda: len(ready(gate)) == 50, "its return")
        assert "filters" in daemon.lists()[1] and "filters" not in daemon.lists()[2]


# ---- what is told and kept ----

def test_status_and_metrics(daemon, origin):
    with start(daemon, origin) as gate:
        before = time.time()
        daemon.die(daemon.containers[0])
        until(lambda: gate.metric("wharfgate_docker_lists_total") == 2, "a list")
        s = docker(gate)
        assert s["endpoint"] == f"unix://{daemon.path}" and s["connected"] and not s["snapshot"]
        assert (s["events"], s["lists"], s["reconnects"], s["containers"]) == (1, 2, 0, 3)
        assert before - 1 < s["listed"] < time.time() + 1
        assert gate.metric("wharfgate_docker_connected") == 1
        assert gate.metric("wharfgate_docker_events_total") == 1
        daemon.close()
        until(lambda: gate.metric("wharfgate_docker_connected") == 0 and docker(gate)["trouble"], "its end")
        assert gate.metric("wharfgate_docker_reconnects_total") >= 1 and serving(gate) == [2, 3]
        daemon.open()
        until(lambda: gate.metric("wharfgate_docker_connected") == 1, "its return")


@pytest.mark.parametrize("more", ["", ", network: front"])
def test_a_reload(daemon, origin, more):
    """Of the same daemon, and of one that is configured otherwise: what is known stays, events count."""
    daemon.containers = fleet()
    with start(daemon, origin) as gate:
        assert gate.reload(CONFIG, more=more).returncode == 0
        assert serving(gate)[0] != 503
        a, *rest = [c for c in daemon.containers if c.service == "s0"]
        until(lambda: docker(gate)["connected"] and docker(gate)["lists"] == (2 if more else 1), "a list")
        daemon.die(a)
        until(lambda: len(ready(gate)) == 49, "its end")
        daemon.start(a)
        until(lambda: len(ready(gate)) == 50, "its return")


def test_a_disk_that_is_full(daemon, origin, tmp_path):
    """The snapshot is not written, which is logged; all else goes on."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "none", disk]).returncode:
        pytest.skip("may not mount")
    try:
        with start(daemon, origin, f', snapshot: "{disk}/docker"') as gate:
            (disk / "big").write_bytes(b"x" * (524288 - 4096 * 2))
            old = (disk / "docker").read_bytes()
            daemon.containers += fleet(60, 60, "127.30")
            daemon.die(daemon.containers[0])
            until(lambda: "the snapshot of containers is not written" in gate.errors(), "a word of it")
            until(lambda: 1 not in ready(gate) and 3 in ready(gate), "replicas")
            assert (disk / "docker").read_bytes() == old
            lists = docker(gate)["lists"]
            daemon.containers += fleet(120, 5, "127.30")
            daemon.start(daemon.containers[-1])
            until(lambda: docker(gate)["lists"] > lists, "another list")
            assert gate.errors().count("the snapshot of containers is not written") == 1
            assert serving(gate)
            (disk / "big").unlink()
            daemon.end_streams()
            until(lambda: "is written again" in gate.errors(), "room")
            assert (disk / "docker").read_bytes() != old
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ---- replicas that listen late ----

def at(container, port, serve=say_where):
    """What runs in it, once it does."""
    return Origin(serve, host=container.address, port=port)


def free_port():
    """One that nobody has, at any address."""
    with Origin(host="0.0.0.0") as o:
        return o.port


def state_of(gate, container):
    """(state, reason) as the status tells; (None, None): there is none."""
    [app] = gate.admin("/v1/status").json["upstreams"]
    found = [e for e in app["endpoints"] if e["address"].startswith(container.address + ":")]
    return (found[0]["state"], found[0]["reason"]) if found else (None, None)


def late_gate(daemon, port, more="", wait="60s"):
    config = CONFIG.replace("wait_for_endpoint: 1ms", "wait_for_endpoint: {wait}{extra}")
    gate = Gate(config, socket=daemon.path, port=port, more="", extra=more, wait=wait)
    until(lambda: docker(gate)["lists"] >= 1, "a list")
    return gate


REFUSED = ("starting", "takes no connections yet: connect_refused")


def test_the_only_one_listens_late(tmp_path):
    """Nobody tells when: it is asked. A request waits, and is answered as soon as it listens, at the
    price of one connection; it is not asked again, nor by a reload."""
    [c] = fleet(1, 1)
    port = free_port()
    with Daemon(tmp_path / "docker.sock", [c]) as daemon, late_gate(daemon, port) as gate, gate.connect() as peer:
        until(lambda: state_of(gate, c) == REFUSED, f"{REFUSED}")
        peer.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: gate.metric("wharfgate_upstream_queued") == 1, "it to wait")
        with at(c, port) as replica:
            began = time.monotonic()
            assert read_message(peer).status == 200
            assert time.monotonic() - began < 0.2 * PATIENCE / 10
            assert replica.connections == 2  # the one that asked, and the one that serves
            assert state_of(gate, c) == ("ready", None)
            assert gate.reload(CONFIG, more=", network: back").returncode == 0
            assert ready(gate) == [1] and gate.request("/").status == 200
            assert replica.connections <= 4
        assert gate.metric("wharfgate_endpoint_ejections_total") == 0
        assert gate.metric("wharfgate_endpoint_failures_total") == 0


@pytest.mark.parametrize("wait, status", [("60s", 200), ("500ms", 502)])
def test_the_only_one_refuses_before_it_is_told(tmp_path, wait, status):
    """A container that stops refuses connections before the daemon has said a word. A request goes on trying for as
    long as it would wait for one, beyond its `retries`."""
    [c] = fleet(1, 1)
    port = free_port()
    with Daemon(tmp_path / "docker.sock", [c]) as daemon, at(c, port) as first, \
            late_gate(daemon, port, wait=wait) as gate, gate.connect() as peer:
        until(lambda: ready(gate) == [1], "it")
        first.close()
        peer.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
        until(lambda: gate.metric("wharfgate_upstream_retries_total") > 3, "more than its retries")
        with at(c, port) if status == 200 else contextlib.nullcontext():
            assert read_message(peer).status == status


def test_one_of_several_listens_late(tmp_path):
    """The others answer for it; it gets its share once it listens."""
    one, two = fleet(2, 1)
    port = free_port()
    with Daemon(tmp_path / "docker.sock", [one]) as daemon, at(one, port), late_gate(daemon, port) as gate:
        until(lambda: ready(gate) == [1], "the first")
        daemon.start(two)
        until(lambda: state_of(gate, two) == REFUSED, f"{REFUSED}")
        assert {gate.request("/").body.decode() for _ in range(20)} == {one.address}
        with at(two, port):
            until(lambda: ready(gate) == [1, 2], "both")
            assert {gate.request("/").body.decode() for _ in range(20)} == {one.address, two.address}
    assert "is ejected" not in gate.errors()


def test_a_restart_is_a_new_one(tmp_path):
    """With the same address: it may listen as late as before."""
    [c] = fleet(1, 1)
    port = free_port()
    with Daemon(tmp_path / "docker.sock", [c]) as daemon, late_gate(daemon, port) as gate:
        with at(c, port):
            until(lambda: ready(gate) == [1], "it")
            daemon.kill(c)
            daemon.die(c)
            until(lambda: state_of(gate, c) == (None, None), "its end")
        daemon.start(c)
        until(lambda: state_of(gate, c) == REFUSED, f"{REFUSED}")


def test_one_that_never_listens(tmp_path):
    """It stays out, with the reason: a request waits its time, and is not sent to a port that refuses. Asked
    less and less often, and told once."""
    [c] = fleet(1, 1)
    with Daemon(tmp_path / "docker.sock", [c]) as daemon, late_gate(daemon, free_port(), wait="300ms") as gate:
        assert gate.request("/").status == 503
        assert gate.access_lines()[0]["reason"] == "no_endpoint"
        assert gate.metric("wharfgate_upstream_connections_opened_total") == 0
        assert gate.metric("wharfgate_endpoint_checks_total") < 20
        until(lambda: "takes no connections yet: connect_refused; it is tried on" in gate.errors(), "the line",
              PATIENCE * 3)
        assert gate.metric("wharfgate_endpoint_checks_total") < 100
        assert gate.errors().count("it is tried on") == 1


@pytest.mark.parametrize("health, more", [("healthy", ""), ("", ", health_check: {{ type: tcp }}")])
def test_who_is_checked_is_not_asked_besides(tmp_path, health, more):
    """A HEALTHCHECK tells, and so does a check of the upstream's."""
    [c] = fleet(1, 1)
    c.health = health
    port = free_port()
    with Daemon(tmp_path / "docker.sock", [c]) as daemon, at(c, port) as replica, \
            late_gate(daemon, port, more=more.replace("{{", "{").replace("}}", "}")) as gate:
        until(lambda: ready(gate) == [1], "it")
        assert replica.connections == bool(more)
