# SPDX-License-Identifier: Apache-2.0
"""How many requests of a key may be in progress: who is refused, and that whatever way a request
ends makes room for another. `Counting` is a replica that answers when it is let to."""
import contextlib

import pytest

from h2peer import H2Client
from harness import Gate, Origin, read_head, read_message, until
from test_queue import Counting

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0", http2: on } }
    upstreams: { app: { servers: ["{origin}"] } }
    concurrency_limits: { two: { max: 2{more} } }
    routes:
      - { match: { path: /free }, respond: { body: free } }
      - { upstream: app, concurrency_limit: two, max_body: unlimited{route} }
    """


def gate_for(origin, more="", route="", config=CONFIG, **kw):
    return Gate(config, origin=origin.address, more=more, route=route, **kw)


def counted(gate, result, limit="two"):
    return gate.metric("wharfgate_concurrency_limit_requests_total", limit=limit, result=result)


def until_active(gate, count, limit="two"):
    until(lambda: gate.metric("wharfgate_concurrency_limit_active", limit=limit) == count,
          f"{count} in progress")


@pytest.fixture
def held():
    """What stays open until the test's end."""
    with contextlib.ExitStack() as stack:
        yield stack


def begin(gate, held, target="/", headers="", source=None, body=""):
    """A request on a connection of its own, whose answer nobody waits for yet."""
    peer = held.enter_context(gate.connect(source=source))
    peer.send(f"{'POST' if body else 'GET'} {target} HTTP/1.1\r\nHost: a\r\n{headers}\r\n{body}")
    return peer


def is_refused(gate, held, **kw):
    answer = read_message(begin(gate, held, **kw))
    assert answer.status == 429 and answer.get("retry-after") == "1", answer.start
    return True


@pytest.mark.parametrize("workers", [1, 3])
def test_so_many_are_in_progress(held, workers):
    """Of all workers together; a place is free once an answer is through. Other addresses and
    other routes are not held up."""
    with Counting() as o, gate_for(o, workers=workers) as gate:
        peers = [begin(gate, held) for _ in range(2)]
        until_active(gate, 2)
        for _ in range(5):
            assert is_refused(gate, held)
        assert gate.request("/free").body == b"free"
        begin(gate, held, source="127.0.0.2")
        until_active(gate, 3)
        o.let(3)
        assert [read_message(p).status for p in peers] == [200, 200]
        until_active(gate, 0)
        peers[0].send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        until_active(gate, 1)
        o.let(1)
        assert read_message(peers[0]).status == 200
        assert counted(gate, "admitted") == 4 and counted(gate, "refused") == 5
        assert counted(gate, "untracked") == 0
        assert len(o.requests) == 4
        refusals = [r for r in gate.access_lines(10) if r["status"] == 429]
        assert {(r["reason"], r["limit"]) for r in refusals} == {("too_many_at_once", "two")}


def test_no_more_than_that_reach_the_replica(held):
    """Sixty at once, by three workers, for one key: two are let through, each time."""
    with Counting() as o, gate_for(o, workers=3) as gate:
        for _ in range(5):
            peers = [held.enter_context(gate.connect()) for _ in range(60)]
            for p in peers:
                p.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: counted(gate, "refused") % 58 == 0 and counted(gate, "refused"), "refusals")
            until(lambda: o.open == 2, "those that are let through")
            o.let(2)
            assert sorted(read_message(p).status for p in peers) == [200] * 2 + [429] * 58
            until_active(gate, 0)
        assert o.most == 2


def test_streams_count_each(held):
    """HTTP/2: one connection is no way around; a reset stream makes room."""
    with Counting() as o, gate_for(o) as gate, H2Client(gate.connect()) as c:
        streams = [c.open() for _ in range(2)]
        until_active(gate, 2)
        assert c.open().has_head().status == 429
        streams[0].reset()
        until_active(gate, 1)
        third = c.open()
        until_active(gate, 2)
        o.let(3)
        assert streams[1].has_head().status == third.has_head().status == 200
        until_active(gate, 0)


def test_a_client_that_leaves_makes_room(held):
    """By a reset at once; who has only ended his side may still read the answer, and makes room
    with it."""
    with Counting() as o, gate_for(o) as gate:
        peers = [begin(gate, held) for _ in range(2)]
        until_active(gate, 2)
        peers[0].reset()
        until_active(gate, 1)
        begin(gate, held)
        until_active(gate, 2)
        assert is_refused(gate, held)
        peers[1].close()
        o.let(3)
        until_active(gate, 0)


def test_a_timeout_makes_room(held):
    """Of the replica's answer, and of a client's body that does not come."""
    route = ", timeouts: { response_header: 300ms, body_idle: 300ms }"
    with Counting() as o, gate_for(o, route=route) as gate:
        silent = [begin(gate, held) for _ in range(2)]
        until_active(gate, 2)
        assert is_refused(gate, held)
        assert [read_message(p).status for p in silent] == [504, 504]
        until_active(gate, 0)
        lazy = [begin(gate, held, headers="Content-Length: 100\r\n", body="x") for _ in range(2)]
        until_active(gate, 2)
        assert is_refused(gate, held)
        assert [read_message(p).status for p in lazy] == [408, 408]
        until_active(gate, 0)
        o.let(9)


def test_a_replica_that_breaks_off_makes_room(held):
    """No answer, and half of one."""
    def serve(peer, origin):
        if origin.read(peer).target == "/half":
            peer.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        peer.reset()

    with Origin(serve) as o, gate_for(o) as gate:
        for _ in range(3):
            assert read_message(begin(gate, held)).status == 502
            with pytest.raises((EOFError, ConnectionResetError)):
                read_message(begin(gate, held, target="/half"))
        until_active(gate, 0)
        assert counted(gate, "refused") == 0 and counted(gate, "admitted") == 6


