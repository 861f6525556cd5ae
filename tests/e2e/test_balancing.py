# SPDX-License-Identifier: Apache-2.0
"""Which replica a request gets: cookies, keys, weights, backups, ejection, as a client sees it."""
import collections
import contextlib
import json
import re
import threading
import time

import pytest

from harness import Gate, Nobody, Origin, insecure, reply, run, until

CONFIG = """
    listeners:
      http: { address: "127.0.0.1:0" }
      https: { address: "127.0.0.1:0", tls: { self_signed: true } }
    upstreams:
      app: { servers: [{servers}], {more} }
    routes: [ { upstream: app } ]
    """
COOKIE = re.compile(r"(\w+)=([\w-]+)(; .*)")


@contextlib.contextmanager
def replicas(count):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Origin(name=f"r{i}")) for i in range(count)]


def servers_of(origins):
    return ", ".join(f'"{o.address}"' for o in origins)


def gate_for(origins, more, **kw):
    return Gate(CONFIG, servers=servers_of(origins), more=more, **kw)


def who(gate, **kw):
    return gate.request(**kw).json["origin"]


def endpoint(gate, address):
    [found] = [e for e in gate.admin("/v1/status").json["upstreams"][0]["endpoints"]
               if e["address"] == address]
    return found


# ---- sticky ----

def cookie_of(answer):
    name, value, attributes = COOKIE.fullmatch(answer.headers["set-cookie"]).groups()
    return name, value, attributes


def test_a_cookie_ties_a_client_to_its_replica():
    with replicas(4) as origins, gate_for(origins, "balance: sticky", workers=2) as gate:
        names = set()
        for _ in range(12):
            first = gate.request()
            name, token, attributes = cookie_of(first)
            assert name == "wharfgate" and attributes == "; Path=/; HttpOnly; SameSite=Lax"
            assert len(token) >= 20  # a MAC, not an address
            home = first.json["origin"]
            names.add(home)
            for _ in range(4):
                again = gate.request(headers={"Cookie": f"theme=dark; wharfgate={token}; x=y"})
                assert again.json["origin"] == home and "set-cookie" not in again.headers
        assert len(names) > 1


def test_the_cookie_over_tls_and_as_configured():
    more = ("balance: { algorithm: sticky, cookie: SID, ttl: 1h, same_site: strict, "
            "secret: 0123456789abcdef }")
    with replicas(2) as origins, gate_for(origins, more) as gate:
        plain, secure = gate.request(), gate.request(listener="https", tls=insecure())
        assert cookie_of(plain)[2] == "; Path=/; Max-Age=3600; HttpOnly; SameSite=Strict"
        assert cookie_of(secure)[2] == "; Path=/; Max-Age=3600; Secure; HttpOnly; SameSite=Strict"
        # The same secret, the same replica, the same cookie: so all gateways of a fleet agree.
        tokens = {}
        for _ in range(20):
            answer = gate.request()
            tokens.setdefault(answer.json["origin"], set()).add(cookie_of(answer)[1])
        assert len(tokens) == 2 and all(len(t) == 1 for t in tokens.values())
        with gate_for(origins, more) as other:
            for name, (token,) in tokens.items():
                assert who(other, headers={"Cookie": f"SID={token}"}) == name


def test_forged_and_foreign_cookies_tie_to_nothing():
    with replicas(2) as origins, gate_for(origins, "balance: sticky") as gate, \
            gate_for(origins, "balance: { algorithm: sticky, secret: another-secret-it-is }") as other:
        _, token, _ = cookie_of(gate.request())
        forged = [origins[0].address, token[:-1] + ("A" if token[-1] != "A" else "B"), "", "x" * 4000,
                  cookie_of(other.request())[1]]
        for value in forged:
            answer = gate.request(headers={"Cookie": f"wharfgate={value}"})
            assert answer.status == 200 and "set-cookie" in answer.headers


