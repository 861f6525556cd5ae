# SPDX-License-Identifier: Apache-2.0
"""Shared rate limits while Redis is in trouble: away, stopped, killed, full, flushed, slow, or
nothing of its kind. What on_failure says is what clients see, never a 500; nobody waits longer
than the deadline, nor at all once the circuit is open; nothing that was granted too late is lost.

What is asserted are counts: of requests that passed, of calls that were sent. So it holds on a
machine of any speed. docs/limits-proof.md has the times."""
import binascii
import threading

import pytest

from harness import Nobody, Origin, read_message, until
from redisfarm import Redis
from relay import Garbler, Relay
from test_limits import get
from test_limits_redis import (ask, ask_many, gate_at, hold_some,  # noqa: F401
                               rule, spent, store)

FAILURES = ("local", "open", "closed")


def fallbacks(gate):
    return rule(gate, "exact")["fallbacks"]


def is_told_by_redis(gate):
    """Of both workers: nobody falls back any more."""
    s = store(gate)
    return s["connections"] == 2 and not s["circuits_open"] and s["connected"]


# ---- what on_failure means ----

def test_local():
    """The limit itself, as long as no other gateway is known."""
    with Nobody() as nobody, gate_at(f"redis://{nobody.address}", on_failure="local") as g:
        assert ask_many([g], "/exact") == 10
        assert ask_many([g], "/lease", each=250) == 800
        assert fallbacks(g) == 120
        answer = g.raw(get("/exact", "X-Key: a"))
        assert answer.status == 429 and 3590 <= int(answer.get("Retry-After")) <= 3600
        assert answer.get("RateLimit").startswith('"exact";r=0;t=')
        assert g.metric("wharfgate_rate_limit_fallbacks_total", limit="exact") == 121


def test_open():
    """Everything passes, and no number is made up."""
    with Nobody() as nobody, gate_at(f"redis://{nobody.address}", on_failure="open") as g:
        assert ask_many([g], "/exact") == ask_many([g], "/lease") == 120
        answer = g.raw(get("/exact", "X-Key: a"))
        assert not answer.get("RateLimit") and not answer.get("Retry-After")
        assert ask(g, "/several", "b", 6) == [200] * 5 + [429]  # the rule here still holds


def test_closed():
    """503, a page that says why, and when to come again."""
    with Nobody() as nobody, gate_at(f"redis://{nobody.address}", on_failure="closed") as g:
        assert ask(g, count=20) == ask(g, "/lease", count=20) == [503] * 20
        answer = g.raw(get("/exact", "X-Key: a", "Accept: application/json"))
        assert answer.json["reason"] == "limit_store_down" and answer.get("Retry-After") == "1"
        assert ask(g, "/any") == [200]
        lines = [x for x in g.access_lines(42) if x["status"] == 503]
        assert len(lines) == 41 and all("limit_store_down" in str(x) for x in lines)


def test_local_share_of_two_gateways():
    """Each has half of it: 5 of a burst of 9 and one."""
    with Redis() as r:
        url = f"redis://{r.address}"
        with gate_at(url, on_failure="local") as one, gate_at(url, on_failure="local") as two:
            until(lambda: store(one)["gateways"] == store(two)["gateways"] == 2, "each other")
            r.kill()
            for g in (one, two):
                until(lambda: store(g)["circuits_open"] == 2, "open circuits")
            assert ask_many([one], "/exact") == ask_many([two], "/exact") == 5


def test_what_redis_admitted_counts_when_it_is_gone():
    """The failure does not begin with a full bucket."""
    with Redis() as r, gate_at(f"redis://{r.address}", on_failure="local") as g:
        assert ask(g, count=7) == [200] * 7
        r.kill()
        until(lambda: store(g)["circuits_open"] == 2, "open circuits")
        assert ask_many([g], "/exact") == 3


