"""Prompt-cache marks that the gateway sets: only in translated requests, where they pay, and beside no client's own."""

import itertools
import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.catalog.profiles import profile_of
from intellirouter.core import Deployment, Price
from tests.support.dialects.pairs import call_of, deployment, send

MARK = {"cache_control": {"type": "ephemeral"}}
LONG = "word " * 1000  # 1250 tokens
VERY_LONG = LONG * 4
TOOL = {"type": "function", "function": {"name": "f", "description": LONG, "parameters": {"type": "object"}}}
TURNS = [
    {"role": "user", "content": "one"},
    {"role": "assistant", "content": "two"},
    {"role": "user", "content": "three"},
]
PAYING = Price(input=3_000_000, output=15_000_000, cache_read=300_000, cache_write=3_750_000)


def claude(model: str = "claude-sonnet-4-5", **members: Any) -> Deployment:
    target = deployment("anthropic_messages", "anthropic", model, "https://api.anthropic.com")
    return structs.replace(target, **{"marks_prompt_cache": True, **members})


def bedrock(model: str = "anthropic.claude-sonnet-4-5-20250929-v1:0", **members: Any) -> Deployment:
    target = deployment("bedrock", "bedrock", model, "https://bedrock.test")
    return structs.replace(target, **{"marks_prompt_cache": True, **members})


def encoded(target: Deployment, *messages: dict[str, Any], client: str = "openai_chat", **members: Any) -> Any:
    """Return the upstream request and its decoded body."""
    sent = send(call_of(client, {"body": {"model": "m", "messages": list(messages), **members}}), client, target)
    assert sent.request is not None, sent
    return sent.request, json.loads(sent.request.body)


def system(text: str = LONG) -> dict[str, Any]:
    return {"role": "system", "content": text}


def marked_texts(body: Any) -> list[str]:
    """Return the beginnings of the texts that a mark follows, in order."""
    found: list[str] = []
    for blocks in (body.get("system", []), *(turn["content"] for turn in body["messages"])):
        before: Any = {}
        for block in blocks if isinstance(blocks, list) else []:
            if "cache_control" in block:
                found.append(block["text"][:5].strip())
            if "cachePoint" in block:
                found.append(before["text"][:5].strip())
            before = block
    return found


@pytest.mark.parametrize("target", [claude(), bedrock(), bedrock("amazon.nova-pro-v1:0")], ids=lambda each: each.vendor)
def test_conversation_has_marks_after_the_system_prompt_and_both_turns(target: Deployment) -> None:
    request, body = encoded(target, system(), *TURNS)
    assert marked_texts(body) == ["word", "one", "three"]
    assert request.cache_marks == 3
    assert not [loss for loss in request.losses if "cache" in loss.field]


@pytest.mark.parametrize("target", [claude(), bedrock()], ids=lambda each: each.vendor)
def test_every_turn_moves_the_marks(target: Deployment) -> None:
    more = [{"role": "assistant", "content": "four"}, {"role": "user", "content": "five"}]
    _, body = encoded(target, system(), *TURNS, *more)
    assert marked_texts(body) == ["word", "three", "five"]


def without_marks(blocks: Any) -> Any:
    return json.loads(json.dumps(blocks).replace(", " + json.dumps(MARK)[1:-1], ""))


def test_later_requests_begin_with_what_the_one_before_has_marked() -> None:
    _, before = encoded(claude(), system(), *TURNS)
    more = [{"role": "assistant", "content": "four"}, {"role": "user", "content": "five"}]
    _, after = encoded(claude(), system(), *TURNS, *more)
    assert marked_texts(before)[-1] in marked_texts(after)
    assert before["system"] == after["system"]
    assert without_marks(before["messages"]) == without_marks(after["messages"])[:3]


@pytest.mark.parametrize(("text", "marks"), [(LONG, []), (VERY_LONG, ["word"])], ids=["small", "large"])
@pytest.mark.parametrize("target", [claude(), bedrock()], ids=lambda each: each.vendor)
def test_first_turn_marks_only_a_large_system_prompt(target: Deployment, text: str, marks: list[str]) -> None:
    request, body = encoded(target, system(text), TURNS[0])
    assert marked_texts(body) == marks
    assert request.cache_marks == len(marks)


def test_tools_are_marked_without_a_system_prompt() -> None:
    _, body = encoded(claude(), *TURNS, tools=[TOOL, TOOL | {"function": TOOL["function"] | {"name": "g"}}])
    assert ["cache_control" in tool for tool in body["tools"]] == [False, True]
    _, body = encoded(claude(), system("short"), *TURNS, tools=[TOOL])
    assert "cache_control" not in body["tools"][0]
    assert marked_texts(body)[0] == "short"  # it covers the tools, which come before it


