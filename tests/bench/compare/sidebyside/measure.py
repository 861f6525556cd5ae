# SPDX-License-Identifier: Apache-2.0
"""How each kind of scenario is measured: one call is one round of one proxy and gives
{metric: value}. CPU time is what counts: it stands noise that wall time does not."""

import re
import shutil
import signal
import statistics
import subprocess
import time

from . import h2, load, machine
from .machine import BenchError
from .proxies import Instance

IDLE_CONNECTIONS = 10000
COUNTED_REQUESTS = 5000 # at most
COUNTED_H2_REQUESTS = 20000 # so that 16 handshakes hardly count
CALLGRIND_REQUESTS = (1000, 4000)
RELOAD_EVERY = 1.0


class Bench:
    """A run: the origin, the certificates, and everything that has to be stopped."""
    host = "bench.test"
    hosts = 5000

    def __init__(self, place, programs, say, nice=0, rounds=5, requests=0):
        self.place, self.programs, self.say = place, programs, say
        self.nice, self.rounds, self.requests = nice, rounds, requests
        self.running = []
        self.shared = {}
        self.dirs = 0
        self.certs = place.run_dir / "certs"
        self.make_certificates()
        self.www = place.run_dir / "www"
        self.make_files()
        self.origin_port = machine.free_ports(1)[0]
        self.running.append(load.Origin(programs, self.origin_port, nice))
        self.h2_origin = None

    def stop(self, these=None):
        for one in list(these if these is not None else reversed(self.running)):
            one.stop()
            self.running.remove(one)

    def new_dir(self, name):
        self.dirs += 1
        path = self.place.run_dir / f"{self.dirs}-{name}"
        path.mkdir()
        path.chmod(0o777)
        return path

    def make_certificates(self):
        self.certs.mkdir()
        for name, kind in (("ecdsa", ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]),
                           ("rsa", ["-newkey", "rsa:2048"])):
            key, crt = self.certs / f"{name}.key", self.certs / f"{name}.crt"
            subprocess.run(["openssl", "req", "-x509", *kind, "-nodes", "-days", "30", "-subj",
                            f"/CN={self.host}", "-addext",
                            f"subjectAltName=DNS:{self.host},DNS:*.{self.host}",
                            "-keyout", str(key), "-out", str(crt)],
                           check=True, capture_output=True, timeout=60)
            (self.certs / f"{name}.pem").write_text(crt.read_text() + key.read_text())

    def make_files(self):
        """As large as the origin's answers."""
        self.www.mkdir()
        for name, size in (("1k", 1024), ("1m", 1024 * 1024)):
            (self.www / name).write_bytes(b"x" * size)

    # Starting things

    def start(self, proxy, variant=(), **more):
        return Instance(proxy, self, variant, **more)

    def instance(self, proxy, variant=()):
        """The one that rounds share."""
        key = (proxy.name, frozenset(variant))
        if key not in self.shared:
            self.shared[key] = self.start(proxy, variant)
        return self.shared[key]

    def port_behind(self, variant):
        """The origin's; the one that speaks HTTP/2 starts when it is first asked for."""
        if "h2origin" not in variant:
            return self.origin_port
        if self.h2_origin not in self.running:
            self.h2_origin = h2.Origin(self)
        return self.h2_origin.port

    def end_shared(self):
        self.stop([i for i in self.shared.values() if i in self.running])
        self.shared.clear()

    def load(self, instance, scenario, **more):
        options = {"target": f"127.0.0.1:{instance.ports[scenario.port]}", "host": self.host,
                   **scenario.load, **more}
        return (h2 if "streams" in scenario.load else load).Load(self, options)

    def count(self, scenario):
        return self.requests or scenario.requests

    # One loaded stretch

    def stretch(self, instance, scenario, requests, **more):
        warm = min(2000, max(200, requests // 10))
        generator = self.load(instance, scenario, requests=requests,
                              **{"warm_up": warm, **more})
        before = machine.cpu_ns(instance.pid)
        generator.go()
        result = generator.result()
        spent = machine.cpu_ns(instance.pid) - before
        self.stop([generator])
        self.check(instance, scenario, result, requests)
        seconds = result["elapsed_ns"] / 1e9
        values = {"cpu_us": spent / 1000 / requests, "requests_per_second": requests / seconds,
                  "busy": spent / result["elapsed_ns"], "failed": result["failed"]}
        for name, value in result["latency_ns"].items():
            values[f"{name}_us"] = value / 1000
        if scenario.variant[:1] == ("compressed",):
            values["body_bytes"] = result["body_bytes"] / requests
        if "overhead_bytes" in result:
            values["overhead_bytes"] = result["overhead_bytes"]
        return values

    def check(self, instance, scenario, result, requests):
        """Figures of answers that were no answers are worth nothing."""
        what = f"{instance.proxy.name}, {scenario.name}"
        if result["answered"] + result["failed"] != requests:
            raise BenchError(f"{what}: {result['answered']} of {requests} answered")
        if scenario.how != "reloading" and result["failed"]:
            raise BenchError(f"{what}: {result['failed']} requests failed: {result}")
        if scenario.load.get("tls") and scenario.load.get("connection_each"):
            # A few connections may have been opened while warming up.
            wanted = requests - scenario.load["connections"]
            resumes = scenario.load.get("resume", False)
            if result["handshakes"] < wanted or (
                    result["resumed"] < wanted if resumes else result["resumed"] > 0):
                raise BenchError(f"{what}: {result['resumed']} of {result['handshakes']} "
                                 "handshakes were resumed")

    # The kinds of scenario

    def traffic(self, proxy, scenario):
        instance = self.instance(proxy, scenario.variant)
        return self.stretch(instance, scenario, self.count(scenario))

    def beside(self, proxy, scenario):
        """With the variant and without it, in turns that even out what drifts meanwhile."""
        with_it, without = self.instance(proxy, scenario.variant), self.instance(proxy)
        turns = [self.stretch(i, scenario, self.count(scenario) // 2)
                 for i in (without, with_it, with_it, without)]
        values = {name: statistics.mean(t[name] for t in turns[1:3]) for name in turns[1]}
        values["cpu_us_without"] = statistics.mean(t["cpu_us"] for t in turns[::3])
        return values

    def logging(self, proxy, scenario):
        instance = self.instance(proxy, scenario.variant)
        requests = self.count(scenario)
        without = self.stretch(self.instance(proxy), scenario, requests)
        lines_before = self.log_lines(instance)
        values = self.stretch(instance, scenario, requests, warm_up=64)
        values["cpu_us_without"] = without["cpu_us"]
        wanted = lines_before + requests + 64
        until = time.monotonic() + 3 # nginx keeps lines back for a second
        while self.log_lines(instance) < wanted and time.monotonic() < until:
            time.sleep(0.1)
        values["log_lines"] = (self.log_lines(instance) - lines_before) / (requests + 64)
        return values

    @staticmethod
    def log_lines(instance):
        try:
            with open(instance.access_log, "rb") as f:
                return sum(block.count(b"\n") for block in iter(lambda: f.read(1 << 20), b""))
        except OSError:
            return 0

    def many_hosts(self, proxy, scenario):
        instance = self.start(proxy, scenario.variant)
        values = self.stretch(instance, scenario, self.count(scenario))
        values["pss_mb"] = machine.settled_pss(instance.pid) / 1e6
        values["ready_s"] = instance.ready_seconds
        self.stop([instance])
        return values

    def idle(self, proxy, scenario):
        values = {}
        for metric, uses in (("idle_bytes", False), ("idle_used_bytes", True)):
            instance = self.start(proxy)
            self.stretch(instance, scenario, 2000)
            before = machine.settled_pss(instance.pid, own_only=True)
            generator = self.load(instance, scenario, connections=IDLE_CONNECTIONS, once=True,
                                  warm_up=IDLE_CONNECTIONS if uses else 0)
            if generator.ready["open"] != IDLE_CONNECTIONS:
                raise BenchError(f"{proxy.name}: {generator.ready['open']} connections are open")
            after = machine.settled_pss(instance.pid, own_only=True)
            values[metric] = (after - before) / IDLE_CONNECTIONS
            self.stop([generator, instance])
        return values

    def reloading(self, proxy, scenario):
        instance = self.start(proxy, scenario.variant)
        requests = self.count(scenario)
        calm = self.load(instance, scenario, requests=scenario.load["rate"], warm_up=2000)
        calm.go()
        samples = self.watch(instance, calm)
        calm.result()
        self.stop([calm])
        before = statistics.median(samples)
        busy = self.load(instance, scenario, requests=requests, warm_up=2000)
        busy.go()
        reloads = []
        peak = max(self.watch(instance, busy, reloads))
        result = busy.result()
        self.stop([busy])
        self.check(instance, scenario, result, requests)
        if not instance.has_reloaded(3):
            raise BenchError(f"{proxy.name} does not serve the last configuration")
        self.stop([instance])
        return {"failed": result["failed"], "raced": result["raced"], "reloads": len(reloads),
                "memory_peak": peak / before, "memory_before_mb": before / 1e6,
                "p99_us": result["latency_ns"]["p99"] / 1000}

    def watch(self, instance, generator, reloads=None):
        """Samples memory until the load is done, most often after a reload; reloads each
        second where there is a list to note it in."""
        samples, last = [], generator.started
        while not generator.is_done(0.01 if time.monotonic() - last < 0.4 else 0.05):
            samples.append(machine.pss_bytes(instance.pid))
            if reloads is not None and time.monotonic() - last >= RELOAD_EVERY:
                instance.reload(self)
                last = time.monotonic()
                reloads.append(last)
        return samples or [machine.pss_bytes(instance.pid)]

    # Counts, once a proxy and scenario

    def system_calls(self, proxy, scenario):
        """By strace, attached to all of the proxy's processes for one short stretch."""
        instance = self.start(proxy, scenario.variant)
        most = COUNTED_H2_REQUESTS if "streams" in scenario.load else COUNTED_REQUESTS
        requests = min(most, scenario.requests // 4)
        generator = self.load(instance, scenario, requests=requests,
                              warm_up=min(1000, requests))
        report = instance.dir / "strace"
        pids = machine.tree(instance.pid)
        words = ["strace", "-f", "-c", "-o", str(report)]
        for pid in pids:
            words += ["-p", str(pid)]
        tracer = machine.Process(words, machine.LOAD_CPU, stderr=subprocess.PIPE)
        self.running.append(tracer)
        for _ in pids:
            if b"attached" not in tracer.popen.stderr.readline():
                raise BenchError("strace cannot attach")
        generator.go()
        generator.result()
        tracer.popen.send_signal(signal.SIGINT)
        tracer.popen.wait(10)
        self.stop([tracer, generator, instance])
        calls = {}
        for line in report.read_text().splitlines():
            fields = line.split()
            if len(fields) >= 5 and re.fullmatch(r"[\d.]+", fields[0]) and fields[-1] != "total":
                calls[fields[-1]] = calls.get(fields[-1], 0) + int(fields[3])
        values = {f"calls_{name}": n / requests for name, n in calls.items()}
        values["calls_epoll_ctl"] = calls.get("epoll_ctl", 0) / requests
        values["system_calls"] = sum(calls.values()) / requests
        return values

    def instructions(self, proxy, scenario):
        """By callgrind: two runs of different lengths, so that starting cancels out."""
        totals = []
        for requests in CALLGRIND_REQUESTS:
            place = self.place
            valgrind = place.find("valgrind")
            if not valgrind:
                raise BenchError("no valgrind where the proxies run")
            out = self.new_dir("callgrind")
            prefix = [valgrind, "--tool=callgrind", "--trace-children=yes",
                      f"--callgrind-out-file={place.inside(out)}/out.%p"]
            instance = self.start(proxy, ("single", *scenario.variant), prefix=prefix,
                                  extra_seconds=120)
            generator = self.load(instance, scenario, requests=requests, warm_up=64)
            generator.go()
            generator.result()
            self.stop([generator])
            pids = machine.tree(instance.pid)
            instance.process.stop(60)
            self.stop([instance])
            total = 0
            for path in (out / f"out.{pid}" for pid in pids):
                text = path.read_text() if path.exists() else ""
                found = re.findall(r"^(?:totals|summary): (\d+)", text, re.M)
                if not found:
                    raise BenchError(f"callgrind wrote nothing for a process of {proxy.name}")
                total += int(found[-1])
            totals.append(total)
        span = CALLGRIND_REQUESTS[1] - CALLGRIND_REQUESTS[0]
        return {"instructions": (totals[1] - totals[0]) / span}

    # All of it

    def run(self, scenario, proxies, has_counts):
        """{proxy: {metric: [value of each round]}}, the proxies taking turns."""
        proxies = [proxy for proxy in proxies if not proxy.lacks(scenario.variant)]
        if not proxies:
            raise BenchError("none of these proxies can do that")
        values = {proxy.name: {} for proxy in proxies}

        def keep(proxy, measured):
            for metric, value in measured.items():
                values[proxy.name].setdefault(metric, []).append(value)
        rounds = min(self.rounds, 2) if scenario.how in ("idle", "reloading") else self.rounds
        for number in range(rounds):
            turn = number % len(proxies)
            for proxy in (*proxies[turn:], *proxies[:turn]):
                self.say(f"{scenario.name}: round {number + 1} of {rounds}, {proxy.name}")
                keep(proxy, getattr(self, scenario.how)(proxy, scenario))
        self.end_shared()
        for proxy in proxies if has_counts else ():
            self.say(f"{scenario.name}: counts, {proxy.name}")
            if scenario.counts_calls and shutil.which("strace"):
                keep(proxy, self.system_calls(proxy, scenario))
            if scenario.counts_instructions:
                keep(proxy, self.instructions(proxy, scenario))
        return values