def test_gateways_charge_their_shares_before_they_ask_again():
    """The first that finds Redis again does without it until the other one has, too: else it
    would take what is only there because the other one has not charged yet."""
    with Redis() as r:
        url = f"redis://{r.address}"
        with gate_at(url, on_failure="local") as one, gate_at(url, on_failure="local") as two:
            until(lambda: store(one)["gateways"] == store(two)["gateways"] == 2, "each other")
            r.kill()
            for g in (one, two):
                until(lambda: store(g)["circuits_open"] == 2, "open circuits")
                assert ask_many([g], "/exact") == 5
            r.start()
            passed = 0
            while spent(r, "wharfgate:{exact:a}") < 10:
                passed += ask_many([one, two], "/exact", each=2)
            assert passed == 0


# ---- Redis ends, and comes again ----

@pytest.mark.parametrize("on_failure", FAILURES)
def test_killed_and_started_again(on_failure):
    """It comes back empty, so a bucket is full again: a burst more, and no more than that. What
    passed by the limit here is charged to it, so that key has nothing more."""
    with Redis() as r, gate_at(f"redis://{r.address}", on_failure=on_failure) as g:
        assert ask(g, count=12).count(200) == 10
        r.kill()
        until(lambda: store(g)["circuits_open"] == 2, "open circuits")
        sent = store(g)["calls"]
        expected = {"local": [200] * 10 + [429], "open": [200] * 11, "closed": [503] * 11}
        assert ask(g, key="b", count=11) == expected[on_failure]
        assert store(g)["calls"] == sent
        r.start()
        until(lambda: is_told_by_redis(g), "Redis", 30)
        before = fallbacks(g)
        assert ask_many([g], "/exact", "c") == 10
        assert ask_many([g], "/exact", "b") == (0 if on_failure == "local" else 10)
        assert fallbacks(g) == before


def test_key_that_another_program_has_written():
    """It is refused by itself: all others are asked for as before, and nobody is let pass."""
    with Redis() as redis, gate_at(f"redis://{redis.address}", on_failure="closed") as g:
        until(lambda: is_told_by_redis(g), "both workers' connections")
        with redis.client() as c:
            c.call("RPUSH", "wharfgate:{exact:list}", "x")
            c.call("SET", "wharfgate:{exact:text}", "x")
        for i in range(20):
            assert ask(g, key="list") == [503]
            assert ask(g, key=f"good{i}") == [200]
        assert ask(g, key="text", count=12).count(200) == 10  # is no time: a full bucket
        assert store(g)["circuits_opened"] == 0


def test_connection_that_the_server_closes():
    """It is made anew at once; nobody falls back."""
    with Redis() as r, gate_at(f"redis://{r.address}") as g:
        until(lambda: is_told_by_redis(g), "Redis")
        # Whole seconds by Redis' clock: two of them are one at least.
        until(lambda: all(int(c.split(" age=")[1].split()[0]) >= 2 for c in clients(r)), "a second")
        r.call("CLIENT", "KILL", "TYPE", "normal")
        until(lambda: len(clients(r)) >= 3 and is_told_by_redis(g), "connections")
        assert ask_many([g], "/exact") == 10
        assert store(g)["circuits_opened"] == 0 and fallbacks(g) == 0


def clients(redis):
    return [c for c in redis.call("CLIENT", "LIST").splitlines() if "cmd=client|list" not in c]


def test_flushed():
    """What is under way goes on: buckets begin full, the script is brought again."""
    with Redis() as r, gate_at(f"redis://{r.address}") as g:
        assert ask(g, count=6) == [200] * 6
        r.call("FLUSHALL")
        r.call("SCRIPT", "FLUSH")
        assert ask(g, count=12) == [200] * 10 + [429] * 2
        s = store(g)
        assert (s["errors"], s["late"], s["lost"], fallbacks(g)) == (0, 0, 0, 0)


