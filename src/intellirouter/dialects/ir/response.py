"""A complete answer: the response of every chat-like dialect, and the laws between it and a stream."""

from typing import Literal

from msgspec import Struct, field

from intellirouter.core import Usage
from intellirouter.dialects.ir.parts import Extras, Part

StopReason = Literal[
    "stop",  # the model was done
    "stop_sequence",  # one of the client's stop sequences came
    "length",  # max_output_tokens
    "context_length",  # the context window was full
    "tool_calls",  # the client shall run tools
    "content_filter",  # the vendor's filter cut the answer
    "refusal",  # the model declined
    "pause",  # a server tool's turn is to be continued (Anthropic)
    "malformed_tool_call",  # Gemini: the model's call could not be read
    "cancelled",
    "error",
]


class Stop(Struct, kw_only=True):
    reason: StopReason
    sequence: str | None = None
    """The stop sequence that came, where the upstream says it."""
    raw: str = ""
    """The upstream's own word."""
    message: str = ""


class Choice(Struct, kw_only=True):
    parts: list[Part] = field(default_factory=list)
    stop: Stop | None = None
    """None only in answers that are still under way."""


class Response(Struct, kw_only=True):
    """What came back. `choices` has one entry, or `n`."""

    id: str = ""
    model: str = ""
    """As the upstream names what it served."""
    created_s: int = 0
    choices: list[Choice] = field(default_factory=list)
    usage: Usage | None = None
    """None: the upstream did not say."""
    service_tier: str = ""
    system_fingerprint: str = ""
    dialect: str = ""
    """The upstream's; `extras` are in its words."""
    extras: Extras = field(default_factory=dict)
