"""One WebSocket of a client, with the `websockets` library for the protocol. Implements `gateway.ServerSocket`.

The first handshake loads this module and its library, which most gateways never need.
"""

import asyncio
import logging
import secrets
from typing import TYPE_CHECKING, Final

from websockets.exceptions import InvalidState
from websockets.frames import Frame, Opcode
from websockets.http11 import Request as HandshakeRequest
from websockets.http11 import Response
from websockets.protocol import State
from websockets.server import ServerProtocol

from intellirouter.core import SocketClosed, errors
from intellirouter.gateway import RequestHead, header_lines
from intellirouter.serving import tcp
from intellirouter.serving.flow import ClientProtocol, error_response
from intellirouter.serving.frames import PING, UNRESERVED_BYTES, Control, FrameError, FrameReader, Pending
from intellirouter.serving.head import HEAD_END
from intellirouter.serving.state import ServerState

if TYPE_CHECKING:
    from intellirouter.pipeline import Headers

logger = logging.getLogger(__name__)
_library_logger: Final = logging.getLogger("intellirouter.serving.websocket.protocol")
_library_logger.setLevel(logging.CRITICAL)  # the library logs URLs, which may contain keys

_PING_INTERVAL_S: Final = 20.0
_PING_TIMEOUT_S: Final = 20.0
_HANDSHAKE_TIMEOUT_S: Final = 120.0
"""How long the answer to a handshake may take. Realtime sessions are answered when an upstream has accepted them."""
_CLOSE_TIMEOUT_S: Final = 10.0
_LINGER_S: Final = 2.0
_MAX_LINGER_BYTES: Final = 64 * 1024 * 1024
"""A client that is still sending gets this long to read why the connection is closed, and may send this much."""
_STATUS_SWITCHING: Final = 101
_ABNORMAL: Final = 1006
_POLICY: Final = 1008
_TRY_AGAIN_LATER: Final = 1013
_FRAMES_PER_TURN: Final = 32
"""How many frames of a client are read before others get their turn. Each takes up to 20 µs."""
_TURN_BYTES: Final = 64 * 1024
"""A client that sends more at once while its input is discarded waits for a turn."""
_MAX_CONTROL_FRAMES: Final = 500
"""How many control frames a client may send between two sweeps, in half a second."""


