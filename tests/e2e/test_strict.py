# SPDX-License-Identifier: Apache-2.0
"""Hostile and malformed messages through the real program. One table of requests and one of
responses: each says what is to come of it, and none may yield two answers, reach a replica
when it was refused, or harm the next connection."""
import socket

import pytest

from harness import Gate, Origin, read_message, reply, until

CONFIG = """
listeners:
  http: { address: "127.0.0.1:0" }
upstreams:
  app: { servers: ["{origin}"], retries: 0 }
routes:
  - { upstream: app }
timeouts: { header: 250ms, body_idle: 250ms, response_header: 5s, response_idle: 250ms, keep_alive: 10s }
limits: { request_line: 8KiB, header_bytes: 16KiB, header_count: 100 }
defaults: { max_body: 1MiB }
"""
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"
CUT = "cut"      # the answer's body, or the connection, ends before it is complete


def encoded(text):
    return text.encode("latin-1") if isinstance(text, str) else text


def get(*lines, target="/refused", version="HTTP/1.1", method="GET", host="Host: a\r\n"):
    """A request of which some lines are odd; each line brings its own end, or gets CRLF."""
    whole = "".join(line if line.endswith("\n") or line.endswith("\r") else line + "\r\n" for line in lines)
    return encoded(f"{method} {target} {version}\r\n{host}{whole}\r\n")


def post(*lines, body="", **kw):
    return get(*lines, method="POST", **kw) + encoded(body)


def line(text):
    return encoded(text + "\r\nHost: a\r\n\r\n")


CHUNKED = "Transfer-Encoding: chunked"


def chunks(body, *lines):
    return post(CHUNKED, *lines, body=body)


