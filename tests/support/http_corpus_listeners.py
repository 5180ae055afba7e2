"""Gateways that listen with TLS or on a unix socket, and certificates for them."""

import datetime as dt
import ipaddress
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from tests.support.gateway.process import PROGRAM, GatewayProcess
from tests.support.http_corpus import get
from tests.support.http_corpus_load import read_all


class Certificate(NamedTuple):
    """PEM files of a self-signed certificate for 127.0.0.1."""

    cert_file: Path
    key_file: Path

    def settings(self) -> dict[str, str]:
        return {"tls_cert_file": str(self.cert_file), "tls_key_file": str(self.key_file)}

    def client_context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.cert_file))
        context.set_alpn_protocols(["http/1.1"])
        return context


def create_certificate(directory: Path) -> Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "gateway")])
    now = dt.datetime.now(dt.UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]),
            critical=False,
        )
        .sign(key, SHA256())
    )
    made = Certificate(directory / "cert.pem", directory / "key.pem")
    made.cert_file.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    made.key_file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return made


class TlsGateway(GatewayProcess):
    """A gateway with TLS on a free port. It is ready when it answers over TLS, whatever it prints."""

    def __init__(self, config: dict[str, Any], directory: Path, certificate: Certificate) -> None:
        with socket.socket() as chosen:
            chosen.bind(("127.0.0.1", 0))
            self._port: int = chosen.getsockname()[1]
        self._certificate = certificate
        server = {**config.get("server", {}), "port": self._port, **certificate.settings()}
        super().__init__({**config, "server": server}, directory)

    def _address(self) -> str | None:
        assert self.process.poll() is None, f"The gateway did not start: {self.stderr()}"
        return f"https://127.0.0.1:{self._port}"

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"The gateway has ended: {self.stderr()}"
        try:
            with self.connect() as link:
                link.sendall(get(b"/health/ready", b"Connection: close"))
                return read_all(link, 2)[0].startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def connect(self, context: ssl.SSLContext | None = None) -> ssl.SSLSocket:
        raw = socket.create_connection(("127.0.0.1", self._port), 5)
        try:
            return (context or self._certificate.client_context()).wrap_socket(raw, server_hostname="127.0.0.1")
        except BaseException:
            raw.close()
            raise


class UnixGateway(GatewayProcess):
    """A gateway on a unix socket."""

    def __init__(self, config: dict[str, Any], directory: Path, path: Path) -> None:
        self.path = path
        super().__init__({**config, "server": {**config.get("server", {}), "unix_socket": str(path)}}, directory)

    def _address(self) -> str | None:
        assert self.process.poll() is None, f"The gateway did not start: {self.stderr()}"
        return f"http://unix:{self.path}"

    def is_ready(self) -> bool:
        assert self.process.poll() is None, f"The gateway has ended: {self.stderr()}"
        try:
            return self.exchange(get(b"/health/ready", b"Connection: close")).startswith(b"HTTP/1.1 200 ")
        except OSError:
            return False

    def exchange(self, data: bytes) -> bytes:
        """Send a request that closes the connection, and return the response."""
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(5)
            link.connect(str(self.path))
            link.sendall(data)
            return read_all(link, 5)[0]


def start_failure(config: dict[str, Any], directory: Path) -> str:
    """Return what a gateway prints that cannot start. Fails if it starts, or ends with a traceback."""
    gateway = GatewayProcess(config, directory)
    done = subprocess.run(
        [*PROGRAM, "serve", "--config", str(gateway.config_file)],
        cwd=directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    printed = done.stdout + done.stderr
    assert done.returncode not in {0, -9}, printed
    assert "Traceback" not in printed, printed
    assert "Unknown setting" not in printed, printed
    return printed
