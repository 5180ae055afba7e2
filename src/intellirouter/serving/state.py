"""What the connections of a server share: limits, parsed heads, the byte budget, the date, the application."""

import asyncio
import time
from collections.abc import Coroutine
from email.utils import formatdate
from typing import Any, Protocol

from intellirouter.config.runtime import ServerSpec
from intellirouter.gateway import HttpRequest, RequestHead, ServerSocket
from intellirouter.serving.budget import BodyBudget
from intellirouter.serving.head import HeadParser


class RequestServer(Protocol):
    """Serves requests and WebSockets."""

    def serve(self, request: HttpRequest) -> Coroutine[Any, Any, object]:
        """Answer one request. If it returns without a complete response, the connection is closed."""
        ...

    def cors_lines(self, origin: bytes) -> bytes:
        """Return the header lines that let pages of this origin read an error of the server; often empty."""
        ...

    def serve_socket(self, socket: ServerSocket) -> Coroutine[Any, Any, object]:
        """Serve one WebSocket, from its handshake to its end."""
        ...


class Peer(Protocol):
    """A connection, as the server sees it."""

    def check_deadline(self, now_s: float) -> None:
        """Close the connection if the client takes too long."""
        ...

    def begin_close(self) -> None:
        """Close the connection after the request in progress, because the server is stopping."""
        ...

    def cancel(self) -> bool:
        """Cancel the request in progress, because the server is stopping. Return whether there is one."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""
        ...


class OpenSocket(Protocol):
    """Hands a connection over to a WebSocket. `data` begins with the handshake."""

    def __call__(self, transport: asyncio.Transport, head: RequestHead, data: bytes) -> None: ...


class ServerState:
    """One per server. Belongs to one event loop."""

    def __init__(self, handler: RequestServer, limits: ServerSpec, open_socket: OpenSocket) -> None:
        self.loop = asyncio.get_running_loop()
        self.limits = limits
        self.is_tls = limits.tls_cert_file is not None
        self.connections: set[Peer] = set()
        self.is_empty = asyncio.Event()
        """Set when the last connection has been closed."""
        self.heads = HeadParser()
        self.body_budget = BodyBudget(limits.max_buffered_bytes)
        self.serve = handler.serve
        self.serve_socket = handler.serve_socket
        self.cors_lines = handler.cors_lines
        self.open_socket = open_socket
        self.date_line = b""
        """The `date` header, with CRLF."""
        self._date_s = 0
        self.update_date()
        self.is_empty.set()

    def add(self, connection: Peer) -> None:
        self.connections.add(connection)
        self.is_empty.clear()

    def discard(self, connection: Peer) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self.is_empty.set()

    def apply(self, limits: ServerSpec) -> None:
        """Use other limits from now on."""
        self.limits = limits
        self.body_budget.limit_bytes = limits.max_buffered_bytes

    def update_date(self) -> None:
        """Set the date header to the current time. Called at least once per second."""
        now_s = int(time.time())
        if now_s != self._date_s:
            self._date_s = now_s
            self.date_line = f"date: {formatdate(now_s, usegmt=True)}\r\n".encode("ascii")
