"""One client's WebSocket, as ASGI gives it: the handshake, whole messages, the close. And what every handshake says."""

import asyncio
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlsplit

from intellirouter.core import SocketClosed, TaskOwner, errors
from intellirouter.dialects import ErrorStyle
from intellirouter.gateway.asgi import Message, Receive, Scope, Send
from intellirouter.gateway.credentials import presented_key
from intellirouter.governance import Identity
from intellirouter.pipeline import Generation, Headers
from intellirouter.resources import JSON

_KEY_PROTOCOLS: Final = ("openai-insecure-api-key.", "intellirouter-key.")
"""How a browser presents a key: its WebSockets cannot send headers of their own."""
_MAX_REASON_BYTES: Final = 123


class Socket:
    """Implements `core.FrameSocket` for a client. Nothing is accepted before `accept`."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.scope = scope
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.is_accepted = False
        self._receive = receive
        self._send = send
        self._closed: SocketClosed | None = None
        self._tasks = TaskOwner("socket")
        self._early: asyncio.Task[Message] | None = None

    @property
    def is_closed(self) -> bool:
        return self._closed is not None

    def watch(self, on_gone: Callable[[], None]) -> None:
        """Call `on_gone` if the client leaves before it has been accepted. The next `receive` takes over."""
        self._early = self._tasks.start(self._next(), "handshake", is_awaited=True)
        self._early.add_done_callback(lambda _: None if self.is_accepted or self.is_closed else on_gone())

    async def accept(self, headers: Headers, subprotocol: str | None) -> None:
        """Raises `SocketClosed`."""
        await self._tell({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers})
        self.is_accepted = True

    async def refuse(self, error: errors.GatewayError, headers: Headers, style: ErrorStyle) -> None:
        """Answer the handshake with an HTTP error. Harmless when the client has left."""
        body = style.encode(error)
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % max(1, round(error.retry_after_s))))
        headers += ((b"content-type", JSON), (b"content-length", b"%d" % len(body)))
        start = {"type": "websocket.http.response.start", "status": style.status(error), "headers": headers}
        try:
            await self._tell(start)
            await self._tell({"type": "websocket.http.response.body", "body": body})
        except SocketClosed:
            return
        self._closed = SocketClosed(1006)

    async def receive(self) -> str | bytes:
        if self._closed is not None:
            raise self._closed
        if self._early is None:
            message = await self._receive()
        else:
            message = await self._early
            self._early = None
        if message["type"] == "websocket.disconnect":
            self._closed = SocketClosed(message.get("code", 1005), message.get("reason") or "")
            raise self._closed
        text: str | None = message.get("text")
        content: bytes = message.get("bytes") or b""
        return content if text is None else text

    async def send(self, message: str | bytes) -> None:
        if isinstance(message, str):
            await self._tell({"type": "websocket.send", "text": message})
        else:
            await self._tell({"type": "websocket.send", "bytes": message})

    async def close(self, code: int, reason: str = "") -> None:
        if self._closed is not None:
            return
        said = reason.encode()[:_MAX_REASON_BYTES].decode(errors="ignore")
        try:
            await self._tell({"type": "websocket.close", "code": code, "reason": said})
        except SocketClosed:
            return
        self._closed = SocketClosed(code, said)

    async def stop(self) -> None:
        await self._tasks.stop()

    async def _next(self) -> Message:
        return await self._receive()

    async def _tell(self, message: dict[str, Any]) -> None:
        if self._closed is not None:
            raise self._closed
        try:
            await self._send(message)
        except OSError:  # how the server says that nobody is there any more
            self._closed = SocketClosed(1006)
            raise self._closed from None


def socket_key(socket: Socket) -> bytes | None:
    """Return the key a handshake presents: as requests do, or as a subprotocol, which is what browsers can do."""
    key = presented_key(socket.headers, socket.scope)
    if key is not None:
        return key
    for offered in socket.scope["subprotocols"]:
        for prefix in _KEY_PROTOCOLS:
            if offered.startswith(prefix):
                named: str = offered.removeprefix(prefix)
                return named.encode("latin-1", "replace")
    return None


def identify(generation: Generation, socket: Socket, key: bytes | None) -> Identity:
    """Return who opens this socket. Raises `Unauthenticated`, `Forbidden`.

    Browsers let any page open a socket anywhere. Where no key is asked for, pages of other origins are refused:
    otherwise whoever makes the owner of this machine look at a page could use the gateway.
    """
    identity = generation.identify(key)
    origin = socket.headers.get(b"origin")
    if identity.key_name is None and origin is not None and not _is_own(origin, socket.headers.get(b"host", b"")):
        raise errors.Forbidden(
            "Pages of other origins may not open sockets on a gateway that asks for no key.",
            hint="Set auth.required and give the page a key.",
        )
    return identity


def chosen_protocol(socket: Socket, known: str) -> str | None:
    """Return which of the offered subprotocols is spoken. Never one that holds a key."""
    return known if known in socket.scope["subprotocols"] else None


def forget_cancellation() -> None:
    """The cancellation was for this socket, because the client has left or we are stopping; it ends here."""
    if (task := asyncio.current_task()) is not None:
        task.uncancel()


def _is_own(origin: bytes, host: bytes) -> bool:
    return urlsplit(origin.decode("latin-1")).netloc.lower() == host.decode("latin-1").lower()
