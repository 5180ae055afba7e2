"""No request stops the event loop: other clients are answered while one client sends what is slow to decode."""

import asyncio
import http.client
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.websocket_client import open_socket
from tests.support.slow.extremes import EXTREMES, Extreme, batch_file
from tests.support.slow.requests import MODEL, SLOW_REQUESTS, SlowRequest
from tests.support.slow.stalls import StallMeter
from tests.support.slow.upstream import RefusingUpstream

MAX_STALL_MS = 100.0
"""How much longer than that of a trivial server an answer may take."""
MIB = 1024 * 1024
PROVIDERS: dict[str, dict[str, Any]] = {
    "chat": {"vendor": "openai-compatible", "base_url": "{url}/v1", "credentials": []},
    "responses": {
        "vendor": "openai-compatible",
        "base_url": "{url}/v1",
        "credentials": [],
        "dialect": "openai_responses",
    },
    "anthropic": {"vendor": "anthropic", "base_url": "{url}"},
    "gemini": {"vendor": "gemini", "base_url": "{url}/v1beta"},
    "ollama": {"vendor": "ollama", "base_url": "{url}"},
    "bedrock": {"vendor": "bedrock", "base_url": "{url}", "region": "us-east-1"},
}
"""One provider for each upstream dialect. All of them refuse every request, so each request is encoded for all."""


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    directory = tmp_path_factory.mktemp("stalls")
    credential = directory / "credential"
    credential.write_text("sk-test-0123456789")
    with RefusingUpstream() as upstream:
        providers = {
            name: {"credential": f"file:{credential}", **entry, "base_url": entry["base_url"].format(url=upstream.url)}
            for name, entry in PROVIDERS.items()
        }
        for entry in providers.values():
            if "credentials" in entry:
                del entry["credential"]
        config = {
            "providers": {**providers, "fake": {"vendor": "fake"}},
            "deployments": {
                **{name: {"provider": name, "model": "upstream-model"} for name in providers},
                "echo": {"provider": "fake", "model": "echo"},
            },
            "models": {
                MODEL: {"deployments": list(providers), "retries": 0},
                "echo": {"deployments": ["echo"]},
            },
            "auth": {"required": False},
        }
        with GatewayProcess(config, directory) as running:
            yield running


@pytest.fixture(scope="module")
def meter(gateway: GatewayProcess) -> Iterator[StallMeter]:
    with StallMeter(gateway.port, gateway.process.pid) as running:
        yield running


def post(gateway: GatewayProcess, path: str, body: bytes, content_type: str = "application/json") -> tuple[int, bytes]:
    link = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        link.request("POST", path, body, {"content-type": content_type})
        answer = link.getresponse()
        return answer.status, answer.read()
    finally:
        link.close()


def check_no_stall(meter: StallMeter, work: Callable[[], object]) -> None:
    meter.take()
    work()
    server_ms, control_ms = meter.take()
    print(f"{server_ms:.0f} ms, control {control_ms:.0f} ms")
    assert server_ms < control_ms + MAX_STALL_MS


MAX_KEPT_BYTES = 90 * MIB
"""The C library keeps up to 64 MiB of free memory for later."""
GROUPS = sorted({each.endpoint for each in SLOW_REQUESTS})


@pytest.mark.parametrize("endpoint", GROUPS)
def test_requests_with_many_parts(gateway: GatewayProcess, meter: StallMeter, endpoint: str) -> None:
    """Every request is encoded for every upstream dialect that can serve it."""
    requests = [each for each in SLOW_REQUESTS if each.endpoint == endpoint]

    def send(request: SlowRequest) -> int:
        return post(gateway, request.path, request.build(2000))[0]

    def work() -> None:
        with ThreadPoolExecutor(2) as pool:
            statuses = list(pool.map(send, requests))
        print(dict(zip([each.name for each in requests], statuses, strict=True)))

    check_no_stall(meter, work)


@pytest.mark.parametrize("extreme", EXTREMES, ids=lambda each: each.name)
def test_largest_requests(gateway: GatewayProcess, meter: StallMeter, extreme: Extreme) -> None:
    body = extreme.build()
    answers: list[tuple[int, bytes]] = []
    check_no_stall(meter, lambda: answers.append(post(gateway, extreme.path, body, extreme.content_type)))
    [(status, answer)] = answers
    print(extreme.name, len(body) // MIB, status, answer[:300])
    assert (status >= 500) is extreme.is_accepted, answer[:300]


def test_input_file_of_a_batch_with_long_and_slow_lines(gateway: GatewayProcess, meter: StallMeter) -> None:
    form = batch_file()

    def work() -> None:
        status, answer = post(gateway, "/v1/files", form, "multipart/form-data; boundary=b")
        assert status == 200, answer
        request = {"input_file_id": json.loads(answer)["id"], "endpoint": "/v1/chat/completions"}
        status, answer = post(gateway, "/v1/batches", json.dumps({**request, "completion_window": "24h"}).encode())
        assert status == 200, answer
        batch_id = json.loads(answer)["id"]
        batch = until(lambda: ended_batch(gateway, batch_id), "the batch ends", 20.0)
        assert [error["code"] for error in batch["errors"]["data"]] == ["limit_exceeded"]

    check_no_stall(meter, work)


def ended_batch(gateway: GatewayProcess, batch_id: str) -> dict[str, Any] | None:
    batch: dict[str, Any] = httpx.get(f"{gateway.base_url}/batches/{batch_id}").json()
    return batch if batch["status"] not in {"validating", "in_progress", "finalizing"} else None


FRAMES: dict[str, Callable[[], str]] = {
    "empty lists": lambda: '{"type":"chat.create","id":"a","request":{"x":[' + "[]," * 9 * MIB + "1]}}",
    "empty lists beside the request": lambda: '{"type":"ping","x":[' + "[]," * 9 * MIB + "1]}",
    "text": lambda: json.dumps({"type": "chat.create", "id": "a", "request": chat_request("hello, " * 4 * MIB, MODEL)}),
    "escaped text": lambda: json.dumps({"type": "session.update", "x": "\n" * 15 * MIB}),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_frames(gateway: GatewayProcess, meter: StallMeter, name: str) -> None:
    frame = FRAMES[name]()
    async with open_socket(gateway, "/v1/ws", key=None, max_size=None) as link:
        await asyncio.to_thread(meter.take)
        await link.send(frame)
        answer = json.loads(await link.recv())
    assert answer["type"] == "error" or name.startswith("text")
    server_ms, control_ms = await asyncio.to_thread(meter.take)
    assert server_ms < control_ms + MAX_STALL_MS


async def test_memory_of_frames_comes_back_while_the_socket_is_open(gateway: GatewayProcess) -> None:
    async with open_socket(gateway, "/v1/ws", key=None, max_size=None) as link:
        await link.send('{"type":"ping"}')
        await link.recv()
        before = rss_bytes(gateway)
        for name in ("empty lists", "text", "empty lists beside the request"):
            await link.send(FRAMES[name]())
            await link.recv()
        await link.send('{"type":"ping"}')  # the WebSocket library keeps a frame until the next one arrives
        await link.recv()
        await until_async(lambda: rss_bytes(gateway) < before + MAX_KEPT_BYTES)


def rss_bytes(gateway: GatewayProcess) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    [kilobytes] = re.findall(r"VmRSS:\s+(\d+)", status)
    return int(kilobytes) * 1024


async def until_async(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not look():
            await asyncio.sleep(0.05)
