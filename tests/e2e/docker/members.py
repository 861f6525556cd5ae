# SPDX-License-Identifier: Apache-2.0
"""What the gate says of containers that are endpoints of its first upstream."""
from engine import PATIENCE
from harness import until


def upstream(gate):
    return gate.admin("/v1/status").json["upstreams"][0]


def docker(gate):
    return gate.admin("/v1/status").json["docker"]


def states(gate):
    """{container: state} of the endpoints; their addresses end with the container's name."""
    return {e["address"].split(" ")[-1]: e["state"] for e in upstream(gate)["endpoints"]}


def start(engine, gate, *names, options=(), **config):
    """Starts containers and waits until the gate uses all of them."""
    webs = engine.run_all(names, *options, **config)
    until(lambda: all(states(gate).get(n) == "ready" for n in names), f"{names}", PATIENCE)
    return webs


def reason(gate, name):
    """Why that container is in its state."""
    [e] = [e for e in upstream(gate)["endpoints"] if e["address"].split(" ")[-1] == name]
    return e["reason"]


def becomes(gate, **wanted):
    """Waits until the endpoints are exactly these: web_1="ready" and so on."""
    wanted = {name.replace("_", "-"): state for name, state in wanted.items()}
    try:
        until(lambda: states(gate) == wanted, f"{wanted}", PATIENCE / 2)
    except AssertionError as e:
        raise AssertionError(f"{e}: there are {upstream(gate)['endpoints']}") from None


def answerers(gate, count=12):
    """Who answers that many requests."""
    return {gate.request(f"/{i}").body.decode().split()[-1] for i in range(count)}
