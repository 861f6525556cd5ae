# SPDX-License-Identifier: Apache-2.0
"""gRPC by its own library on both sides: every kind of call, what ends one early, and what the
gate says itself. Messages are bytes; there is no protoc."""
import json
import os
import queue
import threading
import time
from concurrent.futures import ThreadPoolExecutor

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # noqa: E402
import pytest  # noqa: E402

from h2peer import CANCEL, END_HEADERS, HEADERS, RST_STREAM, frame, h2, literal  # noqa: E402
from harness import PATIENCE, Gate, Nobody, until  # noqa: E402

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
upstreams:
  app: { servers: ["{origin}"], protocol: h2 }
  dead: { servers: ["{nobody}"], protocol: h2 }
rate_limits: { few: { rate: 1/h } }
routes:
  - { match: { path: /test.Test/ }, upstream: app, max_body: unlimited }
  - { match: { path: /dead.Test/ }, upstream: dead }
  - { match: { path: /limited.Test/ }, upstream: app, rate_limit: few }
  - { match: { path: /small.Test/ }, upstream: app, max_body: 100 }
  - { match: { path: /late.Test/ }, upstream: app, timeouts: { response_header: 200ms } }
  - { match: { path: /forbidden.Test/ }, respond: { status: 403, body: "no" } }
"""
MIB4 = bytes(range(256)) * (4 << 12)
OPTIONS = [("grpc.enable_http_proxy", 0), ("grpc.max_receive_message_length", -1),
           ("grpc.max_send_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
BIG = max(10, PATIENCE)  # deadline of calls that are to succeed


class Replica:
    """A server of grpcio. Its methods, whatever the service:
    Echo (one, one), Count (one, many), Join (many, one), Chat (many, many), Fail and Wait."""

    def __init__(self, credentials=None):
        self.calls, self.begun, self.ended = [], [], []
        self.release = threading.Event()
        self.server = grpc.server(ThreadPoolExecutor(160), options=OPTIONS)
        self.server.add_generic_rpc_handlers([self])
        port = self.server.add_secure_port("127.0.0.1:0", credentials) if credentials else \
            self.server.add_insecure_port("127.0.0.1:0")
        self.address = f"127.0.0.1:{port}"
        self.server.start()

    def service(self, details):
        kinds = {"Echo": grpc.unary_unary_rpc_method_handler,
                 "Fail": grpc.unary_unary_rpc_method_handler,
                 "Wait": grpc.unary_unary_rpc_method_handler,
                 "Together": grpc.unary_unary_rpc_method_handler,
                 "Count": grpc.unary_stream_rpc_method_handler,
                 "Join": grpc.stream_unary_rpc_method_handler,
                 "Chat": grpc.stream_stream_rpc_method_handler}
        name = details.method.rsplit("/", 1)[1]
        self.calls.append(details)
        return name in kinds and kinds[name](getattr(self, name.lower())) or None

    def echo(self, message, context):
        """With the metadata it got, in JSON, as its trailing metadata's `seen`."""
        seen = [(k, v if isinstance(v, str) else list(v)) for k, v in context.invocation_metadata()]
        context.send_initial_metadata([("x-first", "1"), ("x-first-bin", b"\0\xff first")])
        context.set_trailing_metadata([("seen", json.dumps(seen)), ("x-last-bin", b"\0\xff last"),
                                       ("left", str(context.time_remaining()))])
        return message

    def fail(self, message, context):
        code, text = message.decode().split(" ", 1)
        context.set_trailing_metadata([("x-more", "of it"), ("x-more-bin", b"\0\1")])
        context.abort([c for c in grpc.StatusCode if c.value[0] == int(code)][0], text)

    def wait(self, message, context):
        """Is not answered; when the call is given up, `ended` gets the message."""
        context.add_callback(lambda: self.ended.append(message))
        self.begun.append(message)
        self.release.wait(60)
        return message

    def together(self, message, _):
        """Answers when a hundred calls are here."""
        self.barrier.wait(BIG)
        return message

    def count(self, message, _):
        for i in range(int(message)):
            yield b"%d" % i

    def join(self, messages, _):
        return b",".join(messages)

    def chat(self, messages, context):
        """`ended` gets the last message."""
        last = [b""]
        context.add_callback(lambda: self.ended.append(last[0]))
        for message in messages:
            last[0] = message
            yield b"re: " + message

    def has_begun(self, message):
        return until(lambda: message in self.begun, f"{message} at the server")

    def has_ended(self, message):
        return until(lambda: message in self.ended, f"{message} to be given up")

    def close(self):
        self.release.set()
        self.server.stop(0).wait(PATIENCE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


@pytest.fixture(scope="module")
def shared(cert):
    """One gate and one replica for what leaves no traces."""
    with Replica() as replica, Nobody() as nobody, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=replica.address,
                 nobody=nobody.address) as gate:
        pid = gate.worker_pid
        yield gate, replica
        assert gate.worker_pid == pid


