# SPDX-License-Identifier: Apache-2.0
"""What the trial's verdicts rest on: that replicas keep requests waiting as applications do and
fail as told, that the load counts what a client sees, and from when a request was due."""

import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
import json
import socket
import subprocess
import threading
import time

from trial import measure, report
from trial.scenarios import ENTRANTS, METRICS

from sidebyside import load, machine, template
from test_compare import Server

# Their programs are built once, and they measure.
pytestmark = pytest.mark.xdist_group("bench")

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
REQUEST = b"GET /item HTTP/1.1\r\nHost: bench.test\r\n\r\n"


@pytest.fixture(scope="module", name="programs")
def _programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    measure.build(folder)
    return folder


@pytest.fixture(name="replica")
def _replica(programs):
    """Starts one replica; call it with the origin's options."""
    running = []

    def start(**options):
        port = machine.free_ports(1)[0]
        words = [str(programs / "origin"), "--ports", str(port), "--jitter", "0"]
        for name, value in options.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        origin = load.Talker(words)
        running.append(origin)
        assert origin.line(10) == "ready"
        return origin, port
    yield start
    for origin in running:
        origin.stop()


def ask(port):
    """(status or None, seconds)"""
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10) as s:
            s.sendall(REQUEST)
            answer = s.recv(4096)
    except OSError:
        answer = b""
    return int(answer[9:12]) if answer else None, time.monotonic() - began


def ask_together(port, count):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(ask(port))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers


def figures(origin):
    origin.say()
    return json.loads(origin.line(10))["replicas"][0]


def test_a_replica_serves_as_many_at_once_as_it_has_threads(replica):
    origin, port = replica(threads=2, service_us=100000)
    answers = sorted(seconds for _, seconds in ask_together(port, 4))
    assert answers[1] < 0.19 and answers[2] > 0.19
    assert figures(origin) == {"requests": 4, "failed": 0, "longest": 2}


def test_an_odd_replica_is_slower(replica):
    _, port = replica(service_us=20000, kind="slow", factor=10)
    assert ask(port)[1] > 0.19


