"""The WebSocket protocol of the server: uvicorn's, with the `websockets` library. The first socket loads it."""

import logging

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from intellirouter.core import errors, new_id
from intellirouter.dialects import encode_error

_logger = logging.getLogger("intellirouter.sockets")
_logger.setLevel(logging.WARNING)


def _is_logged(record: logging.LogRecord) -> bool:
    """Return False for invalid UTF-8, which uvicorn logs with a traceback. Any client could fill the log with it."""
    return record.exc_info is None or not isinstance(record.exc_info[1], UnicodeDecodeError)


_logger.addFilter(_is_logged)


class SocketProtocol(WebSocketsSansIOProtocol):
    """Lets the application close its sockets, reports broken connections, and logs no URLs, which may contain keys."""

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type] # as uvicorn calls it
        self.logger = _logger

    def data_received(self, data: bytes) -> None:
        """Do the same as uvicorn, and in addition answer malformed handshakes."""
        super().data_received(data)
        if self.handshake_initiated or self.close_sent:
            return
        problem = self.conn.handshake_exc
        reason = str(problem.__cause__ or problem) if problem is not None else "it is incomplete"
        body = encode_error(
            errors.InvalidRequest(
                f"The WebSocket handshake is malformed: {reason}.",
                code="invalid_handshake",
                hint="Send a GET request without a body, with lines of at most 8 KiB.",
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
        """Do nothing for open sockets when the gateway stops: the application closes them itself."""
        if self.close_sent or not self.handshake_initiated:
            super().shutdown()

    async def send(self, message: ASGISendEvent) -> None:
        """Do the same as uvicorn, but count a handshake that was answered with an error as answered."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body":
            self.handshake_complete = True

    def connection_lost(self, exc: Exception | None) -> None:
        if self.handshake_complete and not self.close_sent and self.conn.close_rcvd is None:
            self.queue.put_nowait({"type": "websocket.disconnect", "code": 1006, "reason": ""})
        super().connection_lost(exc)
