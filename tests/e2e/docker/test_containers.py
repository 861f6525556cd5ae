# SPDX-License-Identifier: Apache-2.0
"""Containers as endpoints: they appear, are asked when they are ready, and leave, without the gate being
told anything but where the daemon is."""
import pytest

from engine import PATIENCE, Events
from harness import Gate, read_message, until
from load import Load
from members import answerers, becomes, reason, states, upstream

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "{docker}", {more} } }
    upstreams:
      app:
        docker: { service: web, {which} }
        balance: round_robin
        wait_for_endpoint: 60s
        outlier_ejection: { base_time: 1s }
    routes: [ { upstream: app } ]
    """


def gate_for(engine, more="", which="port: 8000", **kw):
    return Gate(CONFIG, docker=engine.endpoint, more=more, which=which, **kw)


# ---- whose endpoint is it ----

def test_containers_of_the_service_appear(engine):
    """Those of the service, as they start; others and one-off ones are none of it."""
    with gate_for(engine) as gate:
        assert states(gate) == {}
        engine.run("web-1")
        engine.run("db-1", service="db")
        engine.run("web-run", labels={"com.docker.compose.oneoff": "True"})
        becomes(gate, web_1="ready")
        engine.run("web-2", project="other")
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}


def test_those_that_run_already_are_found(engine):
    """And a project leaves others out."""
    engine.run("web-1")
    engine.run("web-2", project="other")
    with gate_for(engine, which="port: 8000, project: shop") as gate:
        becomes(gate, web_1="ready")
        assert answerers(gate, 3) == {"web-1"}


def test_the_single_exposed_port(engine):
    """Nobody names a port: it is what the image exposes. A label names another."""
    engine.run("web-1")
    engine.run("web-2", port=8002, labels={"wharfgate.port": "8002"})
    with gate_for(engine, which="") as gate:
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}


def test_several_exposed_ports_are_quarantined(engine):
    """Only that container: the others serve."""
    engine.run("web-1")
    engine.run("web-2", ExposedPorts={"8000/tcp": {}, "9000/tcp": {}})
    with gate_for(engine, which="") as gate:
        becomes(gate, web_1="ready", web_2="quarantined")
        assert "8000" in reason(gate, "web-2") and "9000" in reason(gate, "web-2")
        assert answerers(gate, 4) == {"web-1"}
        assert gate.errors().count("upstream app: container web-2 is in quarantine: ") == 1


def test_two_networks_are_quarantined(engine):
    """Nothing tells which one to use: it is named in the status, with both; all else goes on. Once it has
    one, it serves."""
    engine.network("other")
    one, two = engine.run("web-1"), engine.create("web-2")
    two.connect("other")
    two.start()
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="quarantined")
        assert "app" in reason(gate, "web-2") and "other" in reason(gate, "web-2")
        assert answerers(gate, 4) == {"web-1"}
        two.disconnect("other")
        becomes(gate, web_1="ready", web_2="ready")
        one.connect("other")
        becomes(gate, web_1="quarantined", web_2="ready")


@pytest.mark.parametrize("more, which, labels", [
    ("network: app", "port: 8000", {}), ("network: other", "port: 8000, network: app", {}),
    ("network: other", "port: 8000, network: other", {"wharfgate.network": "app"})])
def test_network_is_named(engine, more, which, labels):
    """For all, for the upstream, and by the container, which counts most."""
    engine.network("other")
    web = engine.create("web-1", labels=labels)
    web.connect("other")
    web.start()
    with gate_for(engine, more=more, which=which) as gate:
        becomes(gate, web_1="ready")
        assert upstream(gate)["endpoints"][0]["address"].startswith(f"{web.address}:8000")
        assert answerers(gate, 3) == {"web-1"}


def test_host_network(engine):
    """Its address is the host's."""
    engine.run("web-1", port=18743, network="host", labels={"wharfgate.port": "18743"})
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready")
        assert upstream(gate)["endpoints"][0]["address"].startswith("127.0.0.1:18743")


# ---- health, pause ----

def test_healthcheck_decides(engine):
    """Nothing while it starts or is unhealthy; and everything again when it is well."""
    one, two = engine.run("web-1"), engine.run("web-2", health=1)
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="starting")
        assert two.requests() == []
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}
        two.request("/sick", "POST")
        becomes(gate, web_1="ready", web_2="unhealthy")
        had = len(two.requests())
        assert answerers(gate) == {"web-1"} and len(two.requests()) == had
        two.request("/well", "POST")
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}
    assert one.requests()


def test_late_listener_costs_nothing(engine):
    """Without HEALTHCHECK it is asked until it takes a connection. Until then others answer for it, and then it
    has its share at once."""
    engine.run("web-1")
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready")
        with Load(engine, gate.address("http")) as load:
            load.progress(300)
            two = engine.run("web-2", "after=2000")
            becomes(gate, web_1="ready", web_2="starting")
            load.progress(300, by=[two])
        assert gate.metric("wharfgate_endpoint_failures_total") == 0
    assert not load.failures()
    first_ms = (int(two.records()[1][-1]) - two.when("listen")) / 1000
    print(f"\n  its first request {first_ms:.1f} ms after it listens", end="")
    assert first_ms < 200


