"""What a signature is made over."""

from typing import Protocol

from msgspec import Struct

Headers = tuple[tuple[str, str], ...]


class Signable(Struct, frozen=True, kw_only=True):
    """One request as it goes on the wire, without its credential."""

    method: str
    host: str
    """As in the Host header."""
    target: str
    """Path and query, percent-encoded."""
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes
    deployment: str
    """For error messages."""
    region: str | None = None
    """As configured; used where the host does not say it."""


class Presenter(Protocol):
    """Presents one credential. `fixed` is asked first; `headers` only where there is nothing fixed."""

    @property
    def fixed(self) -> Headers | None:
        """Headers that are the same for every request; None: they must be made for each."""
        ...

    async def headers(self, request: Signable, /) -> Headers:
        """Return the credential's headers for this request. Raises `UpstreamError`."""
        ...

    def refused(self) -> None:
        """The upstream answered 401: what was derived from the credential is not to be used again."""
        ...