def test_a_download_counts_until_its_last_byte(held):
    """As long as the client takes to read it."""
    def serve(peer, origin):
        origin.read(peer)
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 33554432\r\n\r\n" + bytes(32 << 20))

    with Origin(serve) as o, gate_for(o) as gate:
        peers = [begin(gate, held) for _ in range(2)]
        for p in peers:
            assert read_head(p).status == 200
        assert is_refused(gate, held)
        for p in peers:
            p.read_exactly(32 << 20)
        until_active(gate, 0)


def test_a_websocket_counts_as_long_as_it_lives(held):
    """And that of the replica's end, too."""
    upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n"
    key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

    def serve(peer, origin):
        origin.read(peer)
        peer.send(f"HTTP/1.1 101 Switching Protocols\r\n{upgrade}"
                  "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
        while (data := peer.recv()) not in (b"", b"bye"):
            peer.send(data)

    def switch(gate):
        peer = begin(gate, held, headers=upgrade + key)
        assert read_head(peer).status == 101
        return peer

    with Origin(serve) as o, gate_for(o) as gate:
        tunnels = [switch(gate) for _ in range(2)]
        tunnels[0].send("a")
        assert tunnels[0].recv() == b"a"
        assert is_refused(gate, held, headers=upgrade)
        tunnels[0].close()
        until_active(gate, 1)
        switch(gate)
        assert is_refused(gate, held)
        tunnels[1].send("bye")
        until_active(gate, 1)
        held.close()  # the gate would wait for the last one
        until_active(gate, 0)


KEYS = """
    listeners: { http: { address: "127.0.0.1:0" } }
    upstreams: { app: { servers: ["{origin}"] } }
    concurrency_limits:
      user: { key: "header:X-User", max: 1 }
      reports: { key: route, max: 2, status: 503 }
      login: { key: route, max: 1, dry_run: true }
    rate_limits: { few: { rate: 1/h, burst: 1 } }
    routes:
      - { name: a, match: { path: /a }, upstream: app, concurrency_limit: [user, reports] }
      - { name: b, match: { path: /b }, upstream: app, concurrency_limit: [user, reports] }
      - { name: login, match: { path: /login }, upstream: app, concurrency_limit: login }
      - { name: few, match: { path: /few }, upstream: app, concurrency_limit: user, rate_limit: few }
    """


def test_keys_are_counted_apart(held):
    """A limit by header over all routes, and one by route over all clients; who sends no
    header is not limited by it. The first limit that refuses answers."""
    def user(name):
        return {"headers": f"X-User: {name}\r\n"}

    with Counting() as o, gate_for(o, config=KEYS) as gate:
        begin(gate, held, target="/a", **user("one"))
        begin(gate, held, target="/b", **user("two"))
        until_active(gate, 2, "user")
        assert is_refused(gate, held, target="/b", **user("one"))
        begin(gate, held, target="/a")
        begin(gate, held, target="/b")
        until_active(gate, 4, "reports")
        for target in ("/a", "/b"):
            assert read_message(begin(gate, held, target=target, **user("three"))).status == 503
        # What the second limit refused took no place in the first.
        until_active(gate, 2, "user")
        assert counted(gate, "refused", "reports") == 2 and counted(gate, "refused", "user") == 1
        o.let(4)
        until_active(gate, 0, "reports")


def test_who_is_refused_costs_no_token(held):
    """Concurrency limits come before rate limits."""
    with Counting() as o, gate_for(o, config=KEYS) as gate:
        one = begin(gate, held, target="/few", headers="X-User: one\r\n")
        until_active(gate, 1, "user")
        for _ in range(5):
            assert is_refused(gate, held, target="/few", headers="X-User: one\r\n")
        o.let(2)
        assert read_message(one).status == 200
        until_active(gate, 0, "user")
        assert read_message(begin(gate, held, target="/few")).status == 200


def test_a_dry_run_lets_pass(held):
    with Counting() as o, gate_for(o, config=KEYS) as gate:
        peers = [begin(gate, held, target="/login") for _ in range(3)]
        until(lambda: o.open == 3, "all of them")
        o.let(3)
        assert [read_message(p).status for p in peers] == [200] * 3
        assert counted(gate, "admitted", "login") == 1 and counted(gate, "refused", "login") == 2
        until_active(gate, 0, "login")
        assert sum(r.get("limit_dry_run") == "login" for r in gate.access_lines(3)) == 2


def test_a_reload_keeps_the_counts(held):
    """Those who came before it count, and leave it when they end."""
    with Counting() as o, gate_for(o) as gate:
        peers = [begin(gate, held) for _ in range(2)]
        until_active(gate, 2)
        assert gate.reload(CONFIG, route=", error_pages: {}").returncode == 0
        assert is_refused(gate, held)
        o.let(2)
        assert [read_message(p).status for p in peers] == [200, 200]
        until_active(gate, 0)
        # Other numbers begin anew; the old ones are let go of with the last request.
        begin(gate, held)
        until_active(gate, 1)
        assert gate.reload(CONFIG, more=", status: 503").returncode == 0
        peers = [begin(gate, held) for _ in range(2)]
        until_active(gate, 2)
        assert read_message(begin(gate, held)).status == 503
        o.let(3)
        assert [read_message(p).status for p in peers] == [200, 200]
        until_active(gate, 0)
        until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plans' end")


def test_explain_names_the_limits():
    with Origin() as o, gate_for(o, config=KEYS) as gate:
        text = gate.admin("/v1/explain?url=http://a/a").json
        assert text["filters"] == [{
            "name": "concurrency_limit",
            "detail": "user: 1 at once, by header:X-User; then 429; "
                      "reports: 2 at once, by route; then 503"}]