def test_it_survives_reload_and_restart():
    with replicas(3) as origins, gate_for(origins, "balance: sticky") as gate:
        first = gate.request()
        mine = {"Cookie": f"wharfgate={cookie_of(first)[1]}"}
        # Another setting makes it another upstream, with the same replicas.
        assert gate.reload(CONFIG, servers=servers_of(origins), more="balance: sticky, retries: 1") \
            .returncode == 0
        again = gate.request(headers=mine)
        assert again.json["origin"] == first.json["origin"] and "set-cookie" not in again.headers
        gate.stop()
        gate.start()
        again = gate.request(headers=mine)
        assert again.json["origin"] == first.json["origin"] and "set-cookie" not in again.headers


def test_it_yields_when_its_replica_is_gone():
    with replicas(3) as origins, gate_for(origins, "balance: sticky") as gate:
        first = gate.request()
        mine = {"Cookie": f"wharfgate={cookie_of(first)[1]}"}
        gone = int(first.json["origin"][1:])
        rest = [o for i, o in enumerate(origins) if i != gone]
        # It refuses: another one, by a retry, and a cookie for that one.
        origins[gone].close()
        moved = gate.request(headers=mine)
        assert moved.json["origin"] != first.json["origin"]
        assert cookie_of(moved)[1] != cookie_of(first)[1]
        # It is taken out.
        assert gate.reload(CONFIG, servers=servers_of(rest), more="balance: sticky").returncode == 0
        moved = gate.request(headers=mine)
        assert moved.json["origin"] != first.json["origin"] and "set-cookie" in moved.headers


# ---- keys ----

@pytest.mark.parametrize("algorithm", ["ring_hash", "maglev"])
@pytest.mark.parametrize("key, ask", [
    ("path", lambda i: {"target": f"/p/{i}?q=1"}),
    ("header:X-Tenant", lambda i: {"headers": {"x-tenant": f"t{i}"}}),
    ("host", lambda i: {"host": f"t{i}.example"}),
    ("header:Host", lambda i: {"host": f"t{i}.example"}),
    ("cookie:sid", lambda i: {"headers": {"Cookie": f"a=b; sid=s{i}; c=d"}}),
])
def test_the_same_key_goes_to_the_same_replica(algorithm, key, ask):
    """From any worker, and from another gateway too; the keys are spread; one replica less moves
    hardly any key but its own."""
    more = f"balance: {{ algorithm: {algorithm}, key: '{key}' }}"
    with replicas(5) as origins, gate_for(origins, more, workers=2) as gate, \
            gate_for(origins, more) as other:
        homes = {i: who(gate, **ask(i)) for i in range(60)}
        assert homes == {i: who(gate, **ask(i)) for i in range(60)}
        assert homes == {i: who(other, **ask(i)) for i in range(60)}
        assert len(set(homes.values())) == 5
        assert gate.reload(CONFIG, servers=servers_of(origins[:-1]), more=more).returncode == 0
        after = {i: who(gate, **ask(i)) for i in range(60)}
        assert all(home != "r4" for home in after.values())
        moved = [i for i in homes if homes[i] != "r4" and homes[i] != after[i]]
        assert len(moved) <= (0 if algorithm == "ring_hash" else 12)


def test_by_client_address():
    with replicas(4) as origins, gate_for(origins, "balance: ring_hash") as gate:
        assert len({who(gate) for _ in range(10)}) == 1


def test_without_the_key_any_will_do():
    with replicas(3) as origins, \
            gate_for(origins, "balance: { algorithm: maglev, key: 'header:X-Key' }") as gate:
        assert len({who(gate) for _ in range(40)}) == 3


def test_max_load_lets_keys_overflow():
    """All with one key: one replica would have them all, or, with a bound, its share and little
    more."""
    go = threading.Event()

    def hold(peer, o):
        while True:
            o.read(peer)
            assert go.wait(60)
            peer.send(reply(200, json.dumps({"origin": o.name})))
    for bound, most in (("off", 12), ("125%", 4)):
        go.clear()
        with Origin(hold, name="a") as a, Origin(hold, name="b") as b, Origin(hold, name="c") as c, \
                Origin(hold, name="d") as d, gate_for(
                    [a, b, c, d], f"balance: {{ algorithm: ring_hash, max_load: {bound} }}") as gate:
            peers = [gate.connect() for _ in range(12)]
            for p in peers:
                p.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            until(lambda: sum(len(o.requests) for o in (a, b, c, d)) == 12, "all to be there")
            assert max(len(o.requests) for o in (a, b, c, d)) == most
            go.set()
            for p in peers:
                p.close()


