# SPDX-License-Identifier: Apache-2.0
"""A fake Docker daemon: /_ping, /containers/json and /events over a Unix socket.

It is not an engine. What it says is what a real engine (Docker 20.10, Podman 4.3) answered, as recorded in
tests/unit/discovery/recorded, with ids, names, services, addresses and states put in: so that a test can have
thousands of containers, and faults that a real engine does not show on demand. Whether the gate gets on with
real engines is what tests/e2e/docker shows."""
import contextlib
import copy
import hashlib
import json
import pathlib
import socket
import threading
import time
import urllib.parse

RECORDED = pathlib.Path(__file__).resolve().parents[1] / "unit" / "discovery" / "recorded"


def recorded_list(name):
    return json.loads((RECORDED / name).read_text())


def recorded_events(name):
    return [json.loads(line) for line in (RECORDED / name).read_text().splitlines() if line]


LIST = {c["Names"][0]: c for c in recorded_list("docker-20.10-list-1.41.json")}
EVENTS = {e["Action"]: e for e in reversed(recorded_events("docker-20.10-events-1.41.json"))
          if e["Type"] == "container"}


class Container:
    """One of the list: the recorded `web-1`, as another one. The lower the number, the older; `labels` that are
    None are left out."""

    def __init__(self, number, service, address, health="", state="running", like="/web-1", labels=()):
        self.id = hashlib.sha256(f"{service} {number}".encode()).hexdigest()
        self.service, self.number, self.address = service, number, address
        self.name = f"shop-{service}-{number}"
        self.state, self.health = state, health
        self.labels, self.like = dict(labels), LIST[like]

    @property
    def status(self):
        if self.state == "running":
            return "Up 2 hours" + (f" ({self.health})" if self.health else "")
        return {"exited": "Exited (0) 2 hours ago", "created": "Created"}.get(self.state, "Up 2 hours")

    def listed(self):
        c = copy.deepcopy(self.like)
        c.update(Id=self.id, Names=["/" + self.name], State=self.state, Status=self.status)
        c["Created"] += self.number
        c["Labels"].update({"com.docker.compose.service": self.service,
                            "com.docker.compose.container-number": str(self.number), **self.labels})
        c["Labels"] = {name: value for name, value in c["Labels"].items() if value is not None}
        for network in c["NetworkSettings"]["Networks"].values():
            network["IPAddress"] = self.address if self.state in ("running", "paused") else ""
            network["EndpointID"] = self.id[::-1]
        return c

    def event(self, action, **attributes):
        """That of the recorded stream, of this container, now."""
        e = copy.deepcopy(EVENTS[action])
        now = time.time_ns()
        e.update(id=self.id, time=now // 10**9, timeNano=now)
        e["Actor"]["ID"] = self.id
        e["Actor"]["Attributes"].update({"com.docker.compose.service": self.service, "name": self.name,
                                         **attributes})
        return e


def fleet(count=2000, services=40, prefix="127.20"):
    """Containers of compose services in turn, each with a loopback address of its own."""
    return [Container(i // services + 1, f"s{i % services}", f"{prefix}.{i // 250}.{i % 250 + 1}")
            for i in range(count)]


class Daemon:
    """`containers` is what it lists, newest first. What is set to break it: see the attributes."""

    def __init__(self, path, containers=()):
        self.path = str(path)
        self.containers = list(containers)
        self.version = "1.41"
        self.list_body = None        # bytes that are said instead of the list
        self.list_status = self.ping_status = self.events_status = 200
        self.is_hung = False         # lists are not answered
        self.requests = []           # (method, target)
        self.list_bytes = 0
        self.streams, self.lock = [], threading.Lock()
        self.cache = {}
        self.sock = None
        self.open()

    # ---- what the test says ----

    def open(self):
        pathlib.Path(self.path).unlink(missing_ok=True)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(64)
        threading.Thread(target=self._accept, args=(self.sock,), daemon=True).start()

    def close(self):
        """Gone, with the streams."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        self.end_streams()

    def end_streams(self):
        """As a proxy of the socket does with one that is idle. Cleanly."""
        with self.lock:
            streams, self.streams = self.streams, []
        for s in streams:
            with contextlib.suppress(OSError):
                s.sendall(b"0\r\n\r\n")
                s.shutdown(socket.SHUT_RDWR)

    def write(self, *pieces):
        """Bytes of the event stream, a chunk a piece. Returns when (monotonic)."""
        with self.lock:
            at = time.monotonic()
            for s in self.streams:
                for piece in pieces:
                    with contextlib.suppress(OSError):
                        s.sendall(b"%x\r\n%s\r\n" % (len(piece), piece))
        return at

    def emit(self, *events):
        """Events together in a chunk."""
        return self.write(b"".join(json.dumps(e, separators=(",", ":")).encode() + b"\n" for e in events))

    def say(self, container, action, **attributes):
        return self.emit(container.event(action, **attributes))

    def start(self, container, health=""):
        container.state, container.health = "running", health
        if container not in self.containers:
            self.containers.insert(0, container)
        return self.say(container, "start")

    def set_health(self, container, health):
        container.health = health
        return self.say(container, f"health_status: {health}")

    def kill(self, container, signal="15"):
        return self.say(container, "kill", signal=signal)

    def die(self, container):
        container.state = "exited"
        return self.say(container, "die", exitCode="0")

    def remove(self, container):
        self.containers.remove(container)
        return self.say(container, "destroy")

    def lists(self):
        return [t for t in self.requests if "/containers/json" in t]

    # ---- how it answers ----

    def _accept(self, sock):
        while True:
            try:
                peer, _ = sock.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        with peer, contextlib.suppress(OSError):
            pending = b""
            while True:
                while b"\r\n\r\n" not in pending:
                    more = peer.recv(65536)
                    if not more:
                        return
                    pending += more
                head, pending = pending.split(b"\r\n\r\n", 1)
                method, target = head.decode().split(" ")[:2]
                assert method == "GET", method
                self.requests.append(target)
                path, _, query = target.partition("?")
                if path.endswith("/events") and self.events_status == 200:
                    return self._stream(peer)
                if path.endswith("/events"):
                    self._answer(peer, self.events_status, b"{}")
                elif path == "/_ping":
                    self._answer(peer, self.ping_status, b"OK")
                elif self.is_hung:
                    time.sleep(60)
                else:
                    body = self.list(urllib.parse.parse_qs(query)) if self.list_body is None \
                        else self.list_body
                    self._answer(peer, self.list_status, body)

    def _answer(self, peer, status, body):
        peer.sendall(f"HTTP/1.1 {status} X\r\nApi-Version: {self.version}\r\nDocker-Experimental: false\r\n"
                     f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def _stream(self, peer):
        with self.lock:
            peer.sendall(b"HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nContent-Type: application/json\r\n"
                         b"Transfer-Encoding: chunked\r\n\r\n")
            self.streams.append(peer)
        peer.recv(1)  # until the other side ends it

    def list(self, query=None):
        """As /containers/json has it; `filters` by id are heeded."""
        ids = json.loads((query or {}).get("filters", ["{}"])[0]).get("id")
        parts = []
        for c in list(self.containers):
            if ids is not None and c.id not in ids:
                continue
            key = (c.id, c.state, c.health, c.address)
            if key not in self.cache:
                self.cache[key] = json.dumps(c.listed(), separators=(",", ":"), ensure_ascii=False)
            parts.append(self.cache[key])
        body = ("[" + ",".join(parts) + "]\n").encode()
        self.list_bytes += len(body)
        return body

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
