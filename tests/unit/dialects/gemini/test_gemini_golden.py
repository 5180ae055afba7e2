"""Every golden case of Google's dialect, both ways, its streams split at every byte."""

import itertools
import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import LossReport, RequestContext, errors
from intellirouter.dialects.gemini import CLIENT, ERRORS, UPSTREAM
from intellirouter.dialects.gemini import upstream_response as answer_in
from intellirouter.dialects.ir import Conversation, Response, StreamEnded, events_of, origin_of
from intellirouter.testing import FakeClock
from tests.support.dialects.gemini import call_of, deployment, read_stream, stream_call
from tests.support.dialects.golden import load, wire_of

REQUESTS, RESPONSES, STREAMS, FAILURES = (
    load("gemini", kind) for kind in ("requests", "responses", "streams", "errors")
)
OURS = deployment()
NOT_REPEATED = {
    "empty_content": "turns without anything are left out",
    "candidates": "its stream is refused, and n is not said twice",
    "result_beside_text": "the response and the words are contents of their own",
}
LONG = 1500
"""Streams longer than this are fed byte by byte once, not cut at every place."""


@pytest.fixture(autouse=True)
def minted_ids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of calls that have none come in order: fixtures name them."""
    numbers = itertools.count()
    monkeypatch.setattr(answer_in, "new_id", lambda prefix: f"minted_{next(numbers)}" if prefix else "x")


def cases(found: list[tuple[str, dict[str, Any]]], *but: str) -> Any:
    kept = [(name, case) for name, case in found if name not in but]
    return pytest.mark.parametrize("case", [case for _, case in kept], ids=[name for name, _ in kept])


def minted(value: Any) -> Any:
    """Name the endpoint in the tokens of a form: fixtures do not know it."""
    if isinstance(value, dict):
        marked = {name: minted(item) for name, item in value.items()}
        if isinstance(token := marked.get("token"), dict):
            token.setdefault("origin", origin_of(OURS))
        return marked
    return [minted(item) for item in value] if isinstance(value, list) else value


def conversation_of(case: dict[str, Any], body: bytes | None = None) -> Conversation:
    path = case["path"]
    context = RequestContext(model=path["model"], is_stream=path["is_stream"], query=path["query"])
    return CLIENT.decode(CLIENT.decode_request(body or json.dumps(case["body"]).encode(), context))


def response_form(case: dict[str, Any]) -> Response:
    return msgspec.convert(minted(case["form"]), Response)


def test_there_are_enough_cases() -> None:
    assert len(REQUESTS) >= 35
    assert len(RESPONSES) >= 20
    assert len(STREAMS) >= 20
    assert len(FAILURES) >= 10


@cases(REQUESTS)
def test_a_request_is_read(case: dict[str, Any]) -> None:
    assert conversation_of(case) == msgspec.convert(case["form"], Conversation)


@cases(REQUESTS, *NOT_REPEATED)
def test_a_request_says_the_same_after_a_round_trip(case: dict[str, Any]) -> None:
    conversation = conversation_of(case)
    losses = LossReport()
    request = UPSTREAM.encode(conversation, deployment(conversation.model), losses)
    assert not losses.taken()
    assert _comparable(conversation_of(case, request.body)) == _comparable(conversation)


def _comparable(conversation: Conversation) -> Any:
    """Leave out what has two spellings: responses come in the calls' order, text/plain is the default."""
    form = msgspec.to_builtins(conversation)
    for message in form["messages"]:
        if message["role"] == "tool":
            message["parts"].sort(key=lambda part: part["call_id"])
    if form["output"] == {**(form["output"] or {}), "kind": "text"}:
        form["output"] = None
    return form


@cases(REQUESTS, "candidates")
def test_writing_leaves_the_conversation_alone(case: dict[str, Any]) -> None:
    conversation = conversation_of(case)
    UPSTREAM.encode(conversation, OURS, LossReport())
    assert conversation == conversation_of(case)


