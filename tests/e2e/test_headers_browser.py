# SPDX-License-Identifier: Apache-2.0
"""What Chromium makes of the security headers: what they say is refused is refused, and the same
page without them shows that it is the headers that do it."""
import pytest

from harness import Gate, Origin, reply, until
from test_browser import Browser

# One browser is enough.
pytestmark = pytest.mark.xdist_group("browser")

# The first script is a file; what it hears of refusals comes before the page's own scripts.
PAGE = """<!doctype html><title>none</title>
<script src="listen.js"></script>
<script>document.title += " inline"</script>
<script nonce="{nonce}">document.title += " nonce"</script>
<script src="text.js"></script>
<body></body>"""
FILES = {
    "listen.js": ("text/javascript", """
        document.title = "file";
        window.refused = [];
        document.addEventListener("securitypolicyviolation", e => refused.push(
            [e.effectiveDirective, e.blockedURI, e.disposition]));
        if (parent !== window) parent.postMessage(location.pathname, "*");"""),
    "text.js": ("text/plain", "document.title += ' text'"),
    "dot.svg": ("image/svg+xml", '<svg xmlns="http://www.w3.org/2000/svg" width="7" height="7"/>'),
}


def site(peer, o):
    while True:
        request = o.read(peer)
        kind, text = FILES.get(request.target.rsplit("/", 1)[1], ("text/html", PAGE))
        if kind == "text/html":
            text = text.format(nonce=request.get("x-csp-nonce", "none"))
        peer.send(reply(200, text, Content_Type=kind, Cache_Control="no-store"))


@pytest.fixture(scope="module")
def gate(cert):
    with Origin(site) as app, Gate("""
        listeners:
          http: { address: "127.0.0.1:0" }
          https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: '{cert}', key: '{key}' } ] } }
        upstreams: { app: { servers: ["{app}"] } }
        routes:
          - { match: { path: /off/ }, upstream: app }
          - { match: { path: /strict/ }, upstream: app, security_headers: strict }
          - { match: { path: /basic/ }, upstream: app, security_headers: basic }
          - match: { path: /nonce/ }
            upstream: app
            security_headers: { csp: "script-src 'self' 'nonce-${csp_nonce}'" }
          - { match: { path: /report/ }, upstream: app, security_headers: { report_only: true } }
        """, cert=cert[0], key=cert[1], app=app.address) as g:
        g.app = app
        g.port, g.plain_port = g.address("https")[1], g.address("http")[1]
        yield g


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """Names below `test` are this machine, and unlike `localhost` nothing that is trusted plain."""
    b = Browser(tmp_path_factory.mktemp("browser"), "--host-resolver-rules=MAP *.test 127.0.0.1")
    yield b
    b.close()


def show(gate, browser, path, host="site.test"):
    browser.open(f"https://{host}:{gate.port}/{path}/page.html")
    return browser.run("return document.title")


def refused(browser):
    return browser.run("return window.refused")


def test_scripts(gate, browser):
    """Inline ones run without a policy; by the strict one they do not, by a nonce only that which
    has it. What says that it is plain text is a script where nobody says nosniff."""
    assert show(gate, browser, "off") == "file inline nonce text"
    assert refused(browser) == []
    assert show(gate, browser, "basic") == "file inline nonce"
    assert show(gate, browser, "strict") == "file"
    assert refused(browser) == [["script-src-elem", "inline", "enforce"]] * 2
    assert show(gate, browser, "nonce") == "file nonce"
    assert refused(browser) == [["script-src-elem", "inline", "enforce"]]


def test_a_nonce_is_of_one_page(gate, browser):
    """One of an earlier page runs nothing."""
    show(gate, browser, "nonce")
    told = [r.get("x-csp-nonce") for r in gate.app.requests
            if r.target == "/nonce/page.html" and r.get("x-csp-nonce")]
    show(gate, browser, "nonce")
    insert = """
        const script = document.createElement("script");
        script.setAttribute("nonce", arguments[0] || "%s");
        script.textContent = "document.title += ' inserted'";
        document.body.append(script);
        return document.title"""
    assert browser.run(insert % told[-1]) == "file nonce"
    now = [r.get("x-csp-nonce") for r in gate.app.requests if r.target == "/nonce/page.html"][-1]
    assert now != told[-1]
    assert browser.run(insert % now) == "file nonce inserted"


