"""Events for a whole answer, and a whole answer for a stream, are decoded by what they are."""

import json
from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import AnswerLimits, LossReport, Usage, errors
from intellirouter.dialects.ir import Choice, Response, Stop, StreamEnded, Text, ToolCall, events_of
from intellirouter.dialects.routes.other_mode import WholeAnswerDecoder, is_event_stream
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, client_of, plain_call, upstream_of
from tests.support.dialects.raising import RaisingDecoder
from tests.support.dialects.standard import ENDPOINTS

ANSWER = Response(
    id="r1",
    model="m",
    choices=[
        Choice(
            parts=[Text(text="hi"), ToolCall(id="c1", name="f", arguments='{"a":1}')], stop=Stop(reason="tool_calls")
        )
    ],
    usage=Usage(input_tokens=3, output_tokens=2),
)


def endpoint(client: str) -> Any:
    return ENDPOINTS["ollama_chat" if client == "ollama" else client]


def wire(dialect: str, *, is_stream: bool) -> bytes:
    """Return the answer as an upstream of this dialect sends it."""
    call = plain_call(dialect, is_stream=is_stream)
    client = client_of(dialect)
    if not is_stream:
        return bytes(client.encode(ANSWER, call, LossReport()))
    encoder = client.stream(call, LossReport())
    events = [event for event in events_of(ANSWER) if not isinstance(event, StreamEnded)]
    return bytes(encoder.encode(events) + encoder.end())


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama"])
def test_events_for_a_whole_answer_are_put_together(client: str, upstream: str) -> None:
    call, deployment = plain_call(client, is_stream=False), BY_UPSTREAM[upstream]
    body = wire(upstream, is_stream=True)
    answer = endpoint(client).route(call, deployment).decode_response(body, call, deployment)
    document = answer.body if answer.body is not None else body
    json.loads(document)
    response = upstream_of(client).decode(document, BY_UPSTREAM[client]) if client != "ollama" else None
    if response is not None:
        parts = response.choices[0].parts
        assert [part.text for part in parts if isinstance(part, Text)] == ["hi"]
        assert [part.name for part in parts if isinstance(part, ToolCall)] == ["f"]


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("upstream", ["openai_chat", "openai_responses", "anthropic_messages", "gemini"])
def test_a_whole_answer_for_a_stream_is_sent_as_events(client: str, upstream: str) -> None:
    call, deployment = plain_call(client, is_stream=True), BY_UPSTREAM[upstream]
    relay = endpoint(client).route(call, deployment).relay_whole(call, deployment)
    assert relay.feed(wire(upstream, is_stream=False)) == b""
    out = relay.end()
    decoder = upstream_of(client).stream(BY_UPSTREAM[client])
    names = {type(event).__name__ for event in [*decoder.feed(out), *decoder.end()]}
    assert names >= {"TextDelta", "ToolCallStarted", "ChoiceFinished"}
    assert relay.usage is not None
    assert relay.finish_reason == "tool_calls"


@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_document_instead_of_a_stream_keeps_its_class(client: str) -> None:
    call, deployment = plain_call(client, is_stream=True), BY_UPSTREAM["openai_chat"]
    relay = endpoint(client).route(call, deployment).relay_whole(call, deployment)
    relay.feed(b'{"error":{"message":"slow down","code":429}}')
    with pytest.raises(errors.UpstreamRateLimited, match="slow down"):
        relay.end()


def test_a_stream_of_lines_is_never_a_whole_answer() -> None:
    call = plain_call("openai_chat", is_stream=True)
    assert endpoint("openai_chat").route(call, BY_UPSTREAM["ollama"]).relay_whole(call, BY_UPSTREAM["ollama"]) is None


def test_the_size_of_a_whole_answer_is_limited() -> None:
    deployment = structs.replace(BY_UPSTREAM["openai_chat"], limits=AnswerLimits(bytes=10))
    with pytest.raises(errors.UpstreamAnswerTooLarge):
        RaisingDecoder(WholeAnswerDecoder(upstream_of("openai_chat"), deployment)).feed(b"x" * 11)


@pytest.mark.parametrize(
    ("body", "is_stream"),
    [
        (b"data: {}", True),
        (b"\n\ndata:{}", True),
        (b"event: x\ndata: {}", True),
        (b": ping\n\n", True),
        (b'{"data":1}', False),
        (b"<html>", False),
        (b"", False),
    ],
)
def test_event_streams_are_recognized(body: bytes, is_stream: bool) -> None:
    assert is_event_stream(body) is is_stream
