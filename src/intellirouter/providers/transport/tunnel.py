"""Connections through HTTP proxies: CONNECT tunnels, and plain connections for requests that the proxy forwards."""

import asyncio
import os
import re
import socket
import ssl
from collections.abc import Awaitable
from typing import Final

from msgspec import Struct

from intellirouter.core import Proxy, errors, format_authority

_MAX_HEAD_BYTES: Final = 16 * 1024
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_HEAD_END: Final = re.compile(rb"\r?\n\r?\n")
_AUTHENTICATION_REQUIRED: Final = 407
_TRANSIENT: Final = frozenset({408, 425, 429})
"""Statuses below 500 after which the same request can succeed later."""
_UNUSABLE_HINT: Final = "Change the variable, or set the provider's `proxy`."


class TunnelRoute(Struct, frozen=True, kw_only=True):
    """Where a tunnel leads, and how both of its ends are secured."""

    proxy: Proxy
    host: str
    port: int
    proxy_tls: ssl.SSLContext | None
    """For proxies that are reached over TLS."""
    tls: ssl.SSLContext | None
    """For the connection to the host itself."""
    server_name: str | None = None
    """The name in the host's certificate, if it is not `host`."""

    def __str__(self) -> str:
        return format_authority(self.host, self.port)


async def open_tunnel(loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, route: TunnelRoute) -> None:
    """Connect `protocol` to the host of the route. Canceling it closes the connection to the proxy.

    Raises `ProxyFailed`, and OSError (which includes SSLError) for the connection to the host inside of the tunnel.
    """
    handshake = _Handshake(loop, route)
    transport = await connect_to_proxy(loop, handshake, route.proxy, route.proxy_tls)
    try:
        transport.write(_connect_request(route))
        await handshake.answered
        if route.tls is None:
            transport.set_protocol(protocol)
        else:
            server_name = route.server_name or route.host
            transport = await _secured(loop.start_tls(transport, protocol, route.tls, server_hostname=server_name))
        protocol.connection_made(transport)
    except BaseException:
        transport.abort()
        raise


async def _secured(handshake: Awaitable[asyncio.Transport | None]) -> asyncio.Transport:
    transport = await handshake
    if transport is None:
        raise ConnectionResetError("The connection was closed during the TLS handshake.")
    return transport


async def connect_to_proxy(
    loop: asyncio.AbstractEventLoop, protocol: asyncio.BaseProtocol, proxy: Proxy, tls: ssl.SSLContext | None
) -> asyncio.Transport:
    """Connect `protocol` to the proxy itself. Raises `ProxyFailed`."""
    if proxy.problem:
        raise errors.ProxyRefused(f"The proxy {proxy} cannot be used. {proxy.problem}", hint=_UNUSABLE_HINT)
    try:
        transport, _ = await loop.create_connection(lambda: protocol, proxy.host, proxy.port, ssl=tls)
    except ssl.SSLError as error:
        hint = "If the proxy is reached without TLS, write its URL with http://."
        raise errors.ProxyFailed(f"The TLS handshake with the proxy {proxy} failed: {error}.", hint=hint) from None
    except (OSError, UnicodeError) as error:
        raise errors.ProxyFailed(
            f"Cannot connect to the proxy {proxy}: {os_reason(error)}.",
            hint="Check that the proxy is running and that its URL is correct.",
        ) from None
    sock = transport.get_extra_info("socket")
    if sock is not None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return transport


def os_reason(error: OSError | UnicodeError) -> str:
    """Return why a connection could not be opened, without the address, which the event loop adds."""
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def refusal(proxy: Proxy, status: int, target: str) -> errors.ProxyFailed:
    """Return the error for a status with which a proxy answers instead of the host."""
    if status == _AUTHENTICATION_REQUIRED:
        if proxy.login is None:
            return errors.ProxyRefused(
                f"The proxy {proxy} requires a user name and a password (status 407).",
                hint="Add them to the proxy's URL: `http://USER:PASSWORD@HOST:PORT`.",
            )
        return errors.ProxyRefused(f"The proxy {proxy} rejected the user name or the password (status 407).")
    if status < 500 and status not in _TRANSIENT:
        return errors.ProxyRefused(f"The proxy {proxy} refused to connect to {target} (status {status}).")
    return errors.ProxyFailed(
        f"The proxy {proxy} could not connect to {target} (status {status}).",
        hint="Check that the proxy can reach the provider's base_url.",
    )


def _connect_request(route: TunnelRoute) -> bytes:
    host = route.host if ":" in route.host else route.host.encode("idna").decode()
    authority = format_authority(host, route.port)
    lines = [f"CONNECT {authority} HTTP/1.1", f"host: {authority}", "user-agent: intellirouter"]
    if (authorization := route.proxy.authorization) is not None:
        lines.append(f"proxy-authorization: {authorization}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


class _Handshake(asyncio.Protocol):
    """Reads the proxy's response to CONNECT, up to the end of its head."""

    def __init__(self, loop: asyncio.AbstractEventLoop, route: TunnelRoute) -> None:
        self.answered: asyncio.Future[None] = loop.create_future()
        self._route = route
        self._received = b""

    def data_received(self, data: bytes) -> None:
        if self.answered.done():
            return
        self._received += data
        while (end := _HEAD_END.search(self._received)) is not None:
            status = _STATUS_LINE.match(self._received)
            if status is None:
                break
            code, rest = int(status[1]), self._received[end.end() :]
            if 100 <= code < 200:
                self._received = rest
                continue
            self._finish(code, rest)
            return
        if end is not None or not _may_be_http(self._received):
            self._fail("sent a response that is not valid HTTP")
        elif len(self._received) > _MAX_HEAD_BYTES:
            self._fail(f"sent more than {_MAX_HEAD_BYTES} bytes of headers")

    def eof_received(self) -> None:
        self._fail("closed the connection without answering")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the message is the same
        self._fail("closed the connection without answering")

    def _finish(self, status: int, rest: bytes) -> None:
        proxy, target = self._route.proxy, str(self._route)
        if not 200 <= status < 300:
            self.answered.set_exception(refusal(proxy, status, target))
        elif rest:
            self._fail("sent data before the tunnel was used")
        else:
            self.answered.set_result(None)

    def _fail(self, what: str) -> None:
        if not self.answered.done():
            error = errors.ProxyFailed(
                f"The proxy {self._route.proxy} {what}.", hint="Check that the proxy's URL leads to an HTTP proxy."
            )
            self.answered.set_exception(error)


def _may_be_http(received: bytes) -> bool:
    return received[:5] == b"HTTP/"[: len(received[:5])]
