"""Hedged requests: the deployment that begins first answers, and the other upstream request is aborted."""

import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.process import GatewayProcess, chat_request, until
from tests.support.gateway.raw_http import RawConnection

HEDGING = {"after": 0.1, "max_share": 1.0}
DELAY_S = 8.0


def config(vendor: MockVendor) -> dict[str, Any]:
    models = {}
    for number in range(10):
        deployments = [f"mock/slow-{number}", f"mock/quick-{number}"]
        models[f"hedged-{number}"] = {"deployments": deployments, "retries": 0, "hedging": HEDGING}
    models["unhedged"] = {"deployments": ["mock/slow-9", "mock/quick-9"], "retries": 0}
    mock = {"vendor": "openai-compatible", "base_url": vendor.base_url, "models": "*"}
    return {"providers": {"mock": mock}, "models": models, "server": {"drain_s": 5}}


@pytest.fixture(scope="module")
def hedging(vendor: MockVendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    with GatewayProcess(config(vendor), tmp_path_factory.mktemp("hedging")) as running:
        yield running


def slow_down(vendor: MockVendor, *models: str, kind: str = "slow_first_token") -> None:
    for model in models:
        vendor.fault(kind, match={"model": model}, delay_s=DELAY_S)


def seen(vendor: MockVendor, model: str) -> list[dict[str, Any]]:
    return [each for each in vendor.requests() if each["model"] == model]


def ask(gateway: GatewayProcess, model: str, **members: Any) -> httpx.Response:
    return httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(model=model, **members), timeout=20)


@pytest.mark.parametrize(
    ("number", "stream", "kind"), [(0, True, "slow_first_token"), (1, False, "slow_first_token"), (2, True, "slow")]
)
def test_second_deployment_answers_while_the_first_is_silent(
    vendor: MockVendor, hedging: GatewayProcess, number: int, stream: bool, kind: str
) -> None:
    slow_down(vendor, f"slow-{number}", kind=kind)
    started_s = time.monotonic()
    answer = ask(hedging, f"hedged-{number}", stream=stream)
    assert time.monotonic() - started_s < DELAY_S / 2
    assert answer.headers["x-intellirouter-deployment"] == f"mock/quick-{number}"
    assert answer.headers["x-intellirouter-attempts"] == "2"
    assert answer.headers["x-intellirouter-reason"].startswith(f"hedge on mock/quick-{number}, as mock/slow-{number} ")
    until(lambda: seen(vendor, f"slow-{number}")[0]["is_aborted"], "the slow request is aborted", 1)
    record = hedging.record(answer.headers["x-request-id"])
    assert [(each["kind"], each["outcome"]) for each in record["attempts"]] == [
        ("first", "hedge_lost"),
        ("hedge", "ok"),
    ]
    assert record["decision"]["reason"] == answer.headers["x-intellirouter-reason"]
    lost, won = record["attempts"]
    assert lost["ended_ms"] - won["first_byte_ms"] < 100
    assert 'outcome="hedge_lost"}' in httpx.get(f"{hedging.base_url.removesuffix('/v1')}/metrics").text


def test_requests_with_tools_are_not_hedged(vendor: MockVendor, hedging: GatewayProcess) -> None:
    vendor.fault("slow_first_token", match={"model": "slow-3"}, delay_s=0.5)
    tools = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]
    answer = ask(hedging, "hedged-3", tools=tools)
    assert answer.headers["x-intellirouter-attempts"] == "1"
    assert seen(vendor, "quick-3") == []


def test_model_without_hedging_waits(vendor: MockVendor, hedging: GatewayProcess) -> None:
    vendor.fault("slow_first_token", match={"model": "slow-9"}, delay_s=0.5)
    assert ask(hedging, "unhedged").headers["x-intellirouter-attempts"] == "1"


@pytest.mark.parametrize(("number", "stream"), [(4, True), (5, False)])
def test_disconnected_client_aborts_both(
    vendor: MockVendor, hedging: GatewayProcess, number: int, stream: bool
) -> None:
    slow_down(vendor, f"slow-{number}", f"quick-{number}")
    with RawConnection(hedging.port) as link:
        link.send_post(json.dumps(chat_request(model=f"hedged-{number}", stream=stream)).encode())
        until(lambda: seen(vendor, f"quick-{number}"), "the hedge")
    until(
        lambda: all(seen(vendor, f"{name}-{number}")[0]["is_aborted"] for name in ("slow", "quick")), "both aborts", 2
    )


def test_hedged_request_finishes_while_the_gateway_stops(vendor: MockVendor, tmp_path: Path) -> None:
    slow_down(vendor, "slow-6")
    vendor.fault("slow_first_token", match={"model": "quick-6"}, delay_s=0.7)
    with GatewayProcess(config(vendor), tmp_path) as gateway, RawConnection(gateway.port) as link:
        link.send_post(json.dumps(chat_request(model="hedged-6")).encode())
        until(lambda: seen(vendor, "quick-6"), "the hedge")
        gateway.signal(signal.SIGTERM)
        answer = link.answer()
        assert answer.status == 200
        assert answer.headers["x-intellirouter-deployment"] == "mock/quick-6"