@pytest.fixture
def replica(shared):
    return shared[1]


def open_channel(gate, listener, cert):
    port = gate.address(listener)[1]
    if listener == "https":
        credentials = grpc.ssl_channel_credentials(cert[0].read_bytes())
        return grpc.secure_channel(f"localhost:{port}", credentials, OPTIONS)
    return grpc.insecure_channel(f"127.0.0.1:{port}", OPTIONS)


@pytest.fixture(params=["http", "https"])
def channel(request, shared, cert):
    """Prior knowledge in the clear, ALPN by TLS."""
    with open_channel(shared[0], request.param, cert) as c:
        yield c


@pytest.fixture
def plain(shared, cert):
    with open_channel(shared[0], "http", cert) as c:
        yield c


def unary(channel, method, message=b"", service="test.Test", **kw):
    """(answer, call)."""
    return channel.unary_unary(f"/{service}/{method}").with_call(message, **{"timeout": BIG, **kw})


def refused(channel, method="Echo", message=b"", **kw):
    """(code, details, call) of one that fails."""
    with pytest.raises(grpc.RpcError) as e:
        unary(channel, method, message, **kw)
    return e.value.code(), e.value.details(), e.value


def fresh():
    """A message that no other call has."""
    return b"%d" % time.monotonic_ns()


class Sender:
    """Requests of a streaming call, one when the test says so."""

    def __init__(self):
        self.messages = queue.Queue()

    def __iter__(self):
        return iter(self.messages.get, None)

    def send(self, message):
        self.messages.put(message)

    def end(self):
        self.messages.put(None)


# ---- The kinds of calls ----

def test_one_and_one(channel):
    for message in (b"", b"ahoy", b"\0" * 70000):
        assert unary(channel, "Echo", message)[0] == message


def test_one_and_many(channel):
    answers = channel.unary_stream("/test.Test/Count")(b"500", timeout=BIG)
    assert list(answers) == [b"%d" % i for i in range(500)]
    assert answers.code() == grpc.StatusCode.OK
    assert list(channel.unary_stream("/test.Test/Count")(b"0", timeout=BIG)) == []


def test_many_and_one(channel):
    call = channel.stream_unary("/test.Test/Join")
    assert call((b"%d" % i for i in range(200)), timeout=BIG) == \
        b",".join(b"%d" % i for i in range(200))
    assert call(iter([]), timeout=BIG) == b""


def test_many_and_many_hold_nothing_back(channel):
    """Each message is answered before the next one is sent."""
    sender = Sender()
    answers = channel.stream_stream("/test.Test/Chat")(iter(sender), timeout=BIG)
    for i in range(50):
        sender.send(b"%d" % i)
        assert next(answers) == b"re: %d" % i
    sender.end()
    assert list(answers) == []
    assert answers.code() == grpc.StatusCode.OK


def test_messages_of_four_mebibytes(channel):
    """More than windows and buffers hold, up and down; twice through one connection."""
    for _ in range(2):
        assert unary(channel, "Echo", MIB4)[0] == MIB4
    answers = channel.stream_stream("/test.Test/Chat")(iter([MIB4] * 3), timeout=BIG * 2)
    assert [len(a) for a in answers] == [len(MIB4) + 4] * 3


def test_a_hundred_calls_at_once(channel, replica, shared):
    """By one connection of the client: none is answered before all have arrived."""
    replica.barrier = threading.Barrier(100)
    call = channel.unary_unary("/test.Test/Together")
    waiting = [call.future(b"%d" % i, timeout=BIG) for i in range(100)]
    assert [f.result() for f in waiting] == [b"%d" % i for i in range(100)]


def test_a_thousand_short_calls(channel):
    call = channel.unary_unary("/test.Test/Echo")
    for i in range(0, 1000, 100):
        waiting = [call.future(b"%d" % k, timeout=BIG) for k in range(i, i + 100)]
        assert [f.result() for f in waiting] == [b"%d" % k for k in range(i, i + 100)]