def test_tools_of_bedrock_are_marked_if_the_model_takes_it() -> None:
    _, body = encoded(bedrock(), *TURNS, tools=[TOOL])
    assert body["toolConfig"]["tools"][-1] == {"cachePoint": {"type": "default"}}
    request, body = encoded(bedrock("amazon.nova-pro-v1:0"), *TURNS, tools=[TOOL])
    assert all("cachePoint" not in tool for tool in body["toolConfig"]["tools"])
    assert not [loss for loss in request.losses if "cache" in loss.field]


def test_results_of_tools_are_marked() -> None:
    call = {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    messages = [system(), TURNS[0], {"role": "assistant", "content": None, "tool_calls": [call]}]
    _, body = encoded(claude(), *messages, {"role": "tool", "tool_call_id": "a", "content": "r"}, tools=[TOOL])
    assert body["messages"][-1]["content"][-1]["type"] == "tool_result"
    assert "cache_control" in body["messages"][-1]["content"][-1]
    _, body = encoded(bedrock(), *messages, {"role": "tool", "tool_call_id": "a", "content": "r"}, tools=[TOOL])
    assert body["messages"][-1]["content"][-1] == {"cachePoint": {"type": "default"}}


NOVA = "amazon.nova-pro-v1:0"
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
PDF = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"}}
TOOL_TURN = [
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "r"}]},
]


def kinds_before_marks(body: Any) -> list[str]:
    """Return the kind of block that each mark of a Bedrock request follows."""
    lists = (body.get("system", []), *(turn["content"] for turn in body["messages"]))
    return [
        next(iter(before)) for blocks in lists for before, block in itertools.pairwise(blocks) if "cachePoint" in block
    ]


@pytest.mark.parametrize(
    ("last", "nova", "anthropic"),
    [
        ([{"role": "user", "content": [{"type": "text", "text": "see"}, IMAGE]}], ["text"] * 3, "image"),
        ([{"role": "user", "content": [{"type": "text", "text": "see"}, PDF]}], ["text"] * 3, "document"),
        ([{"role": "user", "content": [IMAGE]}], ["text"] * 2, "image"),
        (TOOL_TURN, ["text"] * 2, "toolResult"),
    ],
    ids=["image", "document", "only an image", "tool result"],
)
def test_nova_gets_marks_only_after_text(last: list[dict[str, Any]], nova: list[str], anthropic: str) -> None:
    messages = [system(), *TURNS[:2], *last] if last is not TOOL_TURN else [system(), TURNS[0], *last]
    request, body = encoded(bedrock(NOVA), *messages, tools=[TOOL])
    assert kinds_before_marks(body) == nova
    assert request.cache_marks == len(nova)
    assert not [loss for loss in request.losses if "cache" in loss.field]
    _, body = encoded(bedrock(), *messages, tools=[TOOL])
    assert kinds_before_marks(body)[-1] == anthropic


def test_mark_that_nova_refuses_is_dropped_and_reported() -> None:
    result = TOOL_TURN[1] | {"content": [{"type": "text", "text": "r", **MARK}]}
    own = {"role": "user", "content": [{"type": "text", "text": "one"}, IMAGE | MARK]}
    for messages in ([own], [TURNS[0], TOOL_TURN[0], result]):
        request, body = encoded(bedrock(NOVA), *messages, tools=[TOOL])
        assert kinds_before_marks(body) == []
        assert [loss.how for loss in request.losses if "cache" in loss.field] == ["dropped"]
        request, body = encoded(bedrock(), *messages, tools=[TOOL])
        assert len(kinds_before_marks(body)) == 1
        assert not [loss for loss in request.losses if "cache" in loss.field]


def test_lifetime_of_a_mark_is_sent_to_claude_and_not_to_nova() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    own = {"role": "user", "content": [{"type": "text", "text": "one", **mark}]}
    request, body = encoded(bedrock(NOVA), own)
    assert body["messages"][0]["content"][-1] == {"cachePoint": {"type": "default"}}
    assert [(loss.how, loss.detail) for loss in request.losses if "cache" in loss.field] == [("clamped", "5 minutes")]
    request, body = encoded(bedrock(), own)
    assert body["messages"][0]["content"][-1] == {"cachePoint": {"type": "default", "ttl": "1h"}}
    assert not [loss for loss in request.losses if "cache" in loss.field]


