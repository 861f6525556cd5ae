# SPDX-License-Identifier: Apache-2.0
"""Real Redis for the tests: one server, a master with replicas and Sentinels, a cluster; with
what can go wrong: killed, stopped, failed over, slots moved. All on loopback, ports by the kernel.

    with Redis() as r:                 r.call("INCR", "n"); r.pause(); r.resume(); r.kill()
    with SentinelFarm() as farm:       farm.fail_over(); farm.master.kill(); farm.await_master()
    with ClusterFarm() as farm:        farm.begin_move(slot, to); farm.end_move(slot, to)
"""
import contextlib
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile

from harness import PATIENCE, until


class RedisError(Exception):
    """What Redis answers with a minus."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Client:
    """A connection that asks and waits."""

    def __init__(self, address, password=None, username=None, tls=None, timeout=PATIENCE):
        host, port = address.rsplit(":", 1)
        sock = socket.create_connection((host, int(port)), timeout)
        self.sock = tls.wrap_socket(sock) if tls else sock
        self.file = self.sock.makefile("rb")
        if password:
            self.call("AUTH", *([username] if username else []), password)

    def send(self, *args):
        parts = [a if isinstance(a, bytes) else str(a).encode() for a in args]
        self.sock.sendall(b"*%d\r\n" % len(parts) +
                          b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))

    def read(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise EOFError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            return RedisError(rest.decode())
        if kind in b"+:":
            return int(rest) if kind == b":" else rest.decode()
        if int(rest) < 0:
            return None
        if kind == b"*":
            return [self.read() for _ in range(int(rest))]
        return self.file.read(int(rest) + 2)[:-2].decode(errors="replace")

    def call(self, *args):
        self.send(*args)
        answer = self.read()
        if isinstance(answer, RedisError):
            raise answer
        return answer

    def close(self):
        self.file.close()
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Redis:
    """A server that writes nothing to disk but what a cluster or Sentinel must. `options` are
    lines of its configuration. `tls`: paths of certificate, key and authority; then there is no
    plain port. A folder of its own, the same port over restarts."""

    def __init__(self, *options, tls=None, password=None, is_sentinel=False, start=True):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="wharfgate-redis-"))
        self.port, self.password, self.tls, self.is_sentinel = free_port(), password, tls, is_sentinel
        self.address = f"127.0.0.1:{self.port}"
        self.process = self.client_tls = None
        lines = [f"dir {self.dir}", "bind 127.0.0.1", f"logfile {self.dir}/log", *options]
        if tls:
            cert, key, ca = tls
            lines += ["port 0", f"tls-port {self.port}", f"tls-cert-file {cert}",
                      f"tls-key-file {key}", f"tls-ca-cert-file {ca}", "tls-auth-clients optional"]
            self.client_tls = ssl.create_default_context(cafile=ca)
            self.client_tls.check_hostname = False
        else:
            lines.append(f"port {self.port}")
        if not is_sentinel:
            lines += ['save ""', "repl-diskless-sync-delay 0"]
        if password:
            lines.append(f"requirepass {password}")
            if not is_sentinel:
                lines.append(f"masterauth {password}")
        self.conf = self.dir / "redis.conf"
        self.conf.write_text("\n".join(lines) + "\n")
        if start:
            self.start()

    def start(self):
        self.process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "redis-server", str(self.conf),
             *(["--sentinel"] if self.is_sentinel else [])],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, f"redis-server at {self.address}")

    def answers(self):
        assert self.process.poll() is None, (self.dir / "log").read_text(errors="replace")
        with contextlib.suppress(OSError, EOFError, RedisError), self.client(timeout=1) as c:
            return c.call("PING") == "PONG"

    def client(self, **kw):
        return Client(self.address, password=self.password, tls=self.client_tls, **kw)

    def call(self, *args, **kw):
        """On a connection of its own."""
        with self.client(**kw) as c:
            return c.call(*args)

    def info(self, section):
        lines = self.call("INFO", section).splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)

    def calls(self, command):
        """How often the server has run it."""
        line = self.info("commandstats").get(f"cmdstat_{command.lower()}", "calls=0,")
        return int(line.split("calls=")[1].split(",")[0])

    @property
    def pid(self):
        return self.process.pid

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        """At once, as when the power goes; start() brings it back, empty."""
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Farm:
    """Several servers that end together."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        for server in self.all:
            server.close()