# Each: name, bytes, the status it is refused with.
REFUSED = [
    # Framing: two lengths, or a length and a coding.
    ("cl-te", post("Content-Length: 6", CHUNKED, body="0\r\n\r\nG"), 400),
    ("te-cl", post(CHUNKED, "Content-Length: 4", body="5c\r\nGPOST / HTTP/1.1\r\n\r\n0\r\n\r\n"), 400),
    ("cl-0-te", post("Content-Length: 0", CHUNKED, body="0\r\n\r\n"), 400),
    ("cl-twice", post("Content-Length: 5", "Content-Length: 5", body="hello"), 400),
    ("cl-differ", post("Content-Length: 5", "Content-Length: 0", body="hello"), 400),
    ("cl-list", post("Content-Length: 5, 5", body="hello"), 400),
    ("cl-list-differ", post("Content-Length: 5, 0", body="hello"), 400),
    ("cl-plus", post("Content-Length: +5", body="hello"), 400),
    ("cl-minus", post("Content-Length: -5", body="hello"), 400),
    ("cl-minus-0", post("Content-Length: -0"), 400),
    ("cl-hex", post("Content-Length: 0x5", body="hello"), 400),
    ("cl-empty", post("Content-Length:"), 400),
    ("cl-blank", post("Content-Length:  \t"), 400),
    ("cl-space-inside", post("Content-Length: 1 0", body="0123456789"), 400),
    ("cl-letter", post("Content-Length: 5a", body="hello"), 400),
    ("cl-float", post("Content-Length: 5.0", body="hello"), 400),
    ("cl-exponent", post("Content-Length: 1e1", body="hello"), 400),
    ("cl-quoted", post('Content-Length: "5"', body="hello"), 400),
    ("cl-overflow-64", post("Content-Length: 18446744073709551616"), 400),
    ("cl-overflow-63", post("Content-Length: 9223372036854775808"), 400),
    ("cl-overflow-to-5", post("Content-Length: 18446744073709551621", body="hello"), 400),
    ("cl-many-digits", post("Content-Length: " + "9" * 500), 400),
    ("cl-vertical-tab", post("Content-Length:\x0b5", body="hello"), 400),
    ("cl-nbsp", post("Content-Length: \xa05", body="hello"), 400),
    ("cl-semicolon", post("Content-Length: 5;x", body="hello"), 400),
    ("cl-huge", post("Content-Length: 9223372036854775807"), 413),
    ("cl-too-large", post("Content-Length: 1048577"), 413),
    ("cl-in-get", get("Content-Length: x"), 400),
    # Transfer codings.
    ("te-identity", post("Transfer-Encoding: identity"), 400),
    ("te-empty", post("Transfer-Encoding:"), 400),
    ("te-comma", post("Transfer-Encoding: ,"), 400),
    ("te-gzip", post("Transfer-Encoding: gzip"), 400),
    ("te-gzip-chunked", post("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n"), 501),
    ("te-chunked-gzip", post("Transfer-Encoding: chunked, gzip", body="0\r\n\r\n"), 400),
    ("te-chunked-identity", post("Transfer-Encoding: chunked, identity", body="0\r\n\r\n"), 400),
    ("te-identity-chunked", post("Transfer-Encoding: identity, chunked", body="0\r\n\r\n"), (400, 501)),
    ("te-chunked-twice", post("Transfer-Encoding: chunked, chunked", body="0\r\n\r\n"), 400),
    ("te-two-fields", post(CHUNKED, CHUNKED, body="0\r\n\r\n"), 400),
    ("te-te", post(CHUNKED, "Transfer-Encoding: x", body="0\r\n\r\n"), 400),
    ("te-te-reversed", post("Transfer-Encoding: x", CHUNKED, body="0\r\n\r\n"), (400, 501)),
    ("te-te-identity", post(CHUNKED, "transfer-encoding: identity", body="0\r\n\r\n"), 400),
    ("te-xchunked", post("Transfer-Encoding: xchunked", body="0\r\n\r\n"), 400),
    ("te-chunked-x", post("Transfer-Encoding: chunkedx", body="0\r\n\r\n"), 400),
    ("te-quoted", post('Transfer-Encoding: "chunked"', body="0\r\n\r\n"), 400),
    ("te-parameter", post("Transfer-Encoding: chunked;q=1", body="0\r\n\r\n"), 400),
    ("te-vertical-tab", post("Transfer-Encoding:\x0bchunked", body="0\r\n\r\n"), 400),
    ("te-nul", post("Transfer-Encoding: chunked\0", body="0\r\n\r\n"), 400),
    ("te-high", post("Transfer-Encoding: chunked\xff", body="0\r\n\r\n"), 400),
    ("te-space-colon", post("Transfer-Encoding : chunked", body="0\r\n\r\n"), 400),
    ("te-tab-colon", post("Transfer-Encoding\t: chunked", body="0\r\n\r\n"), 400),
    ("te-leading-space", post(" Transfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    ("te-obs-fold", post("Transfer-Encoding:", " chunked", body="0\r\n\r\n"), 400),
    ("te-obs-fold-behind", post("X: y", "\tTransfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    ("te-behind-lf", post("X: y\nTransfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    ("te-behind-cr", post("X: y\rTransfer-Encoding: chunked", body="0\r\n\r\n"), 400),
    ("te-in-1.0", post(CHUNKED, body="0\r\n\r\n", version="HTTP/1.0"), 400),
    ("te-cl-in-1.0", post(CHUNKED, "Content-Length: 5", body="0\r\n\r\n", version="HTTP/1.0"), 400),
    ("te-cl-get", get("Content-Length: 3", CHUNKED) + b"0\r\n\r\n", 400),
    # Chunks. The head is good, so that it may have gone on; its end never does.
    ("chunk-no-size", chunks("\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-letters", chunks("xyz\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-0x", chunks("0x5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-plus", chunks("+5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-minus", chunks("-5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-leading-space", chunks(" 5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-overflow", chunks("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-overflow-sign", chunks("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), (400, 413)),
    ("chunk-long-zeros", chunks("0" * 5000 + "5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-lf", chunks("5\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-cr", chunks("5\rhello\r\n0\r\n\r\n"), 400),
    ("chunk-data-too-long", chunks("5\r\nhelloo\r\n0\r\n\r\n"), 400),
    ("chunk-data-too-short", chunks("5\r\nhell\r\n0\r\n\r\n"), 400),
    ("chunk-data-lf", chunks("5\r\nhello\n0\r\n\r\n"), 400),
    ("chunk-data-no-end", chunks("5\r\nhello0\r\n\r\n"), 400),
    ("chunk-last-lf", chunks("5\r\nhello\r\n0\n\n"), 400),
    ("chunk-last-lf-after", chunks("5\r\nhello\r\n0\r\n\n"), 400),
    ("chunk-extension-lf", chunks("5;x\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-extension-cr", chunks("5;x\ry\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-extension-nul", chunks("5;x=\0\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-extension-long", chunks("5;" + "x" * 20000 + "\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-extensions-many", chunks(("1;" + "x" * 300 + "\r\ny\r\n") * 400 + "0\r\n\r\n"), 400),
    ("chunk-junk-after-size", chunks("5 x\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-comma", chunks("5,5\r\nhello\r\n0\r\n\r\n"), 400),
    ("chunk-trailer-no-colon", chunks("0\r\nbad\r\n\r\n"), 400),
    ("chunk-trailer-space", chunks("0\r\nX : y\r\n\r\n"), 400),
    ("chunk-trailer-fold", chunks("0\r\nX: y\r\n z\r\n\r\n"), 400),
    ("chunk-trailer-lf", chunks("0\r\nX: y\nZ: z\r\n\r\n"), 400),
    ("chunk-trailer-many", chunks("0\r\n" + "X: y\r\n" * 200 + "\r\n"), (400, 431)),
    ("chunk-trailer-huge", chunks("0\r\nX: " + "y" * 70000 + "\r\n\r\n"), (400, 431)),
    ("chunk-body-too-large", chunks("200000\r\n" + "x" * 0x100001), 413),
    # The request line.
    ("0.9", b"GET /refused\r\n\r\n", 400),
    ("version-1", line("GET /refused HTTP/1"), 400),
    ("version-1.", line("GET /refused HTTP/1."), 400),
    ("version-2.0", line("GET /refused HTTP/2.0"), 505),
    ("version-0.9", line("GET /refused HTTP/0.9"), 505),
    ("version-9.9", line("GET /refused HTTP/9.9"), 505),
    ("version-lower", line("GET /refused http/1.1"), 400),
    ("version-mixed", line("GET /refused HtTP/1.1"), 400),
    ("version-digits", line("GET /refused HTTP/1.10"), 400),
    ("version-plus", line("GET /refused HTTP/+1.1"), 400),
    ("version-spaces", line("GET /refused HTTP/1.1 "), 400),
    ("version-junk", line("GET /refused HTTP/1.1 x"), 400),
    ("version-other", line("GET /refused ICAP/1.0"), 400),
    ("version-tab", line("GET /refused\tHTTP/1.1"), 400),
    ("version-vt", line("GET /refused\x0bHTTP/1.1"), 400),
    ("version-nul", line("GET /refused HTTP/1.1\0"), 400),
    ("two-spaces", line("GET  /refused HTTP/1.1"), 400),
    ("two-spaces-behind", line("GET /refused  HTTP/1.1"), 400),
    ("space-before", line(" GET /refused HTTP/1.1"), 400),
    ("space-in-target", line("GET /refused /x HTTP/1.1"), 400),
    ("tab-after-method", line("GET\t/refused HTTP/1.1"), 400),
    ("no-target", line("GET HTTP/1.1"), 400),
    ("no-method", line("/refused HTTP/1.1"), 400),
    ("method-odd", line("G@T /refused HTTP/1.1"), 400),
    ("method-colon", line("GET: /refused HTTP/1.1"), 400),
    ("method-slash", line("GET/ /refused HTTP/1.1"), 400),
    ("method-nul", line("GE\0T /refused HTTP/1.1"), 400),
    ("method-high", line("G\xc9T /refused HTTP/1.1"), 400),
    ("line-lf", b"GET /refused HTTP/1.1\nHost: a\r\n\r\n", 400),
    ("line-cr", b"GET /refused HTTP/1.1\rHost: a\r\n\r\n", 400),
    ("line-cr-cr-lf", b"GET /refused HTTP/1.1\r\r\nHost: a\r\n\r\n", 400),
    ("all-lf", b"GET /refused HTTP/1.1\nHost: a\n\n", 400),
    ("empty-lines", b"\r\n\r\nGET /refused HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("lf-before", b"\nGET /refused HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("nul-before", b"\0GET /refused HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("bom-before", b"\xef\xbb\xbfGET /refused HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    ("response", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 400),
    ("h2-preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 505)),
    ("connect", line("CONNECT a:443 HTTP/1.1"), (400, 405, 501)),
    ("connect-path", line("CONNECT /refused HTTP/1.1"), (400, 405, 501)),
    ("line-too-long", line("GET /" + "x" * 9000 + " HTTP/1.1"), 414),
    ("method-too-long", line("X" * 9000 + " / HTTP/1.1"), (400, 414, 501)),
    # Targets.
    ("target-nul", line("GET /refused\0 HTTP/1.1"), 400),
    ("target-del", line("GET /refused\x7f HTTP/1.1"), 400),
    ("target-fragment", line("GET /refused#x HTTP/1.1"), 400),
    ("target-fragment-query", line("GET /refused?a#x HTTP/1.1"), 400),
    ("target-relative", line("GET refused HTTP/1.1"), 400),
    ("target-asterisk", line("GET * HTTP/1.1"), 400),
    ("target-asterisk-path", line("OPTIONS *x HTTP/1.1"), 400),
    ("target-backslash", line("GET /a\\refused HTTP/1.1"), 400),
    ("target-backslash-dots", line("GET /a\\..\\refused HTTP/1.1"), 400),
    ("target-%00", line("GET /refused%00 HTTP/1.1"), 400),
    ("target-%00-amid", line("GET /a%00/refused HTTP/1.1"), 400),
    ("target-%2f", line("GET /a%2frefused HTTP/1.1"), 400),
    ("target-%2F", line("GET /a%2Frefused HTTP/1.1"), 400),
    ("target-%5c", line("GET /a%5crefused HTTP/1.1"), 400),
    ("target-%2e%2e%2f", line("GET /a/%2e%2e%2frefused HTTP/1.1"), 400),
    ("target-..;", line("GET /a/..;/refused HTTP/1.1"), 400),
    ("target-..;x", line("GET /a/..;x=y/refused HTTP/1.1"), 400),
    ("target-.;", line("GET /a/.;/refused HTTP/1.1"), 400),
    ("target-%2e%2e;", line("GET /a/%2e%2e;/refused HTTP/1.1"), 400),
    ("target-..%3b", line("GET /a/..%3b/refused HTTP/1.1"), 400),
    ("target-above-root", line("GET /../refused HTTP/1.1"), 400),
    ("target-above-root-encoded", line("GET /%2e%2e/refused HTTP/1.1"), 400),
    ("target-above-root-deep", line("GET /a/../../refused HTTP/1.1"), 400),
    ("target-%", line("GET /refused% HTTP/1.1"), 400),
    ("target-%1", line("GET /refused%1 HTTP/1.1"), 400),
    ("target-%zz", line("GET /refused%zz HTTP/1.1"), 400),
    ("target-%u", line("GET /refused%u0041 HTTP/1.1"), 400),
    # Absolute form.
    ("absolute-differs", line("GET http://b/refused HTTP/1.1"), 400),
    ("absolute-port-differs", line("GET http://a:81/refused HTTP/1.1"), 400),
    ("absolute-userinfo", line("GET http://a@b/refused HTTP/1.1"), 400),
    ("absolute-userinfo-same", line("GET http://u:p@a/refused HTTP/1.1"), 400),
    ("absolute-no-host", line("GET http:///refused HTTP/1.1"), 400),
    ("absolute-one-slash", line("GET http:/refused HTTP/1.1"), 400),
    ("absolute-ftp", line("GET ftp://a/refused HTTP/1.1"), 400),
    ("absolute-javascript", line("GET javascript:alert(1) HTTP/1.1"), 400),
    ("absolute-backslash", line("GET http://a\\@b/refused HTTP/1.1"), 400),
    ("absolute-without-host", b"GET http://a/refused HTTP/1.1\r\n\r\n", 400),
    ("absolute-two-hosts", get("Host: b", target="http://a/refused"), 400),
    # Host.
    ("host-missing", get(host=""), 400),
    ("host-twice", get("Host: a"), 400),
    ("host-differ", get("Host: b"), 400),
    ("host-empty", get(host="Host:\r\n"), 400),
    ("host-list", get(host="Host: a, b\r\n"), 400),
    ("host-space", get(host="Host: a b\r\n"), 400),
    ("host-path", get(host="Host: a/b\r\n"), 400),
    ("host-query", get(host="Host: a?b\r\n"), 400),
    ("host-userinfo", get(host="Host: u@a\r\n"), 400),
    ("host-port-letters", get(host="Host: a:x\r\n"), 400),
    ("host-port-large", get(host="Host: a:65536\r\n"), 400),
    ("host-port-0", get(host="Host: a:0\r\n"), 400),
    ("host-two-ports", get(host="Host: a:1:2\r\n"), 400),
    ("host-v6-open", get(host="Host: [::1\r\n"), 400),
    ("host-v6-bad", get(host="Host: [::x]\r\n"), 400),
    ("host-backslash", get(host="Host: a\\b\r\n"), 400),
    ("host-angle", get(host="Host: <script>\r\n"), 400),
    ("host-quote", get(host='Host: a"b\r\n'), 400),
    ("host-nul", get(host="Host: a\0b\r\n"), 400),
    ("host-high", get(host="Host: \xe4\r\n"), 400),
    ("host-%00", get(host="Host: a%00b\r\n"), (400,)),
    ("host-long", get(host="Host: " + "a" * 300 + "\r\n"), 400),
    ("host-fold", get(host="Host:\r\n a\r\n"), 400),
    ("host-space-colon", get(host="Host : a\r\n"), 400),
    ("host-first-with-space", get(host=" Host: evil\r\nHost: a\r\n"), 400),
    # Field lines.
    ("field-no-colon", get("bad"), 400),
    ("field-no-name", get(": x"), 400),
    ("field-space-colon", get("X : y"), 400),
    ("field-space-name", get("X Y: z"), 400),
    ("field-leading-space", get(" X: y"), 400),
    ("field-fold", get("X: y", " z"), 400),
    ("field-fold-tab", get("X: y", "\tz"), 400),
    ("field-fold-blank", get("X: y", " "), 400),
    ("field-lf", get("X: y\nZ: z"), 400),
    ("field-cr", get("X: y\rZ: z"), 400),
    ("field-cr-end", get("X: y\r"), 400),
    ("field-nul", get("X: a\0b"), 400),
    ("field-nul-name", get("X\0Y: z"), 400),
    ("field-control", get("X: a\x01b"), 400),
    ("field-del", get("X: a\x7fb"), 400),
    ("field-name-high", get("X\xe4: y"), 400),
    ("field-name-slash", get("X/Y: z"), 400),
    ("field-name-paren", get("X(Y): z"), 400),
    ("field-name-quote", get('"X": z'), 400),
    ("fields-too-many", get(*["X: y"] * 101), 431),
    ("fields-too-large", get(*["X: " + "y" * 1000] * 20), 431),
    ("field-too-large", get("X: " + "y" * 17000), 431),
    ("end-lf-cr-lf", b"GET /refused HTTP/1.1\r\nHost: a\r\n\n\r\n", 400),
    ("end-cr-lf-lf", b"GET /refused HTTP/1.1\r\nHost: a\r\n\n", 400),
    ("end-cr", b"GET /refused HTTP/1.1\r\nHost: a\r\n\rX: y\r\n\r\n", 400),
    ("expect-unknown", post("Expect: 200-maybe", "Content-Length: 0"), 417),
    # What is not finished.
    ("nothing-but-cr", b"\r", 408),
    ("half-a-line", b"GET /ref", 408),
    ("half-a-head", b"GET /refused HTTP/1.1\r\nHost: a\r\n", 408),
    ("half-a-body", post("Content-Length: 100", body="half"), 408),
    ("half-a-chunk", chunks("5\r\nhel"), 408),
    ("no-last-chunk", chunks("5\r\nhello\r\n"), 408),
    ("half-a-trailer", chunks("0\r\nX: y\r\n"), 408),
]
UNFINISHED = {name for name, _, status in REFUSED if status == 408}


class Site:
    """One gate and one replica for all cases."""

    def __init__(self):
        self.serve_bad = None  # sends the answer to /bad; returns whether to close then
        self.origin = Origin(self.serve)
        self.gate = Gate(CONFIG, origin=self.origin.address)
        self.count = 0

    def serve(self, peer, o):
        while True:
            request = o.read(peer)
            if request.target != "/bad":
                peer.send(reply(200, f"{request.method} {request.target} {len(request.body)}",
                                X_Good="yes"))
            elif self.serve_bad(peer):
                return

    def fence(self):
        """The next connection works; and what was forwarded before it has arrived by now."""
        self.count += 1
        with self.gate.connect() as c:
            c.send(f"GET /fence/{self.count} HTTP/1.1\r\nHost: a\r\n\r\n")
            answer = read_message(c)
            assert (answer.status, answer.body) == (200, f"GET /fence/{self.count} 0".encode())

    def forwarded(self):
        """Requests that the replica has seen whole since the last time, fences left out."""
        with self.origin.lock:
            seen = [r for r in self.origin.requests if not r.target.startswith("/fence/")]
            self.origin.requests.clear()
        return seen


@pytest.fixture(scope="module")
def site():
    s = Site()
    pid = s.gate.process.pid
    with s.origin, s.gate:
        yield s
        s.fence()
        assert s.gate.process.poll() is None and s.gate.process.pid == pid
        assert s.gate.metric("wharfgate_worker_crashes_total") == 0


def send(peer, data, way):
    """Whole, cut in two, or byte by byte. The gate may have said its last word amid it."""
    pieces = {"whole": [data], "halves": [data[:len(data) // 2], data[len(data) // 2:]],
              "bytes": [data[i:i + 1] for i in range(len(data))]}[way]
    try:
        for piece in pieces:
            peer.send(piece)
    except ConnectionError:
        pass


def answers(peer):
    """All that comes until the end: whole messages, and then nothing else."""
    got = []
    while True:
        try:
            first = peer.recv(1)
        except ConnectionResetError:
            return got
        if not first:
            return got
        peer.pending = first + peer.pending
        got.append(read_message(peer))


@pytest.mark.parametrize("way", ["whole", "halves", "bytes"])
@pytest.mark.parametrize("data, status", [pytest.param(d, s, id=name) for name, d, s in REFUSED])
def test_refused_request(site, data, status, way, request):
    if way == "bytes" and len(data) > 3000:
        way = "halves"
    name = request.node.callspec.id
    is_unfinished = any(name.startswith(n + "-") for n in UNFINISHED)
    with site.gate.connect() as c:
        send(c, data if is_unfinished else data + SMUGGLED, way)
        got = answers(c)
    assert len(got) == 1, [g.start for g in got]
    assert got[0].status in (status if isinstance(status, tuple) else (status,)), got[0].body
    assert got[0].get("connection") == "close" and not got[0].get("x-good")
    site.fence()
    assert [r.start for r in site.forwarded()] == []


def request_of(start, body=b"", **fields):
    return start, body, {k.replace("_", "-").lower(): v for k, v in fields.items()}


# What looks odd and has one meaning: what the replica is to see of it, rewritten.
CLOSE = "Connection: close"
ACCEPTED = [
    ("plain", get(CLOSE, target="/x"), [request_of("GET /x HTTP/1.1", host="a")]),
    ("empty-line-before", b"\r\n" + get(CLOSE, target="/x"), [request_of("GET /x HTTP/1.1")]),
    ("empty-line-between", get(target="/x") + b"\r\n" + get(CLOSE, target="/y"),
     [request_of("GET /x HTTP/1.1"), request_of("GET /y HTTP/1.1")]),
    ("pipelined", post("Content-Length: 3", body="abc", target="/x") + get(CLOSE, target="/y"),
     [request_of("POST /x HTTP/1.1", b"abc"), request_of("GET /y HTTP/1.1")]),
    ("body-like-a-request", post(f"Content-Length: {len(SMUGGLED)}", CLOSE, target="/x") + SMUGGLED,
     [request_of("POST /x HTTP/1.1", SMUGGLED)]),
    ("chunk-like-a-request", post(CHUNKED, CLOSE, target="/x", body="%x\r\n" % len(SMUGGLED)) + SMUGGLED +
     b"\r\n0\r\n\r\n", [request_of("POST /x HTTP/1.1", SMUGGLED)]),
    ("get-with-body", get("Content-Length: 3", CLOSE, target="/x") + b"abc",
     [request_of("GET /x HTTP/1.1", b"abc")]),
    ("te-case", post("tRANSFER-eNCODING: ChUnKeD", CLOSE, target="/x", body="3\r\nabc\r\n0\r\n\r\n"),
     [request_of("POST /x HTTP/1.1", b"abc", transfer_encoding="chunked", content_length=None)]),
    ("chunk-extensions", post(CHUNKED, CLOSE, target="/x", body='3;a=b;c="d"\r\nabc\r\n00;x\r\n\r\n'),
     [request_of("POST /x HTTP/1.1", b"abc")]),
    ("chunk-sizes", post(CHUNKED, CLOSE, target="/x", body="A\r\n0123456789\r\n0b\r\n0123456789a\r\n000\r\n\r\n"),
     [request_of("POST /x HTTP/1.1", b"01234567890123456789a")]),
    ("cl-zeros", post("Content-Length: 0003", CLOSE, target="/x", body="abc"),
     [request_of("POST /x HTTP/1.1", b"abc", content_length="3")]),
    ("cl-tab", post("Content-Length:\t3\t", CLOSE, target="/x", body="abc"),
     [request_of("POST /x HTTP/1.1", b"abc", content_length="3")]),
    ("forbidden-trailers", post(CHUNKED, CLOSE, target="/x", body=(
        "3\r\nabc\r\n0\r\nContent-Length: 9\r\nHost: evil\r\nTransfer-Encoding: x\r\nX-Real-IP: 6.6.6.6\r\n"
        "Authorization: x\r\nX-Client-Cert-Subject: x\r\n\r\n")),
     [request_of("POST /x HTTP/1.1", b"abc", host="a", authorization=None, content_length=None)]),
    ("hop-by-hop", get("Connection: close, X-Secret, Authorization-Hint", "X-Secret: 1", "Keep-Alive: 5",
                       "Proxy-Connection: keep-alive", "Proxy-Authorization: x", "TE: trailers",
                       "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__", "Authorization-Hint: x", target="/x"),
     [request_of("GET /x HTTP/1.1", x_secret=None, keep_alive=None, proxy_connection=None,
                 authorization_hint=None, upgrade=None, http2_settings=None)]),
    ("connection-names-ours", get("Connection: close, Host, X-Forwarded-For, X-Real-IP, Content-Length",
                                  target="/x"),
     [request_of("GET /x HTTP/1.1", host="a", x_real_ip="127.0.0.1", x_forwarded_for="127.0.0.1")]),
    ("upgrade-h2c", get("Connection: Upgrade, HTTP2-Settings, close", "Upgrade: h2c",
                        "HTTP2-Settings: AAMAAABkAAQAAP__", target="/x"),
     [request_of("GET /x HTTP/1.1", upgrade=None, http2_settings=None)]),
    ("underscores", get("Content_Length: 100", "X_Real_IP: 6.6.6.6", "Transfer_Encoding: chunked", CLOSE,
                        target="/x"),
     [request_of("GET /x HTTP/1.1", content_length_=None, x_real_ip="127.0.0.1")]),
    ("dots", get(CLOSE, target="/a/./b/../x"), [request_of("GET /a/x HTTP/1.1")]),
    ("dots-encoded", get(CLOSE, target="/a/%2e/b/%2E%2e/x"), [request_of("GET /a/x HTTP/1.1")]),
    ("slashes", get(CLOSE, target="//a///x"), [request_of("GET /a/x HTTP/1.1")]),
    ("unreserved", get(CLOSE, target="/%61%7e%2D"), [request_of("GET /a~- HTTP/1.1")]),
    ("encoded-once", get(CLOSE, target="/%2561%252f"), [request_of("GET /%2561%252f HTTP/1.1")]),
    ("query-as-it-is", get(CLOSE, target="/x?a=%2F..%2f&b=//../%00?"),
     [request_of("GET /x?a=%2F..%2f&b=//../%00? HTTP/1.1")]),
    ("absolute", get(CLOSE, target="http://a/x?y"), [request_of("GET /x?y HTTP/1.1", host="a")]),
    ("absolute-case-port", get(CLOSE, target="HTTP://A:80/x"), [request_of("GET /x HTTP/1.1")]),
    ("absolute-no-path", get(CLOSE, target="http://a?y"), [request_of("GET /?y HTTP/1.1", host="a")]),
    ("options-asterisk", get(CLOSE, target="*", method="OPTIONS"), [request_of("OPTIONS * HTTP/1.1")]),
    ("host-v6", get(CLOSE, target="/x", host="Host: [::1]:8080\r\n"),
     [request_of("GET /x HTTP/1.1", host="[::1]:8080")]),
    ("odd-method", get(CLOSE, target="/x", method="M-SEARCH"), [request_of("M-SEARCH /x HTTP/1.1")]),
    ("lower-method", get(CLOSE, target="/x", method="get"), [request_of("get /x HTTP/1.1")]),
    ("1.0", get(target="/x", version="HTTP/1.0", host=""), [request_of("GET /x HTTP/1.1")]),
    ("1.2", get(CLOSE, target="/x", version="HTTP/1.2"), [request_of("GET /x HTTP/1.1")]),
    ("obs-text", get("X-Name: caf\xe9", CLOSE, target="/x"), [request_of("GET /x HTTP/1.1", x_name="caf\xe9")]),
    ("empty-value", get("X-Empty:", CLOSE, target="/x"), [request_of("GET /x HTTP/1.1", x_empty="")]),
    ("100-fields", get(*["X-A: y"] * 98, CLOSE, target="/x"), [request_of("GET /x HTTP/1.1")]),
]


@pytest.mark.parametrize("way", ["whole", "halves", "bytes"])
@pytest.mark.parametrize("data, expected", [pytest.param(d, e, id=name) for name, d, e in ACCEPTED])
def test_accepted_request(site, data, expected, way):
    """One answer a request, and what stands behind `Connection: close` is no request."""
    with site.gate.connect() as c:
        send(c, data + SMUGGLED, way)
        got = answers(c)
    assert [g.status for g in got] == [200] * len(expected), [g.start for g in got]
    site.fence()
    seen = site.forwarded()
    assert [(r.start, r.body) for r in seen] == [(start, body) for start, body, _ in expected]
    for message, (_, _, fields) in zip(seen, expected):
        for name, value in fields.items():
            assert message.get(name) == value, name
            assert len(message.get_all(name)) <= 1
        framing = [message.get("content-length"), message.get("transfer-encoding")]
        assert None in framing and len(message.get_all("host")) <= 1
        assert not [k for k, _ in message.fields if "_" in k]
        assert not {k.lower() for k, _ in message.trailers} & {
            "content-length", "host", "transfer-encoding", "x-real-ip", "authorization",
            "x-client-cert-subject"}


# ---- replicas ----

OK = b"HTTP/1.1 200 OK\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Poison: yes\r\n\r\npoison"


def ok(*lines, body=""):
    return OK + encoded("".join(x + "\r\n" for x in lines) + "\r\n" + body)


# Each: name, bytes of the replica, whether it closes then, what the client gets: a status, CUT, or
# (status, body).
RESPONSES = [
    ("http-0.9", b"<html>hello</html>", True, 502),
    ("empty", b"", True, 502),
    ("line-only", b"HTTP/1.1 200 OK\r\n", True, 502),
    ("lower-version", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("version-2", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("version-0.9", b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("version-1.10", b"HTTP/1.10 200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("no-status", b"HTTP/1.1\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-word", b"HTTP/1.1 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-20", b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-2000", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-0200", b"HTTP/1.1 0200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-099", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-600", b"HTTP/1.1 600 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-minus", b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-two-spaces", b"HTTP/1.1  200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-nul", b"HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("line-before", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", False, 502),
    ("status-lf", b"HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", False, 502),
    ("all-lf", b"HTTP/1.1 200 OK\nContent-Length: 0\n\n", False, 502),
    ("cl-differ", ok("Content-Length: 5", "Content-Length: 11", body="hello") + POISON, False, 502),
    ("cl-list", ok("Content-Length: 5, 5", body="hello") + POISON, False, 502),
    ("cl-plus", ok("Content-Length: +5", body="hello") + POISON, False, 502),
    ("cl-overflow", ok("Content-Length: 18446744073709551621", body="hello") + POISON, False, 502),
    ("cl-empty", ok("Content-Length:", body="hello") + POISON, False, 502),
    ("cl-te", ok("Content-Length: 5", CHUNKED, body="0\r\n\r\n") + POISON, False, 502),
    ("te-cl", ok(CHUNKED, "Content-Length: 5", body="0\r\n\r\n") + POISON, False, 502),
    ("te-identity", ok("Transfer-Encoding: identity", body="hello"), True, 502),
    ("te-gzip", ok("Transfer-Encoding: gzip", body="hello"), True, 502),
    ("te-gzip-chunked", ok("Transfer-Encoding: gzip, chunked", body="0\r\n\r\n") + POISON, False, 502),
    ("te-chunked-twice", ok(CHUNKED, CHUNKED, body="0\r\n\r\n") + POISON, False, 502),
    ("te-xchunked", ok("Transfer-Encoding: xchunked", body="0\r\n\r\n"), True, 502),
    ("te-in-1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", True, 502),
    ("space-colon", ok("Content-Length : 5", body="hello"), True, 502),
    ("space-name", ok("X Y: z", body="hello"), True, 502),
    ("fold", ok("X: y", " z", "Content-Length: 0"), False, 502),
    ("lf", ok("X: y\nSet-Cookie: evil=1", "Content-Length: 0"), False, 502),
    ("cr", ok("X: y\rSet-Cookie: evil=1", "Content-Length: 0"), False, 502),
    ("nul", ok("X: a\0b", "Content-Length: 0"), False, 502),
    ("no-colon", ok("bad", "Content-Length: 0"), False, 502),
    ("no-name", ok(": bad", "Content-Length: 0"), False, 502),
    ("too-many-fields", ok(*["X: y"] * 101, "Content-Length: 0"), False, 502),
    ("too-large", ok("X: " + "y" * 20000, "Content-Length: 0"), False, 502),
    ("unasked-101", b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" + POISON, False, 502),
    ("100-for-ever", b"HTTP/1.1 100 Continue\r\n\r\n" * 500, False, 502),
    ("1xx-with-length", b"HTTP/1.1 103 Hints\r\nContent-Length: 5\r\n\r\nhello" + ok("Content-Length: 0"), False, 502),
    # Behind a good head: what has begun cannot be taken back, but is never shown as complete.
    ("cut-length", ok("Content-Length: 10", body="hello"), True, CUT),
    ("cut-chunked", ok(CHUNKED, body="5\r\nhello\r\n"), True, CUT),
    ("cut-last-chunk", ok(CHUNKED, body="5\r\nhello\r\n0\r\n"), True, CUT),
    ("chunk-bad", ok(CHUNKED, body="5\r\nhello\r\nxyz\r\n") + POISON, False, CUT),
    ("chunk-0x", ok(CHUNKED, body="0x5\r\nhello\r\n0\r\n\r\n") + POISON, False, CUT),
    ("chunk-overflow", ok(CHUNKED, body="10000000000000005\r\nhello\r\n0\r\n\r\n") + POISON, False, CUT),
    ("chunk-too-long", ok(CHUNKED, body="5\r\nhelloo\r\n0\r\n\r\n") + POISON, False, CUT),
    ("chunk-lf", ok(CHUNKED, body="5\nhello\r\n0\r\n\r\n") + POISON, False, CUT),
    ("chunk-extension-long", ok(CHUNKED, body="5;" + "x" * 70000 + "\r\nhello\r\n0\r\n\r\n"), False, CUT),
    ("trailer-bad", ok(CHUNKED, body="5\r\nhello\r\n0\r\nbad\r\n\r\n") + POISON, False, CUT),
    ("stalled", ok("Content-Length: 10", body="hello"), False, CUT),
    # More than was asked for: the rest is nobody's.
    ("surplus", ok("Content-Length: 5", body="hello") + POISON, False, (200, b"hello")),
    ("surplus-chunked", ok(CHUNKED, body="5\r\nhello\r\n0\r\n\r\n") + POISON, False, (200, b"hello")),
    ("204-with-body", b"HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison" + POISON, False, (204, b"")),
    ("204-chunked", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n", False,
     (204, b"")),
    ("304-with-body", b"HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison" + POISON, False, (304, b"")),
    ("until-close", ok(body="hello"), True, (200, b"hello")),
    ("1.0-until-close", b"HTTP/1.0 200 OK\r\n\r\nhello", True, (200, b"hello")),
]


@pytest.mark.parametrize("is_split", [False, True])
@pytest.mark.parametrize("data, closes, expected", [pytest.param(*rest, id=name) for name, *rest in RESPONSES])
def test_response(site, data, closes, expected, is_split):
    """What a replica sends beyond one answer poisons no other; each request has one answer, and the
    client's connection, where it lives on, belongs to the next one alone."""
    half = len(data) // 2 if is_split else len(data)
    site.fence()  # its connection is the one to be used now

    def serve_bad(peer):
        peer.send(data[:half])
        if half < len(data):
            peer.send(data[half:])
        return closes
    site.serve_bad = serve_bad
    with site.gate.connect() as c:
        c.send("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n")
        if expected == CUT:
            with pytest.raises((EOFError, ConnectionResetError)):
                while True:  # nothing else may follow
                    read_message(c)
        else:
            status, body = expected if isinstance(expected, tuple) else (expected, None)
            answer = read_message(c)
            while answer.status < 200:
                answer = read_message(c)
            assert answer.status == status and b"poison" not in answer.body
            assert body is None or answer.body == body
            assert not answer.get("x-poison") and not answer.get("set-cookie")
            if status != 502 or answer.get("connection") != "close":
                c.send("GET /fence/next HTTP/1.1\r\nHost: a\r\n\r\n")
                assert read_message(c).body == b"GET /fence/next 0"
    for _ in range(3):
        site.fence()
    # A kept-alive connection that ends without a byte is met by one fresh one (a GET may be sent again).
    assert len([r for r in site.forwarded() if r.target == "/bad"]) == (1 if data else 2)


def test_head_with_a_body_poisons_nothing(site):
    def serve_bad(peer):
        peer.send(ok("Content-Length: 6", body="poison") + POISON)
        return False
    site.serve_bad = serve_bad
    with site.gate.connect() as c:
        c.send("HEAD /bad HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c, has_body=False).get("content-length") == "6"
        c.send("GET /fence/next HTTP/1.1\r\nHost: a\r\n\r\n")
        assert read_message(c).body == b"GET /fence/next 0"
    site.fence()


def test_response_before_any_request(site):
    """A replica that speaks unasked on an idle connection: the next client does not get it."""
    spoken = []

    def serve(peer, o):
        # Else the second message waits for the first one's ACK, and comes after the next request.
        peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            request = o.read(peer)
            peer.send(reply(200, request.target))
            if request.target == "/first":
                peer.send(POISON)
                spoken.append(True)
    with Origin(serve) as o, Gate(CONFIG, origin=o.address) as gate:
        for i in range(10):
            assert gate.request("/first").body == b"/first"
            until(lambda: len(spoken) == i + 1, "the unasked response")
            assert gate.request("/second").body == b"/second"
