"""One HTTP request of a client, and its response. Implements `gateway.HttpRequest`."""

import asyncio
import logging
from collections.abc import Callable
from typing import Final, Protocol

from intellirouter.core import PeerAddress, errors
from intellirouter.gateway import RequestHead
from intellirouter.serving.chunks import ChunkDecoder
from intellirouter.serving.flow import STATUS_LINES
from intellirouter.serving.head import BadRequest
from intellirouter.serving.silence import Silence
from intellirouter.serving.state import ServerState

logger = logging.getLogger(__name__)

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
_CLOSE: Final = b"connection: close\r\n"
_KEEP_ALIVE: Final = b"connection: keep-alive\r\n"
_UNREAD_BYTES: Final = 64 * 1024
"""How much of a body is buffered before it is read."""
_COPIED_BYTES: Final = 64 * 1024
"""A larger body is not copied behind its head: the copy would be kept until the client has read it."""
_CHUNKED_STEP_BYTES: Final = 256 * 1024
_BODILESS: Final = frozenset({204, 304})
_PROBE: Final = b"0"
"""A leading zero of the next chunk's size."""


class Link(Protocol):
    """The connection of a request."""

    server: ServerState
    loop: asyncio.AbstractEventLoop
    is_lost: bool
    is_closing: bool
    is_write_paused: bool
    written_bytes: int

    @property
    def peer(self) -> PeerAddress | None:
        """The address of the client."""
        ...

    def write(self, data: bytes) -> None:
        """Write to the client."""
        ...

    async def drain(self) -> None:
        """Wait until the client has read most of what was sent, or the connection is closed."""
        ...

    def resume(self) -> None:
        """Read again, if reading was paused."""
        ...

    def finish(self, request: "Request") -> None:
        """Continue after the response to a request."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...


class Request:
    """One request. A connection has at most one at a time, from its head until the end of its response."""

    __slots__ = (
        "_connection",
        "_decoder",
        "_failure",
        "_granted_bytes",
        "_is_chunked_reply",
        "_left",
        "_on_disconnect",
        "_parts",
        "_pending",
        "_silence",
        "_size",
        "_waiter",
        "has_begun",
        "head",
        "is_ended",
        "is_received",
        "keeps_alive",
        "length",
        "task",
    )

    def __init__(self, connection: Link, head: RequestHead, length: int) -> None:
        self.head = head
        self.length = length
        """`content-length`; 0 for a chunked body."""
        self.keeps_alive = head.keeps_alive
        self.is_received = not length and not head.is_chunked
        self.has_begun = False
        self.is_ended = False
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._decoder = ChunkDecoder() if head.is_chunked else None
        self._left = length
        self._size = 0
        self._parts: list[bytes] = []
        self._waiter: asyncio.Future[None] | None = None
        self._on_disconnect: Callable[[], None] | None = None
        self._silence: Silence | None = None
        self._failure: BadRequest | None = None
        """Why the body cannot be read."""
        self._granted_bytes = _UNREAD_BYTES
        """How much of the body may be buffered."""
        self._is_chunked_reply = False
        self._pending: bytes = b""
        """The head of a streamed response, which is sent together with the first piece of the body."""

    # -- for the connection -------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> bytes:
        """Add bytes of the body, and return those after it."""
        rest = b""
        if self._failure is not None:
            return rest
        if self._decoder is not None:
            try:
                pieces = self._decoder.feed(data)
            except BadRequest as failure:
                self._failure = failure
                pieces = []
            if pieces:
                piece = pieces[0] if len(pieces) == 1 else b"".join(pieces)  # not an object for each tiny chunk
                self._size += len(piece)
                self._parts.append(piece)
            if self._decoder.rest is not None:
                rest, self.is_received = self._decoder.rest, True
        else:
            if len(data) > self._left:
                data, rest = data[: self._left], data[self._left :]
            self._left -= len(data)
            self._size += len(data)
            self._parts.append(data)
            self.is_received = not self._left
        if self.is_ended:
            self._parts.clear()  # the response did not need the body
        elif self._waiter is not None:
            self._wake()
        return rest

    @property
    def is_malformed(self) -> bool:
        """The body cannot be read."""
        return self._failure is not None

    def has_backlog(self) -> bool:
        """Return whether the connection must stop reading, because no more of the body may be buffered."""
        return self._size >= self._granted_bytes and not self.is_ended

    def probe(self) -> None:
        """Send something that does not change the response, so that a socket that was closed answers with a reset."""
        if self._pending:
            self._send_pending()
        elif not self.has_begun:
            if not self.head.is_http_10:
                self._connection.write(_CONTINUE)
        elif self._is_chunked_reply:
            self._connection.write(_PROBE)

    def check_silence(self, now_s: float) -> None:
        """Keep the client's connection alive, if the response needs it. Called regularly."""
        if self._silence is None:
            return
        connection = self._connection
        try:
            self._silence.check(now_s, connection.written_bytes, connection.server.limits, has_begun=self.has_begun)
        except Exception:  # a bug in the gateway must not prevent the checks of other connections
            logger.exception("The response of %s cannot be kept alive.", self.head.path[:200])
            self._silence = None

    def disconnect(self) -> None:
        """Report that the client has disconnected, or its connection is closed."""
        if not self.is_received:
            self._parts.clear()
        self._wake()
        if (on_disconnect := self._on_disconnect) is not None:
            self._on_disconnect = None
            on_disconnect()

    @property
    def scheme(self) -> str:
        return "https" if self._connection.server.is_tls else "http"

    @property
    def peer(self) -> PeerAddress | None:
        return self._connection.peer

    # -- the body -----------------------------------------------------------------------------------------------

    def take_body(self, limit_bytes: int) -> bytes:
        parts = self._parts
        self._parts = []
        if self._size > limit_bytes:
            raise too_large(limit_bytes)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:
        if self.length > limit_bytes:
            raise too_large(limit_bytes)
        if self.is_received:
            return self.take_body(limit_bytes)
        reserved = 0
        budget = self._connection.server.body_budget
        try:
            async with asyncio.timeout(deadline_s):
                self._invite()
                while self._is_incomplete():
                    if self._failure is not None:
                        raise self._failure.as_error()
                    if self._size >= self._granted_bytes or self.length > self._granted_bytes:
                        more = self.length or max(_CHUNKED_STEP_BYTES, self._size)
                        reserved += await budget.reserve(more)
                        self._granted_bytes += more
                        self._connection.resume()
                    else:
                        await self._wait()
                    if self._size > limit_bytes:
                        raise too_large(limit_bytes)
        except TimeoutError:
            raise errors.RequestTimeout(
                f"The request body did not arrive within {deadline_s:g} s.",
                hint="Send it faster, or raise server.body_timeout_s.",
            ) from None
        finally:
            if reserved:
                budget.release(reserved)
        return self.take_body(limit_bytes)

    def _is_incomplete(self) -> bool:
        return not self.is_received

    def _invite(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self.head.expects_continue and not self._size and not self.has_begun:
            self._connection.write(_CONTINUE)

    def _check_connected(self) -> None:
        if self._connection.is_lost:
            raise _disconnected()

    async def _wait(self) -> None:
        self._check_connected()
        self._waiter = self._connection.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
        self._check_connected()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the response -------------------------------------------------------------------------------------------

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        if self._connection.is_lost:
            on_disconnect()
        else:
            self._on_disconnect = on_disconnect

    def respond(self, status: int, header_lines: bytes, body: bytes) -> bool:
        connection = self._connection
        if self.is_ended or connection.is_lost:
            return True
        length = b"" if status in _BODILESS else b"content-length: %d\r\n" % len(body)
        sent = b"" if self.head.method == "HEAD" else body
        is_large = len(sent) > _COPIED_BYTES
        self.has_begun = True
        connection.write(
            b"".join((
                STATUS_LINES[status], header_lines, length, connection.server.date_line, self._connection_line(),
                b"\r\n", b"" if is_large else sent,
            ))
        )  # fmt: skip
        if is_large:
            connection.write(sent)
        self._finish()
        return not connection.is_write_paused

    async def flush(self) -> None:
        await self._connection.drain()

    def begin(self, status: int, header_lines: bytes, length: int | None = None) -> None:
        if self.is_ended or self._connection.is_lost:
            return
        framing = b""
        if length is not None:
            framing = b"content-length: %d\r\n" % length
        elif self.head.is_http_10:
            self.keeps_alive = False  # the end of the connection ends the body
        elif status not in _BODILESS and self.head.method != "HEAD":
            framing = b"transfer-encoding: chunked\r\n"
            self._is_chunked_reply = True
        self.has_begun = True
        self._pending = b"".join((
            STATUS_LINES[status], header_lines, framing, self._connection.server.date_line, self._connection_line(),
            b"\r\n",
        ))  # fmt: skip
        self._connection.loop.call_soon(self._send_pending)

    def keep_alive(self, on_silence: Callable[[], None]) -> None:
        self._silence = Silence(on_silence)

    async def write(self, data: bytes) -> None:
        connection = self._connection
        if self.is_ended or connection.is_lost:
            raise _disconnected()
        if not data or self.head.method == "HEAD":
            return
        head, self._pending = self._pending, b""
        if self._is_chunked_reply:
            connection.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        else:
            connection.write(head + data if head else data)
        if connection.is_write_paused:
            await connection.drain()

    def ping(self, data: bytes) -> None:
        connection = self._connection
        if not data or self.is_ended or connection.is_lost or self.head.method == "HEAD":
            return
        head, self._pending = self._pending, b""
        if self._is_chunked_reply:
            connection.write(b"%b%x\r\n%b\r\n" % (head, len(data), data))
        else:
            connection.write(head + data if head else data)

    async def end(self, data: bytes = b"") -> None:
        connection = self._connection
        if self.is_ended or connection.is_lost:
            return
        head, self._pending = self._pending, b""
        if self.head.method == "HEAD":
            data = b""
        if not self._is_chunked_reply:
            connection.write(head + data)
        elif data:
            connection.write(b"%b%x\r\n%b\r\n0\r\n\r\n" % (head, len(data), data))
        else:
            connection.write(head + b"0\r\n\r\n")
        self._finish()
        if connection.is_write_paused:
            await connection.drain()

    def abort(self) -> None:
        self._send_pending()
        self._connection.abort()

    def _send_pending(self) -> None:
        if self._pending and not self._connection.is_lost:
            head, self._pending = self._pending, b""
            self._connection.write(head)

    def _connection_line(self) -> bytes:
        """Return the `connection` header, if the response needs one."""
        if not self.is_received or self._connection.is_closing:
            self.keeps_alive = False
        if not self.keeps_alive:
            return _CLOSE
        return _KEEP_ALIVE if self.head.is_http_10 else b""

    def _finish(self) -> None:
        self.is_ended = True
        self._on_disconnect = self._silence = None
        self._parts.clear()
        self._connection.finish(self)


def too_large(limit_bytes: int) -> errors.BodyTooLarge:
    return errors.BodyTooLarge(f"The request body is larger than {limit_bytes} bytes.")


def _disconnected() -> errors.ClientDisconnected:
    return errors.ClientDisconnected("The client closed the connection before the request was complete.")
