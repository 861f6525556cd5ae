# SPDX-License-Identifier: Apache-2.0
"""The daemon over TCP with TLS and client certificates, as `dockerd --tlsverify` wants them."""
import json

import pytest

from certs import Authority
from engine import PATIENCE
from harness import Gate, Nobody, until
from load import Load
from members import answerers, becomes, docker, upstream

CONFIG = """
    listeners: { http: { address: "127.0.0.1:0" } }
    discovery: { docker: { endpoint: "tcp://{daemon}", ca: "{ca}", cert: "{cert}", key: "{key}" } }
    upstreams: { app: { docker: { service: web, port: 8000 }, wait_for_endpoint: 60s } }
    routes: [ { upstream: app } ]
    """


class Papers:
    """An authority that daemon and gate share, and another one that nobody does."""

    def __init__(self, folder):
        self.ours, self.others = Authority(folder, "Ours"), Authority(folder, "Others")
        self.daemon = self.ours.issue("daemon", "localhost", "127.0.0.1")
        self.gate, self.stranger = self.ours.issue("gate"), self.others.issue("stranger")

    def gate_for(self, address, ca=None, pair=None):
        cert, key = pair or self.gate
        return Gate(CONFIG, daemon=address, ca=ca or self.ours.cert, cert=cert, key=key)


@pytest.fixture(scope="session")
def papers(tmp_path_factory):
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture
def address(engine, papers):
    """Where the daemon listens so; it goes on listening at its socket, for us."""
    with Nobody() as free:
        address = free.address
    path = engine.dir / "daemon.json"
    plain = path.read_text()
    path.write_text(json.dumps({
        **json.loads(plain), "hosts": [engine.endpoint, f"tcp://{address}"], "tlsverify": True,
        "tlscacert": str(papers.ours.cert), "tlscert": str(papers.daemon[0]), "tlskey": str(papers.daemon[1])}))
    engine.restart()
    yield address
    path.write_text(plain)
    engine.restart()


def says(gate, *words):
    """The status and one line of the log tell why there is no connection."""
    until(lambda: docker(gate)["trouble"], "the trouble", PATIENCE)
    assert not docker(gate)["connected"]
    for place in docker(gate)["trouble"], upstream(gate)["trouble"], gate.errors():
        assert all(w in place for w in words), place
    return True


def test_containers_come_and_go(engine, papers, address):
    """All as over the socket: they appear, are drained at the kill, and the daemon's restart is survived."""
    webs = [engine.run("web-1"), engine.run("web-2")]
    with papers.gate_for(address) as gate:
        becomes(gate, web_1="ready", web_2="ready")
        assert answerers(gate) == {"web-1", "web-2"}
        with Load(engine, gate.address("http")) as load:
            load.progress(200, by=webs)
            webs[0].stop()
            becomes(gate, web_2="ready")
            webs.append(engine.run("web-3"))
            load.progress(200, by=webs[1:])
        assert not load.failures()
        assert docker(gate)["endpoint"] == f"tcp://{address}" and not docker(gate)["trouble"]


def test_a_client_certificate_of_a_stranger(engine, papers, address):
    """The daemon refuses it, and the gate says whose fault that is; a reload with the right one mends it."""
    engine.run("web-1")
    with papers.gate_for(address, pair=papers.stranger) as gate:
        assert says(gate, "certificate")  # TLS's alert, or that there may have been one
        cert, key = papers.gate
        assert gate.reload(CONFIG, cert=cert, key=key).returncode == 0
        becomes(gate, web_1="ready")


def test_an_authority_that_did_not_sign_the_daemons(engine, papers, address):
    """The gate refuses it."""
    engine.run("web-1")
    with papers.gate_for(address, ca=papers.others.cert) as gate:
        assert says(gate, f"cannot connect to {address}: its certificate is not accepted")
        assert gate.reload(CONFIG, ca=papers.ours.cert).returncode == 0
        becomes(gate, web_1="ready")


def test_without_a_client_certificate(engine, papers, address):
    """As a person who forgot two of the three keys sees it."""
    config = CONFIG.replace(', cert: "{cert}", key: "{key}"', "")
    with Gate(config, daemon=address, ca=papers.ours.cert) as gate:
        assert says(gate, "certificate")


def test_without_tls(engine, papers, address):
    """Or all three."""
    config = CONFIG.replace(', ca: "{ca}", cert: "{cert}", key: "{key}"', "")
    with Gate(config, daemon=address) as gate:
        assert says(gate, "status 400", "TLS", "`ca`")
