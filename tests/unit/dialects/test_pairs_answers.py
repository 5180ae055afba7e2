"""Responses and streams of every upstream for every client: the same content, by the rules of the client's dialect.

Every stream is also checked as a complete response, and every complete response as a stream.
"""

from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import errors
from intellirouter.dialects.adapt.answer_checks import validate_answer
from intellirouter.dialects.ir import Conversation, Event, Response, UsageUpdate, collect, events_of
from tests.support.dialects.answers import BROKEN, FAILS, content_of, differences
from tests.support.dialects.golden import load
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    UPSTREAMS,
    collected,
    encode_answer,
    encode_stream,
    plain_call,
    read_answer,
    read_stream,
    translation_of,
    upstream_of,
    wire_of,
)
from tests.support.dialects.rules import check_answer, check_stream

PLAIN = Conversation(dialect="", model="")
LONG = 400
"""Streams with more bytes are not split at every byte."""


def _pairs(kind: str) -> list[Any]:
    return [
        pytest.param(client, upstream, case, id=f"{client}-{upstream}-{name}")
        for client in CLIENTS
        for upstream in UPSTREAMS
        for name, case in load(upstream, kind)
    ]


ANSWERS, STREAMS = _pairs("responses"), _pairs("streams")


def _fails(response: Response, client: str) -> bool:
    """Return whether the client's dialect reports this stop reason as a failure."""
    return any(choice.stop is not None and choice.stop.reason in FAILS.get(client, ()) for choice in response.choices)


def _validated(response: Response) -> Response:
    """Return the validated response, or the response itself if it is rejected because it is incomplete."""
    try:
        return validate_answer(response, PLAIN)
    except errors.UpstreamMalformed:
        assert _is_broken(response)
        return response


def _is_broken(response: Response) -> bool:
    return any(choice.stop is not None and choice.stop.reason in BROKEN for choice in response.choices)


def _response_differences(response: Response, client: str) -> list[str]:
    body, losses = encode_answer(response, client)
    check_answer(client, body)
    decode = upstream_of(client).decode
    if _fails(response, client):
        with pytest.raises(errors.UpstreamError):
            decode(body, BY_UPSTREAM[client])
        return []
    return differences(response, decode(body, BY_UPSTREAM[client]), client, losses)


def _stream_differences(events: list[Event], client: str, upstream: str) -> list[str]:
    response = collect(events, upstream)
    if client == "anthropic_messages" and not any(isinstance(event, UsageUpdate) for event in events):
        response.usage = None  # without a final count, the client gets an estimate
    wire, losses = encode_stream(events, client)
    check_stream(client, wire)
    if _fails(response, client):
        with pytest.raises(errors.UpstreamError):
            collected(client, wire)
        return []
    return differences(response, collected(client, wire), client, losses)


@pytest.mark.parametrize(("client", "upstream", "case"), ANSWERS)
def test_a_response_is_encoded_with_the_same_content(client: str, upstream: str, case: dict[str, Any]) -> None:
    response = _validated(read_answer(upstream, case))
    assert _response_differences(response, client) == []
    assert _stream_differences(list(events_of(response)), client, upstream) == []


@pytest.mark.parametrize(("client", "upstream", "case"), STREAMS)
def test_a_stream_is_encoded_with_the_same_content(client: str, upstream: str, case: dict[str, Any]) -> None:
    events = read_stream(upstream, wire_of(upstream, case))
    assert _stream_differences(events, client, upstream) == []
    assert _response_differences(collect(events, upstream), client) == []


@pytest.mark.parametrize(("client", "upstream", "case"), STREAMS)
def test_an_encoded_stream_can_be_split_anywhere(client: str, upstream: str, case: dict[str, Any]) -> None:
    response = collect(read_stream(upstream, wire_of(upstream, case)), upstream)
    wire, _ = encode_stream(list(events_of(response)), client, at_once=True)
    if _fails(response, client):
        return
    expected = _content(collected(client, wire))
    assert _content(collected(client, *(wire[at : at + 1] for at in range(len(wire))))) == expected
    step = 1 if len(wire) <= LONG else len(wire) // 16
    for at in range(1, len(wire), step):
        assert _content(collected(client, wire[:at], wire[at:])) == expected, at


def _content(response: Response) -> Any:
    """Return the content without the ids of calls, which are generated if the wire format has none."""
    contents = [content_of(choice) for choice in response.choices]
    for choice in contents:
        choice.calls = [[name, arguments] for _, name, arguments in choice.calls]
    return contents, response.usage


@pytest.mark.parametrize(("client", "upstream", "case"), STREAMS)
def test_a_translated_stream_does_not_depend_on_how_the_upstream_stream_is_split(
    client: str, upstream: str, case: dict[str, Any]
) -> None:
    """The route sends nothing before there is content, and the terminator last."""
    call, target, wire = plain_call(client, is_stream=True), BY_UPSTREAM[upstream], wire_of(upstream, case)
    response = collect(read_stream(upstream, wire), upstream)
    streams = []
    for size in (len(wire), 1):
        relay = translation_of(call, client, upstream).relay(call, target)
        try:
            streams.append(_relayed(relay, wire, size))
        except errors.UpstreamMalformed:
            assert _is_broken(response)
            return
        check_stream(client, streams[-1])
    if not _fails(response, client):
        first, second = (_content(collected(client, each)) for each in streams)
        assert first == second


def _relayed(relay: Any, wire: bytes, size: int) -> bytes:
    out = b""
    for at in range(0, len(wire), size):
        piece = relay.feed(wire[at : at + size])
        assert not piece or relay.has_content
        out += piece
    end = relay.end()
    assert end
    assert relay.error is None
    stream: bytes = out + end
    return stream


def test_the_comparison_finds_what_is_missing() -> None:
    """A missing text, call or reasoning, and a wrong count, are found for each client."""
    for name, case in load("anthropic_messages", "responses"):
        response = read_answer("anthropic_messages", case)
        for client in CLIENTS:
            for incomplete in _incomplete(response):
                body, losses = encode_answer(incomplete, client)
                again = upstream_of(client).decode(body, BY_UPSTREAM[client])
                assert differences(response, again, client, losses), (name, client)


def _incomplete(response: Response) -> list[Response]:
    """Return the answer with one count changed, or without one of its parts."""
    choice = response.choices[0]
    found = []
    usage = response.usage
    if usage is not None and usage.input_tokens and usage.output_tokens:
        found.append(structs.replace(response, usage=structs.replace(usage, output_tokens=987_654)))
    for at, part in enumerate(choice.parts):
        if part.__class__.__name__ == "ToolCall" or getattr(part, "text", ""):
            rest = [*choice.parts[:at], *choice.parts[at + 1 :]]
            found.append(structs.replace(response, choices=[structs.replace(choice, parts=rest)]))
    return found
