# SPDX-License-Identifier: Apache-2.0
"""Who takes part: wharfgate, and nginx and HAProxy, each driven in two ways."""

import http.client
import subprocess
import sys
from pathlib import Path

from engine import PATIENCE
from harness import Gate, until
from sidebyside import machine, proxies, template

HERE = Path(__file__).resolve().parent.parent
CONFIGS = HERE / "configs"
# What docker-gen acts on, and what else the daemon tells.
USUAL = "start,stop,die,health_status"
ALL = USUAL + ",kill,pause,unpause,connect,disconnect"
SLOTS = 240


class Wharfgate:
    proxy, driven = "wharfgate", "by itself"

    def __init__(self, engine, folder):
        config = template.render((CONFIGS / "wharfgate.yaml").read_text(), {"DOCKER": engine.endpoint})
        self.gate = Gate(config)
        self.address = self.gate.address("http")

    def said(self):
        return self.gate.errors()

    def stop(self):
        self.gate.stop()


class Peer:
    """A proxy, and `follow` beside it."""
    more = ()

    def __init__(self, engine, folder):
        self.dir = folder
        port, = machine.free_ports(1)
        self.address = "127.0.0.1", port
        values = {"RUN": folder, "LISTEN": port, "FILES": machine.file_limit(), "SLOTS": SLOTS, "none": True}
        adapter = proxies.ADAPTERS[self.proxy](proxies.Place(None, folder))
        config = folder / adapter.config
        config.write_text(template.render((CONFIGS / adapter.config).read_text(), values))
        self.processes = [self._start("proxy", adapter.command(str(config), ()))]
        until(self._is_there, f"{self.proxy}: {self.said()}", PATIENCE)
        self.processes.append(self._start("follow", [
            sys.executable, str(HERE / "follow"), self.proxy, "--docker", engine.endpoint, "--events", self.events,
            "--run-dir", str(folder), "--template", str(CONFIGS / adapter.config), "--listen", str(port),
            "--slots", str(SLOTS)]))

    def _start(self, name, command):
        with open(self.dir / f"{name}.log", "ab") as log:
            return machine.Process(command, None, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _is_there(self):
        try:
            connection = http.client.HTTPConnection(*self.address, timeout=5)
            connection.request("GET", "/")
            connection.getresponse()
            return True
        except OSError:
            return False

    def said(self):
        return "".join(p.read_text(errors="replace") for p in sorted(self.dir.glob("*.log")))

    def stop(self):
        for process in reversed(self.processes):
            process.stop()


class Nginx(Peer):
    proxy, driven, events = "nginx", "usual events", USUAL


class NginxAll(Nginx):
    driven, events = "all events", ALL


class Haproxy(Peer):
    proxy, driven, events = "haproxy", "usual events", USUAL


class HaproxyAll(Haproxy):
    driven, events = "all events", ALL


ENTRANTS = {"wharfgate": Wharfgate, "nginx": Nginx, "nginx-all": NginxAll,
            "haproxy": Haproxy, "haproxy-all": HaproxyAll}
