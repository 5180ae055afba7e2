"""The golden cases of the chat dialect: decoded as the case says, at any split, and the same after another encoding."""

import json
import re
from typing import Any

import msgspec
import pytest
from msgspec import structs

from intellirouter.core import LossReport, errors
from intellirouter.dialects.ir import (
    Conversation,
    Event,
    Media,
    Reasoning,
    Response,
    StopReason,
    Text,
    ToolCall,
    collect,
    events_of,
    unwrap_token,
)
from intellirouter.dialects.openai_chat import CLIENT, UPSTREAM
from tests.support.dialects.golden import load, wire_of
from tests.support.dialects.openai_chat import DEPLOYMENT, call_of, validate_answer, validate_stream

REQUESTS, RESPONSES, STREAMS, ERRORS = (
    load("openai_chat", kind) for kind in ("requests", "responses", "streams", "errors")
)
GENERATED_ID = re.compile(r'"(?:call|audio)_[0-9a-f]{32}"')
SHORT = 900
WITH_TOKENS = {
    "reasoning_signed": "tokens of another endpoint are not sent",
    "tool_call_signature": "tokens of another endpoint are not sent",
}
NEAREST_REASON: dict[StopReason, StopReason] = {
    "stop_sequence": "stop",
    "context_length": "length",
}


class StillClock:
    def monotonic_s(self) -> float:
        return 0.0

    def epoch_us(self) -> int:
        return 1_760_000_000_000_000


def plain(value: Any) -> Any:
    """Return built-in values, with the text MINTED, as in the fixtures, for all generated ids."""
    return json.loads(GENERATED_ID.sub('"MINTED"', msgspec.json.encode(value).decode()))


def cases(loaded: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in loaded])


def response_of(case: dict[str, Any]) -> Response:
    return msgspec.convert(case["form"], Response)


def test_there_are_enough_cases() -> None:
    assert [len(kind) for kind in (REQUESTS, RESPONSES, STREAMS, ERRORS)] >= [35, 20, 20, 10]


@cases(REQUESTS)
def test_a_request_is_decoded(case: dict[str, Any]) -> None:
    call = CLIENT.decode_request(json.dumps(case["body"]).encode())
    assert plain(CLIENT.decode(call)) == plain(msgspec.convert(case["form"], Conversation))


@pytest.mark.parametrize(("name", "case"), [pytest.param(*each, id=each[0]) for each in REQUESTS])
def test_a_request_is_the_same_after_encoding_and_decoding(name: str, case: dict[str, Any]) -> None:
    first = msgspec.convert(case["form"], Conversation)
    losses = LossReport()
    body = UPSTREAM.encode(first, DEPLOYMENT, losses).body
    again = CLIENT.decode(CLIENT.decode_request(body))
    again.model, again.wants_usage = first.model, first.wants_usage
    if name == "developer":  # the vendor does not know the role
        assert [loss.how for loss in losses.taken()] == ["converted"]
        assert again.messages[0].role == "system"
        again.messages[0].role = "developer"
    else:
        assert [loss.field for loss in losses.taken()] == (
            ["messages[].reasoning"] if name == "reasoning_signed" else []
        )
    if name in WITH_TOKENS:
        assert plain(again) != plain(first)
        assert b"irt1." not in body
    else:
        assert plain(again) == plain(first)


@cases(RESPONSES)
def test_a_response_is_decoded(case: dict[str, Any]) -> None:
    response = UPSTREAM.decode(json.dumps(case["body"]).encode(), DEPLOYMENT)
    assert plain(response) == plain(response_of(case))
    assert plain(collect(events_of(response), "openai_chat")) == plain(response)


@cases(RESPONSES + STREAMS)
def test_a_response_is_the_same_after_encoding_and_decoding(case: dict[str, Any]) -> None:
    response = response_of(case)
    losses = LossReport()
    body = validate_answer(CLIENT.encode(response, call_of(), losses))
    assert body["model"] == (response.model or "m")
    again = UPSTREAM.decode(json.dumps(body).encode(), DEPLOYMENT)
    assert comparable(again) == comparable(response)
    assert again.usage == response.usage


@cases(RESPONSES + STREAMS)
@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_is_the_same_after_encoding_and_decoding(case: dict[str, Any], wants_usage: bool) -> None:
    response = response_of(case)
    call = call_of(stream=True, stream_options={"include_usage": wants_usage})
    encoder = CLIENT.stream(call, LossReport())
    wire = encoder.encode(list(events_of(response))) + encoder.end()
    validate_stream(wire, wants_usage=wants_usage)
    decoder = UPSTREAM.stream(DEPLOYMENT)
    again = collect(decoder.feed(wire) + decoder.end(), "openai_chat")
    assert comparable(again) == comparable(response)
    assert again.usage == (response.usage if wants_usage else None)


def comparable(response: Response) -> Any:
    """Return the content that the dialect can express: no offsets of unknown citations, no vendors' reasons."""
    choices = []
    for choice in response.choices:
        parts = sorted((_comparable(part) for part in choice.parts), key=lambda part: part["type"])
        assert choice.stop is not None
        reason = NEAREST_REASON.get(choice.stop.reason, choice.stop.reason)
        choices.append((parts, reason))
    return choices


def _comparable(part: Any) -> Any:
    if isinstance(part, Text):
        known = [structs.replace(cited, raw=None) for cited in part.citations if cited.url]
        part = structs.replace(part, citations=known)
    if isinstance(part, Media):
        part = structs.replace(part, extras={})
    if isinstance(part, ToolCall) and part.token is not None and part.token.value.startswith("irt1."):
        part = structs.replace(part, token=unwrap_token(part.token.value, "gemini"))
    if isinstance(part, Reasoning) and part.is_redacted:
        part = structs.replace(part, text="")
    return plain(part)


def read(pieces: list[bytes]) -> Any:
    decoder = UPSTREAM.stream(DEPLOYMENT)
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return plain(collect(events + decoder.end(), "openai_chat"))


@cases(STREAMS)
def test_a_stream_is_decoded_at_any_split(case: dict[str, Any]) -> None:
    wire, expected = wire_of(case), plain(response_of(case))
    assert read([wire]) == expected
    assert read([wire[at : at + 1] for at in range(len(wire))]) == expected
    if len(wire) <= SHORT:
        for cut in range(1, len(wire)):
            assert read([wire[:cut], wire[cut:]]) == expected, cut


@cases(STREAMS)
def test_a_stream_that_is_cut_off_is_malformed(case: dict[str, Any]) -> None:
    """Only streams with a finish reason or a terminator are accepted."""
    wire = case["wire"]
    has_finish = [any(f'"{name}":"' in event for name in ("finish_reason",)) for event in wire]
    for count in range(len(wire)):
        if not any(has_finish[:count]):
            with pytest.raises(errors.UpstreamMalformed):
                read(["".join(wire[:count]).encode()])


@cases(ERRORS)
def test_an_error_is_decoded(case: dict[str, Any]) -> None:
    body = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()
    headers = [(name, value) for name, value in case["headers"]]
    error = UPSTREAM.decode_error(case["status"], headers, body, deployment="up", clock=StillClock())
    expected = case["error"]
    assert (type(error).__name__, error.code, error.status) == tuple(
        expected[key] for key in ("class", "code", "status")
    )
    assert expected["message_has"] in error.message
    assert error.retry_after_s == expected.get("retry_after_s")
