# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown: on the terminal, and the tables of docs/zero-loss.md."""

from sidebyside.report import TITLES

from .entrants import ENTRANTS
from .scenarios import SCENARIOS


def title(name):
    entrant = ENTRANTS[name]
    return TITLES[entrant.proxy] if entrant.proxy == "wharfgate" else f"{TITLES[entrant.proxy]}, {entrant.driven}"


def padded(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths)) + " |" for row in rows]
    lines.insert(1, "|" + "|".join("-" * (w + 2) for w in widths) + "|")
    return lines


def failed(got):
    """All that failed, and in brackets how many of them nobody could have saved."""
    if got is None:
        return "-"
    if "problem" in got:
        return "stuck"
    total = got["failed_get"] + got["failed_post"]
    saved = f" ({got['killed_post']})" if got["killed_post"] else ""
    return f"{total:,}{saved}"


def overview(results):
    names = [n for n in ENTRANTS if any(n in s for s in results["scenarios"].values())]
    rows = [["failed requests", *map(title, names)]]
    for name in (s for s in SCENARIOS if s in results["scenarios"]):
        rows.append([f"`{name}`", *(failed(results["scenarios"][name].get(n)) for n in names)])
    return padded(rows)


def detail(per_entrant):
    rows = [["", "requests", "a second", "failed GET", "failed POST", "of these unanswered", "POSTs done twice",
             "longest wait, ms", "what the failures were"]]
    for name in (n for n in ENTRANTS if n in per_entrant):
        got = per_entrant[name]
        if "problem" in got:
            rows.append([title(name), got["problem"], *["-"] * 7])
            continue
        kinds = ", ".join(f"{count:,} {' '.join(kind.split())}" for kind, count in
                          sorted(got["failures"].items(), key=lambda f: -f[1])[:4])
        post = f"{got['failed_post']:,}" + (f" ({got['killed_post']})" if got["killed_post"] else "")
        rows.append([title(name), f"{got['requests']:,}", f"{got['requests'] / got['seconds']:,.0f}",
                     f"{got['failed_get']:,}", post, f"{got['unanswered']:,}",
                     f"{got['doubles']:,}", f"{got['longest_ms']:,}", kinds])
    return padded(rows)


def markdown(results):
    machine = results["machine"]
    versions = ", ".join(f"{TITLES.get(p, p)} {v}" for p, v in results["versions"].items())
    how = results["how"]
    lines = [f"{machine['cpus']} CPUs ({machine['cpu']}), Linux {machine['kernel'].partition('-')[0]}; {versions}; "
             f"{results['date']}. {how['rate']:,} requests a second are due, {how['post']} % of them POST, over at "
             f"most {how['connections']:,} connections; {how['rounds']} rounds of each replacement.", "",
             *overview(results), ""]
    for name in (s for s in SCENARIOS if s in results["scenarios"]):
        lines += [f"`{name}`: {SCENARIOS[name].about}.", "", *detail(results["scenarios"][name]), ""]
    return "\n".join(lines)
