"""Estimates of the number of tokens in a conversation, including tools and media, where no upstream counts them."""

from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

import msgspec

from intellirouter.core import estimate_tokens
from intellirouter.dialects.ir import (
    Conversation,
    Foreign,
    Media,
    Message,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

T = TypeVar("T")

_PER_MESSAGE: Final = 4
_PER_TOOL: Final = 16
_MEDIA: Final = {"image": 1_500, "audio": 1_000, "video": 5_000, "document": 2_000}
"""The estimated minimum for media of each kind. Vendors count by dimensions or duration, which are unknown here."""
_BASE64_BYTES_PER_TOKEN: Final = {"document": 60, "audio": 400, "video": 2_000, "image": 10**9}


def estimate_conversation(conversation: Conversation) -> int:
    """Return an estimate of the input tokens: text, reasoning, tool calls and results, media, tools, output schema."""
    total = sum(estimate_message(message) for message in conversation.messages)
    return total + sum(_tool(tool) for tool in conversation.tools) + _output(conversation.output)


def estimate_difference(before: Conversation, after: Conversation) -> int:
    """Return how many more input tokens `after` has than `before`. Values that both share are not counted."""
    total = _difference(before.messages, after.messages, estimate_message) + _difference(
        before.tools, after.tools, _tool
    )
    return total + _output(after.output) - _output(before.output)


def _difference(old: Sequence[T], new: Sequence[T], tokens: Callable[[T], int]) -> int:
    new_ids, old_ids = {id(each) for each in new}, {id(each) for each in old}
    added = sum(tokens(each) for each in new if id(each) not in old_ids)
    return added - sum(tokens(each) for each in old if id(each) not in new_ids)


def estimate_message(message: Message) -> int:
    """Return an estimate of the tokens of one message."""
    return _PER_MESSAGE + _parts(message.parts)


def _output(output: OutputFormat | None) -> int:
    return 0 if output is None or output.schema is None else estimate_tokens(len(msgspec.json.encode(output.schema)))


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
