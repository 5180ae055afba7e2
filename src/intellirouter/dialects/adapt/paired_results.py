"""Tool calls and their results in the order that every vendor accepts.

Most vendors reject a request unless the messages right after an answer with tool calls contain exactly one result for
each call, and Anthropic requires that no two calls of a conversation have the same id. Clients break these rules when
a user interrupts an agent, when a long history is shortened, and when a history comes from a vendor without such
rules, for example from one that numbers the calls of each answer from 0.
"""

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import structs

from intellirouter.core import LossReport
from intellirouter.dialects.ir import Conversation, Message, Part, Text, ToolCall, ToolResult

_MISSING_RESULT: Final = "The tool returned no result."


def with_paired_results(conversation: Conversation, losses: LossReport) -> Conversation:
    """Return the conversation with unique ids of calls, and with one result for each call right after its answer.

    Calls at the end of the conversation stay without results. Results without a call become messages of the user.
    """
    if _are_paired(conversation.messages):
        return conversation
    return structs.replace(conversation, messages=_Pairing(losses).pair(conversation.messages))


def _are_paired(messages: Iterable[Message]) -> bool:
    """Return whether nothing needs to be changed, as nearly always."""
    seen: set[str] = set()
    open_ids: set[str] = set()
    can_call = False
    """Whether the last message is an answer, so that another answer belongs to the same turn."""
    for message in messages:
        if message.role == "tool":
            for part in message.parts:
                if isinstance(part, ToolResult):
                    if part.call_id not in open_ids:
                        return False
                    open_ids.remove(part.call_id)
        elif open_ids and not (can_call and message.role == "assistant"):
            return False
        else:
            for part in message.parts:
                if isinstance(part, ToolCall):
                    if part.id in seen:
                        return False
                    seen.add(part.id)
                    open_ids.add(part.id)
        can_call = message.role == "assistant"
    return not open_ids or can_call


class _Pairing:
    """Rewrites the messages of one conversation."""

    def __init__(self, losses: LossReport) -> None:
        self._losses = losses
        self._messages: list[Message] = []
        self._used_ids: set[str] = set()
        self._next_numbers: dict[str, int] = {}
        """The next number to try for an id that is used already."""
        self._calls: list[ToolCall] = []
        """The calls of the last answer."""
        self._open: dict[str, deque[ToolCall]] = {}
        """Those without a result, by the id that the client knows. Two calls may have the same one."""
        self._answers: dict[str, Message] = {}
        """The results for these calls, by their unique id."""
        self._following: list[Message] = []
        """What the client sent after these calls, except for the results."""

    def pair(self, messages: Iterable[Message]) -> list[Message]:
        is_answered = False
        for message in messages:
            if message.role == "assistant":
                if is_answered:
                    self._close(is_last=False)
                self._messages.append(self._with_unique_ids(message))
            elif message.role == "tool":
                self._add_results(message)
            else:
                self._following.append(message)
            is_answered = message.role != "assistant"
        self._close(is_last=True)
        return self._messages

    def _with_unique_ids(self, message: Message) -> Message:
        parts: list[Part] = []
        for part in message.parts:
            if isinstance(part, ToolCall):
                unique = part if part.id not in self._used_ids else structs.replace(part, id=self._new_id(part.id))
                self._used_ids.add(unique.id)
                self._calls.append(unique)
                self._open.setdefault(part.id, deque()).append(unique)
                parts.append(unique)
            else:
                parts.append(part)
        return message if parts == message.parts else structs.replace(message, parts=parts)

    def _new_id(self, used: str) -> str:
        """Return an id that depends on the ids before it only, so that every turn gets the same one."""
        number = self._next_numbers.get(used, 2)
        while (unique := f"{used}_{number}") in self._used_ids:
            number += 1
        self._next_numbers[used] = number + 1
        return unique

    def _add_results(self, message: Message) -> None:
        """Store the results with a call. Results without a call are sent by the user, and other parts stay."""
        others: list[Part] = []
        for part in message.parts:
            if not isinstance(part, ToolResult):
                others.append(part)
            elif calls := self._open.get(part.call_id):
                call = calls.popleft()
                result = part if part.call_id == call.id else structs.replace(part, call_id=call.id)
                self._answers[call.id] = structs.replace(message, parts=[result])
                if self._following:
                    self._losses.add("messages", "converted", "tool results moved to their calls")
            else:
                self._losses.add("messages", "converted", "tool result without its call sent as user")
                self._following.append(Message(role="user", parts=list(_described(part))))
        if others:
            self._following.append(structs.replace(message, parts=others))

    def _close(self, *, is_last: bool) -> None:
        """Add the results in the order of their calls, and then what the client sent after the calls."""
        is_cut_off = is_last and not (self._answers or self._following)
        for call in self._calls:
            if call.id in self._answers:
                self._messages.append(self._answers[call.id])
            elif not is_cut_off:
                self._losses.add("messages", "emulated", "a missing tool result was added")
                self._messages.append(_missing_result(call))
        self._messages += self._following
        self._calls, self._open, self._answers, self._following = [], {}, {}, []


def _missing_result(call: ToolCall) -> Message:
    text = Text(text=_MISSING_RESULT)
    result = ToolResult(call_id=call.id, name=call.name, kind=call.kind, parts=[text], is_error=True)
    return Message(role="tool", parts=[result])


def _described(result: ToolResult) -> Iterator[Part]:
    """Yield a result without a call as the parts of a message of the user."""
    kind = "failed with" if result.is_error else "returned"
    yield Text(text=f"The tool {result.name} {kind}:" if result.name else f"A tool {kind}:")
    yield from result.parts
