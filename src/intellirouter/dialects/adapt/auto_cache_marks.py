"""Prompt-cache marks that the gateway sets itself, for upstreams that cache nothing without marks (Anthropic, Bedrock).

What a mark writes to the cache costs a quarter more, and what a later request reads from it costs nine tenths less. So
marks are set only where a later request is likely:

- after the tools and the system prompt, with which other conversations begin, too. In the first turn, when nothing
  shows yet that there will be another request, only if they are large.
- after the last message, from the second turn on, because the next turn continues from there; and after the user's
  message before it, so that what the previous turn has written is found even if many blocks have been added since.

A client that sets marks knows better: it gets none of these. What is shorter than the model's minimum is never cached.

Source: Anthropic, "Prompt caching" (prices, minimum by model, up to 4 breakpoints, lookback of 20 blocks); AWS, "Prompt
caching for faster model inference".
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, Final

import msgspec
from msgspec import structs

from intellirouter.core import Deployment, Price, estimate_tokens
from intellirouter.dialects.adapt.cache_marks import has_marks
from intellirouter.dialects.ir import (
    CacheMark,
    Conversation,
    CustomTool,
    FunctionTool,
    Media,
    Message,
    Part,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)

_LARGE_TOKENS: Final = 2048
"""In the first turn, tools and system prompt of this size are marked."""
_MEDIA_TOKENS: Final = 1000
_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_MARK: Final = CacheMark()
_encode: Final = msgspec.json.Encoder().encode


def with_auto_marks(conversation: Conversation, deployment: Deployment, *, marks_tools: bool) -> Conversation | None:
    """Return the conversation with marks, or None if none would pay. The client's conversation is not changed.

    `marks_tools`: the upstream takes a mark after the tools.
    """
    minimum = deployment.profile.min_cached_tokens
    if not minimum or not deployment.marks_prompt_cache or not _pays(deployment.price):
        return None
    messages = conversation.messages
    sizes = [_message_bytes(each) for each in messages]
    tool_bytes = sum(map(_tool_bytes, conversation.tools))
    if estimate_tokens(tool_bytes + sum(sizes)) < minimum:
        return None
    if has_marks(conversation) or "cache_control" in conversation.extras:
        return None
    prefixes = [estimate_tokens(size) for size in accumulate(sizes, initial=tool_bytes)]
    start = next((at for at, each in enumerate(messages) if each.role not in _SYSTEM_ROLES), len(messages))
    is_first_turn = all(each.role != "assistant" for each in messages)
    marked = _Marked(conversation, only_text=deployment.profile.caches_only_text)
    if start < len(messages) and prefixes[start] >= (max(minimum, _LARGE_TOKENS) if is_first_turn else minimum):
        marked.mark_static(start, marks_tools=marks_tools)
    if not is_first_turn:
        for at in _turn_ends(messages, start):
            if prefixes[at + 1] >= minimum:
                marked.mark_message(at)
    return marked.conversation if marked.count else None


def _turn_ends(messages: Sequence[Message], start: int) -> list[int]:
    """Return the positions of the last message that is not the model's, and of the one before the model's last turn."""
    ends = [
        at
        for at in range(start, len(messages))
        if messages[at].role != "assistant" and (at + 1 == len(messages) or messages[at + 1].role == "assistant")
    ]
    return ends[-2:]


def _pays(price: Price | None) -> bool:
    """Return whether one later request repays a mark. An unknown price is taken for the usual one, which does."""
    if price is None:
        return True
    if price.cache_read is None:
        return False
    written = price.input if price.cache_write is None else price.cache_write
    return written - price.input < price.input - price.cache_read


def _message_bytes(message: Message) -> int:
    return sum(map(_part_bytes, message.parts))


def _part_bytes(part: Part) -> int:
    match part:
        case Text():
            return len(part.text)
        case ToolCall():
            return len(part.name) + len(part.arguments)
        case ToolResult():
            return sum(map(_part_bytes, part.parts))
        case Media():
            return _media_bytes(part)
        case _:
            return 0


def _media_bytes(part: Media) -> int:
    """Return the size of a text with as many tokens as the part probably has."""
    return len(part.source.text or "") or _MEDIA_TOKENS * 4


def _tool_bytes(tool: Tool) -> int:
    if isinstance(tool, FunctionTool):
        return len(tool.name) + len(tool.description) + len(_encode(tool.parameters))
    return len(tool.name) + len(tool.description) if isinstance(tool, CustomTool) else 0


class _Marked:
    """A copy of a conversation with marks. Only what is marked is copied."""

    def __init__(self, conversation: Conversation, *, only_text: bool) -> None:
        """`only_text`: the upstream takes marks only after text."""
        self.conversation = conversation
        self._only_text = only_text
        self.count = 0

    def mark_static(self, start: int, *, marks_tools: bool) -> None:
        """Mark the end of the system prompt, which ends before the message at `start`; without one, the last tool."""
        if not any(self.mark_message(at) for at in reversed(range(start))) and marks_tools:
            self._mark_last_tool()

    def mark_message(self, at: int) -> bool:
        """Mark the last part of a message that can be marked. Return whether there is one."""
        messages = self.conversation.messages
        parts = messages[at].parts
        for index in reversed(range(len(parts))):
            if _can_be_marked(parts[index], only_text=self._only_text):
                marked: Any = structs.replace(parts[index], cache=_MARK)
                changed = structs.replace(messages[at], parts=[*parts[:index], marked, *parts[index + 1 :]])
                self._replace(messages=[*messages[:at], changed, *messages[at + 1 :]])
                return True
        return False

    def _mark_last_tool(self) -> None:
        """Mark the last tool that the upstream knows."""
        tools = self.conversation.tools
        for index in reversed(range(len(tools))):
            if isinstance(tools[index], FunctionTool | CustomTool):
                marked = structs.replace(tools[index], cache=_MARK)
                self._replace(tools=[*tools[:index], marked, *tools[index + 1 :]])
                return

    def _replace(self, **members: Any) -> None:
        self.conversation = structs.replace(self.conversation, **members)
        self.count += 1


def _can_be_marked(part: Part, *, only_text: bool) -> bool:
    if isinstance(part, Text):
        return not part.text.isspace() and bool(part.text)
    return not only_text and isinstance(part, ToolResult | Media)
