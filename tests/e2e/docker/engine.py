# SPDX-License-Identifier: Apache-2.0
"""A Docker engine of our own, and containers in it that run origin.c.

containerd and dockerd run in a mount and a PID namespace that end with us, so neither processes nor
mounts outlive a test run, however that ends. They share the network with us: bridges are real,
and the gate reaches containers as it would in production. No firewall rules are made. All files are in one
temporary folder.
"""
import concurrent.futures
import contextlib
import http.client
import io
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import threading
import time
import urllib.parse
import warnings

from harness import PATIENCE, until

HERE = pathlib.Path(__file__).parent
# Starting a container may take a second on a busy machine; a daemon some.
PATIENCE = PATIENCE * 6
IMAGE = "wharfgate-origin"
SECOND = 10 ** 9
numbers = itertools.count(1)


def build(name, folder):
    """One of the C programs beside this file, without libraries; its path."""
    program = pathlib.Path(folder) / name
    subprocess.run(["gcc", "-O2", "-static", "-Wall", "-Wextra", "-Werror", "-o", program,
                    HERE / f"{name}.c"], check=True)
    return program


def is_orphan(name):
    """Is it of a process that ended without cleaning up?"""
    ours = re.fullmatch("(?:whg|wharfgate-)([0-9]+)-[0-9]+", name)
    return bool(ours) and not pathlib.Path("/proc", ours[1]).exists()


def sweep(*names):
    """Removes the bridges and control groups of these names, and those that are orphans."""
    for path in pathlib.Path("/sys/class/net").glob("whg*"):
        if path.name in names or is_orphan(path.name):
            subprocess.run(["ip", "link", "delete", path.name], check=False, capture_output=True)
    groups = pathlib.Path("/sys/fs/cgroup")
    for path in [*groups.glob("wharfgate-*"), *groups.glob("*/wharfgate-*")]:
        if path.name in names or is_orphan(path.name):
            for folder, _, _ in os.walk(path, topdown=False):
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


class EngineError(Exception):
    def __init__(self, status, text):
        super().__init__(f"{status}: {text}")
        self.status = status


class Api:
    """The engine's HTTP API over its socket."""

    def __init__(self, path):
        self.path = str(path)

    def open(self, method, target, body=None, timeout=PATIENCE, **query):
        """The response, not read yet. Of `query`, what is no text goes as JSON."""
        connection = http.client.HTTPConnection("engine", timeout=timeout)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(timeout)
        connection.sock.connect(self.path)
        if query:
            target += "?" + urllib.parse.urlencode(
                {k: v if isinstance(v, str) else json.dumps(v) for k, v in query.items()}, doseq=True)
        headers = {"Content-Type": "application/json"}
        if isinstance(body, bytes):
            headers = {"Content-Type": "application/x-tar"}
        elif body is not None:
            body = json.dumps(body)
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        if response.status >= 400:
            raise EngineError(response.status, response.read().decode())
        return response

    def __call__(self, method, target, body=None, **query):
        """The answer: JSON read, or text."""
        with self.open(method, target, body, **query) as response:
            text = response.read().decode()
            if response.getheader("Content-Type") == "application/json" and text:
                lines = text.splitlines()
                return json.loads(text if len(lines) == 1 else lines[-1])
            return text


