"""The checked passthrough validates answers whose format the client relies on, and relays all others unread."""

import json
from typing import Any

import pytest

from intellirouter.core import Deployment, UpstreamAddress
from intellirouter.core.errors import UpstreamMalformed
from intellirouter.dialects.openai_chat import CheckedChatPassthrough

PASSTHROUGH = CheckedChatPassthrough()
UP = Deployment(
    name="up",
    provider="p",
    vendor="openai",
    upstream_model="m",
    address=UpstreamAddress(base_url="http://localhost/v1"),
)
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "n", "schema": {"type": "object", "required": ["a"]}},
}


def call_of(**members: Any) -> Any:
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    return PASSTHROUGH.decode_request(json.dumps(request).encode())


def answer(finish: str | None = "stop", **message: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()


def call(arguments: str, call_id: str = "a") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "f", "arguments": arguments}}


def chunk(finish: str | None = None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    document = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice]}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


@pytest.mark.parametrize("text", ['{"a":1}', '{"b":1}', "no json"])
def test_answers_without_tools_or_schema_are_not_checked(text: str) -> None:
    assert PASSTHROUGH.decode_response(answer(content=text), call_of(), UP).body is None


def test_a_valid_answer_is_relayed_unchanged() -> None:
    assert PASSTHROUGH.decode_response(answer(content='{"a":1}'), call_of(response_format=FORMAT), UP).body is None
    valid = answer("tool_calls", tool_calls=[call('{"x":1}')])
    assert PASSTHROUGH.decode_response(valid, call_of(tools=TOOLS), UP).body is None


@pytest.mark.parametrize("text", ['{"b":1}', "no json", '{"a":'])
def test_an_answer_that_does_not_match_the_schema_is_malformed(text: str) -> None:
    with pytest.raises(UpstreamMalformed):
        PASSTHROUGH.decode_response(answer(content=text), call_of(response_format=FORMAT), UP)


def test_incomplete_arguments_are_malformed() -> None:
    with pytest.raises(UpstreamMalformed):
        PASSTHROUGH.decode_response(answer("tool_calls", tool_calls=[call('{"x":')]), call_of(tools=TOOLS), UP)


def test_the_second_call_with_the_same_id_gets_a_new_id() -> None:
    twice = answer("tool_calls", tool_calls=[call("{}"), call('{"x":1}')])
    body = PASSTHROUGH.decode_response(twice, call_of(tools=TOOLS), UP).body
    assert body is not None
    first, second = json.loads(body)["choices"][0]["message"]["tool_calls"]
    assert first["id"] == "a"
    assert second["id"] not in {"a", ""}
    assert second["function"]["arguments"] == '{"x":1}'


def streamed(*events: bytes, **members: Any) -> tuple[bytes, Any]:
    relay = PASSTHROUGH.relay(call_of(stream=True, **members), UP)
    out = b"".join(relay.feed(event) for event in events)
    return out + relay.end(), relay


def first_chunk(arguments: str) -> bytes:
    return chunk(role="assistant", tool_calls=[{"index": 0, **call(arguments)}])


def test_a_valid_stream_is_relayed_unchanged() -> None:
    events = (
        first_chunk('{"x"'),
        chunk(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]),
        chunk("tool_calls"),
    )
    out, relay = streamed(*events, b"data: [DONE]\n\n", tools=TOOLS)
    assert out == b"".join(events) + b"data: [DONE]\n\n"
    assert relay.error is None


def test_a_stream_with_incomplete_arguments_ends_with_an_error() -> None:
    out, relay = streamed(first_chunk('{"x"'), chunk("tool_calls"), b"data: [DONE]\n\n", tools=TOOLS)
    assert b"[DONE]" not in out
    assert b'"error"' in out.rpartition(b"data: ")[2]
    assert isinstance(relay.error, UpstreamMalformed)
    assert relay.is_finished


def test_a_stream_with_endless_repetition_ends_with_an_error() -> None:
    again = [chunk(content="again and ")] * 5_000
    out, relay = streamed(chunk(role="assistant", content="Well, "), *again, tools=TOOLS)
    assert isinstance(relay.error, UpstreamMalformed)
    assert len(out) < len(b"".join(again))


@pytest.mark.parametrize(
    ("arguments", "read"), [({"a": 1}, {"a": 1}), ("", {}), ("  ", {}), (None, {}), ("null", {}), ([], {})]
)
def test_arguments_are_always_the_text_of_an_object(arguments: Any, read: dict[str, Any]) -> None:
    unusual = answer("tool_calls", tool_calls=[call('{"b":2}', "b"), call(arguments, "a")])
    changed = PASSTHROUGH.decode_response(unusual, call_of(tools=TOOLS), UP).body
    assert changed is not None
    first, second = json.loads(changed)["choices"][0]["message"]["tool_calls"]
    assert (first["id"], json.loads(first["function"]["arguments"])) == ("b", {"b": 2})
    assert (second["id"], json.loads(second["function"]["arguments"])) == ("a", read)
