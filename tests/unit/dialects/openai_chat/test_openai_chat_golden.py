"""The golden cases of the chat dialect: what each wire form means, however it is cut, and that writing it again gives
the same meaning."""

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
MINTED = re.compile(r'"(?:call|audio)_[0-9a-f]{32}"')
SHORT = 900
NOT_SENT_AGAIN = {
    "reasoning_signed": "tokens of another endpoint are left out",
    "tool_call_signature": "tokens of another endpoint are left out",
}
SAID_OTHERWISE: dict[StopReason, StopReason] = {
    "stop_sequence": "stop",
    "context_length": "length",
}


class StillClock:
    def monotonic_s(self) -> float:
        return 0.0

    def epoch_us(self) -> int:
        return 1_760_000_000_000_000


def plain(value: Any) -> Any:
    """Return built-in values; ids that were made on the way are all the same."""
    return json.loads(MINTED.sub('"MINTED"', msgspec.json.encode(value).decode()))


def cases(loaded: list[tuple[str, dict[str, Any]]]) -> Any:
    return pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in loaded])


def response_of(case: dict[str, Any]) -> Response:
    return msgspec.convert(case["form"], Response)


def test_there_are_enough_cases() -> None:
    assert [len(kind) for kind in (REQUESTS, RESPONSES, STREAMS, ERRORS)] >= [35, 20, 20, 10]


@cases(REQUESTS)
def test_a_request_means_what_the_case_says(case: dict[str, Any]) -> None:
    call = CLIENT.decode_request(json.dumps(case["body"]).encode())
    assert plain(CLIENT.decode(call)) == plain(msgspec.convert(case["form"], Conversation))


@pytest.mark.parametrize(("name", "case"), [pytest.param(*each, id=each[0]) for each in REQUESTS])
def test_a_request_written_again_means_the_same(name: str, case: dict[str, Any]) -> None:
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
    if name in NOT_SENT_AGAIN:
        assert plain(again) != plain(first)
        assert b"irt1." not in body
    else:
        assert plain(again) == plain(first)


@cases(RESPONSES)
def test_an_answer_means_what_the_case_says(case: dict[str, Any]) -> None:
    response = UPSTREAM.decode(json.dumps(case["body"]).encode(), DEPLOYMENT)
    assert plain(response) == plain(response_of(case))
    assert plain(collect(events_of(response), "openai_chat")) == plain(response)


@cases(RESPONSES + STREAMS)
def test_an_answer_written_for_a_client_means_the_same(case: dict[str, Any]) -> None:
    response = response_of(case)
    losses = LossReport()
    body = validate_answer(CLIENT.encode(response, call_of(), losses))
    assert body["model"] == "m"
    again = UPSTREAM.decode(json.dumps(body).encode(), DEPLOYMENT)
    assert comparable(again) == comparable(response)
    assert again.usage == response.usage


@cases(RESPONSES + STREAMS)
@pytest.mark.parametrize("wants_usage", [False, True])
def test_a_stream_written_for_a_client_means_the_same(case: dict[str, Any], wants_usage: bool) -> None:
    response = response_of(case)
    call = call_of(stream=True, stream_options={"include_usage": wants_usage})
    encoder = CLIENT.stream(call, LossReport())
    told = encoder.encode(list(events_of(response))) + encoder.end()
    validate_stream(told, wants_usage=wants_usage)
    decoder = UPSTREAM.stream(DEPLOYMENT)
    again = collect(decoder.feed(told) + decoder.end(), "openai_chat")
    assert comparable(again) == comparable(response)
    assert again.usage == (response.usage if wants_usage else None)


def comparable(response: Response) -> Any:
    """Leave out what the dialect cannot say: offsets of unknown citations, the vendor's own words for the end."""
    choices = []
    for choice in response.choices:
        parts = sorted((_comparable(part) for part in choice.parts), key=lambda part: part["type"])
        assert choice.stop is not None
        reason = SAID_OTHERWISE.get(choice.stop.reason, choice.stop.reason)
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
def test_a_stream_means_what_the_case_says_however_it_is_cut(case: dict[str, Any]) -> None:
    wire, expected = wire_of(case), plain(response_of(case))
    assert read([wire]) == expected
    assert read([wire[at : at + 1] for at in range(len(wire))]) == expected
    if len(wire) <= SHORT:
        for cut in range(1, len(wire)):
            assert read([wire[:cut], wire[cut:]]) == expected, cut


@cases(STREAMS)
def test_a_stream_that_is_cut_off_is_no_answer(case: dict[str, Any]) -> None:
    """Whatever is missing at the end, only what has a finish or a terminator passes."""
    wire = case["wire"]
    said = [any(f'"{name}":"' in event for name in ("finish_reason",)) for event in wire]
    for count in range(len(wire)):
        if not any(said[:count]):
            with pytest.raises(errors.UpstreamMalformed):
                read(["".join(wire[:count]).encode()])


@cases(ERRORS)
def test_an_error_is_mapped(case: dict[str, Any]) -> None:
    body = case["raw"].encode() if "raw" in case else json.dumps(case["body"]).encode()
    headers = [(name, value) for name, value in case["headers"]]
    error = UPSTREAM.decode_error(case["status"], headers, body, deployment="up", clock=StillClock())
    expected = case["error"]
    assert (type(error).__name__, error.code, error.status) == tuple(
        expected[key] for key in ("class", "code", "status")
    )
    assert expected["message_has"] in error.message
    assert error.retry_after_s == expected.get("retry_after_s")
