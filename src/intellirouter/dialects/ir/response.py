"""The complete response of every chat-like dialect."""

from collections.abc import Iterable
from typing import Final, Literal

from msgspec import Struct, field

from intellirouter.core import Usage
from intellirouter.dialects.ir.parts import Extras, Part

StopReason = Literal[
    "stop",  # The model has completed its answer.
    "stop_sequence",  # The model has written one of the client's stop sequences.
    "length",  # The answer has reached max_output_tokens.
    "context_length",  # The context window is full.
    "tool_calls",  # The client is asked to run tools.
    "content_filter",  # The vendor's content filter has cut the answer off.
    "refusal",  # The model has declined to answer.
    "pause",  # The client is asked to continue the turn of a server tool (Anthropic).
    "malformed_tool_call",  # The model has written an invalid tool call (Gemini).
    "cancelled",
    "error",
]


_NAMES_OF_COMPLETE: Final = frozenset(
    {
        "stop",
        "stop_sequence",
        "end_turn",
        "completed",
        "eos",
        "eos_token",
        "tool_call",
        "tool_calls",
        "tool_use",
        "function_call",
    }
)
"""How the upstreams of all dialects name the end of a complete answer, in lower case."""
_COMPLETE: Final = frozenset({"stop", "stop_sequence", "tool_calls"})


class Stop(Struct, kw_only=True):
    reason: StopReason
    sequence: str | None = None
    """The stop sequence that ended the answer, if the upstream reports it."""
    raw: str = ""
    """The reason as the upstream names it."""
    message: str = ""

    @property
    def known_reason(self) -> StopReason | None:
        """The reason; None if it is unknown whether the answer is complete.

        Clients need a reason, so `reason` counts a missing or new one as a normal end.
        """
        if self.reason in _COMPLETE and self.raw.lower() not in _NAMES_OF_COMPLETE:
            return None
        return self.reason


class Choice(Struct, kw_only=True):
    parts: list[Part] = field(default_factory=list)
    stop: Stop | None = None
    """None: the choice has not finished."""


class Response(Struct, kw_only=True):
    """A complete response. `choices` has one entry, or `n`."""

    id: str = ""
    model: str = ""
    """The model that served the request, as the upstream names it."""
    created_s: int = 0
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    """None: the upstream has not reported it."""
    service_tier: str = ""
    system_fingerprint: str = ""
    dialect: str = ""
    """The upstream's dialect. All `extras` are members of this dialect."""
    extras: Extras = field(default_factory=dict)


def finish_reason_of(choices: Iterable[Choice]) -> StopReason | None:
    """Return the reason of the first choice; None if it is unknown whether one of the choices is complete."""
    reasons = [None if choice.stop is None else choice.stop.known_reason for choice in choices]
    return None if not reasons or None in reasons else reasons[0]
