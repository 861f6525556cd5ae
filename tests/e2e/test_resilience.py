# SPDX-License-Identifier: Apache-2.0
"""A healthy replica for every request: thousands of them, while replicas beside healthy ones
refuse, reset, hang, lie, close early, flap; each fault alone and all at once.

Every request has exactly one outcome: the one right answer, or an explicit error, which is
the gate's own page with its reason, or an abort after the head. While a replica is healthy,
no idempotent request fails, but where its head had gone out already. No POST is delivered
twice, whatever happens. Run with -s for the counts.
"""
import asyncio
import collections
import dataclasses
import itertools
import json
import random
import textwrap
import time

import pytest

import badorigin as bad
from badorigin import BadOrigin, Ledger, Session, filler
from h2peer import Gone, h2
from harness import IS_SANITIZED, PATIENCE, Gate, until

SLOWER = 5 if IS_SANITIZED else 1
METHODS = ["GET"] * 4 + ["HEAD", "PUT", "PUT", "DELETE"] + ["POST"] * 2
IDEMPOTENT = {"GET", "HEAD", "PUT", "DELETE"}
TOTALS = collections.Counter()

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
upstreams:
  app:
    servers: [{servers}]
    balance: round_robin
{keys}
routes:
  - { upstream: app }
defaults:
  timeouts: { response_header: {header}, response_idle: 20s, body_idle: 20s, connect: 300ms }
"""


# ---- requests, and what came of them ----

class Ask:
    """One request as a client makes it."""

    def __init__(self, number, method, rng):
        self.number, self.method = number, method
        self.want = rng.choice([0, 1, 200, 200, 5000, 40000])
        self.sent = rng.choice([0, 10, 3000, 30000]) if method in ("POST", "PUT") else 0
        self.is_chunked = bool(self.sent and rng.random() < 0.3)
        self.piece = rng.choice([4000, 16000, 1 << 20])
        self.body = filler(number, self.sent)

    @property
    def is_idempotent(self):
        return self.method in IDEMPOTENT

    @property
    def fields(self):
        pairs = [("x-request-number", str(self.number)), ("x-want", str(self.want)),
                 ("x-sent", str(self.sent)), ("accept", "application/json")]
        if self.method in ("POST", "PUT") and not self.is_chunked:
            pairs.append(("content-length", str(self.sent)))
        return pairs

    def bytes(self, *lines):
        """As it stands on the wire with HTTP/1.1."""
        lines = [f"{self.method} /{self.number} HTTP/1.1", "host: localhost",
                 *(f"{k}: {v}" for k, v in self.fields), *lines]
        if not self.is_chunked:
            return "\r\n".join([*lines, "", ""]).encode() + self.body
        half = self.sent // 2
        pieces = b"".join(b"%x\r\n%s\r\n" % (len(p), p)
                          for p in (self.body[:half], self.body[half:]))
        return "\r\n".join([*lines, "transfer-encoding: chunked", "", ""]).encode() + \
            pieces + b"0\r\n\r\n"


def asks(count, seed):
    """As many, of all methods, in an order that has no pattern."""
    rng = random.Random(seed)
    methods = [METHODS[i % len(METHODS)] for i in range(count)]
    rng.shuffle(methods)
    return [Ask(i + 1, method, rng) for i, method in enumerate(methods)]


@dataclasses.dataclass
class Seen:
    """What a client has seen of a response; `is_whole`: it ended as a message ends."""
    status: int = 0
    fields: dict = dataclasses.field(default_factory=dict)
    body: bytes = b""
    is_whole: bool = False


class Tally:
    """The outcome of each request."""

    def __init__(self):
        self.right, self.errors, self.aborted = {}, {}, {}
        self.wrong = []

    def note(self, ask, seen):
        """Exactly one a request."""
        number = seen.fields.get("x-request-number")
        if any(ask.number in of for of in (self.right, self.errors, self.aborted)):
            self.wrong.append(f"{ask.number}: a second outcome")
        elif not seen.status:
            self.wrong.append(f"{ask.method} {ask.number}: no answer")
        elif number is None:
            self._note_own(ask, seen)
        elif number != str(ask.number):
            self.wrong.append(f"{ask.method} {ask.number}: got the answer of {number}")
        elif not seen.is_whole:
            self.aborted[ask.number] = ask
        elif seen.status == 503:
            self.errors[ask.number] = ask, "the origin's 503"
        else:
            self._note_answer(ask, seen)

    def _note_answer(self, ask, seen):
        right = b"" if ask.method == "HEAD" else filler(ask.number, ask.want)
        received = seen.fields.get("x-received")
        if (seen.status, seen.body, received) != (200, right, str(ask.sent)):
            self.wrong.append(f"{ask.method} {ask.number}: {seen.status}, {len(seen.body)} bytes "
                              f"of {ask.want}, {received} received of {ask.sent}")
        self.right[ask.number] = seen.fields["x-origin"]

    def _note_own(self, ask, seen):
        reason = None
        if seen.is_whole and seen.status in (502, 503, 504):
            if ask.method == "HEAD":
                reason = f"status {seen.status}"
            else:
                page = json.loads(seen.body)
                reason = page["reason"] if page["status"] == seen.status else None
        if reason:
            self.errors[ask.number] = ask, reason
        else:
            self.wrong.append(f"{ask.method} {ask.number}: {seen}"[:300])

    @property
    def count(self):
        return len(self.right) + len(self.errors) + len(self.aborted)

    def reasons(self, is_idempotent):
        return collections.Counter(reason for ask, reason in self.errors.values()
                                   if ask.is_idempotent == is_idempotent)


# ---- clients ----

class Wire(asyncio.Protocol):
    """A client's connection."""

    def __init__(self):
        self.transport, self.buffer = None, bytearray()
        self.is_ended, self.waiter = False, None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        self._wake()

    def eof_received(self):
        self._end()

    def connection_lost(self, exc):
        self._end()

    def _end(self):
        self.is_ended = True
        self._wake()

    def _wake(self):
        if self.waiter and not self.waiter.done():
            self.waiter.set_result(None)

    async def _more(self):
        if self.is_ended:
            raise EOFError
        self.waiter = asyncio.get_running_loop().create_future()
        await self.waiter

    async def until(self, mark):
        while (at := self.buffer.find(mark)) < 0:
            await self._more()
        return self._take(at + len(mark))

    async def exactly(self, count):
        while len(self.buffer) < count:
            await self._more()
        return self._take(count)

    def _take(self, count):
        data = bytes(self.buffer[:count])
        del self.buffer[:count]
        return data


