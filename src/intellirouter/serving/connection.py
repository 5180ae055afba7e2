"""One connection of a client: reads requests one after the other, and has them answered. See DESIGN.md."""

import asyncio
import logging
from typing import Final

from intellirouter.core import errors
from intellirouter.gateway import RequestHead
from intellirouter.serving import tcp
from intellirouter.serving.flow import ClientProtocol, error_response
from intellirouter.serving.head import HEAD_END, BadRequest, check_partial_head, count_empty_lines, find_origin
from intellirouter.serving.request import Request
from intellirouter.serving.state import ServerState

logger = logging.getLogger(__name__)

_LINGER_S: Final = 2.0
_MAX_LINGER_BYTES: Final = 64 * 1024 * 1024
"""A client that has not sent its whole request gets this long to read the response, and may send this much."""
_MAX_MALFORMED_BYTES: Final = 1024 * 1024
"""How much it may send after a malformed request."""
_SLICE_BYTES: Final = 16 * 1024
"""How much of a chunked body is decoded at a time. With the smallest chunks, that takes 4 ms."""
_PROBE_AFTER_S: Final = 0.05
"""A client that finishes sending is probed only once for each request, so a short delay costs idle streams nothing."""
_CR: Final = 13
_PROBE_CHECK_S: Final = (0.01, 0.05, 0.2)