def test_full():
    """OOM is a failure like silence; refusals hold, and it mends by itself."""
    with Redis("maxmemory-policy noeviction") as r, gate_at(f"redis://{r.address}") as g:
        assert ask(g, key="old", count=12) == [200] * 10 + [429] * 2
        r.call("CONFIG", "SET", "maxmemory", 1)
        assert ask(g, count=3) == [503] * 3
        assert set(ask(g, key="old", count=3)) == {429}
        assert store(g)["errors"] >= 1 and store(g)["last_failure"].startswith("OOM ")
        assert g.metric("wharfgate_redis_calls_total", result="error") == store(g)["errors"]
        r.call("CONFIG", "SET", "maxmemory", 0)
        until(lambda: ask(g, "/free") == [200] and is_told_by_redis(g), "Redis", 20)
        assert ask_many([g], "/exact") == 10


def test_full_and_what_passed_meanwhile():
    """It is charged once Redis has room for it, however often it says no before."""
    with Redis("maxmemory-policy noeviction") as r, \
            gate_at(f"redis://{r.address}", on_failure="local") as g:
        until(lambda: is_told_by_redis(g), "Redis")
        r.call("CONFIG", "SET", "maxmemory", 1)
        assert ask_many([g], "/exact") == 10
        errors = store(g)["errors"]
        until(lambda: store(g)["errors"] > errors, "another try")
        r.call("CONFIG", "SET", "maxmemory", 0)
        until(lambda: spent(r, "wharfgate:{exact:a}") == 10, "what passed", 20)
        assert ask_many([g], "/exact") == 0


# ---- Redis does not answer ----

@pytest.mark.parametrize("on_failure", FAILURES)
def test_stopped(on_failure):
    """Three requests of each worker wait for the deadline at most, then nobody does: no call is
    sent for them. When it goes on, it has counted those that passed, and those alone."""
    with Redis() as r, gate_at(f"redis://{r.address}", workers=1, deadline="200ms",
                               on_failure=on_failure) as g:
        until(lambda: ask(g, "/free") == [200] and store(g)["connected"], "Redis")
        r.pause()
        answered = [ask(g)[0] for _ in range(3)]
        assert answered == [503 if on_failure == "closed" else 200] * 3
        s = store(g)
        assert (s["late"], s["circuits_open"]) == (3, 1)
        more = ask(g, count=20)
        assert more == {"local": [200] * 7 + [429] * 13, "open": [200] * 20,
                        "closed": [503] * 20}[on_failure]
        after = store(g)
        assert after["not_sent"] == s["not_sent"] + 20
        assert (after["calls"], after["late"]) == (s["calls"], s["late"])
        r.resume()
        until(lambda: ask(g, "/free") == [200] and not store(g)["circuits_open"], "Redis", 20)
        # Three whose calls were under way; and what passed by the limit here is charged later.
        passed = {"local": 10, "open": 3, "closed": 0}[on_failure]
        until(lambda: spent(r, "wharfgate:{exact:a}") == passed, "what is to be counted")
        assert ask(g, count=12).count(200) == 10 - passed


def test_slow():
    """Later than the deadline is as good as silent, and what is granted so late is given back."""
    with Redis() as r, Relay(r.address) as relay, \
            gate_at(f"redis://{relay.address}", workers=1, deadline="100ms") as g:
        until(lambda: ask(g, "/free") == [200], "Redis")
        relay.delay = 0.4
        assert [ask(g)[0] for _ in range(8)] == [503] * 8
        assert store(g)["late"] == 3
        # Probes are answered, too late as well: nobody else tries.
        pings = r.calls("ping")
        until(lambda: r.calls("ping") >= pings + 2, "probes")
        assert [ask(g)[0] for _ in range(8)] == [503] * 8
        assert store(g)["late"] == 3
        relay.delay = 0
        until(lambda: ask(g, "/free") == [200] and not store(g)["circuits_open"], "Redis", 20)
        until(lambda: spent(r, "wharfgate:{exact:a}") == 0, "the late answers")
        assert ask(g, count=12) == [200] * 10 + [429] * 2