async def read_answer(wire, ask, seen):
    while not seen.status:
        start, *lines = (await wire.until(b"\r\n\r\n"))[:-4].decode("latin-1").split("\r\n")
        pairs = (line.split(":", 1) for line in lines)
        fields = {k.lower(): v.strip() for k, v in pairs}
        status = int(start.split(" ")[1])
        if status >= 200:
            seen.status, seen.fields = status, fields
    if ask.method == "HEAD":
        pass
    elif seen.fields.get("transfer-encoding") == "chunked":
        while size := int(await wire.until(b"\r\n"), 16):
            seen.body += (await wire.exactly(size + 2))[:-2]
        await wire.exactly(2)
    else:
        seen.body = await wire.exactly(int(seen.fields["content-length"]))
    seen.is_whole = True


class Client:
    """One request after the other over HTTP/1.1, on one connection: on a new one only where
    the old one's end was announced, or an answer was cut off."""

    def __init__(self, stage, keep_alive):
        self.address, self.tally = stage.gate.address("http"), stage.tally
        self.open = stage.ledger.open
        self.lines = () if keep_alive else ("connection: close",)
        self.wire = self.current = None

    async def one(self, ask):
        if not self.wire:
            _, self.wire = await asyncio.get_running_loop().create_connection(Wire, *self.address)
        wire, seen = self.wire, Seen()
        data = ask.bytes(*self.lines)
        for i in range(0, len(data), ask.piece):
            wire.transport.write(data[i:i + ask.piece])
            await asyncio.sleep(0)  # the others' turn, so that pieces arrive one by one
        try:
            await read_answer(wire, ask, seen)
        except EOFError:
            pass
        self.tally.note(ask, seen)
        if wire.buffer and seen.is_whole:
            self.tally.wrong.append(f"{ask.number}: surplus {bytes(wire.buffer[:80])!r}")
        if not seen.is_whole or seen.fields.get("connection") == "close":
            self.close()

    def close(self):
        if self.wire:
            self.wire.transport.abort()
        self.wire = None

    async def run(self, todo):
        for ask in todo:
            self.current = ask
            self.open.add(ask.number)
            await self.one(ask)
            self.open.remove(ask.number)
        self.current = None
        self.close()


