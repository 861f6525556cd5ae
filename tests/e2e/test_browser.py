# SPDX-License-Identifier: Apache-2.0
"""A real browser: Chromium, without a screen, shows pages that come through the gate by TLS.
chromedriver speaks W3C WebDriver, which is JSON over plain HTTP."""
import json
import os
import signal
import subprocess
import urllib.request

import pytest

from harness import Gate, Origin, PATIENCE, reply, until

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--ignore-certificate-errors"]


class Browser:
    def __init__(self, directory):
        self.log = open(directory / "chromedriver.log", "wb+")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=self.log, start_new_session=True)
        self.session = None
        try:
            self.port = until(self.find_port, "chromedriver", PATIENCE * 3)
            options = {"args": [*FLAGS, f"--user-data-dir={directory}/profile"]}
            self.session = self.call("POST", "/session", {"capabilities": {"alwaysMatch": {
                "acceptInsecureCerts": True, "goog:chromeOptions": options}}})["sessionId"]
        except BaseException:
            self.close()
            raise

    def find_port(self):
        with open(self.log.name, errors="replace") as log:
            text = log.read()
        mark = "started successfully on port "
        return mark in text and int(text.split(mark)[1].split(".")[0])

    def call(self, method, path, data=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", method=method,
            data=None if data is None else json.dumps(data).encode(),
            headers={"Content-Type": "application/json"})
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(request, timeout=PATIENCE * 6) as answer:
            return json.loads(answer.read())["value"]

    def open(self, url):
        self.call("POST", f"/session/{self.session}/url", {"url": url})

    def run(self, script):
        return self.call("POST", f"/session/{self.session}/execute/sync", {"script": script, "args": []})

    def close(self):
        if self.session:
            self.call("DELETE", f"/session/{self.session}")
        # The driver's own group: nothing of the browser stays behind.
        os.killpg(self.driver.pid, signal.SIGTERM)
        self.driver.wait(PATIENCE)
        self.log.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    b = Browser(tmp_path_factory.mktemp("browser"))
    yield b
    b.close()


PAGE = """<!doctype html><title>{name}</title><link rel="stylesheet" href="/style.css">
<p id="text">Hello from {name}</p><img src="/dot.svg" id="dot">
<script src="/app.js"></script>"""
FILES = {
    "/style.css": ("text/css", "#text {{ color: rgb(1, 2, 3) }}"),
    "/app.js": ("text/javascript", "document.title += ' ready'"),
    "/dot.svg": ("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>'),
    "/big": ("text/plain", "x" * 3000000),
}


def site(peer, o):
    while True:
        request = o.read(peer)
        if request.method == "POST":
            peer.send(reply(200, str(len(request.body)), Content_Type="text/plain"))
            continue
        kind, text = FILES.get(request.target, ("text/html", PAGE))
        if kind != "text/plain":
            text = text.format(name=o.name)
        peer.send(reply(200, text, Content_Type=kind, Cache_Control="no-store"))


@pytest.fixture(scope="module")
def gate(cert):
    with Origin(site, name="replica-a") as a, Origin(site, name="replica-b") as b, Gate("""
        listeners:
          http: { address: "127.0.0.1:0", redirect: https }
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: '{cert}', key: '{key}' } ] } }
        upstreams: { app: { servers: ["{a}", "{b}"], balance: round_robin } }
        routes: [ { upstream: app, max_body: 4MiB } ]
        """, cert=cert[0], key=cert[1], a=a.address, b=b.address) as g:
        g.origins = a, b
        g.url = "https://localhost:%d" % g.address("https")[1]
        yield g


def test_page_from_two_replicas(gate, browser):
    """The text is shown, with its style, script and image; reloading meets the other replica."""
    seen = set()
    for i in range(8):
        browser.open(f"{gate.url}/?{i}")
        text = browser.run("return document.getElementById('text').innerText")
        assert text.startswith("Hello from replica-")
        seen.add(text[-9:])
        assert browser.run("return document.title").endswith(" ready")
        assert browser.run("return getComputedStyle(document.getElementById('text')).color") == \
            "rgb(1, 2, 3)"
        assert browser.run("return document.getElementById('dot').naturalWidth") == 7
        assert browser.run("return location.protocol") == "https:"
        if len(seen) == 2:
            break
    assert seen == {"replica-a", "replica-b"}
    assert browser.run("return performance.getEntriesByType('navigation')[0].nextHopProtocol") in (
        "http/1.1", "h2")
    assert {line["tls"] for line in gate.access_lines(4)} == {"TLSv1.3"}


def test_redirect_is_followed(gate, browser):
    browser.open("http://localhost:%d/a?b=c" % gate.address("http")[1])
    assert browser.run("return location.href") == gate.url + "/a?b=c"


def test_script_moves_large_bodies(gate, browser):
    """3 MB down and up by fetch()."""
    browser.open(gate.url + "/")
    assert browser.run("return fetch('/big').then(r => r.text()).then(t => t.length)") == 3000000
    assert browser.run("return fetch('/up', {method: 'POST', body: 'y'.repeat(3000000)})"
                       ".then(r => r.text())") == "3000000"