def test_the_only_one_listens_late(engine):
    """A request that came before waits for it, also when it is restarted with the same address."""
    with gate_for(engine) as gate, gate.connect() as c:
        def ask_early(web):
            becomes(gate, web_1="starting")
            c.send("GET /early HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == 200
            late_us = web.when("request") - web.when("listen")
            print(f"\n  answered {late_us / 1000:.1f} ms after it listens", end="")
            assert late_us < 200_000
        one = engine.run("web-1", "after=1000")
        ask_early(one)
        address = one.address
        one.kill()
        until(lambda: states(gate) == {}, "its end", PATIENCE)
        one.start()
        ask_early(one)
        assert one.address == address


def test_paused_ones_get_nothing(engine):
    """A paused one would take requests and never answer."""
    one, two = engine.run("web-1"), engine.run("web-2")
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        two.pause()
        becomes(gate, web_1="ready", web_2="unhealthy")
        assert "paused" in reason(gate, "web-2")
        assert answerers(gate) == {"web-1"}
        two.unpause()
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}
    assert one.state == two.state == "running"


# ---- coming and going ----

@pytest.mark.parametrize("option", ["stop=polite", "stop=later"])
def test_kill_drains(engine, option):
    """From `kill` on nothing new; what runs is finished; then it is gone. Not one request fails, even of an
    origin that goes on until it exits in the middle of whatever it has."""
    one, two = engine.run("web-1", option), engine.run("web-2", option)
    with gate_for(engine) as gate, Events(engine) as events:
        becomes(gate, web_1="ready", web_2="ready")
        with Load(engine, gate.address("http")) as load:
            load.progress(300, by=[one, two])
            two.stop()
            becomes(gate, web_1="ready")
            load.progress(300, by=[one])
        kill = events.wait(two, "container kill")
    late = [int(r[-1]) - kill.us for r in two.records() if r[0] == "request" and int(r[-1]) > kill.us]
    print(f"\n  after kill: {len(late)} requests, the last {max(late, default=0) / 1000:.1f} ms later", end="")
    assert not load.failures() and not load.doubles([one, two])
    assert max(late, default=0) < 500_000


def test_kill_shows_as_draining(engine):
    """While a long answer is on its way, the replica is draining, and its client gets it."""
    engine.run("web-1")
    two = engine.run("web-2")
    with gate_for(engine) as gate, gate.connect() as c:
        becomes(gate, web_1="ready", web_2="ready")
        until(lambda: start_on(gate, c, two), "a request on web-2")
        two.kill("TERM")
        becomes(gate, web_1="ready", web_2="draining")
        assert c.read_until(b"web-2\n").startswith(b"HTTP/1.1 200")
        becomes(gate, web_1="ready")


def start_on(gate, c, web):
    """Sends a request that takes a while; does that container have it? The other's are waited for."""
    c.send("GET /long?ms=1500 HTTP/1.1\r\nHost: a\r\n\r\n")

    def active():
        return [e["address"].split(" ")[-1] for e in upstream(gate)["endpoints"] if e["active"]]
    who = until(active, "an active endpoint")
    if who == [web.name]:
        return True
    c.read_until(b"web-1\n")
    return False


def test_other_signals_are_none_of_ours(engine):
    """SIGHUP ends nothing."""
    one = engine.run("web-1")
    engine.run("web-2")
    with gate_for(engine) as gate, Events(engine) as events:
        becomes(gate, web_1="ready", web_2="ready")
        one.kill("HUP")
        events.wait(one, "container kill")
        assert answerers(gate) == {"web-1", "web-2"}
        becomes(gate, web_1="ready", web_2="ready")


def test_stop_signal_of_its_own(engine):
    """As many images have: `docker stop` then sends another signal than SIGTERM."""
    one, two = engine.run("web-1"), engine.run("web-2", StopSignal="SIGQUIT")
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        with Load(engine, gate.address("http")) as load:
            load.progress(300, by=[one, two])
            two.stop()
            becomes(gate, web_1="ready")
            load.progress(300, by=[one])
    assert two.when("term") and not load.failures() and not load.doubles([one, two])


def test_comes_back_with_another_address(engine):
    """Its old address belongs to another container by then: each gets its own requests."""
    one, two = engine.run("web-1"), engine.run("web-2")
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        was = one.address
        with Load(engine, gate.address("http")) as load:
            load.progress(200, by=[one, two])
            one.stop()
            three = engine.run("web-3")
            assert three.address == was
            becomes(gate, web_2="ready", web_3="ready")
            load.progress(200, by=[two, three])
            one.start()
            assert one.address != was
            becomes(gate, web_1="ready", web_2="ready", web_3="ready")
            load.progress(200, by=[one, two, three])
    webs = [one, two, three]
    assert not load.failures() and not load.doubles(webs) and not load.lost(webs)


def test_another_service_at_the_old_address(engine):
    """What gets a dead replica's address and is no replica never gets a request."""
    one, two = engine.run("web-1"), engine.run("web-2")
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        was = one.address
        with Load(engine, gate.address("http")) as load:
            load.progress(200, by=[one, two])
            one.kill()
            db = engine.run("db-1", service="db")
            assert db.address == was
            until(db.answers, "it")
            load.progress(500, by=[two])
    assert db.requests() == [] and not load.doubles([one, two])


def test_network_disconnected_and_connected(engine):
    """Without an address it is none; with one again, whichever, it is."""
    one, two = engine.run("web-1"), engine.run("web-2")
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        two.disconnect("app")
        until(lambda: states(gate).get("web-2") != "ready", "web-1 alone", PATIENCE)
        assert answerers(gate) == {"web-1"}
        two.connect("app")
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}
    assert one.state == "running"
