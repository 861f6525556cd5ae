# SPDX-License-Identifier: Apache-2.0
"""Limits of upstreams, the queue behind them, and requests that wait for a replica."""
import threading
import time

import pytest

from harness import Gate, Nobody, Origin, read_message, reply, until

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    upstreams:
      app: { servers: [{servers}], {more} }
    routes: [ { upstream: app } ]
    """


def gate_for(*origins, more="", **kw):
    return Gate(CONFIG, servers=", ".join(f'"{o.address}"' for o in origins), more=more, **kw)


class Counting(Origin):
    """Answers when it is let to, and knows how many requests were open at once."""

    def __init__(self, **kw):
        self.open, self.most, self.served = 0, 0, []
        self.go = threading.Semaphore(0)
        super().__init__(Counting.hold, **kw)

    @staticmethod
    def hold(peer, self):
        while True:
            request = self.read(peer)
            with self.lock:
                self.open += 1
                self.most = max(self.most, self.open)
            assert self.go.acquire(timeout=60)
            with self.lock:
                self.open -= 1
                self.served.append(request.target)
            peer.send(reply(200, self.name))

    def let(self, count):
        for _ in range(count):
            self.go.release()


def ask(gate, *targets):
    """A connection each, in this order."""
    peers = []
    for target in targets:
        peers.append(gate.connect())
        peers[-1].send(f"GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
    return peers


def app(gate):
    return gate.admin("/v1/status").json["upstreams"][0]


@pytest.mark.parametrize("limit", ["requests: 2", "requests_per_server: 2",
                                   "connections_per_server: 2", "connections: 2"])
def test_no_more_than_the_limit_and_in_order(limit):
    """Two at once; the others wait and are served first come, first served."""
    with Counting() as o, gate_for(o, more=f"limits: {{ {limit} }}") as gate:
        peers = []
        for i in range(8):
            peers += ask(gate, f"/{i}")
            until(lambda: o.open == min(i + 1, 2) and app(gate)["queued"] == max(0, i - 1), "its place")
        for i in range(2, 8):
            o.let(1)
            until(lambda: len(o.requests) == i + 1, "the next one")
            assert o.requests[i].target == f"/{i}"
        o.let(2)
        assert [read_message(p).status for p in peers] == [200] * 8
        assert o.most == 2
        assert app(gate)["queued"] == 0 and app(gate)["active"] == 0
        assert gate.metric("wharfgate_upstream_queued_total") == 6
        for p in peers:
            p.close()


def test_a_limit_holds_over_all_workers():
    """Exactly so many, whoever has them; who leaves wakes those of another worker."""
    with Counting() as o, gate_for(o, more="limits: { requests: 3 }", workers=4) as gate:
        peers = ask(gate, *[f"/{i}" for i in range(40)])
        until(lambda: app(gate)["queued"] == 37, "all to wait")
        o.let(40)
        assert [read_message(p).status for p in peers] == [200] * 40
        assert o.most == 3
        for p in peers:
            p.close()


def test_a_limit_holds_over_a_reload():
    """What runs at the upstream that a reload replaced still counts."""
    with Counting() as o, gate_for(o, more="limits: { requests: 1 }") as gate:
        first, = ask(gate, "/first")
        until(lambda: o.open == 1, "the first")
        for i in range(3):
            assert gate.reload(CONFIG, servers=f'"{o.address}"',
                               more=f"limits: {{ requests: 1 }}, retries: {i + 3}").returncode == 0
        second, = ask(gate, "/second")
        until(lambda: app(gate)["queued"] == 1, "the second to wait")
        assert o.open == 1
        o.let(2)
        assert read_message(first).status == 200 and read_message(second).status == 200
        assert o.most == 1
        first.close()
        second.close()


def test_two_servers_have_their_limit_each():
    with Counting(name="a") as a, Counting(name="b") as b, \
            gate_for(a, b, more="limits: { requests_per_server: 1 }") as gate:
        peers = ask(gate, "/1", "/2", "/3")
        until(lambda: a.open + b.open == 2 and app(gate)["queued"] == 1, "one at each")
        assert (a.open, b.open) == (1, 1)
        a.let(2)  # the one that waits goes to it, and not to the one that is busy
        until(lambda: len(a.served) == 2, "the third")
        b.let(1)
        assert [read_message(p).status for p in peers] == [200] * 3
        assert (len(a.served), len(b.served)) == (2, 1)
        for p in peers:
            p.close()


def test_past_the_queue_and_past_its_time():
    """503 with Retry-After: at once when the queue is full, after queue_timeout else."""
    with Counting() as o, gate_for(
            o, more="limits: { requests: 1, queue: 1, queue_timeout: 300ms }") as gate:
        first, = ask(gate, "/first")
        until(lambda: o.open == 1, "the first")
        began = time.monotonic()
        waiting, = ask(gate, "/waits")
        until(lambda: app(gate)["queued"] == 1, "the second")
        full = gate.request("/full")
        assert full.status == 503 and int(full.headers["retry-after"]) >= 1
        late = read_message(waiting)
        assert late.status == 503 and late.get("retry-after")
        assert time.monotonic() - began >= 0.3
        o.let(1)
        assert read_message(first).status == 200
        reasons = {line["path"]: line.get("reason") for line in gate.access_lines(3)}
        assert reasons == {"/first": None, "/waits": "queue_timeout", "/full": "queue_full"}
        assert gate.metric("wharfgate_upstream_queue_full_total") == 1
        assert gate.metric("wharfgate_upstream_queue_timeouts_total") == 1
        # Nobody is left behind: the next one goes straight on.
        o.let(1)
        assert gate.request("/next").status == 200
        for p in (first, waiting):
            p.close()


# ---- no replica is ready ----

WAITING = """
    listeners: { http: { address: "127.0.0.1:0" } }
    upstreams:
      app:
        servers: ["{server}"]
        wait_for_endpoint: {wait}
        health_check: { type: tcp, interval: 100ms, fast_interval: 100ms, rise: 1, fall: 1 }
    routes: [ { upstream: app } ]
    """


def test_requests_wait_for_a_replica_that_is_started():
    """GET and POST alike; each is delivered once."""
    with Nobody() as nobody, Gate(WAITING, server=nobody.address, wait="30s") as gate:
        peers = ask(gate, "/1", "/2")
        with gate.connect() as post:
            post.send("POST /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
            until(lambda: app(gate)["queued"] == 3, "all to wait")
            port = int(nobody.address.rsplit(":", 1)[1])
            nobody.sock.close()
            with Origin(port=port) as o:
                assert [read_message(p).status for p in (*peers, post)] == [200] * 3
                assert sorted(r.target for r in o.requests if r.target != "/health") == \
                    ["/1", "/2", "/3"]
        for p in peers:
            p.close()


def test_nobody_comes():
    """503 with Retry-After once the time is over; never 404."""
    with Nobody() as nobody, Gate(WAITING, server=nobody.address, wait="300ms") as gate:
        began = time.monotonic()
        answer = gate.request()
        assert answer.status == 503 and answer.headers["retry-after"]
        assert 0.3 <= time.monotonic() - began < 20
        assert gate.access_lines(1)[0]["reason"] == "no_endpoint"
        assert gate.metric("wharfgate_upstream_no_endpoint_total") == 1


def test_not_to_wait():
    with Nobody() as nobody, Gate(WAITING, server=nobody.address, wait="off") as gate:
        assert gate.request().status == 503


# ---- retries ----

def test_the_budget_bounds_what_is_done_twice():
    """All replicas break off every request: no more than a fifth is sent again, and three a
    second; each is answered all the same."""
    def serve(peer, o):
        o.read(peer)
        peer.reset()
    with Origin(serve) as a, Origin(serve) as b, \
            gate_for(a, b, more="outlier_ejection: { max_share: off }") as gate:
        began = time.monotonic()
        assert {gate.request(f"/{i}").status for i in range(400)} == {502}
        took = time.monotonic() - began
        asked = len(a.requests) + len(b.requests)
        # 30 put by at the start, 3 a second, 20 of 100.
        assert 400 < asked <= 400 + 30 + 3 * (took + 1) + 80 + 1
        assert gate.metric("wharfgate_upstream_retries_denied_total") > 0


def test_a_status_is_tried_elsewhere():
    def sick(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(503, "sick"))
    with Origin(sick, name="sick") as a, Origin(name="well") as b, gate_for(
            a, b, more="balance: round_robin, retry_on: [connect, 503], "
            "outlier_ejection: { max_share: off }") as gate:
        assert [gate.request().status for _ in range(10)] == [200] * 10
        # Not what may have been done, and what may not be done twice.
        posts = [gate.request(method="POST", body=b"x").status for _ in range(10)]
        assert sorted(set(posts)) == [200, 503]
        assert len([r for o in (a, b) for r in o.requests if r.method == "POST"]) == 10


def test_the_last_answer_stands_when_all_are_sick():
    def sick(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(503, o.name))
    with Origin(sick) as a, Origin(sick) as b, gate_for(a, b, more="retry_on: 5xx") as gate:
        answer = gate.request()
        assert answer.status == 503 and answer.body == b"origin"
        assert len(a.requests) == len(b.requests) == 1


def test_a_replica_that_hangs_is_left_after_try_timeout():
    done = threading.Event()

    def hang(peer, o):
        o.read(peer)
        done.wait(60)
    with Origin(hang) as a, Origin() as b, \
            gate_for(a, b, more="balance: round_robin, try_timeout: 200ms") as gate:
        assert [gate.request().status for _ in range(6)] == [200] * 6
        assert a.requests and gate.metric("wharfgate_upstream_retries_total") == len(a.requests)
        done.set()


def test_the_only_replica_is_asked_again_after_a_pause():
    """It is restarted just then: nothing was sent, so a POST waits for it as well."""
    with Nobody() as nobody, gate_for(nobody, more="retries: 10, wait_for_endpoint: off") as gate:
        with gate.connect() as c:
            c.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi")
            until(lambda: gate.metric("wharfgate_upstream_retries_total") >= 2, "two tries")
            port = int(nobody.address.rsplit(":", 1)[1])
            nobody.sock.close()
            with Origin(port=port) as o:
                assert read_message(c).json["body"] == 2
                assert len(o.requests) == 1
