"""From parts to the content blocks of a request. One `BlockWriter` a request: it remembers the ids of tool calls.

Choices: a call's arguments that are no JSON object become `{"_raw": "…"}`, reported, never dropped; the free text of
a custom tool's call becomes `{"input": "…"}`; thoughts go back only to who signed them.
"""

import base64
import binascii
from typing import Any, Final

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.anthropic_messages.client_response import INPUT, RAW, clean_id
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import (
    CacheMark,
    Conversation,
    Foreign,
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    usable_token,
)

THINKING_TYPES: Final = frozenset({"thinking", "redacted_thinking"})
_MAGIC: Final = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("UklGR", "image/webp"),
    ("JVBERi", "application/pdf"),
)
"""How files begin, in base64, for clients that do not say what they send."""


def cache_control(cache: CacheMark | None) -> dict[str, Any]:
    """Return the member that marks a cache breakpoint, or nothing."""
    if cache is None:
        return {}
    control = {"type": "ephemeral"}
    if cache.ttl:
        control["ttl"] = cache.ttl
    return {"cache_control": control}


class BlockWriter:
    """Writes parts for one upstream request."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._is_own = conversation.dialect == DIALECT
        self._deployment = deployment
        self._losses = losses
        self._ids: dict[str, str] = {}
        self._taken: set[str] = set()

    def blocks(self, part: Part) -> list[dict[str, Any]]:
        """Write one part of a message: no block, or one. Raises `UnsupportedFeature`."""
        match part:
            case Text():
                return self._text(part)
            case Refusal():
                return [{"type": "text", "text": part.text}] if part.text.strip() else []
            case Media():
                return [self._media(part)]
            case Reasoning():
                return self._thinking(part)
            case ToolCall():
                return [self._tool_use(part)]
            case ToolResult():
                return [self._tool_result(part)]
            case _:
                return self._foreign(part)

    def _text(self, part: Text) -> list[dict[str, Any]]:
        if not part.text.strip():
            return []  # refused, as empty as it is
        block: dict[str, Any] = {"type": "text", "text": part.text, **cache_control(part.cache)}
        cited = [citation.raw for citation in part.citations if citation.dialect == DIALECT and citation.raw]
        if cited and self._is_own:
            block["citations"] = cited
        elif part.citations:
            self._losses.dropped("messages[].content[].citations")
        return [self._own(block, part.extras)]

    def _own(self, block: dict[str, Any], extras: dict[str, Any]) -> dict[str, Any]:
        """Add what only a client of this dialect can have said."""
        if self._is_own and extras:
            block.update(extras)
        return block

    def _foreign(self, part: Foreign) -> list[dict[str, Any]]:
        if part.dialect == DIALECT:
            return [part.raw]
        self._losses.dropped(f"messages[].content[].{part.kind}")
        return []

    def _thinking(self, part: Reasoning) -> list[dict[str, Any]]:
        token = usable_token(part.token, DIALECT, self._deployment)
        if not token:
            self._losses.add("messages[].reasoning", "dropped", "signed by somebody else")
            return []
        if part.is_redacted:
            return [self._own({"type": "redacted_thinking", "data": token}, part.extras)]
        text = part.text or "\n\n".join(part.summary)
        return [self._own({"type": "thinking", "thinking": text, "signature": token}, part.extras)]

    def _tool_use(self, part: ToolCall) -> dict[str, Any]:
        block = {
            "type": "tool_use",
            "id": self._id(part.id),
            "name": part.name,
            "input": self._input(part),
            **cache_control(part.cache),
        }
        return self._own(block, part.extras)

    def _input(self, part: ToolCall) -> dict[str, Any]:
        if part.kind == "custom":
            return {INPUT: part.arguments}
        found = part.arguments_object()
        if found is None:
            self._losses.add("messages[].tool_calls[].arguments", "converted", "text that is no JSON object")
            return {RAW: part.arguments}
        return found

    def _id(self, call_id: str) -> str:
        """Return the id in the allowed characters: the same for a call and its result, different for two calls."""
        if call_id not in self._ids:
            clean = base = clean_id(call_id)
            number = 2
            while clean in self._taken:
                clean, number = f"{base}_{number}", number + 1
            self._taken.add(clean)
            self._ids[call_id] = clean
        return self._ids[call_id]

    def _tool_result(self, part: ToolResult) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self._id(part.call_id)}
        content = [found for item in part.parts for found in self.blocks(item)]
        if len(content) == 1 and set(content[0]) == {"type", "text"}:
            block["content"] = content[0]["text"]
        elif content:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        block.update(cache_control(part.cache))
        return self._own(block, part.extras)

    def _media(self, part: Media) -> dict[str, Any]:
        if part.kind not in {"image", "document"}:
            raise errors.UnsupportedFeature(
                f"{self._deployment.name} speaks Anthropic's dialect, which takes no {part.kind}.",
                param=self._losses.name_of("messages"),
            )
        if part.detail and part.detail != "auto":
            self._losses.dropped("messages[].content[].detail")
        block: dict[str, Any] = {"type": part.kind, "source": self._source(part)}
        if part.kind == "document":
            if part.name:
                block["title"] = part.name
            if part.context:
                block["context"] = part.context
            if part.has_citations:
                block["citations"] = {"enabled": True}
        block.update(cache_control(part.cache))
        return self._own(block, part.extras)

    def _source(self, part: Media) -> dict[str, Any]:
        source = part.source
        if source.text is not None:
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        if source.file_id is not None:
            if not self._is_own:
                raise self._unsupported("a file that another vendor keeps")
            return {"type": "file", "file_id": source.file_id}
        if source.url is not None:
            if not source.url.startswith(("https://", "http://")):
                raise self._unsupported("a file that is not on the web")
            return {"type": "url", "url": source.url}
        return self._data(part, source.data or "")

    def _data(self, part: Media, data: str) -> dict[str, Any]:
        media_type = part.source.media_type or next((kind for start, kind in _MAGIC if data.startswith(start)), "")
        if part.kind == "image" or media_type == "application/pdf":
            if not media_type:
                raise self._unsupported("a picture of unknown type; say its media type")
            return {"type": "base64", "media_type": media_type, "data": data}
        if media_type.startswith("text/") or media_type in {"application/json", "application/xml"}:
            self._losses.add("messages[].content[].file", "converted", "plain text")
            return {"type": "text", "media_type": "text/plain", "data": self._decoded(data)}
        raise self._unsupported(f"a document of type {media_type or 'unknown'}; PDF and text are taken")

    def _decoded(self, data: str) -> str:
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, ValueError):
            raise self._unsupported("a text document that is not UTF-8 in base64") from None

    def _unsupported(self, what: str) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} speaks Anthropic's dialect, which does not take {what}.",
            param=self._losses.name_of("messages"),
        )