@pytest.mark.parametrize("model", [NOVA, "anthropic.claude-sonnet-4-5-20250929-v1:0"])
@pytest.mark.parametrize("client", ["anthropic_messages", "openai_chat"])
def test_top_level_mark_that_is_not_sent_is_reported(model: str, client: str) -> None:
    request, body = encoded(bedrock(model), *TURNS, client=client, max_tokens=9, **MARK)
    assert kinds_before_marks(body) == []
    assert [loss.how for loss in request.losses if loss.field == "cache_control"] == ["dropped"]


@pytest.mark.parametrize(
    ("model", "minimum"),
    [
        ("claude-opus-4-5-20251101", 4096),
        ("claude-opus-4-6", 4096),
        ("claude-haiku-4-5", 4096),
        ("claude-3-5-haiku-20241022", 2048),
        ("claude-3-haiku-20240307", 2048),
        ("claude-sonnet-4-5", 1024),
        ("claude-opus-4-1", 1024),
        ("claude-opus-5", 1024),
        ("claude-2.1", 0),
        ("deepseek-chat", 0),
    ],
)
def test_minimum_of_a_model(model: str, minimum: int) -> None:
    assert profile_of(("anthropic_messages",), "anthropic", model).min_cached_tokens == minimum
    assert profile_of(("openai_chat",), "openai", model).min_cached_tokens == 0


@pytest.mark.parametrize(("model", "is_marked"), [("claude-haiku-4-5", False), ("claude-sonnet-4-5", True)])
def test_what_is_shorter_than_the_minimum_is_not_marked(model: str, *, is_marked: bool) -> None:
    request, _ = encoded(claude(model), system(), *TURNS)
    assert (request.cache_marks > 0) is is_marked
    request, _ = encoded(claude(model), system("short"), *TURNS)
    assert request.cache_marks == 0
    assert b"cache_control" not in request.body


@pytest.mark.parametrize(
    ("price", "is_marked"),
    [
        (None, True),
        (PAYING, True),
        (structs.replace(PAYING, cache_write=None), True),
        (structs.replace(PAYING, cache_read=None), False),
        (structs.replace(PAYING, cache_read=PAYING.input), False),
        (structs.replace(PAYING, cache_write=PAYING.input * 3), False),
    ],
)
def test_marks_must_pay(price: Price | None, *, is_marked: bool) -> None:
    request, _ = encoded(claude(price=price), system(), *TURNS)
    assert (request.cache_marks > 0) is is_marked


@pytest.mark.parametrize("target", [claude(), bedrock()], ids=lambda each: each.vendor)
def test_client_with_a_mark_of_its_own_gets_no_other(target: Deployment) -> None:
    own = {"role": "user", "content": [{"type": "text", "text": "one", **MARK}]}
    request, body = encoded(target, system(), own, *TURNS[1:])
    assert marked_texts(body) == ["one"]
    assert request.cache_marks == 0


def test_anthropic_client_gets_marks_on_bedrock_only() -> None:
    members = {"client": "anthropic_messages", "system": LONG, "max_tokens": 9}
    _, body = encoded(bedrock(), *TURNS, **members)
    assert marked_texts(body) == ["word", "one", "three"]
    request, _ = encoded(claude(), *TURNS, **members)
    assert b"cache_control" not in request.body
    _, body = encoded(bedrock(), *TURNS, **members, **MARK)
    assert marked_texts(body) == []


def test_setting_switches_marks_off() -> None:
    request, _ = encoded(claude(marks_prompt_cache=False), system(), *TURNS)
    assert b"cache_control" not in request.body


def test_answer_that_the_conversation_ends_with_is_not_marked() -> None:
    _, body = encoded(claude(), system(), *TURNS, {"role": "assistant", "content": "It is"})
    assert marked_texts(body) == ["word", "one", "three"]


def test_blank_text_is_not_marked() -> None:
    blank = {"role": "user", "content": [{"type": "text", "text": "three"}, {"type": "text", "text": " \n"}]}
    request, body = encoded(claude(), system(), *TURNS[:2], blank)
    assert marked_texts(body) == ["word", "one", "three"]
    assert not [loss for loss in request.losses if "cache" in loss.field]


def test_conversation_of_the_client_is_not_changed() -> None:
    call = call_of("openai_chat", {"body": {"model": "m", "messages": [system(), *TURNS]}})
    first = send(call, "openai_chat", claude())
    other = send(call, "openai_chat", claude(marks_prompt_cache=False))
    again = send(call, "openai_chat", claude())
    assert other.request is not None
    assert b"cache_control" not in other.request.body
    assert first.request == again.request
