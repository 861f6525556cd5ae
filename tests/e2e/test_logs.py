# SPDX-License-Identifier: Apache-2.0
"""The access log: a line for each request, whole, true, and never in a request's way."""
import datetime
import json
import os
import re
import signal
import threading

import pytest

from harness import PATIENCE, Gate, Load, Origin, insecure, read_message, reply, until

CONFIG = """
listeners: { http: { address: "127.0.0.1:0" } }
upstreams: { app: { servers: ["{origin}"], retries: 1 } }
routes: [ { name: all, upstream: app } ]
log: { access: "{access}", format: {format} }
"""
OK = """
listeners: { http: { address: "127.0.0.1:0" } }
routes: [ { name: all, respond: { body: ok } } ]
log: { access: "{access}", format: {format} }
"""
COMBINED = re.compile(
    r'(?P<client>\S+) - - \[(?P<time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] '
    r'"(?P<request>[^"]*)" (?P<status>\d{3}|-) (?P<bytes>\d+) "(?P<referer>[^"]*)" '
    r'"(?P<agent>[^"]*)"')


def lines_of(path, count=1):
    """At least so many whole lines, as bytes."""
    def read():
        data = path.read_bytes() if path.exists() else b""
        return data if data.count(b"\n") >= count else None
    return until(read, f"{count} lines in {path}").split(b"\n")[:-1]


# ---- fields ----

def test_json_has_every_field(tmp_path, cert):
    """A POST by TLS whose first replica refuses and whose second one takes its time."""
    log = tmp_path / "access.log"

    def serve(peer, o):
        while True:
            request = o.read(peer)
            threading.Event().wait(0.05)
            peer.send(reply(201, "y" * 33, X_Id=request.get("x-request-id")))
    with Origin() as dead, Origin(serve) as alive:
        dead.close()
        with Gate("""
            listeners:
              https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
            upstreams: { app: { servers: ["{dead}", "{alive}"], balance: round_robin } }
            routes: [ { name: all, upstream: app } ]
            log: { access: "{access}" }
            """, cert=cert[0], key=cert[1], dead=dead.address, alive=alive.address,
                  access=log) as gate:
            # In turn: one of two meets the one that refuses, first.
            for i in range(2):
                with gate.connect("https", tls=insecure()) as c:
                    c.send(f"POST /p%20q/{i}?a=b HTTP/1.1\r\nHost: Shop.example:8443\r\n"
                           "Content-Length: 7\r\nUser-Agent: tester/1\r\n"
                           "Referer: https://from.example/\r\n\r\nsecrets")
                    answer = read_message(c)
                assert answer.status == 201
                line = json.loads(lines_of(log, i + 1)[i])
                when = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00"))
                age = datetime.datetime.now(datetime.timezone.utc) - when
                assert datetime.timedelta(0) <= age < datetime.timedelta(seconds=PATIENCE)
                expected = {
                    "client": "127.0.0.1", "method": "POST", "host": "shop.example",
                    "path": f"/p%20q/{i}?a=b", "protocol": "HTTP/1.1", "status": 201,
                    "request_bytes": 7, "response_bytes": 33, "route": "all", "upstream": "app",
                    "endpoint": alive.address, "tls": "TLSv1.3", "listener": "https",
                    "user_agent": "tester/1", "referer": "https://from.example/",
                    "request_id": answer.get("x-id"),
                }
                assert {k: line.get(k) for k in expected} == expected
                assert len(line["request_id"]) >= 16
                assert 50 <= line["first_byte_ms"] <= line["total_ms"] < PATIENCE * 1000
                assert 0 <= line["queue_ms"] <= line["first_byte_ms"]
                assert 0 <= line["connect_ms"] <= line["total_ms"]
                assert "reason" not in line
            retries = [json.loads(l)["retries"] for l in lines_of(log, 2)]
            assert sorted(retries) == [0, 1]
            # Reused connections are not connected to.
            gate.request(listener="https", tls=insecure())
            gate.request(listener="https", tls=insecure())
            assert 0 in [json.loads(l)["connect_ms"] for l in lines_of(log, 4)]


