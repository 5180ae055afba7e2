from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter import client
from intellirouter.client.replies import Route
from intellirouter.client.stream import ChatStreamDecoder, RecordStreamDecoder

STREAM = (
    b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    b": a comment\n\n"
    b'data: {"choices":[{"delta":{"content":"H\xc3\xa9"}}]}\r\n\r\n'
    b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"c1",'
    b'"function":{"name":"f","arguments":"{\\"a\\""}}]}}]}\n\n'
    b'data: {"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]}}]}\n\n'
    b'data: {"choices":[{"delta":{},"finish_reason":"tool_calls"}]}\n\n'
    b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}\n\n'
    b"data: [DONE]\n\n"
)


def whole(decoder: ChatStreamDecoder) -> tuple[str, object, object, object]:
    decoder.finish()
    reply = decoder.reply()
    return reply.text, reply.tool_calls, reply.finish_reason, reply.usage


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_result_does_not_depend_on_how_the_bytes_are_split(cuts: list[int]) -> None:
    decoder = ChatStreamDecoder(Route())
    bounds = [0, *sorted(cuts), len(STREAM)]
    found = [piece for start, end in pairwise(bounds) for piece in decoder.feed(STREAM[start:end])]
    assert len(found) == 6
    assert whole(decoder) == (
        "Hé",
        (client.ToolCall(id="c1", name="f", arguments='{"a":1}'),),
        "tool_calls",
        client.TokenUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
    )


def test_chunks_are_decoded() -> None:
    pieces = ChatStreamDecoder(Route()).feed(STREAM)
    deltas = [piece for piece in pieces if isinstance(piece, client.Delta)]
    assert [delta.text for delta in deltas] == ["", "Hé", "", "", "", ""]
    assert deltas[2].tool_calls[0] == client.ToolCallDelta(index=0, id="c1", name="f", arguments='{"a"')
    assert deltas[4].finish_reason == "tool_calls"
    assert deltas[5].usage is not None


def test_error_event_follows_earlier_chunks_and_ends_the_stream(scripted: Any) -> None:
    decoder = ChatStreamDecoder(Route(request_id="req_1"))
    data = scripted.sse(scripted.piece("He"), {"error": {"message": "cut", "code": "upstream_disconnected"}})
    delta, error = decoder.feed(data)
    assert isinstance(delta, client.Delta)
    assert isinstance(error, client.UpstreamError)
    assert (error.code, error.request_id) == ("upstream_disconnected", "req_1")
    assert decoder.feed(scripted.sse(scripted.piece("more"))) == []
    assert decoder.reply().text == "He"


@pytest.mark.parametrize("data", ["not json", "[1]", "null"])
def test_invalid_event_is_an_error(data: str) -> None:
    (error,) = ChatStreamDecoder(Route()).feed(f"data: {data}\n\n".encode())
    assert isinstance(error, client.IntelliRouterError)


def test_truncated_stream_raises(scripted: Any) -> None:
    decoder = ChatStreamDecoder(Route())
    decoder.feed(scripted.sse(scripted.piece("He")))
    with pytest.raises(client.UpstreamError, match="ended before the answer was complete"):
        decoder.finish()


def test_finish_reason_without_done_event_is_complete(scripted: Any) -> None:
    decoder = ChatStreamDecoder(Route())
    decoder.feed(scripted.sse(scripted.piece("He", "stop")))
    decoder.finish()
    assert decoder.reply().finish_reason == "stop"


def test_feed_yields_records_and_rejects_other_events(scripted: Any) -> None:
    record = {"request_id": "r", "started_us": 1, "endpoint": "/v1", "tenant": "t", "status": 200, "duration_ms": 1.0}
    decoder = RecordStreamDecoder()
    assert [each.request_id for each in decoder.feed(b": hello\n\n" + scripted.sse(record))] == ["r"]
    with pytest.raises(client.IntelliRouterError, match="invalid request record"):
        decoder.feed(b"data: {}\n\n")
