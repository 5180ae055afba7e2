"""Upstream responses and streams that are invalid, odd or errors are read or raise upstream errors."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import Usage, errors
from intellirouter.dialects.anthropic_messages import UPSTREAM
from intellirouter.dialects.anthropic_messages.stop_reasons import write_usage
from intellirouter.dialects.ir import (
    Event,
    Foreign,
    Opaque,
    PartEnded,
    Reasoning,
    ReasoningToken,
    StreamStarted,
    UsageUpdate,
    collect,
    origin_of,
)
from tests.support.dialects.anthropic_messages import deployment
from tests.support.dialects.raising import RaisingDecoder

DEPLOYMENT = deployment()


def sse(*events: Any) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


TEXT = {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "a"}}
START = {"type": "message_start", "message": {"id": "m", "model": "c", "usage": {"input_tokens": 5}}}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[]", b"{}", b"<html>", b"\xff", b"[" * 100_000, b'{"content": null}', b'{"content": "x"}',
        b'{"content": [5]}', b'{"content": [{}]}', b'{"content": [{"type": "text"}]}', b'{"content":[{"type":5}]}',
        b'{"content": [{"type": "tool_use", "id": "a", "name": "b", "input": "{}"}]}',
        b'{"content": [{"type": "tool_use", "name": "b"}]}', b'{"content":[{"type":"text","text":"\\ud800"}]}',
    ],
)  # fmt: skip
def test_an_invalid_message_is_malformed(body: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        UPSTREAM.decode(body, DEPLOYMENT)


def test_an_error_with_status_200_gets_its_class() -> None:
    body = b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}'
    with pytest.raises(errors.UpstreamUnavailable, match="Overloaded"):
        UPSTREAM.decode(body, DEPLOYMENT)
    with pytest.raises(errors.UpstreamUnavailable, match="boom"):
        UPSTREAM.decode(b'{"error": {"message": "boom"}}', DEPLOYMENT)


def test_signatures_store_the_endpoint_that_made_them() -> None:
    body = json.dumps({"content": [{"type": "thinking", "thinking": "", "signature": "E1"}]}).encode()
    token = Opaque(value="E1", origin=origin_of(DEPLOYMENT), dialect="anthropic_messages")
    assert UPSTREAM.decode(body, DEPLOYMENT).choices[0].parts == [Reasoning(token=token)]
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    events = decoder.feed(
        sse(
            START,
            {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "E1"}},
            {"type": "content_block_stop", "index": 0},
        )
    )
    assert events[1:] == [ReasoningToken(token=token, part=0), PartEnded(part=0)]


def test_the_first_event_has_the_number_of_input_tokens() -> None:
    (began,) = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(sse(START))
    assert isinstance(began, StreamStarted)
    assert began.usage is not None
    assert began.usage.input_tokens == 5


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"type": "overloaded_error", "message": "m"}, errors.UpstreamUnavailable),
        ({"type": "api_error", "message": "m"}, errors.UpstreamUnavailable),
        ({"type": "rate_limit_error", "message": "m"}, errors.UpstreamRateLimited),
        ({"type": "authentication_error", "message": "m"}, errors.UpstreamAuthFailed),
        ({"type": "permission_error", "message": "m"}, errors.UpstreamAuthFailed),
        ({"type": "billing_error", "message": "m"}, errors.UpstreamQuotaExhausted),
        ({"type": "not_found_error", "message": "m"}, errors.UpstreamModelMissing),
        ({"type": "timeout_error", "message": "m"}, errors.UpstreamTimeout),
        ({"type": "invalid_request_error", "message": "m"}, errors.UpstreamRejected),
        ({"type": "request_too_large", "message": "m"}, errors.UpstreamRejected),
        ({"type": "from_the_future", "message": "m"}, errors.UpstreamUnavailable),
        ("m", errors.UpstreamUnavailable),
        (None, errors.UpstreamUnavailable),
        ({"type": 5, "message": 7}, errors.UpstreamUnavailable),
    ],
)
def test_an_error_event_gets_its_class(error: Any, kind: type[errors.UpstreamError]) -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    with pytest.raises(errors.UpstreamError) as caught:
        decoder.feed(sse(START, {"type": "error", "error": error}))
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "data",
    [
        b"data: {\n\n", b"data: []\n\n", b"<html>nope</html>\n\n", b'{"type":"message"}\n\n', b"data: \xff\n\n",
        b'data: {"type":"content_block_delta","index":"x"}\n\n', b"data: " + b"[" * 100_000 + b"\n\n",
        b'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":5}}\n\n',
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use"}}\n\n',
        b'data: {"type":"content_block_start","index":0,"content_block":{"type":5}}\n\n',
    ],
)  # fmt: skip
def test_an_invalid_stream_is_malformed(data: bytes) -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    with pytest.raises(errors.UpstreamMalformed):
        decoder.feed(data)


def test_data_after_the_end_is_ignored_and_a_missing_end_is_an_error() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(sse(START, TEXT, {"type": "message_stop"}))
    assert decoder.feed(b"data: rubbish\n\n") == []
    assert decoder.end() == []
    with pytest.raises(errors.UpstreamMalformed, match="message_stop"):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).end()


def test_a_last_event_without_a_blank_line_is_read() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(sse(START, TEXT) + b'data: {"type":"message_stop"}')
    assert [type(event).__name__ for event in decoder.end()] == ["PartEnded", "ChoiceFinished", "StreamEnded"]


def block_events(index: int, block: dict[str, Any], *deltas: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {"type": "content_block_start", "index": index, "content_block": block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
    ]


def test_incomplete_events_of_compatible_servers_are_accepted() -> None:
    events = [
        START,
        *block_events(0, {"type": "text"}, {"type": "text_delta", "text": "a"}, {"type": "aurora_delta"}, {}),
        *block_events(0, {"type": "text", "text": "b", "citations": [{"type": "x"}]}),
        *block_events(0, {}, {"type": "thinking_delta", "thinking": "c"}, {"type": "citations_delta", "citation": 5}),
        *block_events(1, {"type": "redacted_thinking"}, {"type": "compaction_delta", "content": "d"}),
        {"type": "content_block_stop", "index": 7},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}},
        {"type": "message_delta", "delta": {"stop_reason": "max_tokens"}},
        {"type": "message_stop"},
    ]
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    found = decoder.feed(sse(*events)[:-2] + b"\n\ndata: [DONE]\n\n")
    parts = collect(found).choices[0].parts
    assert [getattr(part, "text", None) for part in parts] == ["a", "b", "c"]
    assert decoder.end() == []
    assert RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(b"data: [DONE]\n\n") == []
    assert RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(b"data:\n\ndata: \n\n") == []  # a keep-alive


def test_invalid_input_of_a_server_tool_is_stored_as_text() -> None:
    delta = {"type": "input_json_delta", "partial_json": '{"q": "cu'}
    compaction = {"type": "compaction_delta", "encrypted_content": "E"}
    blocks = block_events(0, {"type": "server_tool_use", "id": "s", "name": "web_search"}, delta, compaction)
    found = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(sse(START, *blocks, {"type": "message_stop"}))
    (part,) = collect(found).choices[0].parts
    assert isinstance(part, Foreign)
    assert part.raw["input"] == {"_raw": '{"q": "cu'}


def test_a_zero_count_does_not_replace_an_earlier_count() -> None:
    delta = {"type": "message_delta", "delta": {}, "usage": {"input_tokens": 0, "output_tokens": 9}}
    events = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(
        sse(START, delta, {"type": "message_start", "message": {"id": "again"}})
    )
    assert [type(event) for event in events] == [StreamStarted, UsageUpdate]
    (update,) = (event for event in events if isinstance(event, UsageUpdate))
    assert (update.usage.input_tokens, update.usage.output_tokens) == (5, 9)


ODD_VALUES = st.one_of(
    st.none(), st.integers(-1, 3), st.text(max_size=3), st.lists(st.integers(), max_size=2), st.booleans(),
    st.dictionaries(st.sampled_from(["type", "text", "id", "name", "input", "data"]), st.text(max_size=5), max_size=3),
)  # fmt: skip
WIRE_EVENTS = st.fixed_dictionaries(
    {
        "type": st.sampled_from(
            [
                "message_start", "content_block_start", "content_block_delta", "content_block_stop", "message_delta",
                "ping", "error", "new",
            ]
        )
    },
    optional=dict.fromkeys(("index", "message", "content_block", "delta", "usage", "error"), ODD_VALUES),
)  # fmt: skip


@given(st.lists(WIRE_EVENTS, max_size=8))
def test_odd_events_are_read_or_raise_upstream_errors(events: list[Any]) -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    found: list[Event] = []
    try:
        found += decoder.feed(sse(*events))
        found += decoder.end()
    except errors.UpstreamError as error:
        assert error.message  # noqa: PT017


@given(st.dictionaries(st.sampled_from(["content", "usage", "stop_reason", "stop_details", "id", "model"]), ODD_VALUES))
def test_odd_messages_are_read_or_raise_upstream_errors(message: dict[str, Any]) -> None:
    try:
        UPSTREAM.decode(json.dumps({"content": [], **message}).encode(), DEPLOYMENT)
    except errors.UpstreamError as error:
        assert error.message  # noqa: PT017


def test_the_splitter_splits_between_events() -> None:
    splitter = UPSTREAM.splitter()
    assert splitter.feed(b"data: a\n\ndata: b") == b"data: a\n\n"
    assert splitter.rest() == b"data: b"


def test_one_hour_cache_writes_are_counted_apart() -> None:
    usage = {
        "input_tokens": 1,
        "cache_creation_input_tokens": 30,
        "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
        "output_tokens": 2,
    }
    expected = Usage(input_tokens=1, cache_write_tokens=10, cache_write_1h_tokens=20, output_tokens=2)
    body = json.dumps({"content": [{"type": "text", "text": "a"}], "usage": usage}).encode()
    response = UPSTREAM.decode(body, DEPLOYMENT)
    assert response.usage == expected
    written = write_usage(expected)
    assert {name: written[name] for name in usage} == usage
    start = {"type": "message_start", "message": {"id": "m", "usage": {**usage, "output_tokens": 0}}}
    delta = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}}
    events = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(sse(start, TEXT, delta, {"type": "message_stop"}))
    assert [event.usage for event in events if isinstance(event, UsageUpdate)] == [expected]


def test_a_negative_count_is_implausible() -> None:
    body = b'{"content": [{"type": "text", "text": "a"}], "usage": {"input_tokens": -1, "output_tokens": 2}}'
    assert UPSTREAM.decode(body, DEPLOYMENT).usage == Usage(output_tokens=2, is_implausible=True)
