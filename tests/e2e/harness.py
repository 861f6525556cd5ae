# SPDX-License-Identifier: Apache-2.0
"""What every end-to-end test stands on: the real gate, real origins, a raw client.

A test shows client, configuration and origin on one screen. Ports are 0; the
gate's ready file tells the real ones. Nothing here sleeps for a guess: `until`
waits for a condition, bounded.
"""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import textwrap
import threading
import time
import http.client

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = os.environ.get("WHARFGATE", str(ROOT / "build" / "wharfgate"))
# Sanitizers make everything slower; bounds of waiting grow with it.
PATIENCE = float(os.environ.get("WHARFGATE_TEST_PATIENCE", "10"))
# Memory is not the gate's alone then, nor are addresses.
IS_SANITIZED = "WHARFGATE_SANITIZER" in os.environ


def until(condition, what="condition", seconds=None):
    """Returns the condition's first true value; fails when it takes too long."""
    end = time.monotonic() + (seconds or PATIENCE)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain for {what}")
        time.sleep(0.005)


class Peer:
    """One connection as a test sees it: raw bytes in and out, with a timeout."""

    def __init__(self, sock):
        self.sock = sock
        self.sock.settimeout(PATIENCE)
        self.pending = b""

    def send(self, data):
        self.sock.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def recv(self, most=65536):
        if self.pending:
            data, self.pending = self.pending[:most], self.pending[most:]
            return data
        return self.sock.recv(most)

    def read_until(self, mark):
        data = b""
        while mark not in data:
            more = self.recv()
            if not more:
                self.pending = b""
                raise EOFError(f"ended after {data!r}")
            data += more
        at = data.index(mark) + len(mark)
        self.pending = data[at:] + self.pending
        return data[:at]

    def read_exactly(self, count):
        data = b""
        while len(data) < count:
            more = self.recv(count - len(data))
            if not more:
                raise EOFError(f"ended after {len(data)} of {count} bytes")
            data += more
        return data

    def read_all(self):
        data = b""
        while True:
            more = self.recv()
            if not more:
                return data
            data += more

    def is_closed(self):
        """Has the other side closed? Waits for it; False when bytes came instead."""
        try:
            return self.recv(1) == b""
        except ConnectionResetError:
            return True

    def close(self):
        with contextlib.suppress(OSError):
            self.sock.close()

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Message:
    """A head with its body, as it stood on the wire."""

    def __init__(self, start, fields, body=b"", trailers=()):
        self.start, self.fields, self.body, self.trailers = start, fields, body, list(trailers)

    def get(self, name, default=None):
        for key, value in self.fields:
            if key.lower() == name.lower():
                return value
        return default

    def get_all(self, name):
        return [v for k, v in self.fields if k.lower() == name.lower()]

    @property
    def status(self):
        return int(self.start.split(" ")[1])

    @property
    def method(self):
        return self.start.split(" ")[0]

    @property
    def target(self):
        return self.start.split(" ")[1]

    @property
    def json(self):
        return json.loads(self.body)


def read_head(peer):
    lines = peer.read_until(b"\r\n\r\n")[:-4].decode("latin-1").split("\r\n")
    return Message(lines[0], [tuple(p.strip() for p in line.split(":", 1)) for line in lines[1:]])


def read_chunked(peer, message):
    while True:
        size = int(peer.read_until(b"\r\n").split(b";")[0], 16)
        if size == 0:
            break
        message.body += peer.read_exactly(size)
        assert peer.read_exactly(2) == b"\r\n"
    while (line := peer.read_until(b"\r\n")) != b"\r\n":
        key, value = line.decode("latin-1").split(":", 1)
        message.trailers.append((key, value.strip()))


def read_message(peer, has_body=True):
    """A request, or a final or interim response, whole."""
    message = read_head(peer)
    is_response = message.start.startswith("HTTP/")
    if is_response and (message.status < 200 or message.status in (204, 304) or not has_body):
        return message
    if (message.get("transfer-encoding") or "").lower() == "chunked":
        read_chunked(peer, message)
    elif message.get("content-length") is not None:
        message.body = peer.read_exactly(int(message.get("content-length")))
    elif is_response:
        message.body = peer.read_all()
    return message


def reply(status=200, body=b"", **fields):
    """A response's bytes with Content-Length; underscores in names become dashes."""
    body = body.encode() if isinstance(body, str) else body
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n"
    head += "".join(f"{k.replace('_', '-')}: {v}\r\n" for k, v in fields.items())
    return head.encode("latin-1") + b"\r\n" + body


