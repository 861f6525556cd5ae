# SPDX-License-Identifier: Apache-2.0
"""Certificates that change under a running gate: by `reload`, and by themselves."""
import os
import shutil
import signal

import pytest

from certs import Authority, SClient, client, fingerprint, shown
from harness import Gate, PATIENCE, read_message, run, until

CONFIG = """
listeners:
  https:
    address: "127.0.0.1:0"
    tls: { certificates: [ { cert: '{dir}/a.pem', key: '{dir}/a.key', ocsp: '{dir}/a.der' },
                           { cert: '{dir}/b.pem', key: '{dir}/b.key' } ] }
upstreams:
  app: { servers: ["{origin}"] }
routes:
  - { upstream: app }
"""


class Shelf:
    """The files that the configuration names, and others to put in their place."""

    def __init__(self, directory):
        self.dir, self.pki = directory, Authority(directory)
        self.pairs = {name: self.pki.issue(name, host) for name, host in (
            ("a1", "a.example"), ("a2", "a.example"), ("b1", "b.example"))}
        self.staples = {name: self.pki.ocsp(self.pairs[name][0], directory / f"{name}.der")
                        for name in ("a1", "a2")}
        self.put("a", "a1", "a1")
        self.put("b", "b1")

    def put(self, slot, cert, staple=None, key=None):
        """Each file is replaced whole, as certificate tools do."""
        chain = self.pki.chain(self.pairs[cert][0])
        files = [(chain, f"{slot}.pem"), (self.pairs[key or cert][1], f"{slot}.key")]
        if staple:
            files.append((self.staples[staple], f"{slot}.der"))
        for source, name in files:
            shutil.copy(source, self.dir / "new")
            os.replace(self.dir / "new", self.dir / name)


@pytest.fixture
def shelf(tmp_path):
    return Shelf(tmp_path)


def served(gate, name="a.example"):
    with gate.connect("https", tls=client(), server_name=name) as c:
        return shown(c)


def ask(peer, host="a.example"):
    peer.send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")
    return read_message(peer).status


def test_reload_takes_the_new_files(origin, shelf):
    """New connections see the new certificate; old ones go on as if nothing had happened."""
    with Gate(CONFIG, origin=origin.address, dir=shelf.dir) as gate, \
            gate.connect("https", tls=client(), server_name="a.example") as old:
        assert ask(old) == 200
        shelf.put("a", "a2", "a2")
        assert served(gate) == fingerprint(shelf.pairs["a1"][0])
        assert gate.reload().returncode == 0
        assert served(gate) == fingerprint(shelf.pairs["a2"][0])
        assert served(gate, "b.example") == fingerprint(shelf.pairs["b1"][0])
        assert ask(old) == 200 and ask(old, "b.example") == 421
        assert origin.connections == 1


def test_reload_of_a_broken_file_changes_nothing(origin, shelf):
    with Gate(CONFIG, origin=origin.address, dir=shelf.dir) as gate, \
            gate.connect("https", tls=client(), server_name="a.example") as old:
        assert ask(old) == 200
        for key, staple, words in (("a1", "a2", "does not belong"), ("a2", "a1", "another certificate")):
            shelf.put("a", "a2", staple, key)
            done = gate.reload()
            assert done.returncode != 0
            assert f"{gate.path}:5:" in done.stderr and words in done.stderr
            assert served(gate) == fingerprint(shelf.pairs["a1"][0])
            assert ask(old) == 200
        assert gate.metric("wharfgate_reloads_total", result="failed") == 2


