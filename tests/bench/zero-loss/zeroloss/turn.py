# SPDX-License-Identifier: Apache-2.0
"""One scenario with one proxy: what is done to the containers, and what became of the requests."""

import collections
import contextlib
import http.client
import time

from compose import Compose
from engine import PATIENCE
from harness import until
from load import Load

SERVING_SECONDS = 10


def is_well(address):
    """Over a connection of its own: any of its processes may answer."""
    connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    with contextlib.suppress(OSError), contextlib.closing(connection):
        connection.request("GET", "/")
        return connection.getresponse().status == 200
    return False


class Turn:
    """What a scenario does goes through here: so every container is remembered."""

    def __init__(self, engine, options):
        self.engine, self.options = engine, options
        self.rounds, self.rate = options.rounds, options.rate
        self.webs, self.notes, self.kills = [], collections.Counter(), []
        self.load = self.compose = None

    def begin(self, count, by_compose=False, **config):
        """The replicas that there are before the load; they are well when it returns."""
        if by_compose:
            self.compose = Compose(self.engine)
            self.compose_up(count)
        else:
            self.run(*(f"web-{i + 1}" for i in range(count)), **config)
        until(lambda: all(w.answers() for w in self.webs), "the replicas", PATIENCE)
        if config.get("health"):
            until(lambda: all(w.health == "healthy" for w in self.webs), "their health", PATIENCE)

    def under_load(self, entrant, act):
        """Runs `act` while the load goes on, once all replicas have requests."""
        until(lambda: all(is_well(entrant.address) for _ in range(20)), "the proxy", PATIENCE)
        options = self.options
        with Load(self.engine, entrant.address, options.connections, self.rate, options.post) as self.load:
            self.serve(self.webs)
            self.steady()
            act(self)

    def compose_up(self, count):
        """Those that run then."""
        running, seen = self.compose.up(count), {w.name for w in self.webs}
        self.webs += [w for w in running if w.name not in seen]
        return running

    def run(self, *names, **config):
        webs = self.engine.run_all(names, *config.pop("options", ()), **config)
        self.webs += webs
        return webs

    def steady(self, seconds=1.0):
        """So many requests have come to an end, well or not, as are due in that time."""
        start, each = len(self.load.look()), int(self.rate * seconds)
        until(lambda: len(self.load.look()) - start >= each, f"{each} answers", PATIENCE)

    def serve(self, webs):
        """Waits until each of these has had one more request; whoever deploys cannot, but it is kind."""
        had = {w.name: len(w.requests()) for w in webs}
        try:
            until(lambda: all(len(w.requests()) > had[w.name] for w in webs), "requests", SERVING_SECONDS)
        except AssertionError:
            self.notes[f"not used within {SERVING_SECONDS} s"] += 1

    def remove(self, web):
        web.stop()
        web.remove()

    def kill(self, web):
        """POSTs that it had then are lost, and nobody may send them again."""
        began_us = time.time_ns() // 1000
        web.kill()
        until(lambda: not web.inspect()["State"]["Running"], "its end", PATIENCE)
        self.kills.append((began_us, time.time_ns() // 1000))

    # ---- what became of it ----

    def counts(self):
        load = self.load
        failures = load.failures()
        waits = sorted(r.done_us - r.sent_us for r in load.results)
        seconds = (load.results[-1].done_us - load.results[0].sent_us) / 1e6
        return {
            "requests": len(load.results), "seconds": round(seconds, 1),
            "failed_get": sum(r.method == "GET" for r in failures),
            "failed_post": sum(r.method == "POST" for r in failures),
            # Of those: what could not be helped, since a replica had it when it was killed.
            "killed_post": sum(r.method == "POST" and self._was_killed(r) for r in failures),
            # Of those: no answer at all, for the proxy had closed or closed then.
            "unanswered": sum(r.status == 0 for r in failures),
            "failures": collections.Counter(f"{r.method} {r.status or ''} {r.word}" for r in failures),
            "doubles": len(load.doubles(self.webs)),
            "lost": len(load.lost(self.webs)),
            "longest_ms": round(waits[-1] / 1000), "p99_ms": round(waits[len(waits) * 99 // 100] / 1000, 1),
            "notes": dict(self.notes)}

    def _was_killed(self, result):
        return any(result.sent_us <= end and begin <= result.done_us for begin, end in self.kills)