def test_lease_outlasts_a_silence():
    """What is in hand is handed out while Redis is stopped. (On a slow machine it may have been
    given back before.)"""
    with Redis() as r, gate_at(f"redis://{r.address}", workers=1, deadline="300ms") as g:
        for i in range(20):
            hold_some(g, r, f"k{i}")
            r.pause()
            answered = ask(g, "/lease", f"k{i}")
            r.resume()
            if answered == [200]:
                return
            until(lambda: ask(g, "/free") == [200], "Redis", 20)
        raise AssertionError("nothing was ever in hand")


@pytest.mark.parametrize("garbage", [
    b"garbage\r\n", b"*4\r\n:1\r\n", b"+OK\r\n", b":1\r\n", b"*4\r\n$1\r\nx\r\n:1\r\n:1\r\n:1\r\n",
    b"*-1\r\n", b"$-1\r\n", b"-ERR no\r\n", b"*4\r\n:-1\r\n:-1\r\n:-1\r\n:-1\r\n:1\r\n",
    b"*1000000000\r\n", b"$999999999999\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_garbage(garbage):
    """The worker lives, clients get what on_failure says, and there is no storm of connections."""
    with Garbler(garbage) as server, \
            gate_at(f"redis://{server.address}", workers=1, deadline="300ms") as g:
        pid = g.worker_pid
        for _ in range(40):
            assert ask(g)[0] in (503, 429)
        assert set(ask(g, "/lease", count=5)) <= {503, 429}
        assert ask(g, "/any") == [200] and g.worker_pid == pid
        # The worker's, and control's: some at the start, then one each half second.
        assert server.connections <= 12


# ---- a cluster ----

def commands(peer):
    """What a client of Redis says, one after another."""
    while True:
        count = int(peer.read_until(b"\r\n")[1:])
        yield [peer.read_exactly(int(peer.read_until(b"\r\n")[1:]) + 2)[:-2] for _ in range(count)]


class Node(Origin):
    """One of two nodes of a cluster, of which the first has the lower half of the slots. The
    test says what becomes of a limit's call."""

    def __init__(self, on_call):
        self.on_call, self.nodes = on_call, []
        super().__init__(Node.answer, name="node")

    def slots(self):
        parts = [f"*3\r\n:{i * 8192}\r\n:{i * 8192 + 8191}\r\n*2\r\n$9\r\n127.0.0.1\r\n:{n.port}\r\n"
                 for i, n in enumerate(self.nodes)]
        return f"*{len(parts)}\r\n{''.join(parts)}".encode()

    @staticmethod
    def answer(peer, node):
        for verb, *_ in commands(peer):
            answers = {b"PING": b"+PONG\r\n", b"EVAL": b":1\r\n", b"CLUSTER": node.slots()}
            peer.send(answers[verb] if verb in answers else node.on_call())


def test_redirection_does_not_begin_the_deadline_anew():
    """A request is sent on to a node that is silent; who came after it, but was there before, is
    not answered first."""
    is_there = threading.Event()

    def send_on():
        is_there.wait(30)
        return f"-MOVED {slot(lower)} 127.0.0.1:{two.port}\r\n".encode()

    def be_silent():
        is_there.set()
        return b""

    def slot(key):
        return binascii.crc_hqx(f"exact:{key}".encode(), 0) % 16384

    lower = next(k for k in "abcdefgh" if slot(k) < 8192)
    upper = next(k for k in "abcdefgh" if slot(k) >= 8192)
    with Node(send_on) as one, Node(be_silent) as two:
        one.nodes = two.nodes = [one, two]
        with gate_at(f"redis://{one.address}", workers=1, deadline="1s", more=", cluster: true") as g, \
                g.connect() as first, g.connect() as second:
            until(lambda: store(g)["connected"], "the cluster")
            first.send(get("/exact/first", f"X-Key: {lower}"))
            until(lambda: store(g)["calls"] == 1, "the first one's call")
            second.send(get("/exact/second", f"X-Key: {upper}"))
            assert read_message(first).status == read_message(second).status == 503
            assert [line["path"] for line in g.access_lines(2)] == ["/exact/first", "/exact/second"]
            assert store(g)["late"] == 2
