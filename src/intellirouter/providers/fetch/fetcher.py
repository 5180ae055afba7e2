"""Gets one URL: resolves the name itself, checks where it leads, and connects to the address that was checked.

Between check and connection the name is not asked again, so that it cannot change its mind. Redirects are followed
by the same rules. What is wrong is the client's to know: every failure is an `InvalidRequest`.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from typing import Final
from urllib.parse import quote, urljoin, urlsplit

from msgspec import Struct

from intellirouter.core import errors
from intellirouter.providers.fetch.guard import AddressGuard
from intellirouter.providers.transport import Connection, HttpResponse

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Takes host and port, returns addresses. Raises OSError."""

_MAX_REDIRECTS: Final = 3
_MAX_URL_CHARS: Final = 8192
_MAX_ADDRESSES: Final = 3
_MAX_AT_ONCE: Final = 32
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PORTS: Final = {"http": 80, "https": 443}
_IN_A_TARGET: Final = "/?&=%:@!$'()*+,;~-._[]|"


class _Place(Struct, frozen=True):
    """A URL, taken apart."""

    url: str
    host: str
    port: int
    is_tls: bool
    target: str

    def head(self) -> bytes:
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _PORTS["https" if self.is_tls else "http"]
        lines = (
            f"GET {self.target} HTTP/1.1",
            f"host: {host if usual else f'{host}:{self.port}'}",
            "accept: */*",
            "accept-encoding: identity",
            "user-agent: intellirouter",
            "connection: close",
            "content-length: ",
        )
        return "\r\n".join(lines).encode("ascii")


class UrlFetcher:
    """Implements `core.Fetcher`. Lives on one event loop."""

    def __init__(self, allowed: Sequence[str] = (), *, resolve: Resolve | None = None) -> None:
        """`allowed`: hosts, addresses and networks beyond the public internet. `resolve` replaces the system's."""
        self._guard = AddressGuard(allowed)
        self._resolve = resolve or _system_resolve
        self._tls: ssl.SSLContext | None = None
        self._slots = asyncio.Semaphore(_MAX_AT_ONCE)

    async def fetch(
        self, url: str, *, limit_bytes: int, deadline_s: float, types: Sequence[str] = ()
    ) -> tuple[str, bytes]:
        """Return media type and content. `types` are those accepted, `image/` standing for all images; empty: any.

        Raises `InvalidRequest` for whatever goes wrong, in words for whoever wrote the URL.
        """
        try:
            async with asyncio.timeout(deadline_s), self._slots:
                place = _parse(url)
                for _ in range(_MAX_REDIRECTS + 1):
                    answer = await self._get(place, limit_bytes, types)
                    if not isinstance(answer, str):
                        return answer
                    place = _parse(_joined(place, answer))
        except TimeoutError:
            raise _refused(url, f"it did not arrive within {deadline_s:g} s") from None
        raise _refused(url, f"it redirects more than {_MAX_REDIRECTS} times")

    async def _get(self, place: _Place, limit_bytes: int, types: Sequence[str]) -> tuple[str, bytes] | str:
        """Return type and content, or where the answer redirects to."""
        connection = await self._connect(place)
        try:
            connection.begin(place.head(), b"")
            while not connection.has_headers:
                await connection.wait()
            response = HttpResponse(connection, asyncio.get_running_loop(), float("inf"))
            headers = dict(response.headers)
            if response.status in _REDIRECTS and "location" in headers:
                return headers["location"]
            media_type = _check(place.url, response.status, headers, limit_bytes, types)
            return media_type, await response.read(limit_bytes)
        except errors.UpstreamMalformed as error:
            is_large = "larger than" in error.message
            raise _refused(place.url, _too_large(limit_bytes) if is_large else "the answer is not HTTP") from None
        except errors.UpstreamError:
            raise _refused(place.url, "the connection was cut") from None
        finally:
            connection.close()

    async def _connect(self, place: _Place) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._trust() if place.is_tls else None
        problem: Exception | None = None
        for address in (await self._addresses(place))[:_MAX_ADDRESSES]:
            connection = Connection(loop, Connection.close, lambda _: None)
            try:
                await loop.create_connection(
                    lambda made=connection: made,
                    address,
                    place.port,
                    ssl=context,
                    server_hostname=place.host if context is not None else None,
                )
            except ssl.SSLError:
                raise _refused(place.url, "its TLS certificate is not valid") from None
            except OSError as error:
                problem = error
            else:
                return connection
        raise _refused(place.url, "nothing answers there") from problem

    async def _addresses(self, place: _Place) -> list[str]:
        """Resolve the host. One address that is not allowed is enough to refuse them all."""
        try:
            addresses = await self._resolve(place.host, place.port)
        except (OSError, UnicodeError):
            raise _refused(place.url, "its host is not known") from None
        if not self._guard.allows_host(place.host) and not all(map(self._guard.allows_address, addresses)):
            raise _refused(
                place.url,
                "its host is not on the public internet",
                hint="The operator may allow it: server.fetch_allow.",
            )
        return addresses

    def _trust(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
        return self._tls


async def _system_resolve(host: str, port: int) -> list[str]:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


def _parse(url: str) -> _Place:
    if len(url) > _MAX_URL_CHARS:
        raise _refused(url, f"it is longer than {_MAX_URL_CHARS} characters")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode() if ":" not in (parts.hostname or "") else parts.hostname
    except (ValueError, UnicodeError):
        raise _refused(url, "it is not a URL") from None
    if parts.scheme not in _PORTS:
        raise _refused(url, "only http:// and https:// are fetched")
    if not host or port == 0:
        raise _refused(url, "it names no host")
    if parts.username is not None or parts.password is not None:
        raise _refused(url, "it holds a user or a password")
    path = quote(parts.path or "/", safe=_IN_A_TARGET)
    query = f"?{quote(parts.query, safe=_IN_A_TARGET)}" if parts.query else ""
    is_tls = parts.scheme == "https"
    return _Place(url, host, port or _PORTS[parts.scheme], is_tls, path + query)


def _joined(place: _Place, location: str) -> str:
    try:
        return urljoin(place.url, location)
    except ValueError:
        raise _refused(place.url, "it redirects to what is not a URL") from None


def _check(url: str, status: int, headers: dict[str, str], limit_bytes: int, types: Sequence[str]) -> str:
    """Return the media type of an answer that may be read."""
    if status != 200:
        raise _refused(url, f"its server answered {status}")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise _refused(url, "its server compresses what was not to be compressed")
    length = headers.get("content-length", "")
    if length.isdecimal() and int(length[:20]) > limit_bytes:
        raise _refused(url, _too_large(limit_bytes))
    media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
    if types and not any(media_type == each or (each.endswith("/") and media_type.startswith(each)) for each in types):
        raise _refused(url, f"its type is {media_type[:100] or 'not stated'}; expected {', '.join(types)}")
    return media_type


def _too_large(limit_bytes: int) -> str:
    return f"it is larger than {limit_bytes} bytes"


def _refused(url: str, reason: str, *, hint: str = "Send the content itself, as a data: URL.") -> errors.InvalidRequest:
    scheme, slashes, rest = url.partition("?")[0].partition("://")
    place, slash, path = rest.partition("/")
    plain = f"{scheme}{slashes}{place.rpartition('@')[2]}{slash}{path}"  # credentials are not repeated
    shown = "".join(char for char in plain[:200] if char.isprintable())
    return errors.InvalidRequest(f"The URL {shown} cannot be fetched: {reason}.", code="invalid_url", hint=hint)
