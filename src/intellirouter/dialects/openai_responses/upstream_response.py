"""Reads an upstream's response object: output items into parts, its status into a stop, its error into ours."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage, errors, new_id
from intellirouter.dialects.ir import (
    Choice,
    Foreign,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Stop,
    Text,
    ToolCall,
)
from intellirouter.dialects.openai.upstream_errors import ACCOUNT_CODES, decode_error_in_200
from intellirouter.dialects.openai_responses.client_content import citation
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.response_envelope import REJECTED_CODES
from intellirouter.dialects.wire.lenient import as_int

_MAX_TOKENS: Final = 10**12
"""More is nonsense, and would not fit the ledger's integers once priced."""
_CLIENT_CODES: Final = REJECTED_CODES | {
    "content_policy_violation",
    "context_length_exceeded",
    "cyber_policy",
    "invalid_prompt",
    "invalid_request_error",
    "misalignment_policy_violation",
    "string_above_max_length",
}
_TIMEOUT_CODES: Final = frozenset({"vector_store_timeout", "timeout", "request_timeout"})


class Body(Struct):
    """A response object, its types unchecked: what is odd is read as missing."""

    id: Any = None
    model: Any = None
    created_at: Any = None
    status: Any = None
    output: Any = None
    usage: Any = None
    error: Any = None
    incomplete_details: Any = None
    service_tier: Any = None


_decoder: Final = msgspec.json.Decoder(Body)


def read_body(raw: bytes | msgspec.Raw) -> Body | None:
    """Return the object, None when it is none."""
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_response(body: bytes, origin: str) -> Response:
    """Read a 200 body. Raises `UpstreamMalformed` or the error that it holds."""
    read = read_body(body) if _is_utf8(body) else None
    if read is None:
        raise errors.UpstreamMalformed("The upstream's answer is no response object in JSON.")
    if read.status == "failed":
        raise failure(read.error)
    if read.error and not isinstance(read.output, list):
        raise decode_error_in_200(body)
    if not isinstance(read.output, list):
        raise errors.UpstreamMalformed("The upstream's answer has no `output`.")
    parts = [part for item in read.output for part in parts_of(item, origin)]
    return Response(
        id=said(read.id),
        model=said(read.model),
        created_s=as_int(read.created_at),
        choices=[Choice(parts=parts, stop=stop_of(read, parts))],
        usage=decode_usage(read.usage),
        service_tier=said(read.service_tier),
        dialect=DIALECT,
    )


def _is_utf8(body: bytes) -> bool:
    """The decoder skips what it is not asked for, text that is no UTF-8 included."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def said(value: Any) -> str:
    return value if isinstance(value, str) else ""


def parts_of(item: Any, origin: str) -> Iterator[Part]:
    """Read one output item."""
    if not isinstance(item, dict):
        raise errors.UpstreamMalformed("An item of the upstream's output is no object.")
    kind = said(item.get("type"))
    if kind == "message":
        for content in _listed(item.get("content")):
            yield from _contents_of(content)
    elif kind == "reasoning":
        part = reasoning_of(item, origin)
        if part.text or part.summary or part.token is not None:
            yield part
    elif kind in {"function_call", "custom_tool_call"}:
        yield call_of(item)
    else:
        yield Foreign(dialect=DIALECT, kind=kind, raw=item)


def _contents_of(content: Any) -> Iterator[Part]:
    if not isinstance(content, dict):
        return
    kind = content.get("type")
    if kind == "output_text":
        yield Text(
            text=said(content.get("text")),
            citations=[found for found in map(citation, _listed(content.get("annotations"))) if found is not None],
            logprobs=_listed(content.get("logprobs")) or None,
        )
    elif kind == "refusal":
        yield Refusal(text=said(content.get("refusal")))
    else:
        yield Foreign(dialect=DIALECT, kind=said(kind), raw=content)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def reasoning_of(item: dict[str, Any], origin: str) -> Reasoning:
    """Read a reasoning item. Its id matters only where its token is sent back."""
    token = said(item.get("encrypted_content"))
    return Reasoning(
        text="".join(texts_of(item.get("content"))),
        summary=texts_of(item.get("summary")),
        token=Opaque(value=token, origin=origin, dialect=DIALECT) if token else None,
        id=said(item.get("id")) if token else "",
    )


def texts_of(value: Any) -> list[str]:
    return [said(part.get("text")) for part in _listed(value) if isinstance(part, dict)]


def call_of(item: dict[str, Any]) -> ToolCall:
    """Read a call. One without a name cannot be run."""
    name = said(item.get("name"))
    if not name:
        raise errors.UpstreamMalformed("A tool call in the upstream's output has no `name`.")
    is_function = item.get("type") == "function_call"
    spoken = arguments_of(item.get("arguments" if is_function else "input"))
    return ToolCall(
        id=said(item.get("call_id")) or said(item.get("id")) or new_id("call_"),
        name=name,
        arguments=spoken or ("{}" if is_function else ""),
        kind="function" if is_function else "custom",
        item_id=said(item.get("id")),
    )


def arguments_of(value: Any) -> str:
    """Return arguments as text; some backends send the object itself."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else ""


