# SPDX-License-Identifier: Apache-2.0
"""A real browser: Chromium, without a screen, shows pages that come through the gate by TLS and
HTTP/2, with all that a page does: fetches, events, WebSockets.
chromedriver speaks W3C WebDriver, which is JSON over plain HTTP."""
import json
import os
import queue
import signal
import subprocess
import urllib.request

import pytest

from harness import Gate, Origin, PATIENCE, reply, until
from wsserver import WebSocketServer

# One browser is enough.
pytestmark = pytest.mark.xdist_group("browser")

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync",
         "--disable-dev-shm-usage", "--ignore-certificate-errors"]


class Browser:
    def __init__(self, directory, *flags):
        self.log = open(directory / "chromedriver.log", "wb+")
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdin=subprocess.DEVNULL,
                                       stdout=self.log, stderr=self.log, start_new_session=True)
        self.session = None
        try:
            self.port = until(self.find_port, "chromedriver", PATIENCE * 3)
            options = {"args": [*FLAGS, *flags, f"--user-data-dir={directory}/profile"]}
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
EVENTS = ("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
          "Transfer-Encoding: chunked\r\n\r\n")


def events(peer, o):
    """An event for each request of /more, which a page sends when it has seen the last one."""
    peer.send(EVENTS)
    for i in range(5):
        o.more.get(timeout=PATIENCE)
        event = f"id: {i}\ndata: event {i}\n\n".encode()
        peer.send(b"%x\r\n%s\r\n" % (len(event), event))
    peer.send("0\r\n\r\n")


def site(peer, o):
    while True:
        request = o.read(peer)
        if request.method == "POST":
            peer.send(reply(200, str(len(request.body)), Content_Type="text/plain"))
            continue
        if request.target == "/events":
            events(peer, o)
            continue
        if request.target == "/more":
            o.more.put(1)
        kind, text = FILES.get(request.target.split("?")[0], ("text/html", PAGE))
        if kind != "text/plain":
            text = text.format(name=o.name)
        peer.send(reply(200, text, Content_Type=kind, Cache_Control="no-store"))


@pytest.fixture(scope="module")
def gate(cert):
    with Origin(site, name="replica-a") as a, Origin(site, name="replica-b") as b, \
            WebSocketServer(subprotocols=["chat"], compression="deflate") as chat, Gate("""
        listeners:
          http: { address: "127.0.0.1:0", redirect: https }
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: '{cert}', key: '{key}' } ] } }
        upstreams:
          app: { servers: ["{a}", "{b}"], balance: round_robin }
          chat: { servers: ["{chat}"] }
        routes:
          - { upstream: app, max_body: 4MiB }
          - { match: { path: /chat }, upstream: chat }
        """, cert=cert[0], key=cert[1], a=a.address, b=b.address, chat=chat.address) as g:
        a.more = b.more = queue.Queue()
        g.origins, g.chat = (a, b), chat
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
    assert browser.run(
        "return performance.getEntriesByType('navigation')[0].nextHopProtocol") == "h2"
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


def test_parallel_fetches_by_h2(gate, browser):
    """Thirty at once and the page itself, all by HTTP/2 and by one connection of the browser."""
    browser.open(gate.url + "/")
    texts = browser.run("""
        performance.clearResourceTimings();
        return Promise.all([...Array(30).keys()].map(
            i => fetch('/style.css?' + i, { cache: 'no-store' }).then(r => r.text())))""")
    assert len(texts) == 30 and len(set(texts)) == 1
    used = browser.run("""
        return [...performance.getEntriesByType('navigation'),
                ...performance.getEntriesByType('resource')]
            .filter(e => e.name.includes('style.css?') || e.entryType == 'navigation')
            .map(e => e.nextHopProtocol)""")
    assert used == ["h2"] * 31


