# SPDX-License-Identifier: Apache-2.0
"""What happens to Redis, one class each: where gates find it, how it begins and how it ends.
`loses`: whether counts are lost, so that buckets begin full once more."""

import contextlib

from redisfarm import ClusterFarm, Redis, SentinelFarm
from relay import Relay


class Fault:
    name, about, loses = "none", "nothing happens", False
    begin = end = lambda self: None

    def __init__(self, stack, keys):
        self.stack, self.keys = stack, keys
        self.redis = stack.enter_context(Redis())
        self.url, self.more = f"redis://{self.redis.address}", ""


class Stopped(Fault):
    name, about = "stopped", "SIGSTOP, SIGCONT at the end"

    def begin(self):
        self.redis.pause()

    def end(self):
        self.redis.resume()


class Killed(Fault):
    name, about, loses = "killed", "SIGKILL, started at the end, empty", True

    def begin(self):
        self.redis.kill()

    def end(self):
        self.redis.start()


class Restarted(Fault):
    name, about, loses = "restarted", "SIGKILL, and started at once, empty", True

    def begin(self):
        self.redis.kill()
        self.redis.start()


class Flushed(Fault):
    name, about, loses = "flushed", "FLUSHALL and SCRIPT FLUSH", True

    def begin(self):
        self.redis.call("FLUSHALL")
        self.redis.call("SCRIPT", "FLUSH")


class Full(Fault):
    name, about = "full", "`maxmemory 1`, noeviction; then none again"

    def begin(self):
        self.redis.call("CONFIG", "SET", "maxmemory", 1)

    def end(self):
        self.redis.call("CONFIG", "SET", "maxmemory", 0)


class Slow(Fault):
    name, about, seconds = "slow 2 ms", "a relay holds answers back for 2 ms", 0.002

    def __init__(self, stack, keys):
        super().__init__(stack, keys)
        self.relay = stack.enter_context(Relay(self.redis.address))
        self.url = f"redis://{self.relay.address}"

    def begin(self):
        self.relay.delay = self.seconds

    def end(self):
        self.relay.delay = 0.0


class TooSlow(Slow):
    name, about, seconds = "slow 20 ms", "a relay holds answers back for 20 ms", 0.02


class FailedOver(Fault):
    name, loses = "failed over", True
    about = "SIGKILL of the master; Sentinel (down after 500 ms) makes its replica master"

    def __init__(self, stack, keys):
        self.farm = stack.enter_context(SentinelFarm(replicas=1))
        servers = ", ".join(f'"{s.address}"' for s in self.farm.sentinels)
        self.url, self.more = "redis://gate", f", sentinel: {{ master: gate, servers: [{servers}] }}"
        self.master = self.farm.master

    def begin(self):
        self.master.kill()

    def end(self):
        with contextlib.suppress(AssertionError):
            self.farm.await_master(other_than=self.master)


class Moved(Fault):
    name, about = "slot moved", "of a cluster of six nodes: each key's slot, to another master"

    def __init__(self, stack, keys):
        self.farm = stack.enter_context(ClusterFarm(masters=3, replicas=1))
        self.url, self.more = f"redis://{self.farm.nodes[0].address}", ", cluster: true"
        self.slots = {self.farm.slot(f"wharfgate:{{shared:{key}}}") for key in keys}

    def begin(self):
        for slot in self.slots:
            old = self.farm.owner(slot)
            self.farm.move(slot, next(n for n in self.farm.masters() if n is not old))


FAULTS = {f.name: f for f in (Fault, Stopped, Killed, Restarted, Flushed, Full, Slow, TooSlow,
                              FailedOver, Moved)}
