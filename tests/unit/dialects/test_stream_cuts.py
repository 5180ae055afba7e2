"""What a client gets of a stream does not depend on how the upstream's bytes are cut into packets."""

import json
from collections.abc import Callable, Iterable
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import LossReport, Usage, errors
from intellirouter.dialects.bedrock.event_stream import encode_message
from intellirouter.dialects.ir import (
    ChoiceFinished,
    Event,
    ReasoningDelta,
    Stop,
    StreamFailed,
    StreamStarted,
    TextDelta,
    UsageUpdate,
)
from tests.support.dialects.pairs import BY_UPSTREAM, CLIENTS, UPSTREAMS, client_of, plain_call, upstream_of
from tests.support.dialects.standard import ENDPOINTS

TEXT = [TextDelta(text=text) for text in ("Hel", "lo ", "you")]
SSE = ("openai_chat", "openai_responses", "anthropic_messages", "gemini")
PAIRS = [(client, upstream) for client in CLIENTS for upstream in UPSTREAMS]


def stream_of(upstream: str, *, has_usage: bool = True) -> bytes:
    """Return the beginning of a stream with three pieces of text, and its usage if the dialect can report it then."""
    if upstream == "bedrock":
        pieces = [bedrock("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": e.text}}) for e in TEXT]
        return bedrock("messageStart", {"role": "assistant"}) + b"".join(pieces)
    usage = Usage(input_tokens=7, output_tokens=3)
    encoder = client_of(upstream).stream(plain_call(upstream, is_stream=True), LossReport())
    started: list[Event] = [StreamStarted(id="x", model="m", usage=usage if has_usage else None)]
    return b"".join(encoder.encode([event]) for event in [*started, *TEXT])


def bedrock(kind: str, document: Any, **headers: str) -> bytes:
    all_headers = {":message-type": "event", ":event-type": kind} | {f":{k}": v for k, v in headers.items()}
    return encode_message(all_headers, json.dumps(document).encode())


def error_event(upstream: str) -> bytes:
    document: dict[str, Any] = {"error": {"message": "the vendor's words", "type": "rate_limit_error", "code": 429}}
    match upstream:
        case "bedrock":
            headers = {":message-type": "exception", ":exception-type": "throttlingException"}
            return encode_message(headers, b'{"message":"the vendor\'s words"}')
        case "ollama":
            return json.dumps({"error": "the vendor's words", "status": 429}).encode() + b"\n"
        case "anthropic_messages":
            document["type"] = "error"
        case "openai_responses":
            document = {"type": "error", "code": "rate_limit_exceeded", "message": "the vendor's words"}
        case "gemini":
            document = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "the vendor's words"}}
        case _:
            pass
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def untyped_error_event(upstream: str) -> bytes:
    return b'event: error\ndata: {"text": "the vendor\'s words"}\n\n' if upstream in SSE else error_event(upstream)


def is_typed(upstream: str, fault: "Fault") -> bool:
    return fault is error_event or upstream not in SSE


def malformed_event(upstream: str) -> bytes:
    if upstream == "bedrock":
        return bedrock("contentBlockDelta", {})[:-1] + b"?"
    return b'{"broken\n' if upstream == "ollama" else b'data: {"broken\n\n'


def invalid_text(upstream: str) -> bytes:
    if upstream == "bedrock":
        return malformed_event(upstream)
    return b'{"message": {"content": "\xff"}}\n' if upstream == "ollama" else b'data: {"a": "\xff"}\n\n'


def web_page(upstream: str) -> bytes:
    return b"<html><h1>502</h1></html>\n\n" if upstream in SSE else malformed_event(upstream)


def nothing(_upstream: str) -> bytes:
    return b""


def done(upstream: str) -> bytes:
    return b"data: [DONE]\n\n" if upstream in SSE else b""


Fault = Callable[[str], bytes]
FAULTS: list[Fault] = [
    error_event,
    untyped_error_event,
    malformed_event,
    invalid_text,
    web_page,
    nothing,
    done,
]


def outcome(client: str, upstream: str, pieces: Iterable[bytes]) -> dict[str, Any]:
    """Relay a stream as the pipeline does, and return what the client and the record get of it."""
    call, deployment = plain_call(client, is_stream=True), BY_UPSTREAM[upstream]
    route = ENDPOINTS["ollama_chat" if client == "ollama" else client].route(call, deployment)
    relay = route.relay(call, deployment)
    out, error = b"", None
    try:
        for piece in pieces:
            out += relay.feed(piece)
        out += relay.end()
        error = relay.error
    except errors.UpstreamError as raised:
        error = raised
        if relay.has_content:
            out += relay.fail(raised)
    decoder = upstream_of(client).stream(BY_UPSTREAM[client])
    events = decoder.feed(out)
    if error is None:
        events += decoder.end()
    return {
        "is_sent": bool(out),
        "text": "".join(event.text for event in events if isinstance(event, TextDelta | ReasoningDelta)),
        "failures": [type(event.error).__name__ for event in events if isinstance(event, StreamFailed)],
        "stops": [event.stop.reason for event in events if isinstance(event, ChoiceFinished)],
        "error": error and (type(error).__name__, error.message),
        "usage": relay.usage,
        "finish_reason": relay.finish_reason,
        "content": relay.has_content,
    }


