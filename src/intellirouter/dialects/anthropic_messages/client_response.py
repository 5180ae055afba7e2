"""From an answer of any dialect to a message, whole. What a message cannot say is a loss, never a broken block.

Choices: foreign reasoning becomes a thinking block whose signature is a wrapped token (an empty token where nobody
signed), so that a message with it is never relayed to Anthropic as it is, which would refuse it. Gemini's signature
of a tool call becomes a thinking block without thoughts before the call; that of a text, which it does not insist on,
is left out. Arguments that are no JSON object (cut off,
broken) become `{"_raw": "…"}`.
"""

import re
from typing import Any, Final

import msgspec

from intellirouter.core import NO_USAGE, Call, LossReport, new_id
from intellirouter.dialects.anthropic_messages.stop_reasons import UNSAYABLE, usage_out, word_for
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

_NOT_IN_IDS: Final = re.compile(r"[^a-zA-Z0-9_-]")
_UNSIGNED: Final = Opaque(value="", dialect="none")
RAW: Final = "_raw"
"""The member that holds arguments which are no JSON object."""
INPUT: Final = "input"
"""The one argument of a tool that takes free text."""


def message_of(response: Response, call: Call, losses: LossReport) -> bytes:
    """Write the body of an answer."""
    if len(response.choices) > 1:
        losses.add("n", "dropped", "only the first answer can be told")
    choice = response.choices[0] if response.choices else Choice()
    blocks: list[dict[str, Any]] = []
    for part in choice.parts:
        written = blocks_of(part, losses)
        if written and response.dialect == DIALECT and not isinstance(part, Foreign):
            written[-1].update(part.extras)
        blocks += written
    stop = choice.stop
    note_stop(stop, losses)
    message: dict[str, Any] = {
        "id": response.id or new_id("msg_"),
        "type": "message",
        "role": "assistant",
        "model": call.model,
        "content": blocks,
        "stop_reason": word_for(stop, has_refusal=any(isinstance(part, Refusal) for part in choice.parts)),
        "stop_sequence": None if stop is None else stop.sequence,
        "usage": usage_out(response.usage or NO_USAGE),
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


def note_stop(stop: Stop | None, losses: LossReport) -> None:
    if stop is not None and stop.reason in UNSAYABLE:
        losses.add("stop_reason", "converted", stop.reason)


def blocks_of(part: Part, losses: LossReport) -> list[dict[str, Any]]:
    """Write one part. Empty text is left out: Anthropic refuses it when it comes back."""
    match part:
        case Text():
            return [_text(part, losses)] if part.text or part.citations else []
        case Refusal():
            return [{"type": "text", "text": part.text}] if part.text else []
        case Reasoning():
            return [thinking_of(part)] if part.text or part.summary or part.token is not None else []
        case ToolCall():
            return _tool_use(part, losses)
        case Media():
            return _media(part, losses)
        case Foreign():
            return foreign_of(part, losses)
        case _:
            return []  # tool results are never in an answer


def _text(part: Text, losses: LossReport) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "text", "text": part.text}
    if said := [found for item in part.citations if (found := citation_out(item, losses)) is not None]:
        block["citations"] = said
    return block


def citation_out(citation: Citation, losses: LossReport) -> dict[str, Any] | None:
    """Write a citation; one of another dialect only where it leads to a page, and marked as ours."""
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
        "encrypted_index": wrap_token(_UNSIGNED),
    }


def thinking_of(part: Reasoning) -> dict[str, Any]:
    if part.is_redacted and part.token is not None:
        return {"type": "redacted_thinking", "data": signature_of(part.token)}
    text = part.text or "\n\n".join(part.summary)
    return {"type": "thinking", "thinking": text, "signature": signature_of(part.token)}


def signature_of(token: Opaque | None) -> str:
    """Return what stands for a token in a message: Anthropic's own bare, any other wrapped, none wrapped as empty."""
    if token is None:
        return wrap_token(_UNSIGNED)
    return token.value if token.dialect == DIALECT else wrap_token(token)


def clean_id(call_id: str) -> str:
    """Return a call's id in the characters that Anthropic allows, should it be sent there one day."""
    return _NOT_IN_IDS.sub("_", call_id) or new_id("toolu_")


def _tool_use(part: ToolCall, losses: LossReport) -> list[dict[str, Any]]:
    block = {"type": "tool_use", "id": clean_id(part.id), "name": part.name, "input": _input(part, losses)}
    if part.token is None:
        return [block]
    return [{"type": "thinking", "thinking": "", "signature": signature_of(part.token)}, block]


def _input(part: ToolCall, losses: LossReport) -> Any:
    if part.kind == "custom":
        return {INPUT: part.arguments}
    found = part.arguments_object()
    if found is None:
        losses.add("tool_use.input", "converted", "arguments that are no JSON object")
        return {RAW: part.arguments}
    return found


def _media(part: Media, losses: LossReport) -> list[dict[str, Any]]:
    if part.transcript:
        losses.add(part.kind, "converted", "its transcript")
        return [{"type": "text", "text": part.transcript}]
    losses.dropped(part.kind)
    return []


def foreign_of(part: Foreign, losses: LossReport) -> list[dict[str, Any]]:
    if part.dialect == DIALECT:
        return [part.raw]
    losses.dropped(part.kind)
    return []
