# SPDX-License-Identifier: Apache-2.0
"""The command line: exit codes, help, and errors that show where."""
import json
import os
import pty
import re
import socket
import subprocess

import pytest

from harness import BINARY, PATIENCE, ROOT, Gate, make_cert, run

COMMANDS = ["run", "check", "reload", "status", "limits", "demo", "reference", "schema", "version"]
GOOD = """listeners: { http: { address: "127.0.0.1:0" } }
routes: [ { respond: { body: ok } } ]
"""
BROKEN = """listeners:
  http: { adress: "127.0.0.1:0" }
upstreams:
  app: { servers: ["10.0.0.1:80"], retries: 99 }
routes:
  - { upstream: ap }
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.yaml"
    path.write_text(GOOD)
    return path


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN)
    return path


# ---- help ----

def test_without_arguments_it_tells_how():
    done = run()
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("Usage: wharfgate COMMAND")
    for command in COMMANDS:
        assert f"\n  {command} " in done.stderr


@pytest.mark.parametrize("word", ["help", "--help", "-h"])
def test_help(word):
    done = run(word)
    assert done.returncode == 0 and done.stderr == ""
    assert "Exit codes" in done.stdout
    for command in COMMANDS:
        assert f"\n  {command} " in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_each_command(command):
    """By all three ways the same; nothing is done."""
    texts = {run("help", command).stdout, run(command, "--help").stdout, run(command, "-h").stdout}
    [text] = texts
    assert text.startswith(f"Usage: wharfgate {command}")
    # Every option in the usage line is explained, and in the manual page.
    manual = (ROOT / "docs" / "man" / "wharfgate.1").read_text()
    for option in re.findall(r"--([a-z-]+)", text.splitlines()[0]):
        assert re.search(rf"^ .*--{option}\b", text, re.M), option
        assert re.search(rf"Fl -{option}\b", manual), option
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("words, text", [
    (["chekc"], "unknown command 'chekc'; did you mean 'check'?"),
    (["relod"], "did you mean 'reload'?"),
    (["help", "vresion"], "did you mean 'version'?"),
    (["zzzzzzzz"], "unknown command 'zzzzzzzz'\n"),
    (["check", "--no-such"], "unknown option or argument '--no-such'"),
    (["check", "stray"], "unknown option or argument 'stray'"),
    (["check", "-c"], "a value is missing after '-c'"),
    (["check", "--json=x"], "no value belongs to '--json=x'"),
    (["demo", "--http", "99999"], "a port is a number from 1 to 65535"),
    (["demo", "--http", "abc"], "a port is a number from 1 to 65535"),
])
def test_wrong_usage_is_2(words, text):
    done = run(*words)
    assert done.returncode == 2 and done.stdout == ""
    assert text in done.stderr


# ---- version, reference, schema ----

def test_version():
    done = run("version")
    assert done.returncode == 0 and re.match(r"wharfgate \d+\.\d+", done.stdout)
    assert run("--version").stdout == done.stdout
    as_json = json.loads(run("version", "--json").stdout)
    assert done.stdout.startswith(f"wharfgate {as_json['version']}\n")
    assert {"openssl", "libevent", "pcre2", "libyaml", "jansson"} <= set(as_json["libraries"])
    assert all(as_json["libraries"].values())


def test_reference_and_schema_are_the_committed_ones():
    done = run("reference")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "docs" / "reference.md").read_text()
    done = run("schema")
    assert done.returncode == 0
    assert done.stdout == (ROOT / "docs" / "wharfgate.schema.json").read_text()
    assert json.loads(done.stdout)["properties"]["listeners"]


def test_output_that_cannot_be_written_is_an_error():
    with open("/dev/full", "w") as full:
        done = subprocess.run([BINARY, "schema"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


# ---- check ----

def test_check_of_a_good_file(good):
    done = run("check", "-c", good)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{good} is good\n", "")
    for words in (["--config", good], [f"--config={good}"]):
        assert run("check", *words).returncode == 0
    assert json.loads(run("check", "--json", "-c", good).stdout) == {"ok": True, "problems": []}


def test_check_shows_every_error_with_its_place(broken):
    """All in one go: file:line:column, the line, a caret under the fault, a guess."""
    done = run("check", "-c", broken)
    assert done.returncode == 3 and done.stdout == ""
    lines = done.stderr.splitlines()
    found = re.findall(rf"^{re.escape(str(broken))}:(\d+):(\d+): error: (.*)$", done.stderr, re.M)
    assert {("2", "11"), ("4", "45"), ("6", "17")} <= {(line, column) for line, column, _ in found}
    for line, column, _ in found:
        at = next(i for i, text in enumerate(lines) if text.startswith(f"{broken}:{line}:{column}:"))
        source = BROKEN.splitlines()[int(line) - 1]
        quoted = lines[at + 1]
        assert quoted.endswith("| " + source) and quoted.split("|")[0].strip() == line
        assert lines[at + 2].index("^") - quoted.index("| ") - 2 == int(column) - 1
    assert "did you mean `address`?" in done.stderr
    assert "did you mean `app`?" in done.stderr
    assert "99" in done.stderr and "10" in done.stderr


def test_check_as_json(broken):
    done = run("check", "--json", "-c", broken)
    assert done.returncode == 3 and done.stderr == ""
    answer = json.loads(done.stdout)
    assert not answer["ok"]
    places = {(p["line"], p["column"]) for p in answer["problems"] if p["severity"] == "error"}
    assert {(2, 11), (4, 45), (6, 17)} <= places
    assert all(p["file"] == str(broken) and p["message"] for p in answer["problems"])


def test_check_finds_what_only_a_start_would(tmp_path):
    """Certificates that do not fit, names that do not resolve in the file's own terms; nothing
    is bound: a port that is taken is no error."""
    one, two = make_cert(tmp_path, "one", "a.example"), make_cert(tmp_path, "two", "b.example")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        path = tmp_path / "x.yaml"
        path.write_text(f'listeners:\n  s: {{ address: "{address}", tls: {{ certificates: '
                        f'[ {{ cert: {one[0]}, key: {two[1]} }} ] }} }}\nroutes: []\n')
        done = run("check", "-c", path)
        assert done.returncode == 3 and str(two[1]) in done.stderr
        assert "cannot listen" not in done.stderr
        path.write_text(path.read_text().replace(str(two[1]), str(one[1])))
        assert run("check", "-c", path).returncode == 0


@pytest.mark.parametrize("command", ["run", "check"])
def test_missing_file(tmp_path, command):
    done = run(command, "-c", tmp_path / "none.yaml")
    assert done.returncode == 3
    assert "none.yaml" in done.stderr and "No such file" in done.stderr


def test_run_with_errors_is_3_and_told_once(broken):
    done = run("run", "-c", broken)
    assert done.returncode == 3
    assert done.stderr.count(f"{broken}:2:11: error:") == 1


# ---- reload ----

def test_reload_of_nothing_that_runs_is_4(tmp_path, good):
    done = run("reload", "--socket", tmp_path / "none.sock")
    assert done.returncode == 4 and "cannot be reached" in done.stderr
    assert "none.sock: No such file or directory" in done.stderr and "port" not in done.stderr
    good.write_text(GOOD + f"admin: {{ socket: {tmp_path}/none.sock }}\n")
    done = run("reload", "-c", good)
    assert done.returncode == 4 and "none.sock" in done.stderr


def test_reload_looks_the_socket_up(tmp_path, broken):
    with Gate(GOOD) as gate:
        done = run("reload", "-c", gate.path)
        assert (done.returncode, done.stdout) == (0, "reloaded, generation 2\n")
        # The file's own errors are shown even where no socket can be read from it.
        gate.path.write_text(BROKEN)
        done = run("reload", "-c", gate.path)
        assert done.returncode == 3 and f"{gate.path}:2:11: error:" in done.stderr
        assert done.stderr.endswith("not reloaded: nothing has changed\n")


def test_reload_asks_the_gate_though_the_file_cannot_be_read_here(tmp_path):
    """Only the gate has the variable: its own reading counts. Also where the file has errors:
    they are the gate's, and told once."""
    config = GOOD.replace("routes:", "metrics: { max_series: '${ONLY_THE_GATE_HAS}' }\nroutes:")
    assert config != GOOD
    with Gate(config, env={"ONLY_THE_GATE_HAS": "7"}) as gate:
        done = run("reload", "-c", gate.path)
        assert (done.returncode, done.stdout) == (0, "reloaded, generation 2\n"), done.stderr
        assert str(gate.socket_path) in done.stderr
        gate.write(config.replace("max_series", "max_serious"))
        done = run("reload", "-c", gate.path)
        assert done.returncode == 3 and done.stderr.count("error: ") == 1
        assert "did you mean `max_series`" in done.stderr
        assert gate.metric("wharfgate_reloads_total", result="failed") == 1
        # A file that is not there is another's: no gate is asked.
        done = run("reload", "-c", tmp_path / "none.yaml")
        assert done.returncode == 3 and "No such file" in done.stderr


