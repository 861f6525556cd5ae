# SPDX-License-Identifier: Apache-2.0
"""The same requests to nginx and to the gate, for the same folder: some 200 files, ranges,
conditions and codings. What differs is in DIFFERENCES, each with the section of RFC 9110 that
allows it (or asks for it), and each row there is met at least once."""
import itertools
import os
import re
import shutil
import socket
import subprocess
from urllib.parse import urljoin

import pytest

from harness import Gate, Peer, read_message, until

NGINX = shutil.which("nginx") or "/usr/sbin/nginx"

MODIFIED = 784111777
SAME, BEFORE, AFTER = (f"Sun, 06 Nov 1994 08:49:{s} GMT" for s in (37, 36, 38))
FILES = {"index.html": "top", "a.txt": "0123456789", "none.txt": "", "sub/index.html": "sub",
         "sub/b.css": "b{}", "app.js": "let a = 1;", "app.js.gz": "GZIP", "a b.txt": "space",
         "ä.txt": "umlaut", "page.json": "{}", "noending": "x", "empty/keep.txt": "k"}

GATE = """
listeners: { http: { address: "127.0.0.1:0" } }
routes: [{ files: { root: "{root}", precompressed: gzip } }]
"""
NGINX_CONF = """
daemon off; master_process off; pid {dir}/pid; error_log {dir}/error.log;
events { worker_connections 64; }
http {
    access_log off;
    client_body_temp_path {dir}/t1; proxy_temp_path {dir}/t2; fastcgi_temp_path {dir}/t3;
    uwsgi_temp_path {dir}/t4; scgi_temp_path {dir}/t5;
    types { text/html html; text/plain txt; text/css css; text/javascript js; application/json json;
            application/gzip gz; }
    default_type application/octet-stream;
    charset utf-8;
    charset_types text/plain text/css text/javascript;
    absolute_redirect off;
    server {
        listen 127.0.0.1:{port};
        root {root};
        index index.html;
        gzip_static on;
        gzip_vary on;
    }
}
"""


# ---- the requests ----

def requests():
    """(method, target, headers); "ETAG" in a value is that server's own, of the target."""
    for method, target in itertools.product(("GET", "HEAD"), (
            "/", "/index.html", "/a.txt", "/none.txt", "/sub", "/sub?x=1", "/sub/", "/sub/b.css", "/empty",
            "/empty/", "/nothing", "/nothing/", "/a.txt/", "/a.txt/b", "/a%20b.txt", "/%C3%A4.txt", "/%61.txt",
            "/./a.txt", "/sub/../a.txt", "//a.txt", "/sub//b.css", "/page.json", "/noending", "/a.txt?q",
            "/app.js", "/app.js.gz")):
        yield method, target, {}
    for method in ("POST", "PUT", "DELETE"):
        yield method, "/a.txt", {"Content-Length": "0"}
    ranges = ("0-0", "0-", "3-5", "-1", "-10", "-99", "9-9", "9-99", "0-9", "10-", "99-100", "-0", "0-0,2-3",
              "0-1,4-5,-1", "5-6,0-1", "0-5,3-8", "0-9,0-9", "1-1,99-", "99-,199-", " 1-2", "1-2 , 4-4", "5-1", "x",
              "1", "-", "", ",", "1-2,x", "0-99999999999999999999", "0-0,1-1,2-2,3-3,4-4")
    for value in ranges:
        yield "GET", "/a.txt", {"Range": f"bytes={value}"}
    for value in ("bytes 1-2", "lines=1-2", "Bytes=1-2", "bytes"):
        yield "GET", "/a.txt", {"Range": value}
    for target in ("/none.txt", "/sub/", "/nothing", "/sub"):
        for value in ("0-0", "-1", "0-1,1-2"):
            yield "GET", target, {"Range": f"bytes={value}"}
    for value in ("0-3", "-2", "99-"):
        yield "HEAD", "/a.txt", {"Range": f"bytes={value}"}
    tags = ("ETAG", "W/ETAG", '"x"', "*", '"x", ETAG', 'ETAG, "x"', '"x","y"', "x")
    dates = (SAME, BEFORE, AFTER, "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994", "never")
    for tag in tags:
        for name, method in itertools.product(("If-Match", "If-None-Match"), ("GET", "HEAD")):
            yield method, "/a.txt", {name: tag}
        yield "GET", "/a.txt", {"If-Range": tag, "Range": "bytes=1-2"}
    for date in dates:
        for name in ("If-Modified-Since", "If-Unmodified-Since"):
            yield "GET", "/a.txt", {name: date}
        yield "GET", "/a.txt", {"If-Range": date, "Range": "bytes=1-2"}
    for tag, date in itertools.product(("ETAG", '"x"'), (SAME, BEFORE)):
        yield "GET", "/a.txt", {"If-Match": tag, "If-Unmodified-Since": date}
        yield "GET", "/a.txt", {"If-None-Match": tag, "If-Modified-Since": date}
        yield "GET", "/a.txt", {"If-Match": tag, "If-Modified-Since": date}
        yield "HEAD", "/a.txt", {"If-None-Match": tag, "If-Unmodified-Since": date}
    for tag in ("ETAG", '"x"'):
        yield "GET", "/a.txt", {"If-None-Match": tag, "Range": "bytes=0-0"}
        yield "GET", "/a.txt", {"If-Match": tag, "Range": "bytes=99-"}
        yield "GET", "/a.txt", {"If-Match": tag, "If-None-Match": tag}
    for accept in ("gzip", "x-gzip", "GZIP", "gzip;q=0", "gzip;q=0.001", "gzip;q=1.0", "br", "*", "*;q=0", "identity",
                   "identity;q=0", "gzip, br", "br;q=1, gzip;q=0.5", "gzip;q=0.5, identity;q=1",
                   "identity;q=0.5, gzip;q=1", "", ","):
        yield "GET", "/app.js", {"Accept-Encoding": accept}
    for value in ("0-0", "1-", "99-"):
        yield "GET", "/app.js", {"Accept-Encoding": "gzip", "Range": f"bytes={value}"}
    yield "GET", "/app.js", {"Accept-Encoding": "gzip", "If-None-Match": "ETAG"}
    yield "HEAD", "/app.js", {"Accept-Encoding": "gzip"}
    yield "GET", "/a.txt", {"Accept-Encoding": "gzip"}


