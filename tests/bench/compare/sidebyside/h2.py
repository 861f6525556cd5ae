# SPDX-License-Identifier: Apache-2.0
"""HTTP/2 by the programs of nghttp2: h2load asks, nghttpd stands behind the proxies. Both
are the host's, and share CPU 1 as our own load and origin do."""

import contextlib
import re
import shutil
import socket
import subprocess
import time

from . import machine
from .load import DEADLINE_SECONDS
from .machine import BenchError

SIZES = {"/1k": 1024, "/100k": 100 * 1024}
# As our own load asks.
FIELDS = ("user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
          "accept: */*", "accept-encoding: gzip, deflate, br, zstd")
SILENT_SECONDS = 20


def find(program, package):
    path = shutil.which(program, path="/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin")
    if not path:
        raise BenchError(f"no {program} on this machine: install {package}")
    return path


def parse(text):
    """What h2load has said: counts, bytes, and what was negotiated."""
    def numbers(pattern):
        found = re.search(pattern, text, re.M)
        if not found:
            raise BenchError(f"h2load did not say '{pattern}' but:\n{text[-2000:]}")
        return [float(n) for n in found.groups()]

    def word(name):
        found = re.search(rf"^{name}: (\S+)", text, re.M)
        return found.group(1) if found else ""
    total, succeeded = numbers(r"^requests: (\d+) total, .* (\d+) succeeded,")
    good, = numbers(r"^status codes: (\d+) 2xx,")
    sent, body = numbers(r"^traffic: .*\((\d+)\) total, .*\((\d+)\) data$")
    rate, = numbers(r"^finished in .*, ([\d.]+) req/s,")
    answered = int(min(succeeded, good))
    return {"answered": answered, "failed": int(total) - answered, "body_bytes": int(body),
            "overhead_bytes": (sent - body) / max(1, answered),
            "elapsed_ns": total / rate * 1e9 if rate else 0, "latency_ns": {},
            "protocol": word("Application protocol"), "tls": word("TLS Protocol"),
            "cipher": word("Cipher"), "group": word("Server Temp Key")}


class Load:
    """One run, used as load.Load is. What warms the proxy is a run of its own, since h2load
    cannot wait in between: `connections` handshakes are in what is measured."""

    def __init__(self, bench, options, deadline=DEADLINE_SECONDS):
        self.nice, self.options, self.deadline = bench.nice, options, deadline
        self.program = find("h2load", "nghttp2-client")
        self.process = None
        bench.running.append(self)
        # Each connection, and as many connections to the origin as there will be.
        at_once = options["connections"] * options["streams"]
        self._start(max(options["warm_up"], 2 * at_once))
        warm = self.result()
        if warm["failed"]:
            raise BenchError(f"no warm-up: {warm}; command: {' '.join(self.process.command)}")
        self.stop()

    def _start(self, requests):
        o = self.options
        scheme = "https" if o.get("tls") else "http"
        words = [self.program, "-t1", f"-n{requests}", f"-c{o['connections']}",
                 f"-m{o['streams']}", f"-N{SILENT_SECONDS}", f"--connect-to={o['target']}",
                 "--groups=X25519", "--tls13-ciphers=TLS_AES_128_GCM_SHA256"]
        for line in FIELDS:
            words += ["-H", line]
        self.process = machine.Process([*words, f"{scheme}://{o['host']}{o['path']}"],
                                       machine.LOAD_CPU, nice=self.nice,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                       stderr=subprocess.STDOUT)

    def go(self):
        self._start(self.options["requests"])

    def result(self):
        try:
            said, _ = self.process.popen.communicate(timeout=self.deadline)
        except subprocess.TimeoutExpired as problem:
            raise BenchError(f"h2load did not end in {self.deadline} s") from problem
        result = parse(said.decode(errors="replace"))
        self._check(result)
        return result

    def _check(self, result):
        """That whole bodies came, and by what the scenario is about."""
        wanted = result["answered"] * SIZES[self.options["path"]]
        if not result["failed"] and result["body_bytes"] != wanted:
            raise BenchError(f"{result['body_bytes']} bytes of bodies and not {wanted}")
        terms = [result[name] for name in ("protocol", "tls", "cipher", "group")]
        if terms != (["h2", "TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519"]
                     if self.options.get("tls") else ["h2c", "", "", ""]):
            raise BenchError(f"not the protocol that was asked for: {result}")

    def stop(self):
        if self.process:
            self.process.stop()


class Origin:
    """nghttpd in the clear, for those who know beforehand that it speaks HTTP/2."""

    def __init__(self, bench):
        files = bench.new_dir("h2-origin")
        for path, size in SIZES.items():
            (files / path[1:]).write_bytes(b"x" * size)
        self.port = machine.free_ports(1)[0]
        words = [find("nghttpd", "nghttp2-server"), "--no-tls", "--workers=1",
                 "--address=127.0.0.1", f"--htdocs={files}", str(self.port)]
        self.process = machine.Process(words, machine.LOAD_CPU, nice=bench.nice,
                                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        bench.running.append(self)
        self._wait_until_ready()

    def _wait_until_ready(self):
        until = time.monotonic() + 10
        while time.monotonic() < until and self.process.is_running():
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.process.popen.wait(0.01)
        raise BenchError("nghttpd does not start")

    def stop(self):
        self.process.stop()
