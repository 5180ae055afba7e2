"""A running gateway with TLS and on a unix socket."""

import os
import socket
import ssl
import stat
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess
from tests.support.http_corpus import chat_body, chunked, connect, get, post, post_sized, reset, split_answer
from tests.support.http_corpus_listeners import (
    Certificate,
    TlsGateway,
    UnixGateway,
    create_certificate,
    start_failure,
)
from tests.support.http_corpus_load import attacked_config, read_all

HANDSHAKE_TIMEOUT_S = 1.0
CLOSE = b"Connection: close"


@pytest.fixture
def exits() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return create_certificate(tmp_path_factory.mktemp("certificate"))


@pytest.fixture(scope="module")
def config(vendor: MockVendor) -> dict[str, Any]:
    """`server.head_timeout_s` includes the TLS handshake."""
    return attacked_config(vendor, head_timeout_s=HANDSHAKE_TIMEOUT_S)


@pytest.fixture(scope="module")
def secure(
    config: dict[str, Any], certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TlsGateway]:
    with TlsGateway(config, tmp_path_factory.mktemp("tls"), certificate) as running:
        yield running


def test_tls_serves_whole_and_streamed_answers(secure: TlsGateway, certificate: Certificate) -> None:
    with httpx.Client(base_url=secure.url, verify=certificate.client_context(), timeout=10) as client:
        for _ in range(3):
            whole = client.post("/v1/chat/completions", content=chat_body("fake/echo"))
            assert whole.json()["choices"][0]["message"]["content"] == "echo: hello"
            streamed = client.post("/v1/chat/completions", content=chat_body("fake/echo", stream=True))
            assert streamed.text.rstrip().endswith("data: [DONE]")


def test_tls_serves_large_bodies_both_ways(secure: TlsGateway) -> None:
    text = "x" * 1_000_000
    with secure.connect() as link:
        link.sendall(post_sized(chat_body("fake/echo", text), CLOSE))
        answer, rest = split_answer(read_all(link, 5)[0])
    assert answer.json()["choices"][0]["message"]["content"] == f"echo: {text}"
    assert rest == b""


def test_tls_serves_pipelined_and_chunked_requests(secure: TlsGateway) -> None:
    body = chat_body("fake/echo")
    with secure.connect() as link:
        link.sendall(get() + post(b"Transfer-Encoding: chunked", body=chunked(body)) + get(b"/health/live", CLOSE))
        data, is_closed = read_all(link, 5)
    assert is_closed
    assert data.count(b"HTTP/1.1 200 ") == 3


def test_tls_selects_http_1_1_by_alpn(secure: TlsGateway, certificate: Certificate) -> None:
    context = certificate.client_context()
    for offered in (["http/1.1"], ["h2", "http/1.1"]):
        context.set_alpn_protocols(offered)
        with secure.connect(context) as link:
            assert link.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_tls_accepts_current_versions(secure: TlsGateway, certificate: Certificate, version: ssl.TLSVersion) -> None:
    context = certificate.client_context()
    context.minimum_version = context.maximum_version = version
    with secure.connect(context) as link:
        assert link.version() == version.name.replace("_", ".")


def test_tls_rejects_old_versions(secure: TlsGateway, certificate: Certificate) -> None:
    context = certificate.client_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        secure.connect(context)
    assert secure.is_ready()


