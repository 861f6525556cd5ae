# SPDX-License-Identifier: Apache-2.0
"""What the benchmark's verdicts rest on: that the load generator sees what a proxy does to a
connection, and that templates and targets are read as meant."""

import sys
import threading
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
import json
import socket
import subprocess

from sidebyside import load, report, template
from sidebyside.scenarios import SCENARIOS, TARGETS, METRICS, Target

BODY = b"x" * 1024
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + BODY


@pytest.fixture(scope="module", name="programs")
def _programs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("programs")
    load.build(folder)
    return folder


class Server:
    """Answers connection by connection as `script(nth connection)` says: a list with what
    is sent for each request; None closes instead, and so does the list's end."""

    def __init__(self, script):
        self.script = script
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        number = 0
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            number += 1
            threading.Thread(target=self._serve, args=(peer, self.script(number)),
                             daemon=True).start()

    @staticmethod
    def _serve(peer, answers):
        with peer:
            for answer in answers:
                head = b""
                while b"\r\n\r\n" not in head:
                    part = peer.recv(65536)
                    if not part:
                        return
                    head += part
                if answer is None:
                    return
                peer.sendall(answer)
            peer.settimeout(10)

    def close(self):
        self.listener.close()


def ask(programs, port, **options):
    """One run against that port; its figures."""
    words = [str(programs / "load"), "--target", f"127.0.0.1:{port}", "--connections", "1",
             "--deadline", "10"]
    for name, value in options.items():
        words += ["--" + name.replace("_", "-"), *([] if value is True else [str(value)])]
    done = subprocess.run(words, input=b"go\nend\n", stdout=subprocess.PIPE, timeout=30, check=True)
    return json.loads(done.stdout.decode().splitlines()[-1])


def served(programs, script, **options):
    server = Server(script)
    try:
        return ask(programs, server.port, **options)
    finally:
        server.close()


def test_good_answers_are_counted(programs):
    result = served(programs, lambda n: [GOOD] * 100, requests=50)
    assert (result["answered"], result["failed"], result["raced"], result["dials"]) == (50, 0, 0, 0)
    assert 0 < result["latency_ns"]["p50"] <= result["latency_ns"]["p99"]


def test_a_close_under_a_request_is_raced_and_tried_again(programs):
    result = served(programs, lambda n: [GOOD, GOOD, None] if n == 1 else [GOOD] * 100, requests=10)
    assert (result["answered"], result["failed"], result["raced"]) == (10, 0, 1)


def test_a_close_under_a_first_request_is_no_race(programs):
    result = served(programs, lambda n: [None] if n == 1 else [GOOD] * 100, requests=10)
    assert (result["answered"], result["failed"], result["raced"]) == (10, 0, 0)


def test_an_announced_close_is_neither(programs):
    last = GOOD.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1)
    result = served(programs, lambda n: [GOOD, last], requests=10)
    assert (result["answered"], result["failed"], result["raced"]) == (10, 0, 0)
    assert result["closed_idle"] == 5


def test_a_body_cut_short_fails(programs):
    result = served(programs, lambda n: [GOOD[:-10]] if n == 2 else [GOOD, None], requests=3)
    assert (result["answered"], result["failed"], result["cut"]) == (2, 1, 1)


def test_another_status_fails(programs):
    bad = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
    result = served(programs, lambda n: [GOOD, bad, GOOD, GOOD], requests=4)
    assert (result["answered"], result["failed"], result["bad_status"]) == (3, 1, 1)


def test_who_is_never_answered_fails(programs):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    result = ask(programs, port, requests=5)
    assert (result["answered"], result["failed"]) == (0, 5)


def test_open_loop_counts_from_when_a_request_was_due(programs):
    """Ten requests due within 10 ms, one connection, the first answer after 200 ms."""
    gate = threading.Event()

    class Slow(Server):
        def _serve(self, peer, answers):
            threading.Timer(0.2, gate.set).start()
            gate.wait(5)
            Server._serve(peer, answers)
    server = Slow(lambda n: [GOOD] * 20)
    result = ask(programs, server.port, requests=10, rate=1000)
    server.close()
    assert result["answered"] == 10
    assert result["latency_ns"]["p50"] > 150e6


def test_template():
    text = "a @X@\n@if one\nb\n@else\nc\n@end\n@if two\nd\n@end\n@for HOST\nh @HOST@\n@end\ne"
    assert template.render(text, {"X": 1, "one": True, "hosts": ["p", "q"]}) == \
        "a 1\nb\nh p\nh q\ne\n"
    assert template.render(text, {"X": 2, "two": True}) == "a 2\nc\nd\ne\n"


def _results(**values):
    return {"scenarios": {"plain-1k": {proxy: {"cpu_us": v} for proxy, v in values.items()}}}


def test_targets_compare_medians():
    target = Target("plain-1k", "cpu_us", 0.8, "nginx")
    assert report.judge(_results(nginx=[10, 30, 10], wharfgate=[8, 8, 1]), target) == (0.8, True)
    assert report.judge(_results(nginx=[10], wharfgate=[8.1]), target)[1] is False
    assert report.judge(_results(nginx=[10]), target) == (None, False)


def test_targets_name_what_there_is():
    for target in TARGETS:
        assert target.scenario in SCENARIOS and target.metric in METRICS
        assert target.versus in ("", "nginx", "haproxy") or target.versus[4:] in METRICS


def test_insert_keeps_the_rest(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\nafter\n")
    report.insert(path, "new\n")
    assert path.read_text() == f"before\n{report.MARKS[0]}\nnew\n{report.MARKS[1]}\nafter\n"
