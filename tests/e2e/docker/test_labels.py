# SPDX-License-Identifier: Apache-2.0
"""Routes that containers' labels make, of a real engine."""
import pytest

from engine import PATIENCE
from harness import Gate, run, until
from load import Load

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "{docker}" } }
    rate_limits: { api: { key: client_ip, rate: 1000/s, burst: 1000 } }
    routes: [ { match: { host: file.example }, redirect: /x } ]
    """


@pytest.fixture
def gate(engine):
    with Gate(CONFIG, docker=engine.endpoint, workers=2) as g:
        yield g


def labels(host, **more):
    return {"wharfgate.enable": "true", "wharfgate.host": host,
            **{f"wharfgate.{name}": value for name, value in more.items()}}


def states(gate):
    return {r["name"]: r["state"] for r in gate.admin("/v1/status").json["docker"]["routes"]}


def becomes(gate, **wanted):
    wanted = {f"docker:shop/{name}": state for name, state in wanted.items()}
    until(lambda: states(gate) == wanted, f"{wanted}", PATIENCE)


def who(gate, host, target="/"):
    r = gate.request(target, host=host)
    return r.body.decode().split()[-1] if r.status == 200 else r.status


def test_two_services(engine, gate):
    """Each by its host; one is told to stop, removed and made anew; a third one wants the host of another."""
    engine.run("web-1", labels=labels("a.example,www.a.example", rate_limit="api"))
    blog = engine.run("blog-1", service="blog", labels=labels("b.example"))
    engine.run("api-1", service="api", labels=labels("a.example", path="/api"))
    becomes(gate, web="serves", blog="serves", api="serves")
    until(lambda: [who(gate, *one) for one in (("a.example",), ("www.a.example",), ("b.example",),
                                               ("a.example", "/api/x"), ("c.example",))]
          == ["web-1", "web-1", "blog-1", "api-1", 404], "answers", PATIENCE)
    engine.run("web-2", labels=labels("a.example,www.a.example", rate_limit="api"))
    until(lambda: {who(gate, "a.example") for _ in range(12)} == {"web-1", "web-2"}, "both", PATIENCE)
    generation = gate.admin("/v1/status").json["generation"]
    blog.stop()
    blog.remove()
    becomes(gate, web="serves", blog="waits", api="serves")
    engine.run("blog-2", service="blog", labels=labels("b.example"))
    becomes(gate, web="serves", blog="serves", api="serves")
    until(lambda: who(gate, "b.example") == "blog-2", "its answer", PATIENCE)
    assert gate.admin("/v1/status").json["generation"] == generation
    engine.run("late-1", service="late", labels=labels("b.example"))
    until(lambda: states(gate).get("docker:shop/late") == "refused", "the conflict", PATIENCE)
    told = run("explain", "late-1", "--socket", gate.socket_path).stdout
    assert "this route matches just what the route in the labels of docker:shop/blog does, for the host `b.example`" in told
    assert who(gate, "b.example") == "blog-2"


def test_a_lone_replica_is_replaced_under_load(engine, gate):
    """It stops before the next one starts, as `docker compose up` does it: requests wait, none fails."""
    webs = [engine.run("web-1", labels=labels("load"))]
    becomes(gate, web="serves")
    with Load(engine, gate.address("http")) as load:
        load.progress(300, by=webs)
        generation = gate.admin("/v1/status").json["generation"]
        for i in (2, 3, 4):
            webs[-1].stop()
            webs[-1].remove()
            webs.append(engine.run(f"web-{i}", labels=labels("load"), health=1))
            load.progress(300, by=webs[-1:])
        assert gate.admin("/v1/status").json["generation"] == generation
    load.check_all(webs)
