"""A delta that arrives is sent on at once, without waiting for another: for any dialects, and with any checks."""

import json
from collections.abc import Iterator

import pytest

from intellirouter.core import Call, LossReport
from intellirouter.dialects import StreamRelay
from intellirouter.dialects.ir import StreamStarted, TextDelta
from intellirouter.dialects.openai_completions import CLIENT as COMPLETIONS
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    call_of,
    client_of,
    endpoint_of,
    plain_call,
    upstream_of,
)
from tests.support.dialects.standard import ENDPOINTS

PIECES = ['{"a', '": ', "1", "2", "3", " ", "}"]
"""The beginning of an answer that is JSON, so that it is valid for every request."""
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}
CHAT = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}
CHAT_FORMAT = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA}}
CHECKED = {
    "openai_chat": {**CHAT, "response_format": CHAT_FORMAT},
    "openai_responses": {
        "model": "m",
        "stream": True,
        "input": "x",
        "text": {"format": {"type": "json_schema", "name": "n", "schema": SCHEMA}},
    },
    "anthropic_messages": {
        **CHAT,
        "max_tokens": 9,
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
    },
    "gemini": {
        "contents": [{"role": "user", "parts": [{"text": "x"}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": SCHEMA},
    },
    "ollama": {**CHAT, "format": SCHEMA},
}
UPSTREAMS = tuple(CLIENTS)


def checked_call(client: str) -> Call:
    path = {"model": "m", "is_stream": True, "query": "alt=sse"} if client == "gemini" else None
    return call_of(client, {"body": CHECKED[client], "path": path})


def stream_of(upstream: str, call: Call | None = None) -> Iterator[bytes]:
    """Yield what the upstream sends for each piece."""
    call = call or plain_call(upstream, is_stream=True)
    encoder = client_of(upstream, call.body).stream(call, LossReport())
    start = encoder.encode([StreamStarted(id="x", model="m")])
    for piece in PIECES:
        yield start + encoder.encode([TextDelta(text=piece)])
        start = b""


def text_of(client: str, wire: bytes) -> str:
    """Return the text that a client has read."""
    if client == "openai_completions":
        chunks = [json.loads(each[6:]) for each in wire.decode().split("\n\n") if each.startswith("data: {")]
        return "".join(choice["text"] for chunk in chunks for choice in chunk["choices"])
    events = upstream_of(client).stream(BY_UPSTREAM[client]).feed(wire)
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def check(relay: StreamRelay, client: str, upstream: str) -> None:
    wire, sent = b"", ""
    for data, piece in zip(stream_of(upstream), PIECES, strict=True):
        wire += relay.feed(data)
        sent += piece
        assert text_of(client, wire) == sent


@pytest.mark.parametrize("is_checked", [False, True], ids=["plain", "checked"])
@pytest.mark.parametrize("names_model", [False, True], ids=["as it is", "renamed"])
@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("client", CLIENTS)
def test_text_is_sent_on_at_once(client: str, upstream: str, is_checked: bool, names_model: bool) -> None:
    call = checked_call(client) if is_checked else plain_call(client, is_stream=True)
    call.names_requested_model = names_model
    route = ENDPOINTS[endpoint_of(client, call.body)].route(call, BY_UPSTREAM[upstream])
    check(route.relay(call, BY_UPSTREAM[upstream]), client, upstream)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_text_is_sent_on_at_once_to_clients_of_completions(upstream: str) -> None:
    body = json.dumps({"model": "m", "prompt": "x", "stream": True, "max_tokens": 9}).encode()
    call = COMPLETIONS.decode_request(body)
    relay = ENDPOINTS["openai_completions"].route(call, BY_UPSTREAM[upstream]).relay(call, BY_UPSTREAM[upstream])
    check(relay, "openai_completions", upstream)


@pytest.mark.parametrize("upstream", UPSTREAMS)
def test_text_is_sent_on_at_once_to_clients_of_generate(upstream: str) -> None:
    body = {"model": "m", "prompt": "x", "stream": True}
    call = call_of("ollama", {"body": body})
    relay = ENDPOINTS["ollama_generate"].route(call, BY_UPSTREAM[upstream]).relay(call, BY_UPSTREAM[upstream])
    wire, sent = b"", ""
    for data, piece in zip(stream_of(upstream, call if upstream == "ollama" else None), PIECES, strict=True):
        wire += relay.feed(data)
        sent += piece
        lines = [json.loads(line) for line in wire.splitlines() if line.strip()]
        assert "".join(line["response"] for line in lines) == sent
