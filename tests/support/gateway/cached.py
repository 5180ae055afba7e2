"""A vendor that counts its calls, and a gateway in front of it whose cache is on."""

import json
import signal
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx

from tests.support.gateway.fixtures import KEYS, key_rows
from tests.support.gateway.process import GatewayProcess, chat_request, until

PRICE = {"input_per_1m_usd": 100, "output_per_1m_usd": 100}


class Vendor:
    """An OpenAI-compatible server that counts its calls, and can be held or broken."""

    def __init__(self) -> None:
        self.calls = 0
        self.aborted = 0
        self.is_down = False
        self.constant: str | None = None
        """What all answers say; None: each one says its number."""
        self.gate = threading.Event()
        self.gate.set()
        vendor = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                vendor.calls += 1
                if vendor.is_down:
                    self.send(503, b'{"error":{"message":"down"}}')
                elif body.get("stream"):
                    self.stream(vendor.calls)
                else:
                    vendor.gate.wait(10)
                    self.send(200, json.dumps(answer(vendor.calls, vendor.constant)).encode())

            def send(self, status: int, body: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def stream(self, call: int) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.close_connection = True
                try:
                    self.event({"role": "assistant", "content": vendor.constant or f"call {call}"})
                    vendor.gate.wait(10)
                    for number in range(40):
                        self.event({"content": f" {number * 7919} words, then {number**3} more." * 2})
                    self.event({}, "stop")
                    self.wfile.write(b"data: [DONE]\n\n")
                except OSError:
                    vendor.aborted += 1

            def event(self, delta: dict[str, Any], finish: str | None = None) -> None:
                choice = {"index": 0, "delta": delta, "finish_reason": finish}
                chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
                self.wfile.write(b"data: " + json.dumps(chunk).encode() + b"\n\n")
                self.wfile.flush()

            def log_message(self, *args: Any) -> None:
                """Log nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def stop(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


def answer(call: int, text: str | None = None) -> dict[str, Any]:
    message = {"role": "assistant", "content": text or f"call {call}"}
    return {
        "id": f"c{call}",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
    }


def settings(vendor: Vendor, **cache: Any) -> dict[str, Any]:
    return {
        "defaults": {"cache": "exact", "retries": 0, "backoff": {"base_s": 0.01, "max_s": 0.05}},
        "cache": {"stale_if_error_s": 600, **cache},
        "providers": {"p": {"vendor": "openai-compatible", "base_url": vendor.url, "credentials": [], "models": "*"}},
        "deployments": {"priced": {"provider": "p", "model": "up", "price": PRICE}},
        "models": {"m": {"deployments": ["priced"]}, "uncached": {"deployments": ["priced"], "cache": "off"}},
        "tenants": {"north": {}, "south": {}},
        "keys": key_rows(),
        "auth": {"required": True},
        "logging": {"level": "error"},
    }


def post(
    gateway: GatewayProcess, text: str, key: str = "ann", headers: dict[str, str] | None = None, **members: Any
) -> httpx.Response:
    body = chat_request(text, **{"model": "m", **members})
    sent = {"authorization": f"Bearer {KEYS[key]}", **(headers or {})}
    return httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=sent, timeout=20)


def status_of(answer: httpx.Response) -> str:
    return answer.headers["x-intellirouter-cache"]


def reload(gateway: GatewayProcess, config: dict[str, Any]) -> None:
    before = gateway.stderr().count("The configuration was reloaded")
    gateway.configure(config)
    gateway.signal(signal.SIGHUP)
    until(lambda: gateway.stderr().count("The configuration was reloaded") > before, "the configuration is reloaded")


def open_chat(gateway: GatewayProcess, text: str, *, stream: bool) -> socket.socket:
    """Send a request, and return its connection without reading the answer."""
    url = httpx.URL(gateway.url)
    body = json.dumps(chat_request(text, model="m", stream=stream)).encode()
    connection = socket.create_connection((url.host, url.port or 80))
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: {url.host}\r\nauthorization: Bearer {KEYS['ann']}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    connection.sendall(head.encode() + body)
    return connection
