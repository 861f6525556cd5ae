# SPDX-License-Identifier: Apache-2.0
"""What the benchmark's verdicts rest on: that the load generator sees what a proxy does to a
connection, that h2load's words are understood, and that templates and targets are read as
meant."""

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
from types import SimpleNamespace

from sidebyside import h2, load, proxies, report, template
from sidebyside.machine import BenchError
from sidebyside.scenarios import SCENARIOS, TARGETS, METRICS, Target

# Their programs are built once, and they measure.
pytestmark = pytest.mark.xdist_group("bench")

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


CHUNKED = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3f0\r\n" + BODY[:1008] +
           b"\r\n10\r\n" + BODY[:16] + b"\r\n0\r\n\r\n")


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


def test_chunked_answers_are_counted_by_their_bodies(programs):
    for answer in (GOOD, CHUNKED):
        result = served(programs, lambda n, a=answer: [a] * 100, requests=50)
        assert (result["answered"], result["failed"], result["body_bytes"]) == (50, 0, 51200)
    cut = served(programs, lambda n: [CHUNKED[:-3]] if n == 2 else [CHUNKED, None], requests=3)
    assert cut["failed"] == 1
    bad = served(programs, lambda n: [CHUNKED.replace(b"3f0", b"3fx"), None], requests=1)
    assert bad["failed"] == 1


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


H2LOAD_SAYS = """starting benchmark...
TLS Protocol: TLSv1.3
Cipher: TLS_AES_128_GCM_SHA256
Server Temp Key: X25519 253 bits
Application protocol: h2
progress: 100% done

finished in 12.50ms, 8000.00 req/s, 9.01MB/s
requests: 100 total, 100 started, 100 done, {good} succeeded, {bad} failed, 0 errored, 0 timeout
status codes: {good} 2xx, 0 3xx, 0 4xx, {bad} 5xx
traffic: 111.33KB (114000) total, 1.56KB (1600) headers (space savings 89.1%), 100KB (102400) data
                     min         max         mean         sd        +/- sd
time for request:       12us       345us       100us        50us    80.00%
"""


def test_what_h2load_says():
    result = h2.parse(H2LOAD_SAYS.format(good=100, bad=0))
    assert (result["answered"], result["failed"], result["body_bytes"]) == (100, 0, 102400)
    assert (result["elapsed_ns"], result["overhead_bytes"]) == (12.5e6, 116)
    assert (result["protocol"], result["tls"], result["group"]) == ("h2", "TLSv1.3", "X25519")
    result = h2.parse(H2LOAD_SAYS.format(good=97, bad=3))
    assert (result["answered"], result["failed"]) == (97, 3)
    with pytest.raises(BenchError):
        h2.parse("could not connect to host")


@pytest.fixture(name="h2_origin")
def _h2_origin(tmp_path):
    bench = SimpleNamespace(nice=0, running=[], new_dir=lambda name: tmp_path)
    origin = h2.Origin(bench)
    options = {"target": f"127.0.0.1:{origin.port}", "host": "bench.test", "path": "/1k",
               "connections": 2, "streams": 4, "warm_up": 16, "requests": 50}
    yield SimpleNamespace(files=tmp_path, load=lambda **more: h2.Load(bench, {**options, **more}))
    for one in bench.running:
        one.stop()


def test_h2load_asks_after_its_warm_up(h2_origin):
    generator = h2_origin.load()
    generator.go()
    result = generator.result()
    assert (result["answered"], result["failed"], result["protocol"]) == (50, 0, "h2c")
    assert result["body_bytes"] == 50 * 1024


def test_h2_answers_that_are_no_good_are_errors(h2_origin):
    with pytest.raises(BenchError):
        h2_origin.load(tls=True, warm_up=1)
    (h2_origin.files / "1k").write_bytes(b"x" * 1023)
    (h2_origin.files / "100k").unlink()
    with pytest.raises(BenchError, match="bytes of bodies"):
        h2_origin.load()
    with pytest.raises(BenchError, match="no warm-up"):
        h2_origin.load(path="/100k")


def test_old_nginx_is_left_out_of_http2_to_the_origin(monkeypatch):
    for version, lacks in (("1.29.3", True), ("1.29.4", False), ("1.30.6", False)):
        nginx = proxies.Nginx(None, "nginx")
        monkeypatch.setattr(nginx, "version", lambda version=version: version)
        assert (nginx.lacks({"h2origin"}), nginx.lacks({"h2c"})) == (lacks, False)


def test_template():
    text = "a @X@@H2@\n@if one\nb\n@else\nc\n@end\n@if two\nd\n@end\n@for HOST\nh @HOST@\n@end\ne"
    assert template.render(text, {"X": 1, "H2": 2, "one": True, "hosts": ["p", "q"]}) == \
        "a 12\nb\nh p\nh q\ne\n"
    assert template.render(text, {"X": 2, "H2": "", "two": True}) == "a 2\nc\nd\ne\n"


def _results(**values):
    return {"scenarios": {"plain-1k": {proxy: {"cpu_us": v} for proxy, v in values.items()}}}


def test_targets_compare_medians():
    target = Target("plain-1k", "cpu_us", 0.8, "nginx")
    assert report.judge(_results(nginx=[10, 30, 10], wharfgate=[8, 8, 1]), target) == (0.8, True)
    assert report.judge(_results(nginx=[10], wharfgate=[8.1]), target)[1] is False
    assert report.judge(_results(nginx=[10]), target) == (None, False)


def test_a_target_may_divide_by_another_scenario():
    results = _results(wharfgate=[10])
    results["scenarios"]["h2-1k"] = {"wharfgate": {"cpu_us": [9]}}
    target = Target("h2-1k", "cpu_us", 0.9, "own cpu_us", "plain-1k")
    assert report.judge(results, target) == (0.9, True)
    assert report.judge(results, Target("plain-1k", "cpu_us", 1, "own cpu_us", "h2-1k"))[1] is False


def test_targets_name_what_there_is():
    for target in TARGETS:
        assert target.scenario in SCENARIOS and target.metric in METRICS
        assert not target.base or target.base in SCENARIOS and target.versus
        assert target.versus in ("", "nginx", "haproxy") or target.versus[4:] in METRICS


def test_insert_keeps_the_rest(tmp_path):
    path = tmp_path / "page.md"
    path.write_text(f"before\n{report.MARKS[0]}\nold\n{report.MARKS[1]}\nafter\n")
    report.insert(path, "new\n")
    assert path.read_text() == f"before\n{report.MARKS[0]}\nnew\n{report.MARKS[1]}\nafter\n"
