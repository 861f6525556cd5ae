# SPDX-License-Identifier: Apache-2.0
"""The machine: figures of /proc, and processes that are started and surely stopped."""

import contextlib
import ctypes
import fcntl
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wharfgate" / "bench"
LOCK_SECONDS = 3600
PROXY_CPU = 0
LOAD_CPU = 1
FILES = 65536
REAL_TIME = "real-time"
PR_SET_PDEATHSIG = 1
CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


class BenchError(Exception):
    """Something that makes the figures impossible or worthless."""


def enter_own_mounts(root):
    """Gives this process a mount table of its own, with /proc and /dev in `root`:
    whatever happens, nothing stays mounted afterwards."""
    def check(result, what):
        if result != 0:
            raise BenchError(f"{what}: {os.strerror(ctypes.get_errno())} (needs root)")
    check(libc.unshare(CLONE_NEWNS), "unshare")
    check(libc.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "mount")
    check(libc.mount(b"proc", os.fsencode(root / "proc"), b"proc", 0, None), "mount proc")
    check(libc.mount(b"/dev", os.fsencode(root / "dev"), None, MS_BIND | MS_REC, None), "mount dev")


@contextlib.contextmanager
def alone(folder, say):
    """Two runs at once would measure each other, and share each other's pages."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("waiting for another run, or prepare, to end")
            until = time.monotonic() + LOCK_SECONDS
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError as problem:
                    if time.monotonic() > until:
                        raise BenchError("another run does not end") from problem
                    time.sleep(1)
        yield


def file_limit():
    """How many files a child may be allowed; raising the bound needs a capability."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, max(FILES, hard)))
    except (ValueError, OSError):
        pass
    return min(FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])


class Guard:
    """Ends what is left when this process has gone without a word, and removes `folder`.

    A child is asked to die with us, but not what it has started itself (a worker process)."""
    PROGRAM = """
import os, shutil, signal, sys
sessions = set()
for line in sys.stdin:
    (sessions.add if line[0] == "+" else sessions.discard)(int(line[1:]))
for session in sessions:
    try:
        os.killpg(session, signal.SIGKILL)
    except ProcessLookupError:
        pass
if sys.argv[1]:
    shutil.rmtree(sys.argv[1], ignore_errors=True)
"""

    def __init__(self, folder):
        self.popen = subprocess.Popen([sys.executable, "-c", self.PROGRAM, str(folder or "")],
                                      stdin=subprocess.PIPE, start_new_session=True)

    def tell(self, sign, pid):
        self.popen.stdin.write(f"{sign}{pid}\n".encode())
        self.popen.stdin.flush()

    def end(self):
        self.popen.stdin.close()
        self.popen.wait()


class Process:
    """A child in a session of its own, pinned to one CPU (None: to none), that dies with us."""
    guard = None # a Guard, while there is a run

    def __init__(self, command, cpu, root=None, nice=0, **options):
        """`nice` may be REAL_TIME: before everything that is not, so only for what leaves
        its CPU idle most of the time."""
        files = file_limit()

        def prepare():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            if cpu is not None:
                os.sched_setaffinity(0, {cpu})
            if nice == REAL_TIME:
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
            elif nice:
                os.setpriority(os.PRIO_PROCESS, 0, nice)
            if root:
                os.chroot(root)
                os.chdir("/")
        self.command = command
        self.started = time.monotonic()
        self.popen = subprocess.Popen(command, preexec_fn=prepare, start_new_session=True,
                                      **options)
        self.pid = self.popen.pid
        if self.guard:
            self.guard.tell("+", self.pid)

    def is_running(self):
        return self.popen.poll() is None

    def _has_members(self):
        self.popen.poll() # takes the zombie away
        try:
            os.killpg(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    def stop(self, seconds=5.0):
        """SIGTERM, then SIGKILL for what is left of the session that we started."""
        if self.is_running():
            self.popen.send_signal(signal.SIGTERM)
            until = time.monotonic() + seconds
            while self._has_members() and time.monotonic() < until:
                time.sleep(0.01)
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.popen.wait()
        if self.guard:
            self.guard.tell("-", self.pid)
        for pipe in (self.popen.stdin, self.popen.stdout, self.popen.stderr):
            if pipe:
                pipe.close()


def tree(pid):
    """The process and everything below it."""
    found = [pid]
    for parent in found:
        try:
            tasks = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for task in tasks:
            try:
                with open(f"/proc/{parent}/task/{task}/children") as f:
                    found += [int(child) for child in f.read().split()]
            except OSError:
                pass
    return found


def _schedstat(pid, field):
    """One field of schedstat, summed over all threads of the tree."""
    total = 0
    for process in tree(pid):
        try:
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/schedstat") as f:
                    total += int(f.read().split()[field])
        except OSError:
            pass
    return total


def cpu_ns(pid):
    """User and system time, in ns."""
    return _schedstat(pid, 0)


def waited_ns(pid):
    """Time that it could have run, had nobody else been on its CPU."""
    return _schedstat(pid, 1)


def pss_bytes(pid, own_only=False):
    """Proportional set size of the tree: shared pages are counted once. With `own_only`
    without the pages of files, of which more or less are mapped as the kernel sees fit."""
    fields = ("Pss_Anon:", "Pss_Shmem:") if own_only else ("Pss:",)
    total = 0
    for process in tree(pid):
        try:
            with open(f"/proc/{process}/smaps_rollup") as f:
                for line in f:
                    if line.startswith(fields):
                        total += int(line.split()[1]) * 1024
        except OSError:
            pass
    return total


def settled_pss(pid, own_only=False, seconds=4.0):
    """PSS once two looks agree within 0.2 %."""
    until = time.monotonic() + seconds
    before = pss_bytes(pid, own_only)
    while time.monotonic() < until:
        time.sleep(0.3)
        now = pss_bytes(pid, own_only)
        if abs(now - before) <= 0.002 * before:
            return now
        before = now
    return before


def free_ports(count):
    """Ports below the range that outgoing connections take theirs from."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        top = int(f.read().split()[0])
    ports, candidate = [], 10000 + os.getpid() * 37 % max(1, top - 12000)
    while len(ports) < count:
        candidate = candidate + 1 if candidate + 1 < top else 10000
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", candidate))
            except OSError:
                continue
        ports.append(candidate)
    return ports


def describe():
    with open("/proc/cpuinfo") as f:
        models = re.findall(r"^model name\s*:\s*(.*)$", f.read(), re.M)
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) // 1024
    return {"cpu": models[0] if models else "unknown", "cpus": os.cpu_count(),
            "memory_mib": memory, "kernel": os.uname().release,
            "load_average": os.getloadavg()[0]}
