"""Every upstream's answers and streams, told to every client: the same content, by the rules of its dialect.

What is checked of a stream holds for the same answer told whole, and the other way round.
"""

from typing import Any

import pytest
from msgspec import structs

from intellirouter.core import errors
from intellirouter.dialects.adapt.answer_checks import sound
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
    lane_of,
    plain_call,
    read_answer,
    read_stream,
    upstream_of,
    wire_of,
)
from tests.support.dialects.rules import check_answer, check_stream

PLAIN = Conversation(dialect="", model="")
LONG = 400
"""Streams with more bytes are fed byte by byte once, not cut at every place."""


def _pairs(kind: str) -> list[Any]:
    return [
        pytest.param(client, upstream, case, id=f"{client}-{upstream}-{name}")
        for client in CLIENTS
        for upstream in UPSTREAMS
        for name, case in load(upstream, kind)
    ]


ANSWERS, STREAMS = _pairs("responses"), _pairs("streams")


def _fails(response: Response, client: str) -> bool:
    """Whether the client's dialect tells such an end as a failure."""
    return any(choice.stop is not None and choice.stop.reason in FAILS.get(client, ()) for choice in response.choices)


def _sound(response: Response) -> Response:
    """Return the answer as the pipeline has it; one that it refuses must have broken off."""
    try:
        return sound(response, PLAIN)
    except errors.UpstreamMalformed:
        assert _is_broken(response)
        return response


def _is_broken(response: Response) -> bool:
    return any(choice.stop is not None and choice.stop.reason in BROKEN for choice in response.choices)


def _told_again(response: Response, client: str) -> list[str]:
    body, losses = encode_answer(response, client)
    check_answer(client, body)
    decode = upstream_of(client).decode
    if _fails(response, client):
        with pytest.raises(errors.UpstreamError):
            decode(body, BY_UPSTREAM[client])
        return []
    return differences(response, decode(body, BY_UPSTREAM[client]), client, losses)


def _streamed_again(events: list[Event], client: str, upstream: str) -> list[str]:
    response = collect(events, upstream)
    if client == "anthropic_messages" and not any(isinstance(event, UsageUpdate) for event in events):
        response.usage = None  # not counted to the end: the client gets an estimate
    wire, losses = encode_stream(events, client)
    check_stream(client, wire)
    if _fails(response, client):
        with pytest.raises(errors.UpstreamError):
            collected(client, wire)
        return []
    return differences(response, collected(client, wire), client, losses)


@pytest.mark.parametrize(("client", "upstream", "case"), ANSWERS)
def test_an_answer_is_told_with_the_same_content(client: str, upstream: str, case: dict[str, Any]) -> None:
    response = _sound(read_answer(upstream, case))
    assert _told_again(response, client) == []
    assert _streamed_again(list(events_of(response)), client, upstream) == []


@pytest.mark.parametrize(("client", "upstream", "case"), STREAMS)
def test_a_stream_is_told_with_the_same_content(client: str, upstream: str, case: dict[str, Any]) -> None:
    events = read_stream(upstream, wire_of(upstream, case))
    assert _streamed_again(events, client, upstream) == []
    assert _told_again(collect(events, upstream), client) == []


@pytest.mark.parametrize(("client", "upstream", "case"), STREAMS)
def test_a_told_stream_may_be_cut_anywhere(client: str, upstream: str, case: dict[str, Any]) -> None:
    response = collect(read_stream(upstream, wire_of(upstream, case)), upstream)
    wire, _ = encode_stream(list(events_of(response)), client, at_once=True)
    if _fails(response, client):
        return
    want = _content(collected(client, wire))
    assert _content(collected(client, *(wire[at : at + 1] for at in range(len(wire))))) == want
    step = 1 if len(wire) <= LONG else len(wire) // 16
    for at in range(1, len(wire), step):
        assert _content(collected(client, wire[:at], wire[at:])) == want, at


def _content(response: Response) -> Any:
    """Without ids that are minted where a wire has none."""
    said = [content_of(choice) for choice in response.choices]
    for choice in said:
        choice.calls = [[name, arguments] for _, name, arguments in choice.calls]
    return said, response.usage


@pytest.mark.parametrize(("client", "upstream", "case"), STREAMS)
def test_the_lanes_stream_says_the_same_however_the_upstream_is_cut(
    client: str, upstream: str, case: dict[str, Any]
) -> None:
    """Through the route itself: nothing is told before there is content, and the terminator comes last."""
    call, target, wire = plain_call(client, is_stream=True), BY_UPSTREAM[upstream], wire_of(upstream, case)
    response = collect(read_stream(upstream, wire), upstream)
    told = []
    for size in (len(wire), 1):
        relay = lane_of(call, client, upstream).relay(call, target)
        try:
            told.append(_relayed(relay, wire, size))
        except errors.UpstreamMalformed:
            assert _is_broken(response)
            return
        check_stream(client, told[-1])
    if not _fails(response, client):
        first, second = (_content(collected(client, each)) for each in told)
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
    told: bytes = out + end
    return told


def test_the_judge_sees_what_is_missing() -> None:
    """A word, a call, a thought, the end, a count that is not told is found, for each client."""
    for name, case in load("anthropic_messages", "responses"):
        response = read_answer("anthropic_messages", case)
        for client in CLIENTS:
            for poorer in _poorer(response):
                body, losses = encode_answer(poorer, client)
                again = upstream_of(client).decode(body, BY_UPSTREAM[client])
                assert differences(response, again, client, losses), (name, client)


def _poorer(response: Response) -> list[Response]:
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
