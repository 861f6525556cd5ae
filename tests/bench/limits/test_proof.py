# SPDX-License-Identifier: Apache-2.0
"""What the trial's verdicts rest on: that an excess is seen, and none where there is none."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parent))

# pylint: disable=wrong-import-position
from proof import judge, report

from harness import Origin, reply
from proof import measure

pytestmark = pytest.mark.xdist_group("bench")

HOW = {"rate": 100, "burst": 4}


def passed(*due_ms, took_ms=0, key=0, status=200):
    return [judge.Record(int(t * 1000), int((t + took_ms) * 1000), 0, key, status) for t in due_ms]


def test_a_burst_and_one_is_the_most_at_once():
    assert judge.worst_window(passed(0, 0, 0, 0, 0), 100) == 5
    assert judge.worst_window(passed(0, 0, 0, 0, 0, 0), 100) == 6


def test_windows_are_found_wherever_they_are():
    steady = [10 * i for i in range(100)]
    assert judge.worst_window(passed(*steady), 100) == pytest.approx(1)
    assert judge.worst_window(passed(*steady, 500, 500, 500, 505), 100) == pytest.approx(5)
    assert judge.worst_window(passed(*steady, key=1) + passed(*steady), 100) == pytest.approx(1)
    assert judge.worst_window(passed(0, 0, 0, status=429), 100) == 0


def test_who_waits_is_given_the_longest_window():
    assert judge.worst_window(passed(0, 0, 0, took_ms=20), 100) == pytest.approx(1)


def test_what_is_allowed():
    records = passed(0, 1000, key=0) + passed(0, 500, key=1) + passed(0, 9000, key=-1)
    assert judge.allowed(records, 100, 4) == pytest.approx(100 + 4 + 1 + 50 + 4 + 1)


def run_of(**changed):
    return {"gateways": 2, "mode": "exact", "on_failure": "local", "loses": False, "fallbacks": 0,
            "worst": 5.0, "statuses": {"200": 5, "429": 1}, "admitted": 5, "counted": 5, **changed}


def test_verdicts():
    assert not report.faults_of(run_of(), HOW)
    assert report.faults_of(run_of(worst=5.1), HOW)
    assert report.faults_of(run_of(statuses={"200": 5, "503": 1}), HOW)
    assert not report.faults_of(run_of(statuses={"200": 5, "503": 1}, on_failure="closed"), HOW)
    assert report.faults_of(run_of(statuses={"200": 5, "0": 1}, on_failure="closed"), HOW)
    assert report.faults_of(run_of(counted=6), HOW)
    assert report.bound(run_of(loses=True), HOW) == 10
    assert report.bound(run_of(mode="lease", gateways=1), HOW) == 5 + 0.5 + 2


def test_the_load_tells_what_became_of_each(tmp_path):
    """To both gateways by their weights, some plain; a broken one is 0."""
    def serve(peer, origin):
        while True:
            request = origin.read(peer)
            if request.get("X-Key") == "key-1":
                return
            peer.send(reply(429 if request.target == "/limited" else 200))

    measure.build(tmp_path)
    with Origin(serve) as one, Origin(serve) as two:
        done = subprocess.run([tmp_path / "load", "--rate", "1000", "--run-ms", "500", "--keys", "2",
                               "--plain", "20", f"{one.address}=3", f"{two.address}=1"],
                              capture_output=True, text=True, check=True, timeout=60)
        records = judge.parse(done.stdout)
        asked = len(one.requests) + len(two.requests)
    assert len(records) == asked and 300 < asked < 800
    assert {r.key: r.status for r in records} == {-1: 200, 0: 429, 1: 0}
    shares = [sum(r.gate == g for r in records) for g in (0, 1)]
    assert shares == [len(one.requests), len(two.requests)] and shares[0] > 1.5 * shares[1]
    assert all(r.done_us >= r.due_us for r in records)