# ---- what may differ ----

def is_malformed(value):
    """Is it no ranges-specifier (RFC 9110 section 14.1.1)?"""
    specs = [s.strip() for s in value[6:].split(",")]
    numbers = [re.fullmatch(r"(\d*)-(\d*)", s) for s in specs if s]
    return not numbers or not all(
        m and (m[1] or m[2]) and not (m[1] and m[2] and int(m[1]) > int(m[2])) for m in numbers)


# (name, section, why, what of the answer it explains; does it, for this request?)
DIFFERENCES = [
    ("head-range", "14.2", "Range is defined for GET alone; nginx looks at it for HEAD too", {"status"},
     lambda q, ours, theirs: q[0] == "HEAD" and "Range" in q[2] and theirs.status in (206, 416)),
    ("malformed-range", "14.2", "a malformed Range may be ignored or refused; nginx refuses it by 416", {"status"},
     lambda q, ours, theirs: is_malformed(q[2].get("Range", "bytes=0-")) and
     (ours.status, theirs.status) == (200, 416)),
    ("range-too-large", "14.1.2", "a last position past the end means the end; nginx refuses such large numbers",
     {"status"},
     lambda q, ours, theirs: re.search(r"\d{19}", q[2].get("Range", "")) and (ours.status, theirs.status) == (206, 416)),
    ("range-of-coded", "14.2", "nginx gives no ranges of precompressed files, as it may", {"status", "content-range",
     "content-length", "body"},
     lambda q, ours, theirs: {"Range", "Accept-Encoding"} <= set(q[2]) and ours.status in (206, 416) and
     theirs.status == 200),
    ("two-conditions", "13.2.2", "beside If-Match and If-None-Match the dates do not count; nginx judges both",
     {"status"},
     lambda q, ours, theirs: len({"If-Match", "If-Unmodified-Since"} & set(q[2])) == 2 or
     len({"If-None-Match", "If-Modified-Since"} & set(q[2])) == 2),
    ("modified-before", "13.1.3", "a file that was last changed before that date is not modified; nginx wants the "
     "same date (if_modified_since exact)", {"status"},
     lambda q, ours, theirs: q[2] == {"If-Modified-Since": AFTER} and (ours.status, theirs.status) == (304, 200)),
    ("no-date", "13.1.4", "what is no date is to be ignored; nginx answers 412", {"status"},
     lambda q, ours, theirs: q[2] == {"If-Unmodified-Since": "never"} and (ours.status, theirs.status) == (200, 412)),
    ("no-folder", "15.5.4", "what is forbidden may be said to be missing; nginx says 403 of a folder without index",
     {"status"},
     lambda q, ours, theirs: q[1].endswith("/") and (ours.status, theirs.status) == (404, 403)),
    ("405-allow", "15.5.6", "a 405 must say what is allowed; nginx does not", {"allow"},
     lambda q, ours, theirs: ours.status == 405 and ours.get("allow") == "GET, HEAD"),
    ("coding-weight", "12.5.3", "the coding with the highest weight is preferred; nginx knows yes and no",
     {"content-encoding", "content-length", "body", "accept-ranges"},
     lambda q, ours, theirs: "gzip;q=0.5, identity;q=1" in q[2].get("Accept-Encoding", "") and
     ours.get("content-encoding") is None and theirs.get("content-encoding") == "gzip"),
    ("coding-names", "8.4.1.3, 12.5.3", "x-gzip is gzip, and `*` stands for it; nginx wants the name",
     {"content-encoding", "content-length", "body", "accept-ranges"},
     lambda q, ours, theirs: q[2].get("Accept-Encoding") in ("x-gzip", "*") and
     ours.get("content-encoding") == "gzip" and theirs.get("content-encoding") is None),
    ("ranges-said", "14.3", "Accept-Ranges may be said; nginx leaves it out of precompressed files",
     {"accept-ranges"},
     lambda q, ours, theirs: ours.get("content-encoding") == "gzip" and theirs.get("accept-ranges") is None),
    ("relative-location", "10.2.2", "Location may be relative to what was asked for; nginx says the whole path",
     {"location"},
     lambda q, ours, theirs: urljoin("http://x" + q[1], ours.get("location")) == "http://x" + theirs.get("location")),
]

