"""Clients that ask for large answers and do not read them: the memory stays bounded, and each answer arrives."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import RawConnection
from tests.support.http_corpus import chat_body, connect, get, post_sized
from tests.support.http_corpus_load import MIB, bounded_memory, is_alive, warmed_up

CLIENTS = 10
ANSWER_BYTES = 15_000_000
UNREAD_S = 3.0
ANSWER = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "y" * ANSWER_BYTES},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }
).encode()


class Upstream(BaseHTTPRequestHandler):
    """Answers every request with the same large answer, with or without a length."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_error(404)

    def do_POST(self) -> None:
        model = json.loads(self.rfile.read(int(self.headers["content-length"])))["model"]
        self.send_response(200)
        self.send_header("content-type", "application/json")
        if model == "sized":
            self.send_header("content-length", str(len(ANSWER)))
        else:
            self.send_header("connection", "close")
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[GatewayProcess]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Upstream)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    config = {
        "server": {"max_buffered_answer_bytes": 34 * MIB},
        "providers": {
            "up": {"vendor": "openai-compatible", "base_url": url, "models": "*"},
            "fake": {"vendor": "fake"},
        },
    }
    try:
        with GatewayProcess(config, tmp_path) as running:
            yield running
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(("model", "path"), [("up/sized", "/v1/chat/completions"), ("up/unsized", "/v1/messages")])
def test_answers_that_are_not_read_wait_at_their_upstreams(gateway: GatewayProcess, model: str, path: str) -> None:
    idle_bytes = warmed_up(gateway)
    request = post_sized(chat_body(model, max_tokens=9)).replace(b"/v1/chat/completions", path.encode(), 1)
    received: list[int] = []

    def read(link: RawConnection) -> None:
        answer = link.answer()
        received.append(len(answer.body) if answer.status == 200 else answer.status)

    with bounded_memory(gateway, idle_bytes) as watch:
        links = [RawConnection(gateway.port, timeout_s=60) for _ in range(CLIENTS)]
        for link in links:
            link.send(request)
        time.sleep(UNREAD_S)
        assert is_alive(gateway)
        with connect(gateway.port) as other:
            other.sendall(post_sized(chat_body("fake/echo")))
            assert other.recv(65536).startswith(b"HTTP/1.1 200 ")
        assert not watch.is_exceeded()
        threads = [threading.Thread(target=read, args=(link,)) for link in links]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        for link in links:
            link.close()
    assert len(received) == CLIENTS
    assert min(received) >= ANSWER_BYTES


def test_stored_answers_that_are_not_read_are_refused_to_further_clients(gateway: GatewayProcess) -> None:
    with RawConnection(gateway.port, timeout_s=60) as link:
        body = json.dumps({"model": "up/sized", "input": "hi"}).encode()
        link.send(post_sized(body).replace(b"/v1/chat/completions", b"/v1/responses", 1))
        answer = link.answer()
    assert answer.status == 200
    idle_bytes = warmed_up(gateway)
    request = get(f"/v1/responses/{answer.json()['id']}".encode())
    with bounded_memory(gateway, idle_bytes):
        links = [RawConnection(gateway.port, timeout_s=60) for _ in range(CLIENTS)]
        for link in links:
            link.send(request)
            time.sleep(0.2)
        assert is_alive(gateway)
        answers = [link.answer() for link in links]
        for link in links:
            link.close()
    assert {answer.status for answer in answers} == {200, 503}
    refused = [answer for answer in answers if answer.status == 503]
    assert {answer.json()["error"]["code"] for answer in refused} == {"answer_buffer_full"}
    assert all(len(answer.body) > ANSWER_BYTES for answer in answers if answer.status == 200)
