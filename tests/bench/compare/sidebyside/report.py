# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown: the tables of docs/performance.md."""

import re
import statistics

from .scenarios import METRICS, SCENARIOS, TARGETS

BASES = ("nginx", "haproxy")
TITLES = {"nginx": "nginx", "haproxy": "HAProxy", "wharfgate": "wharfgate"}
MARKS = ("<!-- results: begin -->", "<!-- results: end -->")


def median(results, scenario, proxy, metric):
    values = results["scenarios"].get(scenario, {}).get(proxy, {}).get(metric)
    return statistics.median(values) if values else None


def number(value, digits):
    return f"{value:,.{digits}f}" if value is not None else "-"


def _spread(values, digits):
    if not values:
        return "-"
    middle = number(statistics.median(values), digits)
    if len(values) == 1 or min(values) == max(values):
        return middle
    return f"{middle} ({number(min(values), digits)}-{number(max(values), digits)})"


def _ratio(top, bottom):
    return f"{top / bottom:.2f}" if top is not None and bottom else "-"


def _row(cells):
    return "| " + " | ".join(cells) + " |"


def _table(head, rows):
    return [_row(head), "|" + " --- |" * len(head), *map(_row, rows), ""]


def _metrics_of(results, scenario):
    """Those that any proxy has, in the order of METRICS."""
    have = set().union(*(v.keys() for v in results["scenarios"][scenario].values()))
    shown = [m for m in METRICS if m in have]
    how = SCENARIOS[scenario].how
    if how in ("traffic", "logging", "many_hosts"):
        shown.remove("failed") # none, or there would be no figures
        if "rate" not in SCENARIOS[scenario].load:
            shown = [m for m in shown if not m.startswith("p") or m == "pss_mb"]
    return shown


def scenario_table(results, proxies):
    head = ["scenario", "measured", *(TITLES[p] for p in proxies)]
    ratios = [(p, b) for b in BASES for p in reversed(proxies) if b in proxies and p != b
              and (p not in BASES or b == "nginx")]
    head += [f"{TITLES[p]} x {TITLES[b]}" for p, b in ratios]
    rows = []
    for scenario in (s for s in SCENARIOS if s in results["scenarios"]):
        for at, metric in enumerate(_metrics_of(results, scenario)):
            title, digits = METRICS[metric]
            per_proxy = results["scenarios"][scenario]
            cells = [scenario if at == 0 else "", title]
            cells += [_spread(per_proxy.get(p, {}).get(metric), digits) for p in proxies]
            for proxy, base in ratios:
                cells.append(_ratio(median(results, scenario, proxy, metric),
                                    median(results, scenario, base, metric)))
            rows.append(cells)
    return _table(head, rows)


def judge(results, target):
    """(what was reached, or None, and whether it is enough)"""
    value = median(results, target.scenario, "wharfgate", target.metric)
    scenario = target.base or target.scenario
    if target.versus.startswith("own "):
        base = median(results, scenario, "wharfgate", target.versus[4:])
    elif target.versus:
        base = median(results, scenario, target.versus, target.metric)
    else:
        base = 1
    if value is None or not base:
        return None, False
    return value / base, value / base <= target.limit + 1e-9


def target_table(results):
    rows = []
    for target in TARGETS:
        title, digits = METRICS[target.metric]
        if target.versus:
            named = TITLES.get(target.versus) or METRICS[target.versus[4:]][0] + " of its own"
            where = f" in {target.base}" if target.base else ""
            title, digits = f"{title}, x {named}{where}", 2
        got, is_reached = judge(results, target)
        limit = f"<= {number(target.limit, max(digits, 2) if target.limit < 10 else 0)}"
        if target.limit == 0:
            limit = "0"
        verdict = "not measured" if got is None else "reached" if is_reached else "**not reached**"
        rows.append([target.scenario, title, limit, number(got, digits), verdict])
    return _table(["scenario", "measured", "target", "wharfgate", ""], rows)


def call_table(results, proxies):
    """Which system calls a request makes, those of at least one in a hundred."""
    rows = []
    for scenario, per_proxy in results["scenarios"].items():
        for proxy in proxies:
            calls = {m[6:]: v[0] for m, v in per_proxy.get(proxy, {}).items()
                     if m.startswith("calls_") and v[0] >= 0.01}
            if calls:
                text = ", ".join(f"{name} {calls[name]:.2f}"
                                 for name in sorted(calls, key=calls.get, reverse=True))
                rows.append([scenario, TITLES[proxy], text])
    return _table(["scenario", "", "system calls a request"], rows) if rows else []


def markdown(results, has_targets):
    machine = results["machine"]
    proxies = [p for p in TITLES if p in results["versions"]]
    versions = ", ".join(f"{TITLES[p]} {results['versions'][p]}" for p in proxies)
    lines = [f"{machine['cpus']} CPUs ({machine['cpu']}), {machine['memory_mib']:,} MiB, "
             f"Linux {machine['kernel']}; {versions}; {results['suite']}, {results['openssl']}; "
             f"{results['rounds']} rounds, {results['date']}.", "",
             "Made by:", "", *(f"    {command}" for command in results["commands"]), "",
             "Medians, and in brackets the least and the greatest of the rounds.", ""]
    lines += [f"Not measured: {problem}\n" for problem in results.get("problems", ())]
    lines += scenario_table(results, proxies)
    if has_targets:
        lines += ["Targets:", "", *target_table(results)]
    calls = call_table(results, proxies)
    if calls:
        lines += ["System calls:", "", *calls]
    return "\n".join(lines)


def insert(path, text):
    """Puts the tables between the marks of a document."""
    document = path.read_text()
    begin, end = (document.find(mark) for mark in MARKS)
    if begin < 0 or end < begin:
        raise ValueError(f"{path} has no lines {MARKS[0]} and {MARKS[1]}")
    document = document[:begin + len(MARKS[0])] + "\n" + text + document[end:]
    path.write_text(re.sub(r"\n{3,}", "\n\n", document))
