# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown, and what they have to be."""

from .faults import FAULTS
from .measure import DEADLINE_MS, SLACK_MS


def lease(run, burst):
    """The largest there may be, in tokens."""
    return burst // (2 * run["gateways"]) if run["mode"] == "lease" else 0


def bound(run, how):
    """What a window may have beyond rate x w; docs/design/limits.md has the reasons."""
    rate, burst, n = how["rate"], how["burst"], run["gateways"]
    most = burst + 1.0
    if lease(run, burst) >= 2:
        most += rate * DEADLINE_MS / 1000 + n * lease(run, burst)
    if run["loses"]:
        most += burst + 1  # buckets begin full again
    if run["fallbacks"] and run["on_failure"] == "local":
        # Gateways admit their shares, and charge them to Redis one after another.
        most += burst * (n - 1) / n + 4 * n
    return most


def faults_of(run, how):
    """What a run should not have shown."""
    wrong = []
    if run["worst"] > bound(run, how):
        wrong.append(f"{run['worst']:.1f} in a window, {bound(run, how):.1f} may be")
    allowed = {"200", "429"} | ({"503"} if run["on_failure"] == "closed" else set())
    if odd := set(run["statuses"]) - allowed:
        wrong.append(f"statuses {', '.join(sorted(odd))}")
    if run["admitted"] != run["counted"]:
        wrong.append(f"clients saw {run['admitted']} pass, gateways {run['counted']}")
    return wrong


def _rows(head, rows):
    rows = [head, *rows]
    widths = [max(len(r[i]) for r in rows) for i in range(len(head))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(r, widths)) + " |" for r in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return lines


def percent(run):
    return f"{100 * run['admitted'] / run['allowed']:.1f} %"


def accuracy(runs, how):
    head = ["gateways", "traffic", "mode", "asked", "admitted / allowed", "", "worst window",
            "bound", "calls/s", "decided without Redis", "p50, ms", "p99, ms", "p99 unlimited"]
    return _rows(head, [[
        str(r["gateways"]), r["traffic"], r["mode"], f"{r['asked']:,}",
        f"{r['admitted']:,} / {r['allowed']:,.0f}", percent(r), f"{r['worst']:.1f}",
        f"{bound(r, how):.1f}", f"{r['calls'] / r['seconds']:,.0f}", f"{r['fallbacks']:,}",
        f"{r['limited_p50_ms']:.2f}", f"{r['limited_p99_ms']:.2f}", f"{r['plain_p99_ms']:.2f}",
    ] for r in runs])


def troubles(runs, how):
    over = DEADLINE_MS + SLACK_MS
    head = ["what happens", "mode", "on_failure", "p50, ms", "p99", "max", "unlimited p99", "max",
            f"over {over} ms", "unlimited", "late calls", "circuits opened",
            "admitted / allowed", "worst window", "bound", "503"]
    return _rows(head, [[
        r["fault"], r["mode"], r["on_failure"], f"{r['limited_p50_ms']:.2f}",
        f"{r['limited_p99_ms']:.2f}", f"{r['limited_max_ms']:.1f}", f"{r['plain_p99_ms']:.2f}",
        f"{r['plain_max_ms']:.1f}", f"{r['limited_over']} of {r['limited_count']:,}",
        f"{r['plain_over']} of {r['plain_count']:,}", str(r["late"]), str(r["circuits_opened"]),
        f"{r['admitted']:,} / {r['allowed']:,.0f}", f"{r['worst']:.1f}", f"{bound(r, how):.1f}",
        f"{r['statuses'].get('503', 0):,}",
    ] for r in runs])


def markdown(results):
    how, machine = results["how"], results["machine"]
    kernel = machine["kernel"].partition("-")[0]
    seen = [f for f in FAULTS.values() if any(r["fault"] == f.name for r in results["faults"])]
    lines = [f"{machine['cpus']} CPUs ({machine['cpu']}), Linux {kernel}, {results['redis']}, "
             f"{results['date']}; load average {machine['load_average']:.1f} at the start. "
             f"{how['keys']} keys of {how['rate']}/s with a burst of {how['burst']:,}, "
             f"{how['load']:,} limited requests a second over all gateways "
             f"(and a quarter as many unlimited), {how['seconds']:g} s a run.", ""]
    if results["accuracy"]:
        lines += ["### Accuracy", "", *accuracy(results["accuracy"], how), ""]
    if results["faults"]:
        lines += [f"### Trouble, {results['faults'][0]['gateways']} gateways", "",
                  *troubles(results["faults"], how), "",
                  *(f"- *{f.name}*: {f.about}." for f in seen), ""]
    return "\n".join(lines)
