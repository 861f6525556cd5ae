# SPDX-License-Identifier: Apache-2.0
"""`files:` of a route: which file a path means and which it never may, what is said of it, the
requests about parts of it, and files that change or end while they are sent."""
import email.utils
import gzip
import hashlib
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from urllib.parse import urljoin

import pytest

from h2peer import INTERNAL_ERROR, h2
from harness import PATIENCE, Gate, Load, insecure, read_head, read_message, until

SITE = """
listeners:
  http: { address: "127.0.0.1:0", http2: on }
  https: { address: "127.0.0.1:0", tls: { certificates: [ { cert: "{cert}", key: "{key}" } ] } }
routes:
  - { match: { host: plain }, files: "{root}" }
  - match: { host: app }
    files:
      root: "{root}"
      fallback: /app.html
      expires: { "*.{js,css}": 365d, "/sub/*": 1m }
      cache_control: { "*.js": "public, immutable", "*.css": max-age=5, "*.html": no-cache }
      precompressed: [br, gzip]
      listing: true
  - { match: { host: slash }, files: "{root}", allow_encoded_slash: true }
  - { match: { host: strip }, files: "{root}", rewrite: { strip_prefix: /static } }
  - { match: { host: add }, files: "{root}", rewrite: { add_prefix: /deep } }
  - { match: { host: few }, files: { root: "{root}", open_files: 3 } }
  - { match: { host: zip }, files: "{root}", compress: { codings: gzip, types: ["text/*", application/octet-stream] } }
  - { match: { host: short }, files: "{root}", timeouts: { write_idle: 1s } }
"""
BIG = hashlib.shake_128(b"files").digest(3 << 20)


@pytest.fixture(scope="module")
def site(tmp_path_factory, cert):
    """(gate, root): one gate for the tests that change no file that another one asks for."""
    root = tmp_path_factory.mktemp("site") / "root"
    (root / "sub").mkdir(parents=True)
    (root / "empty").mkdir()
    for name in (".well-known/acme-challenge", ".git"):
        (root / name).mkdir(parents=True)
    for name, text in {
            "index.html": "top", "app.html": "<app>", "sub/index.html": "sub", "a.txt": "0123456789",
            "none.txt": "", "app.js": "let a = 1;", "app.js.br": "BR", "app.js.gz": "GZ",
            "style.css": "a{}", ".well-known/acme-challenge/token": "acme", ".git/config": "secret",
            ".htpasswd": "secret", "sub/.env": "secret", "a b.txt": "space", "ä.txt": "umlaut",
            "100%.txt": "percent", "sub/x.bin": "x"}.items():
        (root / name).write_text(text)
    (root / "big.bin").write_bytes(BIG)
    with open(os.fsencode(root) + b"/\xff\x01.txt", "w") as f:
        f.write("bytes")
    (root.parent / "secret.txt").write_text("secret")
    (root / "inside").symlink_to("sub/index.html")
    (root / "sub/up").symlink_to("../a.txt")
    (root / "out").symlink_to("../secret.txt")
    (root / "far").symlink_to("..")
    (root / "absolute").symlink_to(root / "a.txt")
    (root / "self").symlink_to("/proc/self")
    os.mkfifo(root / "pipe")
    with open(root / "huge.bin", "wb") as f:
        f.truncate(4 << 30)
        f.seek(-4, 2)
        f.write(b"tail")
    with Gate(SITE, cert=cert[0], key=cert[1], root=root) as gate:
        yield gate, root