class SentinelFarm(Farm):
    """A master, its replicas, and those who watch them. A master that is silent for
    `down_after` ms is replaced; with less, a busy machine is mistaken for a dead master."""

    def __init__(self, replicas=2, sentinels=3, name="gate", down_after=2000, password=None,
                 sentinel_password=None, failover_timeout=5000):
        self.name, self.all = name, []
        try:
            self.nodes = [self.add(Redis(password=password))]
            first = f"127.0.0.1 {self.nodes[0].port}"
            for _ in range(replicas):
                self.nodes.append(self.add(Redis(f"replicaof {first}", password=password)))
            lines = [f"sentinel monitor {name} {first} {sentinels // 2 + 1}",
                     f"sentinel down-after-milliseconds {name} {down_after}",
                     f"sentinel failover-timeout {name} {failover_timeout}"]
            if password:
                lines.append(f"sentinel auth-pass {name} {password}")
            if sentinel_password:
                lines.append(f"sentinel sentinel-pass {sentinel_password}")
            self.sentinels = [self.add(Redis(*lines, password=sentinel_password, is_sentinel=True))
                              for _ in range(sentinels)]
            until(lambda: all(self.knows_all(s) for s in self.sentinels), "all Sentinels", 60)
        except BaseException:
            self.close()
            raise

    def add(self, server):
        self.all.append(server)
        return server

    def knows_all(self, sentinel):
        """Nobody can be made master before that."""
        told = sentinel.call("SENTINEL", "MASTER", self.name)
        master = dict(zip(told[::2], told[1::2]))
        replicas = sentinel.call("SENTINEL", "REPLICAS", self.name)
        good = [r for r in (dict(zip(r[::2], r[1::2])) for r in replicas)
                if r["master-link-status"] == "ok" and r["slave-repl-offset"] != "0"]
        return (int(master["num-other-sentinels"]) == len(self.sentinels) - 1 and
                len(good) == len(self.nodes) - 1)

    def address_by(self, sentinel):
        host, port = sentinel.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self.name)
        return f"{host}:{port}"

    def node_at(self, address):
        return next(n for n in self.nodes if n.address == address)

    @property
    def master(self):
        """By a Sentinel that runs."""
        for s in self.sentinels:
            with contextlib.suppress(OSError, EOFError):
                return self.node_at(self.address_by(s))
        raise AssertionError("no Sentinel answers")

    def await_master(self, other_than=None, seconds=30):
        """One that all running Sentinels name, and that calls itself master."""
        def agreed():
            running = [s for s in self.sentinels if s.process]
            named = {self.address_by(s) for s in running}
            if len(named) != 1:
                return None
            node = self.node_at(named.pop())
            if node is other_than or not node.process:
                return None
            with contextlib.suppress(OSError, EOFError):
                return node if node.call("ROLE", timeout=1)[0] == "master" else None
        return until(agreed, "a master", seconds)

    def fail_over(self, leader=0):
        """While all is well, as for maintenance; returns the new master. The Sentinel that leads
        names it at once, but says +switch-master only when the other replicas follow it."""
        old = self.master
        self.sentinels[leader].call("SENTINEL", "FAILOVER", self.name)
        return self.await_master(other_than=old)


class ClusterFarm(Farm):
    """Masters that share the slots, each with replicas."""

    def __init__(self, masters=3, replicas=1, password=None, node_timeout=2000):
        self.password, self.all = password, []
        try:
            for _ in range(masters * (1 + replicas)):
                self.all.append(Redis(
                    "cluster-enabled yes", f"cluster-port {free_port()}",
                    f"cluster-node-timeout {node_timeout}", "cluster-config-file nodes.conf",
                    password=password))
            self.cli("--cluster", "create", *(n.address for n in self.all),
                     "--cluster-replicas", str(replicas), "--cluster-yes")
            until(lambda: all(self.is_well(n) for n in self.all), "the cluster", 60)
        except BaseException:
            self.close()
            raise

    @property
    def nodes(self):
        return self.all

    def cli(self, *args):
        auth = ["-a", self.password, "--no-auth-warning"] if self.password else []
        done = subprocess.run(["redis-cli", *auth, *args], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr

    def is_well(self, node):
        info = node.call("CLUSTER", "INFO")
        known = {f"127.0.0.1:{e[1]}" for r in node.call("CLUSTER", "SLOTS") for e in r[2:]}
        return "cluster_state:ok" in info and len(known) == len(self.all)

    def node_at(self, port):
        return next(n for n in self.all if n.port == port)

    def slot(self, key):
        return self.all[0].call("CLUSTER", "KEYSLOT", key)

    def owner(self, slot, by=None):
        """The master of a slot, as a node that runs sees it."""
        by = by or next(n for n in self.all if n.process)
        for first, last, master, *_ in by.call("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return self.node_at(master[1])
        raise AssertionError(f"nobody has slot {slot}")

    def masters(self):
        by = next(n for n in self.all if n.process)
        return [self.node_at(port) for port in {r[2][1] for r in by.call("CLUSTER", "SLOTS")}]

    def begin_move(self, slot, to):
        """From now on the old owner answers ASK for keys that it does not have."""
        old = self.owner(slot)
        assert old is not to
        to.call("CLUSTER", "SETSLOT", slot, "IMPORTING", old.call("CLUSTER", "MYID"))
        old.call("CLUSTER", "SETSLOT", slot, "MIGRATING", to.call("CLUSTER", "MYID"))

    def end_move(self, slot, to):
        """Its keys go, and from now on the old owner answers MOVED."""
        old = self.owner(slot)
        auth = ["AUTH", self.password] if self.password else []
        while keys := old.call("CLUSTER", "GETKEYSINSLOT", slot, 100):
            old.call("MIGRATE", "127.0.0.1", to.port, "", 0, 5000, *auth, "KEYS", *keys)
        for node in [to, old, *self.masters()]:
            node.call("CLUSTER", "SETSLOT", slot, "NODE", to.call("CLUSTER", "MYID"))

    def move(self, slot, to):
        self.begin_move(slot, to)
        self.end_move(slot, to)

    def fail_over(self, master):
        """One of its replicas takes its place, while all is well; returns that one."""
        slot = next(r[0] for r in master.call("CLUSTER", "SLOTS") if r[2][1] == master.port)
        replica = next(self.node_at(e[1]) for r in master.call("CLUSTER", "SLOTS")
                       if r[2][1] == master.port for e in r[3:])
        replica.call("CLUSTER", "FAILOVER")
        until(lambda: self.owner(slot, by=replica) is replica, "the replica's turn", 30)
        return replica


def serve(kind):
    """For a test in another language: a line of Python about `farm` comes, what it is goes."""
    make = {"sentinel": lambda: SentinelFarm(password="secret", sentinel_password="watch"),
            "cluster": lambda: ClusterFarm(password="secret")}
    with make[kind]() as farm:
        print("ready", flush=True)
        for line in sys.stdin:
            print(eval(line, {"farm": farm}), flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
