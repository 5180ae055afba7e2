"""Reads and writes all golden cases of Google's dialect, and splits their streams at every byte."""

import itertools
import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import LossReport, RequestContext, errors
from intellirouter.dialects.gemini import CLIENT, ERRORS, UPSTREAM, upstream_response
from intellirouter.dialects.ir import Conversation, Response, StreamEnded, events_of, origin_of
from intellirouter.testing import FakeClock
from tests.support.dialects.gemini import call_of, deployment, read_stream, stream_call
from tests.support.dialects.golden import load, wire_of

REQUESTS, RESPONSES, STREAMS, ERROR_CASES = (
    load("gemini", kind) for kind in ("requests", "responses", "streams", "errors")
)
DEPLOYMENT = deployment()
CHANGED_BY_A_ROUND_TRIP = {
    "empty_content": "empty turns are left out",
    "candidates": "a stream with several candidates is rejected",
    "result_beside_text": "the function response and the text become separate contents",
}
MAX_SPLIT_BYTES = 1500
"""Longer streams are fed byte by byte, but not split at every position."""


@pytest.fixture(autouse=True)
def numbered_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Number the generated ids of calls as in the fixtures."""
    numbers = itertools.count()
    monkeypatch.setattr(upstream_response, "new_id", lambda prefix: f"minted_{next(numbers)}" if prefix else "x")


def cases(found: list[tuple[str, dict[str, Any]]], *excluded: str) -> Any:
    included = [(name, case) for name, case in found if name not in excluded]
    return pytest.mark.parametrize("case", [case for _, case in included], ids=[name for name, _ in included])


def with_origin(value: Any) -> Any:
    """Return an expected value with the origin in its tokens, which fixtures do not contain."""
    if isinstance(value, dict):
        marked = {name: with_origin(item) for name, item in value.items()}
        if isinstance(token := marked.get("token"), dict):
            token.setdefault("origin", origin_of(DEPLOYMENT))
        return marked
    return [with_origin(item) for item in value] if isinstance(value, list) else value


def conversation_of(case: dict[str, Any], body: bytes | None = None) -> Conversation:
    path = case["path"]
    context = RequestContext(model=path["model"], is_stream=path["is_stream"], query=path["query"])
    return CLIENT.decode(CLIENT.decode_request(body or json.dumps(case["body"]).encode(), context))


def expected_response(case: dict[str, Any]) -> Response:
    return msgspec.convert(with_origin(case["form"]), Response)


def test_there_are_enough_cases() -> None:
    assert len(REQUESTS) >= 35
    assert len(RESPONSES) >= 20
    assert len(STREAMS) >= 20
    assert len(ERROR_CASES) >= 10


@cases(REQUESTS)
def test_a_request_is_read(case: dict[str, Any]) -> None:
    assert conversation_of(case) == msgspec.convert(case["form"], Conversation)


@cases(REQUESTS, *CHANGED_BY_A_ROUND_TRIP)
def test_a_request_is_unchanged_after_a_round_trip(case: dict[str, Any]) -> None:
    conversation = conversation_of(case)
    losses = LossReport()
    request = UPSTREAM.encode(conversation, deployment(conversation.model), losses)
    assert not losses.taken()
    assert _comparable(conversation_of(case, request.body)) == _comparable(conversation)


def _comparable(conversation: Conversation) -> Any:
    """Return a conversation with sorted responses and without the default output format, which may change."""
    members = msgspec.to_builtins(conversation)
    for message in members["messages"]:
        if message["role"] == "tool":
            message["parts"].sort(key=lambda part: part["call_id"])
    if members["output"] == {**(members["output"] or {}), "kind": "text"}:
        members["output"] = None
    return members


@cases(REQUESTS, "candidates")
def test_encoding_does_not_change_the_conversation(case: dict[str, Any]) -> None:
    conversation = conversation_of(case)
    UPSTREAM.encode(conversation, DEPLOYMENT, LossReport())
    assert conversation == conversation_of(case)


@cases(RESPONSES)
def test_a_response_is_read(case: dict[str, Any]) -> None:
    assert UPSTREAM.decode(json.dumps(case["body"]).encode(), DEPLOYMENT) == expected_response(case)


@cases(RESPONSES, "blocked_prompt")
def test_a_response_is_unchanged_after_a_round_trip(case: dict[str, Any]) -> None:
    losses = LossReport()
    expected = expected_response(case)
    result = UPSTREAM.decode(CLIENT.encode(expected, call_of(), losses), DEPLOYMENT)
    assert _without_client_values(result) == _without_client_values(expected)
    assert not losses.taken()


@cases(RESPONSES, "blocked_prompt")
@pytest.mark.parametrize("is_array", [False, True])
def test_a_response_written_as_a_stream_is_the_same_response(case: dict[str, Any], *, is_array: bool) -> None:
    expected = expected_response(case)
    encoder = CLIENT.stream(stream_call(is_array=is_array), LossReport())
    wire = (
        encoder.encode([event for event in events_of(expected) if not isinstance(event, StreamEnded)]) + encoder.end()
    )
    assert _without_client_values(read_stream(wire)) == _without_client_values(expected)


def _without_client_values(response: Response) -> Any:
    """Return the content of a response without model and id, which the client gets, and without raw citations."""
    members = msgspec.to_builtins(response)
    for choice in members["choices"]:
        for part in choice["parts"]:
            for citation in part.get("citations", ()):
                del citation["raw"]
    return [members["choices"], members["usage"]]


@cases(STREAMS)
def test_a_stream_is_read(case: dict[str, Any]) -> None:
    assert read_stream(wire_of(case)) == expected_response(case)


@cases(STREAMS)
def test_a_stream_is_read_wherever_it_is_split(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wire, expected = wire_of(case), expected_response(case)
    splits = [[wire[at : at + 1] for at in range(len(wire))]]
    if len(wire) <= MAX_SPLIT_BYTES:
        splits += [[wire[:at], wire[at:]] for at in range(1, len(wire))]
    for pieces in splits:
        numbers = itertools.count()
        monkeypatch.setattr(upstream_response, "new_id", lambda _, numbers=numbers: f"minted_{next(numbers)}")
        assert read_stream(*pieces) == expected


@cases(STREAMS)
def test_a_stream_is_relayed_unchanged(case: dict[str, Any]) -> None:
    wire = wire_of(case)
    splitter = UPSTREAM.splitter()
    blocks = [splitter.feed(wire[at : at + 1]) for at in range(len(wire))]
    assert b"".join(blocks) + splitter.rest() == wire


@cases(STREAMS, "finish_on_every_chunk", "blocked_prompt", "array_compact", "one_chunk", "whole_document")
def test_a_stream_that_is_cut_off_is_malformed(case: dict[str, Any]) -> None:
    pieces = [piece for piece in case["wire"] if "finishReason" not in piece and "[DONE]" not in piece]
    with pytest.raises(errors.UpstreamMalformed, match="cut off"):
        read_stream("".join(pieces[:2] or pieces).encode())


@cases(ERROR_CASES)
def test_an_error_is_read(case: dict[str, Any]) -> None:
    body = case["body"].encode() if isinstance(case["body"], str) else json.dumps(case["body"]).encode()
    headers = [(name, value) for name, value in case["headers"]]
    found = UPSTREAM.decode_error(case["status"], headers, body, deployment="google-1", clock=FakeClock())
    expected = case["error"]
    assert type(found).__name__ == expected["class"]
    assert (found.code, found.status) == (expected["code"], expected["status"])
    assert expected["message_has"] in found.message
    assert "<" not in found.message
    assert found.param == expected.get("param")
    assert found.retry_after_s == expected.get("retry_after_s")


@cases([(name, case) for name, case in ERROR_CASES if case["error"]["class"] == "UpstreamRejected"])
def test_error_bodies_of_google_are_passed_on_unchanged(case: dict[str, Any]) -> None:
    body = json.dumps(case["body"]).encode()
    error = UPSTREAM.decode_error(case["status"], [], body, deployment="google-1", clock=FakeClock())
    assert json.loads(ERRORS.encode(error)) == case["body"]
