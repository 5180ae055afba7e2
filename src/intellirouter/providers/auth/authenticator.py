"""The interface of authenticators, and the request that they sign."""

from typing import Protocol

from msgspec import Struct

Headers = tuple[tuple[str, str], ...]


class SignableRequest(Struct, frozen=True, kw_only=True):
    """A request as it is sent, without the headers that carry the credential."""

    method: str
    host: str
    """Value of the Host header."""
    target: str
    """Path and query, percent-encoded."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    deployment: str
    """Name of the deployment, for error messages."""
    region: str | None = None
    """The configured region, used when the host name does not contain one."""


class Authenticator(Protocol):
    """Turns one credential into request headers."""

    @property
    def static_headers(self) -> Headers | None:
        """Headers that are the same for every request, or None when `headers` must be called for each request."""
        ...

    async def headers(self, request: SignableRequest, /) -> Headers:
        """Return the headers that authenticate this request. Raises `UpstreamError`."""
        ...

    def invalidate(self) -> None:
        """Discard everything derived from the credential: the upstream answered 401."""
        ...
