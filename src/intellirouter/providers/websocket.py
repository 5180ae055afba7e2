"""WebSocket client on top of the `websockets` library. Imported when the first session is opened."""

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from intellirouter.core import SocketClosed, SocketRefusal, errors
from intellirouter.providers.realtime import HandshakeRequest
from intellirouter.providers.transport.tunnel import TunnelRoute, open_tunnel

_MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024
_MAX_ERROR_BYTES: Final = 256 * 1024
_MAX_QUEUED_MESSAGES: Final = 32
_CLOSE_TIMEOUT_S: Final = 2.0
_PING_INTERVAL_S: Final = 20.0


class _Connect(connect):
    """Does not follow redirects, which would send credentials to hosts that are not configured."""

    tunnel: TunnelRoute | None = None

    async def open_tcp_connection(self) -> ClientConnection:
        """Use our own tunnels, so that proxies fail in the same way for all requests."""
        if self.tunnel is None:
            return await super().open_tcp_connection()
        connection = self.factory(self.ws_uri)
        await open_tunnel(asyncio.get_running_loop(), connection, self.tunnel)
        return connection

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def open_socket(handshake: HandshakeRequest, on_closed: Callable[[], None]) -> "Socket | SocketRefusal":
    """Perform the handshake. `on_closed` is called once, after an opened socket has been closed.

    Returns `SocketRefusal` for any HTTP response other than 101. Raises `UpstreamMalformed`, `UpstreamDisconnected`,
    OSError.
    """
    name = handshake.name
    options: dict[str, Any] = {}
    if handshake.tls is not None:
        options["ssl"] = handshake.tls
    if handshake.uds is not None:
        options |= {"unix": True, "path": handshake.uds}
    try:
        connecting = _Connect(
            handshake.uri,
            compression=None,  # audio does not compress, and compressing text costs more time than it saves
            additional_headers=handshake.headers,
            user_agent_header=handshake.user_agent,
            proxy=None,  # only the configuration reads environment variables
            open_timeout=None,
            close_timeout=_CLOSE_TIMEOUT_S,
            ping_interval=_PING_INTERVAL_S,
            ping_timeout=_PING_INTERVAL_S,
            max_size=_MAX_MESSAGE_BYTES,
            max_queue=_MAX_QUEUED_MESSAGES,
            **options,
        )
        connecting.tunnel = handshake.tunnel
        connection = await connecting
    except InvalidStatus as refused:
        response = refused.response
        headers = tuple((key.lower(), value) for key, value in response.headers.raw_items())
        return SocketRefusal(response.status_code, headers, bytes(response.body or b"")[:_MAX_ERROR_BYTES])
    except EOFError as error:
        raise errors.UpstreamDisconnected(
            f"{name}: The upstream closed the connection during the WebSocket handshake."
        ) from error
    except (InvalidHandshake, InvalidURI) as error:
        is_cut = isinstance(error.__cause__, EOFError | ConnectionError)
        kind = errors.UpstreamDisconnected if is_cut else errors.UpstreamMalformed
        raise kind(f"{name}: The WebSocket handshake failed: {error}.") from None
    return Socket(connection, on_closed)


class Socket:
    """Implements `core.FrameSocket`."""

    def __init__(self, connection: ClientConnection, on_closed: Callable[[], None]) -> None:
        self._connection = connection
        self._on_closed: Callable[[], None] | None = on_closed

    async def receive(self) -> str | bytes:
        try:
            return await self._connection.recv()
        except ConnectionClosed as closed:
            raise _closed_error(closed) from None
        except UnicodeDecodeError:
            raise SocketClosed(1007, "text message is not valid UTF-8") from None

    async def send(self, message: str | bytes) -> None:
        try:
            await self._connection.send(message)
        except ConnectionClosed as closed:
            raise _closed_error(closed) from None

    async def close(self, code: int, reason: str = "") -> None:
        """Close the connection. It is aborted when the caller is canceled meanwhile."""
        on_closed, self._on_closed = self._on_closed, None
        try:
            with contextlib.suppress(OSError):
                await self._connection.close(code, reason)
        except asyncio.CancelledError:
            self._connection.transport.abort()
            raise
        finally:
            if on_closed is not None:
                on_closed()


def _closed_error(closed: ConnectionClosed) -> SocketClosed:
    """Return the close code and reason of the upstream or the library; 1006 if the connection ended without a code."""
    if closed.rcvd is not None and closed.rcvd_then_sent is not False:
        return SocketClosed(closed.rcvd.code, closed.rcvd.reason)
    if closed.sent is not None:
        return SocketClosed(closed.sent.code if closed.sent.code != 1000 else 1006, closed.sent.reason)
    return SocketClosed(1006)