def test_report_only_refuses_nothing(gate, browser):
    assert show(gate, browser, "report") == "file inline nonce"
    assert refused(browser) == [["script-src-elem", "inline", "report"]] * 2


FRAME = """
    window.told = window.told || [];
    onmessage = e => told.push(e.data);
    return new Promise(done => {
        const frame = document.createElement("iframe");
        frame.onload = () => done(true);
        frame.src = "https://%s:%d/%s/page.html";
        document.body.append(frame);
    })"""


@pytest.mark.parametrize("path, host, is_shown", [
    ("off", "other.test", True), ("strict", "other.test", False), ("basic", "other.test", False),
    ("strict", "site.test", False), ("basic", "site.test", True)])
def test_framed(gate, browser, path, host, is_shown):
    """The page of another site: `strict` is framed by nobody, `basic` by its own site. The last
    frame, which may be shown, tells when all before it would have told."""
    show(gate, browser, "off", host="other.test" if host == "site.test" else "site.test")
    show(gate, browser, "off")
    assert browser.run(FRAME % (host, gate.port, path))
    assert browser.run(FRAME % ("other.test", gate.port, "off"))
    until(lambda: "/off/page.html" in browser.run("return told"), "the last frame")
    told = browser.run("return told")
    assert (f"/{path}/page.html" in told[:len(told) - (path != "off")]) == is_shown


IMAGE = """
    return new Promise(done => {
        const image = document.createElement("img");
        image.onload = () => done(image.naturalWidth);
        image.onerror = () => done("refused");
        image.src = "%s";
        document.body.append(image);
    })"""


def test_mixed_content(gate, browser):
    """A page by TLS that asks for something in the clear: the policy names it, and nobody is
    asked for it."""
    plain = f"http://other.test:{gate.plain_port}/off/dot.svg"
    show(gate, browser, "strict")
    before = len(gate.app.requests)
    assert browser.run(IMAGE % "dot.svg") == 7
    assert browser.run(IMAGE % plain) == "refused"
    assert browser.run(f"return fetch('{plain}').catch(e => 'refused')") == "refused"
    blocked = [r for r in refused(browser) if r[1] != "inline"]
    assert [r[0] for r in blocked] == ["img-src", "connect-src"]
    assert all(r[1].endswith(f"//other.test:{gate.plain_port}/off/dot.svg") for r in blocked)
    assert [r.target for r in gate.app.requests[before:]] == ["/strict/dot.svg"]


def test_images_for_other_sites(gate, browser):
    """Cross-Origin-Resource-Policy: who may show it."""
    show(gate, browser, "off")
    dots = [f"https://other.test:{gate.port}/{path}/dot.svg" for path in ("off", "basic", "strict")]
    assert [browser.run(IMAGE % dot) for dot in dots] == [7, 7, "refused"]


def test_permissions(gate, browser):
    """Permissions-Policy: the page may not even ask."""
    ask = "return ['camera', 'geolocation', 'fullscreen'].map(f => document.featurePolicy.allowsFeature(f))"
    show(gate, browser, "off")
    assert browser.run(ask) == [True, True, True]
    show(gate, browser, "strict")
    assert browser.run(ask) == [False, False, True]


def test_referrer(gate, browser):
    """Another site is not told where its visitor comes from."""
    def referer(path):
        show(gate, browser, path)
        browser.run("document.body.innerHTML = '<a id=go href=\"https://other.test:%d/off/from-%s\">go</a>';"
                    "document.getElementById('go').click()" % (gate.port, path))
        def asked():
            return [r for r in gate.app.requests if r.target == f"/off/from-{path}"]
        return until(asked, "the other site's page")[0].get("referer")
    assert referer("strict") is None
    assert referer("basic") == f"https://site.test:{gate.port}/"
