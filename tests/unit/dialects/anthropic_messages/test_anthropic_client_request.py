"""Client requests: the members that routing reads, and the messages of validation errors."""

import json
from typing import Any

import pytest

from intellirouter.core import RequestContext, errors
from intellirouter.dialects.anthropic_messages import CLIENT, COUNT_CLIENT
from intellirouter.dialects.ir import Foreign, Media, Text, ToolResult
from tests.support.dialects.anthropic_messages import any_call, call_of

MESSAGES = [{"role": "user", "content": "Hi"}]
IMAGE = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
DOCUMENT = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "x"}}


def rejected(body: Any) -> errors.InvalidRequest:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(errors.InvalidRequest) as caught:
        CLIENT.decode(CLIENT.decode_request(raw, RequestContext()))
    return caught.value


TOOL_USE = {"type": "tool_use", "id": "a", "name": "f", "input": {}}


def with_content(*blocks: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": list(blocks)}]}


def test_the_call_has_the_members_that_routing_needs() -> None:
    context = RequestContext(query="beta=true", headers=(("anthropic-beta", "x"),))
    call = call_of({"model": "a/b:c", "max_tokens": 77, "messages": MESSAGES, "stream": True}, context)
    assert (call.operation, call.dialect, call.model, call.max_output_tokens) == (
        "chat", "anthropic_messages", "a/b:c", 77,
    )  # fmt: skip
    assert call.is_stream
    assert call.wants_usage
    assert call.context is context
    assert call.needs == frozenset()


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ({"tools": [{"name": "t", "input_schema": {}}]}, {"tools"}),
        ({"tools": []}, set()),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, {"json_schema"}),
        ({"output_format": {"type": "json_schema", "schema": {}}}, {"json_schema"}),
        ({"output_config": {"effort": "low"}}, set()),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, {"vision"}),
        ({"messages": [{"role": "user", "content": [DOCUMENT, IMAGE]}]}, {"vision", "files"}),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [IMAGE]}]}]}, {"vision"}),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": [DOCUMENT]}]}]}, {"files"}),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": '"image"'}]}]}, set()),
        ({"messages": [{"role": "user", "content": [{"type": "x", "content": {"image": 1}}]}]}, set()),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result", "content": {"image": 1}}]}]}, set()),
    ],
)
def test_needs(members: dict[str, Any], needs: set[str]) -> None:
    assert any_call(**members).needs == needs


@pytest.mark.parametrize(
    ("body", "message", "param"),
    [
        ({"max_tokens": 5, "messages": MESSAGES}, "model: Field required", "model"),
        ({"model": "m", "messages": MESSAGES}, "max_tokens: Field required", "max_tokens"),
        ({"model": "m", "max_tokens": None, "messages": MESSAGES}, "max_tokens: Field required", "max_tokens"),
        ({"model": "m", "max_tokens": 5}, "messages: Field required", "messages"),
        ({"model": 7, "max_tokens": 5, "messages": MESSAGES}, "model: Input should be a valid string", "model"),
        (
            {"model": "m", "max_tokens": "5", "messages": MESSAGES},
            "max_tokens: Input should be a valid integer",
            "max_tokens",
        ),
        ({"model": "m", "max_tokens": -1, "messages": MESSAGES}, "greater than or equal to 0", "max_tokens"),
        ({"model": "m", "max_tokens": 10**30, "messages": MESSAGES}, "max_tokens: Input should be", "max_tokens"),
        ({"model": "m", "max_tokens": 5, "messages": []}, "messages: at least one message is required", "messages"),
        ({"model": "m", "max_tokens": 5, "messages": "x"}, "messages: Input should be a valid list", "messages"),
        (
            {"model": "m", "max_tokens": 5, "messages": [{"role": "user"}]},
            "messages.0.content: Field required",
            "messages.0.content",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": [{"role": "tool", "content": "x"}]},
            "messages.0.role: Input should be",
            "messages.0.role",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": 5}]},
            "messages.0.content: Input should be a valid string",
            "messages.0.content",
        ),
        (with_content({"type": "text"}), "messages.0.content.0.text: Field required", "messages.0.content.0.text"),
        (
            with_content({"type": "text", "text": 1}),
            "messages.0.content.0.text: Input should be a valid string",
            "messages.0.content.0.text",
        ),
        (with_content({"text": "x"}), "messages.0.content.0.type: Field required", "messages.0.content.0.type"),
        (
            with_content({"type": "tool_use", "id": "a", "name": "b", "input": []}),
            "messages.0.content.0.input: Input should be a valid dictionary",
            "messages.0.content.0.input",
        ),
        (
            with_content({"type": "image"}),
            "messages.0.content.0.source: Field required",
            "messages.0.content.0.source",
        ),
        (
            with_content(TOOL_USE, {"type": "tool_result", "tool_use_id": "a", "is_error": "yes"}),
            "messages.0.content.1.is_error: Input should be a valid boolean",
            "messages.0.content.1.is_error",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": MESSAGES, "tool_choice": {"type": "maybe"}},
            "tool_choice: Input tag 'maybe'",
            "tool_choice.type",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": MESSAGES, "tools": [{"name": 5}]},
            "tools.0.name: Input should be a valid string",
            "tools.0.name",
        ),
        (
            {
                "model": "m",
                "max_tokens": 5,
                "messages": MESSAGES,
                "thinking": {"type": "enabled", "budget_tokens": "x"},
            },
            "thinking.budget_tokens: Input should be a valid integer",
            "thinking.budget_tokens",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": MESSAGES, "output_config": {"format": {"type": "xml"}}},
            "output_config.format.type: Input should be 'json_schema'",
            "output_config.format.type",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": MESSAGES, "output_format": {"type": "json_schema"}},
            "output_format.schema: Field required",
            "output_format.schema",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": MESSAGES, "system": 5},
            "system: Input should be a valid list",
            "system",
        ),
        (
            {"model": "m", "max_tokens": 5, "messages": MESSAGES, "service_tier": 5},
            "service_tier: Input should be a valid string",
            "service_tier",
        ),
    ],
)
def test_errors_have_anthropics_wording(body: Any, message: str, param: str) -> None:
    error = rejected(body)
    assert message in error.message
    assert error.param == param
    assert error.status == 400


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{", b"NaN", b'{"model": NaN}', b"\xff\xfe", b'{"model":"\\ud800"}',
        b'{"model":"m","max_tokens":1e999,"messages":[]}', b"[" * 100_000, b'{"a":' * 100_000,
        b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[null]}]}',
        b'{"model":"m","max_tokens":5,"messages":[null]}',
        b'{"model":"m","max_tokens":5,"messages":[{"role":"user","content":[{"type":null}]}]}',
    ],
)  # fmt: skip
def test_invalid_bodies_raise_only_invalid_request(body: bytes) -> None:
    assert rejected(body).status == 400


