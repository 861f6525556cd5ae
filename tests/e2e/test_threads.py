# SPDX-License-Identifier: Apache-2.0
"""Many workers, everything at once. The build with ThreadSanitizer makes of it what it is for;
the harness fails on any report of a sanitizer."""
import pathlib
import signal
import threading

from certs import server
from harness import Gate, Load, Origin, insecure, read_message, reply, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
  {more}
upstreams:
  kept: { servers: ["{a}", "{b}"], balance: {balance} }
  changing: { servers: ["{changing}"], tls: { verify: false } }
rate_limits: { many: { rate: 1000000/s, burst: 1000000 } }
routes:
  - { name: changing, match: { path: /changing }, upstream: changing, rate_limit: many }
  - { name: fixed, match: { path: /fixed }, respond: { body: "{i}" } }
  - { name: expression, match: { path: '~ ^/e[0-9]+$' }, respond: { body: ok } }
  - { name: rest, upstream: kept, rate_limit: many }
log: { access: "{access}", format: {format} }
"""


def get(path):
    return f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"


def in_turn(gate, stop, failures):
    """New connections, one after another."""
    while not stop.is_set():
        try:
            if gate.raw(get("/e12")).status != 200:
                failures.append("status")
        except (OSError, EOFError) as e:
            failures.append(repr(e))


def test_four_workers_with_load_and_twenty_reloads(tmp_path, cert):
    """Plain and TLS, kept and new connections, uploads, scrapes, reopened logs, a listener that
    comes and goes, an upstream with TLS that changes: no request fails, at the end one plan is alive."""
    upload = "POST /up HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n" + "u" * 30000
    stop, failures = threading.Event(), []
    context = server(cert)
    with Origin(name="a") as a, Origin(name="b") as b, Origin(name="c", tls=context) as c, \
            Origin(name="d", tls=context) as d:
        values = dict(cert=cert[0], key=cert[1], a=a.address, b=b.address,
                      access=tmp_path / "access.log")

        def varied(i):
            return dict(changing=(d if i % 2 else c).address, i=i,
                        format="combined" if i % 5 == 0 else "json",
                        balance=["least_requests", "round_robin", "random"][i // 7 % 3],
                        more='more: { address: "127.0.0.1:0" }' if i % 3 == 0 else "")
        with Gate(CONFIG, workers=4, **values, **varied(1)) as gate, \
                Load(gate, 3) as kept, Load(gate, 2, request=get("/changing")) as changing, \
                Load(gate, 2, request=get("/fixed")) as fixed, Load(gate, 1, request=upload) as up, \
                Load(gate, 2, "https", insecure()) as tls:
            fresh = [threading.Thread(target=in_turn, args=(gate, stop, failures)) for _ in range(2)]
            for t in fresh:
                t.start()
            try:
                for i in range(20):
                    done = gate.reload(CONFIG, **varied(i))
                    assert done.returncode == 0, done.stderr + gate.errors()
                    assert gate.metric("wharfgate_config_generation") == i + 2
                    if i % 6 == 0:
                        assert gate.request(listener="more").status == 200
                    if i % 4 == 1:
                        (tmp_path / "access.log").rename(tmp_path / f"access.{i}")
                        gate.process.send_signal(signal.SIGUSR1)
                    for load in (kept, changing, fixed, up, tls):
                        load.progress(1)
            finally:
                stop.set()
                for t in fresh:
                    t.join()
            assert not failures, failures[:5]
            until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plans' end")
            assert gate.metric("wharfgate_reloads_total", result="ok") == 20
            assert gate.metric("wharfgate_worker_crashes_total") == 0


def test_connections_spread_over_the_workers():
    """Each of four worker threads gets its share of new connections."""
    with Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        routes: [ { respond: { body: ok } } ]
        """, workers=4) as gate:
        def busy():
            spent = {}
            for task in pathlib.Path(f"/proc/{gate.worker_pid}/task").iterdir():
                name = (task / "comm").read_text().strip()
                if name.startswith("worker "):
                    switches = (task / "status").read_text().split("voluntary_ctxt_switches:")[1]
                    spent[name] = int(switches.split()[0])
            return spent
        before = busy()
        assert sorted(before) == [f"worker {i}" for i in range(4)]
        for _ in range(200):
            assert gate.raw(get("/")).status == 200
        after = busy()
        # Every one of them woke for its connections: about fifty each.
        assert all(after[name] - before[name] >= 10 for name in before), (before, after)


def test_stopping_amid_everything():
    """SIGTERM while workers connect, answer and reload: it ends with 0, nothing is torn."""
    def serve(peer, o):
        while True:
            o.read(peer)
            peer.send(reply(200, "x" * 2000))
    with Origin(serve) as o:
        for i in range(4):
            with Gate("""
                listeners: { http: { address: "127.0.0.1:0" } }
                upstreams: { app: { servers: ["{origin}"] } }
                routes: [ { upstream: app } ]
                """, origin=o.address, workers=4) as gate:
                torn, answers = [], []

                def client():
                    try:
                        with gate.connect() as c:
                            while True:
                                c.send(get("/"))
                                first = c.recv(1)
                                if not first:
                                    return
                                c.pending = first + c.pending
                                response = read_message(c)
                                answers.append(1)
                                if len(response.body) != 2000:
                                    torn.append(response)
                                if response.get("connection") == "close":
                                    return
                    except EOFError as e:
                        torn.append(repr(e))
                    except OSError:
                        return  # closed between two requests
                threads = [threading.Thread(target=client) for _ in range(8)]
                for t in threads:
                    t.start()
                until(lambda: len(answers) > 50, "answers")
                gate.process.send_signal(signal.SIGHUP)
                gate.process.send_signal(signal.SIGTERM)
                for t in threads:
                    t.join()
                assert not torn
                assert gate.stop() == 0