# ---- shares ----

@pytest.mark.parametrize("algorithm", ["least_requests", "round_robin", "random", "least_time"])
def test_weights_and_backups(algorithm):
    with replicas(3) as (a, b, spare):
        servers = (f'{{ address: "{a.address}", weight: 3 }}, "{b.address}", '
                   f'{{ address: "{spare.address}", backup: true }}')
        with Gate(CONFIG, servers=servers, more=f"balance: {algorithm}, retries: 2") as gate:
            seen = collections.Counter(who(gate) for _ in range(200))
            assert set(seen) == {"r0", "r1"}
            if algorithm in ("round_robin", "random"):
                assert 100 < seen["r0"] < 190
            a.close()
            b.close()
            assert {who(gate) for _ in range(20)} == {"r2"}


def test_least_time_avoids_the_slow_one():
    def slow(peer, o):
        while True:
            o.read(peer)
            time.sleep(0.4)  # far beyond what a busy machine adds to the others
            peer.send(reply(200, json.dumps({"origin": "slow"})))
    with Origin(slow) as s, replicas(2) as fast, gate_for([s, *fast], "balance: least_time") as gate:
        for _ in range(6):
            who(gate)
        seen = collections.Counter(who(gate) for _ in range(60))
        assert seen["slow"] <= 3


# ---- ejection ----

def test_a_replica_that_fails_is_ejected_and_tried_again():
    broken = threading.Event()
    broken.set()

    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(500 if broken.is_set() else 200, json.dumps({"origin": "odd"})))
    more = ("balance: round_robin, outlier_ejection: { consecutive_failures: 3, base_time: 2s, "
            "error_rate: off }")
    with Origin(serve) as odd, replicas(2) as good, gate_for([odd, *good], more) as gate:
        failed = 0
        while failed < 3:  # no more of them before it is judged, however late that is
            failed += gate.request().status == 500
        until(lambda: endpoint(gate, odd.address)["state"] == "ejected", "its ejection")
        e = endpoint(gate, odd.address)
        assert e["reason"] == "3 failures in a row" and e["ejections"] == 1
        assert all(gate.request().status == 200 for _ in range(4))
        broken.clear()
        until(lambda: endpoint(gate, odd.address)["state"] == "ready", "its return")
        assert "odd" in {who(gate) for _ in range(6)}
        assert gate.metric("wharfgate_endpoint_ejections_total", endpoint=odd.address) == 1
        assert f"upstream app: {odd.address} is ejected: 3 failures in a row" in gate.errors()


def test_an_error_rate_that_others_do_not_have():
    """It fails every other request: never many in a row."""
    def serve(peer, o):
        while True:
            o.read(peer)
            status = 500 if len(o.requests) % 2 else 200
            peer.send(reply(status, json.dumps({"origin": "odd"})))
    more = "balance: round_robin, outlier_ejection: { interval: 300ms }"
    with Origin(serve) as odd, replicas(2) as good, gate_for([odd, *good], more) as gate:
        def is_ejected():
            for _ in range(30):
                gate.request()
            return endpoint(gate, odd.address)["state"] == "ejected"
        until(is_ejected, "its ejection")
        assert "requests failed" in endpoint(gate, odd.address)["reason"]
        assert {who(gate) for _ in range(20)} == {"r0", "r1"}


def test_when_all_fail_nobody_is_to_blame():
    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(500, "no"))
    more = "outlier_ejection: { interval: 200ms, max_share: 100%, consecutive_failures: off }"
    with Origin(serve) as a, Origin(serve) as b, Origin(serve) as c, gate_for([a, b, c], more) as gate:
        for _ in range(200):
            assert gate.request().status == 500
        assert gate.metric("wharfgate_endpoint_ejections_total") == 0