# ---- Metadata and statuses ----

def test_metadata_both_ways(channel):
    """Text and binary, doubled names, in the head and behind the messages."""
    sent = [("x-text", "a b, c"), ("x-two", "1"), ("x-two", "2"), ("x-some-bin", b"\0\x80\xff")]
    _, call = unary(channel, "Echo", b"x", metadata=sent)
    first = dict(call.initial_metadata())
    assert (first["x-first"], first["x-first-bin"]) == ("1", b"\0\xff first")
    last = dict(call.trailing_metadata())
    assert last["x-last-bin"] == b"\0\xff last"
    seen = json.loads(last["seen"])
    for pair in (["x-text", "a b, c"], ["x-some-bin", [0, 0x80, 0xff]]):
        assert pair in seen
    assert ", ".join(v for k, v in seen if k == "x-two") == "1, 2"
    names = [k for k, _ in seen]
    assert "x-forwarded-for" in names and "user-agent" in names


def test_statuses_of_the_server(channel):
    """Every code with its message, umlauts and line ends included, and more metadata; nothing
    of it is the gate's."""
    for code in grpc.StatusCode:
        number = code.value[0]
        if number:
            got = refused(channel, "Fail", f"{number} it's ä\n100%".encode())
            assert got[:2] == (code, "it's ä\n100%")
            more = dict(got[2].trailing_metadata())
            assert (more["x-more"], more["x-more-bin"]) == ("of it", b"\0\1")


def test_unknown_method(channel):
    assert refused(channel, "Nothing")[0] == grpc.StatusCode.UNIMPLEMENTED


# ---- What ends a call early ----

def test_deadline_arrives(channel):
    """The server knows how much time is left."""
    _, call = unary(channel, "Echo", timeout=77)
    assert 60 < float(dict(call.trailing_metadata())["left"]) < 80  # it rounds up


def test_deadline_that_passes(channel, replica):
    """The client is told so, the server is told to give up."""
    began, name = time.monotonic(), fresh()
    assert refused(channel, "Wait", name, timeout=0.3)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
    assert time.monotonic() - began < 0.3 + PATIENCE / 5
    assert replica.has_ended(name)


def test_cancellation_reaches_the_server(channel, replica):
    """Of a call that waits for its answer, and of one amid its messages. Neither has a deadline
    that would end it on the server."""
    name, other, sender = fresh(), fresh(), Sender()
    waits = channel.unary_unary("/test.Test/Wait").future(name)
    talks = channel.stream_stream("/test.Test/Chat")(iter(sender))
    sender.send(other)
    assert next(talks) == b"re: " + other
    assert replica.has_begun(name)
    for call, what in ((waits, name), (talks, other)):
        assert what not in replica.ended
        assert call.cancel()
        assert replica.has_ended(what)
    assert unary(channel, "Echo", b"next")[0] == b"next"
    sender.end()


def test_the_channels_end_reaches_the_server(shared, replica, cert):
    name = fresh()
    with open_channel(shared[0], "http", cert) as c:
        call = c.unary_unary("/test.Test/Wait").future(name)
        assert replica.has_begun(name)
        assert name not in replica.ended
    assert replica.has_ended(name) and call.done()


@pytest.mark.parametrize("is_warm", [False, True], ids=["new connection", "old connection"])
def test_calls_that_are_given_up_at_once(cert, is_warm):
    """A call and its cancellation in one packet, before it can have left for the server: the server
    sees it or not, and everything goes on."""
    fields = [("content-type", "application/grpc"), ("te", "trailers")]
    with Replica() as replica, Nobody() as nobody, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=replica.address,
                 nobody=nobody.address) as gate, h2(gate) as c:
        pid = gate.worker_pid
        call = ("/test.Test/Echo", "POST", fields, b"\0\0\0\0\1x")
        if is_warm:
            assert c.request(*call).body == b"\0\0\0\0\1x"
        block = literal(*c.head_of("POST", "/test.Test/Wait", fields))
        for _ in range(10):
            ids = [c.stream().id for _ in range(5)]
            c.raw(b"".join(frame(HEADERS, END_HEADERS, i, block) +
                           frame(RST_STREAM, 0, i, CANCEL.to_bytes(4, "big")) for i in ids))
            c.settle()
        assert c.request(*call).body == b"\0\0\0\0\1x"
        assert gate.worker_pid == pid


