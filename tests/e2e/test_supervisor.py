# SPDX-License-Identifier: Apache-2.0
"""Two processes: the one that serves may die at any time, the one that keeps the sockets not."""
import os
import pathlib
import pwd
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import PATIENCE, Gate, Peer, insecure, make_cert, read_message, until

CONFIG = """
listeners: { http: { address: "127.0.0.1:0" } }
upstreams: { app: { servers: ["{origin}"] } }
routes: [ { upstream: app } ]
"""
OK = """
listeners: { http: { address: "127.0.0.1:0" } }
routes: [ { respond: { body: ok } } ]
"""
# Sanitizers slow the new process down, nothing else.
BACK_WITHIN_S = 0.1 if PATIENCE <= 10 else 2.0


def is_gone(pid):
    """Ended with all its threads; a zombie has ended, too."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]
        return state in "ZX" and len(os.listdir(f"/proc/{pid}/task")) <= 1
    except (FileNotFoundError, ProcessLookupError):
        return True


def kill_worker(gate):
    """SIGKILL to the worker process; returns when it has ended, with the time."""
    pid = gate.worker_pid
    os.kill(pid, signal.SIGKILL)
    at = time.monotonic()
    until(lambda: is_gone(pid), "the worker process' end")
    return at


def wait_for_another(gate, pid):
    until(lambda: gate.ready["worker_pid"] != pid, "another worker process")


class Connector:
    """Connects, asks, closes, over and over. Every outcome with its times."""

    def __init__(self, gate):
        self.address, self.stop = gate.address("http"), threading.Event()
        self.answers, self.refusals, self.broken = [], [], []
        self.thread = threading.Thread(target=self._run)

    def _once(self):
        began = time.monotonic()
        try:
            sock = socket.create_connection(self.address, PATIENCE)
        except OSError as e:
            self.refusals.append((began, repr(e)))
            return
        with Peer(sock) as peer:
            try:
                peer.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                assert read_message(peer).status == 200
                self.answers.append((began, time.monotonic()))
            except (OSError, EOFError) as e:
                self.broken.append((began, repr(e)))

    def _run(self):
        while not self.stop.is_set():
            self._once()

    def __enter__(self):
        self.thread.start()
        until(lambda: len(self.answers) > 20, "answers")
        return self

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def back_after_kill():
    with Gate(OK, workers=2) as gate, Connector(gate) as c:
        pid = gate.worker_pid
        killed = kill_worker(gate)
        dead = time.monotonic()
        until(lambda: any(began > killed for began, _ in c.answers), "an answer after the kill")
        wait_for_another(gate, pid)
        until(lambda: len(c.answers) > 50, "more answers")
        assert not c.refusals
        # Those that began after its end lost nothing; one that it was serving was cut.
        assert not [b for b in c.broken if b[0] > dead], c.broken
        assert f"worker process {pid} died of signal 9" in gate.errors()
        assert gate.metric("wharfgate_worker_crashes_total") == 1
        return min(ended for began, ended in c.answers if began > killed) - killed


def test_killed_worker_process_is_back_within_100_ms():
    """Under continuous new connections: none is refused, the first answer comes in time, the
    death is logged and counted. Three times; the machine may be busy once."""
    times = sorted(back_after_kill() for _ in range(3))
    assert times[1] < BACK_WITHIN_S, times


def test_kept_sockets_are_the_same_ones(origin):
    """The ports stay, the generation begins anew, keep-alive clients may connect again."""
    with Gate(CONFIG, origin=origin.address) as gate:
        before, pid = gate.ready, gate.worker_pid
        kill_worker(gate)
        # In the gap a connection waits in the kernel.
        with gate.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert read_message(c).status == 200
        wait_for_another(gate, pid)
        assert gate.ready["listeners"] == before["listeners"]
        assert gate.ready["pid"] == before["pid"] == gate.process.pid


def test_crash_loop_backs_off():
    """At once, then after 100 ms, 200 ms, 400 ms."""
    with Gate(OK) as gate:
        gaps = []
        for i in range(4):
            pid = gate.worker_pid
            killed = kill_worker(gate)
            wait_for_another(gate, pid)
            gaps.append(time.monotonic() - killed)
            assert gate.request().body == b"ok"
        for gap, least in zip(gaps, (0, 0.1, 0.2, 0.4)):
            assert least <= gap < least + BACK_WITHIN_S + 0.1, gaps
        assert gate.metric("wharfgate_worker_crashes_total") == 4
        assert gate.admin("/v1/status").json["worker_crashes"] == 4
        assert gate.errors().count("died of signal 9") == 4
        assert gate.errors().count("after a pause") == 3


def test_sigterm_amid_the_pause_of_a_crash_loop():
    with Gate(OK) as gate:
        for _ in range(3):
            pid = gate.worker_pid
            kill_worker(gate)
            wait_for_another(gate, pid)
        kill_worker(gate)
        until(lambda: gate.errors().count("after a pause") == 3, "the pause")
        assert gate.stop() == 0


def test_worker_that_crashes_while_the_file_is_broken_serves_the_last_good_one():
    with Gate(OK) as gate:
        pid = gate.worker_pid
        gate.path.write_text("nonsense: [")
        kill_worker(gate)
        assert gate.request().body == b"ok"
        wait_for_another(gate, pid)
        assert "serving the last good one" in gate.errors()
        gate.write(OK.replace("ok", "mended"))
        assert gate.reload().returncode == 0
        assert gate.request().body == b"mended"


def test_signal_amid_a_reload_is_not_lost():
    """Its command comes before the answer that the reload waits for, and nothing follows it."""
    with Gate(OK + "shutdown_grace: 0s\n") as gate:
        gate.process.send_signal(signal.SIGSTOP)
        with socket.socket(socket.AF_UNIX) as admin:
            admin.connect(str(gate.socket_path))
            admin.send(b"POST /v1/reload HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
            wchan = pathlib.Path(f"/proc/{gate.worker_pid}/wchan")
            until(lambda: "skb" in wchan.read_text(), "the reload's first question")
            gate.process.send_signal(signal.SIGTERM)
            gate.process.send_signal(signal.SIGCONT)
            assert gate.process.wait(PATIENCE * 2) == 0
        assert gate.errors().index("generation 2") < gate.errors().index("stopping")


FILES = """
listeners:
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{dir}/a.pem", key: "{dir}/a.key" } ] } }
upstreams: { app: { servers: [ "127.0.0.1:1" ], tls: { ca: "{dir}/ca.pem" } } }
routes: [ { match: { path: /app }, upstream: app } ]
defaults: { error_pages: { 404: "{dir}/404.html" } }
"""


@pytest.fixture
def files(tmp_path):
    make_cert(tmp_path, "a", "localhost")
    make_cert(tmp_path, "ca")
    (tmp_path / "404.html").write_text("lost")
    return tmp_path


def answer(gate):
    """The page of 404, and the certificate that it came under."""
    with gate.connect("https", tls=insecure()) as c:
        c.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        return read_message(c).body, c.sock.getpeercert(binary_form=True)


@pytest.mark.long
@pytest.mark.parametrize("name, content, log", [
    ("a.pem", b"nonsense", ""), ("a.key", None, "log: { error: '{dir}/error.log' }"),
    ("ca.pem", b"", ""), ("404.html", None, "")])
def test_worker_that_crashes_while_a_page_or_key_is_broken_serves_the_last_good(files, name, content, log):
    """Certificate, key, authority, page: gone or broken when another worker process comes. The
    fault is told; the mended file is taken up by itself."""
    with Gate(FILES + log, dir=files) as gate:
        before, good = answer(gate), (files / name).read_bytes()

        def errors():
            return (files / "error.log").read_text() if log else gate.errors()
        for _ in range(2):  # what was kept is kept on
            pid = gate.worker_pid
            (files / name).unlink(missing_ok=True)
            if content is not None:
                (files / name).write_bytes(content)
            kill_worker(gate)
            assert answer(gate) == before
            wait_for_another(gate, pid)
        assert "serving the last good ones" in errors() and "exit code 3" not in errors()
        assert f"{files}/{name}" in errors()
        assert gate.metric("wharfgate_worker_crashes_total") == 2
        last = gate.admin("/v1/status").json["reloads"]["last"]
        assert not last["ok"] and last["problems"]
        assert gate.reload().returncode == 3
        (files / name).write_bytes(good)
        until(lambda: "changed files: generation" in errors(), "the mended file", 10 + PATIENCE)
        assert answer(gate) == before


def test_files_that_were_refused_are_not_what_is_kept(files):
    """The successor has what served last, not what was tried last."""
    with Gate(FILES, dir=files) as gate:
        first = answer(gate)
        make_cert(files, "a", "localhost")
        (files / "404.html").write_text("gone")
        assert gate.reload().returncode == 0
        second = answer(gate)
        assert second != first and second[0] == b"gone"
        (files / "404.html").write_text("bad")
        (files / "a.key").write_text("bad")
        assert gate.reload().returncode == 3
        pid = gate.worker_pid
        kill_worker(gate)
        assert answer(gate) == second
        wait_for_another(gate, pid)


def test_worker_process_dies_with_its_supervisor():
    with Gate(OK) as gate:
        pid = gate.worker_pid
        gate.process.kill()
        gate.process.wait()
        until(lambda: is_gone(pid), "the worker process' end")
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(gate.address("http"), 5)


def test_start_fails_when_the_address_is_taken():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        with pytest.raises(AssertionError) as e:
            Gate(OK.replace("127.0.0.1:0", address))
        assert "exit 1:" in str(e.value) and f"cannot listen on {address}" in str(e.value)


def test_two_gates_do_not_share_a_port():
    """SO_REUSEPORT is for our own sockets."""
    with Gate(OK) as gate:
        address = "127.0.0.1:%d" % gate.address("http")[1]
        with pytest.raises(AssertionError) as e:
            Gate(OK.replace("127.0.0.1:0", address))
        assert f"cannot listen on {address}" in str(e.value)
        assert gate.request().body == b"ok"


def test_pid_file_and_ready_file(tmp_path):
    path = tmp_path / "gate.pid"
    with Gate(OK + "pid_file: '{path}'\n", path=path) as gate:
        assert int(path.read_text()) == gate.process.pid == gate.ready["pid"]
        assert gate.stop() == 0
        assert not path.exists()


def test_systemd_is_told(tmp_path):
    """READY=1 and STOPPING=1 on $NOTIFY_SOCKET."""
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(path)
        notify.settimeout(PATIENCE)
        with Gate(OK, env={"NOTIFY_SOCKET": path}) as gate:
            assert b"READY=1" in notify.recv(1000)
            assert gate.stop() == 0
            assert b"STOPPING=1" in notify.recv(1000)


# ---- rights ----

def status_of(pid, name):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split()[1:]
    raise KeyError(name)


def low_port():
    """One below 1024 that nobody has."""
    for port in range(1023, 600, -1):
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no low port is free")


def test_worker_runs_as_nobody_and_reloads_what_only_root_may(tmp_path):
    """Keys and configuration that only root may read, a new port below 1024, a new log in a
    folder that only root may write: all through the supervisor."""
    config = """
        user: nobody
        group: nogroup
        listeners:
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
          low: { address: "127.0.0.1:{port}" }
        routes: [ { respond: { body: "{body}" } } ]
        log: { access: "{access}" }
        """
    first, second = make_cert(tmp_path, "one", "localhost"), make_cert(tmp_path, "two", "localhost")
    for path in (*first, *second):
        path.chmod(0o600)
    tmp_path.chmod(0o700)
    port = low_port()
    log = tmp_path / "access.log"
    with Gate(config, cert=first[0], key=first[1], port=port, body="one",
              access=log) as gate:
        nobody = pwd.getpwnam("nobody")
        assert set(status_of(gate.worker_pid, "Uid")) == {str(nobody.pw_uid)}
        assert set(status_of(gate.worker_pid, "Gid")) == {str(nobody.pw_gid)}
        assert status_of(gate.worker_pid, "CapEff") == ["0" * 16]
        assert status_of(gate.worker_pid, "NoNewPrivs") == ["1"]
        gate.path.chmod(0o600)
        assert gate.address("low")[1] == port

        def shown():
            with gate.connect("https", tls=insecure()) as c:
                return c.sock.getpeercert(binary_form=True)
        before = shown()
        gate.request("/one", listener="low")
        port = low_port()
        done = gate.reload(config, cert=second[0], key=second[1], port=port, body="two",
                           access=tmp_path / "other.log")
        assert done.returncode == 0, done.stderr
        assert shown() != before
        assert gate.address("low")[1] == port
        assert gate.request(listener="low").body == b"two"
        until(lambda: (tmp_path / "other.log").exists() and (tmp_path / "other.log").read_text(),
              "a line in the new log")
        # And a new worker process may do it all again.
        pid = gate.worker_pid
        kill_worker(gate)
        assert gate.request(listener="low").body == b"two"
        wait_for_another(gate, pid)
        assert set(status_of(gate.worker_pid, "Uid")) == {str(nobody.pw_uid)}
        assert "/one" in log.read_text()
        (tmp_path / "other.log").rename(tmp_path / "rotated.log")
        gate.process.send_signal(signal.SIGUSR1)
        until(lambda: (tmp_path / "other.log").exists(), "the reopened log")


def test_without_root(tmp_path):
    """As an ordinary user everything works but becoming another one."""
    with Gate(OK + "user: daemon\n", owner="nobody",
              prefix=["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]) as gate:
        nobody = str(pwd.getpwnam("nobody").pw_uid)
        assert set(status_of(gate.worker_pid, "Uid")) == {nobody}
        assert "only root may become another user" in gate.errors()
        assert gate.request().body == b"ok"
        assert gate.reload(OK.replace("ok", "new")).returncode == 0
        assert gate.request().body == b"new"
        pid = gate.worker_pid
        kill_worker(gate)
        assert gate.request().body == b"new"
        wait_for_another(gate, pid)
        done = gate.reload(OK.replace("127.0.0.1:0", f"127.0.0.1:{low_port()}"))
        assert done.returncode == 3 and "ports below 1024" in done.stderr
        assert gate.stop() == 0


def test_root_without_a_user_is_warned():
    with Gate(OK) as gate:
        assert "user: not set" in gate.errors() and "runs as root" in gate.errors()
    with Gate(OK + "user: nobody\n") as gate:
        assert "runs as root" not in gate.errors()
    with Gate(OK, owner="nobody",
              prefix=["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]) as gate:
        assert "runs as root" not in gate.errors()


def test_unknown_user_is_found_before_anything_runs():
    with pytest.raises(AssertionError) as e:
        Gate(OK + "user: no-such-one\n")
    assert "exit 3:" in str(e.value) and "no-such-one" in str(e.value)


# ---- PID 1 ----

def children(pid):
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, rest = path.read_text().rsplit(") ", 1)
        except (FileNotFoundError, ProcessLookupError):
            continue
        if rest.split()[1] == str(pid):
            found.append((int(path.parent.name), rest[0]))
    return found


def name_of(pid):
    """What the process is called; nothing when it has just gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_as_pid_1_it_reaps_orphans_and_stops():
    """In a PID namespace of its own, as in a container: orphans leave no zombies, a killed
    worker process comes back, SIGTERM ends it with 0."""
    with Gate(OK, prefix=["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]) as gate:
        assert gate.ready["pid"] == 1
        [(init, _)] = children(gate.process.pid)
        inside = ["nsenter", "-t", str(init), "-p", "-m"]
        # A shell whose child outlives it: PID 1 inherits that.
        done = subprocess.run([*inside, "sh", "-c", "cat <&3 >/dev/null & exit 0"],
                              stdin=subprocess.DEVNULL, capture_output=True,
                              preexec_fn=lambda: os.dup2(os.open("/dev/null", 0), 3), text=True)
        assert done.returncode == 0, done.stderr
        [worker] = [pid for pid, state in children(init) if state != "Z"
                    and "wharfgate" in name_of(pid)]
        until(lambda: [pid for pid, _ in children(init)] == [worker], "the orphan's end")
        os.kill(worker, signal.SIGKILL)
        assert gate.request().body == b"ok"
        until(lambda: [pid for pid, _ in children(init) if pid != worker], "another worker process")
        until(lambda: len(children(init)) == 1, "the dead one to be reaped")
        os.kill(init, signal.SIGTERM)
        assert gate.process.wait(PATIENCE) == 0
