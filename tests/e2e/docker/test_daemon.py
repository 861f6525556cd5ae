# SPDX-License-Identifier: Apache-2.0
"""The daemon ends and starts again, with and without its containers, while requests go on; and the gate
starts when there is none."""
import signal

import pytest

from engine import PATIENCE
from harness import Gate, until
from load import Load
from members import answerers, becomes, docker, states, upstream

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "{docker}", {more} } }
    upstreams:
      app:
        docker: { service: web, port: 8000 }
        balance: round_robin
        wait_for_endpoint: 60s
    routes: [ { upstream: app } ]
    """


def gate_for(engine, more=""):
    return Gate(CONFIG, docker=engine.endpoint, more=more)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL])
def test_daemon_restarts_and_nobody_notices(engine, sig):
    """Containers live on without it: so do requests. What changes afterwards is seen again."""
    webs = [engine.run("web-1"), engine.run("web-2")]
    engine.live_restore(True)
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        with Load(engine, gate.address("http")) as load:
            load.progress(200, by=webs)
            engine.stop(sig)
            until(lambda: not docker(gate)["connected"], "the gate to notice", PATIENCE)
            load.progress(500, by=webs)
            assert states(gate) == {"web-1": "ready", "web-2": "ready"}
            engine.start()
            until(lambda: docker(gate)["connected"], "the gate to be back", PATIENCE)
            webs.append(engine.run("web-3"))
            load.progress(200, by=webs)
        assert docker(gate)["reconnects"] >= 1
    assert not load.failures() and not load.doubles(webs)


def test_daemon_restarts_and_all_replicas_with_it(engine):
    """Meanwhile requests wait; none fails."""
    webs = [engine.run("web-1", restart="always"), engine.run("web-2", restart="always")]
    with gate_for(engine) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        with Load(engine, gate.address("http")) as load:
            load.progress(200, by=webs)
            engine.restart()
            becomes(gate, web_1="ready", web_2="ready")
            load.progress(200, by=webs)
    assert not load.failures() and not load.doubles(webs)


def test_starts_while_the_daemon_is_down(engine, tmp_path):
    """It serves what it knew when it last ran, says so, and follows the daemon once it is there."""
    webs = [engine.run("web-1"), engine.run("web-2")]
    engine.live_restore(True)
    snapshot = tmp_path / "docker.json"
    with gate_for(engine, more=f"snapshot: {snapshot}") as gate:
        becomes(gate, web_1="ready", web_2="ready")
        until(snapshot.exists, "the snapshot")
    engine.stop()
    with gate_for(engine, more=f"snapshot: {snapshot}") as gate:
        assert answerers(gate) == {"web-1", "web-2"}
        assert docker(gate)["snapshot"] and not docker(gate)["connected"]
        engine.start()
        until(lambda: docker(gate)["connected"], "the daemon", PATIENCE)
        webs[0].stop()
        engine.run("web-3")
        becomes(gate, web_2="ready", web_3="ready")
        assert not docker(gate)["snapshot"]


def test_starts_while_the_daemon_is_down_and_knows_nothing(engine):
    """Requests wait until there is a daemon, and a container."""
    engine.run("web-1", restart="always")
    engine.stop()
    with gate_for(engine) as gate, gate.connect() as c:
        c.send("GET /early HTTP/1.1\r\nHost: a\r\n\r\n")
        until(lambda: upstream(gate)["queued"] == 1, "it to wait")
        engine.start()
        assert c.read_until(b"web-1\n").startswith(b"HTTP/1.1 200")
