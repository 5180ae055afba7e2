"""The HTTP/1.1 protocol of the server: uvicorn's, with limits on request heads and JSON error responses."""

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


class _HeadBufferingTransport:
    """Writes the head of a response together with the first piece of its body, which saves a system call.

    If the body does not follow within the same iteration of the event loop, the head is written alone.
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
        """Flush, and return the underlying transport."""
        self._flush()
        return self._transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def build_websocket_protocol(**named: Any) -> asyncio.Protocol:
    """Return the protocol of a new WebSocket. The first call loads its library, which most gateways never need."""
    protocol: asyncio.Protocol = importlib.import_module(_SOCKET_PROTOCOL).SocketProtocol(**named)
    return protocol


class BoundedProtocol(HttpToolsProtocol):
    """Refuses request heads that are too large or arrive too slowly, and closes idle connections.

    Uvicorn starts and cancels a keep-alive timer for every response. Here a connection stores since when it has been
    waiting, and has one timer, which runs again at the next possible timeout.
    """

    _head_bytes = 0
    _requests = 0
    _is_handed_over = False
    _waiting_since_s = 0.0
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn narrows it
        super().connection_made(transport)
        self.transport = cast("asyncio.Transport", _HeadBufferingTransport(transport, self.loop))
        self._extensions: dict[str, Any] = {RESPOND: self._respond, HAS_BODY: self._has_body}
        self._waiting_since_s = self.loop.time()
        self._watch = self.loop.call_later(_HEAD_DEADLINE_S, self._check_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._extensions.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._is_handed_over or self._is_answering():
            return
        # No request is being answered, so these bytes belong to an incomplete head.
        if not self._head_bytes:
            self._waiting_since_s = self.loop.time()
        self._head_bytes += len(data)
        if self._head_bytes > _MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(431, f"The request headers are larger than {_MAX_HEAD_BYTES} bytes.", "headers_too_large")

    def on_headers_complete(self) -> None:
        self._head_bytes = 0
        super().on_headers_complete()
        self._requests += 1
        self.scope["extensions"] = self._extensions

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket protocol, without buffering and timer."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        if self._requests > 1 and not self.cycle.response_complete:
            self.transport.close()  # the handshake was pipelined behind a request that is still being answered
            return
        buffering = cast("_HeadBufferingTransport", self.transport)
        self.transport = buffering.plain()
        self._is_handed_over = True
        self._extensions.clear()
        super().handle_websocket_upgrade()

    def on_response_complete(self) -> None:
        """Do the same as uvicorn, except for the timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        self._waiting_since_s = self.loop.time()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)

    def _respond(self, scope: object, status: int, header_lines: bytes, body: bytes) -> bool:
        """The `intellirouter.respond` ASGI extension: write a complete response at once, or return False.

        It replaces two ASGI messages, whose headers uvicorn checks one by one. It returns False, so that the caller
        must use `send`, if the client reads slowly or has disconnected, and for pipelined requests. Each of
        `header_lines` ends with CRLF; `date`, `connection` and `transfer-encoding` must not be among them.
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
        """The `intellirouter.has_body` ASGI extension: return whether the complete request body has arrived."""
        cycle = self.cycle
        return cycle.scope is scope and not cycle.more_body

    def send_400_response(self, msg: str) -> None:
        self._refuse(400, errors.as_sentence(msg), "invalid_http")

    def _is_answering(self) -> bool:
        return self._requests > 0 and not self.cycle.response_complete

    def _check_timeout(self) -> None:
        """Close the connection if it has waited too long for a request; otherwise set the timer again."""
        self._watch = None
        if self.transport.is_closing():
            return
        is_fresh = self._requests == 0
        allowed_s = _HEAD_DEADLINE_S if self._head_bytes or is_fresh else self.timeout_keep_alive
        waited_s = 0.0 if self._is_answering() else self.loop.time() - self._waiting_since_s
        if waited_s >= allowed_s:
            self.transport.close()
        else:
            self._watch = self.loop.call_later(max(1.0, allowed_s - waited_s), self._check_timeout)

    def _refuse(self, status: int, message: str, code: str) -> None:
        body = encode_error(errors.InvalidRequest(message, code=code, status=status))
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\ncontent-type: application/json\r\n"
            f"x-request-id: {new_id('req_')}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()
