"""Clients of a gateway behind a proxy, with a certificate of a private authority, or on a unix socket."""

import contextlib
import socketserver
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from intellirouter import client
from tests.support.client.scripted_gateway import ScriptedGateway
from tests.support.providers.loopback import Authority
from tests.support.providers.proxy import proxy_in_thread

HOST = "gateway.company.example"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = b'{"models": []}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass

    def address_string(self) -> str:
        return ""


class UnixServer(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


@contextlib.contextmanager
def running(server: socketserver.BaseServer) -> Iterator[None]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def tls_port(authority: Authority) -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    context = authority.server_context(f"DNS:localhost,DNS:{HOST}")
    server.socket = context.wrap_socket(server.socket, server_side=True)
    with running(server):
        yield server.server_address[1]


async def models(url: str, **options: Any) -> None:
    """List the models with both clients."""
    with client.Client(url, max_retries=0, **options) as blocking:
        assert blocking.models() == []
    async with client.AsyncClient(url, max_retries=0, **options) as other:
        assert await other.models() == []


async def test_unix_socket(socket_dir: Path) -> None:
    with running(UnixServer(f"{socket_dir}/gw.sock", Handler)):
        await models(f"unix:{socket_dir}/gw.sock")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # httpcore does not close the socket
async def test_missing_unix_socket(socket_dir: Path) -> None:
    with pytest.raises(client.GatewayUnreachableError, match=f"Cannot connect to a gateway at unix:{socket_dir}"):
        await models(f"unix:{socket_dir}/gw.sock")


@pytest.mark.parametrize("form", ["PEM", "DER"])
@pytest.mark.parametrize("origin", ["argument", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_private_authority(
    authority: Authority, tls_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, origin: str
) -> None:
    bundle = tmp_path / "bundle"
    pem = Path(authority.ca_file).read_text()
    bundle.write_bytes(pem.encode() if form == "PEM" else ssl.PEM_cert_to_DER_cert(pem))
    options = {"ca_file": str(bundle)} if origin == "argument" else {}
    if not options:
        monkeypatch.setenv(origin, str(bundle))
    await models(f"https://localhost:{tls_port}", **options)


async def test_unknown_authority_is_a_clear_error(tls_port: int) -> None:
    with pytest.raises(client.GatewayUnreachableError, match=f"https://localhost:{tls_port} is not trusted") as caught:
        await models(f"https://localhost:{tls_port}")
    assert "SSL_CERT_FILE" in (caught.value.hint or "")


@pytest.mark.parametrize(("content", "message"), [(None, "cannot be read: No such file"), ("text", "contains no cert")])
async def test_unusable_ca_file(tmp_path: Path, content: str | None, message: str) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(ValueError, match=f"The CA file {file} {message}"):
        await models("https://localhost:1", ca_file=str(file))


async def test_gateway_behind_a_proxy(
    authority: Authority, tls_port: int, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.on_json("/api/v1/models", {"models": []})
    with proxy_in_thread(login="ann:s3cret") as proxy:
        monkeypatch.setenv("ALL_PROXY", proxy.with_login("ann:s3cret"))
        await models(f"https://{HOST}:{tls_port}", ca_file=authority.ca_file)
        await models(gateway.url.replace("127.0.0.1", HOST))
        assert [target.split(" ")[0] for target in proxy.targets] == ["CONNECT", "CONNECT", "GET", "GET"]
        monkeypatch.setenv("ALL_PROXY", proxy.with_login("ann:s3cret-no"))
        with pytest.raises(client.GatewayUnreachableError, match=f"The proxy {proxy.url} did not connect") as caught:
            await models(f"https://{HOST}:{tls_port}")
        assert "s3cret" not in str(caught.value)


async def test_proxy_that_is_down(monkeypatch: pytest.MonkeyPatch, closed_port: int, gateway: ScriptedGateway) -> None:
    gateway.on_json("/api/v1/models", {"models": []})
    monkeypatch.setenv("ALL_PROXY", f"http://ann:s3cret@127.0.0.1:{closed_port}")
    await models(gateway.url)
    with pytest.raises(
        client.GatewayUnreachableError, match=f"through the proxy http://127.0.0.1:{closed_port}"
    ) as caught:
        await models(f"https://{HOST}")
    assert "s3cret" not in str(caught.value)
