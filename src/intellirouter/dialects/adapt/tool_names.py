"""Names of tools, fitted to what an upstream accepts, and restored in its answer.

A name that does not fit makes an upstream reject the whole request, even if only the history contains it. The fitted
name depends on nothing but the names in the conversation, so every turn gets the same one. Names that fit are never
changed, and no two names become the same one.
"""

import hashlib
from collections.abc import Collection, Iterator
from itertools import count
from typing import Final

from msgspec import Struct, structs

from intellirouter.core import LossReport
from intellirouter.dialects.ir import (
    Choice,
    Conversation,
    Event,
    Message,
    Part,
    Response,
    ServerTool,
    Tool,
    ToolCall,
    ToolCallStarted,
    ToolChoice,
    ToolResult,
)
from intellirouter.dialects.protocols import StreamDecoder
from intellirouter.dialects.wire.tool_name_rule import OPENAI_NAMES, NameRule

_DIGEST_CHARS: Final = 8


class FittedNames(Struct, frozen=True):
    """The names that differ between the client and the upstream."""

    by_client_name: dict[str, str]
    by_upstream_name: dict[str, str]


def fitted_names(conversation: Conversation, rule: NameRule | None) -> FittedNames | None:
    """Return the fitted names of a conversation's tools; None if all of its names fit."""
    if rule is None:
        return None
    names = dict.fromkeys(_names_in(conversation))
    if rule.are_valid(names):
        return None
    invalid = [name for name in names if not rule.is_valid(name)]
    taken = names.keys() - invalid
    by_client_name: dict[str, str] = {}
    for name in invalid:
        by_client_name[name] = fitted = fitted_name(name, rule, taken)
        taken.add(fitted)
    return FittedNames(by_client_name, {fitted: name for name, fitted in by_client_name.items()})


def with_distinct_tools(conversation: Conversation, losses: LossReport) -> Conversation:
    """Return the conversation with the first tool of each name only, because most vendors reject two of one name."""
    tools: dict[str, Tool] = {}
    names = [tool.name for tool in conversation.tools if not isinstance(tool, ServerTool)]
    if len(set(names)) == len(names):
        return conversation
    distinct: list[Tool] = []
    for tool in conversation.tools:
        if isinstance(tool, ServerTool):
            distinct.append(tool)
            continue
        first = tools.setdefault(tool.name, tool)
        if first is tool:
            distinct.append(tool)
        elif first != tool:
            losses.add("tools[]", "dropped", "another tool has the same name")
    return structs.replace(conversation, tools=distinct)


def fitted_name(name: str, rule: NameRule, taken: Collection[str], *, key: str = "") -> str:
    """Return a valid name that is similar to `name` and not taken.

    A name that is too long or taken gets a digest of `key`, which is the name by default, and keeps its end, where
    namespaced tools have the name of the function.
    """
    fitted = rule.replace_invalid(name)
    if len(fitted) <= rule.max_chars and fitted not in taken:
        return fitted
    size = rule.max_chars - _DIGEST_CHARS - 1
    stem = rule.replace_invalid(fitted[-size:])
    if len(stem) > size:  # An underscore was put in front of it.
        stem = rule.replace_invalid(fitted[1 - size :])
    for attempt in count():
        seed = f"{key or name}\0{attempt}" if attempt else key or name
        digest = hashlib.sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_CHARS]
        if (fitted := f"{stem}_{digest}") not in taken:
            break
    return fitted


def output_name(name: str, default: str) -> str:
    """Return the name of an output format as OpenAI and Bedrock accept it. It does not come back in answers."""
    if not name or OPENAI_NAMES.is_valid(name):
        return name or default
    return fitted_name(name, OPENAI_NAMES, ())


def _names_in(conversation: Conversation) -> Iterator[str]:
    """Yield the names of all tools: first those that are declared, then those that only the history has."""
    for tool in conversation.tools:
        if not isinstance(tool, ServerTool):
            yield tool.name
    choice = conversation.tool_choice
    if choice is not None and choice.raw is None:
        if choice.mode == "named":
            yield choice.name
        if choice.allowed is not None:
            yield from choice.allowed
    for message in conversation.messages:
        for part in message.parts:
            kind = part.__class__
            if kind is ToolCall or (kind is ToolResult and part.name):  # type: ignore[union-attr]  # both have a name
                yield part.name  # type: ignore[union-attr]


def with_fitted_names(conversation: Conversation, names: FittedNames, losses: LossReport) -> Conversation:
    """Return the conversation with the fitted names in declarations, in the tool choice and in the history."""
    losses.add("tools[].name", "converted", "fitted to the names that the upstream accepts, restored in answers")
    renamed = names.by_client_name
    choice = conversation.tool_choice
    return structs.replace(
        conversation,
        tools=[_renamed_tool(tool, renamed) for tool in conversation.tools],
        tool_choice=choice if choice is None else _renamed_choice(choice, renamed),
        messages=[_renamed_message(message, renamed) for message in conversation.messages],
    )


def _renamed_tool(tool: Tool, renamed: dict[str, str]) -> Tool:
    if isinstance(tool, ServerTool) or tool.name not in renamed:
        return tool
    return structs.replace(tool, name=renamed[tool.name])


def _renamed_choice(choice: ToolChoice, renamed: dict[str, str]) -> ToolChoice:
    if choice.raw is not None:
        return choice
    allowed = choice.allowed and [renamed.get(name, name) for name in choice.allowed]
    return structs.replace(choice, name=renamed.get(choice.name, choice.name), allowed=allowed)


def _renamed_message(message: Message, renamed: dict[str, str]) -> Message:
    parts = [_renamed_part(part, renamed) for part in message.parts]
    return structs.replace(message, parts=parts) if parts != message.parts else message


def _renamed_part(part: Part, renamed: dict[str, str]) -> Part:
    if isinstance(part, ToolCall | ToolResult) and part.name in renamed:
        return structs.replace(part, name=renamed[part.name])
    return part


def with_client_names(response: Response, names: FittedNames) -> Response:
    """Return the response with the client's names of its tools."""
    client_names = names.by_upstream_name
    choices: list[Choice] = [
        structs.replace(choice, parts=[_renamed_part(part, client_names) for part in choice.parts])
        for choice in response.choices
    ]
    return structs.replace(response, choices=choices)


class ClientNamesDecoder:
    """Implements `protocols.StreamDecoder`: the stream of another decoder with the client's names of its tools."""

    def __init__(self, decoder: StreamDecoder, names: FittedNames) -> None:
        self._decoder = decoder
        self._names = names.by_upstream_name

    @property
    def buffered_bytes(self) -> int:
        return self._decoder.buffered_bytes

    def feed(self, data: bytes) -> list[Event]:
        return self._restored(self._decoder.feed(data))

    def end(self) -> list[Event]:
        return self._restored(self._decoder.end())

    def _restored(self, events: list[Event]) -> list[Event]:
        names = self._names
        return [
            structs.replace(event, name=names[event.name])
            if isinstance(event, ToolCallStarted) and event.name in names
            else event
            for event in events
        ]