class H2Run:
    """The same over TLS and HTTP/2, in a thread: up to a dozen streams at once."""

    def __init__(self, gate, tally, todo):
        self.tally, self.todo, self.open = tally, todo, {}
        with h2(gate, "https", tls=True) as self.client:
            while self._fill():
                self.client.wait(self._take, f"one of {[ask.number for ask in self.open]}")

    def _fill(self):
        for ask in itertools.islice(self.todo, 12 - len(self.open)):
            stream = self.client.open(ask.method, f"/{ask.number}", ask.fields, end=not ask.sent)
            self.open[ask] = stream
            try:
                if ask.sent:
                    stream.send(ask.body, end=True)
            except Gone:
                pass  # answered before it was sent
        return self.open

    def _take(self):
        """Notes those that are over."""
        over = [(ask, s) for ask, s in self.open.items() if s.is_ended or s.is_gone]
        for ask, s in over:
            del self.open[ask]
            self.tally.note(ask, Seen(s.status or 0, dict(s.fields or ()), bytes(s.body),
                                      s.is_ended))
        return over


# ---- a scenario ----

# Neither judged by their faults nor spared by a budget: each of them is met again and again.
RAW = """
retry_budget: off
outlier_ejection: { max_share: off }
"""
TRY = RAW + "try_timeout: 300ms\n"
MANY = TRY + "retries: 10\n"
JUDGED = """
retries: 10
retry_budget: off
try_timeout: 300ms
outlier_ejection:
  consecutive_failures: 3
  base_time: 200ms
  max_time: 1s
  interval: 500ms
  max_share: 100%
  panic_threshold: off
"""


@dataclasses.dataclass
class Scenario:
    """Bad origins beside healthy ones. `keys`: of the upstream. `posts`: the reasons by which a
    POST may fail; `may_abort`: may answers be cut off?"""
    name: str
    bad: tuple
    posts: set = frozenset()
    keys: str = RAW
    count: int = 3000
    healthy: int = 2
    clients: int = 48
    may_abort: bool = False
    keep_alive: bool = True
    over: str = "h1"
    header: str = "2s"

    def __post_init__(self):
        self.count //= SLOWER


