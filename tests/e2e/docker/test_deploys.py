# SPDX-License-Identifier: Apache-2.0
"""Deploys under load: replicas are added, removed and replaced while some thousand requests a second go
through the gate. No request fails but a POST that a SIGKILLed replica had; no POST is done twice."""
import time

import pytest

from engine import Events
from harness import Gate
from load import Load
from members import becomes, start

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "{docker}" } }
    upstreams:
      app: { docker: { service: web, port: 8000 }, balance: {balance}, wait_for_endpoint: 30s }
    routes: [ { upstream: app } ]
    """


@pytest.fixture(params=["round_robin", "least_requests"])
def gate(engine, request):
    with Gate(CONFIG, docker=engine.endpoint, balance=request.param, workers=2) as g:
        yield g


def test_scale(engine, gate):
    """1 -> 10 -> 2: each of the ten gets its share; those that leave lose nothing."""
    webs = start(engine, gate, "web-1")
    with Load(engine, gate.address("http")) as load:
        load.progress(300)
        webs += start(engine, gate, *(f"web-{i}" for i in range(2, 11)))
        load.progress(50, by=webs)
        for web in webs[2:]:
            web.stop()
        becomes(gate, web_1="ready", web_2="ready")
        load.progress(300, by=webs[:2])
    load.check_all(webs)


@pytest.mark.parametrize("options", [(), ("after=700",)])
def test_rolling_replacement(engine, gate, options):
    """New before old, for each of three; new ones may start slowly, as they have a HEALTHCHECK."""
    webs = old = start(engine, gate, "web-1", "web-2", "web-3", health=1)
    with Load(engine, gate.address("http")) as load:
        load.progress(100, by=old)
        for i, leaver in enumerate(old):
            new = start(engine, gate, f"web-{i + 4}", options=options, health=1)
            webs = webs + new
            load.progress(50, by=new)
            leaver.stop()
            leaver.remove()
        becomes(gate, web_4="ready", web_5="ready", web_6="ready")
        load.progress(100, by=webs[3:])
    load.check_all(webs)


def test_quick_ones_are_replaced(engine, gate):
    """They close idle connections at SIGTERM, so a POST may cross that: the gate must not repeat it and
    says 502. Every GET gets its answer."""
    webs = old = start(engine, gate, "web-1", "web-2", options=["stop=quick"])
    with Load(engine, gate.address("http")) as load:
        load.progress(200, by=old)
        for i, leaver in enumerate(old):
            webs = webs + start(engine, gate, f"web-{i + 3}", options=["stop=quick"])
            leaver.stop()
        becomes(gate, web_3="ready", web_4="ready")
        load.progress(200, by=webs[2:])
    load.check(webs)
    assert all(r.method == "POST" and r.status == 502 for r in load.failures()), load.failures()[:5]


def test_killed_one_after_the_other(engine, gate):
    """SIGKILL, and it is started again: only POSTs that it had got no answer, at most as many as there
    were connections."""
    webs = start(engine, gate, "web-1", "web-2", "web-3", "web-4")
    with Load(engine, gate.address("http"), connections=32) as load, Events(engine) as events:
        load.progress(100, by=webs)
        windows = []
        for web in webs:
            began_us = time.time_ns() // 1000
            web.kill()
            windows.append((began_us, events.wait(web, "container die").seen_us))
            load.progress(100, by=[w for w in webs if w is not web])
            web.start()
            load.progress(100, by=webs)
    load.check(webs)
    for r in load.failures():
        assert r.method == "POST" and r.status == 502, r
        assert any(r.sent_us <= end and begin <= r.done_us for begin, end in windows), r