class Origin:
    """A real server on loopback. `serve(peer, origin)` runs once a connection, in a
    thread of its own; the default one answers every request with a JSON echo."""

    def __init__(self, serve=None, name="origin", tls=None, unix=None, port=0, host="127.0.0.1"):
        self.name = name
        self.serve = serve or Origin.echo
        self.requests, self.connections = [], 0
        self.errors = []
        self.tls = tls
        self.lock = threading.Lock()
        self.peers = []
        if unix:
            self.sock = socket.socket(socket.AF_UNIX)
            self.sock.bind(unix)
            self.address = f"unix:{unix}"
        else:
            self.sock = socket.socket()
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.sock.bind((host, port))
            self.port = self.sock.getsockname()[1]
            self.address = f"{host}:{self.port}"
        self.sock.listen(512)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            with self.lock:
                self.connections += 1
            threading.Thread(target=self._run, args=(sock,), daemon=True).start()

    def _run(self, sock):
        peer = Peer(sock)
        peer.sock.settimeout(60)
        try:
            if self.tls:
                peer.sock = self.tls.wrap_socket(sock, server_side=True)
            with self.lock:
                self.peers.append(peer)
            self.serve(peer, self)
        except (EOFError, OSError):
            pass
        except Exception as e:  # a fault of the test's own: shown, not lost
            self.errors.append(e)
        finally:
            peer.close()

    def read(self, peer):
        """Reads a request and remembers it."""
        message = read_message(peer)
        with self.lock:
            self.requests.append(message)
        return message

    @staticmethod
    def echo(peer, origin):
        while True:
            request = origin.read(peer)
            peer.send(reply(200, json.dumps({
                "origin": origin.name, "start": request.start, "fields": request.fields,
                "body": len(request.body), "trailers": request.trailers,
            }), Content_Type="application/json"))

    def close(self):
        # shutdown() wakes the thread in accept(); close() alone leaves it listening.
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        self.sock.close()
        for peer in self.peers:
            with contextlib.suppress(OSError):
                peer.sock.shutdown(socket.SHUT_RDWR)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        assert not self.errors, self.errors


class Nobody:
    """An address that refuses connections, and that no one else can take meanwhile."""

    def __init__(self):
        self.sock = socket.socket()
        self.sock.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.sock.getsockname()[1]}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.sock.close()


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def json(self):
        return json.loads(self.body)