class Container:
    """One container; its name is its host name and that of its records."""

    def __init__(self, engine, name, id):
        self.engine, self.name, self.id = engine, name, id

    def _post(self, verb, **query):
        self.engine.api("POST", f"/containers/{self.id}/{verb}", **query)

    def start(self):
        self._post("start")
        return self

    def stop(self, seconds=10):
        """SIGTERM, and SIGKILL when it is still there after that."""
        self._post("stop", t=str(seconds))

    def kill(self, sig="KILL"):
        self._post("kill", signal=sig)

    def restart(self):
        self._post("restart")

    def pause(self):
        self._post("pause")

    def unpause(self):
        self._post("unpause")

    def remove(self):
        self.engine.api("DELETE", f"/containers/{self.id}", force="true", v="true")

    def connect(self, network, **endpoint):
        self.engine.api("POST", f"/networks/{network}/connect",
                        {"Container": self.id, "EndpointConfig": endpoint})

    def disconnect(self, network):
        self.engine.api("POST", f"/networks/{network}/disconnect",
                        {"Container": self.id, "Force": False})

    def inspect(self):
        return self.engine.api("GET", f"/containers/{self.id}/json")

    @property
    def state(self):
        return self.inspect()["State"]["Status"]

    @property
    def health(self):
        return self.inspect()["State"]["Health"]["Status"]

    @property
    def address(self):
        """Its only one, or that in the network `app`; "" when it has none."""
        networks = self.inspect()["NetworkSettings"]["Networks"]
        one = networks.get("app") or next(iter(networks.values()), {})
        return one.get("IPAddress", "")

    def listed(self):
        """What the list says of it; None when it does not name it."""
        found = self.engine.api("GET", "/containers/json", filters={"id": [self.id]})
        return found[0] if isinstance(found, list) and found else None

    def request(self, target="/", method="GET", address=None, number=0):
        """Straight to the origin; its (status, body)."""
        connection = http.client.HTTPConnection(address or self.address, 8000, timeout=PATIENCE)
        try:
            connection.request(method, target, headers={"X-Request-Number": str(number)})
            response = connection.getresponse()
            return response.status, response.read().decode()
        finally:
            connection.close()

    def answers(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.request("/health")[0] == 200
        return False

    def records(self):
        """Lines that the origin wrote, in words."""
        path = self.engine.records_dir / self.name
        lines = path.read_text().splitlines() if path.exists() else []
        return [line.split(" ") for line in lines]

    def requests(self):
        """[(number, method, target, body bytes)] that it had whole."""
        return [(int(r[1]), r[2], r[3], int(r[4])) for r in self.records() if r[0] == "request"]

    def when(self, word):
        """The last time that it wrote "listen", "term" or "exit", in us since 1970."""
        return max((int(r[-1]) for r in self.records() if r[0] == word), default=None)


class Event:
    def __init__(self, raw, seen_us):
        self.raw, self.seen_us = raw, seen_us
        self.kind, self.action, self.us = raw["Type"], raw["Action"], raw["timeNano"] // 1000
        attributes = raw["Actor"].get("Attributes") or {}
        self.container = attributes.get("container") or raw["Actor"]["ID"]

    def __repr__(self):
        return f"{self.kind} {self.action}"


class Events:
    """The engine's events since the block began, as they come."""

    def __init__(self, engine):
        self.seen, self.ended = [], threading.Event()
        self.response = engine.api.open("GET", "/events", timeout=None,
                                        filters={"type": ["container", "network"]})
        self.sock = self.response.fp.raw._sock
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            while line := self.response.readline():
                self.seen.append(Event(json.loads(line), time.time_ns() // 1000))
        self.ended.set()

    def of(self, container, *but):
        """Those of a container, without the actions `but` (exec_create: ... by their first word)."""
        return [e for e in list(self.seen) if e.container == container.id
                and e.action.split(":")[0] not in but]

    def wait(self, container, action, count=1):
        """The container's event of that action, its `count`th, once it is there."""
        def find():
            found = [e for e in self.of(container) if f"{e.kind} {e.action}".endswith(action)]
            return found[count - 1] if len(found) >= count else None
        return until(find, f"{action} of {container.name} in {self.seen}", PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.thread.join(PATIENCE)
        self.response.close()


class Engine:
    """The daemon, from its start to its end."""

    def __init__(self):
        # Short: paths of Unix sockets lie in it, and Podman takes 50 bytes for one of its own.
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="wgdk-"))
        self.records_dir = self.dir / "records"
        self.socket = self.dir / "docker.sock"
        self.endpoint = f"unix://{self.socket}"
        self.api = Api(self.socket)
        self.group = f"wharfgate-{os.getpid()}-{next(numbers)}"
        self.processes, self.bridges = {}, []
        self.init = None
        self.records_dir.mkdir()
        sweep()
        self.load_program = build("load", self.dir)
        self._configure()
        try:
            self._make_namespaces()
            self.start()
            self._import()
        except BaseException:
            self.close()
            raise

    # ---- processes ----

    def _configure(self, live_restore=False):
        (self.dir / "containerd.toml").write_text(
            f'version = 2\nroot = "{self.dir}/c/root"\nstate = "{self.dir}/c/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.snapshotter.v1.btrfs",'
            ' "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.devmapper",'
            ' "io.containerd.snapshotter.v1.aufs"]\n'
            f'[grpc]\n  address = "{self.dir}/c.sock"\n')
        (self.dir / "daemon.json").write_text(json.dumps({
            "data-root": f"{self.dir}/data", "exec-root": f"{self.dir}/exec",
            "pidfile": f"{self.dir}/docker.pid", "hosts": [self.endpoint],
            "containerd": f"{self.dir}/c.sock", "live-restore": live_restore,
            # A parent of our own, so that it can be removed when they cannot do it any more.
            "exec-opts": ["native.cgroupdriver=cgroupfs"], "cgroup-parent": f"/{self.group}",
            "bridge": "none", "iptables": False, "ip-forward": False, "userland-proxy": False,
            "default-address-pools": [{"base": "10.213.0.0/16", "size": 24}],
        }))

    def _make_namespaces(self):
        """An init whose end ends all that is in them; it ends with us."""
        with open(self.dir / "init.log", "ab") as log:
            self.init = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork",
                 "--kill-child", "--mount-proc", "--propagation", "private", "sh", "-c",
                 # Where the shims' sockets are, whatever one configures.
                 "mkdir -p /run/containerd && mount -t tmpfs tmpfs /run/containerd &&"
                 " exec tini -- sleep infinity"],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self.init_pid = until(lambda: self._child(self.init) or self.init.poll() is not None,
                              "the namespaces", PATIENCE)
        assert self.init.poll() is None, self._said("init")
        # The child is there before it is tini; only then the mounts are its own.
        until(lambda: pathlib.Path(f"/proc/{self.init_pid}/comm").read_text() == "tini\n", "tini", PATIENCE)

    def _child(self, process):
        """The first process that this one has started; None while there is none."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            path = pathlib.Path(f"/proc/{process.pid}/task/{process.pid}/children")
            return next(map(int, path.read_text().split()), None)
        return None

    def _spawn(self, name, *command):
        with open(self.dir / f"{name}.log", "ab") as log:
            process = subprocess.Popen(
                ["nsenter", "--target", str(self.init_pid), "--mount", "--pid", "--", *command],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        # Whether it has ended already is the caller's question.
        self.processes[name] = process, until(
            lambda: self._child(process) or process.poll() is not None, name, PATIENCE)

    def _said(self, name):
        return f"{name} said:\n" + (self.dir / f"{name}.log").read_text(errors="replace")[-4000:]

    def is_up(self, name):
        return name in self.processes and self.processes[name][0].poll() is None

    def start(self):
        """Starts what does not run, and waits until it answers."""
        if not self.is_up("containerd"):
            self._spawn("containerd", "containerd", "--config", f"{self.dir}/containerd.toml")
            until(lambda: (self.dir / "c.sock").exists() or not self.is_up("containerd"),
                  "containerd", PATIENCE)
        assert self.is_up("containerd"), self._said("containerd")
        self._spawn("dockerd", "dockerd", "--config-file", f"{self.dir}/daemon.json")
        until(lambda: self.answers() or not self.is_up("dockerd"), "dockerd", PATIENCE)
        assert self.is_up("dockerd"), self._said("dockerd")

    def answers(self):
        with contextlib.suppress(OSError, EngineError):
            return self.api("GET", "/_ping") == "OK"
        return False

    def stop(self, sig=signal.SIGTERM, name="dockerd"):
        """Ends the daemon by its pid, and waits for that."""
        process, pid = self.processes.pop(name)
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sig)
        process.wait(PATIENCE)

    def live_restore(self, on):
        """Do containers go on without the daemon? Takes effect at once."""
        self._configure(on)
        os.kill(self.processes["dockerd"][1], signal.SIGHUP)
        until(lambda: self.api("GET", "/info")["LiveRestoreEnabled"] == on, "live-restore", PATIENCE)

    def restart(self, sig=signal.SIGTERM):
        self.stop(sig)
        self.start()

    # ---- images, networks, containers ----

    def _import(self):
        """The image, as `docker import` makes it, with the one file that origin.c is."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            tar.add(build("origin", self.dir), "origin")
        self.import_image(IMAGE, archive.getvalue(), 'ENTRYPOINT ["/origin"]', 'CMD ["8000"]', "EXPOSE 8000")

    def import_image(self, name, archive, *changes):
        self.api("POST", "/images/create", archive, fromSrc="-", repo=name, tag="latest",
                 **({"changes": "\n".join(changes)} if changes else {}))

    def network(self, name="app", subnet=None):
        """Makes it once. With a `subnet` containers may have fixed addresses."""
        with contextlib.suppress(EngineError):
            return self.api("GET", f"/networks/{name}")["Id"]
        self.bridges.append(f"whg{os.getpid()}-{next(numbers)}")
        return self.api("POST", "/networks/create", {
            "Name": name, "Driver": "bridge", "CheckDuplicate": True,
            **({"IPAM": {"Config": [{"Subnet": subnet}]}} if subnet else {}),
            "Options": {"com.docker.network.bridge.name": self.bridges[-1]}})["Id"]

    def create(self, name, *options, service="web", project="shop", network="app", labels=None,
               port=8000, health=None, restart=None, image=IMAGE, **config):
        """Of a compose service; `port` and `options` are origin.c's. `health`: has a HEALTHCHECK every so
        many seconds, one failure of which makes it unhealthy. `config`: more of the API's."""
        if network not in ("none", "host") and not network.startswith("container:"):
            self.network(network)
        body = {
            "Image": image, "Hostname": name,
            "Cmd": [str(port), *options] if options or port != 8000 else None,
            "Labels": {"com.docker.compose.project": project, "com.docker.compose.service": service,
                       "com.docker.compose.oneoff": "False", **(labels or {})},
            "HostConfig": {"Binds": [f"{self.records_dir}:/records"], "NetworkMode": network,
                           "RestartPolicy": {"Name": restart or "no"}},
            **config}
        if health:
            body["Healthcheck"] = {"Test": ["CMD", "/origin", "check", str(port)], "Retries": 1,
                                   "Interval": int(health * SECOND), "Timeout": 5 * SECOND}
        return Container(self, name, self.api("POST", "/containers/create", body, name=name)["Id"])

    def run(self, name, *options, **config):
        """Created and started; whether it listens already is its own affair."""
        return self.create(name, *options, **config).start()

    def run_all(self, names, *options, **config):
        """Many, some of them at the same time, as compose does."""
        self.network(config.get("network", "app"))
        return self.at_once(lambda name: self.run(name, *options, **config), names)

    def at_once(self, call, them):
        """What `call` makes of each, of eight at the same time."""
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return list(pool.map(call, them))

    def clear(self):
        """As after the start: the daemon runs, there are neither containers nor networks."""
        if not self.is_up("dockerd"):
            self.start()
        left = self.api("GET", "/containers/json", all="true")
        self.at_once(lambda one: Container(self, "", one["Id"]).remove(), left)
        try:
            self._remove_networks()
        except EngineError as e:
            # Seen once in thousands: no container is left, and one's endpoint is. What it has lost
            # count of the daemon mends when it starts, and only then.
            warnings.warn(f"dockerd kept an endpoint: {e}; {self._said('dockerd')}", stacklevel=2)
            self.restart()
            self._remove_networks()
        for path in self.records_dir.iterdir():
            path.unlink()
        if self.api("GET", "/info")["LiveRestoreEnabled"]:
            self.live_restore(False)

    def _remove_networks(self):
        for one in self.api("GET", "/networks"):
            if one["Driver"] == "bridge":
                self.api("DELETE", f"/networks/{one['Id']}")

    # ---- the end ----

    def close(self):
        """Leaves nothing: processes and mounts end with the namespaces."""
        with contextlib.suppress(OSError, EngineError, AssertionError):
            if self.is_up("dockerd"):
                self.clear()
        for name in ("dockerd", "containerd"):
            if name in self.processes:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self.stop(name=name)
        if self.init:
            if child := self._child(self.init):
                os.kill(child, signal.SIGKILL)
            self.init.wait(PATIENCE)
        sweep(self.group, *self.bridges)
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
