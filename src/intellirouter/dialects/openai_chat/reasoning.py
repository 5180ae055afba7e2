"""Reasoning and its opaque tokens, for which OpenAI's chat dialect has no members.

OpenRouter has `reasoning_details`, with the entries `reasoning.text`, `reasoning.summary` and `reasoning.encrypted`,
which clients send back unchanged. Other gateways send Anthropic's blocks as `thinking_blocks`. Wrapped tokens of other
dialects are sent to chat clients in `reasoning_details`.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from intellirouter.dialects.ir import Opaque, Reasoning, unwrap_token, wrap_token
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.wire.lenient import text_in

DIALECT: Final = "openai_chat"
_ENCRYPTED: Final = "reasoning.encrypted"
_OPAQUE: Final = ("signature", "data")


def reasoning_parts(entries: Any, origin: str = "") -> list[Reasoning]:
    """Decode either list. `origin`: the endpoint that sent it, if it is part of an answer."""
    if not isinstance(entries, list):
        return []
    return [
        part for entry in entries if isinstance(entry, dict) and (part := reasoning_part(entry, origin)) is not None
    ]


def reasoning_part(entry: dict[str, Any], origin: str = "") -> Reasoning | None:
    """Decode one entry; None if it is empty."""
    part = Reasoning(id=text_in(entry, "id"), text=text_in(entry, "text") or text_in(entry, "thinking"))
    if summary := text_in(entry, "summary"):
        part.summary = [summary]
    part.token = token_of(entry, origin)
    kind = text_in(entry, "type")
    part.is_redacted = part.token is not None and (kind == "redacted_thinking" or kind.endswith("encrypted"))
    if part.token is not None and part.token.dialect == "openai_responses":
        part.is_redacted = False  # Reasoning of this dialect is always encrypted.
    return part if part.text or part.summary or part.token is not None else None


def continues_reasoning(entry: dict[str, Any]) -> bool:
    """Return whether an encrypted entry is the token of the text before it.

    OpenRouter has such entries for the reasoning of OpenAI and Gemini. Claude's are redacted reasoning of its own.
    """
    return text_in(entry, "type") == _ENCRYPTED and not text_in(entry, "format").startswith("anthropic")


def has_several_signed_texts(entries: Any) -> bool:
    """Return whether the entries have the reasoning divided up among several signatures."""
    signed = (
        isinstance(entry, dict)
        and bool(text_in(entry, "text") or text_in(entry, "thinking"))
        and bool(text_in(entry, "signature"))
        for entry in (entries if isinstance(entries, list) else ())
    )
    return sum(signed) > 1


def token_of(entry: dict[str, Any], origin: str = "") -> Opaque | None:
    """Return the token of an entry: a wrapped token, a signature of Anthropic, or the vendor's entry itself."""
    value = text_in(entry, "signature") or text_in(entry, "data")
    if not value:
        return None
    if value.startswith(WRAPPED_PREFIX):
        return unwrap_token(value, DIALECT)
    if not text_in(entry, "type").startswith("reasoning."):
        return Opaque(value=value, origin=origin, dialect="anthropic_messages")
    # The vendor gets all members back unchanged. The part already has the text.
    members = {name: member for name, member in entry.items() if name not in {"text", "summary"}}
    return Opaque(value=msgspec.json.encode(members).decode(), origin=origin, dialect=DIALECT)


def reasoning_entry(token: Opaque, part: Reasoning) -> dict[str, Any]:
    """Encode the entry with a token, for a chat client or for the vendor that issued the token."""
    entry: dict[str, Any] = {}
    if token.dialect == DIALECT:
        entry = _own_entry(token.value)
    if not entry:
        field, kind = ("data", "reasoning.encrypted") if part.is_redacted else ("signature", "reasoning.text")
        entry = {"type": kind, field: wrap_token(token)}
    if part.id:
        entry.setdefault("id", part.id)
    if text_in(entry, "type") == _ENCRYPTED and not part.is_redacted:
        return entry  # The vendor's entry for reasoning whose text is in entries of its own.
    if part.text:
        entry["text"] = part.text
    if part.summary:
        entry["summary"] = "\n\n".join(part.summary)
    return entry


def _own_entry(value: str) -> dict[str, Any]:
    try:
        entry = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return entry if isinstance(entry, dict) and any(name in entry for name in _OPAQUE) else {}


def visible_text(parts: Iterable[Reasoning]) -> str:
    """Return the text of reasoning that clients see."""
    return "\n\n".join(text for part in parts if (text := part.text or "\n\n".join(part.summary)))