class Connection(ClientProtocol):
    """Reads one request at a time. Bytes that arrive while it is answered wait, and nothing more is read."""

    __slots__ = (
        "_has_served",
        "_is_half_closed",
        "_is_lingering",
        "_linger_bytes",
        "_partial",
        "_queued_bytes",
        "_request",
        "_unread",
        "_waiting",
        "_waiting_since_s",
        "is_closing",
    )

    def __init__(self, server: ServerState) -> None:
        super().__init__(server)
        self.is_closing = False
        """No further request is read."""
        self._request: Request | None = None
        self._partial = bytearray()
        """The beginning of a head."""
        self._waiting = b""
        """Bytes after the current request."""
        self._unread = b""
        """Bytes of a chunked body that are still to be decoded."""
        self._is_half_closed = False
        self._is_lingering = False
        self._linger_bytes = 0
        """How much the client may still send."""
        self._has_served = False
        self._queued_bytes = 0
        """What the system had not sent yet when the connection was last found idle."""
        self._waiting_since_s = 0.0
        """Since when the client has been expected to send a request, or the rest of its head."""

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment] # a socket's transport
        self._waiting_since_s = self.loop.time()
        self.server.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server.discard(self)
        self._partial.clear()
        self._waiting = self._unread = b""
        request, self._request = self._request, None  # they refer to each other
        if request is not None:
            request.disconnect()

    def data_received(self, data: bytes) -> None:
        request = self._request
        if request is not None:
            if request.is_received:
                self._hold(data)
            elif self._unread:
                self._unread += data
            else:
                self._read_body(request, data)
        elif self._is_lingering:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.abort()
        elif self._partial:
            self._partial += data
            self._read_partial_head(len(data))
        else:
            self._read_head(data)

    def eof_received(self) -> bool:
        """Return whether the connection stays open, because a response is still to be sent."""
        request = self._request
        if self.server.is_tls or self._is_lingering:
            return False
        if request is None:
            self._is_half_closed = bool(self._waiting)
        elif request.is_received:
            self._is_half_closed = True
            self.loop.call_later(_PROBE_AFTER_S, self._probe, request)
        elif self._unread:
            self._is_half_closed = True
        return self._is_half_closed

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._request is None:
            self.loop.call_soon(self._read_next)

    # -- reading ------------------------------------------------------------------------------------------------

    def _read_head(self, data: bytes) -> None:
        """Start the request at the beginning of `data`, or wait for the rest of its head."""
        end = data.find(HEAD_END)
        if end < 0 or data[0] == _CR:
            self._partial += data
            self._waiting_since_s = self.loop.time()
            self._read_partial_head(len(data))
            return
        try:
            head, length = self.server.heads.parse(data[:end])
        except BadRequest as error:
            self.refuse(error, data[: end + 4])
            return
        self._begin(head, length, data, end + 4)

    def _read_partial_head(self, added: int) -> None:
        """Continue with a head that arrives in pieces. `added` bytes of it are new."""
        partial = self._partial
        data = b""
        try:
            start = count_empty_lines(partial)
            end = partial.find(HEAD_END, max(start, len(partial) - added - 3))
            if end < 0:
                check_partial_head(partial, start, added)
                return
            data = bytes(partial)
            partial.clear()
            head, length = self.server.heads.parse(data[start:end])
        except BadRequest as error:
            self.refuse(error, data or bytes(partial))
            return
        self._begin(head, length, data, end + 4)

    def _begin(self, head: RequestHead, length: int, data: bytes, at: int) -> None:
        """Start a request whose head ends before `data[at]`."""
        if head.is_websocket:
            self._hand_over(head, data)
            return
        self._has_served = True
        request = self._request = Request(self, head, length)
        if at < len(data):
            if request.is_received:
                self._hold(data[at:])
            else:
                self._read_body(request, data[at:])
        request.task = self.loop.create_task(self._serve(request))

    def _hand_over(self, head: RequestHead, data: bytes) -> None:
        """Become a WebSocket. `data` begins with the handshake."""
        self.server.discard(self)
        self.resume()
        self.server.open_socket(self._transport, head, data)

    def _read_body(self, request: Request, data: bytes) -> bool:
        """Feed a part of the body to the request. Return whether that was all, not only the first slice."""
        if request.head.is_chunked and len(data) > _SLICE_BYTES:
            self._unread = data[_SLICE_BYTES:]
            data = data[:_SLICE_BYTES]
            self.pause()
            self.loop.call_soon(self._read_more, request)
        rest = request.feed(data)
        if request.is_received:
            rest, self._unread = rest + self._unread, b""
            if rest:
                self._hold(rest)
        elif request.has_backlog():
            self.pause()
        return not self._unread

    def _read_more(self, request: Request) -> None:
        """Decode the next slice of a chunked body, unless it must wait for memory."""
        data, self._unread = self._unread, b""
        if request is not self._request or not data:
            return
        if request.has_backlog():
            self._unread = data
            return
        if not self._read_body(request, data):
            return
        if not self._is_half_closed:
            self._wait_for_more()
        elif request.is_received:
            self.loop.call_later(_PROBE_AFTER_S, self._probe, request)
        else:
            self.abort()  # the client left in the middle of the body

    def _hold(self, data: bytes) -> None:
        """Keep bytes after the current request, and stop reading until it has been answered."""
        self._waiting = self._waiting + data if self._waiting else data
        self.pause()

    def _read_next(self) -> None:
        """Start the next request that has arrived already. Wait if the client does not read the responses."""
        if self._request is not None or self.is_lost or self.is_closing or self.is_write_paused:
            return
        if self._waiting:
            data, self._waiting = self._waiting, b""
            self._read_head(data)
        self._wait_for_more()

    def _wait_for_more(self) -> None:
        """Read again, if the current request is incomplete or there is none.

        A client that has finished sending gets its connection closed.
        """
        request = self._request
        if request is not None:
            if not request.is_received and not request.has_backlog():
                self.resume()
        elif self._is_half_closed and not self.is_closing:
            self.close()
        elif not self.is_closing:
            self.resume()

    # -- answering ----------------------------------------------------------------------------------------------

    async def _serve(self, request: Request) -> None:
        try:
            await self.server.serve(request)
        except asyncio.CancelledError:
            pass  # the client has disconnected, or the server is stopping; nothing else cancels this task
        except Exception:  # a bug in the gateway must not leave the client without an answer
            logger.exception("Internal error while answering %s.", request.head.path[:200])
            if not request.has_begun:
                error = errors.InternalError("The gateway failed to handle the request.")
                lines, body = error_response(error)
                request.respond(error.status, lines + self._cors_lines(request.head.headers.get(b"origin")), body)
        finally:
            if not request.is_ended and not self.is_lost:
                self.abort()

    def finish(self, request: Request) -> None:
        """Continue after the response to `request`."""
        if self._request is not request:
            return
        self._request = None
        if not request.keeps_alive or self.is_closing:
            if request.is_received and not self._waiting:
                self.close()
            else:
                self._linger(_MAX_MALFORMED_BYTES if request.is_malformed else _MAX_LINGER_BYTES)
            return
        self._waiting_since_s = self.loop.time()
        if self.is_write_paused:
            self.pause()  # until the client reads
        elif self._waiting or self._is_half_closed:
            self.loop.call_soon(self._read_next)
        elif self._is_reading_paused:
            self.resume()

    def refuse(self, error: BadRequest, data: bytes = b"") -> None:
        """Answer a request that cannot be read, and close the connection. `data`: what has arrived of its head."""
        lines, body = error_response(error.as_error())
        self.send_last(error.status, lines + self._cors_lines(find_origin(data)), body)
        self._linger(_MAX_MALFORMED_BYTES)

    def _cors_lines(self, origin: bytes | None) -> bytes:
        return b"" if origin is None else self.server.cors_lines(origin)

    # -- closing ------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the connection when everything has been sent."""
        self.is_closing = True
        self._transport.close()

    def abort(self) -> None:
        """Close the connection at once."""
        self.is_closing = True
        super().abort()

    def resume(self) -> None:
        """Read again, if reading was paused and the client has not finished sending. What has arrived comes first."""
        if self._unread and self._request is not None:
            self.loop.call_soon(self._read_more, self._request)
        elif not self._is_half_closed:
            super().resume()

    def _linger(self, max_bytes: int) -> None:
        """Close the connection, but discard what the client still sends, so that it can read the response.

        Closing a socket with unread bytes resets the connection, which can destroy the response on its way.
        """
        self.is_closing = self._is_lingering = True
        self._linger_bytes = max_bytes
        self._partial.clear()
        self._waiting = self._unread = b""
        self._waiting_since_s = self.loop.time()
        if self._is_half_closed or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._transport.write_eof()
        self.resume()

    def begin_close(self) -> None:
        """Close the connection after the request in progress, because the server is stopping."""
        self.is_closing = True
        if self._request is None and not self._is_lingering:
            self.close()

    def cancel(self) -> bool:
        """Cancel the request in progress, because the server is stopping. Return whether there is one."""
        request = self._request
        return request is not None and request.task is not None and request.task.cancel()

    def check_deadline(self, now_s: float) -> None:
        """Close the connection if the client has not done for too long what is expected of it."""
        if self.is_lost:
            return
        if self.is_stalled(now_s):
            self.abort()
        elif self._unsent_bytes:
            return  # the client is reading
        elif self._request is not None:
            self._request.check_silence(now_s)
            if self._is_reading_paused and self._request is not None:
                self._check_peer(self._request)
        elif now_s - self._waiting_since_s >= self._allowed_s():
            self._end_waiting(now_s)

    def _end_waiting(self, now_s: float) -> None:
        """Close an idle connection, unless the client is still reading the end of the last response."""
        queued = 0 if self._is_lingering else tcp.queued_bytes(self._transport)
        if queued and queued != self._queued_bytes:
            self._queued_bytes, self._waiting_since_s = queued, now_s
        elif self._is_lingering:
            self.abort()
        else:
            self.close()

    def _allowed_s(self) -> float:
        """Return how long the client may send nothing now."""
        if self._is_lingering:
            return _LINGER_S
        limits = self.server.limits
        return limits.head_timeout_s if self._partial or not self._has_served else limits.keep_alive_s

    # -- noticing disconnects -----------------------------------------------------------------------------------

    def _probe(self, request: Request) -> None:
        """Find out whether a client that sends nothing more has closed its socket, or only half of it.

        Both look the same until something is sent. A closed socket answers with a reset.
        """
        if request is not self._request or self.is_lost:
            return
        request.probe()
        for delay_s in _PROBE_CHECK_S:
            self.loop.call_later(delay_s, self._check_reset)

    def _check_reset(self) -> None:
        if not self.is_lost and tcp.state(self._transport) == tcp.CLOSE:
            self.abort()

    def _check_peer(self, request: Request) -> None:
        """Check a connection that is not read: its body waits for memory, or a further request waits behind it."""
        state = tcp.state(self._transport)
        if state == tcp.CLOSE or (state == tcp.CLOSE_WAIT and not request.is_received):
            self.abort()
        elif state == tcp.CLOSE_WAIT and not self._is_half_closed:
            self._is_half_closed = True
            self._probe(request)
