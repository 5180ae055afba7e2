"""What a vendor answers, before anything is broken on purpose, and how its protocol frames that."""

from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct, field

from intellirouter.testing.plan import Completion

JSON_TYPE: Final = "application/json"
SSE_TYPE: Final = "text/event-stream; charset=utf-8"


class Trouble(Struct, frozen=True, kw_only=True):
    """Something that goes wrong, in no protocol's words. What is empty follows from the status."""

    status: int = 500
    message: str = ""
    type: str = ""
    code: str = ""
    retry_after_s: float | None = None


class Framing(Protocol):
    """How documents stand in a stream."""

    def payload(self, part: bytes) -> bytes | None:
        """Return the document of one wire event; None where it has none, as `[DONE]`."""
        ...

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        """Put `payload` on the wire as the event `like` stands there."""
        ...


class Wire(Struct, frozen=True, kw_only=True):
    """A protocol, as far as faults have to know it."""

    name: str
    framing: Framing
    is_sse: bool = True
    refuse: Callable[[Trouble], "Reply"]
    """A whole error answer."""
    error_event: Callable[[Trouble, int], bytes]
    """The error in a stream, after so many other events."""
    lead_events: int = 1
    """Events before the first content of a stream."""
    filler_event: tuple[bytes, bytes] | None
    """What stands around the filler of an event that says nothing, framing included; None where its length or a
    checksum is part of the framing."""
    filler_comment: tuple[bytes, bytes] | None = (b": ", b"\n\n")
    """The same for bytes that are no event; None where the protocol has none."""
    filler_body: bytes = b'{"filler":"'


class Reply(Struct, kw_only=True):
    """An HTTP answer. A stream has one part per wire event, anything else has one part: the body."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Names in lower case; no framing headers (`content-length`, `transfer-encoding`, `connection`)."""
    parts: list[bytes]
    is_stream: bool = False
    wire: Wire
    plan: Completion | None = None
    render: Callable[[Completion], "Reply"] | None = None
    """Puts a plan on the wire again, so that what is said can be broken and not only how."""

    def replanned(self, edit: Callable[[Completion], Completion]) -> "Reply":
        """Say something else in the same form; a reply that nobody planned stays as it is."""
        if self.plan is None or self.render is None:
            return self
        return self.render(edit(self.plan))


class Refused(Exception):
    """The vendor refuses the request; `reply()` says so in its protocol's words."""

    def reply(self) -> Reply:
        raise NotImplementedError


class Sse:
    """Server-sent events with their document in one `data:` line."""

    def __init__(self, end: bytes | None = None) -> None:
        """`end` is the last event where it is none of a document's."""
        self._end = end

    def payload(self, part: bytes) -> bytes | None:
        at = part.find(b"data: ")
        return None if at < 0 or part == self._end else part[at + 6 :].rstrip(b"\r\n")

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        end = b"\r\n\r\n" if like.endswith(b"\r\n\r\n") else b"\n\n"
        return like[: like.find(b"data: ") + 6] + payload + end


class JsonLines:
    """One document a line."""

    def payload(self, part: bytes) -> bytes | None:
        return part.removesuffix(b"\n")

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        del like
        return payload + b"\n"


def pretty_json(document: Any) -> bytes:
    """Encode with two blanks of indent, as OpenAI and Google do for bodies that are not streamed."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
