# SPDX-License-Identifier: Apache-2.0
"""What is measured. A scenario is a row; how it is measured is in measure.py."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scenario:
    name: str
    about: str
    how: str                      # a method of measure.Bench
    requests: int = 0             # a round
    port: str = "plain"
    variant: tuple = ()
    load: dict = field(default_factory=dict)
    counts_calls: bool = False    # system calls by strace
    counts_instructions: bool = False


def _row(*words, **more):
    return Scenario(*words, **more)


_STREAMS = {"connections": 16, "streams": 32} # by h2load

SCENARIOS = {s.name: s for s in (
    _row("plain-1k", "plain, kept alive, 1 KiB, 64 connections", "traffic", 60000,
         load={"path": "/1k"}, counts_calls=True, counts_instructions=True),
    _row("plain-1k-limited", "as plain-1k, with a rate limit by address that never refuses",
         "beside", 60000, variant=("limited",), load={"path": "/1k"}, counts_instructions=True),
    _row("plain-1k-dressed", "as plain-1k-limited, and with the security headers of `strict`",
         "beside", 60000, variant=("limited", "dressed"), load={"path": "/1k"},
         counts_instructions=True),
    _row("plain-100k", "plain, kept alive, 100 KiB, 32 connections", "traffic", 20000,
         load={"path": "/100k", "connections": 32}, counts_calls=True),
    _row("plain-1m", "plain, kept alive, 1 MiB, 16 connections", "traffic", 2000,
         load={"path": "/1m", "connections": 16}, counts_calls=True),
    _row("gzip-64k", "64 KiB of JSON to a client that takes any coding, gzip at level 1, 16 "
         "connections", "traffic", 8000, variant=("compressed", "gzip"),
         load={"path": "/json", "connections": 16}, counts_calls=True),
    _row("zstd-64k", "as gzip-64k; wharfgate chooses zstd (level 3)", "traffic", 8000,
         variant=("compressed", "zstd"), load={"path": "/json", "connections": 16}),
    _row("tls-1k", "TLS 1.3, kept alive, 1 KiB, 64 connections", "traffic", 40000, "ecdsa",
         load={"tls": True, "path": "/1k"}, counts_calls=True, counts_instructions=True),
    _row("tls-100k", "TLS 1.3, kept alive, 100 KiB, 32 connections", "traffic", 8000, "ecdsa",
         load={"tls": True, "path": "/100k", "connections": 32}, counts_calls=True),
    _row("files-1k", "a file of 1 KiB, plain, 64 connections", "traffic", 60000, variant=("files",),
         load={"path": "/1k"}, counts_calls=True),
    _row("files-1m", "a file of 1 MiB, plain, 16 connections", "traffic", 3000, variant=("files",),
         load={"path": "/1m", "connections": 16}, counts_calls=True),
    _row("files-tls-1k", "a file of 1 KiB, TLS 1.3, 64 connections", "traffic", 40000, "ecdsa", ("files",),
         load={"tls": True, "path": "/1k"}, counts_calls=True),
    _row("files-tls-1m", "a file of 1 MiB, TLS 1.3, 16 connections", "traffic", 1000, "ecdsa", ("files",),
         load={"tls": True, "path": "/1m", "connections": 16}, counts_calls=True),
    _row("handshake-ecdsa", "full handshake (P-256) and one request", "traffic", 3000, "ecdsa",
         load={"tls": True, "connection_each": True, "connections": 16, "sources": 16},
         counts_calls=True),
    _row("handshake-rsa", "full handshake (RSA-2048) and one request", "traffic", 3000, "rsa",
         load={"tls": True, "connection_each": True, "connections": 16, "sources": 16}),
    _row("handshake-resumed", "resumed handshake (ticket, P-256) and one request", "traffic",
         4000, "ecdsa", load={"tls": True, "connection_each": True, "resume": True,
                              "connections": 16, "sources": 16}, counts_calls=True),
    _row("newconn", "plain, a new connection for each request", "traffic", 20000,
         load={"connection_each": True, "connections": 32, "sources": 16}, counts_calls=True),
    _row("idle-plain", "10,000 idle plain connections, new and used once", "idle"),
    _row("idle-tls", "10,000 idle TLS connections, new and used once", "idle",
         port="ecdsa", load={"tls": True}),
    _row("hosts-5000", "plain, 1 KiB, 5,000 hosts in turn, each with a route", "many_hosts", 30000,
         variant=("hosts",), load={"hosts": 5000}),
    _row("jsonlog", "as plain-1k, with a JSON access log in a file", "logging", 40000,
         variant=("log",)),
    _row("reload", "a reload a second, 4,000 requests/s on kept-alive connections", "reloading",
         40000, variant=("reload",), load={"rate": 4000}),
    _row("openloop-2000", "2,000 requests/s, open loop, 64 connections", "traffic", 6000,
         load={"rate": 2000}),
    _row("h2-1k", "HTTP/2 over TLS 1.3, 1 KiB, 16 connections with 32 streams each", "traffic",
         100000, "ecdsa", load={"tls": True, "path": "/1k", **_STREAMS}, counts_calls=True,
         counts_instructions=True),
    _row("h2-100k", "as h2-1k, with 100 KiB", "traffic", 16000, "ecdsa",
         load={"tls": True, "path": "/100k", **_STREAMS}, counts_calls=True),
    _row("h2-h2-1k", "as h2-1k, and HTTP/2 in the clear to the origin", "traffic", 60000, "ecdsa",
         variant=("h2origin",), load={"tls": True, "path": "/1k", **_STREAMS}, counts_calls=True),
    _row("h2-c-1k", "as h2-1k, in the clear (prior knowledge)", "traffic", 100000, "h2c",
         variant=("h2c",), load={"path": "/1k", **_STREAMS}, counts_calls=True),
)}


@dataclass(frozen=True)
class Target:
    """`metric` of wharfgate, divided by `versus` (a proxy, or "own METRIC"), at most `limit`.
    What it is divided by is from the scenario `base` where one is named."""
    scenario: str
    metric: str
    limit: float
    versus: str = ""
    base: str = ""


TARGETS = (
    Target("plain-1k", "cpu_us", 0.83, "nginx"),
    Target("plain-1k", "cpu_us", 0.78, "haproxy"),
    Target("plain-1k", "system_calls", 4.2),
    Target("plain-1k", "calls_epoll_ctl", 0.01),
    Target("plain-1k", "instructions", 8000),
    Target("plain-1k-limited", "cpu_us", 1.03, "own cpu_us_without"),
    Target("plain-1k-dressed", "cpu_us", 1.05, "own cpu_us_without"),
    Target("plain-100k", "cpu_us", 1.00, "nginx"),
    Target("plain-100k", "cpu_us", 0.65, "haproxy"),
    Target("plain-1m", "cpu_us", 0.95, "nginx"),
    Target("plain-1m", "cpu_us", 1.00, "haproxy"),
    Target("gzip-64k", "cpu_us", 0.40, "nginx"),
    Target("gzip-64k", "cpu_us", 0.75, "haproxy"),
    Target("gzip-64k", "body_bytes", 0.999, "nginx"),
    Target("gzip-64k", "body_bytes", 0.999, "haproxy"),
    Target("zstd-64k", "cpu_us", 0.45, "nginx"),
    Target("zstd-64k", "body_bytes", 0.80, "nginx"),
    Target("tls-1k", "cpu_us", 0.87, "nginx"),
    Target("tls-100k", "cpu_us", 0.68, "nginx"),
    Target("files-1k", "cpu_us", 1.00, "nginx"),
    Target("files-1m", "cpu_us", 1.00, "nginx"),
    Target("files-tls-1k", "cpu_us", 1.00, "nginx"),
    Target("files-tls-1m", "cpu_us", 1.00, "nginx"),
    Target("handshake-ecdsa", "cpu_us", 0.85, "nginx"),
    Target("handshake-rsa", "cpu_us", 0.90, "nginx"),
    Target("handshake-resumed", "cpu_us", 0.80, "nginx"),
    Target("newconn", "cpu_us", 1.00, "nginx"),
    Target("jsonlog", "cpu_us", 0.87, "nginx"),
    Target("jsonlog", "cpu_us", 1.04, "own cpu_us_without"),
    Target("hosts-5000", "cpu_us", 0.70, "nginx"),
    Target("hosts-5000", "pss_mb", 15),
    Target("hosts-5000", "ready_s", 0.1),
    Target("idle-plain", "idle_bytes", 520),
    Target("idle-plain", "idle_used_bytes", 520),
    Target("idle-tls", "idle_bytes", 18000),
    Target("idle-tls", "idle_used_bytes", 18000),
    Target("reload", "failed", 0),
    Target("reload", "raced", 0),
    Target("reload", "memory_peak", 1.15),
    Target("openloop-2000", "cpu_us", 0.95, "nginx"),
    Target("h2-1k", "cpu_us", 0.62, "nginx"),
    Target("h2-1k", "cpu_us", 0.55, "haproxy"),
    Target("h2-100k", "cpu_us", 0.70, "nginx"),
    Target("h2-h2-1k", "cpu_us", 1.00, "own cpu_us", "h2-1k"),
)

# How a metric is called, and how many digits of it say something.
METRICS = {
    "cpu_us": ("CPU, us a request", 1),
    "cpu_us_without": ("CPU without that, us a request", 1),
    "requests_per_second": ("requests/s", 0),
    "busy": ("share of CPU 0", 2),
    "system_calls": ("system calls a request", 2),
    "calls_epoll_ctl": ("of them epoll_ctl", 3),
    "instructions": ("user instructions a request", 0),
    "body_bytes": ("bytes of a body", 0),
    "overhead_bytes": ("bytes of frames and fields a response", 0),
    "p50_us": ("p50, us", 0),
    "p90_us": ("p90, us", 0),
    "p99_us": ("p99, us", 0),
    "p999_us": ("p99.9, us", 0),
    "idle_bytes": ("bytes a connection that had no request yet", 0),
    "idle_used_bytes": ("bytes a connection that had one", 0),
    "pss_mb": ("PSS, MB", 1),
    "ready_s": ("s until ready", 3),
    "log_lines": ("log lines a request", 3),
    "failed": ("failed requests", 0),
    "raced": ("kept-alive connections closed under a request", 0),
    "reloads": ("reloads", 0),
    "memory_peak": ("memory peak / before", 2),
    "memory_before_mb": ("PSS before, MB", 1),
}