ODD_VALUES = [5, -1.5, True, "x", [], {}, [[]], [{}], {"a": 1}, [5], ["x"], [None]]
NAMES = (
    "system", "tools", "tool_choice", "thinking", "output_config", "output_format", "metadata", "service_tier",
    "stop_sequences", "temperature", "top_p", "top_k", "stream", "container", "mcp_servers",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_odd_types_of_a_member_are_read_or_rejected(name: str) -> None:
    for value in ODD_VALUES:
        body = {"model": "m", "max_tokens": 5, "messages": MESSAGES, name: value}
        try:
            CLIENT.decode(call_of(body))
        except errors.InvalidRequest as error:
            assert error.param is not None  # noqa: PT017 - reading it is also correct


KINDS = ("text", "image", "document", "thinking", "redacted_thinking", "tool_use", "tool_result", "server_tool_use")
MEMBERS = (
    "text", "source", "title", "context", "citations", "cache_control", "thinking", "signature", "data", "id", "name",
    "input", "tool_use_id", "content", "is_error",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_odd_types_in_a_block_are_read_or_rejected(kind: str) -> None:
    whole = {
        "text": "t", "source": {"type": "url", "url": "https://a"}, "thinking": "t", "signature": "s", "data": "d",
        "id": "i", "name": "n", "input": {}, "tool_use_id": "i", "content": "c",
    }  # fmt: skip
    for member in MEMBERS:
        for value in [*ODD_VALUES, None]:
            try:
                CLIENT.decode(call_of(with_content({"type": kind, **whole, member: value})))
            except errors.InvalidRequest as error:
                assert error.param is not None  # noqa: PT017


def test_unknown_blocks_and_sources_are_stored_unchanged() -> None:
    odd = {"type": "image", "source": {"type": "teleport", "to": 5}}
    conversation = CLIENT.decode(call_of(with_content(odd, {"type": "zzz", "a": [1]})))
    first, second = conversation.messages[0].parts
    assert first == Foreign(dialect="anthropic_messages", kind="image", raw=odd)
    assert second == Foreign(dialect="anthropic_messages", kind="zzz", raw={"type": "zzz", "a": [1]})


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("words", "words"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        ([5], None),
        (5, None),
    ],
)
def test_documents_of_text_blocks_are_read_as_text(content: Any, text: str | None) -> None:
    block = {"type": "document", "source": {"type": "content", "content": content}}
    part = CLIENT.decode(call_of(with_content(block))).messages[0].parts[0]
    if text is None:
        assert part == Foreign(dialect="anthropic_messages", kind="document", raw=block)
    else:
        assert isinstance(part, Media)
        assert part.source.text == text
        assert part.extras == {"source": block["source"]}, "the same dialect gets it unchanged"


def test_an_unknown_block_in_a_tool_result_becomes_json_text() -> None:
    block = {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "browser_state", "tabs": []}]}
    part = CLIENT.decode(call_of(with_content(TOOL_USE, block))).messages[-1].parts[0]
    assert isinstance(part, ToolResult)
    assert part.text() == '{"type":"browser_state","tabs":[]}'


def test_count_requests_have_no_limit_and_are_not_streamed() -> None:
    body = json.dumps({"model": "m", "messages": MESSAGES, "stream": True, "system": "S"}).encode()
    call = COUNT_CLIENT.decode_request(body, RequestContext())
    assert (call.operation, call.is_stream, call.max_output_tokens) == ("count_tokens", False, None)
    assert COUNT_CLIENT.decode(call).messages[0].parts == [Text(text="S")]
    assert COUNT_CLIENT.encode_count(42, call) == b'{"input_tokens":42}'
    with pytest.raises(errors.InvalidRequest, match="max_tokens"):
        COUNT_CLIENT.decode_request(
            b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":-2}', RequestContext()
        )
