# SPDX-License-Identifier: Apache-2.0
"""Rate limits that gates share through a real Redis: how many pass, what stands in Redis, how it
is reached, what changes while requests wait. A rate of 1/h means: never again in this test, so
that counts are exact; with a deadline of ten seconds no answer is late, however slow the machine.
What happens while Redis is in trouble is in test_limits_faults.py."""
import concurrent.futures
import contextlib
import json
import signal
import time

import pytest

from certs import Authority
from h2peer import h2
from harness import PATIENCE, Gate, Load, Nobody, read_message, run, until
from redisfarm import ClusterFarm, Redis, SentinelFarm
from test_dns import NameServer, hosts
from test_limits import get


CONFIG = """
listeners: { http: { address: "127.0.0.1:0", http2: on } }
discovery: { dns: { servers: ["127.0.0.1:{dns}"], min_ttl: 100ms, max_ttl: 1s, timeout: 500ms } }
stores: { redis: { url: "{url}", deadline: {deadline}, on_failure: {on_failure}{more} } }
rate_limits:
  exact: { key: "header:X-Key", rate: 1/h, burst: 9, store: redis, mode: exact }
  lease: { key: "header:X-Key", rate: 1/h, burst: 799, store: redis, mode: lease }
  auto: { key: "header:X-Key", rate: 1/h, burst: 799, store: redis }
  few: { key: "header:X-Key", rate: 1/h, burst: 2, store: redis }
  held: { key: "header:X-Key", rate: 10/s, burst: 5, delay: true, store: redis }
  trial: { key: "header:X-Key", rate: 1/h, store: redis, dry_run: true }
  here: { key: "header:X-Key", rate: 1/h, burst: 4 }
  wide: { key: host, rate: 1/h, burst: 6, store: redis, mode: exact }
  free: { key: "header:X-Key", rate: 1000000/s, burst: 1000000, store: redis, mode: exact }
routes:
  - { match: { path: /exact }, rate_limit: exact, respond: { body: ok } }
  - { match: { path: /lease }, rate_limit: lease, respond: { body: ok } }
  - { match: { path: /auto }, rate_limit: auto, respond: { body: ok } }
  - { match: { path: /few }, rate_limit: few, respond: { body: ok } }
  - { match: { path: /held }, rate_limit: held, respond: { body: ok } }
  - { match: { path: /trial }, rate_limit: trial, respond: { body: ok } }
  - { match: { path: /several }, rate_limit: [here, wide, exact], respond: { body: ok } }
  - { match: { path: /free }, rate_limit: free, respond: { body: ok } }
  - { match: { path: /any }, respond: { body: ok } }
"""


def gate_at(url, workers=2, deadline="10s", on_failure="closed", more="", dns=9, **kw):
    return Gate(CONFIG, workers=workers, url=url, deadline=deadline, on_failure=on_failure,
                more=more, dns=dns, **kw)


@pytest.fixture(scope="module")
def redis():
    with Redis() as r:
        yield r


@pytest.fixture(autouse=True)
def _empty(request):
    if "redis" in request.fixturenames:
        request.getfixturevalue("redis").call("FLUSHALL")


@pytest.fixture
def gate(redis):
    with gate_at(f"redis://{redis.address}") as g:
        yield g


def ask(gate, target="/exact", key="a", count=1):
    """Statuses of requests that are sent at once on one connection."""
    with gate.connect() as c:
        c.send(get(target, f"X-Key: {key}") * count)
        return [read_message(c).status for _ in range(count)]


def ask_many(gates, target, key="a", each=30, clients=4):
    """Several clients of each gate, all at the same time: how many passed. None sees anything
    but 200 and 429."""
    with concurrent.futures.ThreadPoolExecutor(len(gates) * clients) as pool:
        asked = [pool.submit(ask, g, target, key, each) for g in gates for _ in range(clients)]
        statuses = [s for a in asked for s in a.result()]
    assert set(statuses) <= {200, 429}
    return statuses.count(200)


def store(gate):
    return gate.admin("/v1/limits").json["store"]


def rule(gate, name):
    return next(r for r in gate.admin("/v1/limits").json["rate_limits"] if r["name"] == name)


