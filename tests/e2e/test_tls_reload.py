# SPDX-License-Identifier: Apache-2.0
"""Certificates that change under a running gate: by `reload`, and by themselves."""
import os
import shutil

import pytest

from certs import Authority, SClient, client, fingerprint, shown
from harness import Gate, PATIENCE, read_message, until

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