def test_server_that_dies_amid_a_call(cert):
    """UNAVAILABLE for those that ran, and for new ones; a new server at the address is found."""
    with Replica() as replica, Nobody() as nobody, \
            Gate(CONFIG, cert=cert[0], key=cert[1], origin=replica.address,
                 nobody=nobody.address) as gate, open_channel(gate, "http", cert) as channel:
        sender = Sender()
        answers = channel.stream_stream("/test.Test/Chat")(iter(sender))
        sender.send(b"1")
        assert next(answers) == b"re: 1"
        replica.close()
        with pytest.raises(grpc.RpcError) as e:
            next(answers)
        # Before its end the server says itself what it thinks of the call.
        assert e.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED,
                                  grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
        assert refused(channel)[0] == grpc.StatusCode.UNAVAILABLE
        sender.end()


def test_a_quiet_stream_is_no_slow_upload(cert):
    """A call whose few small messages are far apart: neither `body_idle` nor a body's least rate
    end it once the answer has begun."""
    config = CONFIG + "timeouts: { body_idle: 200ms, response_header: 200ms, keep_alive: 200ms }\n"
    with Replica() as replica, Nobody() as nobody, \
            Gate(config, cert=cert[0], key=cert[1], origin=replica.address,
                 nobody=nobody.address) as gate, open_channel(gate, "http", cert) as channel:
        sender = Sender()
        answers = channel.stream_stream("/test.Test/Chat")(iter(sender), timeout=BIG)
        for i in range(4):
            sender.send(b"%d" % i)
            assert next(answers) == b"re: %d" % i
            began = time.monotonic()
            until(lambda: time.monotonic() - began > 0.3)
        sender.end()
        assert list(answers) == []


# ---- What the gate says itself ----

@pytest.mark.parametrize("service, code", [
    ("nowhere.Test", grpc.StatusCode.UNIMPLEMENTED),
    ("dead.Test", grpc.StatusCode.UNAVAILABLE),
    ("forbidden.Test", grpc.StatusCode.PERMISSION_DENIED),
])
def test_errors_of_the_gate(channel, service, code):
    """A status with a message, and the channel goes on."""
    got, details, call = refused(channel, service=service)
    if service == "forbidden.Test":  # a fixed answer is the operator's, and no error of the gate's
        assert got in (code, grpc.StatusCode.UNKNOWN)
    else:
        assert (got, bool(details)) == (code, True)
        assert "Received http2 header with status" not in details
    assert unary(channel, "Echo", b"next")[0] == b"next"


def test_rate_limit(plain):
    codes = [refused(plain, "Nothing", service="limited.Test")[0] for _ in range(3)]
    assert codes == [grpc.StatusCode.UNIMPLEMENTED] + [grpc.StatusCode.RESOURCE_EXHAUSTED] * 2


def test_too_large_a_message(channel):
    """413."""
    assert unary(channel, "Echo", b"x" * 95, service="small.Test")[0] == b"x" * 95
    for size in (96, 100000):
        assert refused(channel, message=b"x" * size, service="small.Test")[0] == \
            grpc.StatusCode.RESOURCE_EXHAUSTED


def test_response_header_timeout(channel, replica):
    """504; the server is told to give up."""
    name = fresh()
    code, details, _ = refused(channel, "Wait", name, service="late.Test")
    assert code == grpc.StatusCode.DEADLINE_EXCEEDED
    assert details and details != "Deadline Exceeded"  # the gate's words, not the library's
    assert replica.has_ended(name)


@pytest.mark.parametrize("kind", ["application/grpc", "application/grpc+proto"])
def test_errors_on_the_wire(shared, kind):
    """HTTP 200 and one head, which is the trailers too; the log knows what it was. Who does not
    speak gRPC gets an ordinary 404."""
    gate, _ = shared
    with h2(gate) as c:
        s = c.request("/nowhere.Test/Echo", "POST", [("content-type", kind), ("te", "trailers")],
                      b"\0\0\0\0\0")
        assert (s.status, s.get("content-type")) == (200, "application/grpc")
        assert (s.get("grpc-status"), bool(s.get("grpc-message"))) == ("12", True)
        assert s.is_ended and not s.body and not s.trailers and \
            s.get("content-length") in (None, "0")
        s = c.request("/nowhere.Test/Echo", "POST", [("content-type", "application/json")], b"{}")
        assert (s.status, s.get("grpc-status")) == (404, None)
        until(lambda: any('"/nowhere.Test/Echo"' in line and '"status":404' in
                          line.replace(": ", ":") for line in
                          gate.access_path.read_text().splitlines()), "the log's line")


