"""Translate golden cases between all client dialects and all upstream dialects, for pair tests and the feature table.

A request is encoded for an upstream like in the pipeline, and decoded like a request of a client with that dialect. An
answer is decoded, and encoded for a client as a body or as a stream.
"""

import base64
import json
from functools import cache
from typing import Any

from msgspec import Struct, structs

from intellirouter.core import (
    Call,
    Deployment,
    LossReport,
    Quirks,
    RequestContext,
    UpstreamRequest,
    errors,
)
from intellirouter.dialects import DIALECTS
from intellirouter.dialects.adapt.forced_choice import forced_call
from intellirouter.dialects.adapt.inline_media import with_fetched
from intellirouter.dialects.ir import Conversation, Event, Response, collect
from intellirouter.dialects.routes.translation import ChatTranslation
from tests.support.dialects.converse_reader import read_converse
from tests.support.dialects.deployments import build_deployment
from tests.support.dialects.golden import load
from tests.support.dialects.standard import ENDPOINTS, STANDARD_DIALECTS

CLIENTS = ("openai_chat", "openai_responses", "anthropic_messages", "gemini", "ollama")
UPSTREAMS = (*CLIENTS, "bedrock")
_PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
_FETCHED = {
    ".pdf": ("application/pdf", "JVBERi0xLjQKJSVFT0YK"),
    ".mp4": ("video/mp4", "AAAAGGZ0eXBtcDQy"),
    ".mp3": ("audio/mpeg", "SUQzBAAAAAAA"),
    ".wav": ("audio/wav", "UklGRiQAAABXQVZF"),
}
"""Fetched content by the suffix of its URL; all other URLs are images."""


def deployment(dialect: str, vendor: str, model: str, url: str, **quirks: Any) -> Deployment:
    return build_deployment(dialect, vendor, model, url, quirks=Quirks(**quirks))


BY_UPSTREAM = {
    "openai_chat": deployment("openai_chat", "openai", "gpt-5.1", "https://api.openai.com/v1", has_developer_role=True),
    "openai_responses": deployment(
        "openai_responses", "openai", "gpt-5.1", "https://api.openai.com/v1", has_developer_role=True
    ),
    "anthropic_messages": deployment(
        "anthropic_messages", "anthropic", "claude-sonnet-4-5", "https://api.anthropic.com"
    ),
    "gemini": deployment("gemini", "gemini", "gemini-2.5-flash", "https://generativelanguage.googleapis.com/v1beta"),
    "ollama": deployment("ollama", "ollama", "qwen3:8b", "http://127.0.0.1:11434"),
    "bedrock": deployment(
        "bedrock", "bedrock", "anthropic.claude-sonnet-4-5-v1:0", "https://bedrock-runtime.eu-west-1.amazonaws.com"
    ),
}
"""A deployment of the original vendor for each dialect."""
OTHERS = {
    "compatible": deployment("openai_chat", "openai-compatible", "m", "http://127.0.0.1:9/v1"),
    "bare": deployment(
        "openai_chat", "openai-compatible", "m", "http://127.0.0.1:9/v1", structured_output="none", max_temperature=1.0
    ),
    "deepseek": deployment("openai_chat", "deepseek", "deepseek-chat", "https://api.deepseek.com"),
    "claude-4.6": deployment("anthropic_messages", "anthropic", "claude-opus-4-6", "https://api.anthropic.com"),
    "gemini-3": deployment(
        "gemini", "gemini", "gemini-3-pro-preview", "https://generativelanguage.googleapis.com/v1beta"
    ),
    "nova": deployment("bedrock", "bedrock", "amazon.nova-pro-v1:0", "https://bedrock-runtime.eu-west-1.amazonaws.com"),
}
"""Deployments that need another encoding of the same dialect."""

UPSTREAM_DEFAULTS: dict[str, dict[str, Any]] = {
    "openai/gpt-5.1": {"reasoning shown": "False"},
    "openai-compatible/m": {"reasoning shown": "True"},
    "deepseek/deepseek-chat": {"reasoning shown": "True"},
    "anthropic/claude-sonnet-4-5": {"reasoning": "off", "reasoning shown": "True"},
    "anthropic/claude-opus-4-6": {"reasoning": "off", "reasoning shown": "True"},
    "gemini/gemini-2.5-flash": {"reasoning": "dynamic", "reasoning shown": "False"},
    "gemini/gemini-3-pro-preview": {"reasoning": "dynamic", "reasoning shown": "False"},
    "ollama/qwen3:8b": {"reasoning shown": "True"},
    "bedrock/anthropic.claude-sonnet-4-5-v1:0": {"reasoning": "off", "reasoning shown": "True"},
    "bedrock/amazon.nova-pro-v1:0": {"reasoning": "off", "reasoning shown": "True"},
}
"""Defaults of the upstreams for facts that a request does not set."""


class Sent(Struct, kw_only=True):
    """An encoded request: the original conversation, the upstream request, and the reported losses."""

    before: Conversation
    request: UpstreamRequest | None = None
    """None if the request was rejected."""
    losses: dict[str, str]
    """From the client's name of the field to how it was lost."""
    refusal: errors.UnsupportedFeature | None = None


def client_of(dialect: str, body: bytes = b"") -> Any:
    """Return the client codec. Ollama has one for each of its two endpoints."""
    return ENDPOINTS[endpoint_of(dialect, body)].client


def endpoint_of(dialect: str, body: bytes = b"") -> str:
    if dialect != "ollama":
        return dialect
    return "ollama_generate" if b'"prompt"' in body else "ollama_chat"


