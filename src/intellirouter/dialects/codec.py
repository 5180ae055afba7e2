"""What every same-dialect surface offers the pipeline. A codec is a pure value: no I/O, no state between calls."""

from collections.abc import Sequence
from typing import Protocol

from msgspec import Struct

from intellirouter.core import Call, Clock, Usage, errors


class Answer(Struct, frozen=True):
    """What a complete, successful response body says besides its content."""

    usage: Usage | None
    finish_reason: str | None = None


class StreamRelay(Protocol):
    """Relays one upstream stream to a client of the same dialect. Pure: bytes in, bytes out.

    The stream's terminator is never returned by `feed`: `end` returns it, so that the exchange is settled before
    the client gets its last byte.
    """

    @property
    def has_content(self) -> bool:
        """The first content event has been seen: failover is over."""
        ...

    @property
    def is_finished(self) -> bool:
        """The terminator has been seen; nothing more is expected."""
        ...

    @property
    def usage(self) -> Usage | None: ...

    @property
    def finish_reason(self) -> str | None: ...

    @property
    def content_events(self) -> int: ...

    @property
    def error(self) -> errors.UpstreamError | None:
        """An error event of the upstream that was passed on to the client."""
        ...

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes, return what the client may have now.

        Raises `UpstreamError` for an error event before any content, `UpstreamMalformed` for no event stream.
        """
        ...

    def end(self) -> bytes:
        """The upstream's body is complete: return the last bytes. Raises `UpstreamMalformed` for an early end."""
        ...


class Codec(Protocol):
    """One surface of one dialect."""

    path: str
    """Below the provider's base URL."""

    def decode_request(self, body: bytes) -> Call:
        """Validate and read a request. Raises `InvalidRequest`."""
        ...

    def encode_request(self, call: Call, upstream_model: str) -> bytes:
        """Write the upstream body for one attempt, from the original request."""
        ...

    def decode_response(self, body: bytes) -> Answer:
        """Read a 200 body. Raises `UpstreamMalformed`, or the `UpstreamError` that a 200-with-error body holds."""
        ...

    def relay(self, call: Call) -> StreamRelay: ...

    def decode_error(
        self, status: int, headers: Sequence[tuple[str, str]], body: bytes, *, deployment: str, clock: Clock
    ) -> errors.UpstreamError: ...
