"""Reads a complete response of an upstream."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import Usage, errors, new_id
from intellirouter.dialects.error_causes import rejection_cause, with_claimed_status
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
from intellirouter.dialects.openai.upstream_errors import (
    ACCOUNT_CODES,
    build_error,
    decode_error_in_200,
    error_without_answer,
    read_document,
)
from intellirouter.dialects.openai.usage import is_outside
from intellirouter.dialects.openai_responses.client_content import read_citations
from intellirouter.dialects.openai_responses.fields import DIALECT
from intellirouter.dialects.openai_responses.response_envelope import REJECTED_CODES
from intellirouter.dialects.wire import large_json
from intellirouter.dialects.wire.lenient import as_int, cost_microusd, has_impossible_count, reported, text_in

_MAX_TOKENS: Final = 10**12
"""Larger counts are not plausible, and their cost would not fit the integers of the ledger."""
_REJECTED_CODES: Final = REJECTED_CODES | {
    "content_policy_violation",
    "context_length_exceeded",
    "cyber_policy",
    "invalid_prompt",
    "invalid_request_error",
    "misalignment_policy_violation",
    "string_above_max_length",
}
_TIMEOUT_CODES: Final = frozenset({"vector_store_timeout", "timeout", "request_timeout"})


class ResponseBody(Struct):
    """A response object. Types are not validated; members of a wrong type count as missing."""

    id: Any = None
    model: Any = None
    created_at: Any = None
    status: Any = None
    output: Any = None
    usage: Any = None
    error: Any = None
    incomplete_details: Any = None
    service_tier: Any = None


_decoder: Final = msgspec.json.Decoder(ResponseBody)


def read_body(raw: bytes | msgspec.Raw) -> ResponseBody | None:
    """Return the response object; None if it is not valid JSON or not an object."""
    try:
        return large_json.decode_as(_decoder, bytes(raw))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def decode_response(body: bytes, origin: str) -> Response:
    """Read the body of a 200 response. Raises `UpstreamMalformed`, or the error that the body reports."""
    response = read_body(body) if _is_utf8(body) else None
    if response is None:
        raise errors.UpstreamMalformed("The upstream did not return a valid response object.")
    if response.status == "failed":
        raise read_failure(response.error)
    if response.error and not isinstance(response.output, list):
        raise decode_error_in_200(body)
    if not isinstance(response.output, list):
        if (error := error_without_answer(body)) is not None:
            raise error
        raise errors.UpstreamMalformed("The upstream returned a response without `output`.")
    parts = [part for item in response.output for part in _read_item(item, origin)]
    return Response(
        id=as_text(response.id),
        model=as_text(response.model),
        created_s=as_int(response.created_at),
        choices=[Choice(parts=parts, stop=_read_stop(response, parts))],
        usage=read_usage(response.usage),
        service_tier=as_text(response.service_tier),
        dialect=DIALECT,
    )


def _is_utf8(body: bytes) -> bool:
    """Return whether the body is valid UTF-8. The decoder does not check the members that it skips."""
    try:
        return body.isascii() or bool(body.decode())
    except UnicodeDecodeError:
        return False


def as_text(value: Any) -> str:
    """Return a string; empty if the value is not one."""
    return value if isinstance(value, str) else ""


def _read_item(item: Any, origin: str) -> Iterator[Part]:
    """Read one output item. Raises `UpstreamMalformed`."""
    if not isinstance(item, dict):
        raise errors.UpstreamMalformed("The upstream returned an output item that is not an object.")
    kind = text_in(item, "type")
    if kind == "message":
        for content in _as_list(item.get("content")):
            yield from _read_content(content)
    elif kind == "reasoning":
        part = read_reasoning(item, origin)
        if part.text or part.summary or part.token is not None:
            yield part
    elif kind in {"function_call", "custom_tool_call"}:
        yield _read_call(item)
    else:
        yield Foreign(dialect=DIALECT, kind=kind, raw=item)


def _read_content(content: Any) -> Iterator[Part]:
    if not isinstance(content, dict):
        return
    kind = content.get("type")
    if kind == "output_text":
        yield Text(
            text=text_in(content, "text"),
            citations=read_citations(_as_list(content.get("annotations"))),
            logprobs=_as_list(content.get("logprobs")) or None,
        )
    elif kind == "refusal":
        yield Refusal(text=text_in(content, "refusal"))
    else:
        yield Foreign(dialect=DIALECT, kind=as_text(kind), raw=content)


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def read_reasoning(item: dict[str, Any], origin: str) -> Reasoning:
    """Read a reasoning item. Its id is only needed to send its token back."""
    token = text_in(item, "encrypted_content")
    return Reasoning(
        text="".join(_read_texts(item.get("content"))),
        summary=_read_texts(item.get("summary")),
        token=Opaque(value=token, origin=origin, dialect=DIALECT) if token else None,
        id=text_in(item, "id") if token else "",
    )


def _read_texts(value: Any) -> list[str]:
    return [text_in(part, "text") for part in _as_list(value) if isinstance(part, dict)]


def _read_call(item: dict[str, Any]) -> ToolCall:
    """Read a tool call. Raises `UpstreamMalformed` if the name is missing."""
    name = text_in(item, "name")
    if not name:
        raise errors.UpstreamMalformed("The upstream returned a tool call without a `name`.")
    is_function = item.get("type") == "function_call"
    arguments = read_arguments(item.get("arguments" if is_function else "input"))
    return ToolCall(
        id=text_in(item, "call_id") or text_in(item, "id") or new_id("call_"),
        name=name,
        arguments=arguments or ("{}" if is_function else ""),
        kind="function" if is_function else "custom",
        item_id=text_in(item, "id"),
    )


def read_arguments(value: Any) -> str:
    """Return arguments as text. Some upstreams send an object instead."""
    if isinstance(value, str):
        return value
    return msgspec.json.encode(value).decode() if isinstance(value, dict | list) else ""


def _read_stop(body: ResponseBody, parts: list[Part]) -> Stop | None:
    """Return the stop reason; None if the response is not finished."""
    raw = as_text(body.status)
    if raw in {"queued", "in_progress"}:
        return None
    details = body.incomplete_details
    reason = text_in(details, "reason") if isinstance(details, dict) else ""
    if raw == "incomplete":
        return read_incomplete_reason(reason)
    if raw == "cancelled":
        return Stop(reason="cancelled", raw=raw)
    if any(isinstance(part, ToolCall) for part in parts):
        return Stop(reason="tool_calls", raw=raw)
    if any(isinstance(part, Refusal) for part in parts):
        return Stop(reason="refusal", raw=raw)
    return Stop(reason="stop", raw=raw)


def read_incomplete_reason(reason: str) -> Stop:
    """Return the stop reason of an incomplete response."""
    if reason == "content_filter":
        return Stop(reason="content_filter", raw=reason)
    if reason == "steered":
        return Stop(reason="stop", raw=reason)
    return Stop(reason="length", raw=reason or "incomplete")


def read_usage(raw: Any) -> Usage | None:
    """Read the token counts. On the wire, input includes the cached tokens and output the reasoning tokens."""
    if not isinstance(raw, dict):
        return None
    total_input, total_output = (
        _read_count(raw, "input_tokens", _MAX_TOKENS),
        _read_count(raw, "output_tokens", _MAX_TOKENS),
    )
    cache_read = _read_count(raw.get("input_tokens_details"), "cached_tokens", total_input)
    cache_write = _read_count(raw.get("input_tokens_details"), "cache_write_tokens", total_input - cache_read)
    reasoning = _read_count(raw.get("output_tokens_details"), "reasoning_tokens", _MAX_TOKENS)
    if is_outside(reasoning, total_input, total_output, as_int(raw.get("total_tokens"))):
        total_output += reasoning
    reasoning = min(reasoning, total_output)
    usage = Usage(
        input_tokens=total_input - cache_read - cache_write,
        cache_read_tokens=cache_read,
        cache_write_tokens=cache_write,
        output_tokens=total_output - reasoning,
        reasoning_tokens=reasoning,
        is_implausible=has_impossible_count(raw.get("input_tokens"), raw.get("output_tokens")),
        provider_cost_microusd=cost_microusd(raw.get("cost_in_usd_ticks"), per_usd=10**10),
    )
    return reported(usage)


def _read_count(source: Any, name: str, maximum: int) -> int:
    """Return a token count, between 0 and the maximum whatever the vendor reports."""
    return min(as_int(source.get(name)), maximum) if isinstance(source, dict) else 0


def read_failure(error: Any) -> errors.UpstreamError:
    """Return the error for the `error` of a failed response or of an event."""
    source = error if isinstance(error, dict) else {}
    envelope = read_document(source)
    if (cause := rejection_cause(envelope.message, envelope.code, envelope.kind)) is not None:
        return errors.UpstreamRejected(envelope.message or "The upstream rejected the request.", code=cause)
    code = text_in(source, "code") or text_in(source, "type")
    reason = text_in(source, "message") or "no reason was given"
    if code in {"rate_limit_exceeded", "rate_limit_error", "429"}:
        return errors.UpstreamRateLimited(errors.as_sentence(f"The upstream is rate limited: {reason}"))
    if code in ACCOUNT_CODES:
        return errors.UpstreamQuotaExhausted(
            errors.as_sentence(f"The upstream has no credit or quota left: {reason}"), code=code
        )
    if code in _REJECTED_CODES:
        rejection = text_in(source, "message") or "The upstream rejected the request without a reason."
        return errors.UpstreamRejected(rejection, code=code, param=text_in(source, "param") or None)
    if code in _TIMEOUT_CODES:
        return errors.UpstreamTimeout(errors.as_sentence(f"The upstream timed out: {reason}"))
    if code == "model_not_found":
        return errors.UpstreamModelMissing(errors.as_sentence(f"The upstream does not know this model: {reason}"))
    if 400 <= envelope.claimed_status < 500:
        error_body = msgspec.json.encode({"error": source})
        claimed = build_error(envelope.claimed_status, envelope, "The upstream", error_body)
        return with_claimed_status(claimed, envelope.claimed_status)
    return errors.UpstreamUnavailable(errors.as_sentence(f"The upstream failed to complete the response: {reason}"))
