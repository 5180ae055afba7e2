"""Shortens a conversation: leaves out its oldest turns. Pure.

A conversation is cut into units, from the oldest to the newest: whole rounds, each of which begins with the user, and
in the last round the steps of the model, with the results of its tool calls. Units are left out from the beginning, so
that what remains is a conversation that every provider accepts: it begins with the user, and no tool call is separated
from its result.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from msgspec import Struct, structs

from intellirouter.dialects.ir import Conversation, Foreign, Message, Part, ToolCall, ToolResult
from intellirouter.dialects.wire.token_estimate import estimate_message

_ALWAYS_KEPT: Final = frozenset({"system", "developer"})
_LINKS: Final = ("call_id", "tool_use_id")
"""The members with which items of a dialect, such as calls of a computer, refer to each other."""


class Shortened(Struct, frozen=True):
    """A conversation without its oldest turns."""

    conversation: Conversation
    removed: int
    """How many messages were left out."""


def shortened(conversation: Conversation, excess_tokens: int) -> Shortened | None:
    """Leave out the oldest turns, until there are at least `excess_tokens` less; None if that is not possible.

    System messages, the last message of the user and the last step of the model are kept.
    """
    messages = conversation.messages
    units = list(_units(messages))
    unit_of = {index: number for number, unit in enumerate(units) for index in unit}
    partners = _partners(messages)
    left, needed = excess_tokens, -1
    for number, unit in enumerate(units):
        left -= sum([estimate_message(messages[index]) for index in unit])
        # Units that contain the results of calls that are left out have to be left out, too.
        needed = max([needed, *[unit_of.get(each, len(units)) for index in unit for each in partners.get(index, ())]])
        if left <= 0 and needed <= number:
            kept = [each for index, each in enumerate(messages) if unit_of.get(index, len(units)) > number]
            return Shortened(structs.replace(conversation, messages=kept), len(messages) - len(kept))
    return None


def _units(messages: Sequence[Message]) -> Iterator[list[int]]:
    """Yield the indexes of the messages that can be left out together, the oldest ones first."""
    turns = [index for index, each in enumerate(messages) if each.role not in _ALWAYS_KEPT]
    *earlier, last = _split(messages, turns, "user") or [[]]
    yield from earlier
    question = [index for index in last if messages[index].role == "user"]
    steps = _split(messages, [index for index in last if index not in question], "assistant")
    yield from steps[:-1]


def _split(messages: Sequence[Message], indexes: Sequence[int], role: str) -> list[list[int]]:
    """Split messages before each one of `role` that does not follow another one of it."""
    groups: list[list[int]] = []
    for index in indexes:
        is_start = messages[index].role == role and not (groups and messages[groups[-1][-1]].role == role)
        if is_start or not groups:
            groups.append([])
        groups[-1].append(index)
    return groups


def _partners(messages: Sequence[Message]) -> dict[int, list[int]]:
    """Return by the index of a message those of later ones that contain the results of its calls.

    A result belongs to the latest call with its ID, because IDs may be used again.
    """
    latest: dict[str, int] = {}
    partners: dict[int, list[int]] = {}
    for index, message in enumerate(messages):
        for part in message.parts:
            link = _link(part)
            if link and not isinstance(part, ToolCall) and (call := latest.get(link)) is not None:
                partners.setdefault(call, []).append(index)
            if link and not isinstance(part, ToolResult):
                latest[link] = index
    return partners


def _link(part: Part) -> str:
    """Return the ID by which a call and its result refer to each other; empty if the part is none of them."""
    if isinstance(part, ToolCall):
        return part.id
    if isinstance(part, ToolResult):
        return part.call_id
    if isinstance(part, Foreign) and isinstance(part.raw, dict):
        return next((link for name in _LINKS if isinstance(link := part.raw.get(name), str)), "")
    return ""
