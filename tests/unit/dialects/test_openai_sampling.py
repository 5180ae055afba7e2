"""Sampling parameters of clients of other dialects for OpenAI's reasoning models."""

import json
from typing import Any

import pytest

from intellirouter.catalog import profile_of
from tests.support.dialects.pairs import call_of, deployment, send

DIALECTS = {"openai_chat": "https://api.openai.com/v1", "openai_responses": "https://api.openai.com/v1"}
NAMES = ("temperature", "top_p", "stop", "presence_penalty", "frequency_penalty", "logprobs", "top_logprobs")


def _gemini(**config: Any) -> dict[str, Any]:
    generation = {
        "temperature": 0.5,
        "topP": 0.9,
        "stopSequences": ["x"],
        "presencePenalty": 0.5,
        "frequencyPenalty": 0.5,
        "responseLogprobs": True,
        "logprobs": 2,
        **config,
    }
    return {"contents": [{"role": "user", "parts": [{"text": "hi"}]}], "generationConfig": generation}


def _sent(upstream: str, vendor: str, model: str, **config: Any) -> Any:
    call = call_of("gemini", {"body": _gemini(**config), "path": {"model": "m", "is_stream": False, "query": ""}})
    return send(call, "gemini", deployment(upstream, vendor, model, DIALECTS[upstream]))


def _members(sent: Any) -> set[str]:
    body = json.loads(sent.request.body)
    found = {name for name in NAMES if name in body}
    return found | ({"logprobs"} if "message.output_text.logprobs" in body.get("include", []) else set())


@pytest.mark.parametrize("upstream", list(DIALECTS))
@pytest.mark.parametrize("vendor", ["openai", "azure"])
@pytest.mark.parametrize(
    "model",
    ["o3", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5-2025-08-07", "gpt-5.2-pro", "gpt-5.1-codex"],
)
def test_reasoning_models_get_no_sampling_parameters(upstream: str, vendor: str, model: str) -> None:
    sent = _sent(upstream, vendor, model)
    assert _members(sent) == set()
    reported = {field.rpartition(".")[2] for field in sent.losses}
    assert {"temperature", "topP", "stopSequences", "presencePenalty", "frequencyPenalty"} <= reported
    assert "responseLogprobs" in reported


@pytest.mark.parametrize("upstream", list(DIALECTS))
def test_an_anthropic_client_learns_what_was_left_out(upstream: str) -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["x"],
        "messages": [{"role": "user", "content": "hi"}],
    }
    target = deployment(upstream, "openai", "o3", DIALECTS[upstream])
    sent = send(call_of("anthropic_messages", {"body": body}), "anthropic_messages", target)
    assert _members(sent) == set()
    assert {"temperature", "top_p", "stop_sequences"} <= set(sent.losses)


@pytest.mark.parametrize("model", ["gpt-4.1", "gpt-4o", "gpt-5-chat-latest", "marco-o1", "ft:gpt-4o:org::o3x"])
def test_other_models_get_them(model: str) -> None:
    assert _members(_sent("openai_chat", "openai-compatible", model)) == set(NAMES)


def test_o1_takes_stop_sequences() -> None:
    assert _members(_sent("openai_chat", "openai", "o1")) == {"stop"}


@pytest.mark.parametrize("upstream", list(DIALECTS))
@pytest.mark.parametrize(
    ("model", "level", "is_sampled"),
    [
        ("gpt-5.1", None, True),
        ("gpt-5.2", "high", False),
        ("gpt-5.5", None, False),
        ("gpt-5", None, False),
    ],
)
def test_models_that_do_not_reason_take_sampling(
    upstream: str, model: str, level: str | None, is_sampled: bool
) -> None:
    thinking = {} if level is None else {"thinkingConfig": {"thinkingLevel": level}}
    found = _members(_sent(upstream, "openai", model, **thinking))
    assert found - {"stop"} == ({"temperature", "top_p", "logprobs", "top_logprobs"} if is_sampled else set())
    assert ("stop" in found) == (model == "gpt-5.5" and upstream == "openai_chat")


def test_values_that_have_no_effect_are_sent() -> None:
    config = {"temperature": 1, "topP": 1, "stopSequences": [], "presencePenalty": 0, "frequencyPenalty": 0}
    sent = _sent("openai_chat", "openai", "o3", **config, responseLogprobs=False, logprobs=0)
    assert "stop" not in _members(sent)
    assert json.loads(sent.request.body)["temperature"] == 1
    assert not sent.losses


def test_a_request_of_the_same_dialect_is_not_changed_when_it_is_edited() -> None:
    body = {"model": "m", "temperature": 0.5, "messages": [{"role": "user", "content": "hi"}]}
    target = deployment("openai_chat", "openai", "o3", DIALECTS["openai_chat"])
    sent = send(call_of("openai_chat", {"body": body}), "openai_chat", target)
    assert _members(sent) == {"temperature"}


@pytest.mark.parametrize(
    ("vendor", "model", "takes_sampling"),
    [
        ("azure", "prod-o3-mini", False),
        ("azure", "my-gpt-5-mini", False),
        ("openai", "ft:o4-mini-2025-04-16:org::id", False),
        ("openrouter", "openai/o3", False),
        ("openrouter", "openai/gpt-5", False),
        ("vllm", "marco-o1", True),
        ("openai", "gpt-50", True),
        ("openai", "o30", True),
    ],
)
def test_families_are_recognized_by_name(vendor: str, model: str, takes_sampling: bool) -> None:
    assert profile_of(("openai_chat",), vendor, model).takes_sampling is takes_sampling
