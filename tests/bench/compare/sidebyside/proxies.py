# SPDX-License-Identifier: Apache-2.0
"""The three proxies: where they are, how each is configured, started, reloaded."""

import functools
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import machine, template
from .machine import BenchError

CONFIGS = Path(__file__).resolve().parent.parent / "configs"
READY_SECONDS = 120
PORTS = ("plain", "ecdsa", "rsa", "h2c")
VARIANTS = ("compressed", "gzip", "zstd", "log", "limited", "dressed", "single", "reload", "h2c",
            "h2origin", "files")


class Place:
    """Where proxies run: inside a prepared root, or on the host. Paths are given as
    they are outside; `inside` says what a proxy calls them."""

    def __init__(self, root, run_dir):
        self.root = root
        self.run_dir = run_dir

    def inside(self, path):
        return "/" + str(Path(path).relative_to(self.root)) if self.root else str(path)

    def find(self, program):
        base = str(self.root or "/")
        where = os.pathsep.join(os.path.join(base, d) for d in
                                ("usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"))
        found = shutil.which(program, path=where)
        return self.inside(found) if found else None

    def output(self, command):
        """What a short command says, in the root."""
        def enter():
            if self.root:
                os.chroot(self.root)
                os.chdir("/")
        done = subprocess.run(command, preexec_fn=enter, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=30, check=False)
        return done.stdout.decode(errors="replace").strip()


class Proxy:
    """What the adapters share. A variant is a set of words: log, limited, dressed, compressed with
    gzip or zstd, hosts, single, reload, h2c (a listener for HTTP/2 in the clear), h2origin (HTTP/2 to
    the origin)."""
    name = config = ""
    reload_signal = signal.SIGHUP

    def __init__(self, place, program=None):
        self.place = place
        self.program = program or place.find(self.name)

    def is_found(self):
        return self.program is not None

    def version(self):
        raise NotImplementedError

    def command(self, config, variant):
        raise NotImplementedError

    def lacks(self, variant):
        """Whether this version cannot do that at all."""
        return False

    def words(self):
        """What its template may ask besides the variant."""
        return {}


class Nginx(Proxy):
    name, config = "nginx", "nginx.conf"

    def version(self):
        return self.place.output([self.program, "-v"]).rpartition("/")[2]

    def command(self, config, variant):
        run_dir = os.path.dirname(config)
        return [self.program, "-c", config, "-e", f"{run_dir}/nginx-error.log"]

    @functools.cached_property
    def _numbers(self):
        return tuple(int(n) for n in re.findall(r"\d+", self.version())[:3])

    def lacks(self, variant):
        return "h2origin" in variant and self._numbers < (1, 29, 4)

    def words(self):
        # Before, http2 was no directive but a word of `listen`.
        return {"http2": self._numbers >= (1, 25, 1)}


class Haproxy(Proxy):
    name, config = "haproxy", "haproxy.cfg"
    reload_signal = signal.SIGUSR2

    def version(self):
        return self.place.output([self.program, "-v"]).split()[2]

    def command(self, config, variant):
        # As one process; reloading needs its master.
        return [self.program, "-W" if "reload" in variant else "-db", "-f", config]

    def lacks(self, variant):
        return "files" in variant or super().lacks(variant)


class Wharfgate(Proxy):
    name, config = "wharfgate", "wharfgate.yaml"

    def version(self):
        lines = self.place.output([self.program, "version"]).splitlines()
        found = re.search(r"\d+\.\d+\S*", lines[0]) if lines else None
        return found.group(0) if found else "?"

    def command(self, config, variant):
        run_dir = os.path.dirname(config)
        return [self.program, "run", "-c", config, "--ready-file", f"{run_dir}/ready"]


ADAPTERS = {adapter.name: adapter for adapter in (Nginx, Haproxy, Wharfgate)}


class Instance:
    """One running proxy."""

    def __init__(self, proxy, bench, variant=(), prefix=(), extra_seconds=0):
        self.proxy = proxy
        self.variant = frozenset(variant)
        self.origin_port = bench.port_behind(self.variant) # before ours are chosen
        self.ports = dict(zip(PORTS, machine.free_ports(len(PORTS))))
        self.dir = bench.new_dir(proxy.name)
        self.access_log = self.dir / "access.log"
        self.generation = 0
        config = self._write_config(bench)
        command = [*prefix, *proxy.command(proxy.place.inside(config), self.variant)]
        self.output = open(self.access_log if proxy.name == "haproxy" and "log" in self.variant
                           else self.dir / "output", "ab")
        self.process = machine.Process(command, machine.PROXY_CPU, proxy.place.root, bench.nice,
                                       stdin=subprocess.DEVNULL, stdout=self.output,
                                       stderr=open(self.dir / "errors", "ab"))
        bench.running.append(self)
        self.ready_seconds = self._wait_until_ready(bench, READY_SECONDS + extra_seconds)

    @property
    def pid(self):
        return self.process.pid

    def _write_config(self, bench):
        inside = self.proxy.place.inside
        count = bench.hosts if "hosts" in self.variant else 0
        hosts = [f"h{i}.{bench.host}" for i in range(count)]
        hostmap = self.dir / "hosts.map"
        hostmap.write_text("".join(f"{host} origin\n" for host in hosts))
        text = template.render((CONFIGS / self.proxy.config).read_text(), {
            "RUN": inside(self.dir), "LOG": inside(self.access_log), "CERTS": inside(bench.certs),
            "ORIGIN": self.origin_port, "WWW": inside(bench.www), "HOSTMAP": inside(hostmap),
            "FILES": machine.file_limit(), "GENERATION": self.generation, "hosts": hosts,
            **{name.upper(): port for name, port in self.ports.items()},
            **{word: word in self.variant for word in VARIANTS}, **self.proxy.words()})
        path = self.dir / self.proxy.config
        path.write_text(text)
        return path

    def _answer(self, host):
        request = f"GET /1k HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        try:
            with socket.create_connection(("127.0.0.1", self.ports["plain"]), timeout=60) as s:
                s.sendall(request.encode())
                return b"".join(iter(lambda: s.recv(65536), b""))
        except OSError:
            return b""

    def _wait_until_ready(self, bench, seconds):
        """Seconds from the start to the first good answer."""
        host = f"h0.{bench.host}" if "hosts" in self.variant else bench.host
        while time.monotonic() - self.process.started < seconds:
            if self._answer(host).startswith(b"HTTP/1.1 200"):
                return time.monotonic() - self.process.started
            if not self.process.is_running():
                break
            time.sleep(0.001)
        self.stop()
        said = (self.dir / "errors").read_text(errors="replace")[-2000:]
        raise BenchError(f"{self.proxy.name} does not answer; it said:\n{said}")

    def reload(self, bench):
        """With a configuration that differs, so that it cannot be passed over."""
        self.generation += 1
        self._write_config(bench)
        self.process.popen.send_signal(self.proxy.reload_signal)

    def has_reloaded(self, seconds):
        """Whether the newest configuration is in force within that time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if self._answer("generation.test").endswith(b"generation %d" % self.generation):
                return True
            time.sleep(0.01)
        return False

    def stop(self):
        self.process.stop()
        self.output.close()