def test_more_fail_than_a_request_remembers():
    """It goes around, and stays with none of them; what was kept of each for it is let go of."""
    with contextlib.ExitStack() as stack:
        nobody = [stack.enter_context(Nobody()) for _ in range(11)]
        with gate_for(nobody, "retries: 10, outlier_ejection: { max_share: off }") as gate:
            assert gate.request().status == 502
            counts = [endpoint(gate, n.address)["requests"] for n in nobody]
            assert min(counts) >= 1 and max(counts) <= 4 and sum(counts) == 20, counts


def test_a_panic_is_logged_and_its_end():
    broken = threading.Event()
    broken.set()

    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(500 if broken.is_set() else 200, "x"))
    more = ("balance: round_robin, outlier_ejection: { consecutive_failures: 2, base_time: 500ms, "
            "max_share: 100%, error_rate: off }")
    with Origin(serve) as a, Origin(serve) as b, replicas(1) as (c,), gate_for([a, b, c], more) as gate:
        def logs(text):
            gate.request()
            return f"upstream app: {text}" in gate.errors()
        until(lambda: logs("panic: of 3 endpoints 2 are ejected, so all are used"), "the panic")
        assert gate.metric("wharfgate_upstream_panic", upstream="app") == 1
        broken.clear()
        until(lambda: logs("the panic is over"), "its end")
        assert gate.metric("wharfgate_upstream_panic", upstream="app") == 0


def test_kept_connections_that_end_are_no_failures():
    """Each connection is closed after its answer, without a word: nobody is ejected."""
    def serve(peer, o):
        o.read(peer)
        peer.send(reply(200, "x"))
    with Origin(serve) as a, Origin(serve) as b, gate_for([a, b], "retries: 2") as gate:
        assert [gate.request().status for _ in range(60)] == [200] * 60
        assert gate.metric("wharfgate_endpoint_failures_total") == 0


# ---- the configuration ----

def test_slow_start_begins_with_a_tenth():
    """A replica that comes to others at work gets few requests at first, and its share later."""
    check = "health_check: { type: tcp, interval: 100ms, fast_interval: 100ms, rise: 1, fall: 1 }"
    more = f"balance: round_robin, slow_start: 2s, {check}"
    with replicas(1) as (old,), Nobody() as nobody:
        port = int(nobody.address.rsplit(":", 1)[1])
        servers = f'"{old.address}", "{nobody.address}"'
        with Gate(CONFIG, servers=servers, more=more) as gate:
            until(lambda: endpoint(gate, nobody.address)["state"] == "unhealthy", "it to be down")
            # Established: the ramp is for who comes later than its own length.
            began = endpoint(gate, old.address)["since"]
            until(lambda: endpoint(gate, old.address)["check"]["at"] - began > 2.1, "that time")
            nobody.sock.close()
            with Origin(port=port, name="new"):
                until(lambda: endpoint(gate, nobody.address)["state"] == "ready", "it to be up")
                seen = collections.Counter(who(gate) for _ in range(40))
                assert 1 <= seen["new"] <= 12, seen
                until(lambda: 8 <= collections.Counter(
                    who(gate) for _ in range(20))["new"] <= 12, "its whole share")


def test_a_mistaken_key_is_told(tmp_path):
    path = tmp_path / "bad.yaml"
    path.write_text("""listeners: { http: { address: ":80" } }
upstreams:
  a: { servers: ["10.0.0.1:80"], balance: { algorithm: ring_hash, key: "heaader:X" } }
  b: { servers: ["10.0.0.1:80"], balance: least_request }
  c: { servers: ["10.0.0.1:80"], health_check: { type: grpc } }
  d: { servers: ["10.0.0.1:80"], outlier_ejection: { max_share: 10 } }
""")
    told = run("check", "-c", path)
    assert told.returncode == 3
    for text in ("3:72: error: `key`: expected `client_ip`, `host`, `path`, `header:NAME` or `cookie:NAME`",
                 "did you mean `least_requests`?", "`type: grpc` needs `protocol: h2`",
                 "did you mean `10%`?"):
        assert text in told.stderr, told.stderr
