# SPDX-License-Identifier: Apache-2.0
"""What happens to the containers. Each scenario has the replicas that it begins with, and is a function
that is run while the load goes on."""

import collections
import signal

from engine import Container, Events

SCENARIOS = {}
Scenario = collections.namedtuple("Scenario", "name about run count config")


def scenario(about, count, **config):
    """Begins with that many replicas."""
    def add(run):
        name = run.__name__.replace("_", "-")
        SCENARIOS[name] = Scenario(name, about, run, count, config)
        return run
    return add


@scenario("1 -> 10 -> 2 replicas", 1)
def scale(turn):
    turn.run(*(f"web-{i}" for i in range(2, 11)))
    turn.serve(turn.webs)
    turn.steady()
    for web in turn.webs[2:]:
        turn.remove(web)
    turn.steady()


@scenario("`docker-compose up --scale`: 1 -> 6 -> 2", 1, by_compose=True)
def compose_scale(turn):
    turn.compose_up(6)
    turn.serve(turn.webs)
    turn.steady()
    turn.serve(turn.compose_up(2))
    turn.steady()


# Half a second is left to what is open after SIGTERM: a proxy's idle connections, say.
GRACE = "grace=500"


def replace_all(turn, *options):
    """New before old, each."""
    old = turn.webs[:]
    for number in range(turn.rounds):
        fresh = []
        for leaver in old:
            fresh += turn.run(f"web-{len(turn.webs) + 1}", options=options)
            turn.serve(fresh[-1:])
            turn.remove(leaver)
        old = fresh
    turn.steady()


@scenario("3 replicas replaced, new before old; at SIGTERM they refuse connections and end those that are open "
          "with the next answer", 3, options=[GRACE])
def replace(turn):
    replace_all(turn, GRACE)


@scenario("2 replicas; at SIGTERM they go on for half a second and then exit", 2, options=["stop=later", GRACE])
def replace_late(turn):
    replace_all(turn, "stop=later", GRACE)


@scenario("2 replicas; at SIGTERM they close idle connections at once", 2, options=["stop=quick", GRACE])
def replace_quick(turn):
    replace_all(turn, "stop=quick", GRACE)


@scenario("1 replica replaced, old before new", 1, options=[GRACE])
def recreate(turn):
    for number in range(turn.rounds):
        turn.remove(turn.webs[-1])
        turn.serve(turn.run(f"web-{number + 2}", options=[GRACE]))
        turn.steady(0.5)


@scenario("`docker kill -s KILL` of 4 replicas, one at a time, each started again", 4)
def kill(turn):
    for web in turn.webs:
        turn.kill(web)
        turn.steady()
        web.start()
        turn.serve([web])
        turn.steady(0.5)


@scenario("`pause` of each of 3 replicas for two seconds", 3)
def pause(turn):
    for web in turn.webs:
        web.pause()
        turn.steady(2)
        web.unpause()
        turn.serve([web])
        turn.steady(0.5)


@scenario("dockerd restarted with live-restore, by SIGTERM and by SIGKILL; then a replica replaced", 2)
def daemon_live(turn):
    turn.engine.live_restore(True)
    for sig in signal.SIGTERM, signal.SIGKILL:
        turn.engine.stop(sig)
        turn.steady()
        turn.engine.start()
        turn.steady()
    turn.serve(turn.run("web-3"))
    turn.remove(turn.webs[0])
    turn.steady()


@scenario("dockerd restarted without live-restore: it stops all replicas and starts them again", 2, restart="always")
def daemon_restart(turn):
    turn.engine.restart()
    turn.serve(turn.webs)
    turn.steady()


@scenario("the HEALTHCHECK of each of 3 replicas turns bad, and good again", 3, health=1)
def health(turn):
    with Events(turn.engine) as events:
        for web in turn.webs:
            web.request("/sick", "POST")
            events.wait(web, "health_status: unhealthy")
            turn.steady()
            web.request("/well", "POST")
            events.wait(web, "health_status: healthy")
            turn.serve([web])


@scenario("the network of each of 3 replicas disconnected for two seconds, and connected again", 3)
def network(turn):
    for web in turn.webs:
        web.disconnect("app")
        turn.steady(2)
        web.connect("app")
        turn.serve([web])
        turn.steady(0.5)


@scenario("200 replicas created at once beside 1, and stopped at once", 1, options=[GRACE])
def many(turn):
    more = turn.run(*(f"web-{i}" for i in range(2, 202)), options=[GRACE])
    turn.serve(more)
    turn.steady()
    turn.engine.at_once(Container.stop, more)
    turn.steady()
