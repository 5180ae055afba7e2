"""The HTTP answer of a fake vendor before any fault is applied, and how its wire format frames documents and errors."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, Final, Protocol

import msgspec
from msgspec import Struct, field

from intellirouter.fake.completion import Completion

JSON_TYPE: Final = "application/json"
SSE_TYPE: Final = "text/event-stream; charset=utf-8"


class ErrorInfo(Struct, frozen=True, kw_only=True):
    """An error independent of any wire format. Empty fields get the vendor's default for the status."""

    status: int = 500
    message: str = ""
    type: str = ""
    code: str = ""
    retry_after_s: float | None = None


class Framing(Protocol):
    """How the events of a stream carry documents."""

    def payload(self, part: bytes) -> bytes | None:
        """Return the document in one event, or None if the event has none (for example `[DONE]`)."""
        ...

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        """Return an event that carries `payload`, framed in the same way as the event `like`."""
        ...


class WireFormat(Struct, frozen=True, kw_only=True):
    """A wire format, described as far as faults depend on it."""

    name: str
    framing: Framing
    is_sse: bool = True
    render_error: Callable[[ErrorInfo], "Reply"]
    """Returns an error response."""
    error_event: Callable[[ErrorInfo, int], bytes]
    """Returns the event that reports an error within a stream; the number is how many events precede it."""
    lead_events: int = 1
    """Events before the first content of a stream."""
    filler_event: tuple[bytes, bytes] | None
    """What surrounds the filler of an event without meaning, framing included; None if the framing contains a length
    or a checksum."""
    filler_comment: tuple[bytes, bytes] | None = (b": ", b"\n\n")
    """What surrounds filler bytes outside of events; None if the wire format has no comments."""
    filler_body: bytes = b'{"filler":"'


class Reply(Struct, kw_only=True):
    """An HTTP answer. A stream has one part per event; any other answer has one part, the body."""

    status: int = 200
    headers: list[tuple[str, str]] = field(default_factory=list)
    """Names in lower case; no framing headers (`content-length`, `transfer-encoding`, `connection`)."""
    parts: list[bytes]
    is_stream: bool = False
    wire: WireFormat
    plan: Completion | None = None
    render: Callable[[Completion], "Reply"] | None = None
    """Renders another plan for the same request, so that faults can change the content of an answer."""

    def replanned(self, edit: Callable[[Completion], Completion]) -> "Reply":
        """Return the reply with its plan changed; a reply without a plan is returned unchanged."""
        if self.plan is None or self.render is None:
            return self
        return self.render(edit(self.plan))


class RequestRejected(Exception, ABC):
    """The vendor rejects the request."""

    @abstractmethod
    def reply(self) -> Reply:
        """Return the error in the vendor's format."""


class Sse:
    """Server-sent events with one document in one `data:` line."""

    def __init__(self, end: bytes | None = None) -> None:
        """`end` is the last event if it does not carry a document."""
        self._end = end

    def payload(self, part: bytes) -> bytes | None:
        at = part.find(b"data: ")
        return None if at < 0 or part == self._end else part[at + 6 :].rstrip(b"\r\n")

    def wrap(self, payload: bytes, like: bytes) -> bytes:
        end = b"\r\n\r\n" if like.endswith(b"\r\n\r\n") else b"\n\n"
        return like[: like.find(b"data: ") + 6] + payload + end


def json_object(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object in `body`, or None if it is not a valid JSON object."""
    try:
        document = msgspec.json.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def pretty_json(document: Any) -> bytes:
    """Encode with an indent of two spaces, as OpenAI and Google do for bodies that are not streamed."""
    return msgspec.json.format(msgspec.json.encode(document), indent=2)
