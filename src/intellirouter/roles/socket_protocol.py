"""The server's WebSocket protocol: uvicorn's over the `websockets` library. Loaded by the first socket."""

import logging

from uvicorn._types import ASGISendEvent
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

_logger = logging.getLogger("intellirouter.sockets")
_logger.setLevel(logging.WARNING)


class SocketProtocol(WebSocketsSansIOProtocol):
    """Leaves ending to the application, tells a broken connection from a close, and logs no addresses: a browser's
    key may stand in one.
    """

    def __init__(self, *arguments: object, **named: object) -> None:
        super().__init__(*arguments, **named)  # type: ignore[arg-type] # as uvicorn calls it
        self.logger = _logger

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

    def handle_parser_exception(self) -> None:
        """As uvicorn's, for a handshake that cannot be read, too."""
        if self.conn.close_sent is not None:
            super().handle_parser_exception()
            return
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.transport.close()
