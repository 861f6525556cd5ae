# SPDX-License-Identifier: Apache-2.0
"""`wharfgate demo`: everything at once, with nothing else installed."""
import pathlib
import re
import signal
import socket
import subprocess

import pytest

from harness import BINARY, PATIENCE, Peer, insecure, read_message, run, until


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for s in sockets:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


class Demo:
    def __init__(self, tmp_path):
        self.http, self.https, self.admin = free_ports(3)
        self.out = tmp_path / "out"
        with open(self.out, "w") as out:
            self.process = subprocess.Popen(
                [BINARY, "demo", f"--http={self.http}", f"--https={self.https}",
                 "--admin", str(self.admin)], stdout=out, stderr=out, stdin=subprocess.DEVNULL)
        until(lambda: "demo is up" in self.shown() or self.process.poll() is not None, "the demo")
        assert self.process.poll() is None, self.shown()

    def shown(self):
        return self.out.read_text()

    def connect(self, port, tls=False):
        sock = socket.create_connection(("127.0.0.1", port), PATIENCE)
        return Peer(insecure().wrap_socket(sock, server_hostname="localhost") if tls else sock)

    def get(self, port, path="/", accept="application/json", tls=False):
        with self.connect(port, tls) as c:
            c.send(f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nAccept: {accept}\r\n\r\n")
            return read_message(c)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(PATIENCE * 4)
        for word in ("Sanitizer", "runtime error:"):
            assert word not in self.shown(), self.shown()
        if not kind:
            assert code == 0, self.shown()


@pytest.fixture
def demo(tmp_path):
    with Demo(tmp_path) as d:
        yield d


def test_two_replicas_in_turn(demo):
    """By HTTPS, on one connection and on many."""
    seen = [demo.get(demo.https, tls=True).body for _ in range(4)]
    assert seen[0] != seen[1]
    names = [re.search(rb"replica-[12]", body)[0] for body in seen]
    assert names in ([b"replica-1", b"replica-2"] * 2, [b"replica-2", b"replica-1"] * 2)
    with demo.connect(demo.https, tls=True) as c:
        names = []
        for _ in range(4):
            c.send("GET / HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n")
            names.append(re.search(rb"replica-[12]", read_message(c).body)[0])
        assert names[0] == names[2] != names[1] == names[3]


def test_page_for_browsers(demo):
    answer = demo.get(demo.https, accept="text/html", tls=True)
    assert answer.get("content-type").startswith("text/html") and b"replica-" in answer.body


def test_certificate_names_localhost(demo):
    with demo.connect(demo.https, tls=True) as c:
        der = c.sock.getpeercert(binary_form=True)
        assert c.sock.version() == "TLSv1.3"
    text = subprocess.run(["openssl", "x509", "-inform", "DER", "-noout", "-ext", "subjectAltName"],
                          input=der, capture_output=True, check=True).stdout
    assert b"DNS:localhost" in text


def test_http_redirects(demo):
    answer = demo.get(demo.http, "/some/path?q=1")
    assert answer.status == 308
    assert answer.get("location") == f"https://localhost:{demo.https}/some/path?q=1"


def test_rate_limit(demo):
    """Five at once, then 429, and every answer says where one stands."""
    with demo.connect(demo.https, tls=True) as c:
        c.send("GET /limited HTTP/1.1\r\nHost: localhost\r\n\r\n" * 8)
        answers = [read_message(c) for _ in range(8)]
    statuses = [a.status for a in answers]
    assert statuses[:5] == [200] * 5 and 429 in statuses[5:7]
    assert demo.get(demo.https, "/", tls=True).status == 200
    refused = next(a for a in answers if a.status == 429)
    assert int(refused.get("retry-after")) >= 1
    for answer in answers:
        fields = {k.lower() for k, _ in answer.fields}
        assert any(name.startswith("ratelimit") or name.startswith("x-ratelimit")
                   for name in fields), fields


def test_admin(demo):
    demo.get(demo.https, tls=True)
    text = demo.get(demo.admin, "/metrics").body.decode()
    assert re.search(r'^wharfgate_requests_total\{route="all",code="2xx"\} 1$', text, re.M)
    status = demo.get(demo.admin, "/v1/status").json
    assert set(status["listeners"]) >= {"http", "https"}
    with socket.create_connection(("127.0.0.1", demo.admin)) as s:
        assert s.getpeername()[0] == "127.0.0.1"


def test_what_it_says_is_true(demo):
    """The addresses, the command to reload, and that the file can be edited."""
    text = demo.shown()
    for url in (f"https://localhost:{demo.https}/", f"http://localhost:{demo.http}/",
                f"http://127.0.0.1:{demo.admin}/"):
        assert url in text
    path = pathlib.Path(re.search(r"wharfgate reload -c (\S+)", text)[1])
    config = path.read_text()
    assert run("check", "-c", path).returncode == 0
    path.write_text(config.replace("routes:\n", "routes:\n  - { name: new, match: { listener: https,"
                                   " path: /new }, respond: { body: edited } }\n"))
    done = run("reload", "-c", path)
    assert done.returncode == 0, done.stderr
    assert demo.get(demo.https, "/new", tls=True).body == b"edited"
    assert b"replica-" in demo.get(demo.https, tls=True).body


def test_it_leaves_nothing_behind(tmp_path):
    with Demo(tmp_path) as demo:
        directory = pathlib.Path(re.search(r"reload -c (\S+)", demo.shown())[1]).parent
        assert directory.stat().st_mode & 0o077 == 0
        demo.process.send_signal(signal.SIGINT)
        assert demo.process.wait(PATIENCE) == 0
    assert not directory.exists()


def test_a_taken_port_is_told_with_the_option():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        others = free_ports(2)
        done = run("demo", "--http", others[0], "--https", others[1], "--admin", port)
        assert done.returncode == 1
        assert f"127.0.0.1:{port}" in done.stderr and "wharfgate demo --admin PORT" in done.stderr


def test_killed_worker_process_comes_back_as_the_demo(demo):
    """The replicas too: they live in it."""
    status = demo.get(demo.admin, "/v1/status").json
    subprocess.run(["kill", "-9", str(status["worker_pid"])], check=True)
    assert b"replica-" in demo.get(demo.https, tls=True).body
    until(lambda: demo.get(demo.admin, "/v1/status").json["worker_crashes"] == 1, "the count")
