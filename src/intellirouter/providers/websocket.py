"""The client side of a WebSocket, by the `websockets` library. Loaded when the first session is opened."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from intellirouter.core import SocketClosed, SocketRefusal, errors
from intellirouter.providers.realtime import Handshake

_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_MAX_ERROR_BYTES: Final = 256 * 1024
_QUEUED_MESSAGES: Final = 32
_CLOSE_S: Final = 2.0
_PING_S: Final = 20.0


class _Connect(connect):
    """Follows no redirects: they would carry credentials to addresses that the operator has not named."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_socket(handshake: Handshake, on_closed: Callable[[], None]) -> "Socket | SocketRefusal":
    """Shake hands. `on_closed` is called once, when an opened socket is done with.

    Raises `UpstreamMalformed` for what is no WebSocket, OSError.
    """
    name = handshake.name
    options: dict[str, Any] = {}
    if handshake.tls is not None:
        options["ssl"] = handshake.tls
    if handshake.uds is not None:
        options |= {"unix": True, "path": handshake.uds}
    try:
        link = await _Connect(
            handshake.uri,
            compression=None,  # sound does not shrink, and shrinking text costs more than it spares here
            additional_headers=handshake.headers,
            user_agent_header=handshake.user_agent,
            proxy=None,  # the environment is read by the configuration only
            open_timeout=None,
            close_timeout=_CLOSE_S,
            ping_interval=_PING_S,
            ping_timeout=_PING_S,
            max_size=_MAX_MESSAGE_BYTES,
            max_queue=_QUEUED_MESSAGES,
            **options,
        )
    except InvalidStatus as refused:
        response = refused.response
        said = tuple((key.lower(), value) for key, value in response.headers.raw_items())
        return SocketRefusal(response.status_code, said, bytes(response.body or b"")[:_MAX_ERROR_BYTES])
    except EOFError as error:
        raise errors.UpstreamDisconnected(f"{name}: the connection was cut during the handshake.") from error
    except (InvalidHandshake, InvalidURI) as error:
        cut = isinstance(error.__cause__, EOFError | ConnectionError)
        kind = errors.UpstreamDisconnected if cut else errors.UpstreamMalformed
        raise kind(f"{name}: the WebSocket handshake failed: {error}") from None
    return Socket(link, on_closed)


class Socket:
    """Implements `core.FrameSocket`."""

    def __init__(self, link: ClientConnection, on_closed: Callable[[], None]) -> None:
        self._link = link
        self._on_closed: Callable[[], None] | None = on_closed

    async def receive(self) -> str | bytes:
        try:
            return await self._link.recv()
        except ConnectionClosed as closed:
            raise _ending(closed) from None
        except UnicodeDecodeError:
            raise SocketClosed(1007, "a text message that is not UTF-8") from None

    async def send(self, message: str | bytes) -> None:
        try:
            await self._link.send(message)
        except ConnectionClosed as closed:
            raise _ending(closed) from None

    async def close(self, code: int, reason: str = "") -> None:
        """Close it. When the caller is cancelled meanwhile, the connection is cut."""
        done, self._on_closed = self._on_closed, None
        try:
            with contextlib.suppress(OSError):
                await self._link.close(code, reason)
        except asyncio.CancelledError:
            self._link.transport.abort()
            raise
        finally:
            if done is not None:
                done()


def _ending(closed: ConnectionClosed) -> SocketClosed:
    """What the other side said, or what the library found wrong with it; 1006 where it said nothing."""
    if closed.rcvd is not None and closed.rcvd_then_sent is not False:
        return SocketClosed(closed.rcvd.code, closed.rcvd.reason)
    if closed.sent is not None:
        return SocketClosed(closed.sent.code if closed.sent.code != 1000 else 1006, closed.sent.reason)
    return SocketClosed(1006)
