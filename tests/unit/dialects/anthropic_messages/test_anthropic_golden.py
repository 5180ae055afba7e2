"""Reads and writes all golden cases of Anthropic's dialect, and splits their streams at every byte."""

import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import LossReport, RequestContext, errors
from intellirouter.dialects.anthropic_messages import CLIENT, UPSTREAM
from intellirouter.dialects.ir import Conversation, Event, Response, collect, events_of, origin_of
from intellirouter.testing import FakeClock
from tests.support.dialects.anthropic_messages import any_call, deployment, read_stream
from tests.support.dialects.golden import load, wire_of
from tests.support.dialects.raising import RaisingDecoder

DIALECT = "anthropic_messages"
REQUESTS, RESPONSES, STREAMS, ERRORS = (load(DIALECT, kind) for kind in ("requests", "responses", "streams", "errors"))
DEPLOYMENT = deployment()
CHANGED_BY_A_ROUND_TRIP = {
    "wrapped_tokens": "tokens of other dialects are left out",
    "text_before_result": "tool results come first",
    "empty_content": "empty turns are left out",
}


def cases(found: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize("case", [case for _, case in found], ids=[name for name, _ in found])


def with_origin(value: Any) -> Any:
    """Return an expected value with the origin in its tokens, which fixtures do not contain."""
    if isinstance(value, dict):
        marked = {name: with_origin(item) for name, item in value.items()}
        if isinstance(token := marked.get("token"), dict):
            token.setdefault("origin", origin_of(DEPLOYMENT))
        return marked
    return [with_origin(item) for item in value] if isinstance(value, list) else value


def chat(case: dict[str, Any], body: bytes | None = None) -> Conversation:
    context = RequestContext(headers=tuple((name, value) for name, value in case.get("headers", [])))
    return CLIENT.decode(CLIENT.decode_request(body or json.dumps(case["body"]).encode(), context))


def expected_response(case: dict[str, Any]) -> Response:
    return msgspec.convert(with_origin(case["form"]), Response)


def name_implied_stop(response: Response) -> None:
    """Name a stop reason that the upstream has left out: clients always get one."""
    for choice in response.choices:
        if choice.stop is not None and choice.stop.reason == "tool_calls":
            choice.stop.raw = choice.stop.raw or "tool_use"


def decode_stream(*pieces: bytes) -> Response:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return collect(events + decoder.end(), DIALECT)


def test_there_are_enough_cases() -> None:
    assert len(REQUESTS) >= 35
    assert len(RESPONSES) >= 20
    assert len(STREAMS) >= 20
    assert len(ERRORS) >= 10


@cases(REQUESTS)
def test_a_request_is_read(case: dict[str, Any]) -> None:
    assert chat(case) == msgspec.convert(case["form"], Conversation)


@cases([(name, case) for name, case in REQUESTS if name not in CHANGED_BY_A_ROUND_TRIP])
def test_a_request_is_unchanged_after_a_round_trip(case: dict[str, Any]) -> None:
    conversation = chat(case)
    losses = LossReport()
    request = UPSTREAM.encode(conversation, deployment(conversation.model), losses)
    assert not losses.taken()
    assert chat(case, request.body) == conversation


@cases(REQUESTS)
def test_encoding_does_not_change_the_conversation(case: dict[str, Any]) -> None:
    conversation = chat(case)
    UPSTREAM.encode(conversation, DEPLOYMENT, LossReport())
    assert conversation == chat(case)


@cases(RESPONSES)
def test_a_response_is_read(case: dict[str, Any]) -> None:
    assert UPSTREAM.decode(json.dumps(case["body"]).encode(), DEPLOYMENT) == expected_response(case)


@cases(RESPONSES)
def test_a_response_is_unchanged_after_a_round_trip(case: dict[str, Any]) -> None:
    losses = LossReport()
    body = CLIENT.encode(expected_response(case), any_call(), losses)
    result = UPSTREAM.decode(body, DEPLOYMENT)
    expected = expected_response(case)
    expected.model, expected.service_tier = expected.model or "public", ""  # tiers are not returned
    if expected.choices[0].stop is not None and expected.choices[0].stop.raw == "astral":
        expected.choices[0].stop.raw = "end_turn"
    name_implied_stop(expected)
    assert result == expected
    assert not losses.taken()


@cases(RESPONSES)
def test_a_response_written_as_a_stream_is_the_same_response(case: dict[str, Any]) -> None:
    response = expected_response(case)
    encoder = CLIENT.stream(any_call(), LossReport())
    events = [event for event in events_of(response) if type(event).__name__ != "StreamEnded"]
    result = decode_stream(encoder.encode(events) + encoder.end())
    assert [_without_extras(part) for part in result.choices[0].parts] == [
        _without_extras(part) for part in response.choices[0].parts
    ]
    assert result.usage == response.usage


def _without_extras(part: Any) -> Any:
    """Return a part without unknown members, which streams do not contain."""
    members = msgspec.to_builtins(part)
    members.pop("extras", None)
    return members


@cases(STREAMS)
def test_a_stream_is_read_wherever_it_is_split(case: dict[str, Any]) -> None:
    wire, expected = wire_of(case), expected_response(case)
    assert decode_stream(wire) == expected
    assert decode_stream(*(wire[at : at + 1] for at in range(len(wire)))) == expected
    for at in range(1, len(wire)):
        assert decode_stream(wire[:at], wire[at:]) == expected


@cases(STREAMS)
def test_a_stream_written_for_a_client_has_the_same_content(case: dict[str, Any]) -> None:
    decoder, encoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT)), CLIENT.stream(any_call(), LossReport())
    out = b""
    for raw in case["wire"]:
        out += encoder.encode([event for event in decoder.feed(raw.encode()) if type(event).__name__ != "StreamEnded"])
    out += encoder.end()
    read_stream(out)
    expected = expected_response(case)
    expected.model, expected.service_tier = expected.model or "public", ""
    name_implied_stop(expected)
    result = decode_stream(out)
    if "message_delta" not in "".join(case["wire"]):
        result.usage = expected.usage  # estimated, because the upstream reports none
    assert result == expected


@cases([(name, case) for name, case in STREAMS if "[DONE]" not in case["wire"][-1]])
def test_a_stream_that_is_cut_off_is_malformed(case: dict[str, Any]) -> None:
    decoder = RaisingDecoder(UPSTREAM.stream(DEPLOYMENT))
    decoder.feed("".join(case["wire"][:-1]).encode())
    with pytest.raises(errors.UpstreamMalformed):
        decoder.end()


@cases(ERRORS)
def test_an_error_gets_its_class(case: dict[str, Any]) -> None:
    body = case["body"] if isinstance(case["body"], str) else json.dumps(case["body"])
    headers = [(name, value) for name, value in case["headers"]]
    error = UPSTREAM.decode_error(
        case["status"], headers, body.encode(), deployment="anthropic/claude", clock=FakeClock()
    )
    expected = case["error"]
    assert type(error).__name__ == expected["class"]
    assert (error.code, error.status) == (expected["code"], expected["status"])
    assert expected["message_has"] in error.message
    assert error.retry_after_s == expected.get("retry_after_s")
