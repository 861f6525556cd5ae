# SPDX-License-Identifier: Apache-2.0
"""`wharfgate status`: a live table on a terminal, text in a pipe, JSON for programs."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time

import pytest

from harness import BINARY, PATIENCE, Gate, Nobody, Origin, reply, run, until

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    upstreams:
      app: { servers: ["{app}"] }
      other: { servers: ["{other}"] }
    routes: [ { upstream: app } ]
"""
ENTER, LEAVE = "\033[?1049h", "\033[?1049l"


class Terminal:
    """A pseudo terminal with a program on it, and what its user would see: the drawing
    in place that `wharfgate status` uses, and nothing else."""

    def __init__(self, *args, columns=120, rows=30, prefix=(), **env):
        self.leader, self.follower = pty.openpty()
        self.resize(columns, rows)
        self.before = termios.tcgetattr(self.follower)
        self.process = subprocess.Popen(
            [*prefix, BINARY, "status", *map(str, args)], stdin=self.follower, stdout=self.follower,
            stderr=self.follower, start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "", **env})
        self.shown = ""

    def resize(self, columns, rows):
        fcntl.ioctl(self.follower, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def read(self):
        while select.select([self.leader], [], [], 0)[0]:
            self.shown += os.read(self.leader, 65536).decode()
        return self.shown

    def frames(self):
        """Each drawing that is whole: from the upper left corner to the clearing of the rest."""
        return re.findall(r"\033\[H(.*?)\033\[J", self.read(), re.S)

    def screen(self):
        """The last drawing, its colours left out."""
        frames = self.frames()
        return re.sub(r"\033\[[0-9;]*[mK]", "", frames[-1]).replace("\r", "") if frames else ""

    def until(self, text):
        try:
            until(lambda: text in self.screen(), text)
        except AssertionError as e:
            raise AssertionError(f"{e} in\n{self.read()!r}") from None
        return self.screen()

    def row(self, start):
        """The table's row that starts so, in words."""
        [row] = [line for line in self.screen().splitlines() if line.strip().startswith(start)]
        return row.split()

    def press(self, keys):
        os.write(self.leader, keys.encode())

    def wait(self):
        """Reads all until it ends; the exit code."""
        until(lambda: self.read() is not None and self.process.poll() is not None, "its end")
        self.read()
        return self.process.returncode

    def is_as_before(self):
        return termios.tcgetattr(self.follower) == self.before

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.leader)
        os.close(self.follower)


@pytest.fixture
def gate(origin):
    with Nobody() as nobody, Gate(CONFIG, app=origin.address, other=nobody.address) as g:
        yield g


@contextlib.contextmanager
def gateway_that_says(path, *answers, status=200):
    """Not the real one: its admin socket gives these answers, the last one on and on."""
    left = list(answers)

    def serve(peer, origin):
        assert origin.read(peer).start == "GET /v1/status HTTP/1.1"
        answer = left.pop(0) if len(left) > 1 else left[0]
        peer.send(reply(status, answer if isinstance(answer, (str, bytes)) else json.dumps(answer)))

    with Origin(serve, unix=str(path)) as o:
        yield o


def status_of(*endpoints, **upstream):
    """An answer with one upstream."""
    return {"version": "9.9", "started": 1764115000, "generation": 3, "upstreams": [
        {"name": "api", "balance": "random", "active": 0, "queued": 0, "panic": False,
         "trouble": None, "endpoints": list(endpoints), **upstream}]}


def endpoint(address, state="ready", **more):
    return {"address": address, "identity": address, "state": state, "since": time.time() - 200,
            "reason": "", "active": 0, "requests": 0, "failed": 0, "latency_ms": None,
            "check": None, **more}


# ---- in a pipe ----

