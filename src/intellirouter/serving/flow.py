"""What HTTP connections and WebSockets have in common: backpressure in both directions, and the end."""

import asyncio
import logging
from http import HTTPStatus
from typing import Final

from intellirouter.core import PeerAddress, errors, new_id
from intellirouter.dialects import encode_error
from intellirouter.serving import tcp
from intellirouter.serving.state import ServerState

logger = logging.getLogger(__name__)

_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES: Final = tuple(
    f"HTTP/1.1 {code} {_PHRASES.get(code, 'Unknown')}\r\n".encode("ascii") for code in range(600)
)
"""By status. Some statuses, such as Anthropic's 529, are not registered."""


def error_response(error: errors.GatewayError) -> tuple[bytes, bytes]:
    """Return header lines and body of an error that belongs to no exchange."""
    lines = f"content-type: application/json\r\nx-request-id: {new_id('req_')}\r\n"
    return lines.encode("ascii"), encode_error(error)


class ClientProtocol(asyncio.Protocol):
    """One connection of a client. `_transport` is set when it is made."""

    __slots__ = (
        "_drained",
        "_is_reading_paused",
        "_sent_bytes",
        "_transport",
        "_unsent_bytes",
        "_unsent_since_s",
        "is_lost",
        "is_write_paused",
        "loop",
        "server",
        "written_bytes",
    )

    def __init__(self, server: ServerState) -> None:
        self.server = server
        self.loop = server.loop
        self.is_lost = False
        """The connection is closed, so nothing can be sent."""
        self.is_write_paused = False
        self._transport: asyncio.Transport = None  # type: ignore[assignment] # set before anything else is called
        self._drained: asyncio.Future[None] | None = None
        self._is_reading_paused = False
        self.written_bytes = 0
        self._sent_bytes = 0
        """How much of what was written the client had received at the last check."""
        self._unsent_bytes = 0
        self._unsent_since_s = 0.0
        """Since when the client has read nothing of what was sent."""

    @property
    def peer(self) -> PeerAddress | None:
        """The address of the client; None on a unix socket."""
        return tcp.peer(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.is_lost = True
        self._wake()

    def pause_writing(self) -> None:
        self.is_write_paused = True

    def resume_writing(self) -> None:
        self.is_write_paused = False
        self._wake()

    def write(self, data: bytes) -> None:
        self.written_bytes += len(data)
        self._transport.write(data)

    def send_last(self, status: int, header_lines: bytes, body: bytes) -> None:
        """Send a response after which the connection is closed."""
        self.write(
            b"%b%bcontent-length: %d\r\n%bconnection: close\r\n\r\n%b"
            % (STATUS_LINES[status], header_lines, len(body), self.server.date_line, body)
        )

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent, or the connection is closed."""
        while self.is_write_paused and not self.is_lost:
            if self._drained is None:
                self._drained = self.loop.create_future()
            await asyncio.shield(self._drained)

    def pause(self) -> None:
        """Stop reading."""
        if not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again, if reading was paused."""
        if self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def is_stalled(self, now_s: float) -> bool:
        """Return whether the client has read nothing of what was sent for too long. Called regularly."""
        unsent = tcp.unsent_bytes(self._transport)
        sent = self.written_bytes - unsent  # over TLS less, by the same amount each time
        if not self._unsent_bytes or sent > self._sent_bytes:
            self._unsent_since_s = now_s
        self._unsent_bytes, self._sent_bytes = unsent, sent
        timeout_s = self.server.limits.write_timeout_s
        if not unsent or now_s - self._unsent_since_s < timeout_s:
            return False
        logger.info("Closed a connection: the client read nothing for %g s (server.write_timeout_s).", timeout_s)
        return True

    def _wake(self) -> None:
        if self._drained is not None:
            drained, self._drained = self._drained, None
            if not drained.done():
                drained.set_result(None)