@pytest.mark.long
def test_files_are_noticed_by_themselves(origin, shelf):
    """A broken new file keeps the old certificate and is told once; a good one is taken, with its
    staple; the connections live through it all. The gate looks every ten seconds."""
    with Gate(CONFIG, origin=origin.address, dir=shelf.dir) as gate, \
            gate.connect("https", tls=client(), server_name="a.example") as old:
        assert ask(old) == 200
        shelf.put("a", "a2", "a2", key="a1")
        until(lambda: "changed files: refused" in gate.errors(), "the refusal", 10 + PATIENCE)
        text = gate.errors()
        assert "does not belong to this certificate" in text and f"{gate.path}:5:" in text
        assert served(gate) == fingerprint(shelf.pairs["a1"][0]) and ask(old) == 200
        shelf.put("a", "a2", "a2")
        new = fingerprint(shelf.pairs["a2"][0])
        until(lambda: served(gate) == new, "the new certificate", 10 + PATIENCE)
        assert gate.errors().count("changed files: refused") == 1
        assert ask(old) == 200 and origin.connections == 1
        assert "Cert Status: good" in SClient(gate, "-status", name="a.example").text
        assert served(gate, "b.example") == fingerprint(shelf.pairs["b1"][0])


# ---- expired ----

DAY, OVER = "20200101000000Z", "20210203040506Z"
TWO = """
listeners:
  https: { address: "127.0.0.1:0", tls: { certificates: [ {certs} ] } }
upstreams:
  app: { servers: ["127.0.0.1:1"], tls: { {client} } }
routes: [ { match: { path: /app }, upstream: app }, { respond: { body: ok } } ]
"""


def files_of(directory, name):
    return f"cert: '{directory}/{name}.pem', key: '{directory}/{name}.key'"


def two(directory, *names, client):
    certs = ", ".join(f"{{ {files_of(directory, name)} }}" for name in names)
    return TWO.replace("{certs}", certs).replace("{client}", files_of(directory, client))


def kill_worker(gate):
    """Returns when another one serves."""
    pid = gate.worker_pid
    os.kill(pid, signal.SIGKILL)
    until(lambda: gate.ready["worker_pid"] != pid, "another worker process")


def test_expired_certificate_is_not_the_end_of_a_start(tmp_path, shelf):
    """`check` refuses it; the gate serves, and warns, so that other hosts do not suffer. What is
    expired and in use stays so at reloads and in a successor."""
    shelf.pairs["old"] = shelf.pki.issue_between("old", DAY, OVER, "a.example")
    shelf.put("a", "old")
    with Gate(two(tmp_path, "a", "b", client="a")) as gate:
        assert run("check", "-c", gate.path).returncode == 3
        assert "has expired on 2021-02-03" in gate.errors()
        assert "the client certificate" in gate.errors()
        assert served(gate) == fingerprint(shelf.pairs["old"][0])
        assert served(gate, "b.example") == fingerprint(shelf.pairs["b1"][0])
        done = gate.reload()
        assert done.returncode == 0
        assert "a.pem: the certificate has expired" in done.stdout + done.stderr
        # Also with another certificate beside it, which has all of them made anew.
        shelf.put("c", "a2")
        done = gate.reload(two(tmp_path, "a", "b", "c", client="a"))
        assert done.returncode == 0 and "has expired on 2021-02-03" in done.stdout + done.stderr
        kill_worker(gate)
        assert served(gate, "b.example") == fingerprint(shelf.pairs["b1"][0])
        assert "last good ones" not in gate.errors()


@pytest.mark.long
@pytest.mark.parametrize("slot", ["a", "b"])
def test_expired_certificate_does_not_replace_a_good_one(tmp_path, shelf, slot):
    """Neither by a reload, nor by itself, nor by a crash; of a listener or of an upstream."""
    shelf.pairs["old"] = shelf.pki.issue_between("old", DAY, OVER, "a.example")
    with Gate(two(tmp_path, "a", client="b")) as gate:
        shelf.put(slot, "old")
        done = gate.reload()
        assert done.returncode == 3 and "has expired" in done.stderr
        until(lambda: "changed files: refused" in gate.errors(), "the refusal", 10 + PATIENCE)
        kill_worker(gate)
        assert "last good ones" in gate.errors()
        assert served(gate) == fingerprint(shelf.pairs["a1"][0])