def get(gate, target, host="plain", method="GET", listener="http", tls=None, **headers):
    """The target goes out as it stands. Underscores in names become dashes."""
    lines = "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in headers.items())
    return gate.raw(f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n", listener, tls=tls)


# ---- which file ----

@pytest.mark.parametrize("target,body", [
    ("/", b"top"), ("/index.html", b"top"), ("/sub/", b"sub"), ("/sub/index.html", b"sub"),
    ("//sub//index.html", b"sub"), ("/./sub/../a.txt", b"0123456789"), ("/a.txt?q=1", b"0123456789"),
    ("/a%20b.txt", b"space"), ("/%C3%A4.txt", b"umlaut"), ("/%c3%a4.txt", b"umlaut"),
    ("/100%25.txt", b"percent"), ("/%61.txt", b"0123456789"), ("/%FF%01.txt", b"bytes"),
    ("/.well-known/acme-challenge/token", b"acme"), ("/inside", b"sub"), ("/sub/up", b"0123456789"),
    ("/none.txt", b"")])
def test_a_path_is_a_file(site, target, body):
    got = get(site[0], target)
    assert (got.status, got.body) == (200, body)


@pytest.mark.parametrize("target", [
    "/nothing", "/sub/nothing", "/a.txt/", "/a.txt/x", "/empty/", "/.htpasswd", "/.git/config", "/.git/",
    "/sub/.env", "/%2ehtpasswd", "/.git%2Fconfig", "/out", "/far/secret.txt", "/far/", "/absolute",
    "/self/environ", "/pipe", "/..", "/../secret.txt", "/sub/../../secret.txt", "/%2e%2e/secret.txt",
    "/%2E%2E%2Fsecret.txt", "/..%2fsecret.txt", "/sub/..%2f..%2fsecret.txt", "/%252e%252e/secret.txt",
    "/..%5csecret.txt", "/..\\secret.txt", "/....//secret.txt", "/..;/secret.txt", "/a.txt%00.html", "/%00",
    "/a.txt%2500", "/sub%2Findex.html", "/%c0%ae%c0%ae/secret.txt", "/%uff0e%uff0e/secret.txt",
    "/" + "x" * 300, "/" + "x/" * 1500])
@pytest.mark.parametrize("host", ["plain", "slash", "app"])
def test_nothing_else_is(site, target, host):
    """Under no encoding, and where %2F is let through neither. What is missing is the fallback's
    where there is one, what is hidden is not."""
    got = get(site[0], target, host)
    assert b"secret" not in got.body and b"root:" not in got.body
    if host == "app" and got.status == 200:
        assert got.body == b"<app>" or b"<h1>Files</h1>" in got.body
    else:
        assert got.status in (400, 404)


@pytest.mark.parametrize("host,target,location", [
    ("plain", "/sub", "/sub/"), ("plain", "/sub?a=b&c", "/sub/?a=b&c"), ("plain", "/./empty", "/empty/"),
    ("plain", "//sub", "/sub/"), ("plain", "///sub", "/sub/"), ("plain", "/x/..//sub", "/sub/"),
    ("plain", "/a:b", "/a:b/"), ("strip", "/static/sub?a", "/static/sub/?a"),
    ("strip", "/static/deep/er", "/static/deep/er/"), ("add", "/er", "/er/")])
def test_a_folder_gets_its_slash(site, host, target, location):
    """As the client names it, and at the host that it asked."""
    gate, root = site
    for name in ("a:b", "deep/er"):
        (root / name).mkdir(parents=True, exist_ok=True)
    got = get(gate, target, host)
    there = urljoin("http://host" + target, got.get("location"))
    assert (got.status, there) == (301, "http://host" + location)
    assert not got.get("location").startswith("//")


def test_fallback_is_for_what_is_missing(site):
    gate, _ = site
    for target in ("/some/route", "/nothing.js", "/out"):
        got = get(gate, target, "app")
        assert (got.status, got.body, got.get("cache-control")) == (200, b"<app>", "no-cache")
    assert get(gate, "/.git/config", "app").status == 404


def test_methods(site):
    gate, _ = site
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        got = get(gate, "/a.txt", method=method, Content_Length="0")
        assert (got.status, got.get("allow")) == (405, "GET, HEAD")
    head, whole = get(gate, "/a.txt", method="HEAD"), get(gate, "/a.txt")
    same = [f for f in whole.fields if f[0] != "Date"]
    assert (head.status, head.body) == (200, b"")
    assert [f for f in head.fields if f[0] != "Date"] == same


def test_listing(site):
    """Only where it is on, escaped, without what is not served."""
    gate, root = site
    folder = root / "list"
    folder.mkdir()
    (folder / "<b>&\"'.txt").write_text("1234")
    (folder / "sub").mkdir()
    (folder / ".hidden").write_text("")
    (folder / "link").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe")
    (folder / "a#?%.txt").write_text("found")
    assert get(gate, "/list/").status == 404
    page = get(gate, "/list/", "app")
    assert page.get("content-type") == "text/html; charset=utf-8"
    text = page.body.decode()
    assert "<b>" not in text and "&lt;b&gt;&amp;&quot;" in text and ".hidden" not in text
    assert "pipe" not in text and "%3Cb%3E%26%22%27.txt" in text
    assert get(gate, "/list/a%23%3F%25.txt").body == b"found" and "a%23%3F%25.txt" in text
    listed = get(gate, "/list/", "app", Accept="application/json")
    assert [(e["name"], e["type"]) for e in listed.json] == [
        ("sub", "folder"), ("<b>&\"'.txt", "file"), ("a#?%.txt", "file"), ("link", "link")]
    assert get(gate, "/sub/", "app").body == b"sub"


# ---- what is said of it ----

def test_fields_of_a_file(site):
    gate, root = site
    got = get(gate, "/a.txt")
    stat = (root / "a.txt").stat()
    assert got.get("content-type") == "text/plain; charset=utf-8"
    assert got.get("last-modified") == email.utils.formatdate(int(stat.st_mtime), usegmt=True)
    assert got.get("etag") == f'"{stat.st_mtime_ns:x}-{stat.st_size:x}"'
    assert got.get("accept-ranges") == "bytes" and got.get("content-length") == "10"
    assert got.get("cache-control") is None and got.get("vary") is None
    for target, kind in (("/app.js", "text/javascript; charset=utf-8"), ("/big.bin", "application/octet-stream"),
                         ("/style.css", "text/css; charset=utf-8")):
        assert get(gate, target, method="HEAD").get("content-type") == kind


def test_a_file_of_the_future_is_not_said_to_be(site):
    gate, root = site
    (root / "future.txt").write_text("x")
    os.utime(root / "future.txt", (4102444800, 4102444800))
    got = get(gate, "/future.txt")
    assert got.get("last-modified") == got.get("date")


def test_times_that_are_no_date(cert):
    """What a file's time may be, by an archive that was unpacked, harms nobody."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:  # it takes any time
        root = pathlib.Path(name)
        for seconds in ((1 << 63) - 1, 1 << 60, -1, -(1 << 60)):
            (root / str(seconds)).write_text("x")
            subprocess.run(["touch", "-d", f"@{seconds}", root / str(seconds)], check=True)
        with Gate(SITE, cert=cert[0], key=cert[1], root=root) as gate:
            worker = gate.worker_pid
            for path in root.iterdir():
                got = get(gate, f"/{path.name}", If_Range="Sun, 06 Nov 1994 08:49:37 GMT", Range="bytes=0-0")
                assert (got.status, got.body) == (200, b"x")
                assert email.utils.parsedate_to_datetime(got.get("last-modified"))
            assert b"31 Dec 9999" in get(gate, "/", "app").body
            assert gate.worker_pid == worker


def test_cache_control_and_expires_by_pattern(site):
    gate, _ = site

    def of(target):
        got = get(gate, target, "app")
        date, expires = (got.get(n) and email.utils.parsedate_to_datetime(got.get(n))
                         for n in ("date", "expires"))
        return got.get("cache-control"), expires and int((expires - date).total_seconds())
    assert of("/app.js") == ("public, immutable, max-age=31536000", 31536000)
    assert of("/style.css") == ("max-age=5", 31536000)
    assert of("/sub/x.bin") == ("max-age=60", 60)
    assert of("/a.txt") == (None, None)
    assert of("/") == ("no-cache", None)


@pytest.mark.parametrize("accept,body,coding", [
    (None, b"let a = 1;", None), ("gzip", b"GZ", "gzip"), ("br, gzip", b"BR", "br"),
    ("gzip, br;q=0.5", b"GZ", "gzip"), ("*", b"BR", "br"), ("br;q=0, *", b"GZ", "gzip"),
    ("gzip;q=0, br;q=0", b"let a = 1;", None), ("zstd", b"let a = 1;", None),
    ("gzip;q=0.5, identity;q=1", b"let a = 1;", None), ("x-gzip", b"GZ", "gzip")])
def test_precompressed_files(site, accept, body, coding):
    gate, _ = site
    got = get(gate, "/app.js", "app", **({"Accept_Encoding": accept} if accept else {}))
    assert (got.status, got.body, got.get("content-encoding")) == (200, body, coding)
    assert got.get("vary") == "Accept-Encoding"
    assert got.get("content-type") == "text/javascript; charset=utf-8"
    again = get(gate, "/app.js", "app", If_None_Match=got.get("etag"),
                **({"Accept_Encoding": accept} if accept else {}))
    assert (again.status, again.get("vary")) == (304, "Accept-Encoding")
    assert get(gate, "/style.css", "app", Accept_Encoding="br").get("vary") is None


def test_codings_have_etags_of_their_own(site):
    gate, _ = site
    tags = {get(gate, "/app.js", "app", Accept_Encoding=c).get("etag") for c in ("br", "gzip", "x")}
    assert len(tags) == 3
    part = get(gate, "/app.js", "app", Accept_Encoding="gzip", Range="bytes=1-")
    assert (part.status, part.body, part.get("content-encoding")) == (206, b"Z", "gzip")


# ---- parts of it, and conditions ----

@pytest.mark.parametrize("value,status,body,content_range", [
    ("bytes=0-0", 206, b"0", "bytes 0-0/10"), ("bytes=3-", 206, b"3456789", "bytes 3-9/10"),
    ("bytes=-3", 206, b"789", "bytes 7-9/10"), ("bytes=-99", 206, b"0123456789", "bytes 0-9/10"),
    ("bytes=8-99", 206, b"89", "bytes 8-9/10"), ("bytes=1-1,99-", 206, b"1", "bytes 1-1/10"),
    ("bytes=10-", 416, None, "bytes */10"), ("bytes=-0", 416, None, "bytes */10"),
    ("bytes=5-1", 200, b"0123456789", None), ("bytes=x", 200, b"0123456789", None),
    ("lines=1-2", 200, b"0123456789", None), ("bytes=0-9,0-9", 200, b"0123456789", None)])
def test_ranges(site, value, status, body, content_range):
    got = get(site[0], "/a.txt", Range=value)
    assert (got.status, got.get("content-range")) == (status, content_range)
    assert body is None or got.body == body
    head = get(site[0], "/a.txt", method="HEAD", Range=value)  # only GET has ranges
    assert (head.status, head.get("content-length")) == (200, "10")


def parts_of(message):
    """[(Content-Range, body)] of a multipart/byteranges."""
    mark = message.get("content-type").split("boundary=")[1].encode()
    assert message.get("content-type").startswith("multipart/byteranges; boundary=")
    pieces = message.body.split(b"\r\n--" + mark)
    assert pieces[0] == b"" and pieces[-1] == b"--\r\n"
    parts = []
    for piece in pieces[1:-1]:
        head, body = piece.split(b"\r\n\r\n", 1)
        fields = dict(line.split(": ") for line in head.decode().strip().split("\r\n"))
        parts.append((fields["Content-Range"], body))
    return parts


def test_several_ranges(site):
    gate, _ = site
    assert parts_of(get(gate, "/a.txt", Range="bytes=0-1,-1, 4-5")) == [
        ("bytes 0-1/10", b"01"), ("bytes 9-9/10", b"9"), ("bytes 4-5/10", b"45")]
    assert parts_of(get(gate, "/a.txt", Range="bytes=0-3,2-5")) == [
        ("bytes 0-3/10", b"0123"), ("bytes 2-5/10", b"2345")]
    size, last = len(BIG), len(BIG) - 1
    got = get(gate, "/big.bin", Range=f"bytes=100000-1199999,5-5,1500000-{last}")
    assert parts_of(got) == [(f"bytes 100000-1199999/{size}", BIG[100000:1200000]),
                             (f"bytes 5-5/{size}", BIG[5:6]),
                             (f"bytes 1500000-{last}/{size}", BIG[1500000:])]
    many = ",".join(f"{i}-{i}" for i in range(16))
    assert len(parts_of(get(gate, "/big.bin", Range=f"bytes={many}"))) == 16
    assert get(gate, "/big.bin", Range=f"bytes={many},99-99").status == 200


def test_the_end_of_four_gigabytes(site):
    got = get(site[0], "/huge.bin", Range="bytes=-8")
    assert (got.body, got.get("content-range")) == (b"\0\0\0\0tail", "bytes 4294967288-4294967295/4294967296")
    with h2(site[0]) as c:
        stream = c.request("/huge.bin", authority="plain", headers=[("range", "bytes=4294967290-")])
        assert (stream.status, bytes(stream.body)) == (206, b"\0\0tail")
    assert get(site[0], "/huge.bin", method="HEAD").get("content-length") == str(4 << 30)


def test_conditions_in_their_order(site):
    """RFC 9110 section 13.2.2; the rows of single conditions are in the unit tests."""
    gate, root = site
    os.utime(root / "a.txt", (784111777, 784111777))
    until(lambda: get(gate, "/a.txt").get("last-modified") == "Sun, 06 Nov 1994 08:49:37 GMT", "a new look")
    tag, other = get(gate, "/a.txt").get("etag"), '"x"'
    same, before = "Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:36 GMT"
    for status, headers in (
            (200, {"If_Match": tag}), (412, {"If_Match": other}), (200, {"If_Match": "*"}),
            (412, {"If_Match": other, "If_None_Match": tag}), (412, {"If_Unmodified_Since": before}),
            (200, {"If_Match": tag, "If_Unmodified_Since": before}), (304, {"If_None_Match": f"{other}, W/{tag}"}),
            (304, {"If_None_Match": tag, "If_Modified_Since": before}), (304, {"If_Modified_Since": same}),
            (200, {"If_None_Match": other, "If_Modified_Since": same}), (200, {"If_Modified_Since": before}),
            (304, {"If_None_Match": tag, "Range": "bytes=0-0"}), (412, {"If_Match": other, "Range": "bytes=99-"}),
            (206, {"If_Range": tag, "Range": "bytes=0-0"}), (200, {"If_Range": other, "Range": "bytes=0-0"}),
            (200, {"If_Range": f"W/{tag}", "Range": "bytes=0-0"}), (206, {"If_Range": same, "Range": "bytes=0-0"}),
            (200, {"If_Range": before, "Range": "bytes=0-0"}), (200, {"If_Range": other, "Range": "bytes=99-"})):
        for method in ("GET", "HEAD"):
            got = get(gate, "/a.txt", method=method, **headers)
            expected = 200 if method == "HEAD" and status in (206, 416) else status
            assert got.status == expected, (method, headers)
            if expected == 304:
                assert got.get("etag") == tag and got.body == b"" and got.get("content-length") is None
                assert got.get("content-type") is None


# ---- how bytes go out ----

@pytest.mark.parametrize("way", ["plain", "tls", "h2", "h2 tls"])
def test_large_files_arrive_whole(site, way):
    gate, _ = site
    if way.startswith("h2"):
        with h2(gate, *(["https", True] if "tls" in way else [])) as c:
            streams = [c.open(path="/big.bin", authority="plain") for _ in range(3)]
            assert c.request("/a.txt", authority="plain").status == 200
            for stream in streams:
                assert stream.done().read() == BIG
        return
    tls = {"listener": "https", "tls": insecure()} if way == "tls" else {}
    with gate.connect(tls.get("listener", "http"), tls=tls.get("tls")) as c:
        for target, body in (("/big.bin", BIG), ("/a.txt", b"0123456789"), ("/big.bin", BIG)):
            c.send(f"GET {target} HTTP/1.1\r\nHost: plain\r\n\r\n")
            assert read_message(c).body == body


@pytest.mark.parametrize("way", ["http", "h2"])
def test_compressed_on_the_way(site, way):
    """A transform of the body reads the file: 64 MiB of zeros make next to nothing, and others
    have their turn meanwhile."""
    gate, root = site
    with open(root / "zeros.txt", "wb") as f:
        f.truncate(64 << 20)
    (root / "words.txt").write_text("words and words\n" * 100000)
    for target, body in (("/words.txt", b"words and words\n" * 100000), ("/big.bin", BIG), ("/zeros.txt", bytes(64 << 20))):
        if way == "h2":
            with h2(gate) as c:
                got = c.request(target, authority="zip", headers=[("accept-encoding", "gzip")])
                data, coding = bytes(got.body), got.get("content-encoding")
        else:
            got = get(gate, target, "zip", Accept_Encoding="gzip")
            data, coding = got.body, got.get("content-encoding")
            assert got.get("etag").startswith('W/"') and got.get("accept-ranges") is None
        assert coding == "gzip" and gzip.decompress(data) == body
    part = get(gate, "/words.txt", "zip", Accept_Encoding="gzip", Range="bytes=0-4")
    assert (part.status, part.body, part.get("content-encoding")) == (206, b"words", None)


def test_pipelined_requests(site):
    with site[0].connect() as c:
        c.send("GET /big.bin HTTP/1.1\r\nHost: plain\r\n\r\nHEAD /big.bin HTTP/1.1\r\nHost: plain\r\n\r\n"
               "GET /a.txt HTTP/1.1\r\nHost: plain\r\nRange: bytes=1-2\r\n\r\n")
        assert read_message(c).body == BIG
        assert read_message(c, has_body=False).get("content-length") == str(len(BIG))
        assert read_message(c).body == b"12"


def test_a_get_with_a_body_is_answered(site):
    with site[0].connect() as c:
        c.send("GET /a.txt HTTP/1.1\r\nHost: plain\r\nContent-Length: 4\r\n\r\nab")
        c.send("cd" "GET /big.bin HTTP/1.1\r\nHost: plain\r\n\r\n")
        assert read_message(c).body == b"0123456789"
        assert read_message(c).body == BIG


def test_http_1_0_is_told_the_length(site):
    with site[0].connect() as c:
        c.send("GET /big.bin HTTP/1.0\r\nHost: plain\r\n\r\n")
        assert read_message(c).body == BIG and c.is_closed()


def test_a_slow_client_gets_it_all_and_a_stalled_one_does_not(site):
    gate, root = site
    for listener, tls in (("http", None), ("https", insecure())):
        with gate.connect(listener, tls=tls) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send("GET /big.bin HTTP/1.1\r\nHost: plain\r\n\r\n")
            message, body = read_head(c), b""
            while len(body) < len(BIG):
                body += c.recv(5000)
            assert body == BIG
    with gate.connect() as c:
        c.send("GET /huge.bin HTTP/1.1\r\nHost: short\r\n\r\n")
        line = until(lambda: [r for r in gate.access_lines() if r.get("host") == "short"], "the cut")[0]
        assert (line["status"], line["reason"]) == (200, "write_timeout")


def kept(gate, name):
    """How many files of that name the worker has open."""
    links = []
    for fd in pathlib.Path(f"/proc/{gate.worker_pid}/fd").iterdir():
        try:
            links.append(os.readlink(fd))
        except OSError:
            pass
    return sum(name in link for link in links)


def test_a_fast_client_lets_others_have_their_turn(site):
    """Few bytes go to those who take all at once between a small request and its answer. Counted, not
    timed: six readers drop what comes where the kernel has it."""
    gate, root = site
    with open(root / "vast.bin", "wb") as f:
        f.truncate(1 << 40)
    counts, stop = [0] * 6, threading.Event()

    def take(i):
        with gate.connect() as c:
            c.send("GET /vast.bin HTTP/1.1\r\nHost: plain\r\n\r\n")
            while not stop.is_set():
                got = len(c.sock.recv(1 << 22, socket.MSG_TRUNC))
                counts[i] += got
                if not got:
                    return
    threads = [threading.Thread(target=take, args=(i,)) for i in range(6)]
    for t in threads:
        t.start()
    until(lambda: all(c > 1 << 20 for c in counts), "fast clients")
    between = []
    for _ in range(11):
        before = sum(counts)
        assert get(gate, "/a.txt").status == 200
        between.append(sum(counts) - before)
    stop.set()
    for t in threads:
        t.join()
    assert sorted(between)[5] < 48 << 20, between


def test_clients_that_leave(site):
    """By FIN and by reset, amid a file; its descriptors go, and nobody else notices."""
    gate, _ = site
    for listener, tls in (("http", None), ("https", insecure())):
        for leave in ("close", "reset"):
            c = gate.connect(listener, tls=tls)
            c.send("GET /huge.bin HTTP/1.1\r\nHost: plain\r\n\r\n")
            c.recv(1000)
            getattr(c, leave)()
    with h2(gate) as c:
        stream = c.open(path="/huge.bin", authority="plain")
        stream.has_head()
        stream.reset()
        assert c.request("/a.txt", authority="plain").status == 200
    assert get(gate, "/a.txt").status == 200
    until(lambda: gate.metric("wharfgate_connections_active", listener="http") <= 1, "their end")
    until(lambda: kept(gate, "huge.bin") == 0, "closed files", PATIENCE + 15)


@pytest.mark.parametrize("listener", ["http", "https"])
def test_what_nobody_took_is_not_logged_as_sent(site, listener):
    """A client that resets amid a file of 4 GiB had a few MiB in its sockets at most."""
    gate, _ = site
    for leave in ("close", "reset"):
        c = gate.connect(listener, tls=insecure() if listener == "https" else None)
        c.send(f"GET /huge.bin?{listener}-{leave} HTTP/1.1\r\nHost: plain\r\n\r\n")
        c.recv(1000)
        getattr(c, leave)()
        line = until(lambda leave=leave: [r for r in gate.access_lines() if f"?{listener}-{leave}" in r.get("path", "")],
                     "the line")[0]
        assert (line["status"], line["reason"]) == (200, "client_closed")
        assert 0 < line["response_bytes"] < 16 << 20


# ---- files that change ----

@pytest.fixture
def own(tmp_path, cert):
    """(gate, root) for one test."""
    root = tmp_path / "root"
    root.mkdir()
    with Gate(SITE, cert=cert[0], key=cert[1], root=root) as gate:
        yield gate, root


@pytest.mark.parametrize("listener", ["http", "https"])
def test_a_replaced_file_is_never_mixed(own, listener):
    """Renamed over again and again under requests: each answer is one of them, whole, and agrees
    with its ETag."""
    gate, root = own
    pages = [bytes([i]) * (200000 + i) for i in range(8)]
    (root / "page").write_bytes(pages[0])
    seen, failures, stop = {}, [], threading.Event()

    def ask():
        with gate.connect(listener, tls=insecure() if listener == "https" else None) as c:
            while not stop.is_set():
                c.send("GET /page HTTP/1.1\r\nHost: plain\r\n\r\n")
                got = read_message(c)
                if got.body not in pages or seen.setdefault(got.get("etag"), got.body) != got.body:
                    failures.append(got.fields)
                    return
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for t in threads:
        t.start()
    until(lambda: seen, "the first page")
    for page in pages[1:]:
        count = len(seen)
        (root / "new").write_bytes(page)
        (root / "new").rename(root / "page")
        until(lambda count=count: len(seen) > count or failures, "the new page")
    stop.set()
    for t in threads:
        t.join()
    assert not failures and len(seen) == len(pages)


def fill(c, least=100000):
    """Reads the head and the beginning of a body; returns how much."""
    head = read_head(c)
    return head, len(c.read_exactly(least))


@pytest.mark.parametrize("way", ["http", "https", "h2", "compressed"])
def test_a_file_that_shrinks_breaks_its_answer_off(own, way):
    """Never padded, never shown as complete; the next answer has the new length."""
    gate, root = own
    path = root / "shrinks"
    path.write_bytes(BIG * 8)
    if way == "h2":
        with h2(gate, windows=False) as c:
            stream = c.open(path="/shrinks", authority="plain")
            c.wait(lambda: len(stream.body) > 30000, "its beginning")
            os.truncate(path, 50000)
            c.window_update(1 << 30), c.window_update(1 << 30, stream.id)
            stream.done()
            assert stream.reset_code == INTERNAL_ERROR and len(stream.body) <= len(BIG) * 8
            assert c.request("/shrinks", authority="plain").status == 200
    else:
        is_zip = way == "compressed"
        with gate.connect("https" if way == "https" else "http", tls=insecure() if way == "https" else None) as c:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
            c.send(f"GET /shrinks HTTP/1.1\r\nHost: {'zip' if is_zip else 'plain'}\r\nAccept-Encoding: gzip\r\n\r\n")
            head, got = fill(c)
            os.truncate(path, 50000)
            try:
                while data := c.recv():
                    got, last = got + len(data), data[-5:]
            except OSError:
                pass
            assert last != b"0\r\n\r\n" if is_zip else got < int(head.get("content-length"))
    line = until(lambda: [r for r in gate.access_lines() if r.get("path") == "/shrinks"], "the line")[0]
    assert (line["status"], line["reason"]) == (200, "file_changed")
    until(lambda: get(gate, "/shrinks").get("content-length") == "50000", "a new look")


def test_a_small_file_that_shrinks(own):
    """Read at once with its head: what was known of it is up to a second old."""
    gate, root = own
    (root / "small").write_bytes(b"x" * 1000)
    assert len(get(gate, "/small").body) == 1000
    os.truncate(root / "small", 10)
    lengths = set()

    def settles():
        try:
            lengths.add(len(get(gate, "/small").body))
        except (EOFError, OSError):
            lengths.add("cut")
        return 10 in lengths
    until(settles, "the new length")
    assert lengths <= {10, "cut"}


def test_the_root_is_a_link_that_is_turned(tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "v").write_text(name)
    (tmp_path / "now").symlink_to("one")
    with Gate('listeners: { http: { address: "127.0.0.1:0" } }\nroutes: [{ files: "{root}" }]\n',
              root=tmp_path / "now") as gate:
        assert get(gate, "/v").body == b"one"
        (tmp_path / "next").symlink_to("two")
        (tmp_path / "next").rename(tmp_path / "now")
        until(lambda: get(gate, "/v").body == b"two", "the new release")
        (tmp_path / "now").unlink()
        until(lambda: get(gate, "/v").status == 404, "its end")
        (tmp_path / "now").symlink_to("one")
        until(lambda: get(gate, "/v").body == b"one", "its return")


def test_a_worker_starts_without_its_folder(tmp_path):
    """A process that is replaced takes up what ran before, be the folder there or not."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "x").write_text("x")
    config = """
        listeners: { http: { address: "127.0.0.1:0" } }
        routes: [{ files: "{root}" }, { match: { path: = /other }, respond: { body: other } }]
        """
    with Gate(config, root=root) as gate:
        root.rename(tmp_path / "away")
        assert gate.reload().returncode != 0
        worker = gate.worker_pid
        os.kill(worker, signal.SIGKILL)
        until(lambda: gate.worker_pid != worker, "another process")
        assert get(gate, "/x").status == 404 and get(gate, "/other").body == b"other"
        (tmp_path / "away").rename(root)
        until(lambda: get(gate, "/x").body == b"x", "the folder")


def test_reload_changes_the_root(own, tmp_path):
    """What is being sent goes on with the file that it began with."""
    gate, root = own
    (root / "x").write_bytes(BIG * 8)
    other = tmp_path / "other"
    other.mkdir()
    (other / "x").write_text("other")
    with gate.connect() as c:
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        c.send("GET /x HTTP/1.1\r\nHost: plain\r\n\r\n")
        read_head(c)
        done = gate.reload(SITE, root=other)
        assert done.returncode == 0, done.stderr
        assert get(gate, "/x").body == b"other"
        shutil.rmtree(root)
        assert c.read_exactly(len(BIG) * 8) == BIG * 8
    bad = gate.reload(SITE, root=tmp_path / "none")
    assert bad.returncode != 0 and "No such file or directory" in bad.stderr + bad.stdout
    assert get(gate, "/x").body == b"other"


def test_workers_share_no_file(tmp_path, cert):
    """Three of them, each with files of its own, while plans with the folder come and go."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "x").write_bytes(BIG[:100000])
    with Gate(SITE, workers=3, cert=cert[0], key=cert[1], root=root) as gate:
        with Load(gate, clients=6, request="GET /x HTTP/1.1\r\nHost: few\r\n\r\n") as load:
            for _ in range(5):
                assert gate.reload(SITE).returncode == 0
                load.progress()


def test_files_that_are_kept_open_are_few(site):
    gate, root = site
    folder = root / "many"
    folder.mkdir()
    for i in range(300):
        (folder / f"{i}.txt").write_text(str(i))
    with gate.connect() as c:
        for host, most in (("few", 3), ("plain", 200)):
            for i in range(300):
                c.send(f"GET /many/{i}.txt HTTP/1.1\r\nHost: {host}\r\n\r\n")
                assert read_message(c).body == str(i).encode()
            assert kept(gate, "/many/") <= most + 3
    until(lambda: kept(gate, "/many/") == 0, "closed files", PATIENCE + 15)


# ---- what the system refuses ----

OPEN = """
user: nobody
listeners: { http: { address: "127.0.0.1:0" } }
routes: [{ files: { root: "{root}", fallback: /fallback.html }, error_pages: { 404: "{page}" } }]
"""


@pytest.fixture
def public():
    """A folder that others may read."""
    root = pathlib.Path(tempfile.mkdtemp(prefix="wharfgate-public-", dir="/tmp"))
    root.chmod(0o755)
    yield root
    shutil.rmtree(root)


def test_unreadable_files_are_forbidden(public):
    """The worker's rights count, not those of the supervisor that it had its configuration from."""
    for name in ("open.txt", "closed.txt"):
        (public / name).write_text(name)
    (public / "closed.txt").chmod(0o600)
    (public / "closed").mkdir(mode=0o700)
    (public / "closed/x").write_text("x")
    (public / "404.html").write_text("not here")
    with Gate(OPEN, root=public, page=public / "404.html") as gate:
        assert get(gate, "/open.txt").body == b"open.txt"
        for target in ("/closed.txt", "/closed/x", "/closed/"):
            got = get(gate, target)
            assert got.status == 403 and b"403 Forbidden" in got.body
        got = get(gate, "/none")
        assert (got.status, got.body) == (404, b"not here")
    public.chmod(0o700)
    with pytest.raises(AssertionError, match="closed: Permission denied: the `user` of the configuration may not enter it"):
        Gate(OPEN, root=public / "closed", page=public / "404.html")


@pytest.mark.parametrize("fallback, told", [("/", "is a file, not a folder"), ("/sub/", "is a file, not a folder"),
                                            ("/.env", "names nothing that is served")])
def test_a_fallback_that_is_none_is_a_mistake(public, fallback, told):
    config = OPEN.replace("/fallback.html", fallback).replace("error_pages: { 404: \"{page}\" }", "")
    with pytest.raises(AssertionError, match=f"`fallback` {told}"):
        Gate(config, root=public)


def test_without_descriptors_it_is_503_and_said_once(own):
    gate, root = own
    for i in range(5):
        (root / f"{i}").write_text(str(i))
    with gate.connect() as c:
        c.send("GET /0 HTTP/1.1\r\nHost: plain\r\n\r\n")
        assert read_message(c).body == b"0"
        used = len(os.listdir(f"/proc/{gate.worker_pid}/fd"))
        free = max(int(fd) for fd in os.listdir(f"/proc/{gate.worker_pid}/fd")) + 1
        taken = [gate.connect() for _ in range(free - used + 5)]
        until(lambda: len(os.listdir(f"/proc/{gate.worker_pid}/fd")) >= used + len(taken), "connections")
        old = resource.prlimit(gate.worker_pid, resource.RLIMIT_NOFILE)
        resource.prlimit(gate.worker_pid, resource.RLIMIT_NOFILE, (8, old[1]))
        statuses = []
        for i in range(1, 5):
            c.send(f"GET /{i} HTTP/1.1\r\nHost: plain\r\n\r\n")
            statuses.append(read_message(c).status)
        assert statuses == [503] * 4
        assert gate.errors().count("files cannot be opened: out of file descriptors") == 1
        resource.prlimit(gate.worker_pid, resource.RLIMIT_NOFILE, old)
        c.send("GET /1 HTTP/1.1\r\nHost: plain\r\n\r\n")
        assert read_message(c).body == b"1"
        for one in taken:
            one.close()


def test_explain_names_the_file(site):
    gate, root = site
    for path, file in (("x", f"{root}/x, else /app.html"), ("", f"{root}/, else /app.html"),
                       ("a/b/", f"{root}/a/b/, else /app.html"), ("a%20b", f"{root}/a b, else /app.html"),
                       ("a/.git/x", f"404: no such name is served from {root} (a dot in front?)")):
        got = json.loads(gate.admin(f"/v1/explain?url=http://app/{path.replace('%', '%25')}").body)
        assert got["origin"] == "files" and got["detail"] == file
