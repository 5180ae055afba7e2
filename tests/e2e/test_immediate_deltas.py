"""A delta reaches the client at once: the upstream sends the next one only when the client has the one before."""

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from intellirouter.core import LossReport
from intellirouter.dialects.ir import StreamStarted, TextDelta
from tests.support.dialects.pairs import client_of, plain_call
from tests.support.gateway.process import GatewayProcess
from tests.support.gateway.raw_http import RawConnection
from tests.support.translation.prompt import Prompt
from tests.support.translation.world import CLIENTS

VENDORS: dict[str, tuple[dict[str, Any], str]] = {
    "openai_chat": ({"vendor": "openai-compatible"}, "/v1"),
    "openai_responses": ({"vendor": "openai", "dialect": "openai_responses"}, "/v1"),
    "anthropic_messages": ({"vendor": "anthropic"}, ""),
    "gemini": ({"vendor": "gemini"}, "/v1beta"),
    "ollama": ({"vendor": "ollama"}, ""),
}
CONTENT_TYPES = {"ollama": "application/x-ndjson"}
WORDS = [f"word{number:02}" for number in range(12)]
BOUND_S = 0.05
"""The median of the times between a delta from the upstream and the same delta at the client."""
CHECKS = {"plain": None, "checked": {"type": "object"}}


class LockstepVendor:
    """An upstream on loopback that sends one event at a time, when it is told to."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._link: socket.socket | None = None

    def accept(self, content_type: str) -> None:
        """Accept one request, read it, and send the head of the answer."""
        self._link, _ = self._listener.accept()
        self._link.settimeout(10)
        self._link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._link.recv(65536)
        head, _, body = data.partition(b"\r\n\r\n")
        length = int(next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))[16:])
        while len(body) < length:
            body += self._link.recv(65536)
        self._link.sendall(
            b"HTTP/1.1 200 OK\r\ncontent-type: %b\r\ntransfer-encoding: chunked\r\n\r\n" % content_type.encode()
        )

    def send(self, data: bytes) -> None:
        assert self._link is not None
        self._link.sendall(b"%x\r\n%b\r\n" % (len(data), data))

    def hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
            self._link = None

    def close(self) -> None:
        self.hang_up()
        self._listener.close()


@pytest.fixture(scope="module")
def vendor() -> Iterator[LockstepVendor]:
    running = LockstepVendor()
    yield running
    running.close()


@pytest.fixture(scope="module")
def gateway(vendor: LockstepVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    providers = {
        name: {**provider, "base_url": vendor.url + prefix, "credentials": [], "auth": "none", "models": "*"}
        for name, (provider, prefix) in VENDORS.items()
    }
    models = {f"via-{name}": {"deployments": [f"{name}/claude-sonnet-4-5"]} for name in VENDORS}
    settings = {"providers": providers, "models": models, "defaults": {"retries": 0, "breaker": "off"}}
    with GatewayProcess(settings, tmp_path_factory.mktemp("lockstep")) as running:
        yield running


def events_of(upstream: str) -> Iterator[bytes]:
    encoder = client_of(upstream).stream(plain_call(upstream, is_stream=True), LossReport())
    start = encoder.encode([StreamStarted(id="x", model="m")])
    for word in WORDS:
        yield start + encoder.encode([TextDelta(text=word)])
        start = b""


def delays_s(gateway: GatewayProcess, vendor: LockstepVendor, client: str, upstream: str, check: str) -> list[float]:
    """Return for each word how long it took from the upstream to the client."""
    schema = CHECKS[check]
    request = CLIENTS[client].build(Prompt(text="go", schema=schema, max_tokens=50), f"via-{upstream}", stream=True)
    accepting = threading.Thread(target=vendor.accept, args=(CONTENT_TYPES.get(upstream, "text/event-stream"),))
    accepting.start()
    with RawConnection(gateway.port) as link:
        link.send_post(json.dumps(request.body).encode(), request.path)
        accepting.join(10)
        delays = []
        for word, event in zip(WORDS, events_of(upstream), strict=True):
            sent_s = time.monotonic()
            vendor.send(event)
            link.until(word.encode())
            delays.append(time.monotonic() - sent_s)
        vendor.hang_up()
    return delays


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("upstream", VENDORS)
@pytest.mark.parametrize("client", CLIENTS)
def test_delta_does_not_wait(
    gateway: GatewayProcess, vendor: LockstepVendor, client: str, upstream: str, check: str
) -> None:
    if check == "checked" and not CLIENTS[client].has_schema:
        pytest.skip("this dialect cannot ask for a format")
    assert statistics.median(delays_s(gateway, vendor, client, upstream, check)) < BOUND_S
