# SPDX-License-Identifier: Apache-2.0
"""The script of shared rate limits in a real Redis, against a model of a bucket.

Nobody knows at which microsecond Redis decided: the answer has to be right for one of
those between question and answer. It says how far ahead the bucket is full, so that
no two of them give the same answer.
"""
import ast
import math
import random
import re
import shutil
import subprocess
import time

import pytest

from harness import ROOT, until

import redis
SERVER = shutil.which("redis-server")

SOURCE = (ROOT / "src/filter/limit_script.c").read_text()
LITERALS = re.search(r"limit_script_text\[\] =\n(.*?);\n", SOURCE, re.S).group(1)
TEXT = "".join(ast.literal_eval(line.strip()) for line in LITERALS.splitlines())
SHA1 = re.search(r'limit_script_sha1\[\] = "(\w+)"', SOURCE).group(1)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("redis")
    path = folder / "s"
    process = subprocess.Popen(
        [SERVER, "--port", "0", "--unixsocket", path, "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    try:
        until(path.exists, "redis-server's socket")
        client = redis.Redis(unix_socket_path=str(path))
        until(lambda: answers(client), "redis-server")
        assert client.script_load(TEXT) == SHA1
        yield client
    finally:
        process.kill()
        process.wait()


def answers(client):
    try:
        return client.ping()
    except redis.ConnectionError:
        return False


class Bucket:
    """A key, and what the script must say of it."""

    def __init__(self, store, interval, burst, key="k"):
        self.store, self.interval, self.key = store, interval, key
        self.set_burst(burst)
        store.delete(key)

    def set_burst(self, burst):
        self.burst, self.span = burst, self.interval * (burst + 1)

    def look(self):
        """The value, and when it will be gone."""
        value, expires_ms = self.store.pipeline().get(self.key).pexpiretime(self.key).execute()
        return (None, None) if value is None else (float(value), expires_ms * 1000)

    def value(self):
        return self.look()[0]

    def ask(self, want):
        """granted, left, retry after, reset; checked against the model."""
        before = self.value()
        start = time.time_ns() // 1000
        got = self.store.evalsha(SHA1, 1, self.key, self.interval, self.span, want)
        end = time.time_ns() // 1000
        after, gone = self.look()
        assert got in (self.model(before, want, at) for at in range(start, end + 1))
        if after is not None and after != before:
            assert start + got[3] - 1 < after <= end + got[3]
            # It lives until it is full.
            assert gone >= after
        return got

    def model(self, tat, want, now):
        ahead = min(max((tat or 0) - now, 0), self.span)
        granted = min(want, (self.span - ahead) // self.interval)
        ahead = max(ahead + granted * self.interval, 0)
        left = (self.span - ahead) // self.interval
        wait = 0 if left else math.ceil(self.interval - (self.span - ahead))
        return [int(granted), int(left), wait, math.ceil(ahead)]


def changes(store):
    return store.info("persistence")["rdb_changes_since_last_save"]


def test_a_bucket_is_emptied_and_filled(store):
    """Partly granted, then refused with the time, then one more at that time."""
    bucket = Bucket(store, 20000, 4)
    assert bucket.ask(0) == [0, 5, 0, 0]
    assert bucket.value() is None
    assert bucket.ask(3) == [3, 2, 0, 60000]
    granted, left, wait, reset = bucket.ask(3)
    assert (granted, left) == (2, 0) and 0 < wait <= 20000 and 80000 < reset <= 100000
    before = changes(store)
    granted, left, wait, _ = bucket.ask(1)
    assert (granted, left) == (0, 0) and 0 < wait <= 20000 and changes(store) == before
    until(lambda: bucket.ask(1)[0] == 1, "the next token")


def test_what_is_given_back_is_there_again(store):
    """And never more than the bucket holds; a key that is gone stays gone."""
    bucket = Bucket(store, 1000000, 9)
    assert bucket.ask(10)[:2] == [10, 0]
    assert bucket.ask(-4)[:2] == [-4, 4]
    assert bucket.ask(5)[:2] == [4, 0]
    assert bucket.ask(-1000) == [-1000, 10, 0, 0]
    assert bucket.value() is None
    assert bucket.ask(-5) == [-5, 10, 0, 0]
    assert bucket.value() is None


def test_a_smaller_rule_counts_at_once(store):
    """A value far ahead, of a larger rule or a clock that was set back, is cut."""
    bucket = Bucket(store, 10000, 10000)
    bucket.ask(10001)
    bucket.set_burst(1)
    granted, left, wait, reset = bucket.ask(1)
    assert (granted, left) == (0, 0) and wait == 10000 and reset == 20000
    until(lambda: bucket.ask(1)[0] == 1, "the next token")


def test_a_value_that_is_none_is_no_harm(store):
    """Whatever somebody wrote there."""
    bucket = Bucket(store, 1000000, 1)
    store.set("k", "rubbish")
    assert store.evalsha(SHA1, 1, "k", 1000000, 2000000, 1) == [1, 1, 0, 1000000]
    bucket.ask(1)


@pytest.mark.parametrize(
    "interval", [0.25, 0.5, 1, 33.25, 333.5, 1000, 12345.75, 1000000, 86400000000])
def test_random_requests_agree_with_the_model(store, interval):
    """Takes and returns of all sizes, at rates from four million a second to one a day."""
    rng = random.Random(interval)
    bucket = Bucket(store, interval, 0)
    for _ in range(400):
        if rng.random() < 0.03:
            bucket.set_burst(rng.choice([0, 1, 2, 10, 100, 1000]))
        size = rng.choice([1, 1, 1, 2, 5, 50, 5000])
        bucket.ask(rng.choice([size, size, size, -size, 0]))
