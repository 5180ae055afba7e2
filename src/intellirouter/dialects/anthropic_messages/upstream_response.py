"""Reads a complete response of an upstream."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors
from intellirouter.core.json_errors import describe_json_error
from intellirouter.dialects.anthropic_messages.client_blocks import foreign_part, read_part
from intellirouter.dialects.anthropic_messages.stop_reasons import implied_stop, read_stop, read_usage
from intellirouter.dialects.anthropic_messages.upstream_errors import decode_error_document
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.error_causes import is_error_document
from intellirouter.dialects.ir import Choice, Media, Opaque, Part, Reasoning, Response, Text, ToolCall, ToolResult
from intellirouter.dialects.wire.large_json import LARGE_BYTES, decode_as
from intellirouter.dialects.wire.lenient import text_in

_KNOWN_MEMBERS: Final = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"}
)


class _Count(Struct):
    input_tokens: int | float | None = None


_decoder: Final = msgspec.json.Decoder(dict[str, Any])
_count_decoder: Final = msgspec.json.Decoder(_Count)


def decode_response(body: bytes, origin: str = "") -> Response:
    """Read the body of a 200 response. Raises `UpstreamMalformed`, or the error that the body reports."""
    try:
        message = _decoder.decode(body) if len(body) <= LARGE_BYTES else decode_as(_decoder, body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _malformed(describe_json_error(error)) from None
    if message.get("type") == "error" or (message.get("error") and "content" not in message):
        raise decode_error_document(message, body)
    content = message.get("content")
    if not isinstance(content, list):
        if is_error_document(message):
            raise decode_error_document(message, body)
        raise errors.UpstreamMalformed("The upstream returned a message without `content`.")
    parts = _read_parts(content, origin)
    usage = message.get("usage")
    tier = usage.get("service_tier") if isinstance(usage, dict) else None
    reason = message.get("stop_reason")
    return Response(
        id=text_in(message, "id"),
        model=text_in(message, "model"),
        choices=[
            Choice(
                parts=parts,
                stop=read_stop(reason, message.get("stop_sequence"), message.get("stop_details"))
                if isinstance(reason, str)
                else implied_stop(has_calls=any(isinstance(part, ToolCall) for part in parts)),
            )
        ],
        usage=read_usage(usage),
        service_tier=tier if isinstance(tier, str) else "",
        dialect=DIALECT,
        extras={name: value for name, value in message.items() if name not in _KNOWN_MEMBERS and value is not None},
    )


def _malformed(reason: str) -> errors.UpstreamMalformed:
    return errors.UpstreamMalformed(errors.as_sentence(f"The upstream returned an invalid message: {reason}"))


def _read_parts(content: list[Any], origin: str) -> list[Part]:
    """Read the blocks of a response. Empty text and empty reasoning are left out."""
    parts: list[Part] = []
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            raise _malformed(f"content.{index} is not a block.")
        part = read_response_part(block, f"content.{index}", origin)
        if not _is_empty(part):
            parts.append(part)
    return parts


def read_response_part(block: dict[str, Any], path: str, origin: str) -> Part:
    """Read one block of a response. `origin` is the endpoint that signed it. Raises `UpstreamMalformed`."""
    try:
        part = read_part(block, path)
    except errors.InvalidRequest as error:
        raise _malformed(error.message) from None
    if isinstance(part, Reasoning) and part.token is not None:
        part.token = signature_token(text_in(block, "data" if part.is_redacted else "signature"), origin)
    return foreign_part(block) if isinstance(part, Media | ToolResult) else part


def signature_token(signature: str, origin: str) -> Opaque | None:
    """Return the signature of reasoning with the endpoint that made it."""
    return Opaque(value=signature, origin=origin, dialect=DIALECT) if signature else None


def _is_empty(part: Part) -> bool:
    if isinstance(part, Text):
        return not part.text and not part.citations
    return isinstance(part, Reasoning) and not part.text and part.token is None


def read_count(body: bytes) -> int:
    """Read the response of the counting endpoint. Raises `UpstreamMalformed`."""
    try:
        count = _count_decoder.decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        count = None
    if count is None or count < 0:
        raise errors.UpstreamMalformed("The upstream returned a token count without valid `input_tokens`.")
    return int(count)