def stop_of(body: Body, parts: list[Part]) -> Stop | None:
    """Return why the answer ended; None while it has not."""
    raw = said(body.status)
    if raw in {"queued", "in_progress"}:
        return None
    details = body.incomplete_details
    reason = said(details.get("reason")) if isinstance(details, dict) else ""
    if raw == "incomplete":
        return cut_stop(reason)
    if raw == "cancelled":
        return Stop(reason="cancelled", raw=raw)
    if any(isinstance(part, ToolCall) for part in parts):
        return Stop(reason="tool_calls", raw=raw)
    if any(isinstance(part, Refusal) for part in parts):
        return Stop(reason="refusal", raw=raw)
    return Stop(reason="stop", raw=raw)


def cut_stop(reason: str) -> Stop:
    """Return the stop of an incomplete response."""
    if reason == "content_filter":
        return Stop(reason="content_filter", raw=reason)
    if reason == "steered":
        return Stop(reason="stop", raw=reason)
    return Stop(reason="length", raw=reason or "incomplete")


def decode_usage(raw: Any) -> Usage | None:
    """Read counts into disjoint buckets: input includes the cached tokens, output the reasoning ones."""
    if not isinstance(raw, dict):
        return None
    prompt, completion = _count(raw, "input_tokens", _MAX_TOKENS), _count(raw, "output_tokens", _MAX_TOKENS)
    read = _count(raw.get("input_tokens_details"), "cached_tokens", prompt)
    written = _count(raw.get("input_tokens_details"), "cache_write_tokens", prompt - read)
    thought = _count(raw.get("output_tokens_details"), "reasoning_tokens", completion)
    return Usage(
        input_tokens=prompt - read - written,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=completion - thought,
        reasoning_tokens=thought,
    )


def _count(source: Any, name: str, whole: int) -> int:
    """A part is never negative and never more than the whole, whatever a vendor reports."""
    return min(as_int(source.get(name)), whole) if isinstance(source, dict) else 0


def failure(error: Any) -> errors.UpstreamError:
    """Turn the `error` of a failed response, or an error event, into ours."""
    source = error if isinstance(error, dict) else {}
    code, message = said(source.get("code")) or said(source.get("type")), said(source.get("message"))
    words = message or "The upstream failed without saying why."
    if code in {"rate_limit_exceeded", "rate_limit_error", "429"}:
        return errors.UpstreamRateLimited(words)
    if code in ACCOUNT_CODES:
        return errors.UpstreamQuotaExhausted(words, code=code)
    if code in _CLIENT_CODES:
        return errors.UpstreamRejected(words, code=code, param=said(source.get("param")) or None)
    if code in _TIMEOUT_CODES:
        return errors.UpstreamTimeout(words)
    if code == "model_not_found":
        return errors.UpstreamModelMissing(words)
    return errors.UpstreamUnavailable(f"The upstream failed while answering: {words}")
