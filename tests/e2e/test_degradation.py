"""Degradation ladders of a running gateway, for the clients of every dialect, complete and streamed."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS
from tests.support.gateway.process import GatewayProcess, chat_request
from tests.support.translation.world import CLIENTS, CREDENTIAL, UPSTREAMS, World, config

REFUSAL = "Our assistant is having a break. Please come back in a few minutes."
SMALL = ("openai", "responses", "anthropic", "gemini", "ollama", "bedrock")


def ladder_config(vendor: MockVendor, directory: Path) -> dict[str, Any]:
    found = config(vendor, directory)
    found["defaults"] |= {"breaker": "off", "cache": "off"}
    models: dict[str, Any] = {name: {"deployments": [f"{name}-priced"]} for name in SMALL}
    for name in SMALL:
        models[f"{name}-stepped"] = {"deployments": ["openai-broken"], "degradation": [{"model": name}]}
        models[f"{name}-short"] = {
            "deployments": [f"{name}/{UPSTREAMS[name].model}-short"],
            "degradation": [{"shorten_to_tokens": 200}],
        }
    models["openai-cached"] = models["openai-stepped"] | {"cache": "exact"}
    models["refused"] = {
        "deployments": ["openai-broken"],
        "degradation": [{"refuse": {"message": REFUSAL, "as_answer": True}}],
    }
    models["unavailable"] = {
        "deployments": ["openai-broken"],
        "degradation": [{"refuse": {"message": REFUSAL, "status": 529}}],
    }
    found["models"] = models
    return found


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    directory = tmp_path_factory.mktemp("degradation")
    with (
        MockVendor(api_key=CREDENTIAL) as vendor,
        GatewayProcess(ladder_config(vendor, directory), directory, admin_key=KEYS["admin"]) as gateway,
    ):
        vendor.fault("error", match={"model": "mock-large-broken"}, status=503)
        running = World(gateway, vendor)
        yield running
        running.http.close()


@pytest.mark.parametrize("stream", [False, True])
def test_degraded_answer_is_not_stored(world: World, stream: bool) -> None:
    for _ in range(2):
        key = {"authorization": f"Bearer {KEYS['ann']}"}
        body = chat_request("Say it twice.", "openai-cached", stream=stream)
        answer = world.http.post(f"{world.gateway.base_url}/chat/completions", json=body, headers=key)
        assert (answer.status_code, answer.headers["x-intellirouter-cache"]) == (200, "miss")
        assert answer.headers["x-intellirouter-degraded"] == "model openai"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("small", SMALL)
def test_smaller_model_answers_clients_of_every_dialect(world: World, small: str, client: str, stream: bool) -> None:
    answer = world.ask(client, f"{small}-stepped", text="one two", stream=stream)
    assert answer.status == 200
    assert "one two" in answer.parsed.text
    assert answer.parsed.is_complete or not stream
    assert answer.headers["x-intellirouter-degraded"] == f"model {small}"
    assert answer.headers["x-intellirouter-deployment"] == f"{small}-priced"
    assert answer.headers["x-intellirouter-reason"] == (
        f"degraded to model {small} after upstream_unavailable: "
        f"{small}-priced after openai-broken failed (upstream_unavailable)"
    )
    record = world.record(answer)
    assert (record["model"], record["degraded"], record["status"]) == (f"{small}-stepped", f"model {small}", 200)
    assert [each["kind"] for each in record["attempts"]] == ["first", "degraded"]
    assert record["cost_microusd"] > 0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_refusal_is_an_answer_that_clients_of_every_dialect_can_read(world: World, client: str, stream: bool) -> None:
    answer = world.ask(client, "refused", stream=stream)
    assert answer.status == 200
    assert answer.parsed.text == REFUSAL
    assert answer.parsed.is_complete or not stream
    assert answer.headers["x-intellirouter-degraded"] == "refuse"
    assert "x-intellirouter-deployment" not in answer.headers
    record = world.record(answer)
    assert (record["degraded"], record.get("error_code"), record["finish_reason"]) == ("refuse", None, "stop")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", CLIENTS)
def test_refusal_is_an_error_of_the_dialect(world: World, client: str, stream: bool) -> None:
    answer = world.ask(client, "unavailable", stream=stream)
    assert answer.status == 529
    assert REFUSAL in answer.body.decode()
    assert answer.headers["x-intellirouter-degraded"] == "refuse"
    assert world.record(answer)["error_code"] == "model_unavailable"


WORDS = "word " * 200


def history(client: str, model: str, stream: bool) -> tuple[str, dict[str, Any]]:
    """Return path and body of a conversation with two long turns and a short one."""
    texts = [("user", f"first {WORDS}"), ("assistant", f"second {WORDS}"), ("user", "third, the last one")]
    messages = [{"role": role, "content": text} for role, text in texts]
    if client == "responses":
        return "/v1/responses", {"model": model, "input": messages, "stream": stream}
    if client == "messages":
        return "/v1/messages", {"model": model, "max_tokens": 50, "messages": messages, "stream": stream}
    if client == "ollama":
        return "/api/chat", {"model": model, "messages": messages, "stream": stream}
    if client == "gemini":
        contents = [
            {"role": "model" if role == "assistant" else role, "parts": [{"text": text}]} for role, text in texts
        ]
        kind = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{kind}", {"contents": contents}
    return "/v1/chat/completions", {"model": model, "messages": messages, "stream": stream}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("client", ["chat", "responses", "messages", "gemini", "ollama"])
@pytest.mark.parametrize("upstream", SMALL)
def test_conversation_is_shortened_when_it_is_too_long(world: World, client: str, upstream: str, stream: bool) -> None:
    model = f"{UPSTREAMS[upstream].model}-short"
    world.vendor.fault(
        "error",
        match={"model": model},
        times=1,
        status=400,
        code="context_length_exceeded",
        message="prompt is too long: 9999 tokens > 4096 maximum",
    )
    path, body = history(client, f"{upstream}-short", stream)
    answer = world.post(client, path, body, stream=stream)
    assert answer.status == 200, answer.body
    assert "third, the last one" in answer.parsed.text
    assert answer.headers["x-intellirouter-degraded"] == "shorten"
    field = {"responses": "input", "gemini": "contents"}.get(client, "messages")
    assert f'{field};how=dropped;as="2 oldest of 3"' in answer.headers["x-intellirouter-dropped"]
    long, short = [each["body"] for each in world.vendor.requests() if each["model"] == model][-2:]
    assert "first" in long
    assert "second" in long
    assert "word" not in short
    assert "third, the last one" in short


def test_client_can_do_without_the_ladder(world: World) -> None:
    path, body = history("chat", "refused", stream=False)
    answer = world.post("chat", path, body, x_intellirouter_fallbacks="off")
    assert answer.status == 503
    assert "x-intellirouter-degraded" not in answer.headers


def test_ladder_is_explained_counted_and_shown(world: World) -> None:
    answer = world.ask("chat", "openai-stepped")
    record = world.record(answer)
    assert record["degradation"] == [{"step": "model openai", "outcome": "taken"}]
    explained = world.call("/api/v1/explain", {"model": "refused", "messages": [{"role": "user", "content": "hi"}]})
    assert explained.json()["degradation"] == [{"step": "refuse", "deployments": [], "message": REFUSAL}]
    metrics = httpx.get(f"{world.gateway.url}/metrics", headers={"authorization": f"Bearer {KEYS['admin']}"}).text
    assert 'intellirouter_degraded_total{model="openai-stepped",step="model openai"}' in metrics
    environment = {
        "INTELLIROUTER_BASE_URL": world.gateway.url,
        "INTELLIROUTER_API_KEY": KEYS["admin"],
        "COLUMNS": "200",
    }
    command = [sys.executable, "-m", "intellirouter", "requests", "show", record["request_id"]]
    shown = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True).stdout
    assert "model openai taken" in shown
    assert json.loads(answer.body)["object"] == "chat.completion"


def ask_locally(gateway: GatewayProcess, **members: Any) -> httpx.Response:
    return httpx.post(f"{gateway.base_url}/chat/completions", json=chat_request(**members), timeout=20)


@pytest.mark.parametrize("stream", [False, True])
def test_time_is_left_for_the_steps_when_a_model_hangs(tmp_path: Path, stream: bool) -> None:
    models = {
        "assistant": {
            "deployments": ["fake/hang"],
            "request_timeout_s": 2,
            "retries": 0,
            "degradation": [{"model": "small"}],
        },
        "small": {"deployments": ["fake/echo"]},
    }
    with GatewayProcess({"providers": {"fake": {"vendor": "fake"}}, "models": models}, tmp_path) as gateway:
        answer = ask_locally(gateway, model="assistant", stream=stream)
        assert (answer.status_code, answer.headers["x-intellirouter-degraded"]) == (200, "model small")
        first, second = gateway.record(answer.headers["x-request-id"])["attempts"]
    assert 900 <= first["ended_ms"] <= 1500
    assert (first["outcome"], second["outcome"]) == ("upstream_timeout", "ok")


def test_stored_stream_follows_the_pings_of_a_stream_that_fails(vendor: MockVendor, tmp_path: Path) -> None:
    config = {
        "server": {"first_ping_s": 0.2, "stream_ping_s": 0.2},
        "defaults": {"cache": "exact", "retries": 0},
        "cache": {"ttl_s": {"chat": 1}},
        "providers": {
            "mock": {
                "vendor": "openai-compatible",
                "base_url": vendor.base_url,
                "models": "*",
                "timeouts": {"first_token_s": 1},
            }
        },
        "models": {"assistant": {"deployments": ["mock/stale-after-pings"], "degradation": [{"stale_s": 60}]}},
    }
    with GatewayProcess(config, tmp_path) as gateway:
        original = ask_locally(gateway, model="assistant", stream=True)
        time.sleep(1.1)
        vendor.fault("slow_first_token", match={"model": "stale-after-pings"}, delay_s=5.0)
        answer = ask_locally(gateway, model="assistant", stream=True)
        record = gateway.record(answer.headers["x-request-id"])
    pings, _, rest = answer.text.partition(": x-intellirouter-")
    assert set(pings.split("\n")) == {": ping", ""}
    head, _, stream = rest.partition("\n\n")
    assert "degraded: stale" in head
    assert stream == original.text
    assert (record["cache"], record["degraded"], record["status"]) == ("stale", "stale", 200)
