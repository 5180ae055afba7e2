"""Builders for Gemini deployments and calls, and readers for streams."""

import json
from typing import Any

from intellirouter.core import Call, Deployment, LossReport, RequestContext
from intellirouter.dialects.gemini import CLIENT, UPSTREAM
from intellirouter.dialects.ir import Conversation, Event, Response, collect
from tests.support.dialects.deployments import build_deployment

GOOGLE = "https://generativelanguage.googleapis.com/v1beta"
VERTEX = "https://europe-west4-aiplatform.googleapis.com/v1/projects/p/locations/europe-west4/publishers/google"
HI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}


def deployment(model: str = "gemini-2.5-flash", base_url: str = GOOGLE) -> Deployment:
    return build_deployment("gemini", "gemini", model, base_url, name="google-1", provider="google")


def call_of(body: Any = HI, model: str = "public", **context: Any) -> Call:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    return CLIENT.decode_request(data, RequestContext(model=model, **context))


def conversation_of(body: Any) -> Conversation:
    return CLIENT.decode(call_of(body))


def stream_call(*, is_array: bool = False) -> Call:
    return call_of(is_stream=True, query="" if is_array else "alt=sse")


def read_stream(*pieces: bytes, target: Deployment | None = None) -> Response:
    decoder = UPSTREAM.stream(target or deployment())
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return collect(events + decoder.end(), "gemini")


def documents_in(wire: bytes) -> list[dict[str, Any]]:
    """Return the documents of a client stream, either SSE or an array."""
    if wire.startswith(b"["):
        found: list[dict[str, Any]] = json.loads(wire)
        return found
    return [json.loads(line[6:]) for line in wire.decode().splitlines() if line.startswith("data: ")]


def encode_stream(*events: Event, is_array: bool = False) -> list[dict[str, Any]]:
    encoder = CLIENT.stream(stream_call(is_array=is_array), LossReport())
    return documents_in(encoder.encode(events) + encoder.end())
