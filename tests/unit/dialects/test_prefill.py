"""Conversations that end with an answer, for Claude models that continue it and for those that refuse to."""

import json
from typing import Any

import pytest

from intellirouter.dialects.adapt.prefill import INSTRUCTION
from tests.support.dialects.pairs import call_of, deployment, send

URL = "https://upstream.test"
ANSWER = "Partial answer: "
REQUESTS: dict[str, dict[str, Any]] = {
    "openai_chat": {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ANSWER}],
    },
    "openai_responses": {
        "model": "m",
        "input": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ANSWER}],
    },
    "anthropic_messages": {
        "model": "m",
        "max_tokens": 9,
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ANSWER}],
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [{"text": ANSWER}]}]
    },
    "ollama": {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": ANSWER}],
    },
}
REFUSING = [
    "claude-opus-4-6",
    "claude-sonnet-4-6",
    "claude-opus-4-7",
    "claude-sonnet-5",
    "claude-mythos-preview",
    "claude-newest",
]
CONTINUING = ["claude-opus-4-5", "claude-sonnet-4-5-20250929", "claude-3-5-haiku-20241022", "claude-haiku-4-5"]
PAIRS = [
    (client, upstream)
    for client in REQUESTS
    for upstream in ("anthropic_messages", "bedrock")
    if client != upstream  # passed through
]


def _sent(client: str, upstream: str, model: str, **members: Any) -> Any:
    path = {"model": "m", "is_stream": False, "query": ""} if client == "gemini" else None
    call = call_of(client, {"body": REQUESTS[client] | members, "path": path})
    vendor, prefix = ("bedrock", "us.anthropic.") if upstream == "bedrock" else ("anthropic", "")
    return send(call, client, deployment(upstream, vendor, prefix + model, URL))


def _turns(sent: Any) -> list[tuple[str, str]]:
    body = json.loads(sent.request.body)
    return [(turn["role"], turn["content"][0]["text"]) for turn in body["messages"]]


@pytest.mark.parametrize("model", REFUSING)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_models_that_refuse_a_prefill_get_an_instruction(client: str, upstream: str, model: str) -> None:
    sent = _sent(client, upstream, model)
    assert _turns(sent) == [("user", "hi"), ("assistant", ANSWER), ("user", INSTRUCTION)]
    (loss,) = [loss for loss in sent.request.losses if "messages" in loss.field or loss.field in {"input", "contents"}]
    assert (loss.how, loss.detail) == ("converted", "an instruction to continue the last answer was added")


@pytest.mark.parametrize("model", CONTINUING)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_older_models_continue_it(client: str, upstream: str, model: str) -> None:
    assert _turns(_sent(client, upstream, model)) == [("user", "hi"), ("assistant", ANSWER.rstrip())]


@pytest.mark.parametrize("upstream", ["anthropic_messages", "bedrock"])
@pytest.mark.parametrize(
    "members",
    [
        {"reasoning_effort": "low", "max_tokens": 20_000},
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "a", "schema": {"type": "object", "properties": {}}},
            }
        },
    ],
    ids=["reasoning", "schema"],
)
def test_older_models_refuse_it_together_with_other_features(upstream: str, members: dict[str, Any]) -> None:
    assert _turns(_sent("openai_chat", upstream, "claude-sonnet-4-5", **members))[-1] == ("user", INSTRUCTION)


@pytest.mark.parametrize("upstream", ["anthropic_messages", "bedrock"])
def test_a_conversation_that_ends_with_the_user_is_unchanged(upstream: str) -> None:
    messages = [*REQUESTS["openai_chat"]["messages"], {"role": "user", "content": "go on"}]
    sent = _sent("openai_chat", upstream, "claude-opus-4-6", messages=messages)
    assert _turns(sent)[-1] == ("user", "go on")


@pytest.mark.parametrize("upstream", ["anthropic_messages", "bedrock"])
def test_an_open_tool_call_is_not_an_answer_to_continue(upstream: str) -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x", "tool_calls": [call]}]
    sent = _sent("openai_chat", upstream, "claude-opus-4-6", messages=messages)
    assert _turns(sent)[-1] == ("assistant", "x")
