"""From an upstream's whole answer to the intermediate form."""

from typing import Any, Final

import msgspec
from msgspec import Struct

from intellirouter.core import errors
from intellirouter.dialects.anthropic_messages.client_blocks import foreign, part_of
from intellirouter.dialects.anthropic_messages.client_errors import decode_error_document
from intellirouter.dialects.anthropic_messages.stop_reasons import stop_of, usage_of
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import Choice, Media, Opaque, Part, Reasoning, Response, Text, ToolCall, ToolResult
from intellirouter.dialects.wire.lenient import text_in

_KNOWN: Final = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "stop_details", "usage"}
)


class _Count(Struct):
    input_tokens: int | float | None = None


_decoder: Final = msgspec.json.Decoder(dict[str, Any])
_count_decoder: Final = msgspec.json.Decoder(_Count)


def response_of(body: bytes, origin: str = "") -> Response:
    """Read a 200 body. Raises `UpstreamMalformed`, or the error that it holds."""
    try:
        message = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise errors.UpstreamMalformed(f"The upstream's answer is no message: {error}") from None
    if message.get("type") == "error" or (message.get("error") and "content" not in message):
        raise decode_error_document(message, body)
    content = message.get("content")
    if not isinstance(content, list):
        raise errors.UpstreamMalformed("The upstream's answer has no `content`.")
    parts = parts_in(content, origin)
    usage = message.get("usage")
    tier = usage.get("service_tier") if isinstance(usage, dict) else None
    reason = message.get("stop_reason")
    return Response(
        id=text_in(message, "id"),
        model=text_in(message, "model"),
        choices=[
            Choice(
                parts=parts,
                stop=stop_of(
                    reason if isinstance(reason, str) else said_by(parts),
                    message.get("stop_sequence"),
                    message.get("stop_details"),
                ),
            )
        ],
        usage=usage_of(usage),
        service_tier=tier if isinstance(tier, str) else "",
        dialect=DIALECT,
        extras={name: value for name, value in message.items() if name not in _KNOWN and value is not None},
    )


def parts_in(content: list[Any], origin: str) -> list[Part]:
    """Read an answer's blocks. A text without text, and thoughts without anything, are nothing."""
    parts: list[Part] = []
    for index, block in enumerate(content):
        if not isinstance(block, dict):
            raise errors.UpstreamMalformed(f"content.{index} of the upstream's answer is no block.")
        part = answer_part(block, f"content.{index}", origin)
        if not is_empty(part):
            parts.append(part)
    return parts


def answer_part(block: dict[str, Any], path: str, origin: str) -> Part:
    """Read one block of an answer; `origin` minted its signature. Raises `UpstreamMalformed`."""
    try:
        part = part_of(block, path)
    except errors.InvalidRequest as error:
        raise errors.UpstreamMalformed(f"The upstream's answer is no message: {error.message}") from None
    if isinstance(part, Reasoning) and part.token is not None:
        part.token = minted(text_in(block, "data" if part.is_redacted else "signature"), origin)
    return foreign(block) if isinstance(part, Media | ToolResult) else part


def minted(signature: str, origin: str) -> Opaque | None:
    """Return the signature of an answer's thoughts, with who made it."""
    return Opaque(value=signature, origin=origin, dialect=DIALECT) if signature else None


def said_by(parts: list[Part]) -> str:
    """Return the stop reason of an answer without one: some compatible servers leave it out."""
    return "tool_use" if any(isinstance(part, ToolCall) for part in parts) else "end_turn"


def is_empty(part: Part) -> bool:
    if isinstance(part, Text):
        return not part.text and not part.citations
    return isinstance(part, Reasoning) and not part.text and part.token is None


def count_of(body: bytes) -> int:
    """Read the answer of the counting endpoint. Raises `UpstreamMalformed`."""
    try:
        count = _count_decoder.decode(body).input_tokens
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        count = None
    if count is None or count < 0:
        raise errors.UpstreamMalformed("The upstream's answer has no `input_tokens`.")
    return int(count)
