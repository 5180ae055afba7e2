"""From messages to Anthropic's turns: they alternate, the first is the user's, none is empty, results come first.

System messages at the beginning become the system prompt, block by block. Later ones stay where they are: as user
text, reported, or as they came for a client of this dialect.
"""

from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, field

from intellirouter.core import LossReport, errors
from intellirouter.dialects.anthropic_messages.upstream_blocks import THINKING_TYPES, BlockWriter
from intellirouter.dialects.anthropic_messages.wire import DIALECT
from intellirouter.dialects.ir import Conversation, Media, Message

_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_NOTHING_SAID: Final = "(no text)"
"""Stands where a turn is needed and the client has nothing for it."""


class Turn(Struct):
    role: str
    results: list[dict[str, Any]] = field(default_factory=list)
    """Tool results: they stand before everything else, as Anthropic demands."""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    extras: dict[str, Any] = field(default_factory=dict)

    def wire(self) -> dict[str, Any]:
        return {"role": self.role, "content": [*self.results, *self.blocks], **self.extras}


def prompt_and_turns(
    conversation: Conversation, writer: BlockWriter, losses: LossReport
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the system prompt's blocks and the messages. Raises `UnsupportedFeature`."""
    messages = conversation.messages
    lead = next((at for at, message in enumerate(messages) if message.role not in _SYSTEM_ROLES), len(messages))
    system = [block for message in messages[:lead] for block in _system_blocks(message, writer, losses)]
    turns = _turns(messages[lead:], writer, losses, is_own=conversation.dialect == DIALECT)
    if not turns and system:
        losses.add("messages", "converted", "the last system message is said by the user")
        turns = [Turn("user", blocks=[system.pop()])]
    elif not turns:
        losses.add("messages", "converted", "an empty message")
        turns = [_placeholder()]
    elif turns[0].role == "assistant":
        losses.add("messages", "converted", "a user turn was put first")
        turns.insert(0, _placeholder())
    _trim_prefill(turns[-1], losses)
    return system, [turn.wire() for turn in turns]


def _placeholder() -> Turn:
    return Turn("user", blocks=[{"type": "text", "text": _NOTHING_SAID}])


def _system_blocks(message: Message, writer: BlockWriter, losses: LossReport) -> list[dict[str, Any]]:
    if any(isinstance(part, Media) for part in message.parts):
        raise errors.UnsupportedFeature(
            "Anthropic's dialect takes only text in system messages; put files into a user message.",
            param=losses.name_of("messages"),
        )
    return [block for part in message.parts for block in writer.blocks(part)]


def _turns(messages: Iterable[Message], writer: BlockWriter, losses: LossReport, *, is_own: bool) -> list[Turn]:
    turns: list[Turn] = []
    for message in messages:
        role = _role(message, losses, is_own=is_own)
        blocks = [block for part in message.parts for block in writer.blocks(part)]
        if message.name:
            losses.dropped("messages[].name")
        if not blocks:
            continue  # empty turns are refused; their neighbours join
        if not turns or turns[-1].role != role:
            turns.append(Turn(role))
        turn = turns[-1]
        for block in blocks:
            (turn.results if block["type"] == "tool_result" else turn.blocks).append(block)
        if is_own:
            turn.extras.update(message.extras)
    for turn in turns:
        if turn.role == "assistant" and not is_own:
            _put_thinking_first(turn)
    return turns


def _role(message: Message, losses: LossReport, *, is_own: bool) -> str:
    if message.role == "assistant":
        return "assistant"
    if message.role in _SYSTEM_ROLES:
        if is_own:
            return "system"
        losses.add("messages[].role", "converted", "a later system message is said by the user")
    return "user"


def _put_thinking_first(turn: Turn) -> None:
    """Anthropic wants an assistant turn that has thoughts to begin with them."""
    if turn.blocks and turn.blocks[0]["type"] not in THINKING_TYPES:
        turn.blocks.sort(key=lambda block: block["type"] not in THINKING_TYPES)


def _trim_prefill(turn: Turn, losses: LossReport) -> None:
    """An answer that is to be continued must not end with white space."""
    last = turn.blocks[-1] if turn.role == "assistant" and turn.blocks else None
    if last is not None and last["type"] == "text" and last["text"] != last["text"].rstrip():
        turn.blocks[-1] = {**last, "text": last["text"].rstrip()}
        losses.add("messages", "converted", "white space at the end of the prefill")


def has_calls(messages: Iterable[dict[str, Any]]) -> bool:
    return any(block["type"] in {"tool_use", "tool_result"} for turn in messages for block in turn["content"])


def lacks_thoughts(messages: list[dict[str, Any]]) -> bool:
    """Whether tool results end the conversation, and the turn that called the tools does not begin with thoughts.

    A turn that uses tools several times is one turn: its first message counts.
    """
    first: dict[str, Any] | None = None
    for turn in reversed(messages):
        if turn["role"] == "assistant":
            first = turn
        elif turn["content"][0]["type"] != "tool_result":
            break
    is_open = bool(messages) and messages[-1]["content"][0]["type"] == "tool_result"
    return is_open and first is not None and first["content"][0]["type"] not in THINKING_TYPES
