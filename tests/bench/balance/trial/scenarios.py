# SPDX-License-Identifier: Apache-2.0
"""What happens to the replicas, and who has to cope with it: one row each."""

import re
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    kind: str # the origin's --kind of the odd replica


@dataclass(frozen=True)
class Entrant:
    """One proxy with one algorithm. `balance` is its directive, in the proxy's own words."""
    proxy: str
    algorithm: str
    balance: str
    words: dict = field(default_factory=dict) # further ones of the template
    needs: tuple = () # keys and values that `wharfgate schema` has to know

    @property
    def name(self):
        return f"{self.proxy}/{self.algorithm}"


SCENARIOS = {s.name: s for s in (
    Scenario("equal", "all ten replicas alike", "equal"),
    Scenario("slow", "one of ten takes ten times as long", "slow"),
    Scenario("errors", "one of ten answers half of its requests by status 500, at once", "error"),
    Scenario("resets", "one of ten resets the connection of half of its requests", "reset"),
)}


def _wharfgate(algorithm, balance="", needs=(), more=""):
    return Entrant("wharfgate", algorithm, balance or algorithm, {"more": more, "MORE": more},
                   (re.match("[a-z_]+", algorithm)[0], *needs))


def _nginx(algorithm, balance):
    return Entrant("nginx", algorithm, balance)


def _haproxy(algorithm, balance="", **words):
    return Entrant("haproxy", algorithm, "balance " + (balance or algorithm),
                   {"MORE": "", **words})


HASH = '{ algorithm: %s, key: "header:X-Key" }'
UNBOUND_HASH = '{ algorithm: %s, key: "header:X-Key", max_load: off }'

ENTRANTS = {e.name: e for e in (
    _wharfgate("least_requests"),
    _wharfgate("least_time"),
    _wharfgate("round_robin"),
    _wharfgate("random"),
    _wharfgate("ring_hash", HASH % "ring_hash"),
    _wharfgate("maglev", HASH % "maglev"),
    _wharfgate("ring_hash without max_load", UNBOUND_HASH % "ring_hash", ("max_load",)),
    _wharfgate("sticky"),
    _wharfgate("least_requests + retry_on 5xx", "least_requests", ("retry_on",),
               "retry_on: [connect, reset, timeout, malformed, 5xx]"),
    _wharfgate("least_requests + limits", "least_requests", ("requests_per_server",),
               "limits: { requests_per_server: @THREADS@ }"),
    _nginx("round robin", ""),
    _nginx("least_conn", "least_conn;"),
    _nginx("random two least_conn", "random two least_conn;"),
    _nginx("hash consistent", "hash $http_x_key consistent;"),
    _haproxy("roundrobin"),
    _haproxy("leastconn"),
    _haproxy("random(2)"),
    _haproxy("leastconn + maxconn", "leastconn", MORE=" maxconn @THREADS@"),
    _haproxy("leastconn without retry-on", "leastconn", observes=True),
    _haproxy("hash consistent", "hdr(X-Key)", hashes=True),
    _haproxy("hash consistent + bound", "hdr(X-Key)", hashes=True, bounded=True),
    _haproxy("leastconn + cookie", "leastconn", cookie=True),
)}

# name: (title, factor, digits), in the order of the table's columns
METRICS = {
    "p50_ms": ("p50", 1, 1),
    "p90_ms": ("p90", 1, 1),
    "p99_ms": ("p99", 1, 1),
    "max_ms": ("max", 1, 0),
    "failed": ("failed, %", 100, 2),
    "odd_share": ("odd replica's share, %", 100, 1),
    "attempts": ("attempts a request", 1, 2),
}
