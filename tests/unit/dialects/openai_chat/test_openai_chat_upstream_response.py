"""Responses and streams of upstreams of the chat dialect: invalid ones raise upstream errors, and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import errors
from intellirouter.dialects.ir import ChoiceFinished, Event, StreamStarted, TextDelta, UsageUpdate
from intellirouter.dialects.openai_chat import UPSTREAM
from intellirouter.dialects.openai_chat.passthrough_stream import ChatStreamRelay
from tests.support.dialects.openai_chat import DEPLOYMENT
from tests.support.dialects.raising import RaisingDecoder

DONE = b"data: [DONE]\n\n"


def event(value: Any) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def chunk(delta: Any, finish: Any = None, **members: Any) -> bytes:
    return event({"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **members})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"null",
        b"{}",
        b'{"choices": null}',
        b'{"choices": []}',
        b'{"choices": [5]}',
        b'{"choices": {"a": 1}}',
        b'{"choices": [{"message": {"content": 5}}]}',
        b'{"choices": [{"message": {"tool_calls": {"a": 1}}}]}',
        b'{"choices": [{"message": {"tool_calls": [5]}}]}',
        b'{"choices": [{"message": {"tool_calls": [{"id": "c", "function": {}}]}}]}',
        b'{"choices": [{"index": 500, "message": {}}]}',
        b'{"choices": [{"message": {"content": "\xff"}}]}',
        b'{"choices": [{"message": {"content": "\\ud800"}}]}',
        b'{"choices": ' + b"[" * 100_000,
    ],
)
def test_invalid_responses_are_malformed(body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        UPSTREAM.decode(body, DEPLOYMENT)


@pytest.mark.parametrize(
    "body", [b'{"error": {"message": "overloaded"}}', b'{"object": "error", "message": "overloaded", "code": 500}']
)
def test_an_error_with_status_200_is_raised(body: bytes) -> None:
    with pytest.raises(errors.UpstreamUnavailable, match="overloaded"):
        UPSTREAM.decode(body, DEPLOYMENT)


def test_choices_with_the_same_index_are_separate() -> None:
    body = {"choices": [{"index": 0, "message": {"content": "a"}}, {"index": 0, "message": {"content": "b"}}]}
    response = UPSTREAM.decode(json.dumps(body).encode(), DEPLOYMENT)
    assert len(response.choices) == 2


def read_all(wire: bytes) -> list[Event]:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    return decoder.feed(wire) + decoder.end()


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        DONE,
        b"<html>\n\n",
        b"data: {nope}\n\n",
        event([1]),
        event({"choices": 5}),
        chunk({"content": "a"}),
        chunk({"content": "a"}) + b"data: {\n\n",
        chunk({"content": 5}, "stop") + DONE,
        chunk({"tool_calls": [{"index": 0, "id": "c"}]}, "tool_calls") + DONE,
        b'data: {"choices":[{"delta":{"content":"\xff"}}]}\n\n' + DONE,
        chunk({"content": "a"}, "stop") + event({"choices": [{"index": 1, "delta": {"content": "b"}}]}),
    ],
)
def test_an_invalid_stream_is_malformed(wire: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        read_all(wire)


def test_errors_in_a_stream_are_raised_with_their_class() -> None:
    with pytest.raises(errors.UpstreamRateLimited, match="slow"):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(
            event({"error": {"message": "slow", "code": "rate_limit_exceeded"}})
        )
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(chunk({"content": "a"}))
    with pytest.raises(errors.UpstreamUnavailable, match="died"):
        decoder.feed(event({"error": {"message": "died"}, "choices": [{"index": 0, "delta": {}}]}))


def test_nothing_is_decoded_after_the_terminator() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(chunk({"content": "a"}, "stop") + DONE)
    assert decoder.feed(chunk({"content": "b"})) == []
    assert decoder.end() == []


def test_text_is_returned_immediately() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    assert decoder.feed(event({"id": "", "choices": []})) == []
    first = decoder.feed(chunk({"role": "assistant", "content": "a"}, id="x", model="um", created=5))
    assert first == [StreamStarted(id="x", model="um", created_s=5), TextDelta(text="a")]
    assert decoder.feed(chunk({"content": "b"})) == [TextDelta(text="b")]


def test_the_finish_reason_waits_for_the_end_and_usage_is_not_repeated() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    events = decoder.feed(chunk({"content": "a"}, "stop", usage=usage) + chunk({"content": "b"}, "stop", usage=usage))
    assert [type(each) for each in events] == [StreamStarted, TextDelta, UsageUpdate, TextDelta]
    assert any(isinstance(each, ChoiceFinished) for each in decoder.feed(DONE))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
MEMBER = st.sampled_from(
    (
        "content",
        "reasoning",
        "reasoning_details",
        "refusal",
        "tool_calls",
        "function_call",
        "annotations",
        "audio",
        "images",
    )
)
CALL = st.fixed_dictionaries(
    {},
    optional={"index": JSON, "id": JSON, "function": JSON | st.fixed_dictionaries({"name": JSON, "arguments": JSON})},
)
DELTA = st.dictionaries(MEMBER, JSON | st.lists(CALL, max_size=3), max_size=4)
CHOICE = st.fixed_dictionaries(
    {}, optional={"index": JSON, "delta": DELTA | JSON, "message": DELTA, "finish_reason": JSON, "logprobs": JSON}
)
CHUNK = st.fixed_dictionaries(
    {"choices": st.lists(CHOICE, max_size=3) | JSON},
    optional={"id": JSON, "created": JSON, "usage": JSON, "x_groq": JSON},
)


@given(st.lists(CHUNK, max_size=4))
def test_generated_chunks_are_decoded_or_malformed(chunks: list[Any]) -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    try:
        for each in chunks:
            decoder.feed(event(each))
        decoder.feed(DONE)
    except errors.UpstreamError:
        return
    assert decoder.end() == []


@given(CHUNK)
def test_generated_responses_are_decoded_or_malformed(body: Any) -> None:
    try:
        response = UPSTREAM.decode(json.dumps(body).encode(), DEPLOYMENT)
    except errors.UpstreamError:
        return
    assert response.choices


PLAIN = b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n'


@pytest.mark.parametrize(
    "bad",
    [
        b"data: {nope}\n\n",
        b'data: {"a":}\n\n',
        b'data: {"a":1}}\n\n',
        b'data: {"a":"x}\n\n',
        b'data: {"a":"\\q"}\n\n',
        b'data: {"choices":[{"index":0,"delta":{"content":"a"}]}\n\n',
        b"data: [1]\n\n",
        b"data: 5\n\n",
    ],
)
@pytest.mark.parametrize("around", [b"", PLAIN])
def test_the_relay_stops_at_invalid_json_after_content(bad: bytes, around: bytes) -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    assert relay.feed(PLAIN) == PLAIN
    if around:
        assert relay.feed(around + bad + around) == around
        assert relay.is_finished
    with pytest.raises(errors.UpstreamMalformed):
        relay.end() if around else relay.feed(bad)


@pytest.mark.parametrize(
    ("block", "count"),
    [
        (PLAIN, 1),
        (PLAIN * 3, 3),
        (PLAIN.replace(b": ", b":", 1), 1),
        (b'data: {"a":"x\\n\\ndata: {"}\n\n', 1),
        (PLAIN + b": ping\n\n" + PLAIN, 2),
        (PLAIN.replace(b"\n\n", b"\r\n\r\n") * 2, 2),
    ],
)
def test_the_relay_passes_valid_json_unchanged(block: bytes, count: int) -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    relay.feed(PLAIN)
    assert relay.feed(block) == block
    assert relay.content_events in {1, 1 + count}


def test_a_second_data_line_is_not_a_separate_event() -> None:
    relay = ChatStreamRelay(keeps_usage=False)
    relay.feed(PLAIN)
    with pytest.raises(errors.UpstreamMalformed):
        relay.feed(b'data: {"a":1}\ndata: {"b":2}\n\n')
