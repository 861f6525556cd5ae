# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown: on the terminal, and the tables of docs/balancing.md."""

import statistics

from sidebyside.report import TITLES

from .scenarios import ENTRANTS, METRICS, SCENARIOS

SPREAD = ("p99_ms", "failed") # shown with the least and the greatest of the rounds


def _number(value, metric):
    _, factor, digits = METRICS[metric]
    return f"{value * factor:,.{digits}f}"


def cell(values, metric):
    if not values:
        return "-"
    text = _number(statistics.median(values), metric)
    least, most = _number(min(values), metric), _number(max(values), metric)
    return f"{text} ({least}-{most})" if metric in SPREAD and least != most else text


def _padded(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return lines


def table(results, scenario):
    rows = [["proxy", "algorithm", *(title for title, _, _ in METRICS.values())]]
    for name, entrant in ENTRANTS.items():
        values = results["scenarios"][scenario].get(name)
        label = [TITLES[entrant.proxy], f"`{entrant.algorithm}`"]
        if values:
            rows.append(label + [cell(values.get(m), m) for m in METRICS])
        elif name in results["skipped"]: # a build without it
            rows.append(label + ["not measured", *["-"] * (len(METRICS) - 1)])
    return _padded(rows)


def noise(results):
    every = [max(both) for per_entrant in results["scenarios"].values()
             for values in per_entrant.values()
             for both in zip(values["load_late_p99_ms"], values["origin_late_p99_ms"])]
    if not every:
        return ""
    return f"In 99 of 100 cases load and replicas kept their times within {max(every):.1f} ms."


def markdown(results):
    machine = results["machine"]
    versions = ", ".join(f"{TITLES[p]} {v}" for p, v in results["versions"].items())
    how = results["how"]
    kernel = machine["kernel"].partition("-")[0]
    lines = [f"{machine['cpus']} CPUs ({machine['cpu']}), Linux {kernel}; {versions}; "
             f"{results['rounds']} rounds, {results['date']}. {how['rate']:,} requests a second "
             f"({how['load']} % of what nine replicas can do), {how['threads']} threads a replica, "
             f"{how['service_ms']:g} ms a request; {how['seconds']:g} s after "
             f"{how['warm_up']:g} s of warm-up. {noise(results)}", "",
             "Milliseconds; medians, and in brackets the least and the greatest of the rounds.", ""]
    for scenario in (s for s in SCENARIOS if s in results["scenarios"]):
        lines += [f"`{scenario}`: {SCENARIOS[scenario].about}.", "",
                  *table(results, scenario), ""]
    return "\n".join(lines)
