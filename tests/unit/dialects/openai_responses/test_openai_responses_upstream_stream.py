"""Upstream streams are read: errors, streams that are cut off, invalid events, and the routes that relay them."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from intellirouter.core import EMPTY_CONTEXT, LossReport, RequestContext, errors
from intellirouter.dialects.ir import Event, PartEnded, StreamEnded, TextDelta, ToolCallStarted
from intellirouter.dialects.openai_responses import CLIENT, UPSTREAM, ResponsesPassthrough
from intellirouter.dialects.openai_responses.upstream_stream import _HANDLERS
from intellirouter.dialects.routes.passthrough import ChatPassthrough
from intellirouter.dialects.routes.translation import ChatTranslation
from intellirouter.dialects.spec import Traits
from tests.support.dialects.openai_responses import DEPLOYMENT
from tests.support.dialects.raising import RaisingDecoder


def wire(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def read(*events: dict[str, Any]) -> list[Event]:
    return RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(wire(*events))


_DELTA = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "a"}
_COMPLETED = {"type": "response.completed", "response": {"status": "completed", "output": []}}


@pytest.mark.parametrize(
    ("event", "error"),
    [
        ({"type": "error", "code": "rate_limit_exceeded", "message": "why"}, errors.UpstreamRateLimited),
        ({"type": "error", "error": {"code": "invalid_prompt", "message": "why"}}, errors.UpstreamRejected),
        (
            {"type": "error", "error": {"type": "server_error", "code": None, "message": "why"}},
            errors.UpstreamUnavailable,
        ),
        ({"type": "error", "message": "why"}, errors.UpstreamUnavailable),
        ({"error": {"message": "why", "code": "429"}}, errors.UpstreamRateLimited),
        (
            {"type": "response.failed", "response": {"error": {"code": "server_error", "message": "why"}}},
            errors.UpstreamUnavailable,
        ),
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "why"}}},
            errors.UpstreamRateLimited,
        ),
    ],
)
def test_the_code_of_an_event_determines_the_error(event: dict[str, Any], error: type[errors.UpstreamError]) -> None:
    with pytest.raises(error, match="why"):
        read(event)


def test_a_failed_response_without_an_error_is_unavailable() -> None:
    with pytest.raises(errors.UpstreamUnavailable, match="no reason was given"):
        read({"type": "response.failed"})


@pytest.mark.parametrize(
    "data",
    [
        b"data: {broken\n\n",
        b"data: [1]\n\n",
        b"<html>\n\n",
        b'data: {"type":"\xff"}\n\n',
        b'{"error":{"message":"no"}}\n\n',
    ],
)
def test_an_invalid_event_is_malformed(data: bytes) -> None:
    with pytest.raises(errors.UpstreamMalformed):
        RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)).feed(data)


@pytest.mark.parametrize("tail", [b"", b"data: [DONE]\n\n"])
def test_a_stream_without_its_terminator_is_malformed(tail: bytes) -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(wire({"type": "response.created", "response": {}}, _DELTA) + tail)
    with pytest.raises(errors.UpstreamMalformed, match=r"response\.completed"):
        decoder.end()


def test_the_last_event_needs_no_blank_line() -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed(wire(_DELTA) + wire(_COMPLETED).rstrip())
    assert isinstance(decoder.end()[-1], StreamEnded)


def test_events_after_the_terminator_are_ignored() -> None:
    events = read(_DELTA, _COMPLETED, {"type": "error", "message": "late"}, _DELTA)
    assert sum(isinstance(event, TextDelta) for event in events) == 1
    assert isinstance(events[-1], StreamEnded)


def test_a_call_without_a_name_is_malformed() -> None:
    with pytest.raises(errors.UpstreamMalformed, match="name"):
        read(
            {
                "type": "response.output_item.done",
                "output_index": 0,
                "item": {"type": "function_call", "arguments": "{}"},
            }
        )


def test_text_that_contradicts_the_deltas_is_not_emitted() -> None:
    done = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "b"}
    assert [event.text for event in read(_DELTA, done) if isinstance(event, TextDelta)] == ["a"]


def test_parts_end_once() -> None:
    item = {"type": "message", "id": "m", "content": [{"type": "output_text", "text": "a"}]}
    done = {"type": "response.output_item.done", "output_index": 0, "item": item}
    events = read(_DELTA, done, done, {"type": "response.completed", "response": {"output": [item]}})
    assert sum(isinstance(event, PartEnded) for event in events) == 1


def test_missing_call_ids_are_generated() -> None:
    added = {"type": "response.output_item.added", "output_index": 0, "item": {"type": "function_call", "name": "f"}}
    (started,) = [event for event in read(added) if isinstance(event, ToolCallStarted)]
    assert started.id.startswith("call_")


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
_content = st.fixed_dictionaries(
    {"type": st.sampled_from(["output_text", "refusal", "z"])},
    optional={"text": _json, "refusal": _json, "annotations": _json, "logprobs": _json},
)
_item = st.fixed_dictionaries(
    {"type": st.sampled_from(["message", "function_call", "custom_tool_call", "reasoning", "z"]) | _json},
    optional={
        "id": st.sampled_from(["a", "b"]) | _json,
        "content": st.lists(_content, max_size=2) | _json,
        "name": _json,
        "call_id": _json,
        "arguments": _json,
        "input": _json,
        "summary": st.lists(st.fixed_dictionaries({"text": _json}), max_size=2) | _json,
        "encrypted_content": _json,
    },
)
_event = st.fixed_dictionaries(
    {"type": st.sampled_from([*_HANDLERS, "response.novel"]) | _json},
    optional={
        "output_index": st.integers(-1, 2) | _json,
        "content_index": st.integers(-1, 2) | _json,
        "summary_index": _json,
        "item_id": st.sampled_from(["a", "b"]) | _json,
        "delta": st.text(max_size=3) | _json,
        "text": _json,
        "arguments": _json,
        "input": _json,
        "refusal": _json,
        "annotation": _json,
        "logprobs": _json,
        "part": _content | _json,
        "item": _item | _json,
        "response": st.fixed_dictionaries(
            {},
            optional={
                "output": st.lists(_item | _json, max_size=2) | _json,
                "usage": _json,
                "error": _json,
                "status": _json,
                "incomplete_details": _json,
            },
        )
        | _json,
        "error": _json,
        "code": _json,
        "message": _json,
    },
)


@settings(max_examples=400, deadline=None)
@given(st.lists(_event, max_size=6))
def test_random_streams_raise_only_upstream_errors(events: list[dict[str, Any]]) -> None:
    """Whatever is read can also be written."""
    decoder, writer = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)), CLIENT.stream(_CALL, LossReport())
    with contextlib.suppress(errors.UpstreamError):
        read_events = decoder.feed(wire(*events)) + decoder.end()
        assert isinstance(read_events.pop(), StreamEnded)
        assert writer.encode(read_events) + writer.end()


@settings(max_examples=200, deadline=None)
@given(
    st.fixed_dictionaries(
        {"output": st.lists(_item | _json, max_size=3) | _json},
        optional={"status": _json, "usage": _json, "error": _json, "incomplete_details": _json, "created_at": _json},
    )
)
def test_random_responses_raise_only_upstream_errors(body: dict[str, Any]) -> None:
    with contextlib.suppress(errors.UpstreamError):
        response = UPSTREAM.decode(json.dumps(body).encode(), DEPLOYMENT)
        assert CLIENT.encode(response, _CALL, LossReport())


_CALL = CLIENT.decode_request(b'{"model":"m","input":"x"}', EMPTY_CONTEXT)


def test_a_relayed_stream_is_unchanged() -> None:
    stream = ChatPassthrough(CLIENT, UPSTREAM).relay(_CALL, DEPLOYMENT)
    data = wire({"type": "response.created", "response": {}}, _DELTA, {"type": "response.novel", "x": 1}, _COMPLETED)
    out = b"".join(stream.feed(data[index : index + 5]) for index in range(0, len(data), 5))
    assert stream.has_content
    assert stream.is_finished
    assert b"response.completed" not in out
    assert out + stream.end() == data
    assert stream.finish_reason == "stop"


def test_an_error_after_content_is_sent_to_the_client() -> None:
    stream = ChatTranslation(CLIENT, UPSTREAM, Traits()).relay(_CALL, DEPLOYMENT)
    out = stream.feed(wire(_DELTA)) + stream.feed(wire({"type": "error", "message": "why"})) + stream.end()
    assert b"event: response.failed" in out
    assert b"response.completed" not in out


def test_an_error_before_content_fails_the_attempt() -> None:
    stream = ChatTranslation(CLIENT, UPSTREAM, Traits()).relay(_CALL, DEPLOYMENT)
    with pytest.raises(errors.UpstreamRateLimited):
        stream.feed(
            wire(
                {"type": "response.created", "response": {}},
                {"type": "error", "code": "rate_limit_exceeded", "message": "why"},
            )
        )


def test_an_error_in_a_relayed_stream_is_an_error_event() -> None:
    stream = ChatPassthrough(CLIENT, UPSTREAM).relay(_CALL, DEPLOYMENT)
    stream.feed(wire({"type": "response.created", "response": {}}, _DELTA))
    assert stream.fail(errors.UpstreamTimeout("late")).startswith(b"event: error\ndata: ")


def test_an_error_event_continues_the_numbers_of_a_relayed_stream() -> None:
    stream = ChatPassthrough(CLIENT, UPSTREAM).relay(_CALL, DEPLOYMENT)
    created = {"type": "response.created", "sequence_number": 0, "response": {}}
    tricky = {**_DELTA, "sequence_number": 7, "delta": '"sequence_number": 99'}
    assert stream.feed(wire(created, tricky))
    event = stream.fail(errors.UpstreamTimeout("late"))
    assert json.loads(event.partition(b"data: ")[2])["sequence_number"] == 8


@pytest.mark.parametrize(
    "tools", [[{"type": "namespace", "name": "n", "tools": 5}], [{"type": "namespace", "name": ["n"]}]]
)
def test_invalid_tools_of_a_relayed_request_do_not_break_the_writer(tools: list[Any]) -> None:
    """The upstream validates relayed requests, but the gateway may have to write the failed response."""
    call = CLIENT.decode_request(json.dumps({"model": "m", "input": "x", "tools": tools}).encode(), EMPTY_CONTEXT)
    writer = CLIENT.stream(call, LossReport())
    assert b"response.failed" in writer.encode([TextDelta(text="a")]) + writer.fail(errors.UpstreamTimeout("late"))


def test_a_relayed_stream_contains_the_id_of_the_previous_response() -> None:
    """The upstream gets the stored conversation instead of the id, so its response does not contain the id."""
    call = structs.replace(_CALL, context=RequestContext(previous_response_id="resp_before"))
    route = ResponsesPassthrough(CLIENT, UPSTREAM)
    delta = {**_DELTA, "delta": '"previous_response_id": null'}
    created = {"type": "response.created", "response": {"id": "resp_1", "previous_response_id": None}}
    out = route.relay(call, DEPLOYMENT).feed(wire(created, delta))
    sent = [json.loads(line.removeprefix("data: ")) for line in out.decode().splitlines() if line.startswith("data: ")]
    assert sent[0]["response"] == {"id": "resp_1", "previous_response_id": "resp_before"}
    assert sent[1]["delta"] == '"previous_response_id": null'
    assert route.answer_edit(_CALL) is None