class WebSocket(ClientProtocol):
    """A WebSocket from its handshake on. Nothing is read while a message waits for the application.

    `FrameReader` reads the frames. The library gets the control frames, and does the handshake and all that is sent.
    """

    def __init__(self, server: ServerState, transport: asyncio.Transport, head: RequestHead) -> None:
        super().__init__(server)
        self.head = head
        offered = ",".join(value.decode("latin-1") for name, value in head.fields if name == b"sec-websocket-protocol")
        self.subprotocols = tuple(part.strip() for part in offered.split(",") if part.strip())
        self._transport = transport
        self._protocol = ServerProtocol(logger=_library_logger)
        self._reader = FrameReader(server.limits.max_body_bytes)
        self._handshake: Response | None = None
        self._is_answered = False
        self._is_lingering = False
        self._linger_bytes = _MAX_LINGER_BYTES
        self._message: str | bytes | None = None
        """A message that waits for the application."""
        self._turn: asyncio.Handle | None = None
        """Reads the next frames."""
        self._reserving: asyncio.Task[None] | None = None
        """Waits for memory for a large message."""
        self._reserved_bytes = 0
        self._message_due_s = float("inf")
        """When a large message must have arrived, and the application must have taken it."""
        self._control_frames = 0
        """Since the last sweep."""
        self._late_ping = b""
        """The last ping since the client has stopped reading. Only the last one needs a pong (RFC 6455, 5.5.3)."""
        self._closed: SocketClosed | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._ping: bytes | None = None
        self._ping_due_s = float("inf")
        self._close_by_s = self.loop.time() + _HANDSHAKE_TIMEOUT_S
        self._close_timeout_s = _CLOSE_TIMEOUT_S
        self._task: asyncio.Task[None] | None = None

    def open(self, data: bytes) -> None:
        """Read the handshake, at the beginning of `data`, and have it answered."""
        self.server.add(self)
        data = data.lstrip(b"\r\n")  # empty lines before a request are ignored
        end = data.find(HEAD_END) + len(HEAD_END)
        self._protocol.receive_data(data[:end])
        if end < len(data):
            self.data_received(data[end:])
        events = self._protocol.events_received()
        if not events or not isinstance(events[0], HandshakeRequest):
            self._refuse_malformed(str(self._problem()))
            return
        response = self._protocol.accept(events[0])
        if response.status_code != _STATUS_SWITCHING:
            self._refuse_malformed(str(self._problem()))
            return
        self._handshake = response
        self._task = self.loop.create_task(self._serve())

    # -- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self.server.discard(self)
        self._end(SocketClosed(self._protocol.close_rcvd.code if self._protocol.close_rcvd else _ABNORMAL))
        if self._turn is not None:
            self._turn.cancel()
        self._reader.clear()
        self._protocol.parser.close()  # it refers to the protocol, and the protocol to it
        if self._message is None:
            self._release()

    def data_received(self, data: bytes) -> None:
        if self._is_lingering:
            self._linger_bytes -= len(data)
            if self._linger_bytes < 0:
                self.abort()
            elif len(data) > _TURN_BYTES:
                self.pause()  # otherwise the event loop reads 32 times in a row
                self.loop.call_soon(self.resume)
            return
        self._reader.feed(data)
        if self._can_read():
            self._read_frames()
        else:
            self.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._late_ping:
            ping, self._late_ping = self._late_ping, b""
            self._protocol.receive_data(ping)
            self._write_out()

    def eof_received(self) -> bool:
        return False

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
        self._close_by_s = float("inf")
        self._ping_due_s = self.loop.time() + _PING_INTERVAL_S
        if self._reader.has_input:
            self._read_on()

    async def refuse(self, status: int, headers: "Headers", body: bytes) -> None:
        self._check_open()
        self._respond(status, header_lines(headers), body)

    async def receive(self) -> str | bytes:
        while self._message is None:
            if self._closed is not None:
                raise SocketClosed(self._closed.code, self._closed.reason)
            self._read_on()
            self._arrived = self.loop.create_future()
            try:
                await self._arrived
            finally:
                self._arrived = None
        message, self._message = self._message, None
        self._release()
        return message

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
        await self.drain()

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
        if self._message is not None:
            self._message = None
            self._release()
        self._close_by_s = self.loop.time() + self._close_timeout_s
        self._write_out()
        self._read_on()

    # -- for the server -----------------------------------------------------------------------------------------

    def begin_close(self) -> None:
        """Wait less for clients, because the server is stopping. The gateway closes its sockets itself."""
        self._close_timeout_s = _LINGER_S

    def cancel(self) -> bool:
        """Cancel the application's task, because the server is stopping. Return whether it was running."""
        return self._task is not None and self._task.cancel()

    def check_deadline(self, now_s: float) -> None:
        """Ping the client from time to time, and close the connection if it does not answer or does not read."""
        self._control_frames = 0
        if self.is_stalled(now_s) or now_s >= self._close_by_s or self._has_left():
            self.abort()
        elif now_s >= self._message_due_s and self._closed is None:
            self._fail(_POLICY, "A large message took too long.")
        elif now_s >= self._ping_due_s and self._protocol.state is State.OPEN:
            if self._ping is not None and not self._is_reading_paused:
                self._fail(1011, "keepalive ping timeout")
            elif self._ping is None:
                self._ping = secrets.token_bytes(4)
                self._protocol.send_ping(self._ping)
                self._ping_due_s = now_s + _PING_TIMEOUT_S
            self._write_out()

    # -- inside -------------------------------------------------------------------------------------------------

    async def _serve(self) -> None:
        try:
            await self.server.serve_socket(self)
        except asyncio.CancelledError:
            pass  # the server is stopping; nothing else cancels this task
        except Exception:  # a bug in the gateway must not leave the socket open
            logger.exception("Internal error in a WebSocket at %s.", self.head.path[:200])
            if not self._is_answered and not self.is_lost:
                error = errors.InternalError("The gateway failed to handle the request.")
                self._respond(error.status, *error_response(error))
        finally:
            if self._closed is None or not self._is_answered:
                self.abort()
            if self._message is not None:
                self._message = None
                self._release()

    def _has_left(self) -> bool:
        """Return whether a client has left whose handshake is not answered yet, and whose input is not read."""
        return (
            not self._is_answered
            and self._is_reading_paused
            and tcp.state(self._transport) in {tcp.CLOSE, tcp.CLOSE_WAIT}
        )

    # -- reading ------------------------------------------------------------------------------------------------

    def _can_read(self) -> bool:
        """Return whether frames may be read now: after the handshake, and while no message waits."""
        return (
            self._is_answered
            and self._message is None
            and self._turn is None
            and self._reserving is None
            and not self._is_lingering
            and not self._transport.is_closing()
        )

    def _read_on(self) -> None:
        """Read what has arrived, in the next turn of the event loop, and then more."""
        if not self._can_read():
            return
        if self._reader.has_input:
            self.pause()
            self._turn = self.loop.call_soon(self._take_turn)
        else:
            self.resume()

    def _take_turn(self) -> None:
        self._turn = None
        if self._can_read():
            self._read_frames()

    def _read_frames(self) -> None:
        """Read a few of the frames that have arrived, up to the end of a message."""
        result: str | bytes | Control | Pending = Pending.MORE
        try:
            for _ in range(_FRAMES_PER_TURN):
                result = self._reader.read()
                if isinstance(result, Control):
                    self._take_control(result)
                    if self._protocol.close_expected():
                        break
                elif result is not Pending.MORE:
                    break
        except FrameError as error:
            self._fail(error.code, error.reason)
            return
        self._write_out()
        if isinstance(result, str | bytes) and self._closed is None:
            self._message = result
            self._notify()
            if self._reader.has_input:
                self.pause()
        elif result is Pending.INPUT:
            self.resume()
        elif result is Pending.MEMORY and self._can_read():
            self.pause()
            self._reserving = self.loop.create_task(self._reserve())
        else:
            if not isinstance(result, Control | Pending):
                self._release()  # of a message after the end
            self._read_on()

    async def _reserve(self) -> None:
        """Wait for memory for the message that is arriving. Close the socket if that takes too long."""
        wanted = self._reader.wanted_bytes
        try:
            self._reserved_bytes += await self.server.body_budget.reserve(wanted)
        except errors.Overloaded:
            self._reserving = None
            self._fail(_TRY_AGAIN_LATER, "The gateway is receiving too many large messages.")
            return
        self._reserving = None
        self._reader.granted_bytes += wanted
        self._message_due_s = min(self._message_due_s, self.loop.time() + self.server.limits.body_timeout_s)
        self._read_on()

    def _release(self) -> None:
        """Release the memory of a message that was taken, or that does not arrive any more."""
        self._message_due_s = float("inf")
        self._reader.granted_bytes = UNRESERVED_BYTES
        if self._reserving is not None:
            self._reserving.cancel()
            self._reserving = None
        if self._reserved_bytes:
            reserved, self._reserved_bytes = self._reserved_bytes, 0
            self.server.body_budget.release(reserved)

    def _take_control(self, control: Control) -> None:
        """Have a control frame processed. Raises `FrameError` if the client sends too many."""
        self._control_frames += 1
        if self._control_frames > _MAX_CONTROL_FRAMES:
            raise FrameError(_POLICY, "Too many control frames.")
        if control.opcode == PING and self.is_write_paused:
            self._late_ping = control.frame
            return
        protocol = self._protocol
        protocol.receive_data(control.frame)
        for event in protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.PONG and bytes(event.data) == self._ping:
                self._ping = None
                self._ping_due_s = self.loop.time() + _PING_INTERVAL_S
        if protocol.close_rcvd is not None:
            self._end(SocketClosed(protocol.close_rcvd.code, protocol.close_rcvd.reason))
        elif protocol.parser_exc is not None:
            self._end(SocketClosed(_ABNORMAL))

    # -- closing ------------------------------------------------------------------------------------------------

    def _fail(self, code: int, reason: str) -> None:
        """Close the socket, because the client has broken the protocol or a limit."""
        self._protocol.fail(code, reason)
        self._end(SocketClosed(_ABNORMAL))
        self._write_out()

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
        if self.is_lost or self._is_lingering or self._transport.is_closing():
            return
        if data := b"".join(pieces):
            self.write(data)
        if pieces and not pieces[-1]:
            self._finish()

    def _finish(self) -> None:
        """Close the connection when everything has been sent.

        What the client still sends is discarded for a while. Closing a socket with unread bytes resets the connection,
        which can destroy what was sent last.
        """
        if self._protocol.state is State.CONNECTING:
            has_ended = not self._reader.has_input
        else:
            has_ended = self._protocol.close_rcvd is not None
        self._reader.clear()
        if self._message is None:
            self._release()
        if has_ended or not self._transport.can_write_eof():
            self._transport.close()
            return
        self._is_lingering = True
        self._close_by_s = self.loop.time() + _LINGER_S
        self._transport.write_eof()
        self.resume()

    def _respond(self, status: int, lines: bytes, body: bytes) -> None:
        self._is_answered = True
        self._end(SocketClosed(_ABNORMAL))
        self.send_last(status, lines, body)
        self._finish()

    def _problem(self) -> BaseException | str:
        problem = self._protocol.handshake_exc
        return "it is incomplete" if problem is None else problem.__cause__ or problem

    def _refuse_malformed(self, reason: str) -> None:
        error = errors.InvalidRequest(
            f"The WebSocket handshake is malformed: {reason}.",
            code="invalid_handshake",
            hint="Send a GET request without a body, with lines of at most 8 KiB.",
        )
        self._respond(error.status, *error_response(error))

    def _notify(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
