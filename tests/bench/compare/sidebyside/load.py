# SPDX-License-Identifier: Apache-2.0
"""The helpers in C: built once, started pinned beside the load, spoken with by lines."""

import json
import select
import subprocess
import time
from pathlib import Path

from . import machine
from .machine import BenchError

SOURCES = Path(__file__).resolve().parent.parent
FLAGS = ["-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra"]
DEADLINE_SECONDS = 120


def build_program(program, sources, libraries=()):
    """Compiles a helper where it is older than what it is made of."""
    newest = max(p.stat().st_mtime for s in sources for p in s.parent.glob("*.[ch]"))
    if program.exists() and program.stat().st_mtime > newest:
        return
    command = ["cc", *FLAGS, "-I", str(SOURCES / "load"), "-o", str(program),
               *map(str, sources), *libraries]
    done = subprocess.run(command, stderr=subprocess.PIPE, check=False, timeout=120)
    if done.returncode != 0:
        raise BenchError(f"{' '.join(command)}:\n{done.stderr.decode()}")


def build(to):
    """Origin and load, in the folder `to`."""
    to.mkdir(parents=True, exist_ok=True)
    build_program(to / "origin", [SOURCES / "origin.c"])
    build_program(to / "load", sorted((SOURCES / "load").glob("*.c")), ["-lssl", "-lcrypto"])


class Talker:
    """A helper that prints lines."""

    def __init__(self, command, **options):
        self.process = machine.Process(command, machine.LOAD_CPU, stdin=subprocess.PIPE,
                                       stdout=subprocess.PIPE, **options)

    def has_line(self, seconds):
        return bool(select.select([self.process.popen.stdout], [], [], max(0, seconds))[0])

    def line(self, seconds):
        if not self.has_line(seconds):
            raise BenchError(f"no word from {self.process.command[0]} in {seconds:.0f} s")
        text = self.process.popen.stdout.readline().decode()
        if not text:
            raise BenchError(f"{' '.join(self.process.command)} ended early")
        return text.strip()

    def say(self):
        self.process.popen.stdin.write(b"\n")
        self.process.popen.stdin.flush()

    def stop(self):
        self.process.stop()


class Origin(Talker):
    def __init__(self, programs, port, nice):
        super().__init__([str(programs / "origin"), str(port)], nice=nice)
        if self.line(10) != "ready":
            raise BenchError("the origin does not start")


class Load(Talker):
    """One run of the generator: warm when made, `go`, `result`, `stop`."""

    def __init__(self, bench, options, deadline=DEADLINE_SECONDS):
        self.deadline = deadline
        words = [str(bench.programs / "load"), "--deadline", str(deadline)]
        for name, value in options.items():
            words.append("--" + name.replace("_", "-"))
            if value is not True:
                words.append(str(value))
        super().__init__(words, nice=bench.nice)
        bench.running.append(self)
        self.ready = json.loads(self.line(deadline + 20))
        if self.ready["event"] != "ready":
            raise BenchError(f"no warm-up: {self.ready}; command: {' '.join(words)}")

    def go(self):
        self.started = time.monotonic()
        self.say()

    def is_done(self, seconds):
        return self.has_line(seconds)

    def result(self):
        result = json.loads(self.line(self.deadline + 20))
        if not result["in_time"]:
            raise BenchError(f"load did not end in {self.deadline} s: {result}")
        return result
