"""What a stream brings, piece by piece. Decoders emit these in the upstream's order; encoders keep the client's rules.

`part` numbers the parts of one choice from 0 in the order of their first appearance and is stable: all deltas of a
part carry its number. Parts may interleave (OpenAI's parallel tool calls do); an encoder whose dialect forbids that
must hold back. A part ends with `PartEnded` where the upstream says so, else with `ChoiceFinished`.
"""

from typing import Any, Literal

from msgspec import Struct

from intellirouter.core import Usage
from intellirouter.dialects.ir.parts import Citation, Foreign, Media, Opaque
from intellirouter.dialects.ir.response import Stop


class StreamStarted(Struct, kw_only=True):
    """First of all, once. `usage` where the upstream counts the prompt at once (Anthropic)."""

    id: str = ""
    model: str = ""
    created_s: int = 0
    usage: Usage | None = None
    service_tier: str = ""
    system_fingerprint: str = ""


class TextDelta(Struct, kw_only=True):
    text: str
    choice: int = 0
    part: int = 0
    logprobs: Any = None
    """OpenAI's form, the list of tokens of this piece."""
    token: Opaque | None = None


class CitationDelta(Struct, kw_only=True):
    """Belongs to the text part `part`."""

    citation: Citation
    choice: int = 0
    part: int = 0


class RefusalDelta(Struct, kw_only=True):
    text: str
    choice: int = 0
    part: int = 0


class ReasoningDelta(Struct, kw_only=True):
    text: str
    choice: int = 0
    part: int = 0
    is_summary: bool = False
    summary_index: int = 0


class ReasoningToken(Struct, kw_only=True):
    """The signature (or encrypted content) of the reasoning part `part`: whole, once, after its text."""

    token: Opaque
    choice: int = 0
    part: int = 0
    is_redacted: bool = False
    id: str = ""


class ToolCallStarted(Struct, kw_only=True):
    """Id and name are known; arguments follow."""

    id: str
    name: str
    choice: int = 0
    part: int = 0
    kind: Literal["function", "custom"] = "function"
    item_id: str = ""
    token: Opaque | None = None


class ArgumentsDelta(Struct, kw_only=True):
    """A piece of the arguments' text. A call that brings none has the arguments `{}`."""

    text: str
    choice: int = 0
    part: int = 0


class WholePart(Struct, kw_only=True):
    """A part that comes in one piece: a picture, a server tool's use or result."""

    value: Media | Foreign
    choice: int = 0
    part: int = 0


class PartEnded(Struct, kw_only=True):
    choice: int = 0
    part: int = 0


class ChoiceFinished(Struct, kw_only=True):
    """One choice is over."""

    stop: Stop
    choice: int = 0


class UsageUpdate(Struct, kw_only=True):
    """Counts so far, cumulative: the last one stands."""

    usage: Usage


class StreamEnded(Struct, kw_only=True):
    """The upstream's terminator. Without it the stream was cut off, which is an error."""


Event = (
    StreamStarted
    | TextDelta
    | CitationDelta
    | RefusalDelta
    | ReasoningDelta
    | ReasoningToken
    | ToolCallStarted
    | ArgumentsDelta
    | WholePart
    | PartEnded
    | ChoiceFinished
    | UsageUpdate
    | StreamEnded
)
CONTENT_EVENTS = (TextDelta, RefusalDelta, ReasoningDelta, ReasoningToken, ToolCallStarted, ArgumentsDelta, WholePart)
"""Events that show the model at work: after the first of them there is no failover."""
