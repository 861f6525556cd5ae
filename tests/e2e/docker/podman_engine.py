# SPDX-License-Identifier: Apache-2.0
"""Podman's service of Docker's API in the place of the Docker engine: in namespaces of its own that end with
us, as engine.py has it. Debian 12's 4.3: CNI, and containers' networks without firewall rules."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess

from engine import PATIENCE, Container, Engine, EngineError, numbers
from harness import until

NETWORK = {
    "type": "bridge", "isGateway": True, "ipMasq": False, "hairpinMode": True, "capabilities": {"ips": True},
    "ipam": {"type": "host-local", "routes": [{"dst": "0.0.0.0/0"}]}}


def why_not():
    """None where it can be had."""
    if not shutil.which("podman"):
        return "podman is not installed"
    said = subprocess.run(["podman", "--version"], capture_output=True, text=True, check=False).stdout
    if not said.startswith("podman version 4."):
        return f"podman 4 has CNI, {said.strip()} has not"
    return None if pathlib.Path("/usr/lib/cni/bridge").exists() else "there is no CNI (containernetworking-plugins)"


class PodmanEngine(Engine):
    """What a test does with it is what it does with the other; where Podman differs it is here."""

    def _configure(self, live_restore=False):
        for name in ("root", "run", "tmp", "net"):
            (self.dir / name).mkdir(exist_ok=True)
        (self.dir / "containers.conf").write_text(
            # The limits that it would raise by itself need a right that not every machine gives.
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n'
            '[engine]\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nruntime = "runc"\n'
            f'[network]\nnetwork_backend = "cni"\nnetwork_config_dir = "{self.dir}/net"\n')

    def _podman(self, *args):
        """Only in the namespaces are its mounts seen."""
        return ["env", f"CONTAINERS_CONF={self.dir}/containers.conf", "podman", "--root", f"{self.dir}/root",
                "--runroot", f"{self.dir}/run", "--tmpdir", f"{self.dir}/tmp", "--storage-driver", "vfs", *args]

    def _inside(self, *command):
        return subprocess.run(["nsenter", "--target", str(self.init_pid), "--mount", "--pid", "--", *command],
                              check=True, capture_output=True, text=True, timeout=PATIENCE).stdout

    def inside_podman(self, *args):
        """A command of it, beside the service. It may say no by its exit code."""
        return subprocess.run(["nsenter", "--target", str(self.init_pid), "--mount", "--pid", "--",
                               *self._podman(*args)], capture_output=True, text=True, timeout=PATIENCE)

    def start(self):
        # What CNI and the runtimes keep, wherever one configures the rest.
        self._inside("sh", "-c", "for d in /run/netns /var/lib/cni /run/runc /run/crun; do"
                     " mountpoint -q $d || { mkdir -p $d && mount -t tmpfs tmpfs $d; } || exit; done")
        self._spawn("podman", *self._podman("system", "service", "--time", "0", self.endpoint))
        until(lambda: self.answers() or not self.is_up("podman"), "podman", PATIENCE)
        assert self.is_up("podman"), self._said("podman")

    def import_image(self, name, archive, *changes):
        """By the command: the API passes over the changes."""
        path = self.dir / "image.tar"
        path.write_bytes(archive)
        self._inside(*self._podman("import", *(f"--change={c}" for c in changes), str(path), name))

    def network(self, name="app", subnet=None):
        """By a file: the API would have rules made for it."""
        path = self.dir / "net" / f"{name}.conflist"
        if path.exists():
            return name
        number = next(numbers)
        self.bridges.append(f"whg{os.getpid()}-{number}")
        plugin = json.loads(json.dumps(NETWORK))
        plugin["bridge"] = self.bridges[-1]
        plugin["ipam"]["ranges"] = [[{"subnet": subnet or f"10.214.{number % 256}.0/24"}]]
        path.write_text(json.dumps({"cniVersion": "0.4.0", "name": name, "args": {"podman_labels": {}},
                                    "plugins": [plugin, {"type": "tuning"}]}))
        return name

    def clear(self):
        if not self.is_up("podman"):
            self.start()
        for one in self.api("GET", "/containers/json", all="true"):
            with contextlib.suppress(EngineError):  # one that ends by itself just now
                Container(self, "", one["Id"]).remove()
        for path in [*(self.dir / "net").glob("*.conflist"), *self.records_dir.iterdir()]:
            path.unlink()

    def close(self):
        with contextlib.suppress(OSError, EngineError, AssertionError):
            if self.is_up("podman"):
                self.clear()
        with contextlib.suppress(subprocess.TimeoutExpired, KeyError):
            self.stop(name="podman")
        super().close()
