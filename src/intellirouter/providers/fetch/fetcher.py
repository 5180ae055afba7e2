"""Fetches one URL: resolves the host name, checks the addresses, and connects to an address that was checked.

The name is resolved only once, so that a second DNS answer cannot lead elsewhere. Redirects are checked by the same
rules. Every failure is an `InvalidRequest`, because the URL comes from the client.

A proxy of the environment gets the checked address, too, so that it cannot resolve the name to another one. Only names
that the operator has allowed are resolved by the proxy.
"""

import asyncio
import logging
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct

from intellirouter.core import DIRECT, SYSTEM_TRUST, Proxy, ProxyRules, TrustFiles, errors
from intellirouter.providers.fetch.guard import AddressGuard
from intellirouter.providers.transport import Connection, HttpResponse, TlsContexts, TunnelRoute, open_tunnel

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Takes host and port, returns addresses. Raises OSError."""

_MAX_REDIRECTS: Final = 3
_MAX_URL_CHARS: Final = 8192
_MAX_ADDRESSES: Final = 3
_MAX_CONCURRENT: Final = 32
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}
_SAFE_IN_TARGET: Final = "/?&=%:@!$'()*+,;~-._[]|"

logger = logging.getLogger(__name__)


class _ParsedUrl(Struct, frozen=True):
    """The parts of a URL that has passed the checks of `_parse`."""

    url: str
    host: str
    port: int
    is_tls: bool
    target: str

    @property
    def scheme(self) -> str:
        return "https" if self.is_tls else "http"

    def head(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        is_default_port = self.port == _PORTS[self.scheme]
        lines = (
            f"GET {self.target} HTTP/1.1",
            f"host: {host if is_default_port else f'{host}:{self.port}'}",
            "accept: */*",
            "accept-encoding: identity",
            "user-agent: intellirouter",
            "connection: close",
            "content-length: ",
        )
        return "\r\n".join(lines).encode("ascii")


class UrlFetcher:
    """Implements `core.Fetcher`. Belongs to one event loop."""

    def __init__(
        self,
        allowed: Sequence[str] = (),
        *,
        resolve: Resolve | None = None,
        proxies: ProxyRules = DIRECT,
        trust: TrustFiles = SYSTEM_TRUST,
    ) -> None:
        """`allowed`: hosts, addresses and networks beyond the public internet. `resolve` replaces the resolver."""
        self._guard = AddressGuard(allowed)
        self._resolve = resolve or _system_resolve
        self._proxies = proxies
        self._tls = TlsContexts(trust)
        self._slots = asyncio.Semaphore(_MAX_CONCURRENT)

    async def fetch(
        self, url: str, *, limit_bytes: int, deadline_s: float, types: Sequence[str] = ()
    ) -> tuple[str, bytes]:
        """Return the media type and the content.

        `types` are the accepted media types, where `image/` means any image; empty accepts all. Raises `InvalidRequest`
        with a message for the author of the URL, whatever fails.
        """
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                parsed = _parse(url)
                for _ in range(_MAX_REDIRECTS + 1):
                    result = await self._get(parsed, limit_bytes, types)
                    if not isinstance(result, str):
                        return result
                    parsed = _parse(_redirect_url(parsed, result))
        except TimeoutError:
            raise _fetch_error(url, f"It did not arrive within {deadline_s:g} s.") from None
        raise _fetch_error(url, f"It redirects more than {_MAX_REDIRECTS} times.")

    async def _get(self, parsed: _ParsedUrl, limit_bytes: int, types: Sequence[str]) -> tuple[str, bytes] | str:
        """Return media type and content, or the location of a redirect."""
        connection = await self._connect(parsed)
        try:
            connection.send_request(parsed.head(), b"")
            while not connection.has_headers:
                await connection.wait()
            response = HttpResponse(connection, asyncio.get_running_loop(), float("inf"))
            headers = dict(response.headers)
            if response.status in _REDIRECTS and "location" in headers:
                return headers["location"]
            media_type = _check_response(parsed.url, response.status, headers, limit_bytes, types)
            return media_type, await _read(parsed.url, response, limit_bytes)
        except errors.UpstreamMalformed:
            raise _fetch_error(parsed.url, "The response is not valid HTTP.") from None
        except errors.UpstreamError:
            raise _fetch_error(parsed.url, "The connection was closed early.") from None
        finally:
            connection.close()

    async def _connect(self, parsed: _ParsedUrl) -> Connection:
        try:
            context = self._tls.get(None) if parsed.is_tls else None
        except errors.UpstreamConnectFailed as error:
            logger.warning("URLs in requests cannot be fetched. %s", error.full_message)
            raise _fetch_error(parsed.url, "The gateway cannot load its certificate authorities.") from None
        proxy = self._proxies.proxy_for(parsed.scheme, parsed.host, parsed.port)
        targets: list[tuple[str, Proxy | None]]
        if proxy is not None and self._guard.allows_host(parsed.host):
            targets = [(parsed.host, proxy)]
        else:
            targets = [(each, proxy and self._proxy_for(parsed, each)) for each in await self._addresses(parsed)]
        failure: Exception | None = None
        for target, through in targets[:_MAX_ADDRESSES]:
            try:
                return await self._open(parsed, target, context, through)
            except ssl.SSLError:
                raise _fetch_error(parsed.url, "Its TLS certificate is not valid.") from None
            except (OSError, errors.UpstreamConnectFailed) as error:
                failure = error
        if isinstance(failure, errors.UpstreamConnectFailed):
            logger.warning("A URL in a request could not be fetched. %s", failure.full_message)
            raise _fetch_error(parsed.url, "The proxy of the gateway did not connect to its server.") from failure
        raise _fetch_error(parsed.url, "Its server cannot be reached.") from failure

    def _proxy_for(self, parsed: _ParsedUrl, address: str) -> Proxy | None:
        """Return the proxy for an address: also the address may be one that is reached without a proxy."""
        return self._proxies.proxy_for(parsed.scheme, address, parsed.port)

    async def _open(
        self, parsed: _ParsedUrl, target: str, context: ssl.SSLContext | None, proxy: Proxy | None
    ) -> Connection:
        loop = asyncio.get_running_loop()
        connection = Connection(loop, Connection.close, lambda _: None)
        server_name = parsed.host if context is not None else None
        if proxy is None:
            await loop.create_connection(
                lambda: connection, target, parsed.port, ssl=context, server_hostname=server_name
            )
        else:
            route = TunnelRoute(
                proxy=proxy,
                host=target,
                port=parsed.port,
                proxy_tls=self._tls.get(None) if proxy.is_tls else None,
                tls=context,
                server_name=server_name,
            )
            await open_tunnel(loop, connection, route)
        return connection

    async def _addresses(self, parsed: _ParsedUrl) -> list[str]:
        """Resolve the host. A single address that is not allowed is enough to refuse all of them."""
        try:
            addresses = await self._resolve(parsed.host, parsed.port)
        except (OSError, UnicodeError):
            raise _fetch_error(parsed.url, "Its host name cannot be resolved.") from None
        if not self._guard.allows_host(parsed.host) and not all(map(self._guard.allows_address, addresses)):
            raise _fetch_error(
                parsed.url,
                "Its host is not on the public internet.",
                hint="The operator can allow it with server.fetch_allow.",
            )
        return addresses


async def _read(url: str, response: HttpResponse, limit_bytes: int) -> bytes:
    response.content_began()
    parts: list[bytes] = []
    size = 0
    while chunk := await response.next_chunk():
        size += len(chunk)
        if size > limit_bytes:
            raise _too_large(url, limit_bytes)
        parts.append(chunk)
    return b"".join(parts)


async def _system_resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _parse(url: str) -> _ParsedUrl:
    if len(url) > _MAX_URL_CHARS:
        raise _fetch_error(url, f"It is longer than {_MAX_URL_CHARS} characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if ":" not in (parts.hostname or "") else parts.hostname
    except (ValueError, UnicodeError):
        raise _fetch_error(url, "It is not a valid URL.") from None
    if parts.scheme not in _PORTS:
        raise _fetch_error(url, "Only http:// and https:// URLs are fetched.")
    if not host or port == 0:
        raise _fetch_error(url, "It does not contain a host.")
    if parts.username is not None or parts.password is not None:
        raise _fetch_error(url, "It contains a user name or a password.")
    path = quote(parts.path or "/", safe=_SAFE_IN_TARGET)
    query = f"?{quote(parts.query, safe=_SAFE_IN_TARGET)}" if parts.query else ""
    is_tls = parts.scheme == "https"
    return _ParsedUrl(url, host, port or _PORTS[parts.scheme], is_tls, path + query)


def _redirect_url(parsed: _ParsedUrl, location: str) -> str:
    try:
        return urljoin(parsed.url, location)
    except ValueError:
        raise _fetch_error(parsed.url, "It redirects to an invalid URL.") from None


def _check_response(url: str, status: int, headers: dict[str, str], limit_bytes: int, types: Sequence[str]) -> str:
    """Return the media type of a response whose body may be read."""
    if status != 200:
        raise _fetch_error(url, f"The server responded with status {status}.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _fetch_error(url, "The server compressed the response, which was not requested.")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit_bytes:
        raise _too_large(url, limit_bytes)
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if types and not any(media_type == each or (each.endswith("/") and media_type.startswith(each)) for each in types):
        shown = media_type[:100] or "not stated"
        raise _fetch_error(url, f"Its media type is {shown}; expected {', '.join(types)}.")
    return media_type


def _too_large(url: str, limit_bytes: int) -> errors.InvalidRequest:
    return _fetch_error(url, f"It is larger than {limit_bytes} bytes.")


def _fetch_error(
    url: str, reason: str, *, hint: str = "Send the content itself as a data: URL."
) -> errors.InvalidRequest:
    scheme, slashes, rest = url.partition("?")[0].partition("://")
    authority, slash, path = rest.partition("/")
    without_credentials = f"{scheme}{slashes}{authority.rpartition('@')[2]}{slash}{path}"
    shown = "".join(char for char in without_credentials[:200] if char.isprintable())
    return errors.InvalidRequest(f"The URL {shown} cannot be fetched. {reason}", code="invalid_url", hint=hint)
