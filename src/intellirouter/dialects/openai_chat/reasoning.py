"""Thoughts and their opaque tokens in the chat dialect, which has no form of its own for them.

`reasoning_details` is OpenRouter's (entries `reasoning.text`, `reasoning.summary`, `reasoning.encrypted`, to be sent
back unchanged); `thinking_blocks` is how gateways pass Anthropic's blocks on. Tokens of other dialects travel through
chat clients in `reasoning_details`, wrapped.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from intellirouter.dialects.ir import Opaque, Reasoning, unwrap_token, wrap_token
from intellirouter.dialects.ir.tokens import WRAPPED_PREFIX
from intellirouter.dialects.wire.lenient import text_in

DIALECT: Final = "openai_chat"
_OPAQUE: Final = ("signature", "data")


def thoughts_of(entries: Any, origin: str = "") -> list[Reasoning]:
    """Read either list. `origin`: the endpoint that sent it, where it is an answer."""
    if not isinstance(entries, list):
        return []
    return [part for entry in entries if isinstance(entry, dict) and (part := thought_of(entry, origin)) is not None]


def thought_of(entry: dict[str, Any], origin: str = "") -> Reasoning | None:
    """Read one entry; None when it says nothing."""
    part = Reasoning(id=text_in(entry, "id"), text=text_in(entry, "text") or text_in(entry, "thinking"))
    if summary := text_in(entry, "summary"):
        part.summary = [summary]
    part.token = token_of(entry, origin)
    kind = text_in(entry, "type")
    part.is_redacted = part.token is not None and (kind == "redacted_thinking" or kind.endswith("encrypted"))
    if part.token is not None and part.token.dialect == "openai_responses":
        part.is_redacted = False  # there an encrypted content is the usual form
    return part if part.text or part.summary or part.token is not None else None


def token_of(entry: dict[str, Any], origin: str = "") -> Opaque | None:
    """Return the token of an entry: one that we wrapped, Anthropic's, or the vendor's own entry as it came."""
    value = text_in(entry, "signature") or text_in(entry, "data")
    if not value:
        return None
    if value.startswith(WRAPPED_PREFIX):
        return unwrap_token(value, DIALECT)
    if not text_in(entry, "type").startswith("reasoning."):
        return Opaque(value=value, origin=origin, dialect="anthropic_messages")
    # All but the text, which the part holds, goes back to the vendor unchanged.
    kept = {name: member for name, member in entry.items() if name not in {"text", "summary"}}
    return Opaque(value=msgspec.json.encode(kept).decode(), origin=origin, dialect=DIALECT)


def entry_of(token: Opaque, part: Reasoning) -> dict[str, Any]:
    """Write the entry that carries a token through a chat client, or back to its vendor."""
    entry: dict[str, Any] = {}
    if token.dialect == DIALECT:
        entry = _own_entry(token.value)
    if not entry:
        field, kind = ("data", "reasoning.encrypted") if part.is_redacted else ("signature", "reasoning.text")
        entry = {"type": kind, field: wrap_token(token)}
    if part.id:
        entry.setdefault("id", part.id)
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


def shown(parts: Iterable[Reasoning]) -> str:
    """Return what clients may read of thoughts."""
    return "\n\n".join(text for part in parts if (text := part.text or "\n\n".join(part.summary)))
