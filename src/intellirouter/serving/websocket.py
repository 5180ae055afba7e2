"""One WebSocket of a client, with the `websockets` library for the protocol. Implements `gateway.ServerSocket`.

The first handshake loads this module and its library, which most gateways never need.
"""

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from intellirouter.core import SocketClosed, errors, new_id
from intellirouter.dialects import encode_error
from intellirouter.gateway import RequestHead, header_lines
from intellirouter.serving.request import STATUS_LINES
from intellirouter.serving.state import ServerState
from intellirouter.serving.tcp import unsent_bytes

if TYPE_CHECKING:
    from intellirouter.pipeline import Headers

logger = logging.getLogger(__name__)
_library_logger: Final = logging.getLogger("intellirouter.serving.websocket.protocol")
_library_logger.setLevel(logging.CRITICAL)  # the library logs URLs, which may contain keys

_PING_INTERVAL_S: Final = 20.0
_PING_TIMEOUT_S: Final = 20.0
_CLOSE_TIMEOUT_S: Final = 10.0
_STATUS_SWITCHING: Final = 101
_ABNORMAL: Final = 1006
_NO_CODE: Final = 1005
_INVALID_TEXT: Final = 1007


class WebSocket(asyncio.Protocol):
    """A WebSocket from its handshake on. Reading stops while a message waits for the application."""

    def __init__(self, server: ServerState, transport: asyncio.Transport, head: RequestHead) -> None:
        self.head = head
        offered = ",".join(value.decode("latin-1") for name, value in head.fields if name == b"sec-websocket-protocol")
        self.subprotocols = tuple(part.strip() for part in offered.split(",") if part.strip())
        self.is_lost = False
        self._server = server
        self._loop = server.loop
        self._transport = transport
        self._protocol = ServerProtocol(max_size=server.limits.max_body_bytes, logger=_library_logger)
        self._handshake: Response | None = None
        self._is_answered = False
        self._messages: deque[str | bytes] = deque()
        self._fragments: list[bytes] = []
        self._is_text = False
        self._closed: SocketClosed | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._is_reading_paused = False
        self._is_write_paused = False
        self._unsent_bytes = 0
        self._unsent_since_s = 0.0
        self._ping: bytes | None = None
        self._ping_due_s = float("inf")
        self._close_by_s = float("inf")
        self._task: asyncio.Task[None] | None = None

    def open(self, data: bytes) -> None:
        """Read the handshake, at the beginning of `data`, and have it answered."""
        self._server.add(self)
        self._protocol.receive_data(data)
        events = self._protocol.events_received()
        if not events or not isinstance(events[0], HandshakeRequest):
            self._refuse_malformed(str(self._problem()))
            return
        response = self._protocol.accept(events[0])
        if response.status_code != _STATUS_SWITCHING:
            self._refuse_malformed(str(self._problem()))
            return
        self._handshake = response
        self._take_frames(events[1:])
        self._task = self._loop.create_task(self._serve())

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.is_lost = True
        self._server.discard(self)
        self._end(SocketClosed(self._protocol.close_rcvd.code if self._protocol.close_rcvd else _ABNORMAL))
        self._fragments.clear()
        self._wake()

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._take_frames(self._protocol.events_received())
        self._write_out()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._is_write_paused = True

    def resume_writing(self) -> None:
        self._is_write_paused = False
        self._wake()

    # -- gateway.ServerSocket -----------------------------------------------------------------------------------

    async def accept(self, headers: "Headers", subprotocol: str | None) -> None:
        self._check_open()
        response = self._handshake
        assert response is not None  # noqa: S101 - the application is called after a valid handshake
        if subprotocol is not None:
            response.headers["Sec-WebSocket-Protocol"] = subprotocol
        for name, value in headers:
            response.headers[name.decode("latin-1")] = value.decode("latin-1")
        self._is_answered = True
        self._protocol.send_response(response)
        self._write_out()
        self._ping_due_s = self._loop.time() + _PING_INTERVAL_S

    async def refuse(self, status: int, headers: "Headers", body: bytes) -> None:
        self._check_open()
        self._respond(status, header_lines(headers), body)

    async def receive(self) -> str | bytes:
        while not self._messages:
            if self._closed is not None:
                raise SocketClosed(self._closed.code, self._closed.reason)
            self._resume()
            self._arrived = self._loop.create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        return self._messages.popleft()

    async def send(self, message: str | bytes) -> None:
        self._check_open()
        try:
            if isinstance(message, str):
                self._protocol.send_text(message.encode())
            else:
                self._protocol.send_binary(message)
        except InvalidState:
            raise SocketClosed(_ABNORMAL) from None
        self._write_out()
        while self._is_write_paused and not self.is_lost:
            self._drained = self._drained or self._loop.create_future()
            await asyncio.shield(self._drained)

    async def close(self, code: int, reason: str = "") -> None:
        self._check_open()
        if not self._is_answered:
            self._respond(403, b"", b"")
            return
        try:
            self._protocol.send_close(code, reason)
        except InvalidState:
            raise SocketClosed(_ABNORMAL) from None
        self._end(SocketClosed(code, reason))
        self._messages.clear()
        self._close_by_s = self._loop.time() + _CLOSE_TIMEOUT_S
        self._write_out()
        self._resume()

    # -- for the server -----------------------------------------------------------------------------------------

    def begin_close(self) -> None:
        """Do nothing when the server is stopping: the gateway closes its sockets itself."""

    def cancel(self) -> None:
        """Cancel the application's task, because the server is stopping."""
        if self._task is not None:
            self._task.cancel()

    def abort(self) -> None:
        """Close the connection at once."""
        self._transport.abort()

    def check_deadline(self, now_s: float) -> None:
        """Ping the client from time to time, and close the connection if it does not answer or does not read."""
        unsent = unsent_bytes(self._transport)
        if not self._unsent_bytes or unsent < self._unsent_bytes:
            self._unsent_since_s = now_s
        self._unsent_bytes = unsent
        if now_s >= self._close_by_s or (
            unsent and now_s - self._unsent_since_s >= self._server.limits.write_timeout_s
        ):
            self.abort()
        elif now_s >= self._ping_due_s and self._protocol.state is State.OPEN:
            if self._ping is not None and not self._is_reading_paused:
                self._protocol.fail(1011, "keepalive ping timeout")
                self._close_by_s = now_s
            elif self._ping is None:
                self._ping = secrets.token_bytes(4)
                self._protocol.send_ping(self._ping)
                self._ping_due_s = now_s + _PING_TIMEOUT_S
            self._write_out()

    # -- inside -------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            await self._server.serve_socket(self)
        except asyncio.CancelledError:
            self.abort()
        except Exception:
            logger.exception("Internal error in a WebSocket at %s.", self.head.path[:200])
            if not self._is_answered and not self.is_lost:
                self._respond(500, b"", encode_error(errors.InternalError("The gateway failed.")))
            self.abort()
        finally:
            if self._closed is None:
                self.abort()

    def _take_frames(self, events: Sequence[object]) -> None:
        for event in events:
            if not isinstance(event, Frame):
                continue
            if event.opcode in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
                self._take_data(event)
            elif event.opcode is Opcode.PONG and bytes(event.data) == self._ping:
                self._ping = None
                self._ping_due_s = self._loop.time() + _PING_INTERVAL_S
        received = self._protocol.close_rcvd
        if received is not None:
            self._end(SocketClosed(received.code, received.reason))
        elif self._protocol.parser_exc is not None:
            self._end(SocketClosed(_ABNORMAL))

    def _take_data(self, frame: Frame) -> None:
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._fragments.append(bytes(frame.data))
        if not frame.fin:
            return
        data = self._fragments[0] if len(self._fragments) == 1 else b"".join(self._fragments)
        self._fragments.clear()
        if self._closed is not None:
            return
        if self._is_text:
            try:
                self._messages.append(data.decode())
            except UnicodeDecodeError:
                self._protocol.fail(_INVALID_TEXT, "invalid UTF-8")
                self._end(SocketClosed(_INVALID_TEXT))
                return
        else:
            self._messages.append(data)
        self._pause()
        self._notify()

    def _end(self, closed: SocketClosed) -> None:
        if self._closed is None:
            self._closed = closed
        self._notify()

    def _check_open(self) -> None:
        if self.is_lost or self._closed is not None:
            closed = self._closed or SocketClosed(_ABNORMAL)
            raise SocketClosed(closed.code, closed.reason)

    def _write_out(self) -> None:
        """Send what the protocol has to send. It ends with an empty piece when the connection must be closed."""
        pieces = self._protocol.data_to_send()
        if self.is_lost or self._transport.is_closing():
            return
        if data := b"".join(pieces):
            self._transport.write(data)
        if pieces and not pieces[-1]:
            self._transport.close()

    def _respond(self, status: int, lines: bytes, body: bytes) -> None:
        self._is_answered = True
        self._end(SocketClosed(_ABNORMAL))
        self._transport.write(
            b"%b%bcontent-length: %d\r\n%bconnection: close\r\n\r\n%b"
            % (STATUS_LINES[status], lines, len(body), self._server.date_line, body)
        )
        self._transport.close()

    def _problem(self) -> BaseException | str:
        problem = self._protocol.handshake_exc
        return "it is incomplete" if problem is None else problem.__cause__ or problem

    def _refuse_malformed(self, reason: str) -> None:
        error = errors.InvalidRequest(
            f"The WebSocket handshake is malformed: {reason}.",
            code="invalid_handshake",
            hint="Send a GET request without a body, with lines of at most 8 KiB.",
        )
        lines = f"content-type: application/json\r\nx-request-id: {new_id('req_')}\r\n"
        self._respond(400, lines.encode(), encode_error(error))

    def _pause(self) -> None:
        if not self._is_reading_paused and not self._transport.is_closing():
            self._is_reading_paused = True
            self._transport.pause_reading()

    def _resume(self) -> None:
        if self._is_reading_paused and not self.is_lost and not self._transport.is_closing():
            self._is_reading_paused = False
            self._transport.resume_reading()

    def _notify(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _wake(self) -> None:
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.set_result(None)
