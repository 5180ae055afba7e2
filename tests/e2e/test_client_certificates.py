"""An upstream that requires a client certificate, and files that are renewed while the gateway runs."""

import json
import signal
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest

from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.providers.loopback import Authority

ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


class Handler(BaseHTTPRequestHandler):
    """Closes the connection after each request, so that every request has a handshake of its own."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A handshake was refused."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def port(authority: Authority) -> Iterator[int]:
    context = authority.requiring(authority.server_context("DNS:localhost"))
    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def test_renewed_certificate_is_used_after_a_reload(authority: Authority, port: int, tmp_path: Path) -> None:
    cert, key = tmp_path / "mine.crt", tmp_path / "mine.key"

    def install(pair: tuple[Path, Path]) -> None:
        for source, target in zip(pair, (cert, key), strict=True):
            target.write_bytes(source.read_bytes())

    def chat() -> httpx.Response:
        return httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model="lab/m"), timeout=20)

    def reload(message: str) -> None:
        before = gateway.stderr().count(message)
        gateway.signal(signal.SIGHUP)
        until(lambda: gateway.stderr().count(message) > before, message)

    install(authority.client_certificate())
    lab = {
        "vendor": "openai-compatible",
        "base_url": f"https://localhost:{port}/v1",
        "credentials": [],
        "models": "*",
        "ca_file": authority.ca_file,
        "client_cert_file": str(cert),
        "client_key_file": str(key),
    }
    with GatewayProcess({"defaults": {"retries": 0}, "providers": {"lab": lab}}, tmp_path) as gateway:
        assert chat().status_code == 200
        key.write_text("not a key")
        reload("providers.lab.client_key_file: The file ")
        assert "contains no private key." in gateway.stderr()
        assert chat().status_code == 200

        foreign = tmp_path / "foreign"
        foreign.mkdir()
        install(Authority(foreign, "Another CA").client_certificate())
        reload("The configuration was reloaded")
        refused = chat()
        assert refused.status_code == 502
        assert "client_cert_file" in refused.text

        install(authority.client_certificate("renewed"))
        reload("The configuration was reloaded")
        assert chat().status_code == 200
