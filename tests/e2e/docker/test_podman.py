# SPDX-License-Identifier: Apache-2.0
"""Podman in the place of the Docker engine: what it tells is less, and what the gate makes of it is the same."""
import threading

import pytest

from engine import PATIENCE, Events
from harness import Gate, read_message, until
from load import Load
from members import answerers, becomes, docker, reason, states
from podman_engine import PodmanEngine

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "{docker}", {more} } }
    upstreams:
      app:
        docker: { service: web, {which} }
        balance: round_robin
        wait_for_endpoint: 60s
    routes: [ { upstream: app } ]
    """


@pytest.fixture(scope="module")
def one_podman():
    with PodmanEngine() as engine:
        yield engine


@pytest.fixture
def podman(one_podman):
    one_podman.clear()
    yield one_podman
    one_podman.clear()


def gate_for(podman, more="", which="port: 8000"):
    return Gate(CONFIG, docker=podman.endpoint, more=more, which=which)


def running(podman, count):
    return [podman.run(f"web-{i}") for i in range(1, count + 1)]


def check_health(podman, container):
    """Nobody does it by the clock where there is no systemd."""
    podman.inside_podman("healthcheck", "run", container.name)


def test_containers_appear_and_go(podman):
    """Those of the service; as they start, and when they are killed, removed and started again."""
    with gate_for(podman) as gate:
        assert states(gate) == {}
        one, two = running(podman, 2)
        podman.run("db-1", service="db")
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}
        two.kill()
        becomes(gate, web_1="ready")
        two.start()
        becomes(gate, web_1="ready", web_2="ready")
        one.remove()
        becomes(gate, web_2="ready")
        assert answerers(gate) == {"web-2"}
        assert docker(gate)["api"] == "1.41" and not docker(gate)["trouble"]


def test_the_port_must_be_said(podman):
    """An exposed one is not listed."""
    podman.run("web-1")
    podman.run("web-2", labels={"wharfgate.port": "8000"})
    with gate_for(podman, which="") as gate:
        becomes(gate, web_1="quarantined", web_2="ready")
        assert "no TCP port of it is listed as exposed" in reason(gate, "web-1")


def test_scale_under_load(podman):
    """1 -> 6 -> 2. It tells of a stop when that is over: connections that are refused until then go elsewhere;
    of those that the replica ends in order nothing is lost."""
    webs = running(podman, 1)
    with gate_for(podman) as gate:
        becomes(gate, web_1="ready")
        with Load(podman, gate.address("http")) as load:
            load.progress(300)
            webs += [podman.run(f"web-{i}") for i in range(2, 7)]
            load.progress(50, by=webs)
            for web in webs[2:]:
                web.stop()
            becomes(gate, web_1="ready", web_2="ready")
            load.progress(300, by=webs[:2])
        print(f"\n  {len(load.results)} requests", end="")
        assert not load.failures(), load.failures()[:5]
        assert not load.doubles(webs) and not load.lost(webs)


def test_replacement_under_load(podman):
    """New before old, each of two, and the new ones listen late."""
    webs = running(podman, 2)
    with gate_for(podman) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        with Load(podman, gate.address("http")) as load:
            load.progress(100, by=webs)
            for i, leaver in enumerate(list(webs)):
                webs.append(podman.run(f"web-{i + 3}", "after=700"))
                load.progress(50, by=webs[-1:])
                leaver.stop()
                leaver.remove()
            becomes(gate, web_3="ready", web_4="ready")
        assert not load.failures(), load.failures()[:5]
        assert not load.doubles(webs) and not load.lost(webs)


def test_a_stop_is_seen_while_it_lasts(podman):
    """A request runs, so the container does not end: as soon as anything makes the gate look, it drains."""
    one, two = running(podman, 2)
    with gate_for(podman, more="refresh: 1s") as gate, gate.connect() as c:
        becomes(gate, web_1="ready", web_2="ready")
        c.send("GET /?ms=4000 HTTP/1.1\r\nHost: a\r\n\r\n")
        busy = until(lambda: next((w for w in (one, two) if active(gate, w.name)), None), "the request")
        with Events(podman) as events:
            stop = threading.Thread(target=busy.stop, args=(30,))
            stop.start()
            until(lambda: states(gate)[busy.name] == "draining", "it to drain", PATIENCE)
            assert len(answerers(gate)) == 1
            assert read_message(c).status == 200
            stop.join()
            print(f"\n  told of the stop: {[e.action for e in events.of(busy)]}", end="")
        until(lambda: busy.name not in states(gate), "its end", PATIENCE)


def active(gate, name):
    endpoints = gate.admin("/v1/status").json["upstreams"][0]["endpoints"]
    return sum(e["active"] for e in endpoints if e["address"].endswith(name))


def test_pause(podman):
    one, two = running(podman, 2)
    with gate_for(podman) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        two.pause()
        becomes(gate, web_1="ready", web_2="unhealthy")
        assert answerers(gate) == {"web-1"}
        two.unpause()
        becomes(gate, web_1="ready", web_2="ready")


def test_health(podman):
    """Its HEALTHCHECK's results come by events alone, each that of the check before."""
    one, two = (podman.run(f"web-{i}", health=60) for i in (1, 2))
    until(lambda: one.answers() and two.answers(), "answers", PATIENCE)
    with gate_for(podman) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        two.request("/sick", "POST")
        for _ in range(3):
            check_health(podman, two)
        becomes(gate, web_1="ready", web_2="unhealthy")
        assert answerers(gate) == {"web-1"}
        two.request("/well", "POST")
        for _ in range(2):
            check_health(podman, two)
        becomes(gate, web_1="ready", web_2="ready")


def test_its_service_is_restarted(podman):
    """Containers live on without it: so do requests."""
    webs = running(podman, 2)
    with gate_for(podman) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        with Load(podman, gate.address("http")) as load:
            load.progress(100, by=webs)
            podman.stop(name="podman")
            until(lambda: not docker(gate)["connected"], "the gate to notice", PATIENCE)
            load.progress(300, by=webs)
            podman.start()
            until(lambda: docker(gate)["connected"], "the gate to be back", PATIENCE)
            webs.append(podman.run("web-3"))
            load.progress(100, by=webs)
        assert not load.failures(), load.failures()[:5]
