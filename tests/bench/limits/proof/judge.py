# SPDX-License-Identifier: Apache-2.0
"""What a run's records say: how many passed of what may, how long requests took."""

from collections import Counter, namedtuple

Record = namedtuple("Record", "due_us done_us gate key status")


def parse(text):
    return [Record(*map(int, line.split())) for line in text.splitlines()]


def limited(records):
    return [r for r in records if r.key >= 0]


def plain(records):
    return [r for r in records if r.key < 0]


def within(records, since, until):
    """Those that were due between two times of the monotonic clock, in seconds."""
    return [r for r in records if since * 1e6 <= r.due_us < until * 1e6]


def admitted_of(records):
    """By key: those that passed, in the order of their being due."""
    by_key = {}
    for r in sorted(limited(records)):
        if r.status == 200:
            by_key.setdefault(r.key, []).append(r)
    return by_key


def allowed(records, rate, burst):
    """rate x w + burst + 1 (the one at hand), over all keys that were asked for; w: from the first
    request to the last answer of each."""
    total = 0.0
    for key in {r.key for r in limited(records)}:
        of_key = [r for r in records if r.key == key]
        seconds = (max(r.done_us for r in of_key) - of_key[0].due_us) / 1e6
        total += rate * seconds + burst + 1
    return total


def worst_window(records, rate):
    """The most that passed in any window of any key beyond rate x w. Nobody outside knows when
    it was decided: a window is as long as it can have been, so that an excess is one for sure."""
    worst = 0.0
    for passed in admitted_of(records).values():
        lowest, latest = float("inf"), 0
        for i, r in enumerate(passed):
            lowest = min(lowest, i - rate * r.due_us / 1e6)
            latest = max(latest, r.done_us)
            worst = max(worst, i + 1 - rate * latest / 1e6 - lowest)
    return worst


def statuses(records):
    return Counter(r.status for r in limited(records))


def milliseconds(records):
    return sorted((r.done_us - r.due_us) / 1000 for r in records)


def at(ordered, fraction):
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))] if ordered else 0.0


def times(records):
    ordered = milliseconds(records)
    return {"count": len(ordered), "p50_ms": at(ordered, 0.5), "p99_ms": at(ordered, 0.99),
            "max_ms": ordered[-1] if ordered else 0.0}


def longer_than(records, ms):
    return sum(took > ms for took in milliseconds(records))
