"""Prompt-cache marks for upstreams that take at most four of them (Anthropic, Bedrock), and for those without any.

A mark caches all of the prompt before it, so of too many, two kinds are worth most. The last mark of the tools and the
system prompt stays, because other conversations begin like this, and this one too after its history has been edited.
The last marks of the messages stay, because the next turn continues from there. The others are left out and reported:
what they would have cached is part of what the marks after them cache.

Source: Anthropic, "Prompt caching" (up to 4 breakpoints); AWS, "Prompt caching" (up to 4 checkpoints).
"""

from collections.abc import Iterable
from typing import Any, Final

from intellirouter.core import LossReport
from intellirouter.dialects.ir import Conversation, Part, ToolResult

_MAX_MARKS: Final = 4


def has_marks(conversation: Conversation) -> bool:
    """Return whether there is a mark on any tool or part."""
    return any(tool.cache is not None for tool in conversation.tools) or any(
        _has_mark(part) for message in conversation.messages for part in message.parts
    )


def count_marks(conversation: Conversation) -> int:
    """Return the number of tools and parts with a mark, without those inside tool results."""
    parts = [part for message in conversation.messages for part in message.parts]
    return sum(getattr(each, "cache", None) is not None for each in (*conversation.tools, *parts))


def _has_mark(part: Part) -> bool:
    if getattr(part, "cache", None) is not None:
        return True
    return isinstance(part, ToolResult) and any(each.cache is not None for each in part.parts)


def surplus(static_count: int, count: int) -> set[int]:
    """Return which marks to leave out, by position. The first `static_count` of all `count` are before the messages."""
    if count <= _MAX_MARKS:
        return set()
    kept = set(range(count - _MAX_MARKS, count))
    if 0 < static_count <= count - _MAX_MARKS:
        kept = {static_count - 1, *range(count - _MAX_MARKS + 1, count)}
    return set(range(count)) - kept


def limit_block_marks(
    static: Iterable[dict[str, Any]], turns: Iterable[dict[str, Any]], losses: LossReport, *, member: str
) -> None:
    """Remove the surplus marks, which are members of blocks (Anthropic). Blocks may contain blocks (tool results)."""
    marked = [block for block in static if member in block]
    static_count = len(marked)
    for turn in turns:
        for block in turn["content"]:
            inner = block.get("content")
            if isinstance(inner, list):
                marked += [each for each in inner if member in each]
            if member in block:
                marked.append(block)
    for position in surplus(static_count, len(marked)):
        del marked[position][member]
        report_surplus(losses)


def limit_mark_blocks(
    static: Iterable[list[dict[str, Any]]], turns: Iterable[dict[str, Any]], losses: LossReport, *, member: str
) -> None:
    """Remove the surplus marks, which are blocks of their own (Bedrock), from the lists that contain them."""
    marks = [(blocks, block) for blocks in static for block in blocks if member in block]
    static_count = len(marks)
    marks += [(turn["content"], block) for turn in turns for block in turn["content"] if member in block]
    for position in surplus(static_count, len(marks)):
        blocks, mark = marks[position]
        blocks[:] = [block for block in blocks if block is not mark]
        report_surplus(losses)


def report_surplus(losses: LossReport) -> None:
    losses.add("cache", "clamped", f"at most {_MAX_MARKS} marks")
