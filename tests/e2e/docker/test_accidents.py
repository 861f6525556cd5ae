# SPDX-License-Identifier: Apache-2.0
"""What else happens to containers, under load, with fewer rounds than tests/bench/zero-loss: no request fails, no
POST is done twice."""
import pytest

from compose import Compose
from engine import PATIENCE, Container, Events
from harness import Gate, until
from load import Load
from members import becomes, start, states

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "{docker}" } }
    upstreams:
      app: { docker: { service: web, port: 8000 }, wait_for_endpoint: 30s }
    routes: [ { upstream: app } ]
    log: { level: info, access: "off" }
    """


@pytest.fixture
def gate(engine):
    with Gate(CONFIG, docker=engine.endpoint, workers=2) as g:
        yield g


def test_old_before_new(engine, gate):
    """The only replica goes, and then another one comes: meanwhile requests wait. Five times."""
    webs = start(engine, gate, "web-1")
    with Load(engine, gate.address("http"), connections=512, rate=1500) as load:
        load.progress(200)
        for i in range(2, 7):
            webs[-1].stop()
            webs[-1].remove()
            webs += start(engine, gate, f"web-{i}")
            load.progress(200, by=webs[-1:])
    load.check_all(webs)


def test_compose_scales(engine, gate):
    """`docker-compose up --scale`: 1 -> 5 -> 2, and back to 5."""
    services = Compose(engine)
    webs = {w.name: w for w in services.up(1)}
    with Load(engine, gate.address("http")) as load:
        load.progress(200)
        for count in (5, 2, 5):
            running = services.up(count)
            webs |= {w.name: w for w in running}
            load.progress(50, by=running)
    load.check_all(webs.values())


def test_two_hundred_at_once(engine, gate):
    """Beside one; each of them gets requests. Then all of them stop at once."""
    [first] = start(engine, gate, "web-1", options=["grace=300"])
    with Load(engine, gate.address("http"), connections=128, rate=1000) as load:
        load.progress(200)
        more = start(engine, gate, *(f"web-{i}" for i in range(2, 202)), options=["grace=300"])
        load.progress(1, by=more)
        engine.at_once(Container.stop, more)
        becomes(gate, web_1="ready")
        load.progress(200, by=[first])
    load.check_all([first, *more])


def test_pause(engine, gate):
    """What a paused one has waits until it goes on; all else goes elsewhere."""
    webs = start(engine, gate, "web-1", "web-2", "web-3")
    with Load(engine, gate.address("http"), connections=64) as load:
        for web in webs:
            load.progress(100, by=webs)
            web.pause()
            load.progress(1000)
            web.unpause()
        load.progress(100, by=webs)
    load.check_all(webs)


def test_health(engine, gate):
    """Bad and good again, one after the other."""
    webs = start(engine, gate, "web-1", "web-2", "web-3", health=0.5)
    with Load(engine, gate.address("http")) as load, Events(engine) as events:
        for web in webs:
            load.progress(100, by=webs)
            web.request("/sick", "POST")
            events.wait(web, "health_status: unhealthy")
            until(lambda: states(gate)[web.name] == "unhealthy", "the gate to know", PATIENCE)
            load.progress(300)
            web.request("/well", "POST")
            until(lambda: states(gate)[web.name] == "ready", "it to be well", PATIENCE)
        load.progress(100, by=webs)
    load.check_all(webs)


def test_network(engine, gate):
    """Disconnected and connected again with what it had: its kernel sends again what got lost."""
    webs = start(engine, gate, "web-1", "web-2", "web-3")
    with Load(engine, gate.address("http"), connections=64) as load:
        for web in webs:
            load.progress(100, by=webs)
            web.disconnect("app")
            until(lambda: states(gate).get(web.name) != "ready", "the gate to know", PATIENCE)
            load.progress(500)
            web.connect("app")
            until(lambda: states(gate).get(web.name) == "ready", "it to be back", PATIENCE)
        load.progress(100, by=webs)
    load.check_all(webs)
