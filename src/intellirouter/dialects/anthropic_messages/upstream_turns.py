"""Writes messages as Anthropic's turns: roles alternate, the first is `user`, none is empty, tool results come first.

System messages at the beginning become the system prompt. Later ones keep their position: for clients of other dialects
they become user text, and this is reported; for clients of this dialect they stay unchanged.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, field

from intellirouter.core import LossReport, errors
from intellirouter.dialects.adapt import prefill
from intellirouter.dialects.anthropic_messages.client_response import THINKING_TYPES
from intellirouter.dialects.anthropic_messages.upstream_blocks import BlockWriter
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import Conversation, Media, Message

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_PLACEHOLDER_TEXT: Final = "(no text)"
"""The text of a required turn for which the client sent nothing."""


class Turn(Struct):
    role: str
    results: list[dict[str, Any]] = field(default_factory=list)
    """Tool results, which Anthropic requires before all other blocks."""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        return {"role": self.role, "content": [*self.results, *self.blocks], **self.extras}


def write_prompt_and_turns(
    conversation: Conversation, writer: BlockWriter, losses: LossReport
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the system prompt's blocks and the messages. Raises `UnsupportedFeature`."""
    messages = conversation.messages
    system_count = next(
        (index for index, message in enumerate(messages) if message.role not in _SYSTEM_ROLES), len(messages)
    )
    system = [block for message in messages[:system_count] for block in _write_system(message, writer, losses)]
    turns = _write_turns(messages[system_count:], writer, losses, is_same_dialect=conversation.dialect == DIALECT)
    if not turns and system:
        losses.add("messages", "converted", "last system message sent as user")
        turns = [Turn("user", blocks=[system.pop()])]
    elif not turns:
        losses.add("messages", "converted", "a placeholder user message was added")
        turns = [_placeholder_turn()]
    elif turns[0].role == "assistant":
        losses.add("messages", "converted", "a placeholder user message was added at the start")
        turns.insert(0, _placeholder_turn())
    return system, [turn.to_wire() for turn in turns]


def _placeholder_turn() -> Turn:
    return Turn("user", blocks=[{"type": "text", "text": _PLACEHOLDER_TEXT}])


def _write_system(message: Message, writer: BlockWriter, losses: LossReport) -> list[dict[str, Any]]:
    if any(isinstance(part, Media) for part in message.parts):
        raise errors.UnsupportedFeature(
            "Anthropic's API accepts only text in system messages.",
            param=losses.name_of("messages"),
            hint="Put files into a user message.",
        )
    return [block for part in message.parts for block in writer.write(part)]


def _write_turns(
    messages: Iterable[Message], writer: BlockWriter, losses: LossReport, *, is_same_dialect: bool
) -> list[Turn]:
    turns: list[Turn] = []
    for message in messages:
        role = _wire_role(message, losses, is_same_dialect=is_same_dialect)
        blocks = [block for part in message.parts for block in writer.write(part)]
        if message.name:
            losses.dropped("messages[].name")
        if not blocks:
            continue  # Anthropic rejects empty turns
        if not turns or turns[-1].role != role:
            turns.append(Turn(role))
        turn = turns[-1]
        for block in blocks:
            (turn.results if block["type"] == "tool_result" else turn.blocks).append(block)
        if is_same_dialect:
            turn.extras.update(message.extras)
    for turn in turns:
        if turn.role == "assistant" and not is_same_dialect:
            _put_thinking_first(turn)
    return turns


def _wire_role(message: Message, losses: LossReport, *, is_same_dialect: bool) -> str:
    if message.role == "assistant":
        return "assistant"
    if message.role in _SYSTEM_ROLES:
        if is_same_dialect:
            return "system"
        losses.add("messages[].role", "converted", "later system message sent as user")
    return "user"


def _put_thinking_first(turn: Turn) -> None:
    """Move thinking blocks to the start of an assistant turn, as Anthropic requires."""
    if turn.blocks and turn.blocks[0]["type"] not in THINKING_TYPES:
        turn.blocks.sort(key=lambda block: block["type"] not in THINKING_TYPES)


def finish_turns(turns: list[dict[str, Any]], losses: LossReport, *, takes_prefill: bool) -> None:
    """Adapt an answer at the end, which the model should continue. See `adapt.prefill`.

    White space at its end is removed, because Anthropic rejects it.
    """
    last = turns[-1]
    block = last["content"][-1] if last["role"] == "assistant" and last["content"] else None
    if block is None or block["type"] == "tool_use":
        return
    if not takes_prefill:
        turns.append({"role": "user", "content": [{"type": "text", "text": prefill.INSTRUCTION}]})
        prefill.report_instruction(losses)
    elif block["type"] == "text" and block["text"] != block["text"].rstrip():
        last["content"][-1] = {**block, "text": block["text"].rstrip()}
        prefill.report_trimming(losses)


def has_tool_calls(messages: Iterable[dict[str, Any]]) -> bool:
    return any(block["type"] in {"tool_use", "tool_result"} for turn in messages for block in turn["content"])


def lacks_reasoning(messages: list[dict[str, Any]]) -> bool:
    """Return whether the last message has tool results, and the reasoning before the tool calls is missing.

    Several rounds of tool calls belong to the same turn, which must begin with reasoning.
    """
    first_turn: dict[str, Any] | None = None
    for turn in reversed(messages):
        if turn["role"] == "assistant":
            first_turn = turn
        elif turn["content"][0]["type"] != "tool_result":
            break
    is_open = bool(messages) and messages[-1]["content"][0]["type"] == "tool_result"
    return is_open and first_turn is not None and first_turn["content"][0]["type"] not in THINKING_TYPES