def test_in_a_pipe_it_is_text_once(gate, origin):
    for _ in range(3):
        assert gate.request().status == 200
    done = run("status", "-c", gate.path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\033" not in done.stdout and "REQ/S" not in done.stdout
    head, blank, titles, *lines = done.stdout.splitlines()
    host, port = gate.address("http")
    assert re.match(rf"wharfgate \S+  up \d+s  generation 1  http {host}:{port}$", head)
    assert blank == "" and titles.split()[:3] == ["ADDRESS", "STATE", "SINCE"]
    assert [line.split()[0] for line in lines[::2]] == ["app", "other"]
    row = dict(zip(titles.split(), lines[1].split()))
    assert row["ADDRESS"] == origin.address and row["REQUESTS"] == "3" and row["ACTIVE"] == "0"
    # The same by the socket's path, but for times, which go on.
    again = run("status", "--socket", gate.socket_path)

    def untimed(rows):
        return [re.sub(r"[0-9.]+m?s\b", "", row).split() for row in rows]
    assert again.returncode == 0 and untimed(again.stdout.splitlines()[2:]) == untimed([titles, *lines])


def test_json_is_the_gateways_own(gate):
    done = run("status", "--json", "-c", gate.path)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert told.keys() == gate.admin("/v1/status").json.keys()
    assert [u["name"] for u in told["upstreams"]] == ["app", "other"]
    assert told["pid"] == gate.ready["pid"]


def test_json_is_passed_on_as_it_is(tmp_path):
    text = '{"of tomorrow": [1,  2],\n "upstreams": "none"}'
    with gateway_that_says(tmp_path / "s", text):
        assert run("status", "--json", "--socket", tmp_path / "s").stdout == text


def test_a_refused_reload_is_in_the_head(gate):
    gate.reload(CONFIG.replace("upstream: app", "upstream: none"))
    assert ": 1 error  " in run("status", "-c", gate.path).stdout.splitlines()[0]


def test_some_upstreams_only(gate):
    done = run("status", "-c", gate.path, "other")
    assert done.returncode == 0
    assert re.search(r"^other  ", done.stdout, re.M) and "\napp  " not in done.stdout
    assert "\napp  " in run("status", "other", "--socket", gate.socket_path, "app").stdout


def test_an_unknown_upstream_is_1_with_the_names_there_are(gate):
    done = run("status", "-c", gate.path, "app", "othr")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr == ('wharfgate status: there is no upstream "othr"; did you mean "other"?\n'
                           "There are: app, other\n")


def test_wrong_usage_is_2(tmp_path):
    for words in (["--json", "app"], ["--watch"], ["--once=1"]):
        done = run("status", "--socket", tmp_path / "none", *words)
        assert done.returncode == 2 and "help status" in done.stderr


# ---- no gateway ----

def test_nothing_that_runs_is_4(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text("listeners: { http: { address: '127.0.0.1:0' } }\nroutes: []\n"
                    f"admin: {{ socket: {tmp_path}/none.sock }}\n")
    for words in (["--socket", tmp_path / "none.sock"], ["-c", path]):
        for more in ([], ["--json"], ["--once"], ["app"]):
            done = run("status", *words, *more)
            assert done.returncode == 4 and done.stdout == ""
            assert "none.sock: No such file or directory\n" in done.stderr
            assert "Does it run" in done.stderr
    path.write_text(path.read_text().replace(f"{tmp_path}/none.sock", "off"))
    done = run("status", "-c", path)
    assert done.returncode == 3 and "/v1/status" in done.stderr
    done = run("status", "-c", tmp_path / "none.yaml")
    assert done.returncode == 3 and "No such file" in done.stderr and "reached" not in done.stderr


def test_a_terminal_is_not_touched_when_nothing_runs(tmp_path):
    with Terminal("--socket", tmp_path / "none.sock") as t:
        assert t.wait() == 4 and ENTER not in t.shown and "none.sock: No such file" in t.shown


@pytest.mark.parametrize("answer, text", [
    ("nonsense", "its answer is no JSON"),
    ({"name": "another program"}, "not that of a gateway"),
])
def test_an_answer_that_is_none(tmp_path, answer, text):
    with gateway_that_says(tmp_path / "s", answer):
        done = run("status", "--socket", tmp_path / "s")
        assert done.returncode == 1 and text in done.stderr and done.stdout == ""


def test_a_gateway_that_refuses(tmp_path):
    with gateway_that_says(tmp_path / "s", "it is stopping\n", status=503):
        done = run("status", "--socket", tmp_path / "s")
        assert done.returncode == 1 and "answered 503\nit is stopping\n" in done.stderr


# ---- on a terminal ----

def test_live_until_q(gate, origin):
    """Each second anew, in place, with requests a second; then the terminal is as it was."""
    with Terminal("-c", gate.path) as t:
        t.until("REQ/S")
        assert t.row(origin.address)[4:6] == ["0", "-"]

        def is_counted():
            gate.request()
            return re.match(r"[1-9]", t.row(origin.address)[5])
        until(is_counted, "a rate")
        assert int(t.row(origin.address)[4]) > 0
        assert t.shown.count(ENTER) == 1 and "\033[2J" not in t.shown and not t.is_as_before()
        t.press("\033Oqx")  # neither a key that sends it after an escape, nor others
        after = len(t.frames())
        until(lambda: len(t.frames()) > after, "a new drawing")
        assert t.process.poll() is None
        t.press("q")
        assert t.wait() == 0
        assert t.shown.endswith(LEAVE) and "\033[?25h" in t.shown and t.is_as_before()


@pytest.mark.parametrize("how", ["key", signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_other_ends_restore_the_terminal_too(gate, how):
    with Terminal("-c", gate.path) as t:
        t.until("app")
        if how == "key":
            t.press("\003")
        else:
            t.process.send_signal(how)
        assert t.wait() == 0 and t.shown.endswith(LEAVE) and t.is_as_before()


# A shell's part in Ctrl-Z: the program is a job, and goes on once it was seen to have stopped.
SHELL = """
import os, signal, sys, termios
job = os.fork()
if not job:
    os.setpgid(0, 0)
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while True:
    _, status = os.waitpid(job, os.WUNTRACED)
    if not os.WIFSTOPPED(status):
        sys.exit(os.waitstatus_to_exitcode(status))
    print("stopped, echo", bool(termios.tcgetattr(0)[3] & termios.ECHO), flush=True)
    os.kill(job, signal.SIGCONT)
"""


def test_suspended_and_resumed(gate):
    """Ctrl-Z gives the terminal back; resumed, it takes it again."""
    with Terminal("-c", gate.path, prefix=[sys.executable, "-c", SHELL]) as t:
        t.until("app")
        t.press("\032")
        until(lambda: t.read().count(ENTER) == 2, "its coming back")
        assert f"{LEAVE}stopped, echo True" in t.shown
        after = len(t.frames())
        until(lambda: len(t.frames()) > after, "a new drawing")
        t.press("q")
        assert t.wait() == 0 and t.is_as_before()


def test_nobody_could_resume_it(gate):
    """Alone in its session, as in a container, Ctrl-Z does not stop it."""
    with Terminal("-c", gate.path) as t:
        t.until("app")
        t.press("\032")
        until(lambda: t.read().count(ENTER) == 2, "its going on")
        t.press("q")
        assert t.wait() == 0 and t.is_as_before()


def test_it_follows_the_size(tmp_path):
    """Narrow: the last column is cut. Low: problems first, and how many are left out."""
    check = {"ok": True, "at": time.time(), "output": "200 " + "very " * 30 + "OK"}
    rows = [endpoint(f"10.0.0.{i}:80", check=check) for i in range(100)]
    rows[70] = endpoint("10.0.0.70:80", "unhealthy", reason="3 checks failed")
    with gateway_that_says(tmp_path / "s", status_of(*rows)), \
            Terminal("--socket", tmp_path / "s", columns=100, rows=20) as t:
        shown = t.until("3 checks failed")
        lines = shown.splitlines()
        assert len(lines) == 20 and max(map(len, lines)) == 100
        assert lines[-1] == "not shown: 85 endpoints"
        assert lines[4].startswith("  10.0.0.0:80") and lines[4].endswith("…")
        t.resize(60, 8)
        until(lambda: len(t.screen().splitlines()) == 8, "the smaller one")
        assert max(map(len, t.screen().splitlines())) == 60
        assert "not shown: 97 endpoints" in t.screen() and "10.0.0.70:80" in t.screen()
        t.resize(300, 200)
        until(lambda: len(t.screen().splitlines()) == 104, "the larger one")
        assert "very OK, " in t.screen() and "not shown" not in t.screen()


def test_colours_by_state_unless_no_color(tmp_path):
    answer = status_of(endpoint("a"), endpoint("b", "unhealthy"), endpoint("c", "ejected"),
                       endpoint("d", "starting"), endpoint("e", "draining"))
    with gateway_that_says(tmp_path / "s", answer):
        with Terminal("--socket", tmp_path / "s") as t:
            t.until("draining")
            for color, state in ((32, "ready"), (31, "unhealthy"), (31, "ejected"),
                                 (33, "starting"), (33, "draining")):
                assert f"\033[{color}m{state}\033[0m" in t.shown
            plain = t.screen()
        with Terminal("--socket", tmp_path / "s", NO_COLOR="1") as t:
            assert t.until("draining") == plain
            assert not re.search(r"\033\[[0-9;]*m", t.shown)


def test_once_on_a_terminal(gate):
    with Terminal("--once", "-c", gate.path, columns=50, rows=5) as t:
        assert t.wait() == 0 and ENTER not in t.shown and "REQ/S" not in t.shown
        lines = re.sub(r"\033\[[0-9;]*m", "", t.shown).splitlines()
        assert len(lines) == 7 and max(map(len, lines)) <= 50  # as wide as it is, and all of it
        assert t.is_as_before()
    # So where the terminal can do no more.
    with Terminal("-c", gate.path, TERM="dumb") as t:
        assert t.wait() == 0 and ENTER not in t.shown and "app" in t.shown


def test_the_gateway_stops_and_comes_back(gate, origin):
    """Its last table stays, marked, with the reason; a new one takes its place."""
    with Terminal("--socket", gate.socket_path) as t:
        gate.request()
        until(lambda: t.screen() and t.row(origin.address)[4] == "1", "the request")
        gate.stop()
        t.until("STALE for ")
        assert str(gate.socket_path) in t.screen() and t.row(origin.address)[4] == "1"
        until(lambda: "STALE for 2s" in t.screen(), "its age")
        gate.start()
        until(lambda: "STALE" not in t.screen() and t.row(origin.address)[4:6] == ["0", "-"],
              "the new one")
        t.press("q")
        assert t.wait() == 0 and t.is_as_before()


def test_a_gateway_that_hangs_does_not_hold_the_keys(tmp_path):
    """While no answer comes, q ends it and a new size is followed."""
    came = []

    def serve(peer, origin):
        origin.read(peer)
        came.append(1)
        if len(came) == 1:
            peer.send(reply(200, json.dumps(status_of(endpoint("10.0.0.7:80")))))
        else:
            peer.read_all()

    with Origin(serve, unix=str(tmp_path / "s")), Terminal("--socket", tmp_path / "s") as t:
        until(lambda: t.read() and len(came) == 2, "the second question")
        t.resize(30, 10)
        until(lambda: t.screen() and max(map(len, t.screen().splitlines())) == 30, "the new size")
        t.press("q")
        assert t.wait() == 0 and len(came) == 2


def test_a_reload_takes_an_upstream_away(gate):
    with Terminal("-c", gate.path, "app", "other") as t:
        t.until("other")
        gate.write("""
            listeners: { http: { address: "127.0.0.1:0" } }
            upstreams: { app: { servers: ["127.0.0.1:1"] } }
            routes: [ { upstream: app } ]
        """)
        assert run("reload", "-c", gate.path).returncode == 0
        t.until("not configured any more: other")
        assert "127.0.0.1:1" in t.screen()


def test_what_replicas_say_cannot_steer_the_terminal(tmp_path):
    """Escape sequences, C1 controls, turned directions, NUL and what is no UTF-8."""
    check = {"ok": False, "at": time.time(),
             "output": "\033]0;owned\a\033[2J\x9b31m\u202etxt\0\r\nq BAD"}
    answer = json.dumps(status_of(endpoint("10.0.0.7:80", check=check), trouble="\033[5mBAD"),
                        ensure_ascii=False).encode()
    answer = answer.replace(b"BAD", b"\xff\xfe")
    with gateway_that_says(tmp_path / "s", answer), \
            Terminal("--socket", tmp_path / "s", columns=250, NO_COLOR="1") as t:
        shown = t.until("10.0.0.7:80")
        assert r"failed: \x1b]0;owned\x07\x1b[2J\u009b31m\u202etxt\x00\r\nq ��, " in shown
        assert r"\x1b[5m��" in shown and len(shown.splitlines()) == 5
        sequences = set(re.findall(r"\033.[0-9?;]*[^0-9?;]?", t.shown))
        assert sequences <= {"\033[?1049h", "\033[?25l", "\033[?7l", "\033[H", "\033[K", "\033[J",
                             "\033[Hw"} and not re.search("[\x00\a\x80-\x9f\u202e]", t.shown)
        done = run("status", "--socket", tmp_path / "s")
        assert not re.search("[\x00-\x09\x0b-\x1f\x80-\x9f\u202e]", done.stdout)