@cases(RESPONSES)
def test_an_answer_is_read(case: dict[str, Any]) -> None:
    assert UPSTREAM.decode(json.dumps(case["body"]).encode(), OURS) == response_form(case)


@cases(RESPONSES, "blocked_prompt")
def test_an_answer_says_the_same_after_a_round_trip(case: dict[str, Any]) -> None:
    losses = LossReport()
    want = response_form(case)
    again = UPSTREAM.decode(CLIENT.encode(want, call_of(), losses), OURS)
    assert _told(again) == _told(want)
    assert not losses.taken()


@cases(RESPONSES, "blocked_prompt")
@pytest.mark.parametrize("is_array", [False, True])
def test_an_answer_told_as_a_stream_is_the_same_answer(case: dict[str, Any], *, is_array: bool) -> None:
    want = response_form(case)
    encoder = CLIENT.stream(stream_call(is_array=is_array), LossReport())
    wire = encoder.encode([event for event in events_of(want) if not isinstance(event, StreamEnded)]) + encoder.end()
    assert _told(read_stream(wire)) == _told(want)


def _told(response: Response) -> Any:
    """What an answer says: without the name and id that are the client's own, and without how sources were written."""
    form = msgspec.to_builtins(response)
    for choice in form["choices"]:
        for part in choice["parts"]:
            for citation in part.get("citations", ()):
                del citation["raw"]
    return [form["choices"], form["usage"]]


@cases(STREAMS)
def test_a_stream_is_read(case: dict[str, Any]) -> None:
    assert read_stream(wire_of(case)) == response_form(case)


@cases(STREAMS)
def test_a_stream_may_be_split_anywhere(case: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wire, want = wire_of(case), response_form(case)
    splits = [[wire[at : at + 1] for at in range(len(wire))]]
    if len(wire) <= LONG:
        splits += [[wire[:at], wire[at:]] for at in range(1, len(wire))]
    for pieces in splits:
        numbers = itertools.count()
        monkeypatch.setattr(answer_in, "new_id", lambda _, numbers=numbers: f"minted_{next(numbers)}")
        assert read_stream(*pieces) == want


@cases(STREAMS)
def test_a_stream_is_relayed_byte_by_byte_as_it_came(case: dict[str, Any]) -> None:
    wire = wire_of(case)
    splitter = UPSTREAM.splitter()
    blocks = [splitter.feed(wire[at : at + 1]) for at in range(len(wire))]
    assert b"".join(blocks) + splitter.rest() == wire


@cases(STREAMS, "finish_on_every_chunk", "blocked_prompt", "array_compact", "one_chunk", "whole_document")
def test_a_stream_cut_short_is_malformed(case: dict[str, Any]) -> None:
    pieces = [piece for piece in case["wire"] if "finishReason" not in piece and "[DONE]" not in piece]
    with pytest.raises(errors.UpstreamMalformed, match="cut off"):
        read_stream("".join(pieces[:2] or pieces).encode())


@cases(FAILURES)
def test_an_error_is_read(case: dict[str, Any]) -> None:
    body = case["body"].encode() if isinstance(case["body"], str) else json.dumps(case["body"]).encode()
    headers = [(name, value) for name, value in case["headers"]]
    found = UPSTREAM.decode_error(case["status"], headers, body, deployment="google-1", clock=FakeClock())
    want = case["error"]
    assert type(found).__name__ == want["class"]
    assert (found.code, found.status) == (want["code"], want["status"])
    assert want["message_has"] in found.message
    assert "<" not in found.message
    assert found.param == want.get("param")
    assert found.retry_after_s == want.get("retry_after_s")


@cases([(name, case) for name, case in FAILURES if case["error"]["class"] == "UpstreamRejected"])
def test_googles_own_words_reach_its_clients(case: dict[str, Any]) -> None:
    body = json.dumps(case["body"]).encode()
    error = UPSTREAM.decode_error(case["status"], [], body, deployment="google-1", clock=FakeClock())
    assert json.loads(ERRORS.encode(error)) == case["body"]