def test_bodies_of_a_page_that_cancels(gate, browser):
    """Fetches that a page gives up amid 3 MB: the connection is good for the next ones."""
    browser.open(gate.url + "/")
    assert browser.run("""
        const once = async i => {
            const stop = new AbortController();
            const r = await fetch('/big?' + i, { signal: stop.signal, cache: 'no-store' });
            await r.body.getReader().read();
            stop.abort();
        };
        return Promise.all([...Array(10).keys()].map(once))
            .then(() => fetch('/big')).then(r => r.text()).then(t => t.length)""") == 3000000


def test_event_source(gate, browser):
    """An EventSource sees each event before the page asks for the next one."""
    browser.open(gate.url + "/")
    got = browser.run("""
        return new Promise((done, fail) => {
            const source = new EventSource('/events'), got = [];
            const more = () => fetch('/more', { cache: 'no-store' });
            source.onopen = more;
            source.onerror = () => { source.close(); fail(new Error('after ' + got)) };
            source.onmessage = e => {
                got.push(e.lastEventId + ' ' + e.data);
                if (got.length < 5) { more(); return; }
                source.close();
                done(got);
            };
        })""")
    assert got == [f"{i} event {i}" for i in range(5)]


def test_web_socket_by_h2(gate, browser):
    """A page's WebSocket: text, binary, a megabyte, the subprotocol, the code of its end. It is a
    stream of the page's HTTP/2 connection, which the access log tells."""
    browser.open(gate.url + "/")
    gate.chat.seen.clear()
    got = browser.run("""
        return new Promise((done, fail) => {
            const url = location.origin.replace('https', 'wss') + '/chat?by=h2';
            const ws = new WebSocket(url, 'chat'), got = [];
            const messages = ['ahoy', 'ä€', 'x'.repeat(1 << 20), new Uint8Array([0, 255, 7])];
            ws.binaryType = 'arraybuffer';
            const next = () => messages.length ? ws.send(messages[0]) : ws.close(4001, 'enough');
            ws.onopen = next;
            ws.onerror = () => fail(new Error('after ' + got));
            ws.onmessage = e => {
                const sent = messages.shift();
                got.push(typeof sent == 'string' ? e.data === sent
                         : String(new Uint8Array(e.data)) === String(sent));
                next();
            };
            ws.onclose = e => done([got, ws.protocol, ws.extensions.split(';')[0], e.code, e.reason,
                                    e.wasClean]);
        })""")
    assert got == [[True] * 4, "chat", "permessage-deflate", 4001, "enough", True]
    until(lambda: gate.chat.seen == [(4001, "enough")], "the code at the server")

    def line():
        lines = [json.loads(text) for text in gate.access_path.read_text().splitlines()]
        return next((x for x in lines if x["path"].startswith("/chat")), None)
    line = until(line, "the access log's line")
    assert line["status"] == 101
    assert "HTTP/2.0" in line.values()


def test_many_web_sockets_of_a_page(gate, browser):
    """Twenty at once beside fetches; all echo, all are closed when the page is left."""
    browser.open(gate.url + "/")
    assert browser.run("""
        window.all = [...Array(20).keys()].map(i => new WebSocket(
            location.origin.replace('https', 'wss') + '/chat?' + i, 'chat'));
        const echo = (ws, i) => new Promise((done, fail) => {
            ws.onopen = () => ws.send('number ' + i);
            ws.onmessage = e => done(e.data);
            ws.onerror = () => fail(new Error('number ' + i));
        });
        const fetches = [...Array(10).keys()].map(
            i => fetch('/style.css?' + i, { cache: 'no-store' }).then(r => r.status));
        return Promise.all([...all.map(echo), ...fetches])""") == \
        [f"number {i}" for i in range(20)] + [200] * 10
    assert gate.metric("wharfgate_tunnels_active") == 20
    browser.open(gate.url + "/other")
    until(lambda: gate.metric("wharfgate_tunnels_active") == 0, "the tunnels' end")
