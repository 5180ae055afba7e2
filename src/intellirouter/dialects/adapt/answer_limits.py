"""The limits on the structure of answers, checked wherever the gateway decodes one."""

from collections.abc import Iterable
from typing import Final

from intellirouter.core import DEFAULT_ANSWER_LIMITS, AnswerLimits, errors
from intellirouter.dialects.ir import (
    ChoiceFinished,
    CitationDelta,
    Event,
    Response,
    StreamEnded,
    StreamStarted,
    Text,
    TextDelta,
    ToolCall,
    ToolCallStarted,
    UsageUpdate,
)

_WITHOUT_PART: Final[frozenset[type]] = frozenset({ChoiceFinished, StreamEnded, StreamStarted, UsageUpdate})


def check_limits(response: Response, limits: AnswerLimits) -> None:
    """Raise `UpstreamAnswerTooLarge` if a complete answer exceeds a limit."""
    calls = citations = most_parts = 0
    for choice in response.choices:
        most_parts = max(most_parts, len(choice.parts))
        for part in choice.parts:
            if part.__class__ is Text:
                citations += len(part.citations)
            elif part.__class__ is ToolCall:
                calls += 1
    if calls > limits.tool_calls:
        raise too_many_calls(limits)
    if most_parts > limits.parts:
        raise _too_many_parts(limits)
    if citations > limits.parts:
        raise _too_many_citations(limits)


class AnswerCounter:
    """Checks the same limits for the events of a stream."""

    __slots__ = ("_calls", "_citations", "_limits", "_max_part")

    def __init__(self, limits: AnswerLimits = DEFAULT_ANSWER_LIMITS) -> None:
        self._limits = limits
        self._max_part = limits.parts - 1
        self._calls = 0
        self._citations = 0

    def watch(self, events: Iterable[Event]) -> None:
        """Raise `UpstreamAnswerTooLarge` if the answer exceeds a limit with these events."""
        for event in events:
            if event.__class__ is not TextDelta or event.part > self._max_part:
                self._count(event)

    def _count(self, event: Event) -> None:
        if event.__class__ in _WITHOUT_PART:
            return
        if getattr(event, "part", 0) > self._max_part:
            raise _too_many_parts(self._limits)
        if isinstance(event, ToolCallStarted):
            self._calls += 1
            if self._calls > self._limits.tool_calls:
                raise too_many_calls(self._limits)
        elif isinstance(event, CitationDelta):
            self._citations += 1
            if self._citations > self._limits.parts:
                raise _too_many_citations(self._limits)


def _too_many_parts(limits: AnswerLimits) -> errors.UpstreamAnswerTooLarge:
    return _exceeded(f"more than {limits.parts} content parts", "max_answer_parts")


def _too_many_citations(limits: AnswerLimits) -> errors.UpstreamAnswerTooLarge:
    return _exceeded(f"more than {limits.parts} citations", "max_answer_parts")


def too_many_calls(limits: AnswerLimits) -> errors.UpstreamAnswerTooLarge:
    return _exceeded(f"more than {limits.tool_calls} tool calls", "max_answer_tool_calls")


def too_many_chars(limits: AnswerLimits) -> errors.UpstreamAnswerTooLarge:
    return _exceeded(f"more than {limits.chars} characters", "max_answer_chars")


def _exceeded(what: str, setting: str) -> errors.UpstreamAnswerTooLarge:
    return errors.UpstreamAnswerTooLarge(
        f"The upstream's answer has {what}.", hint=f"Raise server.{setting} if the model needs more."
    )
