"""The passthrough looks at answers whose form the client relies on; other answers pass unread."""

import json
from typing import Any

import pytest

from intellirouter.core import Deployment, UpstreamAddress
from intellirouter.core.errors import UpstreamMalformed
from intellirouter.dialects.openai_chat import CheckedChatPassthrough

LANE = CheckedChatPassthrough()
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


def asking(**members: Any) -> Any:
    request = {"model": "m", "messages": [{"role": "user", "content": "x"}], **members}
    return LANE.decode_request(json.dumps(request).encode())


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
def test_nobody_reads_what_nobody_relies_on(text: str) -> None:
    assert LANE.decode_response(answer(content=text), asking(), UP).body is None


def test_a_good_answer_passes_as_it_came() -> None:
    assert LANE.decode_response(answer(content='{"a":1}'), asking(response_format=FORMAT), UP).body is None
    good = answer("tool_calls", tool_calls=[call('{"x":1}')])
    assert LANE.decode_response(good, asking(tools=TOOLS), UP).body is None


@pytest.mark.parametrize("text", ['{"b":1}', "no json", '{"a":'])
def test_an_answer_that_breaks_the_schema_is_the_attempts_failure(text: str) -> None:
    with pytest.raises(UpstreamMalformed):
        LANE.decode_response(answer(content=text), asking(response_format=FORMAT), UP)


def test_a_call_that_is_cut_off_is_the_attempts_failure() -> None:
    with pytest.raises(UpstreamMalformed):
        LANE.decode_response(answer("tool_calls", tool_calls=[call('{"x":')]), asking(tools=TOOLS), UP)


def test_two_calls_with_one_id_are_told_apart() -> None:
    twice = answer("tool_calls", tool_calls=[call("{}"), call('{"x":1}')])
    body = LANE.decode_response(twice, asking(tools=TOOLS), UP).body
    assert body is not None
    first, second = json.loads(body)["choices"][0]["message"]["tool_calls"]
    assert first["id"] == "a"
    assert second["id"] not in {"a", ""}
    assert second["function"]["arguments"] == '{"x":1}'


def streamed(*events: bytes, **members: Any) -> tuple[bytes, Any]:
    relay = LANE.relay(asking(stream=True, **members), UP)
    out = b"".join(relay.feed(event) for event in events)
    return out + relay.end(), relay


def begun(arguments: str) -> bytes:
    return chunk(role="assistant", tool_calls=[{"index": 0, **call(arguments)}])


def test_a_good_stream_passes_as_it_came() -> None:
    events = (begun('{"x"'), chunk(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}]), chunk("tool_calls"))
    out, relay = streamed(*events, b"data: [DONE]\n\n", tools=TOOLS)
    assert out == b"".join(events) + b"data: [DONE]\n\n"
    assert relay.error is None


def test_a_streamed_call_that_is_cut_off_ends_in_an_error() -> None:
    out, relay = streamed(begun('{"x"'), chunk("tool_calls"), b"data: [DONE]\n\n", tools=TOOLS)
    assert b"[DONE]" not in out
    assert b'"error"' in out.rpartition(b"data: ")[2]
    assert isinstance(relay.error, UpstreamMalformed)
    assert relay.is_finished


def test_a_stream_that_runs_away_ends_in_an_error() -> None:
    again = [chunk(content="again and ")] * 5_000
    out, relay = streamed(chunk(role="assistant", content="Well, "), *again, tools=TOOLS)
    assert isinstance(relay.error, UpstreamMalformed)
    assert len(out) < len(b"".join(again))
