# SPDX-License-Identifier: Apache-2.0
"""One turn: ten replicas, one proxy, one load, all new, so that nobody knows of a replica
but what it learns in this turn."""

import json
import socket
import subprocess
import time
from pathlib import Path

from sidebyside import load, machine, template
from sidebyside.machine import BenchError

HERE = Path(__file__).resolve().parent.parent
REPLICAS = 10
ODD = 4 # neither the first nor the last
READY_SECONDS = 20
# A load that is later than that in one of a hundred is no measure, nor is a proxy that had
# to wait for its CPU for such a part of the time.
LATE_MS = 2
WAITED = 0.02


def build(to):
    compare = load.SOURCES / "load"
    load.build_program(to / "origin", [HERE / "origin.c", compare / "histogram.c"])
    load.build_program(to / "load", [HERE / "load.c", compare / "client.c",
                                     compare / "histogram.c"], ["-lssl", "-lcrypto", "-lm"])


class Trial:
    """A run's options, and everything that has to be stopped."""

    def __init__(self, options, place, adapters, say):
        self.options, self.place, self.adapters, self.say = options, place, adapters, say
        self.running = []
        self.turns = 0
        build(place.run_dir)

    @property
    def rate(self):
        """So much of what the nine good replicas can do."""
        o = self.options
        return round((REPLICAS - 1) * o.threads / (o.service_ms / 1000) * o.load / 100)

    def stop(self):
        """Without waiting for requests that are still in line."""
        while self.running:
            self.running.pop().stop(0.3)

    def _start(self, one):
        self.running.append(getattr(one, "process", one))
        return one

    def configure(self, entrant, ports, listen, folder):
        adapter = self.adapters[entrant.proxy]
        text = template.render((HERE / "configs" / adapter.config).read_text(), {
            "RUN": folder, "LISTEN": listen, "ports": ports, "FILES": machine.file_limit(),
            "BALANCE": entrant.balance, **entrant.words})
        path = folder / adapter.config
        path.write_text(text.replace("@THREADS@", str(self.options.threads)))
        return path

    def new_dir(self, name):
        self.turns += 1
        folder = self.place.run_dir / f"{self.turns}-{name}"
        folder.mkdir()
        folder.chmod(0o777)
        return folder

    def lacks(self, entrant):
        """Why this entrant cannot take part, or nothing."""
        adapter = self.adapters[entrant.proxy]
        if entrant.proxy != "wharfgate":
            return ""
        known = words_of(json.loads(adapter.place.output([adapter.program, "schema"])))
        unknown = [word for word in entrant.needs if word not in known]
        if unknown:
            return f"this wharfgate does not know {', '.join(unknown)}"
        folder = self.new_dir("check")
        path = self.configure(entrant, list(range(10001, 10011)), 10000, folder)
        done = subprocess.run([adapter.program, "check", "-c", str(path)], timeout=30, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            return "its configuration is refused: " + " ".join(done.stdout.decode().split())
        return ""

    def turn(self, scenario, entrant, seed):
        try:
            return self._turn(scenario, entrant, seed)
        finally:
            self.stop()

    def _turn(self, scenario, entrant, seed):
        o = self.options
        listen, *ports = machine.free_ports(1 + REPLICAS)
        origin = self._start(load.Talker(
            [str(self.place.run_dir / "origin"), "--ports", ",".join(map(str, ports)),
             "--threads", str(o.threads), "--service-us", str(round(o.service_ms * 1000)),
             "--jitter", "20", "--odd", str(ODD), "--kind", scenario.kind, "--factor", "10",
             "--fails", "50", "--seed", str(seed)], nice=o.nice))
        if origin.line(10) != "ready":
            raise BenchError("the origin does not start")
        proxy = self._proxy(entrant, ports, listen)
        words = [str(self.place.run_dir / "load"), "--target", f"127.0.0.1:{listen}",
                 "--rate", str(self.rate), "--warm-up-ms", str(round(o.warm_up * 1000)),
                 "--run-ms", str(round(o.seconds * 1000)), "--seed", str(seed),
                 "--patience-ms", str(o.patience_ms), *(["--even"] if o.even else [])]
        asking = self._start(load.Talker(words, nice=o.nice))
        asking.line(o.warm_up + 10) # it has begun to measure
        began = time.monotonic()
        before, spent = self._figures(origin), machine.cpu_ns(proxy.pid)
        waited = machine.waited_ns(proxy.pid)
        result = json.loads(asking.line(o.seconds + o.patience_ms / 1000 + 20))
        spent = machine.cpu_ns(proxy.pid) - spent
        waited = machine.waited_ns(proxy.pid) - waited
        if not proxy.is_running():
            raise BenchError(f"{entrant.name} has ended")
        values = values_of(result, before, self._figures(origin))
        values["cpu_us"] = spent / 1000 / max(1, values["asked_count"])
        values["proxy_waited"] = waited / 1e9 / (time.monotonic() - began)
        return values

    @staticmethod
    def _figures(origin):
        origin.say()
        return json.loads(origin.line(10))

    def _proxy(self, entrant, ports, listen):
        adapter = self.adapters[entrant.proxy]
        folder = self.new_dir(entrant.proxy)
        config = self.configure(entrant, ports, listen, folder)
        with open(folder / "output", "ab") as output:
            proxy = self._start(machine.Process(
                adapter.command(str(config), frozenset()), machine.PROXY_CPU,
                nice=self.options.nice, stdin=subprocess.DEVNULL, stdout=output, stderr=output))
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until and proxy.is_running():
            if is_ready(listen):
                return proxy
            time.sleep(0.01)
        said = (folder / "output").read_text(errors="replace")[-2000:]
        raise BenchError(f"{entrant.name} does not answer; it said:\n{said}")


def is_ready(port):
    request = b"GET /ready HTTP/1.1\r\nHost: bench.test\r\nConnection: close\r\n\r\n"
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as s:
            s.sendall(request)
            return s.recv(4096).startswith(b"HTTP/1.1 200")
    except OSError:
        return False


def words_of(schema):
    """Keys and values that a configuration's upstreams may have."""
    found = set()

    def walk(node):
        if isinstance(node, dict):
            found.update(node.get("properties", ()))
            found.update(v for v in node.get("enum", ()) if isinstance(v, str))
            for value in node.values():
                walk(value)
        elif isinstance(node, list):
            for value in node:
                walk(value)
    for name, definition in schema["$defs"].items():
        if name.startswith("upstreams"):
            walk(definition)
    return found


def failed_of(figures):
    lost = sum(figures[why] for why in ("bad_status", "broken", "gave_up", "not_sent"))
    return lost / figures["asked"] if figures["asked"] else 0


def values_of(result, before, after):
    """The metrics of one turn."""
    measured = result["measured"]
    requests = [a["requests"] - b["requests"]
                for a, b in zip(after["replicas"], before["replicas"])]
    values = {f"{name}_ms": ns / 1e6 for name, ns in result["latency_ns"].items()}
    values.update({f"{why}_count": measured[why] for why in
                   ("asked", "bad_status", "broken", "gave_up", "not_sent")})
    return {**values, "failed": failed_of(measured), "failed_warm_up": failed_of(result["warm_up"]),
            "odd_share": requests[ODD] / max(1, sum(requests)),
            "attempts": sum(requests) / max(1, measured["asked"]),
            "longest_queue": max(r["longest"] for r in after["replicas"]),
            "load_late_p99_ms": result["late_p99_ns"] / 1e6,
            "origin_late_p99_ms": after["late_p99_ns"] / 1e6}


def is_disturbed(values):
    late = max(values["load_late_p99_ms"], values["origin_late_p99_ms"])
    return late > LATE_MS or values["proxy_waited"] > WAITED