def test_combined(tmp_path, origin):
    log = tmp_path / "access.log"
    with Gate(CONFIG, origin=origin.address, access=log, format="combined") as gate:
        with gate.connect() as c:
            c.send("GET /a?b=c HTTP/1.1\r\nHost: a\r\nUser-Agent: tester/1 (x; y)\r\n"
                   "Referer: https://from.example/z\r\n\r\n")
            size = len(read_message(c).body)
        with gate.connect() as c:
            c.send("GET / HTTP/1.0\r\n\r\n")
            read_message(c)
        first, second = (COMBINED.fullmatch(l.decode()) for l in lines_of(log, 2))
        assert first["client"] == "127.0.0.1"
        when = datetime.datetime.strptime(first["time"], "%d/%b/%Y:%H:%M:%S %z")
        age = datetime.datetime.now(datetime.timezone.utc) - when
        assert abs(age) < datetime.timedelta(seconds=PATIENCE + 1)
        assert (first["request"], first["status"], int(first["bytes"])) == \
            ("GET /a?b=c HTTP/1.1", "200", size)
        assert first["referer"] == "https://from.example/z"
        assert first["agent"] == "tester/1 (x; y)"
        assert second["request"] == "GET / HTTP/1.0"
        assert (second["referer"], second["agent"]) == ("-", "-")


def test_request_ids(tmp_path):
    """Made where nobody is trusted, taken over where the peer is, passed on in both cases."""
    log = tmp_path / "access.log"

    def serve(peer, o):
        while True:
            peer.send(reply(200, o.read(peer).get("x-request-id")))
    config = CONFIG.replace('http: { address: "127.0.0.1:0" }',
                            'http: { address: "127.0.0.1:0" }, '
                            'inner: { address: "127.0.0.1:0", trusted_proxies: 127.0.0.0/8 }')
    with Origin(serve) as o, Gate(config, origin=o.address, access=log, format="json") as gate:
        sent = {"X-Request-Id": "from-the-client-1"}
        seen = [gate.request(headers=sent).body.decode(),
                gate.request(headers=sent).body.decode(),
                gate.request(headers=sent, listener="inner").body.decode(),
                gate.request(listener="inner").body.decode()]
        assert [json.loads(l)["request_id"] for l in lines_of(log, 4)] == seen
        assert seen[2] == "from-the-client-1"
        assert len(set(seen)) == 4 and all(re.fullmatch(r"[0-9a-z-]{16,64}", s)
                                           for s in (seen[0], seen[1], seen[3]))
        # One that is no id is not taken over even from a trusted peer.
        bad = gate.request(headers={"X-Request-Id": "a b\"c"}, listener="inner").body.decode()
        assert bad != 'a b"c' and '"' not in bad


# ---- the gateway's own answers ----

def test_reasons_of_own_answers(tmp_path):
    log = tmp_path / "access.log"
    with Origin() as dead:
        address = dead.address
    with Gate("""
        listeners:
          http: { address: "127.0.0.1:0" }
          up: { address: "127.0.0.1:0", redirect: https, redirect_port: 443 }
        upstreams: { dead: { servers: ["{dead}"], retries: 0 } }
        rate_limits: { few: { rate: 1/h } }
        routes:
          - { match: { host: a, path: /dead }, upstream: dead }
          - { match: { host: a, path: /limited }, rate_limit: few, respond: { body: ok } }
          - { match: { host: a, path: /fixed }, respond: { body: ok } }
          - { match: { host: a, path: /moved }, redirect: /fixed }
          - { match: { host: a, path: /small }, max_body: 1, upstream: dead }
        log: { access: "{access}" }
        limits: { request_line: 1KiB, header_bytes: 2KiB }
        """, dead=address, access=log) as gate:
        cases = [
            ("GET /dead", "", 502, "connect_failed"),
            ("GET /limited", "", 200, "respond"),
            ("GET /limited", "", 429, "rate_limited"),
            ("GET /fixed", "", 200, "respond"),
            ("GET /moved", "", 308, "redirect"),
            ("GET /none", "", 404, "no_route"),
            ("POST /small", "Content-Length: 2\r\n\r\nxx", 413, "body_too_large"),
            ("GET /fixed%2Fx", "", 400, "encoded_slash"),
            ("GET /" + "x" * 2000, "", 414, None),
            ("GET /fixed", "X: " + "y" * 3000 + "\r\n", 431, None),
            ("GET /fixed", "Bad Name: 1\r\n", 400, None),
            ("CONNECT a:443", "", 405, None),
        ]
        for start, fields, status, _ in cases:
            assert gate.raw(f"{start} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").status == status, start
        assert gate.request(listener="up", host="a").status == 308
        lines = [json.loads(line) for line in lines_of(log, len(cases) + 1)]
        assert lines.pop()["reason"] == "redirect_https"
        for (start, _, status, reason), line in zip(cases, lines):
            assert line["status"] == status, line
            assert line["reason"] == reason if reason else line["reason"], line


