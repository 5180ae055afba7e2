"""How many tokens a conversation has, roughly, where no upstream counts them: everything in it, not its text alone."""

from collections.abc import Iterable
from typing import Final

import msgspec

from intellirouter.core import estimate_tokens
from intellirouter.dialects.ir import (
    Conversation,
    Foreign,
    Media,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

_PER_MESSAGE: Final = 4
_PER_TOOL: Final = 16
_MEDIA: Final = {"image": 1_500, "audio": 1_000, "video": 5_000, "document": 2_000}
"""What a picture, … costs at least, about: vendors charge by its size, which is not known here."""
_BASE64_BYTES_PER_TOKEN: Final = {"document": 60, "audio": 400, "video": 2_000, "image": 10**9}


def estimate_conversation(conversation: Conversation) -> int:
    """Return an estimate of the input tokens: text, thoughts, calls, results, media, tools, schema."""
    total = sum(_PER_MESSAGE + _parts(message.parts) for message in conversation.messages)
    total += sum(_tool(tool) for tool in conversation.tools)
    if conversation.output is not None and conversation.output.schema is not None:
        total += estimate_tokens(len(msgspec.json.encode(conversation.output.schema)))
    return total


def _parts(parts: Iterable[Part]) -> int:
    return sum(_part(part) for part in parts)


def _part(part: Part) -> int:
    match part:
        case Text() | Refusal():
            return _text(part.text)
        case Reasoning():
            return _text(part.text) + sum(map(_text, part.summary))
        case ToolCall():
            return _PER_TOOL + _text(part.name) + _text(part.arguments)
        case ToolResult():
            return _PER_TOOL + _parts(part.parts)
        case Media():
            return _media(part)
        case Foreign():
            return estimate_tokens(len(msgspec.json.encode(part.raw)))


def _media(part: Media) -> int:
    if part.source.text is not None:
        return _text(part.source.text)
    size = len(part.source.data or "")
    return max(_MEDIA[part.kind], size // _BASE64_BYTES_PER_TOKEN[part.kind])


def _tool(tool: Tool) -> int:
    return _PER_TOOL + estimate_tokens(len(msgspec.json.encode(msgspec.to_builtins(tool))))


def _text(text: str) -> int:
    return estimate_tokens(len(text.encode("utf-8", "replace")))
