"""A client's WebSocket: handshake, messages, close. Also API key and origin of the handshake."""

import asyncio
from collections.abc import Callable
from typing import Final

from intellirouter.core import PeerAddress, SocketClosed, TaskOwner, errors, whole_seconds
from intellirouter.dialects import ErrorStyle
from intellirouter.gateway.http import RequestHead, ServerSocket
from intellirouter.governance import Identity, request_key
from intellirouter.pipeline import Generation, Headers
from intellirouter.resources import JSON

_KEY_PROTOCOLS: Final = ("openai-insecure-api-key.", "intellirouter-key.")
"""Prefixes of subprotocols that contain an API key. Browsers cannot set the headers of a WebSocket handshake."""
_MAX_REASON_BYTES: Final = 123


class Socket:
    """Implements `core.FrameSocket` for a client. The handshake is not answered before `accept` or `refuse`."""

    def __init__(self, connection: ServerSocket) -> None:
        self.head: RequestHead = connection.head
        self.subprotocols: tuple[str, ...] = connection.subprotocols
        self.is_accepted = False
        self._connection = connection
        self._closed: SocketClosed | None = None
        self._tasks = TaskOwner("socket")
        self._early: asyncio.Task[str | bytes] | None = None

    @property
    def peer(self) -> PeerAddress | None:
        return self._connection.peer

    @property
    def is_closed(self) -> bool:
        return self._closed is not None

    def watch(self, on_disconnect: Callable[[], None]) -> None:
        """Call `on_disconnect` if the client disconnects before it has been accepted."""
        self._early = self._tasks.start(self._connection.receive(), "handshake", is_awaited=True)
        self._early.add_done_callback(lambda _: None if self.is_accepted or self.is_closed else on_disconnect())

    async def accept(self, headers: Headers, subprotocol: str | None) -> None:
        """Accept the handshake. Raises `SocketClosed`."""
        self._check_open()
        try:
            await self._connection.accept(headers, subprotocol)
        except SocketClosed as closed:
            self._close_with(closed)
            raise
        self.is_accepted = True

    async def refuse(self, error: errors.GatewayError, headers: Headers, style: ErrorStyle) -> None:
        """Answer the handshake with an HTTP error. Does nothing if the client has disconnected."""
        if self._closed is not None:
            return
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % whole_seconds(error.retry_after_s)))
        headers.append((b"content-type", JSON))
        self._closed = SocketClosed(1006)
        try:
            await self._connection.refuse(style.status(error), headers, style.encode(error))
        except SocketClosed:
            return

    async def receive(self) -> str | bytes:
        self._check_open()
        early, self._early = self._early, None
        try:
            return await (self._connection.receive() if early is None else early)
        except SocketClosed as closed:
            self._close_with(closed)
            raise

    async def send(self, message: str | bytes) -> None:
        self._check_open()
        try:
            await self._connection.send(message)
        except SocketClosed as closed:
            self._close_with(closed)
            raise

    async def close(self, code: int, reason: str = "") -> None:
        if self._closed is not None:
            return
        short_reason = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        self._closed = SocketClosed(code, short_reason)
        try:
            await self._connection.close(code, short_reason)
        except SocketClosed:
            return

    async def stop(self) -> None:
        await self._tasks.stop()

    def _close_with(self, closed: SocketClosed) -> None:
        """Remember how the socket was closed: not the exception, whose traceback refers to this object."""
        self._closed = SocketClosed(closed.code, closed.reason)

    def _check_open(self) -> None:
        if self._closed is not None:
            raise SocketClosed(self._closed.code, self._closed.reason)


def socket_key(socket: Socket) -> bytes | None:
    """Return the API key of a handshake: in a header or the query as in other requests, or in a subprotocol."""
    key = request_key(socket.head.headers, socket.head.query)
    if key is not None:
        return key
    for offered in socket.subprotocols:
        for prefix in _KEY_PROTOCOLS:
            if offered.startswith(prefix):
                encoded: str = offered.removeprefix(prefix)
                return encoded.encode("latin-1", "replace")
    return None


def identify(generation: Generation, socket: Socket, key: bytes | None) -> Identity:
    """Return the caller who opens this socket. Raises `Unauthenticated`, `Forbidden`, `Misdirected`.

    Browsers let every web page open a WebSocket to any address, so the rules for web pages apply to handshakes.
    """
    if generation.browsers is not None:
        head = socket.head
        generation.browsers.check(head.method, head.headers, is_websocket=True, key=key)
    return generation.identify(key)


def chosen_protocol(socket: Socket, known: str) -> str | None:
    """Return `known` if the client offers this subprotocol. Subprotocols that contain a key are never chosen."""
    return known if known in socket.subprotocols else None


def forget_cancellation() -> None:
    """Clear a cancellation that was meant for this socket only."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()