def test_reload_without_a_socket_tells_another_way(good):
    good.write_text(GOOD + "admin: { socket: off }\n")
    done = run("reload", "-c", good)
    assert done.returncode != 0 and "SIGHUP" in done.stderr


# ---- colours ----

def on_a_terminal(*args, **env):
    """Runs with a pseudo terminal; returns what was shown there."""
    leader, follower = pty.openpty()
    process = subprocess.Popen([BINARY, *map(str, args)], stdin=follower, stdout=follower,
                               stderr=follower, env={**os.environ, **env})
    os.close(follower)
    shown = b""
    try:
        while data := os.read(leader, 65536):
            shown += data
    except OSError:  # EIO: the other side is closed
        pass
    os.close(leader)
    return process.wait(PATIENCE), shown.decode()


def test_colours_are_for_terminals(broken):
    code, shown = on_a_terminal("check", "-c", broken, NO_COLOR="")
    assert code == 3 and "\033[1;31merror:\033[0m" in shown and "\033[1;32m^\033[0m" in shown
    code, plain = on_a_terminal("check", "-c", broken, NO_COLOR="1")
    assert code == 3 and "\033" not in plain
    assert re.sub(r"\033\[[0-9;]*m", "", shown) == plain
    assert "\033" not in run("check", "-c", broken).stderr


def test_reload_shows_colours_too():
    with Gate(GOOD) as gate:
        gate.path.write_text(BROKEN)
        code, shown = on_a_terminal("reload", "--socket", gate.socket_path, NO_COLOR="")
        assert code == 3 and "\033[1;31merror:\033[0m" in shown
        code, plain = on_a_terminal("reload", "--socket", gate.socket_path, NO_COLOR="1")
        assert code == 3 and "\033" not in plain


def test_what_a_file_says_cannot_steer_the_terminal(tmp_path):
    """Escape sequences of a broken file are shown as something else."""
    path = tmp_path / "x.yaml"
    path.write_bytes(b'listeners: { "\\e]0;x\\a\xc2\x9b": 1, adress: "\xc2\x9b31m" }\n')
    code, shown = on_a_terminal("check", "-c", path, NO_COLOR="1")
    assert code == 3 and "\033" not in shown and "\x9b" not in shown and "\a" not in shown
