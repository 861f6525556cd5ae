# SPDX-License-Identifier: Apache-2.0
"""A steady load by load.c, and what became of each request: by its answer, and by the records of the
origins that had it."""
import collections
import contextlib
import signal
import subprocess

from engine import PATIENCE
from harness import until

Result = collections.namedtuple("Result", "number method sent_us done_us status word")


class Load:
    """Runs until the block ends. `address`: (host, port)."""

    def __init__(self, engine, address, connections=32, rate=2000, percent_post=50):
        self.engine = engine
        self.results = []
        self.command = [engine.load_program, *map(str, (*address, connections, rate, percent_post))]
        self.path = engine.dir / "load.out"

    def look(self):
        """Reads what has come since; all results."""
        self.rest += self.file.read()
        *lines, self.rest = self.rest.split("\n")
        for line in lines:
            number, method, sent, done, status, word = line.split(" ")
            self.results.append(Result(int(number), method, int(sent), int(done), int(status), word))
        return self.results

    def progress(self, each=500, by=()):
        """Waits until there were so many more right answers; of each of the containers `by`, if
        it names any."""
        names = [c.name for c in by]
        start = len(self.look())

        def is_there():
            assert self.process.poll() is None, f"the load ended: {self.process.returncode}"
            new = collections.Counter(r.word for r in self.look()[start:] if r.status == 200)
            return all(new[n] >= each for n in names) if names else new.total() >= each
        until(is_there, f"{each} answers of {names or 'any'}; there were {self.counts()}", PATIENCE)

    def end(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)
        self.look()

    def __enter__(self):
        with open(self.path, "wb") as out:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out)
        self.file, self.rest = open(self.path, encoding="ascii"), ""
        return self

    def __exit__(self, *_):
        with contextlib.closing(self.file):
            self.end()

    # ---- what became of them ----

    def counts(self):
        """{name of the origin: right answers, "METHOD STATUS REASON": errors}"""
        return collections.Counter(r.word if r.status == 200 and r.word != "wrong"
                                   else f"{r.method} {r.status} {r.word}" for r in self.results)

    def failures(self):
        """Whatever is no right answer."""
        return [r for r in self.results if r.status != 200 or r.word == "wrong"]

    def doubles(self, containers, method="POST"):
        """{number: names of the origins} of those that were processed more than once."""
        found = collections.defaultdict(list)
        for c in containers:
            for number, m, _, _ in c.requests():
                if number and m == method:
                    found[number].append(c.name)
        return {number: names for number, names in found.items() if len(names) > 1}

    def lost(self, containers):
        """Right answers by an origin that has no record of the request."""
        had = {c.name: {r[0] for r in c.requests()} for c in containers}
        return [r for r in self.results
                if r.status == 200 and r.number not in had.get(r.word, ())]

    def check(self, containers):
        """What holds whatever happens: nothing is done twice, and nothing told that was not done."""
        print(f"\n  {dict(self.counts())}", end="")
        assert not self.doubles(containers) and not self.lost(containers)

    def check_all(self, containers):
        """And no request failed."""
        self.check(containers)
        assert not self.failures(), self.failures()[:5]