def cut(wire: bytes, *at: int) -> list[bytes]:
    points = [0, *sorted(at), len(wire)]
    return [wire[start:end] for start, end in pairwise(points) if start < end]


@cache
def wire_of(upstream: str, fault: Fault) -> bytes:
    after = stream_of(upstream) if fault is done and upstream == "openai_chat" else b""
    return stream_of(upstream) + fault(upstream) + after


@cache
def expected(client: str, upstream: str, fault: Fault) -> dict[str, Any]:
    wire = wire_of(upstream, fault)
    return outcome(client, upstream, cut(wire, *range(len(wire))))


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_content_before_a_fault_reaches_the_client(client: str, upstream: str, fault: Fault) -> None:
    wire = wire_of(upstream, fault)
    found = outcome(client, upstream, [wire])
    assert found == expected(client, upstream, fault)
    assert found["text"] == "Hello you"
    if fault is done and upstream == "openai_chat":
        assert found["stops"] == ["stop"]
        return
    assert found["error"] is not None
    assert len(found["failures"]) == 1
    assert found["stops"] == []
    if fault in {error_event, untyped_error_event}:
        assert "the vendor's words" in found["error"][1]
        assert found["error"][0] == ("UpstreamRateLimited" if is_typed(upstream, fault) else "UpstreamUnavailable")
    else:
        assert found["error"][0] == "UpstreamMalformed"
    if upstream == "anthropic_messages":  # which reports it at the start
        assert found["usage"].input_tokens == 7


@given(st.data(), st.sampled_from(PAIRS), st.sampled_from(FAULTS))
def test_the_outcome_does_not_depend_on_the_packets(data: st.DataObject, pair: tuple[str, str], fault: Fault) -> None:
    wire = wire_of(pair[1], fault)
    points = data.draw(st.lists(st.integers(1, len(wire) - 1), max_size=4))
    assert outcome(*pair, cut(wire, *points)) == expected(*pair, fault)


@pytest.mark.parametrize("fault", [error_event, untyped_error_event, malformed_event, invalid_text, web_page])
@pytest.mark.parametrize(("client", "upstream"), PAIRS)
def test_a_fault_before_any_content_can_fall_back(client: str, upstream: str, fault: Fault) -> None:
    found = outcome(client, upstream, [fault(upstream)])
    assert not found["is_sent"]
    assert not found["content"]
    assert found["error"] is not None


@pytest.mark.parametrize(
    "fault", [b'{"error":{"code":429,"message":"slow"}}]', b'{"a":"\xff"}]', b'{"a" 1}]', b"", b"]"]
)
@pytest.mark.parametrize("client", CLIENTS)
def test_content_before_a_fault_in_an_array_reaches_the_client(client: str, fault: bytes) -> None:
    chunks = [{"candidates": [{"content": {"parts": [{"text": event.text}]}}]} for event in TEXT]
    wire = b"[" + b",\r\n".join(json.dumps(chunk).encode() for chunk in chunks) + b",\n" * (fault != b"]") + fault
    found = outcome(client, "gemini", [wire])
    assert found == outcome(client, "gemini", cut(wire, *range(len(wire))))
    assert (found["text"], len(found["failures"])) == ("Hello you", 1)
    assert found["error"] is not None


@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
@pytest.mark.parametrize("fault", [error_event, untyped_error_event, malformed_event, invalid_text])
@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[1] in SSE])
def test_content_before_a_fault_is_found_with_other_line_ends(
    client: str, upstream: str, fault: Fault, line_end: bytes
) -> None:
    found = outcome(client, upstream, [wire_of(upstream, fault).replace(b"\n", line_end)])
    assert (found["text"], found["error"]) == ("Hello you", expected(client, upstream, fault)["error"])


@pytest.mark.parametrize("client", CLIENTS)
def test_usage_before_a_fault_is_kept(client: str) -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}}\n\n'
    wire = stream_of("openai_chat", has_usage=False) + usage + error_event("openai_chat")
    assert outcome(client, "openai_chat", [wire])["usage"].output_tokens == 3


def finished(upstream: str) -> bytes:
    """Return a stream that ends as it should."""
    encoder = client_of(upstream).stream(plain_call(upstream, is_stream=True), LossReport())
    usage = UsageUpdate(usage=Usage(input_tokens=7, output_tokens=3))
    events = [StreamStarted(id="x", model="m"), *TEXT, ChoiceFinished(stop=Stop(reason="stop")), usage]
    return b"".join(encoder.encode([event]) for event in events) + encoder.end()


@pytest.mark.parametrize(("client", "upstream"), [pair for pair in PAIRS if pair[1] != "bedrock"])
def test_what_follows_the_end_changes_nothing(client: str, upstream: str) -> None:
    wire = finished(upstream)
    found = outcome(client, upstream, [wire + (b"" if upstream == "gemini" else malformed_event(upstream))])
    assert found == outcome(client, upstream, cut(wire, *range(len(wire))))
    assert (found["error"], found["text"], found["stops"]) == (None, "Hello you", ["stop"])