class Stage:
    """The gate with the scenario's origins; `async with` has them up."""

    def __init__(self, scenario, cert, todo):
        self.scenario, self.cert, self.todo = scenario, cert, todo
        self.ledger, self.tally = Ledger(), Tally()
        healthy = [BadOrigin(self.ledger, Session, f"healthy{i}") for i in range(scenario.healthy)]
        self.bad = [bad.make(self.ledger, kind) for kind in scenario.bad]
        # Healthy ones first and amid: a turn of round robin has them apart.
        self.origins = healthy[:1] + self.bad[:len(self.bad) // 2] + healthy[1:] + \
            self.bad[len(self.bad) // 2:]

    async def __aenter__(self):
        for origin in self.origins:
            origin.start()
        keys = textwrap.indent(self.scenario.keys.strip("\n"), "    ")
        servers = ", ".join(f'"{o.address}"' for o in self.origins)
        self.gate = await asyncio.to_thread(
            Gate, CONFIG, workers=2, servers=servers, keys=keys, header=self.scenario.header,
            cert=self.cert[0], key=self.cert[1])
        self.pid = self.gate.worker_pid
        return self

    async def __aexit__(self, *exc):
        await asyncio.to_thread(self.gate.__exit__, *exc)
        for origin in self.origins:
            await origin.close()

    async def play(self):
        todo = self.todo
        if self.scenario.over == "h2":
            parts = [todo[i::8] for i in range(8)]
            jobs = [asyncio.to_thread(H2Run, self.gate, self.tally, iter(p)) for p in parts]
            clients = []
        else:
            clients = [Client(self, self.scenario.keep_alive)
                       for _ in range(self.scenario.clients)]
            queue = iter(todo)
            jobs = [c.run(queue) for c in clients]
        try:
            await asyncio.wait_for(asyncio.gather(*jobs), PATIENCE * 6)
        except TimeoutError:
            left = [(c.current.method, c.current.number, self.ledger.seen[c.current.number])
                    for c in clients if c.current]
            raise AssertionError(f"unanswered: {left}") from None

    async def count(self):
        """What the gate says of it all."""
        for name in ("retries", "retries_denied"):
            counter = f"wharfgate_upstream_{name}_total"
            setattr(self, name, int(await asyncio.to_thread(self.gate.metric, counter)))
        self.ejections = int(await asyncio.to_thread(
            self.gate.metric, "wharfgate_endpoint_ejections_total"))

    async def quiet(self):
        """Nothing is left over: only the admin request that asks, and its connection."""
        def is_quiet():
            return (self.gate.metric("wharfgate_requests_active") <= 1
                    and self.gate.metric("wharfgate_connections_active") <= 1)
        await asyncio.to_thread(until, is_quiet, "quiet")


def report(stage):
    """Shown with -s."""
    tally, ledger = stage.tally, stage.ledger
    counts = {
        "requests": tally.count, "idempotent": sum(ask.is_idempotent for ask in stage.todo),
        "retried": stage.retries, "denied": stage.retries_denied, "ejected": stage.ejections,
        "faults": sum(o.failed for o in stage.bad),
        "aborted": len(tally.aborted), "idempotent errors": dict(tally.reasons(True)),
        "POST errors": dict(tally.reasons(False)),
        "POST twice": len(ledger.doubles(ledger.delivered, "POST")),
        "others twice": len(ledger.doubles(ledger.delivered, *IDEMPOTENT)),
    }
    TOTALS.update({"scenarios": 1, **{k: v for k, v in counts.items() if isinstance(v, int)}})
    print(f"\n{stage.scenario.name}: {counts}, {stage.seconds:.1f} s")


def judge(stage):
    """What holds whatever the fault is."""
    scenario, tally, ledger = stage.scenario, stage.tally, stage.ledger
    assert not tally.wrong, (len(tally.wrong), tally.wrong[:5])
    assert not ledger.faults, ledger.faults[:5]
    assert tally.count == len(stage.todo)
    assert stage.gate.worker_pid == stage.pid
    idle = [o.name for o in stage.bad if not o.failed and not (o.is_silent and stage.retries)]
    assert not idle, f"never came to misbehave: {idle}"
    for where in (ledger.delivered, ledger.seen):
        doubles = ledger.doubles(where, "POST")
        assert not doubles, (len(doubles), list(doubles.items())[:5])
    liars = [n for n, name in tally.right.items() if name not in ledger.delivered[n]]
    assert not liars, liars[:5]
    failed = [(ask.method, n, why, ledger.seen[n]) for n, (ask, why) in tally.errors.items()
              if ask.is_idempotent]
    assert not failed, (len(failed), failed[:5])
    assert not stage.retries_denied, stage.retries_denied
    is_spared = scenario.keys.startswith(RAW) or not stage.bad
    assert bool(stage.ejections) != is_spared, stage.ejections
    assert scenario.may_abort or not tally.aborted, list(tally.aborted)[:5]
    others = set(tally.reasons(False)) - scenario.posts
    assert not others, (others, scenario.posts)
    # Where no connection was to be had, nobody has seen the request.
    seen = [n for n, (_, why) in tally.errors.items()
            if why.startswith("connect_") and ledger.seen[n]]
    assert not seen, seen[:5]


def perform(scenario, cert, seed=20261126):
    async def scene():
        async with Stage(scenario, cert, asks(scenario.count, seed)) as stage:
            began = time.monotonic()
            await stage.play()
            stage.seconds = time.monotonic() - began
            await stage.count()
            report(stage)
            judge(stage)
            await stage.quiet()
        return stage
    return asyncio.run(scene())


BROKEN = {"upstream_closed", "upstream_reset", "upstream_truncated"}
LATE = {"response_timeout"}
ANY = BROKEN | LATE | {"upstream_malformed"}

# One of the two is always up.
ROLLING = (bad.Rolling, bad.RollingToo)

ALONE = [
    Scenario("none", (), keys=""),
    Scenario("refuses", (bad.Refusing,)),
    Scenario("unreachable", (bad.Unreachable,), count=1000),
    Scenario("resets_on_accept", (bad.ResetsOnAccept,), BROKEN),
    Scenario("resets_amid_request", (bad.ResetsAmidRequest,), BROKEN),
    Scenario("resets_before_head", (bad.ResetsBeforeHead,), BROKEN),
    Scenario("resets_amid_head", (bad.ResetsAmidHead,), BROKEN, count=1500),
    Scenario("cuts_body", (bad.CutsBody,), BROKEN, count=1500, may_abort=True),
    Scenario("hangs", (bad.Hangs,), LATE, TRY, count=1000),
    Scenario("late", (bad.Late,), LATE, TRY, count=1000),
    Scenario("deaf", (bad.Deaf,), LATE, TRY, count=1000),
    Scenario("closes_idle", (bad.ClosesIdle,), BROKEN),
    Scenario("garbage", (bad.SendsGarbage,), {"upstream_malformed"}),
    Scenario("surplus", (bad.SendsSurplus,)),
    Scenario("half_closes", (bad.HalfCloses,), BROKEN),
    Scenario("flaps", (bad.Flapping,), BROKEN),
    Scenario("slow", (bad.Slow,)),
    Scenario("unwell", (bad.Unwell,), {"the origin's 503"}, RAW + "retry_on: [503]"),
    Scenario("rolls", ROLLING, BROKEN, count=10000, healthy=0),
]

# As many that fail as there are retries: whatever comes first, a healthy one is among the tries.
ZOO = (bad.Refusing, bad.ResetsOnAccept, bad.ResetsAmidRequest, bad.ResetsBeforeHead,
       bad.ResetsAmidHead, bad.SendsGarbage, bad.HalfCloses, bad.Flapping, bad.CutsBody,
       bad.Hangs, bad.ClosesIdle, bad.SendsSurplus, bad.Slow)

TOGETHER = [
    Scenario("zoo", ZOO, ANY, MANY, clients=64, may_abort=True),
    Scenario("zoo_without_keep_alive", ZOO, ANY, MANY + "keep_alive_connections: 0", clients=64,
             count=2000, may_abort=True, keep_alive=False),
    Scenario("zoo_over_h2", ZOO, ANY, MANY, count=2000, may_abort=True, over="h2"),
    Scenario("zoo_that_is_judged", ZOO, ANY, JUDGED, count=5000, may_abort=True),
]

# What one gets without a word in the configuration.
PRESET = [
    Scenario("preset_refuses", (bad.Refusing,), keys=""),
    Scenario("preset_resets", (bad.ResetsBeforeHead,), BROKEN, keys=""),
    Scenario("preset_garbage", (bad.SendsGarbage,), {"upstream_malformed"}, keys=""),
    Scenario("preset_flaps", (bad.Flapping,), BROKEN, keys=""),
    Scenario("preset_rolls", ROLLING, BROKEN, "", count=10000, healthy=0),
]


ALL = ALONE + TOGETHER + PRESET


@pytest.fixture(scope="module", autouse=True)
def totals():
    yield
    print(f"\nin total: {dict(TOTALS)}")
    if TOTALS["scenarios"] == len(ALL) and SLOWER == 1:
        assert TOTALS["idempotent"] >= 10000


@pytest.mark.parametrize("scenario", ALONE, ids=lambda s: s.name)
def test_one_fault_beside_healthy_replicas(scenario, cert):
    perform(scenario, cert)


@pytest.mark.long
@pytest.mark.parametrize("scenario", TOGETHER, ids=lambda s: s.name)
def test_all_faults_at_once(scenario, cert):
    perform(scenario, cert)


@pytest.mark.parametrize("scenario", PRESET, ids=lambda s: s.name)
def test_by_preset(scenario, cert):
    perform(scenario, cert)
