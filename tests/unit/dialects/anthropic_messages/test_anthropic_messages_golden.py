"""Every golden case of Anthropic's dialect, both ways, its streams split at every byte."""

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

DIALECT = "anthropic_messages"
REQUESTS, RESPONSES, STREAMS, ERRORS = (load(DIALECT, kind) for kind in ("requests", "responses", "streams", "errors"))
OURS = deployment()
NOT_REPEATED = {
    "wrapped_tokens": "tokens of others are left out",
    "text_before_result": "results are put first",
    "empty_content": "empty turns are left out",
}


def cases(found: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize("case", [case for _, case in found], ids=[name for name, _ in found])


def minted(value: Any) -> Any:
    """Name the endpoint in the tokens of a form: fixtures do not know it."""
    if isinstance(value, dict):
        marked = {name: minted(item) for name, item in value.items()}
        if isinstance(token := marked.get("token"), dict):
            token.setdefault("origin", origin_of(OURS))
        return marked
    return [minted(item) for item in value] if isinstance(value, list) else value


def chat(case: dict[str, Any], body: bytes | None = None) -> Conversation:
    context = RequestContext(headers=tuple((name, value) for name, value in case.get("headers", [])))
    return CLIENT.decode(CLIENT.decode_request(body or json.dumps(case["body"]).encode(), context))


def response_form(case: dict[str, Any]) -> Response:
    return msgspec.convert(minted(case["form"]), Response)


def decoded(*pieces: bytes) -> Response:
    decoder = UPSTREAM.stream(OURS)
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


@cases([(name, case) for name, case in REQUESTS if name not in NOT_REPEATED])
def test_a_request_says_the_same_after_a_round_trip(case: dict[str, Any]) -> None:
    conversation = chat(case)
    losses = LossReport()
    request = UPSTREAM.encode(conversation, deployment(conversation.model), losses)
    assert not losses.taken()
    assert chat(case, request.body) == conversation


@cases(REQUESTS)
def test_reading_and_writing_leave_the_conversation_alone(case: dict[str, Any]) -> None:
    conversation = chat(case)
    UPSTREAM.encode(conversation, OURS, LossReport())
    assert conversation == chat(case)


@cases(RESPONSES)
def test_an_answer_is_read(case: dict[str, Any]) -> None:
    assert UPSTREAM.decode(json.dumps(case["body"]).encode(), OURS) == response_form(case)


@cases(RESPONSES)
def test_an_answer_says_the_same_after_a_round_trip(case: dict[str, Any]) -> None:
    losses = LossReport()
    body = CLIENT.encode(response_form(case), any_call(), losses)
    again = UPSTREAM.decode(body, OURS)
    want = response_form(case)
    want.model, want.service_tier = "public", ""  # the client's name; tiers are the upstream's business
    if want.choices[0].stop is not None and want.choices[0].stop.raw == "astral":
        want.choices[0].stop.raw = "end_turn"
    assert again == want
    assert not losses.taken()


@cases(RESPONSES)
def test_an_answer_told_as_a_stream_is_the_same_answer(case: dict[str, Any]) -> None:
    response = response_form(case)
    encoder = CLIENT.stream(any_call(), LossReport())
    events = [event for event in events_of(response) if type(event).__name__ != "StreamEnded"]
    again = decoded(encoder.encode(events) + encoder.end())
    assert [_without_extras(part) for part in again.choices[0].parts] == [
        _without_extras(part) for part in response.choices[0].parts
    ]
    assert again.usage == response.usage


def _without_extras(part: Any) -> Any:
    """Members that are not invented yet have no events."""
    said = msgspec.to_builtins(part)
    said.pop("extras", None)
    return said


@cases(STREAMS)
def test_a_stream_is_read_however_it_is_split(case: dict[str, Any]) -> None:
    wire, want = wire_of(case), response_form(case)
    assert decoded(wire) == want
    assert decoded(*(wire[at : at + 1] for at in range(len(wire)))) == want
    for at in range(1, len(wire)):
        assert decoded(wire[:at], wire[at:]) == want


@cases(STREAMS)
def test_a_stream_told_to_a_client_keeps_the_order_and_the_meaning(case: dict[str, Any]) -> None:
    decoder, encoder = UPSTREAM.stream(OURS), CLIENT.stream(any_call(), LossReport())
    out = b""
    for raw in case["wire"]:
        out += encoder.encode([event for event in decoder.feed(raw.encode()) if type(event).__name__ != "StreamEnded"])
    out += encoder.end()
    read_stream(out)
    want = response_form(case)
    want.model, want.service_tier = "public", ""
    again = decoded(out)
    if "message_delta" not in "".join(case["wire"]):
        again.usage = want.usage  # never counted by the upstream: estimated for the client
    assert again == want


@cases([(name, case) for name, case in STREAMS if "[DONE]" not in case["wire"][-1]])
def test_a_stream_that_is_cut_off_is_malformed(case: dict[str, Any]) -> None:
    decoder = UPSTREAM.stream(OURS)
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
    want = case["error"]
    assert type(error).__name__ == want["class"]
    assert (error.code, error.status) == (want["code"], want["status"])
    assert want["message_has"] in error.message
    assert error.retry_after_s == want.get("retry_after_s")