# ---- forging ----

HOSTILE = [
    b'GET /"},{"status":200,"x":" HTTP/1.1\r\nHost: a\r\n\r\n',
    b"GET /\\\\\\\" HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /%0a%0d%22{%22 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \"\\\"\\\\\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xff\xfe\xc3(\xed\xa0\x80\xf5\x80\x80\x80\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: \xc2\x85\xe2\x80\xa8 \xe2\x80\xae\xf0\x9f\x9a\xa2\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nReferer: \x1b[31m\"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\nGET /forged HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\rb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: a\x00b\r\n\r\n",
    b'GET / HTTP/1.1\r\nHost: a"b\r\n\r\n',
    b"GET / HTTP/1.1\r\nHost: \xff\xff\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\n127.0.0.1 - - forged\r\n\r\n",
    b"GET /\xe2\x82\xac\xff HTTP/1.1\r\nHost: a\r\n\r\n",
    b"G\"T / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /\x7f\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /" + b'"' * 6000 + b" HTTP/1.1\r\nHost: a\r\nUser-Agent: " + b"\xff" * 6000 + b"\r\n\r\n",
]


@pytest.mark.parametrize("format", ["json", "combined"])
def test_no_client_can_forge_a_line(tmp_path, format):
    """One line a request, whatever stands in it: valid JSON, or the combined form's shape, and
    nothing that a terminal would obey."""
    log = tmp_path / "access.log"
    with Gate(OK, access=log, format=format) as gate:
        statuses = []
        for data in HOSTILE:
            with gate.connect() as c:
                c.send(data)
                statuses.append(read_message(c).status)
        gate.request("/end")
        lines = lines_of(log, len(HOSTILE) + 1)
        assert len(lines) == len(HOSTILE) + 1 and b"/end" in lines.pop()
        for data, status, line in zip(HOSTILE, statuses, lines):
            assert re.fullmatch(rb"[\x20-\x7e\x80-\xff]*", line), line
            if format == "json":
                fields = json.loads(line.decode("utf-8"))
                assert fields["status"] == status and fields["client"] == "127.0.0.1"
                assert not re.search("[\x00-\x1f\x7f-\x9f]", line.decode("utf-8"))
                assert set(fields) <= {
                    "time", "client", "method", "host", "path", "protocol", "status",
                    "request_bytes", "response_bytes", "total_ms", "route", "retries",
                    "request_id", "reason", "listener", "user_agent", "referer"}, fields
            else:
                assert re.fullmatch(rb"[\x20-\x7e]*", line)
                assert COMBINED.fullmatch(line.decode())["status"] == str(status), line


# ---- rotation ----

@pytest.mark.parametrize("args", [[], ["--no-supervisor"]])
def test_sigusr1_reopens_the_logs(tmp_path, args):
    """Renamed, signalled: the new file gets the next lines, both logs; none is lost meanwhile."""
    log, error = tmp_path / "access.log", tmp_path / "error.log"
    config = OK.replace("log: {", 'log: { error: "{error}", ')
    with Gate(config, access=log, error=error, format="json", args=args, workers=2) as gate, \
            Load(gate, 2) as load:
        load.progress()
        lines_of(log)
        log.rename(tmp_path / "access.1")
        error.rename(tmp_path / "error.1")
        gate.process.send_signal(signal.SIGUSR1)
        until(lambda: log.exists() and error.exists(), "both new files")
        load.progress()
        lines_of(log)
        until(lambda: "logs reopened" in error.read_text(), "the error log's next line")
        assert "generation 1 serves" in (tmp_path / "error.1").read_text()
        load.stop.set()
        for t in load.threads:
            t.join()
        total = sum(load.counts)
        until(lambda: sum(len(p.read_bytes().splitlines()) for p in (log, tmp_path / "access.1"))
              == total, f"{total} lines")
        for path in (log, tmp_path / "access.1"):
            assert all(json.loads(line)["status"] == 200 for line in path.read_text().splitlines())


# ---- what a reload says ----

