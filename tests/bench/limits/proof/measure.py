# SPDX-License-Identifier: Apache-2.0
"""A run: Redis, so many gateways, one load, all new."""

import contextlib
import subprocess
import time
from pathlib import Path

from sidebyside import load as programs

from harness import Gate, until

from . import judge

HERE = Path(__file__).resolve().parent.parent
DEADLINE_MS = 5 # the preset
SLACK_MS = 3
PLAIN_PERCENT = 20

CONFIG = """
listeners: { http: { address: "127.0.0.1:0" } }
stores: { redis: { url: "{url}", on_failure: {on_failure}{more} } }
rate_limits:
  shared: { key: "header:X-Key", rate: {rate}/s, burst: {burst}, store: redis, mode: {mode} }
routes:
  - { match: { path: /limited }, rate_limit: shared, respond: { body: ok } }
  - { match: { path: /plain }, respond: { body: ok } }
log: { access: off }
"""


def build(folder):
    compare = programs.SOURCES / "load"
    programs.build_program(folder / "load", [HERE / "load.c", compare / "client.c"],
                           ["-lssl", "-lcrypto", "-lm"])


def store(gate):
    return gate.admin("/v1/limits").json["store"]


def rule(gate):
    return gate.admin("/v1/limits").json["rate_limits"][0]


def is_ready(gate, count):
    s = store(gate)
    return s["connected"] and s["gateways"] == count and \
        gate.request("/limited", headers={"X-Key": "before"}).status == 200


def settled(gate, count):
    """A first request found the script and, in a cluster, connections; now all of them count."""
    until(lambda: is_ready(gate, count), "the gateways to know each other", 30)


def weights(count, traffic):
    """`even`, or 70 % to the first."""
    if traffic == "even" or count == 1:
        return [1] * count
    return [7 * (count - 1)] + [3] * (count - 1)


class Run:
    """What was asked and counted; JSON of plain numbers."""

    def __init__(self, options, folder, fault, count, traffic, mode, on_failure):
        self.options, self.folder, self.fault = options, folder, fault
        self.count, self.traffic, self.mode, self.on_failure = count, traffic, mode, on_failure

    def measure(self):
        o, keys = self.options, [f"key-{i}" for i in range(self.options.keys)]
        with contextlib.ExitStack() as stack:
            fault = self.fault(stack, keys)
            gates = [stack.enter_context(Gate(
                CONFIG, workers=1, url=fault.url, more=fault.more, rate=o.rate, burst=o.burst,
                mode=self.mode, on_failure=self.on_failure)) for _ in range(self.count)]
            for g in gates:
                settled(g, self.count)
            before = [(store(g), rule(g)) for g in gates]
            records, begun, ended = self._load(gates, fault)
            after = [(store(g), rule(g)) for g in gates]
        return self._figures(records, begun, ended, before, after)

    def _load(self, gates, fault):
        o = self.options
        targets = [f"{':'.join(map(str, g.address('http')))}={w}"
                   for g, w in zip(gates, weights(self.count, self.traffic))]
        total = round(o.load * 100 / (100 - PLAIN_PERCENT))
        command = [self.folder / "load", "--rate", total, "--run-ms", round(o.seconds * 1000),
                   "--keys", o.keys, "--plain", PLAIN_PERCENT, "--seed", o.seed, *targets]
        process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, text=True)
        try:
            start = time.monotonic()
            time.sleep(o.seconds * 0.3)
            begun = time.monotonic()
            fault.begin()
            time.sleep(max(0.0, start + o.seconds * 0.6 - time.monotonic()))
            fault.end()
            ended = time.monotonic()
            text, _ = process.communicate(timeout=o.seconds + 60)
        finally:
            process.kill()
        assert process.returncode == 0, "the load has failed"
        return judge.parse(text), begun, ended

    def _figures(self, records, begun, ended, before, after):
        o = self.options
        during = judge.within(records, begun, ended)
        grown = {k: sum(a[0][k] - b[0][k] for b, a in zip(before, after))
                 for k in ("calls", "late", "lost", "errors", "not_sent", "circuits_opened")}
        admitted = judge.statuses(records)[200]
        counted = sum(a[1]["admitted"] - b[1]["admitted"] for b, a in zip(before, after))
        over = DEADLINE_MS + SLACK_MS
        parts = {"limited": judge.limited(during), "plain": judge.plain(during)}
        return {
            "gateways": self.count, "traffic": self.traffic, "mode": self.mode,
            "on_failure": self.on_failure, "fault": self.fault.name, "loses": self.fault.loses,
            "asked": len(judge.limited(records)), "admitted": admitted, "counted": counted,
            "allowed": judge.allowed(records, o.rate, o.burst),
            "worst": judge.worst_window(records, o.rate),
            "statuses": {str(k): v for k, v in sorted(judge.statuses(records).items())},
            "fallbacks": sum(a[1]["fallbacks"] - b[1]["fallbacks"] for b, a in zip(before, after)),
            "seconds": o.seconds, **grown,
            **{f"{name}_{k}": v for name, rs in parts.items() for k, v in judge.times(rs).items()},
            **{f"{name}_over": judge.longer_than(rs, over) for name, rs in parts.items()},
        }
