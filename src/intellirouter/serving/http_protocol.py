"""The server's HTTP/1.1 protocol: uvicorn's, with bounds on a request's head and errors in our own shape."""

import asyncio
import importlib
from http import HTTPStatus
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from intellirouter.core import errors, new_id
from intellirouter.dialects import encode_error
from intellirouter.gateway import HAS_BODY, RESPOND

_MAX_HEAD_BYTES: Final = 64 * 1024
_HEAD_DEADLINE_S: Final = 30.0
_SOCKET_PROTOCOL: Final = "intellirouter.serving.websocket_protocol"


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

    def plain(self) -> asyncio.Transport:
        """Return the transport itself, with nothing waiting."""
        self._flush()
        return self._transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def open_socket(**named: Any) -> asyncio.Protocol:
    """Return the protocol that takes over a connection. Its library is loaded by the first one: most serve none."""
    protocol: asyncio.Protocol = importlib.import_module(_SOCKET_PROTOCOL).SocketProtocol(**named)
    return protocol


class BoundedProtocol(HttpToolsProtocol):
    """Refuses heads that are too large or come too slowly; closes connections that stay idle.

    Uvicorn arms and cancels a keep-alive timer for every response. Here a connection remembers since when it has
    waited, and its one timer looks again when that could have become too long.
    """

    _head_bytes = 0
    _requests = 0
    _is_handed_over = False
    _waiting_since_s = 0.0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _JoiningTransport(transport, self.loop))
        self._extensions: dict[str, Any] = {RESPOND: self._respond, HAS_BODY: self._has_body}
        self._waiting_since_s = self.loop.time()
        self._watch = self.loop.call_later(_HEAD_DEADLINE_S, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._extensions.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_handed_over or self._is_answering():
            return
        # Nothing is being answered, so what has come belongs to a head that is not complete.
        if not self._head_bytes:
            self._waiting_since_s = self.loop.time()
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, "The request's head is too large.", "headers_too_large")

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        super().on_headers_complete()
        self._requests += 1
        self.scope["extensions"] = self._extensions

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over. Its transport joins no heads any more, and no timer waits for one."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._requests > 1 and not self.cycle.response_complete:
            self.transport.close()  # it came behind a request that is still being answered
            return
        joining = cast("_JoiningTransport", self.transport)
        self.transport = joining.plain()
        self._is_handed_over = True
        self._extensions.clear()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """As uvicorn's, but for the timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._waiting_since_s = self.loop.time()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _respond(self, scope: object, status: int, header_lines: bytes, body: bytes) -> bool:
        """The `intellirouter.respond` ASGI extension: write a whole response at once, or return False.

        It stands for the two messages that `send` would take apart and check header by header. False when the client
        reads slowly or has left, or for pipelined requests: then `send` does it. `header_lines` end in CRLF each and
        hold no `date`, `connection` or `transfer-encoding`.
        """
        cycle = self.cycle
        if cycle.scope is not scope or cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
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

    def _has_body(self, scope: object) -> bool:
        """The `intellirouter.has_body` ASGI extension: a request that came whole needs no deadline for its body."""
        cycle = self.cycle
        return cycle.scope is scope and not cycle.more_body

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, msg, "invalid_http")

    def _is_answering(self) -> bool:
        return self._requests > 0 and not self.cycle.response_complete

    def _look(self) -> None:
        """Close the connection if it has waited too long for a head; otherwise look again when it could have."""
        self._watch = None
        if self.transport.is_closing():
            return
        is_fresh = self._requests == 0
        allowed_s = _HEAD_DEADLINE_S if self._head_bytes or is_fresh else self.timeout_keep_alive
        waited_s = 0.0 if self._is_answering() else self.loop.time() - self._waiting_since_s
        if waited_s >= allowed_s:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(max(1.0, allowed_s - waited_s), self._look)

    def _refuse(self, status: int, message: str, code: str) -> None:
        body = encode_error(errors.InvalidRequest(message, code=code, status=status))
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"x-request-id: {new_id('req_')}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
