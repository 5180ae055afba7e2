"""The server's HTTP/1.1 protocol: uvicorn's, with bounds on a request's head and errors in our own shape."""

import asyncio
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from intellirouter.core import errors
from intellirouter.dialects import encode_error
from intellirouter.gateway import RESPOND

_MAX_HEAD_BYTES: Final = 64 * 1024
_HEAD_DEADLINE_S: Final = 30.0


class _JoiningTransport:
    """Joins a response's head with the first piece of its body, which spares a system call.

    A head whose body does not follow within the same turn of the event loop goes out alone at its end.
    """

    __slots__ = ("_head", "_loop", "_transport")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def write(self, data: bytes) -> None:
        head = self._head
        if head:
            self._head = b""
            self._transport.write(head + data)
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
        else:
            self._transport.write(data)

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.write(head)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class _Responder:
    """The `intellirouter.respond` ASGI extension: a whole response in one call and one write.

    It stands for the two messages that `send` would take apart and check header by header, at a third of the cost of
    the whole request. Under another server the application falls back to `send`.
    """

    __slots__ = ("_cycle",)

    def __init__(self, cycle: RequestResponseCycle) -> None:
        self._cycle = cycle

    def __call__(self, status: int, header_lines: bytes, body: bytes) -> bool:
        """Write the response, unless the client reads too slowly or has left; then return False.

        `header_lines` end in CRLF each and hold no `date`, `connection` or `transfer-encoding`.
        """
        cycle = self._cycle
        if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        parts = [STATUS_LINE[status], header_lines]
        parts += [b"%b: %b\r\n" % pair for pair in cycle.default_headers]
        if not cycle.keep_alive:
            parts.append(b"connection: close\r\n")
        parts += (b"\r\n", body)
        cycle.transport.write(b"".join(parts))
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()
        return True


class BoundedProtocol(HttpToolsProtocol):
    """Refuses heads that are too large or come too slowly; a connection that never asks is closed too."""

    _head_bytes = 0
    _is_head_open = True
    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _JoiningTransport(transport, self.loop))
        self._head_timer = self.loop.call_later(_HEAD_DEADLINE_S, self._head_is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_head_open or self.transport.is_closing():
            return
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES:
            self._refuse(431, "The request's head is too large.", "headers_too_large")
        elif self._head_timer is None:
            self._head_timer = self.loop.call_later(_HEAD_DEADLINE_S, self._head_is_late)

    def on_message_begin(self) -> None:
        self._head_bytes = 0
        self._is_head_open = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._is_head_open = False
        self._stop_timer()
        super().on_headers_complete()
        self.scope["extensions"] = {RESPOND: _Responder(self.cycle)}  # type: ignore[dict-item] # a callable of ours

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg, "invalid_http")

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self.transport.is_closing():
            self.transport.close()

    def _refuse(self, status: int, message: str, code: str) -> None:
        body = encode_error(errors.InvalidRequest(message, code=code, status=status))
        head = (
            f"HTTP/1.1 {status} Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
