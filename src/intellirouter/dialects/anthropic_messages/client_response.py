"""Writes a response of any dialect as a message. What a message cannot express is reported as a loss.

- Reasoning of another dialect becomes a thinking block whose signature is a wrapped token, or a wrapped empty token if
  the reasoning is not signed. A later request that contains it is therefore never passed through to Anthropic, which
  would reject it.
- Gemini's signature of a tool call becomes the signature of the thinking block before the call, with a tag that says
  so. Without such a block it gets an empty one, unless there is other thinking and the gateway remembers the signature.
  Its signature of a text is left out, because Gemini does not require it.
- Arguments that are not a JSON object, for example because they are cut off, become `{"_raw": "…"}`.
"""

import re
from typing import Any, Final

import msgspec

from intellirouter.core import Call, LossReport, new_id
from intellirouter.dialects.anthropic_messages.client_blocks import CALL_TAG
from intellirouter.dialects.anthropic_messages.stop_reasons import UNMAPPED_REASONS, write_stop_reason, write_usage
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import (
    Choice,
    Citation,
    Foreign,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Stop,
    Text,
    ToolCall,
    wrap_token,
)
from intellirouter.dialects.wire.answer_estimate import estimated_usage

_INVALID_ID_CHARS: Final = re.compile(r"[^a-zA-Z0-9_-]")
UNSIGNED: Final = wrap_token(Opaque(value="", dialect="none"))
"""The signature of reasoning that is not signed."""
THINKING_TYPES: Final = frozenset({"thinking", "redacted_thinking"})
RAW_ARGUMENTS: Final = "_raw"
"""The member for arguments that are not a JSON object."""
INPUT: Final = "input"
"""The only argument of a tool that takes free text."""


def write_message(response: Response, call: Call, losses: LossReport) -> bytes:
    """Write the body of a response."""
    if len(response.choices) > 1:
        losses.add("n", "dropped", "only the first choice is returned")
    choice = response.choices[0] if response.choices else Choice()
    blocks: list[dict[str, Any]] = []
    for part in choice.parts:
        if isinstance(part, ToolCall) and part.token is not None:
            _write_call_signature(part.token, blocks, is_remembered=call.memory is not None)
        written = write_blocks(part, losses)
        if written and response.dialect == DIALECT and not isinstance(part, Foreign):
            written[-1].update(part.extras)
        blocks += written
    stop = choice.stop
    report_stop_reason(stop, losses)
    message: dict[str, Any] = {
        "id": response.id or new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": response.model or call.model,
        "content": blocks,
        "stop_reason": write_stop_reason(stop, has_refusal=any(isinstance(part, Refusal) for part in choice.parts)),
        "stop_sequence": None if stop is None else stop.sequence,
        "usage": write_usage(response.usage or estimated_usage(call, losses, blocks)),
    }
    if details := refusal_details(stop):
        message["stop_details"] = details
    if response.dialect == DIALECT:
        message.update(response.extras)
    return msgspec.json.encode(message)


def refusal_details(stop: Stop | None) -> dict[str, Any] | None:
    if stop is None or stop.reason not in {"refusal", "content_filter"} or not stop.message:
        return None
    return {"type": "refusal", "category": None, "explanation": stop.message}


def report_stop_reason(stop: Stop | None, losses: LossReport) -> None:
    if stop is not None and stop.reason in UNMAPPED_REASONS:
        losses.add("stop_reason", "converted", stop.reason)


def write_blocks(part: Part, losses: LossReport) -> list[dict[str, Any]]:
    """Write one part. Empty text is left out, because Anthropic rejects it in the next request."""
    match part:
        case Text():
            return [_write_text(part, losses)] if part.text or part.citations else []
        case Refusal():
            return [{"type": "text", "text": part.text}] if part.text else []
        case Reasoning():
            return [write_thinking(part)] if part.text or part.summary or part.token is not None else []
        case ToolCall():
            return [_write_tool_use(part, losses)]
        case Media():
            return _write_media(part, losses)
        case Foreign():
            return write_foreign(part, losses)
        case _:
            return []  # responses contain no tool results


def _write_text(part: Text, losses: LossReport) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": part.text}
    if citations := [raw for item in part.citations if (raw := write_citation(item, losses)) is not None]:
        block["citations"] = citations
    return block


def write_citation(citation: Citation, losses: LossReport) -> dict[str, Any] | None:
    """Write a citation. One of another dialect must have a URL, and is marked as written by the gateway."""
    if citation.dialect == DIALECT and citation.raw is not None:
        raw: dict[str, Any] = citation.raw
        return raw
    if not citation.url:
        losses.dropped("citations")
        return None
    return {
        "type": "web_search_result_location",
        "url": citation.url,
        "title": citation.title or None,
        "cited_text": citation.cited_text,
        "encrypted_index": UNSIGNED,
    }


def write_thinking(part: Reasoning) -> dict[str, Any]:
    if part.is_redacted and part.token is not None:
        return {"type": "redacted_thinking", "data": write_signature(part.token)}
    text = part.text or "\n\n".join(part.summary)
    return {"type": "thinking", "thinking": text, "signature": write_signature(part.token)}


def write_signature(token: Opaque | None) -> str:
    """Return a token as a signature. Anthropic's tokens stay as they are; others, and a missing one, are wrapped."""
    if token is None:
        return UNSIGNED
    return token.value if token.dialect == DIALECT else wrap_token(token)


def sanitize_id(call_id: str) -> str:
    """Return a call id without the characters that Anthropic rejects in later requests."""
    return _INVALID_ID_CHARS.sub("_", call_id) or new_id("toolu_")


def _write_tool_use(part: ToolCall, losses: LossReport) -> dict[str, Any]:
    return {"type": "tool_use", "id": sanitize_id(part.id), "name": part.name, "input": _write_input(part, losses)}


def _write_call_signature(token: Opaque, blocks: list[dict[str, Any]], *, is_remembered: bool) -> None:
    """Write the signature of the next block, a tool call, into the unsigned thinking before it, or else alone."""
    if blocks and blocks[-1]["type"] == "thinking" and blocks[-1]["signature"] == UNSIGNED:
        blocks[-1]["signature"] = write_call_signature(token)
    elif not (is_remembered and any(block["type"] in THINKING_TYPES for block in blocks)):
        blocks.append({"type": "thinking", "thinking": "", "signature": write_signature(token)})


def write_call_signature(token: Opaque) -> str:
    """Return the signature of a tool call for the thinking block with the reasoning before the call."""
    return write_signature(token) + CALL_TAG


def _write_input(part: ToolCall, losses: LossReport) -> Any:
    if part.kind == "custom":
        return {INPUT: part.arguments}
    arguments = part.arguments_object()
    if arguments is None:
        losses.add("tool_use.input", "converted", "invalid JSON object in _raw")
        return {RAW_ARGUMENTS: part.arguments}
    return arguments


def _write_media(part: Media, losses: LossReport) -> list[dict[str, Any]]:
    if part.transcript:
        losses.add(part.kind, "converted", "its transcript")
        return [{"type": "text", "text": part.transcript}]
    losses.dropped(part.kind)
    return []


def write_foreign(part: Foreign, losses: LossReport) -> list[dict[str, Any]]:
    if part.dialect == DIALECT:
        return [part.raw]
    losses.dropped(part.kind)
    return []
