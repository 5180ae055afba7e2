"""Defects that are common in other gateways: errors."""

import json
from typing import Any

import pytest

from tests.support.translation.prompt import Prompt, Tool
from tests.support.translation.world import BOTH, CLIENTS, UPSTREAMS, World

WEATHER, CLOCK = Tool("weather", "Tells the weather."), Tool("clock", "Tells the time.")
TWO_CALLS = 'call weather with {"city": "Oslo"} then call clock with {"city": "Rome"}'
OTHERS = [name for name in UPSTREAMS if name not in {"openai", "azure"}]
"""Upstreams whose streams the gateway translates for chat clients."""
every_upstream = pytest.mark.parametrize("upstream", UPSTREAMS)
streamed_and_not = pytest.mark.parametrize("stream", BOTH)


@pytest.mark.parametrize(
    ("path", "client"),
    [
        ("/v1/nothing", "chat"),
        ("/v1/messages/nothing", "messages"),
        ("/v1beta/nothing", "gemini"),
    ],
)
def test_unknown_url_has_the_error_envelope_of_the_dialect(world: World, path: str, client: str) -> None:
    answer = world.get(path)
    assert answer.status_code == 404
    assert CLIENTS[client].parse(answer.content, stream=False).error
    assert "detail" not in answer.json()


@every_upstream
@streamed_and_not
@pytest.mark.parametrize("client", CLIENTS)
def test_html_error_of_a_proxy_is_not_passed_on(world: World, client: str, upstream: str, stream: bool) -> None:
    world.vendor.fault("error", status=502, body="<html><h1>502 Bad Gateway</h1></html>")
    answer = world.ask(client, upstream, stream=stream)
    assert (answer.status, b"<h1>" in answer.body) == (502, False)
    assert answer.parsed.error


@pytest.mark.parametrize("client", CLIENTS)
def test_invalid_key_is_401_before_the_body_is_read(world: World, client: str) -> None:
    path = CLIENTS[client].build(Prompt(), "openai", stream=False).path
    assert world.post(client, path, b"{nonsense", key="sk-wrong-0123456789").status == 401


@pytest.mark.parametrize("client", ["chat", "responses", "completions"])
def test_unknown_model_is_404_model_not_found(world: World, client: str) -> None:
    answer = world.ask(client, "no-such-thing")
    assert (answer.status, answer.parsed.error_code) == (404, "model_not_found")


@every_upstream
def test_anthropic_endpoints_return_anthropic_errors(world: World, upstream: str) -> None:
    world.vendor.fault("error", status=400, message="no")
    answer = world.ask("messages", upstream)
    assert json.loads(answer.body)["type"] == "error"
    assert answer.parsed.error_code == "invalid_request_error"


def test_vendor_message_is_unchanged(world: World) -> None:
    """Claude Code recovers from this error by its exact wording."""
    words = "prompt is too long: 208310 tokens > 200000 maximum"
    world.vendor.fault("error", status=400, message=words)
    assert world.ask("messages", "anthropic").parsed.error == words


@every_upstream
@pytest.mark.parametrize("client", CLIENTS)
def test_client_receives_retry_after_and_request_id(world: World, client: str, upstream: str) -> None:
    world.vendor.fault("rate_limit", retry_after_s=3)
    headers = world.ask(client, upstream).headers
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("3", "3000")
    assert headers["x-request-id"].startswith("req_")
    if client == "messages":
        assert headers["request-id"] == headers["x-request-id"]


def test_insufficient_quota_keeps_its_code(world: World) -> None:
    world.vendor.fault("error", status=429, type="insufficient_quota", code="insufficient_quota")
    assert world.ask("chat", "openai").parsed.error_code == "insufficient_quota"


ODD: dict[str, Any] = {
    "a number as content": {"messages": [{"role": "user", "content": 5}], "contents": [{"parts": 5}], "input": 5},
    "null as content": {"messages": [{"role": "user", "content": None}], "contents": None, "input": None},
    "messages of numbers": {"messages": [1, 2], "contents": [1, 2], "input": [1, 2]},
    "tools a number": {"tools": 5},
    "a tool a number": {"tools": [5]},
    "stream a word": {"stream": "maybe"},
    "temperature a word": {
        "temperature": "hot",
        "generationConfig": {"temperature": "hot"},
        "options": {"temperature": []},
    },
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("client", CLIENTS)
def test_invalid_input_is_never_500(world: World, client: str, name: str) -> None:
    request = CLIENTS[client].build(Prompt(), "anthropic", stream=False)
    answer = world.post(client, request.path, request.body | ODD[name])
    assert answer.status in {200, 400}, answer.body
    assert answer.status == 200 or answer.parsed.error


@pytest.mark.parametrize("body", [b'{"temperature": NaN}', b"[" * 100_000, b'{"model": "\\ud800"}', b"\xff", b"nul"])
@pytest.mark.parametrize("client", CLIENTS)
def test_unusual_json_is_never_500(world: World, client: str, body: bytes) -> None:
    path = CLIENTS[client].build(Prompt(), "anthropic", stream=False).path
    assert world.post(client, path, body).status == 400


NULLS: dict[str, list[str]] = {
    "chat": [
        "temperature",
        "tools",
        "tool_choice",
        "stop",
        "n",
        "max_tokens",
        "response_format",
        "stream",
        "user",
        "seed",
    ],
    "responses": ["temperature", "tools", "tool_choice", "text", "instructions", "previous_response_id", "reasoning"],
    "messages": ["temperature", "tools", "tool_choice", "system", "stop_sequences", "metadata", "thinking", "stream"],
    "gemini": ["tools", "toolConfig", "systemInstruction", "generationConfig", "safetySettings"],
    "ollama": ["tools", "options", "format", "keep_alive", "think"],
    "completions": ["temperature", "stop", "n", "max_tokens", "stream", "suffix", "user"],
}


@every_upstream
@pytest.mark.parametrize("client", NULLS)
def test_null_means_the_default(world: World, client: str, upstream: str) -> None:
    request = CLIENTS[client].build(Prompt(), upstream, stream=False)
    body = {**dict.fromkeys(NULLS[client]), **{k: v for k, v in request.body.items() if k != "stream"}}
    if client == "ollama":
        body["stream"] = False
    answer = world.post(client, request.path, body)
    if upstream == "anthropic" and client == "messages":
        assert answer.status in {200, 400}  # passthrough: the vendor validates the request
        return
    assert answer.status == 200, answer.body
