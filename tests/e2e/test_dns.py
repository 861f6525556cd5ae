# SPDX-License-Identifier: Apache-2.0
"""Replicas that are found in the DNS: a real name server, whose records change and which ends."""
import contextlib
import signal
import socket
import ssl
import subprocess

from harness import Gate, Load, Origin, make_cert, run, until

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { dns: { servers: ["127.0.0.1:{dns}"], min_ttl: 100ms, max_ttl: 1s, timeout: 500ms } }
    upstreams: { app: { servers: [{servers}], {more} } }
    routes: [ { upstream: app } ]
    """


QUERY = b"\0\1\1\0\0\1\0\0\0\0\0\0\4none\4test\0\0\1\0\1"  # an A record of none.test


def free_port():
    """Of both kinds: dnsmasq needs them."""
    while True:
        with socket.socket() as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):
                udp.bind(tcp.getsockname())
                return tcp.getsockname()[1]


class NameServer:
    """dnsmasq with the records that are given, which `serve` replaces."""

    def __init__(self, *records):
        self.port, self.process = free_port(), None
        self.serve(*records)

    def serve(self, *records):
        self.stop()
        self.process = subprocess.Popen(
            ["/usr/sbin/dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--no-resolv",
             "--no-hosts", "--no-daemon", f"--port={self.port}", "--listen-address=127.0.0.1",
             "--bind-interfaces", "--local=/test/", "--local-ttl=1", *records],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self.answers, "the name server")

    def answers(self):
        assert self.process.poll() is None, "dnsmasq ended"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.connect(("127.0.0.1", self.port))
            with contextlib.suppress(OSError):
                s.send(QUERY)
                return s.recv(512)
        return None

    def stop(self):
        if self.process:
            self.process.kill()
            self.process.wait()
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


@contextlib.contextmanager
def replicas(*hosts):
    """At one port of several addresses, as replicas behind one name are."""
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(Origin(host=hosts[0], name=hosts[0]))
        rest = [stack.enter_context(Origin(host=h, name=h, port=first.port)) for h in hosts[1:]]
        yield [first, *rest]


def gate_for(dns, *servers, more="balance: round_robin"):
    return Gate(CONFIG, dns=dns.port, servers=", ".join(servers), more=more)


def upstream(gate):
    return gate.admin("/v1/status").json["upstreams"][0]


def ready(gate):
    return {e["address"].rsplit(":", 1)[0] for e in upstream(gate)["endpoints"] if e["state"] == "ready"}


def hosts(*addresses, name="app.test"):
    return [f"--host-record={name},{a},1" for a in addresses]


def test_each_address_is_a_replica_and_changes_are_followed():
    """Requests go on all the while, and none fails."""
    with replicas("127.0.1.1", "127.0.1.2", "127.0.1.3") as origins, \
            NameServer(*hosts("127.0.1.1", "127.0.1.2")) as dns, \
            gate_for(dns, f'"app.test:{origins[0].port}"') as gate:
        assert gate.request().status == 200  # it waits for the first answer
        assert ready(gate) == {"127.0.1.1", "127.0.1.2"}
        with Load(gate, clients=2) as load:
            load.progress()
            dns.serve(*hosts("127.0.1.2", "127.0.1.3"))
            until(lambda: ready(gate) == {"127.0.1.2", "127.0.1.3"}, "the change")
            load.progress()
        before = len(origins[0].requests)
        assert {gate.request().json["origin"] for _ in range(10)} == {"127.0.1.2", "127.0.1.3"}
        assert len(origins[0].requests) == before
        # Connections to the one that left are closed, idle as they are.
        until(lambda: all(p.sock.fileno() == -1 for p in origins[0].peers), "their end")


def test_the_last_answer_stays_while_nobody_answers():
    with replicas("127.0.1.1") as (o,), NameServer(*hosts("127.0.1.1")) as dns, \
            gate_for(dns, f'"app.test:{o.port}"') as gate:
        assert gate.request().status == 200
        dns.process.send_signal(signal.SIGSTOP)
        trouble = until(lambda: upstream(gate)["trouble"], "the trouble to be told")
        assert "app.test" in trouble
        assert gate.metric("wharfgate_upstream_discovery_trouble") == 1
        assert [gate.request().status for _ in range(5)] == [200] * 5
        # Also for an upstream that a reload changes.
        assert gate.reload(CONFIG, dns=dns.port, servers=f'"app.test:{o.port}"', more="retries: 1") \
            .returncode == 0
        assert [gate.request().status for _ in range(5)] == [200] * 5
        dns.process.send_signal(signal.SIGCONT)
        until(lambda: upstream(gate)["trouble"] is None, "it to be over")
        assert "; the endpoints known so far stay: 1" in gate.errors()
        assert "all names are known again" in gate.errors()


def test_a_name_that_is_not_known_yet():
    """The gate starts, requests wait, and are served when the name comes to be."""
    with replicas("127.0.1.1") as (o,), NameServer() as dns, \
            gate_for(dns, f'"app.test:{o.port}"', more="wait_for_endpoint: 30s") as gate:
        with gate.connect() as c:
            c.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            until(lambda: upstream(gate)["queued"] == 1, "it to wait")
            until(lambda: 'the name "app.test" does not exist' in (upstream(gate)["trouble"] or ""),
                  "the reason")
            dns.serve(*hosts("127.0.1.1"))
            assert b"127.0.1.1" in c.read_until(b"}")


def test_srv_records_say_port_weight_and_priority():
    with Origin(name="main", host="127.0.1.1") as main, Origin(name="more", host="127.0.1.2") as more, \
            Origin(name="spare", host="127.0.1.3") as spare:
        records = [*hosts("127.0.1.1", name="one.test"), *hosts("127.0.1.2", name="two.test"),
                   *hosts("127.0.1.3", name="three.test"),
                   f"--srv-host=_http._tcp.test,one.test,{main.port},10,30",
                   f"--srv-host=_http._tcp.test,two.test,{more.port},10,10",
                   f"--srv-host=_http._tcp.test,three.test,{spare.port},20,10"]
        with NameServer(*records) as dns, gate_for(dns, "{ srv: _http._tcp.test }") as gate:
            seen = [gate.request().json["origin"] for _ in range(40)]
            assert (seen.count("main"), seen.count("more")) == (30, 10)
            by = {e["address"]: (e["weight"], e["backup"]) for e in upstream(gate)["endpoints"]}
            assert by == {main.address: (30, False), more.address: (10, False),
                          spare.address: (10, True)}
            main.close()
            more.close()
            assert gate.request().json["origin"] == "spare"


def test_the_name_is_what_the_certificate_is_for(tmp_path):
    cert, key = make_cert(tmp_path, "app", "app.test")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    with Origin(host="127.0.1.1", tls=context, name="tls") as o, \
            NameServer(*hosts("127.0.1.1"), *hosts("127.0.1.1", name="other.test")) as dns:
        for name, status in (("app.test", 200), ("other.test", 502)):
            with gate_for(dns, f'"{name}:{o.port}"', more=f"tls: {{ ca: '{cert}' }}") as gate:
                assert gate.request().status == status


def test_localhost_needs_no_name_server():
    with Origin() as o, Gate("""
            listeners: { http: { address: "127.0.0.1:0" } }
            upstreams: { app: { servers: [ "localhost:{port}" ] } }
            routes: [ { upstream: app } ]
            """, port=o.port) as gate:
        assert gate.request().status == 200


def test_check_warns_of_a_name_that_is_not_known(tmp_path):
    path = tmp_path / "one.yaml"
    path.write_text('listeners: { http: { address: ":80" } }\n'
                    'upstreams: { app: { servers: ["nobody.invalid:80"] } }\n')
    told = run("check", "-c", path)
    assert told.returncode == 0 and "2:31: warning: upstream app:" in told.stderr
    assert "nobody.invalid" in told.stderr
