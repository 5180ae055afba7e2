"""The server's WebSocket protocol: uvicorn's over the `websockets` library. Loaded by the first socket."""

import logging

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from intellirouter.core import errors, new_id
from intellirouter.dialects import encode_error

_logger = logging.getLogger("intellirouter.sockets")
_logger.setLevel(logging.WARNING)


def _is_ours(record: logging.LogRecord) -> bool:
    """Text that is not UTF-8 closes the socket. Uvicorn logs it with a traceback: any client could fill the log."""
    return record.exc_info is None or not isinstance(record.exc_info[1], UnicodeDecodeError)


_logger.addFilter(_is_ours)


class SocketProtocol(WebSocketsSansIOProtocol):
    """Leaves ending to the application, tells a broken connection from a close, and logs no addresses: a browser's
    key may stand in one.
    """

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type] # as uvicorn calls it
        self.logger = _logger

    def data_received(self, data: bytes) -> None:
        """As uvicorn's, which leaves handshakes that cannot be read without an answer."""
        super().data_received(data)
        if self.handshake_initiated or self.close_sent:
            return
        problem = self.conn.handshake_exc
        said = str(problem.__cause__ or problem) if problem is not None else "it is not complete"
        body = encode_error(
            errors.InvalidRequest(
                f"The WebSocket handshake cannot be read: {said}.",
                code="invalid_handshake",
                hint="It is a GET without a body, its lines at most 8 KiB long.",
            )
        )
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"x-request-id: {new_id('req_')}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.close_sent = True
        self.transport.write(head.encode() + body)
        self.transport.close()

    def shutdown(self) -> None:
        """The gateway stops. The application has been told, and closes its sockets when it has done with them."""
        if self.close_sent or not self.handshake_initiated:
            super().shutdown()

    async def send(self, message: ASGISendEvent) -> None:
        """As uvicorn's, which takes a handshake that was answered with an error for one that was not answered."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.handshake_complete and not self.close_sent and self.conn.close_rcvd is None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)