# ---- Reloads, and TLS towards the server ----

def test_a_channel_survives_reloads(cert):
    """Its connection and a running call stay; what changed holds for the next call."""
    with Replica() as one, Replica() as two, Nobody() as nobody:
        values = {"cert": cert[0], "key": cert[1], "nobody": nobody.address}
        with Gate(CONFIG, origin=one.address, **values) as gate, \
                open_channel(gate, "https", cert) as channel:
            unary(channel, "Echo")
            states, sender = [], Sender()
            channel.subscribe(states.append)
            answers = channel.stream_stream("/test.Test/Chat")(iter(sender), timeout=BIG * 2)
            for i, now in enumerate((two, one, two)):
                sender.send(b"%d" % i)
                assert next(answers) == b"re: %d" % i
                done = gate.reload(CONFIG, origin=now.address, **values)
                assert done.returncode == 0, done.stderr
                before = len(now.calls)
                assert unary(channel, "Echo", b"x")[0] == b"x"
                assert len(now.calls) == before + 1
            sender.end()
            assert list(answers) == [] and answers.code() == grpc.StatusCode.OK
            assert set(states) == {grpc.ChannelConnectivity.READY}
            until(lambda: gate.metric("wharfgate_plans_alive") == 1, "the old plans' end")


@pytest.mark.parametrize("protocol", ["h2", "auto"])
def test_tls_to_the_server(cert, protocol):
    """`auto` agrees on HTTP/2 by ALPN."""
    credentials = grpc.ssl_server_credentials([(cert[1].read_bytes(), cert[0].read_bytes())])
    config = CONFIG.replace('"{origin}"], protocol: h2', '"{origin}"], protocol: {protocol}, '
                            'tls: { ca: "{cert}", sni: localhost }')
    with Replica(credentials) as replica, Nobody() as nobody, \
            Gate(config, cert=cert[0], key=cert[1], origin=replica.address, protocol=protocol,
                 nobody=nobody.address) as gate, open_channel(gate, "https", cert) as channel:
        assert unary(channel, "Echo", MIB4)[0] == MIB4
        assert list(channel.stream_stream("/test.Test/Chat")(iter([b"1", b"2"]), timeout=BIG)) == \
            [b"re: 1", b"re: 2"]


def test_replica_that_wants_http_2(cert):
    """gRPC's commonest mistake, `protocol: h2` forgotten: the log says what the replica speaks."""
    with Replica() as replica, Nobody() as nobody, \
            Gate(CONFIG.replace(", protocol: h2", ""), cert=cert[0], key=cert[1],
                 origin=replica.address, nobody=nobody.address) as gate, \
            open_channel(gate, "http", cert) as c:
        assert refused(c)[0] == grpc.StatusCode.UNAVAILABLE
        assert "sent a malformed response: speaks_http_2" in gate.errors()


def test_error_says_the_request(plain):
    """What a client shows its operator leads to the line of the access log."""
    said = refused(plain, service="nowhere.Test")[1]
    assert said.startswith("404 Not Found: no_route, request ")
    assert len(said.rsplit(" ", 1)[1]) == 32


def test_grpc_web_is_told_by_http(shared):
    """Its clients look at the status of HTTP, in a browser."""
    answer = shared[0].request("/nowhere.Test/Echo", "POST", body=b"",
                               headers={"Content-Type": "application/grpc-web"})
    assert (answer.status, answer.headers.get("grpc-status")) == (404, None)


def test_slow_stream_of_messages_is_not_too_slow(replica, cert):
    """The least rate of a body is not for messages, which come when they come."""
    config = CONFIG + "timeouts: { body_idle: 300ms }\nlimits: { body_min_rate: 1MiB }\n"
    with Nobody() as nobody, Gate(config, cert=cert[0], key=cert[1], origin=replica.address,
                                  nobody=nobody.address) as gate, \
            open_channel(gate, "http", cert) as c:
        sender = Sender()
        call = c.stream_unary("/test.Test/Join").future(iter(sender), timeout=BIG)
        began = time.monotonic()
        while time.monotonic() - began < 1.5:
            sender.send(b"x")
            tick = time.monotonic()
            until(lambda: time.monotonic() - tick > 0.1)
        sender.end()
        assert call.result().count(b"x") > 5
