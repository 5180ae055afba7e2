"""Requests that limit their own attempts with headers: every endpoint, dry runs, batches, WebSockets."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, chat_request
from tests.support.gateway.raw_http import RawConnection
from tests.support.gateway.websocket_client import PATIENCE_S, Frames, open_socket, rejected_handshake


@pytest.fixture
def link(gateway: GatewayProcess) -> Iterator[RawConnection]:
    with RawConnection(gateway.port) as connection:
        yield connection


CHAT = {"messages": [{"role": "user", "content": "hello"}]}
PATHS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": CHAT,
    "/v1/responses": {"input": "hello"},
    "/v1/messages": {"messages": CHAT["messages"], "max_tokens": 9},
    "/v1beta/models/assistant:generateContent": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    "/v1beta/models/assistant:streamGenerateContent": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    "/api/chat": CHAT,
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_request_without_retries_and_fallbacks_makes_one_attempt(
    link: RawConnection, gateway: GatewayProcess, path: str, stream: bool
) -> None:
    body = json.dumps(PATHS[path] | {"model": "limited", "stream": stream}).encode()
    path = path.replace("assistant", "limited")
    limits = {"x-intellirouter-retries": "0", "x-intellirouter-fallbacks": "off", "x-intellirouter-timeout-s": "30"}
    answer = link.post(body, path, authorization=f"Bearer {KEYS['ann']}", **limits)
    record = gateway.record(answer.headers["x-request-id"])
    assert [each["outcome"] for each in record["attempts"]] == ["upstream_unavailable"]
    reason = answer.headers["x-intellirouter-reason"]
    assert reason.endswith("; limited by the request: retries 0, fallbacks off, timeout 30 s")
    assert record["decision"]["reason"] == reason
    assert record["decision"]["restriction"] in reason


def test_explain_honors_the_limits_of_a_request(link: RawConnection) -> None:
    key = {"authorization": f"Bearer {KEYS['ann']}"}
    body = json.dumps(chat_request(model="assistant")).encode()
    limits = {"x-intellirouter-retries": "0", "x-intellirouter-fallbacks": "off", "x-intellirouter-timeout-s": "2.5"}
    explained = link.post(body, "/api/v1/explain", **key, **limits).json()
    assert (explained["retries"], explained["request_timeout_s"]) == (0, 2.5)
    assert explained["plan"] == [{"deployment": "priced", "kind": "pool", "tries": 1}]
    refused = link.post(body, "/api/v1/explain", **key, **{"x-intellirouter-retries": "many"})
    assert (refused.status, refused.json()["error"]["param"]) == (400, "x-intellirouter-retries")


def test_timeout_of_a_request_ends_it(link: RawConnection, vendor: MockVendor) -> None:
    vendor.fault("slow", match={"model": "slow-for-one"}, delay_s=5.0)
    body = json.dumps(chat_request(model="mock/slow-for-one")).encode()
    answer = link.post(body, authorization=f"Bearer {KEYS['ann']}", **{"x-intellirouter-timeout-s": "0.2"})
    assert answer.status == 504
    assert "within the 0.2 s of the request" in answer.json()["error"]["message"]


def test_batch_and_other_resources_refuse_limits_of_attempts(gateway: GatewayProcess) -> None:
    headers = {"authorization": f"Bearer {KEYS['ann']}", "x-intellirouter-retries": "0"}
    answer = httpx.post(f"{gateway.base_url}/batches", headers=headers, json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "unknown_header")
    assert "has no effect on this path" in answer.json()["error"]["message"]


async def test_limits_of_a_handshake_apply_to_all_requests_of_the_socket(gateway: GatewayProcess) -> None:
    limits = {"x-intellirouter-retries": "0", "x-intellirouter-fallbacks": "off"}
    async with asyncio.timeout(PATIENCE_S), open_socket(gateway, "/v1/ws", headers=limits) as link:
        frames = Frames(link)
        for name in ("one", "two"):
            await frames.create(name, "limited")
            failed = await frames.last(name)
            assert len(gateway.record(failed["headers"]["x-request-id"])["attempts"]) == 1


@pytest.mark.parametrize("path", ["/v1/ws", "/v1/realtime?model=assistant"])
async def test_unknown_header_of_a_handshake_is_refused(gateway: GatewayProcess, path: str) -> None:
    status, error, _ = await rejected_handshake(gateway, path, headers={"x-intellirouter-retry": "1"})
    assert (status, error["code"]) == (400, "unknown_header")
