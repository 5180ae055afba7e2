"""The complete response of every chat-like dialect."""

from typing import Literal

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


class Stop(Struct, kw_only=True):
    reason: StopReason
    sequence: str | None = None
    """The stop sequence that ended the answer, if the upstream reports it."""
    raw: str = ""
    """The reason as the upstream names it."""
    message: str = ""


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
