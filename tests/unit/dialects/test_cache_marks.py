"""Prompt-cache marks: at most four for Anthropic and Bedrock, and none is lost without a report."""

import json
from typing import Any

import pytest

from intellirouter.dialects.adapt.cache_marks import surplus
from tests.support.dialects.pairs import BY_UPSTREAM, OTHERS, call_of, deployment, send

MARK = {"cache_control": {"type": "ephemeral"}}
TARGETS = {**BY_UPSTREAM, **OTHERS}


@pytest.mark.parametrize(
    ("static_count", "count", "removed"),
    [
        (0, 4, set()),
        (2, 4, set()),
        (0, 6, {0, 1}),
        (1, 6, {1, 2}),
        (2, 6, {0, 2}),
        (3, 6, {0, 1}),
        (6, 6, {0, 1}),
        (5, 9, {0, 1, 2, 3, 5}),
    ],
)
def test_the_last_static_mark_and_the_last_of_the_messages_stay(
    static_count: int, count: int, removed: set[int]
) -> None:
    assert surplus(static_count, count) == removed


def _text(text: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **members}


def _long_conversation() -> dict[str, Any]:
    messages: list[dict[str, Any]] = [{"role": "system", "content": [_text("s1", **MARK), _text("s2", **MARK)]}]
    messages += [
        {"role": "user" if number % 2 == 0 else "assistant", "content": [_text(str(number), **MARK)]}
        for number in range(5)
    ]
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}, **MARK}
    return {"model": "m", "messages": messages, "tools": [tool]}


@pytest.mark.parametrize("model", ["claude-sonnet-4-5", "claude-opus-4-6"])
def test_anthropic_gets_four(model: str) -> None:
    target = deployment("anthropic_messages", "anthropic", model, "https://api.anthropic.com")
    sent = send(call_of("openai_chat", {"body": _long_conversation()}), "openai_chat", target)
    body = json.loads(sent.request.body)
    assert sent.request.body.count(b'"cache_control"') == 4
    assert [block["text"] for block in body["system"] if "cache_control" in block] == ["s2"]
    marked = [block["text"] for turn in body["messages"] for block in turn["content"] if "cache_control" in block]
    assert marked == ["2", "3", "4"]
    assert [loss.detail for loss in sent.request.losses if loss.field == "cache_control"] == ["at most 4 marks"]


@pytest.mark.parametrize("target", [BY_UPSTREAM["bedrock"], OTHERS["nova"]])
def test_bedrock_gets_four(target: Any) -> None:
    sent = send(call_of("openai_chat", {"body": _long_conversation()}), "openai_chat", target)
    body = json.loads(sent.request.body)
    assert sent.request.body.count(b'"cachePoint"') == 4
    assert body["system"] == [{"text": "s1"}, {"text": "s2"}, {"cachePoint": {"type": "default"}}]
    assert sum("cachePoint" in block for turn in body["messages"] for block in turn["content"]) == 3
    assert "cache_control" in sent.losses


def test_marks_of_an_anthropic_client_are_limited_for_bedrock() -> None:
    turns = [
        {"role": "user" if number % 2 == 0 else "assistant", "content": [_text(str(number), **MARK)]}
        for number in range(7)
    ]
    body = {"model": "m", "max_tokens": 9, "messages": turns}
    sent = send(call_of("anthropic_messages", {"body": body}), "anthropic_messages", BY_UPSTREAM["bedrock"])
    assert sent.request is not None
    assert sent.request.body.count(b'"cachePoint"') == 4


CALL = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
HISTORY = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "x", "tool_calls": [CALL]}]
RESULT = {"role": "tool", "tool_call_id": "a", "content": "r"}
PLACES = {
    "user text": [{"role": "user", "content": [_text("x", **MARK)]}],
    "user message": [{"role": "user", "content": "x", **MARK}],
    "system text": [{"role": "system", "content": [_text("x", **MARK)]}, {"role": "user", "content": "hi"}],
    "blank text": [{"role": "user", "content": [_text("x"), _text(" ", **MARK)]}],
    "inside a tool result": [*HISTORY, RESULT | {"content": [_text("r", **MARK)]}],
    "a tool result": [*HISTORY, RESULT | MARK],
    "a tool call": [HISTORY[0], HISTORY[1] | {"tool_calls": [CALL | MARK]}, RESULT],
    "an answer": [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [_text("x", **MARK)]},
        {"role": "user", "content": "go on"},
    ],
}


@pytest.mark.parametrize("place", list(PLACES))
@pytest.mark.parametrize("upstream", [name for name, each in TARGETS.items() if each.dialects != ("openai_chat",)])
def test_a_mark_arrives_or_is_reported(upstream: str, place: str) -> None:
    body = {"model": "m", "messages": PLACES[place]}
    sent = send(call_of("openai_chat", {"body": body}), "openai_chat", TARGETS[upstream])
    assert sent.request is not None
    has_mark = b'"cache_control"' in sent.request.body or b'"cachePoint"' in sent.request.body
    assert has_mark != ("cache_control" in sent.losses)


@pytest.mark.parametrize("vendor", ["openai", "openrouter", "dashscope", "deepseek", "openai-compatible"])
@pytest.mark.parametrize(
    "content",
    [
        [{"role": "user", "content": [_text("x", **MARK)]}],
        [{"role": "user", "content": "hi"}, {"role": "assistant", "content": [_text("x", **MARK)]}],
        [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}, **MARK}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "a", "content": "r"}]},
        ],
        [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {}}]},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "a", "content": [_text("r", **MARK)]}],
            },
        ],
    ],
    ids=["user", "answer", "call", "inside a result"],
)
def test_a_mark_for_a_compatible_vendor_arrives_or_is_reported(vendor: str, content: list[Any]) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": content}
    target = deployment("openai_chat", vendor, "m", "https://upstream.test")
    sent = send(call_of("anthropic_messages", {"body": body}), "anthropic_messages", target)
    assert sent.request is not None
    assert (b'"cache_control"' in sent.request.body) != any("cache" in field for field in sent.losses)


def test_a_mark_inside_a_tool_result_is_written_after_it_for_bedrock() -> None:
    body = {"model": "m", "messages": PLACES["inside a tool result"]}
    sent = send(call_of("openai_chat", {"body": body}), "openai_chat", BY_UPSTREAM["bedrock"])
    assert sent.request is not None
    (result, mark) = json.loads(sent.request.body)["messages"][-1]["content"]
    assert result["toolResult"]["content"] == [{"text": "r"}]
    assert mark == {"cachePoint": {"type": "default"}}