@pytest.mark.parametrize("sent", [b"", b"\x16", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
def test_tls_handshake_that_does_not_finish_is_closed(secure: TlsGateway, sent: bytes) -> None:
    with connect(secure.port) as link:
        link.sendall(sent)
        started_s = time.monotonic()
        _, is_closed = read_all(link, HANDSHAKE_TIMEOUT_S + 5)
    assert is_closed
    assert time.monotonic() - started_s < HANDSHAKE_TIMEOUT_S + 5


@pytest.mark.parametrize(
    "sent", [get(), post_sized(chat_body("fake/echo")), b"\x00" * 50, b"\x16\x03\x01\x00\x05hello", b"SSH-2.0-x\r\n"]
)
@pytest.mark.parametrize("is_reset", [False, True])
def test_tls_port_closes_other_protocols_without_noise(secure: TlsGateway, sent: bytes, is_reset: bool) -> None:
    before = secure.stderr()
    for _ in range(3):
        with connect(secure.port) as link:
            link.sendall(sent)
            if is_reset:
                reset(link)
            else:
                assert read_all(link, 3)[1]
    assert secure.is_ready()
    log = secure.stderr().removeprefix(before)
    assert not [line for line in log.splitlines() if "WARNING" in line or "ERROR" in line or "Traceback" in line]


def test_tls_clients_that_leave_cause_no_error(secure: TlsGateway) -> None:
    requests = (b"", get()[:10], post_sized(chat_body("fake/echo")), post_sized(chat_body("fake/echo", "x" * 500_000)))
    for turn in range(12):
        link = secure.connect()
        link.sendall(requests[turn % len(requests)])
        time.sleep(0.002 * turn)
        if turn % 2:
            reset(link)
        else:
            link.close()
    assert secure.is_ready()
    assert "Traceback" not in secure.stderr()


def test_tls_client_that_trusts_no_such_certificate_causes_no_error(secure: TlsGateway) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        secure.connect(ssl.create_default_context())
    assert secure.is_ready()
    assert "Traceback" not in secure.stderr()


def test_tls_malformed_request_is_rejected(secure: TlsGateway) -> None:
    with secure.connect() as link:
        link.sendall(get(b"/health", b"X A: b"))
        data, is_closed = read_all(link, 3)
    assert is_closed
    assert split_answer(data)[0].status == 400


@pytest.mark.parametrize(
    ("broken", "how"), [("tls_cert_file", "missing"), ("tls_key_file", "not PEM"), ("tls_cert_file", "not set")]
)
def test_tls_files_that_cannot_be_used_are_reported(
    config: dict[str, Any], certificate: Certificate, tmp_path: Path, broken: str, how: str
) -> None:
    settings = certificate.settings()
    if how == "not set":
        del settings[broken]
    else:
        wrong = tmp_path / "wrong.pem"
        settings[broken] = str(wrong)
        if how == "not PEM":
            wrong.write_text("hello")
    printed = start_failure({**config, "server": {**config["server"], **settings}}, tmp_path)
    setting = "tls_key_file" if how == "not set" else broken
    assert f"server.{setting}: " in printed
    assert "wrong.pem" in printed or how == "not set"


@pytest.fixture
def socket_path(socket_dir: Path) -> Path:
    return socket_dir / "gateway.sock"


def test_unix_socket_is_served_in_place_of_the_port(config: dict[str, Any], tmp_path: Path, socket_path: Path) -> None:
    before = os.umask(0)
    try:
        gateway = UnixGateway(config, tmp_path, socket_path)
        with gateway:
            mode = socket_path.stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o660
            for body in (chat_body("fake/echo"), chat_body("fake/echo", stream=True)):
                assert gateway.exchange(post_sized(body, CLOSE)).startswith(b"HTTP/1.1 200 ")
            answer = gateway.exchange(get(b"/health", b"X A: b"))
            assert split_answer(answer)[0].status == 400
            assert not listening_ports(gateway)
            assert_live_socket_is_refused(config, tmp_path, gateway)
        assert not socket_path.exists()
    finally:
        os.umask(before)


def listening_ports(gateway: GatewayProcess) -> list[str]:
    """Return the TCP addresses on which the process listens."""
    inodes = set()
    for link in Path(f"/proc/{gateway.process.pid}/fd").iterdir():
        try:
            name = str(link.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if name.startswith("socket:["):
            inodes.add(name.removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]


def assert_live_socket_is_refused(config: dict[str, Any], directory: Path, gateway: UnixGateway) -> None:
    second = directory / "second"
    second.mkdir()
    server = {**config["server"], "unix_socket": str(gateway.path)}
    assert str(gateway.path) in start_failure({**config, "server": server}, second)
    assert gateway.is_ready()


def test_stale_unix_socket_is_replaced(config: dict[str, Any], tmp_path: Path, socket_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(socket_path))
    assert socket_path.exists()
    with UnixGateway(config, tmp_path, socket_path) as gateway:
        assert gateway.is_ready()
        assert stat.S_IMODE(socket_path.stat().st_mode) == 0o660


def test_other_file_at_the_path_of_the_unix_socket_is_not_replaced(
    config: dict[str, Any], tmp_path: Path, socket_path: Path
) -> None:
    socket_path.write_text("precious")
    printed = start_failure({**config, "server": {**config["server"], "unix_socket": str(socket_path)}}, tmp_path)
    assert f"Cannot listen on the unix socket {socket_path}: a file that is not a socket is there." in printed
    assert socket_path.read_text() == "precious"