COMPARED = ("content-type", "content-range", "content-length", "content-encoding", "last-modified", "location",
            "accept-ranges", "vary", "allow", "cache-control")


def normal(message):
    """The body, with multipart boundaries that are the same at all servers."""
    kind, body = message.get("content-type") or "", message.body
    if "boundary=" in kind:
        mark = kind.split("boundary=")[1]
        body = body.replace(mark.encode(), b"MARK")
    return body


def differs(ours, theirs):
    """Names of what is not the same."""
    if ours.status != theirs.status:
        return ["status"]
    names = [n for n in COMPARED if ours.get(n) != theirs.get(n)]
    if ours.status >= 400:  # each has pages of its own
        return [n for n in names if n in ("content-range", "allow")]
    if ours.status in (301,):
        return [n for n in names if n == "location"]
    if "boundary=" in (ours.get("content-type") or "") and "boundary=" in (theirs.get("content-type") or ""):
        names = [n for n in names if n not in ("content-type", "content-length")]
    if ours.status == 206 and "accept-ranges" in names:
        names.remove("accept-ranges")  # needs not be there: section 14.3
    return names + (["body"] if normal(ours) != normal(theirs) else [])


# ---- both servers ----

@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("nginx") / "root"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
        os.utime(root / name, (MODIFIED, MODIFIED))
    return root


@pytest.fixture(scope="module")
def nginx(root):
    """Its port."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    conf = root.parent / "nginx.conf"
    text = NGINX_CONF
    for key, value in (("dir", root.parent), ("root", root), ("port", port)):
        text = text.replace("{" + key + "}", str(value))
    conf.write_text(text)
    process = subprocess.Popen([NGINX, "-p", str(root.parent), "-c", str(conf)])

    def answers():
        assert process.poll() is None
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    try:
        until(answers, "nginx")
        yield port
    finally:
        process.terminate()
        process.wait()


def ask(address, request, tags):
    method, target, headers = request
    tag = tags.get((address, target)) or '"none"'
    lines = "".join(f"{k}: {v.replace('ETAG', tag)}\r\n" for k, v in headers.items())
    with Peer(socket.create_connection(address)) as peer:
        peer.send(f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{lines}\r\n")
        got = read_message(peer, has_body=method != "HEAD")
    if not headers and got.get("etag"):
        tags[address, target] = got.get("etag")
    return got


def test_nginx_and_the_gate_agree(root, nginx):
    """Every difference is one of those that are explained."""
    asked, met, unexplained, tags = 0, set(), [], {}
    with Gate(GATE, root=root) as gate:
        ours_at, theirs_at = gate.address("http"), ("127.0.0.1", nginx)
        for request in requests():
            asked += 1
            if "ETAG" in str(request[2]) and "Accept-Encoding" in request[2]:
                for address in (ours_at, theirs_at):
                    first = ask(address, (request[0], request[1], {"Accept-Encoding": "gzip"}), {})
                    tags[address, request[1]] = first.get("etag")
            ours, theirs = ask(ours_at, request, tags), ask(theirs_at, request, tags)
            names = differs(ours, theirs)
            if not names:
                continue
            rows = [row for row in DIFFERENCES if row[3] & set(names) and row[4](request, ours, theirs)]
            met |= {row[0] for row in rows}
            if not set(names) <= set().union(*(row[3] for row in rows)):
                unexplained.append((request, names, ours.start, theirs.start,
                                    [(n, ours.get(n), theirs.get(n)) for n in names]))
    assert not unexplained, "\n".join(map(str, unexplained))
    assert asked >= 200
    assert met == {row[0] for row in DIFFERENCES}
