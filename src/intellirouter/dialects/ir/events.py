"""The events of a stream. Decoders emit them in the upstream's order; encoders follow the client dialect's rules.

`part` numbers the parts of a choice from 0, in the order of their first event. All events of a part have the same
number. Parts may interleave, as OpenAI's parallel tool calls do; an encoder whose dialect forbids that must hold events
back. A part ends with `PartEnded` if the upstream marks its end, otherwise with `ChoiceFinished`.
"""

from typing import Any, Literal

from msgspec import Struct

from intellirouter.core import Usage, errors
from intellirouter.dialects.ir.parts import Citation, Foreign, Media, Opaque
from intellirouter.dialects.ir.response import Stop


class StreamStarted(Struct, kw_only=True):
    """The first event. `usage` is set if the upstream reports the prompt's tokens at the start (Anthropic)."""

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
    """The tokens of this delta in OpenAI's format."""
    token: Opaque | None = None
    pieces: int = 1
    """How many of the upstream's events it joins."""


class CitationDelta(Struct, kw_only=True):
    """A citation of the text part `part`."""

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
    """The complete signature or encrypted content of the reasoning part `part`. Sent once, after its text."""

    token: Opaque
    choice: int = 0
    part: int = 0
    is_redacted: bool = False
    id: str = ""


class ToolCallStarted(Struct, kw_only=True):
    """The start of a tool call, with its id and name. The arguments follow."""

    id: str
    name: str
    choice: int = 0
    part: int = 0
    kind: Literal["function", "custom"] = "function"
    item_id: str = ""
    token: Opaque | None = None


class ArgumentsDelta(Struct, kw_only=True):
    """A piece of a tool call's arguments. A call without such an event has the arguments `{}`."""

    text: str
    choice: int = 0
    part: int = 0


class WholePart(Struct, kw_only=True):
    """A part that is sent in one piece: an image, or the call or result of a server tool."""

    value: Media | Foreign
    choice: int = 0
    part: int = 0


class PartEnded(Struct, kw_only=True):
    choice: int = 0
    part: int = 0


class ChoiceFinished(Struct, kw_only=True):
    """The end of one choice."""

    stop: Stop
    choice: int = 0


class UsageUpdate(Struct, kw_only=True):
    """The usage so far. Each update replaces the previous one."""

    usage: Usage


class StreamEnded(Struct, kw_only=True):
    """The upstream's terminator. A stream without it was cut off, which is an error."""


class StreamFailed(Struct, kw_only=True):
    """The upstream's error event, or one that is not valid. It is always the last event; those before it count."""

    error: errors.UpstreamError
    read_documents: int = 0
    """How many documents (the data of an event, a line, an element) of what was fed have been read before."""


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
    | StreamFailed
)
CONTENT_EVENTS: frozenset[type] = frozenset({
    TextDelta, RefusalDelta, ReasoningDelta, ReasoningToken, ToolCallStarted, ArgumentsDelta, WholePart
})  # fmt: skip
"""Classes of events with content. After the first of them has reached the client, the request cannot fall back."""


def take_failure(events: list[Event]) -> StreamFailed | None:
    """Remove the failure at the end of a decoder's events, and return it; None if there is none."""
    if events and isinstance(events[-1], StreamFailed):
        return events.pop()  # type: ignore[return-value]  # mypy does not know that it is the same element
    return None