def spent(redis, key, interval_us=3600e6):
    """Tokens that are missing in a bucket of 1/h, by what Redis keeps."""
    value, (seconds, us) = redis.call("GET", key), redis.call("TIME")
    ahead = float(value or 0) - (int(seconds) * 1e6 + int(us))
    return max(0, -int(-ahead // interval_us))


# ---- how many pass ----

@pytest.mark.parametrize("count", [1, 2])
def test_exact_admits_the_burst_and_one(redis, count):
    """Whatever gate, worker and connection they come by."""
    with contextlib.ExitStack() as stack:
        gates = [stack.enter_context(gate_at(f"redis://{redis.address}")) for _ in range(count)]
        assert ask_many(gates, "/exact") == 10
        assert ask_many(gates, "/exact", key="other") == 10
        assert ask_many(gates, "/exact") == 0


def hold_some(gate, redis, key):
    """Asks until it has a lease, of which something is in hand; how many passed."""
    passed = 0
    while True:
        passed += ask(gate, "/lease", key, 20).count(200)
        if spent(redis, f"wharfgate:{{lease:{key}}}") > passed:
            return passed
        assert passed < 700, "no lease"


def test_lease_asks_in_advance_and_gives_back(redis, gate):
    """Tokens in hand are debited before; after a second without a request Redis has them again."""
    passed = hold_some(gate, redis, "a")
    until(lambda: spent(redis, "wharfgate:{lease:a}") == passed, "what is unused")
    assert rule(gate, "lease")["lost_tokens"] == 0
    passed += ask_many([gate], "/lease", each=300)
    until(lambda: spent(redis, "wharfgate:{lease:a}") == passed, "what is unused")
    while passed < 800:
        before = spent(redis, "wharfgate:{lease:a}")
        more = ask(gate, "/lease", "a", 800 - passed).count(200)
        passed += more
        # Refused while the rest is in hand, which may go back or be taken at any time.
        assert more or 800 in (before, spent(redis, "wharfgate:{lease:a}"))
    assert ask_many([gate], "/lease") == 0


def test_leases_of_two_gates_never_exceed_the_bucket(redis):
    url = f"redis://{redis.address}"
    with gate_at(url) as one, gate_at(url) as two:
        passed = ask_many([one, two], "/lease", each=150)
        assert passed <= 800
        until(lambda: spent(redis, "wharfgate:{lease:a}") == passed or passed == 800, "the rest")
        assert passed + ask_many([one, two], "/lease", each=150) <= 800
        assert store(one)["calls"] + store(two)["calls"] < 2400


def test_what_auto_means(gate):
    assert [rule(gate, name)["mode"] for name in ("exact", "lease", "auto", "few", "held")] == \
        ["exact", "lease", "lease", "exact", "exact"]


def test_streams_of_http2(gate):
    with h2(gate) as c:
        streams = [c.open(path="/exact", headers=[("x-key", "h2")], end=True) for _ in range(40)]
        statuses = [s.done().status for s in streams]
    assert (statuses.count(200), statuses.count(429)) == (10, 30)


def test_refusals_cost_no_call(redis, gate):
    assert ask(gate, count=12) == [200] * 10 + [429] * 2
    before = redis.calls("evalsha"), store(gate)["calls"]
    answers = [gate.raw(get("/exact", "X-Key: a")) for _ in range(5)]
    assert ask_many([gate], "/exact") == 0
    assert (redis.calls("evalsha"), store(gate)["calls"]) == before
    for answer in answers:
        assert answer.status == 429 and 3590 <= int(answer.get("Retry-After")) <= 3600
        assert answer.get("RateLimit").startswith('"exact";r=0;t=')


def test_headers_say_what_redis_said(gate):
    assert [gate.raw(get("/exact", "X-Key: a")).get("RateLimit") for _ in range(2)] == \
        ['"exact";r=9;t=3600', '"exact";r=8;t=7200']


def test_delay(gate):
    """The first at once, the others one each 100 ms, by the clock of Redis."""
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert [s for a in [pool.submit(ask, gate, "/held") for _ in range(4)] for s in a.result()] \
            == [200] * 4
    assert time.monotonic() - start >= 0.29
    assert rule(gate, "held")["delayed"] == 3


def test_rules_of_both_stores_on_a_route(gate):
    """In their order: the one here (5), the one by host (7), then one of 10."""
    assert ask(gate, "/several", "a", 6) == [200] * 5 + [429]
    assert ask(gate, "/several", "b", 4) == [200] * 2 + [429] * 2
    answer = gate.raw(get("/several", "X-Key: b"))
    assert answer.status == 429 and answer.get("RateLimit").startswith('"here";r=')
    assert {name: (rule(gate, name)["admitted"], rule(gate, name)["refused"])
            for name in ("here", "wide", "exact")} == \
        {"here": (10, 1), "wide": (7, 3), "exact": (7, 0)}


def test_dry_run(gate):
    assert ask(gate, "/trial", count=5) == [200] * 5
    assert (rule(gate, "trial")["admitted"], rule(gate, "trial")["refused"]) == (1, 4)
    assert [line.get("limit_dry_run") for line in gate.access_lines(5)] == [None] + ["trial"] * 4


# ---- what stands in Redis ----

def test_keys(redis, gate):
    """The prefix, the rule and the key, as a hash tag; a long key is a digest."""
    for key in ("k" * 24, "k" * 25, "k" * 9000):
        assert ask(gate, key=key) == [200]
    names = set(redis.call("KEYS", "*")) - {"wharfgate:gateways"}
    plain = "wharfgate:{exact:" + "k" * 24 + "}"
    assert plain in names and len(names) == 3
    assert all(n.startswith("wharfgate:{exact:#") and len(n) == len(plain) for n in names - {plain})
    assert all(3590e3 < redis.call("PTTL", n) <= 3600e3 + 1 for n in names)


def test_prefix_and_database(redis):
    with gate_at(f"redis://{redis.address}/3", more=", prefix: mine") as g:
        assert ask(g) == [200]
        with redis.client() as c:
            assert not [k for k in c.call("KEYS", "*") if k != "wharfgate:gateways"]
            c.call("SELECT", 3)
            until(lambda: set(c.call("KEYS", "*")) == {"mine:{exact:a}", "mine:gateways"}, "its keys")


# ---- how it is reached ----

@contextlib.contextmanager
def works_with(redis, url, more=""):
    with gate_at(url, more=more) as g:
        assert ask(g, count=12) == [200] * 10 + [429] * 2
        assert redis.calls("evalsha") >= 10 and rule(g, "exact")["fallbacks"] == 0
        yield g


def test_passwords():
    """In the URL, beside it, of a user; another prefix each time, so that the bucket is full."""
    with Redis(password="p@ss/wörd") as r:
        with r.client() as c:
            c.call("ACL", "SETUSER", "gate", "on", ">secret", "~*", "+@all")
        with works_with(r, f"redis://:p%40ss%2Fw%C3%B6rd@{r.address}", more=", prefix: a"), \
                works_with(r, f"redis://{r.address}", more=", prefix: b, password: 'p@ss/wörd'"), \
                works_with(r, f"redis://gate:secret@{r.address}", more=", prefix: c"), \
                works_with(r, f"redis://x:y@{r.address}",
                           more=", prefix: d, username: gate, password: secret"):
            pass


def test_wrong_password():
    """It is told by the command, in JSON and in the log; requests do not wait."""
    with Redis(password="right") as r, gate_at(f"redis://:wrong@{r.address}") as g:
        until(lambda: "WRONGPASS" in store(g)["trouble"], "the trouble")
        until(lambda: "WRONGPASS" in store(g)["last_failure"], "the worker's")
        assert ask(g) == [503]
        said = run("limits", "--socket", g.socket_path).stdout
        assert "not connected" in said and f"trouble: {r.address}: WRONGPASS" in said
        assert "WRONGPASS" in g.errors() and "wrong@" not in g.errors()


def test_unix_socket(tmp_path):
    path = tmp_path / ("r" * (100 - len(str(tmp_path))))  # as long as the system allows, nearly
    with Redis(f"unixsocket {path}") as r, works_with(r, f"unix://{path}") as g:
        until(lambda: store(g)["connected"], "the heartbeat")


def test_tls(tmp_path):
    pki, other = Authority(tmp_path), Authority(tmp_path, "Other CA")
    with Redis(tls=(*pki.issue("redis", "127.0.0.1"), pki.cert)) as r:
        with works_with(r, f"rediss://{r.address}", more=f', tls: {{ ca: "{pki.cert}" }}'):
            pass
        with gate_at(f"rediss://{r.address}", more=f', tls: {{ ca: "{other.cert}" }}') as g:
            until(lambda: store(g)["last_failure"].startswith("TLS: "), "the trouble")
            assert ask(g) == [503]


def test_name_that_is_not_there_at_first(redis):
    url = f"redis://redis.test:{redis.port}"
    with NameServer() as dns, gate_at(url, dns=dns.port) as g:
        assert ask(g) == [503]
        said = run("limits", "--socket", g.socket_path).stdout
        assert "not found yet" in said
        dns.serve(*hosts("127.0.0.1", name="redis.test"))
        until(lambda: ask(g, "/free") == [200], "Redis by its name", 30)
        assert ask(g, count=12) == [200] * 10 + [429] * 2


def test_not_there_at_the_start():
    with Redis(start=False) as r, gate_at(f"redis://{r.address}", deadline="200ms") as g:
        assert ask(g) == [503]
        r.start()
        until(lambda: ask(g, "/free") == [200], "Redis")
        until(lambda: store(g)["connections"] == 2, "both workers")
        assert ask_many([g], "/exact") == 10


# ---- reloads and ends ----

def test_store_changes_under_load(redis):
    """Calls that are under way are answered by the old one or not at all; no request notices."""
    with gate_at(f"redis://{redis.address}", on_failure="open") as g, \
            Load(g, clients=3, request=get("/free", "X-Key: a")) as load:
        load.progress()
        for more in (", prefix: two", ", prefix: two, password: ''", ", prefix: wharfgate"):
            assert g.reload(CONFIG, more=more).returncode == 0
            load.progress(20)
        assert g.reload(CONFIG, url="redis://127.0.0.1:9").returncode == 0
        load.progress(20)
        assert g.reload(CONFIG).returncode == 0
        load.progress(20)
        assert rule(g, "free")["admitted"] > 0
    assert "two:{free:a}" in redis.call("KEYS", "*") or redis.calls("evalsha") > 20


@contextlib.contextmanager
def waiting(gate, redis, target="/exact"):
    """Redis is stopped, and a request waits for it."""
    before = store(gate)["calls"]
    redis.pause()
    try:
        with gate.connect() as c:
            c.send(get(target, "X-Key: w"))
            until(lambda: store(gate)["calls"] > before, "the call")
            yield c
    finally:
        redis.resume()


@pytest.mark.parametrize("old, new", [
    ("rate: 1/h, burst: 9, store", "rate: 1/h, burst: 8, store"),
    ("rate_limit: exact, ", ""),
    ('stores: { redis: { url: "{url}", ', 'stores: { redis: { prefix: other, url: "{url}", '),
])
def test_what_a_reload_removes_while_a_request_waits(redis, gate, old, new):
    assert ask(gate) == [200]
    with waiting(gate, redis) as c:
        assert old in CONFIG
        assert gate.reload(CONFIG.replace(old, new)).returncode == 0
        assert ask(gate, "/any") == [200]
        redis.resume()
        assert read_message(c).status == 200
    until(lambda: ask(gate, "/free") == [200], "the store")


def test_store_is_removed_while_a_request_waits(redis, gate):
    plain = "\n".join(line for line in CONFIG.replace(", store: redis", "").replace(
        ", mode: exact", "").replace(", mode: lease", "").splitlines() if "stores:" not in line)
    assert ask(gate) == [200]
    with waiting(gate, redis) as c:
        assert gate.reload(plain).returncode == 0
        assert store(gate) is None
        redis.resume()
        assert read_message(c).status == 200
    assert ask(gate, "/exact", "w", 12) == [200] * 10 + [429] * 2


def test_client_that_leaves_while_it_waits_has_taken_nothing(redis, gate):
    assert ask(gate, "/free") == [200]
    with waiting(gate, redis) as c:
        c.reset()
        with gate.connect() as other:
            other.send(get("/any"))
            assert read_message(other).status == 200
        until(lambda: len(gate.access_lines(3)) >= 3, "its end")
        redis.resume()
        until(lambda: store(gate)["replies"] >= store(gate)["calls"], "all answers")
    assert ask(gate, key="w", count=12) == [200] * 10 + [429] * 2


@pytest.mark.parametrize("target", ["/exact", "/lease"])
def test_rule_is_gone_before_its_answer_comes(redis, gate, target):
    """Nobody waits any more, no plan has the rule: the answer is nobody's."""
    assert ask(gate, "/free") == [200]
    with waiting(gate, redis, target) as c:
        c.reset()
        without = CONFIG.replace("rate_limit: exact, ", "").replace("rate_limit: lease, ", "")
        assert gate.reload(without).returncode == 0
        until(lambda: gate.admin("/v1/status").json["plans_alive"] == 1, "the old plan's end")
        s = store(gate)
        assert s["calls"] > s["replies"]
    until(lambda: ask(gate, "/free") == [200] and store(gate)["replies"] >= s["calls"], "all answers")
    assert ask(gate, "/exact", count=20) == [200] * 20


@pytest.mark.parametrize("is_answered", [True, False])
def test_sigterm_while_a_request_waits(redis, is_answered):
    with gate_at(f"redis://{redis.address}", deadline="10s" if is_answered else "1s") as g:
        until(lambda: ask(g, "/free") == [200], "Redis")
        with waiting(g, redis) as c:
            g.process.send_signal(signal.SIGTERM)
            until(lambda: "shut" in g.errors() or "drain" in g.errors() or "stop" in g.errors(),
                  "the end's begin")
            if is_answered:
                redis.resume()
            assert read_message(c).status == (200 if is_answered else 503)
        assert g.process.wait(PATIENCE * 4) == 0


# ---- who else is there ----

def test_gateways_are_counted(redis):
    url = f"redis://{redis.address}"
    with gate_at(url) as one:
        with gate_at(url) as two:
            until(lambda: store(one)["gateways"] == store(two)["gateways"] == 2, "each other")
            assert redis.call("ZCARD", "wharfgate:gateways") == 2
            assert two.stop() == 0
        until(lambda: store(one)["gateways"] == 1, "its going", 20)


def test_gateways_of_before_the_clock_was_set_back_are_none(redis):
    with gate_at(f"redis://{redis.address}") as one:
        until(lambda: store(one)["gateways"] == 1, "itself")
        redis.call("ZADD", "wharfgate:gateways", 4 * 10**12, "ghost")
        until(lambda: redis.call("ZCARD", "wharfgate:gateways") == 1, "the ghost's going")
        until(lambda: store(one)["gateways"] == 1, "itself")


def test_what_is_told(redis, gate):
    assert ask(gate, key="me", count=12).count(200) == 10
    told = json.loads(run("limits", "--json", "--socket", gate.socket_path).stdout)
    exact = next(r for r in told["rate_limits"] if r["name"] == "exact")
    assert (exact["admitted"], exact["refused"], exact["store"], exact["mode"]) == \
        (10, 2, "redis", "exact")
    assert exact["top"] == [{"key": "me", "refused": 2}]
    until(lambda: store(gate)["connected"], "the heartbeat")
    s = store(gate)
    assert (s["mode"], s["at"], s["on_failure"], s["late"], s["errors"], s["lost"]) == \
        ("single", redis.address, "closed", 0, 0, 0)
    assert s["replies"] == 10 and s["calls"] in (10, 11)  # and one if the script was not there
    assert s["connections"] == 2
    assert gate.metric("wharfgate_redis_calls_total", result="reply") == 10
    assert gate.metric("wharfgate_redis_connections") == 2
    assert gate.metric("wharfgate_redis_gateways") == s["gateways"]
    assert gate.metric("wharfgate_rate_limit_requests_total", limit="exact", result="refused") == 2
    said = run("limits", "--socket", gate.socket_path).stdout
    assert f"{redis.address} (single), connected for" in said and "redis, exact" in said


# ---- Sentinel and Cluster ----

def test_sentinel_fails_over_under_load():
    """No request sees it but as one that was let pass."""
    with SentinelFarm(replicas=1) as farm:
        servers = ", ".join(f'"{s.address}"' for s in farm.sentinels)
        with gate_at("redis://gate", on_failure="open",
                     more=f", sentinel: {{ master: gate, servers: [{servers}] }}") as g:
            until(lambda: store(g)["connections"] == 2, "the master")
            assert ask(g, count=12) == [200] * 10 + [429] * 2
            with Load(g, clients=3, request=get("/free", "X-Key: a")) as load:
                load.progress()
                new = farm.fail_over()
                until(lambda: new.calls("evalsha") > 0, "the gate at the new master", 30)
                load.progress(20)
            assert store(g)["at"] == new.address
            until(lambda: not store(g)["circuits_open"], "closed circuits", 20)
            # What was counted before is still counted there.
            assert ask(g, key="b", count=12) == [200] * 10 + [429] * 2


def test_cluster_slots_move_under_load():
    with ClusterFarm(replicas=0) as farm:
        with gate_at(f"redis://{farm.nodes[0].address}", more=", cluster: true") as g:
            until(lambda: ask(g, "/free") == [200], "the cluster", 20)
            early = rule(g, "free")["fallbacks"]  # while it did not know the cluster yet
            slot = farm.slot("wharfgate:{free:a}")
            first = farm.owner(slot)
            others = [n for n in farm.masters() if n is not first]
            with Load(g, clients=3, request=get("/free", "X-Key: a")) as load:
                for to in (*others, first):
                    farm.begin_move(slot, to)
                    load.progress(20)
                    farm.end_move(slot, to)
                    load.progress(20)
            for key in "abcdefgh":
                assert ask(g, key=key, count=12) == [200] * 10 + [429] * 2
            assert (rule(g, "free")["fallbacks"], rule(g, "exact")["fallbacks"]) == (early, 0)
            assert sum(bool(n.calls("evalsha")) for n in farm.nodes) == 3


def test_nobody_at_the_address():
    with Nobody() as nobody, gate_at(f"redis://{nobody.address}") as g:
        until(lambda: "refused" in store(g)["last_failure"], "the trouble")
        assert ask(g, count=3) == [503] * 3
