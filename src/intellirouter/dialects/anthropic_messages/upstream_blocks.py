"""Writes parts as the content blocks of a request.

- Arguments of a tool call that are not a JSON object become `{"_raw": "…"}`, and this is reported.
- The free text of a custom tool call becomes `{"input": "…"}`.
- Reasoning is sent only to the endpoint that signed it.
"""

import base64
import binascii
from typing import Any

from intellirouter.core import Deployment, LossReport, errors
from intellirouter.dialects.anthropic_messages.client_response import INPUT, RAW_ARGUMENTS, sanitize_id
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
from intellirouter.dialects.wire.media_types import is_textual, media_type_of
from intellirouter.dialects.wire.search import is_blank


def cache_control(cache: CacheMark | None) -> dict[str, Any]:
    """Return the member that marks a cache breakpoint, if there is one."""
    if cache is None:
        return {}
    control = {"type": "ephemeral"}
    if cache.ttl:
        control["ttl"] = cache.ttl
    return {"cache_control": control}


class BlockWriter:
    """Writes parts for one upstream request. It keeps the ids of tool calls unique."""

    def __init__(self, conversation: Conversation, deployment: Deployment, losses: LossReport) -> None:
        self._is_same_dialect = conversation.dialect == DIALECT
        self._deployment = deployment
        self._losses = losses
        self._ids: dict[str, str] = {}
        self._used_ids: set[str] = set()
        self._next_numbers: dict[str, int] = {}
        """The next number to try for an id that is used already."""

    def write(self, part: Part) -> list[dict[str, Any]]:
        """Write one part of a message as at most one block. Raises `UnsupportedFeature`."""
        match part:
            case Text():
                return self._write_text(part)
            case Refusal():
                return [] if is_blank(part.text) else [{"type": "text", "text": part.text}]
            case Media():
                return [self._write_media(part)]
            case Reasoning():
                return self._write_thinking(part)
            case ToolCall():
                return [self._write_tool_use(part)]
            case ToolResult():
                return [self._write_tool_result(part)]
            case _:
                return self._write_foreign(part)

    def _write_text(self, part: Text) -> list[dict[str, Any]]:
        if is_blank(part.text):
            if part.cache is not None:
                self._losses.dropped("cache")
            return []  # Anthropic rejects blank text
        block: dict[str, Any] = {"type": "text", "text": part.text, **cache_control(part.cache)}
        cited = [citation.raw for citation in part.citations if citation.dialect == DIALECT and citation.raw]
        if cited and self._is_same_dialect:
            block["citations"] = cited
        elif part.citations:
            self._losses.dropped("messages[].content[].citations")
        return [self._with_extras(block, part.extras)]

    def _with_extras(self, block: dict[str, Any], extras: dict[str, Any]) -> dict[str, Any]:
        """Add the members that only this dialect has, if the client uses it."""
        if self._is_same_dialect and extras:
            block.update(extras)
        return block

    def _write_foreign(self, part: Foreign) -> list[dict[str, Any]]:
        if part.dialect == DIALECT:
            return [part.raw]
        self._losses.dropped(f"messages[].content[].{part.kind}")
        return []

    def _write_thinking(self, part: Reasoning) -> list[dict[str, Any]]:
        token = usable_token(part.token, DIALECT, self._deployment)
        if not token:
            self._losses.add("messages[].reasoning", "dropped", "not signed by this upstream")
            return []
        if part.is_redacted:
            return [self._with_extras({"type": "redacted_thinking", "data": token}, part.extras)]
        text = part.text or "\n\n".join(part.summary)
        return [self._with_extras({"type": "thinking", "thinking": text, "signature": token}, part.extras)]

    def _write_tool_use(self, part: ToolCall) -> dict[str, Any]:
        block = {
            "type": "tool_use",
            "id": self._unique_id(part.id),
            "name": part.name,
            "input": self._write_input(part),
            **cache_control(part.cache),
        }
        return self._with_extras(block, part.extras)

    def _write_input(self, part: ToolCall) -> dict[str, Any]:
        if part.kind == "custom":
            return {INPUT: part.arguments}
        arguments = part.arguments_object()
        if arguments is None:
            self._losses.add("messages[].tool_calls[].arguments", "converted", "invalid JSON object in _raw")
            return {RAW_ARGUMENTS: part.arguments}
        return arguments

    def _unique_id(self, call_id: str) -> str:
        """Return a valid id, which is the same for a call and its result and unique among calls."""
        if call_id not in self._ids:
            unique = sanitized = sanitize_id(call_id)
            number = self._next_numbers.get(sanitized, 2)
            while unique in self._used_ids:
                unique, number = f"{sanitized}_{number}", number + 1
            self._next_numbers[sanitized] = number
            self._used_ids.add(unique)
            self._ids[call_id] = unique
        return self._ids[call_id]

    def _write_tool_result(self, part: ToolResult) -> dict[str, Any]:
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": self._unique_id(part.call_id)}
        content = [item for each in part.parts for item in self.write(each)]
        if len(content) == 1 and set(content[0]) == {"type", "text"}:
            block["content"] = content[0]["text"]
        elif content:
            block["content"] = content
        if part.is_error:
            block["is_error"] = True
        block.update(cache_control(part.cache))
        return self._with_extras(block, part.extras)

    def _write_media(self, part: Media) -> dict[str, Any]:
        if part.kind not in {"image", "document"}:
            raise errors.UnsupportedFeature(
                f"{self._deployment.name} uses Anthropic's API, which does not support {part.kind} input.",
                param=self._losses.name_of("messages"),
            )
        if part.detail and part.detail != "auto":
            self._losses.dropped("messages[].content[].detail")
        block: dict[str, Any] = {"type": part.kind, "source": self._write_source(part)}
        if part.kind == "document":
            if part.name:
                block["title"] = part.name
            if part.context:
                block["context"] = part.context
            if part.has_citations:
                block["citations"] = {"enabled": True}
        block.update(cache_control(part.cache))
        return self._with_extras(block, part.extras)

    def _write_source(self, part: Media) -> dict[str, Any]:
        source = part.source
        if source.text is not None:
            return {"type": "text", "media_type": "text/plain", "data": source.text}
        if source.file_id is not None:
            if not self._is_same_dialect:
                raise self._unsupported("a file that is stored by another vendor")
            return {"type": "file", "file_id": source.file_id}
        if source.url is not None:
            if not source.url.startswith(("https://", "http://")):
                raise self._unsupported("a file URL that does not begin with http:// or https://")
            return {"type": "url", "url": source.url}
        return self._write_data(part, source.data or "")

    def _write_data(self, part: Media, data: str) -> dict[str, Any]:
        media_type = part.source.media_type or media_type_of(data)
        if part.kind == "image" or media_type == "application/pdf":
            if not media_type:
                raise self._unsupported("an image of unknown type", "Send the media type of the image.")
            return {"type": "base64", "media_type": media_type, "data": data}
        if is_textual(media_type):
            self._losses.add("messages[].content[].file", "converted", "plain text")
            return {"type": "text", "media_type": "text/plain", "data": self._decode_text(data)}
        raise self._unsupported(f"a document of type {media_type or 'unknown'}", "Send a PDF or a text document.")

    def _decode_text(self, data: str) -> str:
        try:
            return base64.b64decode(data, validate=True).decode()
        except (binascii.Error, ValueError):
            raise self._unsupported("a text document that is not base64-encoded UTF-8") from None

    def _unsupported(self, content: str, hint: str | None = None) -> errors.UnsupportedFeature:
        return errors.UnsupportedFeature(
            f"{self._deployment.name} uses Anthropic's API, which does not support {content}.",
            param=self._losses.name_of("messages"),
            hint=hint,
        )