@pytest.mark.parametrize("kind, status", [("error", 500), ("reset", None)])
def test_an_odd_replica_fails_at_once(replica, kind, status):
    origin, port = replica(service_us=50000, kind=kind)
    answers = [ask(port) for _ in range(30)]
    failed = [seconds for got, seconds in answers if got == status]
    assert 5 <= len(failed) <= 25 and sorted(failed)[len(failed) // 2] < 0.04
    assert [got for got, _ in answers].count(200) == 30 - len(failed)
    assert figures(origin)["failed"] == len(failed)


def test_who_has_gone_is_served_nonetheless(replica):
    origin, port = replica(threads=1, service_us=200000)
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(REQUEST)
        while not figures(origin)["requests"]:
            time.sleep(0.005)
    assert ask(port)[1] > 0.25


def offer(programs, port, **options):
    words = [str(programs / "load"), "--target", f"127.0.0.1:{port}"]
    for name, value in options.items():
        words += ["--" + name.replace("_", "-"), *([] if value is True else [str(value)])]
    done = subprocess.run(words, stdout=subprocess.PIPE, timeout=30, check=True)
    first, last = done.stdout.decode().splitlines()
    assert json.loads(first)["event"] == "measuring"
    return json.loads(last)


def offered(programs, script, **options):
    server = Server(script)
    try:
        return offer(programs, server.port, **options)
    finally:
        server.close()


def test_load_counts_what_is_due_after_the_warm_up(programs):
    result = offered(programs, lambda n: [GOOD] * 1000, rate=200, warm_up_ms=500, run_ms=1000,
                     even=True)
    assert abs(result["warm_up"]["asked"] - 100) <= 1
    assert abs(result["measured"]["asked"] - 200) <= 1
    assert result["measured"]["answered"] == result["measured"]["asked"]


def test_arrivals_of_a_seed_are_the_same(programs):
    asked = [offered(programs, lambda n: [GOOD] * 1000, rate=300, run_ms=500,
                     seed=seed)["measured"]["asked"] for seed in (7, 7)]
    assert asked[0] == asked[1] and 90 < asked[0] < 220


def test_statuses_and_closes_fail_and_are_not_asked_again(programs):
    result = offered(programs, lambda n: [BAD] * 1000, rate=100, run_ms=300, even=True)
    measured = result["measured"]
    assert measured["bad_status"] == measured["asked"] and measure.failed_of(measured) == 1
    result = offered(programs, lambda n: [None], rate=100, run_ms=300, even=True)
    assert result["measured"]["broken"] == result["measured"]["asked"]
    assert result["latency_ns"]["max"] == 0


def test_a_client_gives_up_and_that_is_its_latency(programs):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as deaf:
        result = offer(programs, deaf.getsockname()[1], rate=50, run_ms=300, patience_ms=200)
    assert result["measured"]["gave_up"] == result["measured"]["asked"] > 0
    assert result["latency_ns"]["max"] == 200e6


def test_waiting_in_line_is_latency(programs, replica):
    """A thread that serves ten a second is asked twenty times: the last waits a second."""
    _, port = replica(threads=1, service_us=100000)
    result = offer(programs, port, rate=20, run_ms=1000, even=True, patience_ms=5000)
    assert result["measured"]["answered"] == result["measured"]["asked"]
    assert 900e6 < result["latency_ns"]["max"] < 1500e6


def test_a_user_brings_its_cookie(programs):
    seen = []

    class Watching(Server):
        @staticmethod
        def _serve(peer, answers):
            with peer:
                for answer in answers:
                    head = peer.recv(65536)
                    if not head:
                        return
                    seen.append(head)
                    peer.sendall(answer)
    given = GOOD.replace(b"\r\n\r\n", b"\r\nSet-Cookie: to=5; Path=/; HttpOnly\r\n\r\n")
    server = Watching(lambda n: [given] * 1000)
    offer(programs, server.port, rate=50, run_ms=400, users=1, even=True)
    server.close()
    assert b"Cookie:" not in seen[0] and b"X-Key: user-0\r\n" in seen[0]
    assert b"\r\nCookie: to=5\r\n\r\n" in seen[-1]


def test_every_configuration_is_complete():
    for entrant in ENTRANTS.values():
        name = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "wharfgate": "wharfgate.yaml"}
        text = (measure.HERE / "configs" / name[entrant.proxy]).read_text()
        text = template.render(text, {"RUN": "/r", "LISTEN": 1, "ports": [2, 3], "FILES": 4,
                                      "BALANCE": entrant.balance, **entrant.words})
        body = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
        assert "@" not in "\n".join(body).replace("@THREADS@", "")
        assert text.count("127.0.0.1:2") == text.count("127.0.0.1:3") == 1


def test_what_a_build_knows():
    schema = {"$defs": {"upstreams": {"properties": {"balance": {"anyOf": [
        {"enum": ["random"]}, {"$ref": "#/$defs/upstreams_NAME_balance"}]}}},
        "upstreams_NAME_balance": {"properties": {"max_load": {}}},
        "listeners": {"properties": {"tls": {}}}}}
    assert measure.words_of(schema) == {"balance", "random", "max_load"}


def test_table():
    values = {metric: [1, 3, 2] for metric in METRICS}
    results = {"scenarios": {"slow": {"wharfgate/random": values}},
               "skipped": {"wharfgate/maglev": "unknown"}}
    rows = report.table(results, "slow")
    assert len(rows) == 4
    cells = [c.strip() for c in rows[2].split("|")]
    assert cells[2:6] == ["`random`", "2.0", "2.0", "2.0 (1.0-3.0)"]
    assert "not measured" in rows[3] and "maglev" in rows[3]