def translation_of(call: Call, client: str, upstream: str) -> ChatTranslation:
    """Return the translation between two dialects, which may be the same."""
    traits = next(spec.traits for spec in DIALECTS if spec.name == upstream and spec.chat is not None)
    return ChatTranslation(client_of(client, call.body), upstream_of(upstream), traits)


def upstream_of(dialect: str) -> Any:
    return STANDARD_DIALECTS.upstreams[dialect]


def call_of(dialect: str, case: dict[str, Any]) -> Call:
    """Decode a request as its client sends it."""
    body = json.dumps(case["body"], ensure_ascii=False).replace("Infinity", "1e999").encode()  # a valid JSON number
    path = case.get("path") or {}
    headers = tuple((name, value) for name, value in case.get("headers", ()))
    context = RequestContext(
        headers=headers, **{key: path[key] for key in ("model", "is_stream", "query") if key in path}
    )
    call: Call = client_of(dialect, body).decode_request(body, context)
    return call


_PLAIN: dict[str, Any] = {
    "openai_chat": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
    "openai_responses": {"model": "m", "input": "hi"},
    "anthropic_messages": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]},
    "ollama": {"model": "m", "messages": [{"role": "user", "content": "hi"}]},
}


def plain_call(dialect: str, *, is_stream: bool = False) -> Call:
    """Return a minimal call that accepts everything an answer can contain."""
    body = dict(_PLAIN[dialect])
    if dialect != "gemini":
        body["stream"] = is_stream
    if dialect == "openai_chat" and is_stream:
        body["stream_options"] = {"include_usage": True}
    if dialect == "openai_responses":
        body["include"] = ["reasoning.encrypted_content", "message.output_text.logprobs"]
    path = {"model": "m", "is_stream": is_stream, "query": "alt=sse" if is_stream else ""}
    return call_of(dialect, {"body": body, "path": path if dialect == "gemini" else None})


def send(call: Call, client: str, target: Deployment, form: Conversation | None = None) -> Sent:
    """Encode the upstream request like the pipeline, with fetches. `form` replaces the conversation of the call."""
    route = translation_of(call, client, target.dialects[0])
    before: Conversation = form or client_of(client, call.body).decode(call)
    call.conversation = form
    try:
        if urls := route.media_urls(call, target):
            call.fetched = {url: web(url) for url in urls}
            before = with_fetched(before, call.fetched, LossReport())
        request = route.encode_request(call, target)
    except errors.UnsupportedFeature as refusal:
        return Sent(before=before, losses={}, refusal=refusal)
    if target.dialects[0] == "ollama" and (forced := forced_call(before)) is not None:
        before = forced.requested(before, LossReport())
        assert "emulated" in {loss.how for loss in request.losses}
    return Sent(before=before, request=request, losses={loss.field: loss.how for loss in request.losses})


def web(url: str) -> tuple[str, str]:
    return next((found for end, found in _FETCHED.items() if url.lower().endswith(end)), ("image/png", _PNG))


def read_back(request: UpstreamRequest, dialect: str) -> Conversation:
    """Decode an upstream request like a request of a client with that dialect."""
    if dialect == "bedrock":
        return read_converse(request.body, is_stream=request.path.endswith("converse-stream"))
    context = RequestContext(headers=tuple(request.headers))
    if dialect == "gemini":
        path, _, query = request.path.partition("?")
        model, _, method = path.rpartition("/")[2].partition(":")
        context = RequestContext(model=model, is_stream=method.startswith("stream"), query=query)
    client: Any = ENDPOINTS["ollama_chat" if dialect == "ollama" else dialect].client
    form: Conversation = client.decode(client.decode_request(request.body, context))
    return form


@cache
def request_cases(dialect: str) -> tuple[tuple[str, dict[str, Any]], ...]:
    return tuple(load(dialect, "requests"))


def wire_of(dialect: str, case: dict[str, Any]) -> bytes:
    """Return the bytes of a stream."""
    if dialect == "bedrock":
        return b"".join(base64.b64decode(frame) for frame in case["wire"])
    return "".join(case["wire"]).encode()


def read_answer(dialect: str, case: dict[str, Any]) -> Response:
    """Decode an answer of the vendor."""
    body = json.dumps(case["body"], ensure_ascii=False).replace("Infinity", "1e999").encode()  # a valid JSON number
    response: Response = upstream_of(dialect).decode(body, BY_UPSTREAM[dialect])
    return response


def read_stream(dialect: str, *pieces: bytes) -> list[Event]:
    """Decode a stream from these pieces."""
    decoder = upstream_of(dialect).stream(BY_UPSTREAM[dialect])
    events: list[Event] = []
    for piece in pieces:
        events += decoder.feed(piece)
    return events + decoder.end()


def collected(dialect: str, *pieces: bytes) -> Response:
    return collect(read_stream(dialect, *pieces), dialect)


def encode_answer(response: Response, client: str) -> tuple[bytes, dict[str, str]]:
    """Encode an answer for a client. Returns the body and the losses."""
    losses = LossReport()
    call = plain_call(client)
    body: bytes = client_of(client).encode(response, call, losses)
    return body, {loss.field: loss.how for loss in losses.taken()}


def encode_stream(events: list[Event], client: str, *, at_once: bool = False) -> tuple[bytes, dict[str, str]]:
    """Encode a stream for a client, event by event or all events at once. Returns the stream and the losses."""
    losses = LossReport()
    encoder = client_of(client).stream(plain_call(client, is_stream=True), losses)
    encoded = [event for event in events if type(event).__name__ != "StreamEnded"]
    groups = [encoded] if at_once else [[event] for event in encoded]
    out = b"".join(encoder.encode(group) for group in groups)
    return out + encoder.end(), {loss.field: loss.how for loss in losses.taken()}


def with_model(response: Response, model: str) -> Response:
    return structs.replace(response, model=model)
