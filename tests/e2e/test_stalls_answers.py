"""No answer of an upstream keeps other clients waiting, whatever it contains, complete or streamed, for any client."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.support.gateway.process import GatewayProcess
from tests.support.slow.stalls import StallMeter
from tests.support.slow_answers import corpus
from tests.support.slow_answers.upstream import ScriptedUpstream

MAX_STALL_MS = 100
"""Longer than on the idle server."""
STOP_S = 5.0
UPSTREAMS: dict[str, tuple[dict[str, Any], str]] = {
    "openai_chat": ({"vendor": "openai-compatible"}, "/v1"),
    "openai_responses": ({"vendor": "openai", "dialect": "openai_responses"}, "/v1"),
    "anthropic_messages": ({"vendor": "anthropic"}, ""),
    "gemini": ({"vendor": "gemini"}, "/v1beta"),
    "ollama": ({"vendor": "ollama"}, ""),
    "bedrock": ({"vendor": "bedrock", "region": "us-east-1"}, ""),
}
CLIENTS = ["openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama"]
TOO_LARGE = "upstream_answer_too_large"


def config(upstream: ScriptedUpstream, directory: Path) -> dict[str, Any]:
    credential = directory / "credential"
    credential.write_text("sk-0123456789")
    return {
        "server": {"drain_s": 1},
        "defaults": {"retries": 0},
        "providers": {
            name: {**provider, "base_url": upstream.url + prefix, "credentials": [f"file:{credential}"], "models": "*"}
            for name, (provider, prefix) in UPSTREAMS.items()
        },
    }


class World:
    def __init__(self, gateway: GatewayProcess, upstream: ScriptedUpstream, meter: StallMeter) -> None:
        self.gateway = gateway
        self.upstream = upstream
        self.meter = meter
        self.http = httpx.Client(base_url=gateway.url, timeout=60)
        time.sleep(1)
        self.idle_ms, _ = meter.take()

    def ask(self, client: str, provider: str, *, stream: bool = False) -> httpx.Response:
        path, body = request(client, f"{provider}/m", stream=stream)
        return self.http.post(path, json=body)

    def measure(self, answer: bytes, client: str, provider: str, *, stream: bool = False) -> httpx.Response:
        """Send a request that gets this answer. Other clients must not notice."""
        self.upstream.answer = answer
        self.meter.take()
        response = self.ask(client, provider, stream=stream)
        stall_ms, _ = self.meter.take()
        assert stall_ms < self.idle_ms + MAX_STALL_MS, f"{stall_ms:.0f} ms (idle: {self.idle_ms:.0f} ms)"
        return response


def request(client: str, model: str, *, stream: bool = False) -> tuple[str, dict[str, Any]]:
    """Return path and body of a request with a tool, so that the answer is checked."""
    messages = [{"role": "user", "content": "hi"}]
    schema = {"type": "object", "properties": {}}
    function = {"name": "f", "parameters": schema}
    match client:
        case "openai_responses":
            tools = [{"type": "function", **function}]
            return "/v1/responses", {"model": model, "input": "hi", "stream": stream, "store": False, "tools": tools}
        case "anthropic_messages":
            tools = [{"name": "f", "input_schema": schema}]
            return "/v1/messages", {
                "model": model,
                "max_tokens": 9,
                "messages": messages,
                "stream": stream,
                "tools": tools,
            }
        case "gemini":
            method = "streamGenerateContent?alt=sse" if stream else "generateContent"
            body = {"contents": [{"parts": [{"text": "hi"}]}], "tools": [{"functionDeclarations": [function]}]}
            return f"/v1beta/models/{model}:{method}", body
        case "ollama":
            tools = [{"type": "function", "function": function}]
            return "/api/chat", {"model": model, "messages": messages, "stream": stream, "tools": tools}
        case "embeddings" | "embeddings_base64":
            encoding = "base64" if client.endswith("base64") else "float"
            return "/v1/embeddings", {"model": model, "input": ["x"] * 512, "encoding_format": encoding}
        case _:
            tools = [{"type": "function", "function": function}]
            return "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream, "tools": tools}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("stalls")
    with (
        ScriptedUpstream() as upstream,
        GatewayProcess(config(upstream, directory), directory) as gateway,
        StallMeter(gateway.port, gateway.process.pid) as meter,
    ):
        world = World(gateway, upstream, meter)
        with world.http:
            yield world


@pytest.mark.parametrize("client", CLIENTS)
def test_very_many_tool_calls(world: World, client: str) -> None:
    upstream = "openai_chat" if client != "openai_chat" else "anthropic_messages"
    response = world.measure(corpus.body(upstream, "calls", 10_000), client, upstream)
    assert response.status_code == 502
    assert "more than 1024 tool calls" in response.text
    assert "server.max_answer_tool_calls" in response.text
    response = world.measure(corpus.body(upstream, "calls", 1000), client, upstream)
    assert response.status_code == 200
    response = world.measure(corpus.stream(upstream, "calls", 10_000), client, upstream, stream=True)
    assert "more than 1024 tool calls" in response.text


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_very_many_events_that_arrive_at_once(world: World, upstream: str) -> None:
    wire = corpus.stream(upstream, "texts", 20_000)
    client = CLIENTS[(list(UPSTREAMS).index(upstream) + 1) % len(CLIENTS)]
    response = world.measure(wire, client, upstream, stream=True)
    assert "wört019999" in response.text or "w\\u00f6rt019999" in response.text


@pytest.mark.parametrize("client", CLIENTS)
def test_large_events(world: World, client: str) -> None:
    """An event of 7 MB with 100,000 logprobs, and one with 100,000 tool calls."""
    chunk = {"index": 0, "delta": {"content": "x"}, "finish_reason": "stop", "logprobs": {"content": [[1]] * 100_000}}
    padding = b'"' + b"A" * 6_000_000 + b'"'
    event = b'data: {"id":"c","padding":' + padding + b',"choices":[' + msgspec.json.encode(chunk) + b"]}\n\n"
    assert world.measure(event + b"data: [DONE]\n\n", client, "openai_chat", stream=True).status_code == 200
    if client not in {"openai_chat", "gemini"}:
        calls = b",".join([b'{"function":{"name":"f"}}'] * 100_000)
        event = b'data: {"choices":[{"index":0,"delta":{"tool_calls":[' + calls + b"]}}]}\n\n"
        assert "more than 1024 tool calls" in world.measure(event, client, "openai_chat", stream=True).text


@pytest.mark.parametrize("client", CLIENTS)
def test_large_complete_answers(world: World, client: str) -> None:
    token = {"token": "abc", "logprob": -0.5, "bytes": [97, 98, 99]}
    logprobs = [{**token, "top_logprobs": [token] * 10}] * 4000
    choice = {"index": 0, "message": {"role": "assistant", "content": "x"}, "logprobs": {"content": logprobs}}
    answer = {"id": "c", "choices": [{**choice, "finish_reason": "stop"}]}
    assert world.measure(msgspec.json.encode(answer), client, "openai_chat").status_code == 200
    image = {"inlineData": {"mimeType": "image/png", "data": "A" * 30_000_000}}
    candidate = {"content": {"parts": [{"text": "x"}, image], "role": "model"}, "finishReason": "STOP"}
    assert world.measure(msgspec.json.encode({"candidates": [candidate]}), client, "gemini").status_code == 200


def test_values_without_end(world: World) -> None:
    body = b'{"choices":[{"index":0,"message":{"content":"x"}}],"x":[' + b"[]," * 8_000_000 + b"1]}"
    for client, upstream in (
        ("openai_chat", "openai_chat"),
        ("anthropic_messages", "openai_chat"),
        ("ollama", "gemini"),
    ):
        response = world.measure(body, client, upstream)
        assert response.status_code == 502
        assert "JSON objects and arrays" in response.text


@pytest.mark.parametrize(
    ("client", "upstream"),
    [("embeddings", "openai_chat"), ("embeddings_base64", "openai_chat"), ("embeddings", "gemini")],
)
def test_embeddings(world: World, client: str, upstream: str) -> None:
    vector = [index / 3072 for index in range(3072)]
    if upstream == "gemini":
        answer = b'{"embeddings":[' + b",".join([msgspec.json.encode({"values": vector})] * 512) + b"]}"
    else:
        data = msgspec.json.encode({"object": "embedding", "index": 0, "embedding": vector})
        answer = b'{"object":"list","data":[' + b",".join([data] * 512) + b"]}"
    response = world.measure(answer, client, upstream)
    assert response.status_code == 200
    assert len(response.json()["data"]) == 512


def test_a_stopping_gateway_does_not_finish_a_slow_answer(tmp_path: Path) -> None:
    with ScriptedUpstream() as upstream, GatewayProcess(config(upstream, tmp_path), tmp_path) as gateway:
        upstream.answer = corpus.stream("openai_chat", "texts", 20_000)
        path, body = request("openai_responses", "openai_chat/m", stream=True)
        with httpx.stream("POST", gateway.url + path, json=body, timeout=30) as response:
            next(response.iter_raw())
            gateway.signal(signal.SIGTERM)
            started = time.monotonic()
            gateway.wait(STOP_S)
        assert time.monotonic() - started < STOP_S
