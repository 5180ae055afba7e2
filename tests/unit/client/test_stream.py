from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter import client
from intellirouter.client.replies import Route
from intellirouter.client.stream import ChatDecoder, RecordDecoder

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


def whole(decoder: ChatDecoder) -> tuple[str, object, object, object]:
    decoder.end()
    reply = decoder.reply()
    return reply.text, reply.tool_calls, reply.finish_reason, reply.usage


@given(st.lists(st.integers(0, len(STREAM)), max_size=12))
def test_the_answer_does_not_depend_on_where_the_bytes_are_split(cuts: list[int]) -> None:
    decoder = ChatDecoder(Route())
    bounds = [0, *sorted(cuts), len(STREAM)]
    found = [piece for start, end in pairwise(bounds) for piece in decoder.feed(STREAM[start:end])]
    assert len(found) == 6
    assert whole(decoder) == (
        "Hé",
        (client.ToolCall(id="c1", name="f", arguments='{"a":1}'),),
        "tool_calls",
        client.TokenUsage(prompt_tokens=3, completion_tokens=4, total_tokens=7),
    )


def test_pieces_say_what_they_bring() -> None:
    pieces = ChatDecoder(Route()).feed(STREAM)
    deltas = [piece for piece in pieces if isinstance(piece, client.Delta)]
    assert [delta.text for delta in deltas] == ["", "Hé", "", "", "", ""]
    assert deltas[2].tool_calls[0] == client.ToolCallDelta(index=0, id="c1", name="f", arguments='{"a"')
    assert deltas[4].finish_reason == "tool_calls"
    assert deltas[5].usage is not None


def test_an_error_event_comes_after_what_was_before_it_and_ends_the_stream(scripted: Any) -> None:
    decoder = ChatDecoder(Route(request_id="req_1"))
    data = scripted.sse(scripted.piece("He"), {"error": {"message": "cut", "code": "upstream_disconnected"}})
    delta, error = decoder.feed(data)
    assert isinstance(delta, client.Delta)
    assert isinstance(error, client.UpstreamError)
    assert (error.code, error.request_id) == ("upstream_disconnected", "req_1")
    assert decoder.feed(scripted.sse(scripted.piece("more"))) == []
    assert decoder.reply().text == "He"


@pytest.mark.parametrize("data", ["not json", "[1]", "null"])
def test_an_event_that_is_no_chunk_is_an_error(data: str) -> None:
    (error,) = ChatDecoder(Route()).feed(f"data: {data}\n\n".encode())
    assert isinstance(error, client.IntelliRouterError)


def test_a_stream_that_stops_early_is_not_taken_for_an_answer(scripted: Any) -> None:
    decoder = ChatDecoder(Route())
    decoder.feed(scripted.sse(scripted.piece("He")))
    with pytest.raises(client.UpstreamError, match="broke off"):
        decoder.end()


def test_a_finish_reason_without_the_last_event_is_enough(scripted: Any) -> None:
    decoder = ChatDecoder(Route())
    decoder.feed(scripted.sse(scripted.piece("He", "stop")))
    decoder.end()
    assert decoder.reply().finish_reason == "stop"


def test_the_feed_yields_records_and_refuses_anything_else(scripted: Any) -> None:
    record = {"request_id": "r", "started_us": 1, "endpoint": "/v1", "tenant": "t", "status": 200, "duration_ms": 1.0}
    decoder = RecordDecoder()
    assert [each.request_id for each in decoder.feed(b": hello\n\n" + scripted.sse(record))] == ["r"]
    with pytest.raises(client.IntelliRouterError, match="no record"):
        decoder.feed(b"data: {}\n\n")