class Gate:
    """The real program with a configuration. `config` is YAML without `admin:` and
    `log:`; {name} in it is replaced from keyword arguments."""

    # `prefix`: a command that runs it; `env`: more variables; `owner`: of its folder, when it
    # does not run as us.
    def __init__(self, config, workers=1, args=(), admin=True, log="", prefix=(), env=None,
                 owner=None, **values):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="wharfgate-test-"))
        if owner:
            shutil.chown(self.dir, owner)
        self.prefix, self.env = list(prefix), {**os.environ, **(env or {})}
        self.path = self.dir / "wharfgate.yaml"
        self.ready_path = self.dir / "ready.json"
        self.socket_path = self.dir / "admin.sock"
        self.access_path = self.dir / "access.log"
        self.stderr_path = self.dir / "stderr.log"
        self.workers, self.args, self.has_admin, self.log = workers, list(args), admin, log
        self.values = values
        self.write(config, **values)
        self.start()

    def write(self, config, **values):
        text = textwrap.dedent(config)
        for key, value in values.items():
            text = text.replace("{" + key + "}", str(value))
        if "workers:" not in text:
            text += f"\nworkers: {self.workers}\n"
        if self.has_admin and "admin:" not in text:
            text += f"admin: {{ address: '127.0.0.1:0', socket: '{self.socket_path}' }}\n"
        if "\nlog:" not in text:
            text += f"log: {{ access: '{self.access_path}', format: json, level: debug }}\n"
        self.path.write_text(text)

    def start(self):
        self.ready_path.unlink(missing_ok=True)
        self.stderr = open(self.stderr_path, "ab")
        self.process = subprocess.Popen(
            [*self.prefix, BINARY, "run", "-c", str(self.path),
             "--ready-file", str(self.ready_path), *self.args],
            stdin=subprocess.DEVNULL, stdout=self.stderr, stderr=self.stderr, env=self.env)
        until(lambda: self.ready_path.exists() or self.process.poll() is not None, "the gate")
        if self.process.poll() is not None:
            raise AssertionError(f"exit {self.process.returncode}:\n{self.errors()}")

    @property
    def ready(self):
        return json.loads(self.ready_path.read_text())

    @property
    def worker_pid(self):
        return self.ready["worker_pid"]

    def errors(self):
        return self.stderr_path.read_text(errors="replace")

    def address(self, listener):
        host, port = self.ready["listeners"][listener][0].rsplit(":", 1)
        host = host.strip("[]")
        return ("127.0.0.1" if host in ("0.0.0.0", "::") else host), int(port)

    def connect(self, listener="http", tls=None, server_name="localhost", source=None):
        """A raw connection as a Peer. `tls`: an ssl.SSLContext."""
        sock = socket.create_connection(self.address(listener), PATIENCE,
                                        source_address=source and (source, 0))
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=server_name)
        return Peer(sock)

    def raw(self, data, listener="http", **kw):
        """Sends bytes, half-closes nothing, reads one response."""
        with self.connect(listener, **kw) as peer:
            peer.send(data)
            return read_message(peer, has_body=not data[:4] in ("HEAD", b"HEAD"))

    def request(self, target="/", method="GET", headers=None, body=None, listener="http",
                tls=None, host="localhost"):
        """One request on a connection of its own."""
        address = self.address(listener)
        if tls:
            c = http.client.HTTPSConnection(*address, timeout=PATIENCE, context=tls)
        else:
            c = http.client.HTTPConnection(*address, timeout=PATIENCE)
        try:
            c.request(method, target, body=body, headers={"Host": host, **(headers or {})})
            r = c.getresponse()
            return Response(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read())
        finally:
            c.close()

    def admin(self, target, method="GET"):
        """Over the Unix socket."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(self.socket_path))
        with Peer(sock) as peer:
            peer.send(f"{method} {target} HTTP/1.1\r\nHost: admin\r\nContent-Length: 0\r\n"
                      "Connection: close\r\n\r\n")
            return read_message(peer)

    def metric(self, name, **labels):
        """Sum of the samples of that name that carry the labels."""
        total = 0.0
        for line in self.admin("/metrics").body.decode().splitlines():
            if line.startswith(("#", " ")) or not line.startswith(name):
                continue
            left, value = line.rsplit(" ", 1)
            if left.split("{")[0] == name and all(f'{k}="{v}"' in left for k, v in labels.items()):
                total += float(value)
        return total

    def access_lines(self, count=1):
        """The access log's lines, once there are at least `count`."""
        def read():
            if not self.access_path.exists():
                return None
            lines = self.access_path.read_text(errors="replace").splitlines()
            return lines if len(lines) >= count else None
        return [json.loads(line) for line in until(read, f"{count} access log lines")]

    def reload(self, config=None, **values):
        """Writes a new configuration and reloads; returns the finished command."""
        if config is not None:
            self.write(config, **{**self.values, **values})
        return subprocess.run([BINARY, "reload", "--socket", str(self.socket_path)],
                              capture_output=True, text=True, timeout=PATIENCE * 3)

    def stop(self, sig=signal.SIGTERM):
        """Asks it to stop and returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.process.wait(PATIENCE * 4)

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(2 if kind else PATIENCE * 4)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.stderr.close()
        text = self.errors()
        if kind:
            print(f"--- {self.path}\n{self.path.read_text()}\n--- the gate said\n{text[-8000:]}")
        for word in ("AddressSanitizer", "ThreadSanitizer", "LeakSanitizer", "runtime error:",
                     "Assertion"):
            assert word not in text, text[-20000:]


class Load:
    """Clients that keep their connections and send one request after another, each in a
    thread of its own, until the block ends. What fails, and a connection that is closed, is
    a failure; there is no second try."""

    def __init__(self, gate, clients=4, listener="http", tls=None,
                 request="GET / HTTP/1.1\r\nHost: a\r\n\r\n"):
        self.failures, self.counts = [], [0] * clients
        self.stop = threading.Event()
        self.options = (gate, listener, tls, request)
        self.threads = [threading.Thread(target=self._run, args=(i,)) for i in range(clients)]

    def _run(self, i):
        gate, listener, tls, request = self.options
        try:
            with gate.connect(listener, tls=tls) as c:
                while not self.stop.is_set():
                    c.send(request)
                    response = read_message(c)
                    if response.status != 200 or response.get("connection") == "close":
                        self.failures.append((response.start, response.fields))
                        return
                    self.counts[i] += 1
        except (EOFError, OSError) as e:
            self.failures.append(repr(e))

    def progress(self, each=5):
        """Waits until every client has had that many more answers."""
        goals = [count + each for count in self.counts]
        until(lambda: self.failures or all(c >= g for c, g in zip(self.counts, goals)), "answers")
        assert not self.failures, self.failures[:5]

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, kind, *_):
        self.stop.set()
        for t in self.threads:
            t.join()
        if not kind:
            assert not self.failures, self.failures[:5]


def run(*args, **kw):
    """The command line, finished."""
    return subprocess.run([BINARY, *map(str, args)], capture_output=True, text=True,
                          timeout=PATIENCE * 6, stdin=subprocess.DEVNULL, **kw)


def insecure():
    """A TLS client that believes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def make_cert(directory, name, *hosts, key="ec", days=90, start=None, ca=None):
    """A certificate and key by the openssl command; returns (cert path, key path). With
    `ca` (cert, key) it is signed by that, else by itself."""
    cert, private = pathlib.Path(directory) / f"{name}.pem", pathlib.Path(directory) / f"{name}.key"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"] if key == "ec" else \
        ["-newkey", "rsa:2048"]
    names = ",".join(f"IP:{h}" if h.replace(".", "").isdigit() or ":" in h else f"DNS:{h}"
                     for h in hosts) or f"DNS:{name}"
    command = ["openssl", "req", "-x509", *kind, "-nodes", "-subj", f"/CN={name}", "-days", str(days),
               "-keyout", str(private), "-out", str(cert), "-addext", f"subjectAltName={names}"]
    if ca:
        command += ["-CA", str(ca[0]), "-CAkey", str(ca[1]), "-addext", "basicConstraints=critical,CA:FALSE"]
    subprocess.run(command, check=True, capture_output=True)
    return cert, private