def test_errors_of_a_reload_are_in_the_error_log(tmp_path):
    """Who looks into the file at night finds every error there, with its place and its hint."""
    error = tmp_path / "error.log"
    config = OK.replace("log: {", 'log: { error: "{error}", ')
    with Gate(config, access="stdout", error=error, format="json", workers=1) as gate:
        gate.path.write_text(gate.path.read_text().replace("routes", "rotues"))
        gate.process.send_signal(signal.SIGHUP)
        until(lambda: "nothing has changed" in error.read_text(), "the refusal")
        assert re.search(rf" error {re.escape(str(gate.path))}:\d+:\d+: .*rotues.*; did you mean",
                         error.read_text())


# ---- never in the way ----

def requests_until(gate, condition, what):
    """Pipelines long requests until the condition holds; every one must be answered."""
    many = b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"
    with gate.connect() as c:
        def step():
            c.send(many * 20)
            for _ in range(20):
                assert read_message(c).status == 200
            return condition()
        until(step, what, PATIENCE * 2)


def test_pipe_that_nobody_reads_blocks_no_request(tmp_path):
    """Its buffer and the ring fill up; requests go on, what is dropped is counted; it even ends."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Gate(OK, access=path, format="json") as gate:
            requests_until(gate, lambda: gate.metric("wharfgate_access_log_lines_total",
                                                     result="dropped") > 100, "dropped lines")
            assert gate.metric("wharfgate_log_lines_dropped_total") > 100
            assert gate.request().status == 200
            # Once it is read, lines come again, whole ones.
            os.set_blocking(reader, True)
            data = []

            def read_all():
                while got := os.read(reader, 1 << 20):
                    data.append(got)
            thread = threading.Thread(target=read_all)
            thread.start()
            until(lambda: gate.request("/again") and b"/again" in b"".join(data[-2:]), "new lines")
            assert gate.stop() == 0
            thread.join()
            for line in b"".join(data).split(b"\n")[:-1]:
                assert json.loads(line)["status"] == 200
    finally:
        os.close(reader)


def test_stopping_with_a_pipe_that_nobody_reads(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Gate(OK, access=path, format="json") as gate:
            requests_until(gate, lambda: gate.metric("wharfgate_access_log_lines_total",
                                                     result="dropped") > 1, "dropped lines")
            assert gate.stop() == 0
    finally:
        os.close(reader)


def test_pipe_without_a_reader_is_refused_not_waited_for(tmp_path):
    """Opening a FIFO for writing blocks until somebody reads: not here, at no time."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with pytest.raises(AssertionError) as e:
        Gate(OK, access=path, format="json")
    assert "exit 1:" in str(e.value) and str(path) in str(e.value)
    with Gate(OK, access="off", format="json") as gate:
        assert gate.reload(OK, access=path).returncode == 3
        assert gate.request().status == 200


def test_full_disk_blocks_no_request(tmp_path):
    """Told once in the error log, counted, and nobody waits."""
    with Gate(OK, access="/dev/full", format="json") as gate:
        requests_until(gate, lambda: gate.metric("wharfgate_access_log_lines_total",
                                                 result="dropped") > 100, "dropped lines")
        assert gate.request().status == 200
        assert gate.errors().count("No space left on device") == 1


def test_slow_log_does_not_slow_others(tmp_path):
    """With a writer stuck in write(2), latency stays what it is."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with Gate(OK, access=path, format="json", workers=2) as gate, Load(gate, 4) as load:
            requests_until(gate, lambda: gate.metric("wharfgate_access_log_lines_total",
                                                     result="dropped") > 1, "dropped lines")
            load.progress(200)
    finally:
        os.close(reader)


def test_route_without_access_log(tmp_path):
    log = tmp_path / "access.log"
    with Gate("""
        listeners: { http: { address: "127.0.0.1:0" } }
        routes:
          - { match: { path: /quiet }, access_log: false, respond: { body: ok } }
          - { respond: { body: ok } }
        log: { access: "{access}" }
        """, access=log) as gate:
        gate.request("/quiet")
        gate.request("/loud")
        assert [json.loads(l)["path"] for l in lines_of(log)] == ["/loud"]


def test_access_log_on_stdout():
    """The default, as containers want it: lines of their own among those of the program."""
    with Gate(OK, access="stdout", format="json") as gate:
        gate.request("/x")
        line = until(lambda: [l for l in gate.errors().splitlines() if l.startswith("{")], "a line")
        assert json.loads(line[0])["path"] == "/x"
