"""Options that limit the attempts of one request: they become the headers of the request."""

import json
from typing import Any

import pytest

CHAT = "/v1/chat/completions"
OPTIONS = ("--retries", "0", "--no-fallbacks", "--timeout", "2.5", "--max-cost", "0.05", "--priority", "batch")
HEADERS = {
    "x-intellirouter-retries": "0",
    "x-intellirouter-fallbacks": "off",
    "x-intellirouter-timeout-s": "2.500000",
    "x-intellirouter-max-cost-usd": "0.050000",
    "x-intellirouter-priority": "batch",
}


def limits_of(request: Any) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.startswith("x-intellirouter-")}


@pytest.mark.parametrize("stream", [False, True])
def test_options_of_chat_become_headers(run: Any, gateway: Any, scripted: Any, stream: bool) -> None:
    if stream:
        gateway.on(CHAT, scripted.Reply(chunks=[scripted.sse(scripted.piece("Hi", "stop"), "[DONE]")]))
    else:
        gateway.on_json(CHAT, scripted.completion("Hi"))
    result = run("chat", "Hello", *OPTIONS, *(["--stream"] if stream else []))
    assert result.exit_code == 0, result.stderr
    assert limits_of(gateway.requests[0]) == HEADERS
    assert "limits" not in gateway.requests[0].json()


def test_options_of_explain_become_headers(run: Any, gateway: Any) -> None:
    decision = {"model": "auto", "strategy": "priority", "reason": "r", "order": ["a"], "pool_size": 1}
    gateway.on_json("/api/v1/explain", {"model": "auto", "decision": {**decision, "candidates": []}})
    assert run("explain", "Hello", "--fallbacks", "--retries", "3").exit_code == 0
    assert limits_of(gateway.requests[0]) == {"x-intellirouter-retries": "3", "x-intellirouter-fallbacks": "on"}


def test_no_option_no_header(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on_json(CHAT, scripted.completion("Hi"))
    assert run("chat", "Hello").exit_code == 0
    assert limits_of(gateway.requests[0]) == {}


@pytest.mark.parametrize(
    "arguments", [("--retries", "11"), ("--timeout", "0"), ("--max-cost", "-1"), ("--priority", "high")]
)
def test_invalid_values_are_usage_errors(run: Any, gateway: Any, arguments: tuple[str, ...]) -> None:
    assert run("chat", "Hello", *arguments).exit_code == 2
    assert gateway.requests == []


def test_chat_shows_that_an_answer_is_degraded(run: Any, gateway: Any, scripted: Any) -> None:
    gateway.on_json(CHAT, scripted.completion("Hi."), x_intellirouter_degraded="model small")
    data = json.loads(run("chat", "Hello", "--format", "json").stdout)
    assert data["degraded"] == "model small"
