# SPDX-License-Identifier: Apache-2.0
"""Certificates, OCSP responses and TLS clients for the tests: by the openssl command and
by Python's ssl module."""
import hashlib
import pathlib
import re
import ssl
import subprocess

from harness import PATIENCE, make_cert


def openssl(*args, data=b"", **kw):
    return subprocess.run(["openssl", *map(str, args)], input=data, check=True,
                          capture_output=True, **kw).stdout


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, directory, name="Test CA"):
        self.dir = pathlib.Path(directory) / name.replace(" ", "-")
        self.dir.mkdir()
        self.cert, self.key = self.dir / "ca.pem", self.dir / "ca.key"
        openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/CN={name}", "-days", 30, "-keyout", self.key, "-out", self.cert,
                "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, *hosts, key="ec"):
        """(cert, key) of a leaf; the cert file holds the leaf alone."""
        return make_cert(self.dir, name, *hosts, key=key, ca=(self.cert, self.key))

    def issue_between(self, name, start, end, *hosts, usage="serverAuth,clientAuth", serial="1234"):
        """The same, valid between two times (YYYYMMDDHHMMSSZ)."""
        conf, csr = self.dir / f"{name}.cnf", self.dir / f"{name}.csr"
        cert, key = self.dir / f"{name}.pem", self.dir / f"{name}.key"
        names = ",".join(f"DNS:{h}" for h in hosts or [name])
        (self.dir / "index.txt").write_text("")
        (self.dir / "serial").write_text(serial + "\n")
        conf.write_text(
            f"[ca]\ndefault_ca=d\n[d]\ndatabase={self.dir}/index.txt\nserial={self.dir}/serial\n"
            f"new_certs_dir={self.dir}\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n"
            "[p]\ncommonName=supplied\norganizationName=optional\n"
            f"[e]\nbasicConstraints=critical,CA:FALSE\nsubjectAltName={names}\n"
            f"extendedKeyUsage={usage}\n")
        openssl("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                "-subj", f"/O=Test/CN={name}", "-keyout", key, "-out", csr)
        openssl("ca", "-batch", "-notext", "-config", conf, "-startdate", start, "-enddate", end,
                "-cert", self.cert, "-keyfile", self.key, "-in", csr, "-out", cert)
        return cert, key

    def chain(self, cert):
        """A file with the leaf and this authority's certificate behind it."""
        path = cert.with_suffix(".chain.pem")
        path.write_bytes(cert.read_bytes() + self.cert.read_bytes())
        return path

    def ocsp(self, cert, path, is_revoked=False):
        """An OCSP response about `cert`, good or revoked, for the next seven days."""
        request, index = self.dir / "ocsp.req", self.dir / "ocsp-index.txt"
        serial = openssl("x509", "-in", cert, "-noout", "-serial").decode().strip().split("=")[1]
        state = "R\t491231235959Z\t250101000000Z" if is_revoked else "V\t491231235959Z\t"
        index.write_text(f"{state}\t{serial}\tunknown\t/CN=x\n")
        openssl("ocsp", "-issuer", self.cert, "-cert", cert, "-reqout", request)
        openssl("ocsp", "-index", index, "-CA", self.cert, "-rsigner", self.cert, "-rkey", self.key,
                "-reqin", request, "-respout", path, "-ndays", 7)
        return path


def client(ca=None, cert=None, ciphers=None, version=None, alpn=None):
    """A TLS client's context: verifying against `ca`, or believing everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca:
        context.load_verify_locations(str(ca))
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(*map(str, cert))
    if version:
        context.minimum_version = context.maximum_version = version
    if ciphers:
        context.set_ciphers(ciphers)
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def server(cert, client_ca=None):
    """A TLS server's context for origins."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*map(str, cert))
    context.set_alpn_protocols(["http/1.1"])
    if client_ca:
        context.load_verify_locations(str(client_ca))
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def fingerprint(cert):
    """SHA-256 of a PEM file's first certificate, in hex."""
    text = openssl("x509", "-in", cert, "-noout", "-fingerprint", "-sha256").decode()
    return text.strip().split("=")[1].replace(":", "").lower()


def shown(peer):
    """SHA-256 of the certificate that the other side of a connection showed."""
    return hashlib.sha256(peer.sock.getpeercert(binary_form=True)).hexdigest()


class SClient:
    """What `openssl s_client` saw of one connection on which it asked for /."""

    def __init__(self, gate, *args, listener="https", name="localhost", host=None):
        address, port = gate.address(listener)
        sni = ["-servername", name] if name else ["-noservername"]
        data = f"GET / HTTP/1.1\r\nHost: {host or name}\r\nConnection: close\r\n\r\n".encode()
        self.result = subprocess.run(
            ["openssl", "s_client", "-connect", f"{address}:{port}", *sni, "-ign_eof",
             *map(str, args)], input=data, capture_output=True,
            timeout=PATIENCE * 3)
        self.text = (self.result.stdout + self.result.stderr).decode("latin-1")

    def find(self, pattern):
        found = re.search(pattern, self.text, re.MULTILINE)
        return found and (found.group(1) if found.groups() else found.group(0))

    @property
    def status(self):
        found = self.find(r"^HTTP/1\.1 (\d+)")
        return int(found) if found else None

    @property
    def subject(self):
        return self.find(r"^subject=.*CN ?= ?(\S+)")
