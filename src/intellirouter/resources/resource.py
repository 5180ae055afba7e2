"""Things with an address of their own: stored responses, files, batches, model lists. Answered whole, no exchange."""

from collections.abc import AsyncIterator
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from intellirouter.core import errors
from intellirouter.governance import Identity
from intellirouter.resources.pages import JSON, Page


class ResourceRequest(Struct, frozen=True, kw_only=True):
    """One request to a resource. The body has been read, within the server's bounds."""

    identity: Identity
    method: str
    path: str
    query: dict[str, str]
    headers: dict[bytes, bytes]
    body: bytes = b""


class Download(Struct, frozen=True, kw_only=True):
    """A page that is sent piece by piece, because it may be large."""

    content_type: bytes
    size_bytes: int
    headers: tuple[tuple[bytes, bytes], ...]
    pieces: AsyncIterator[bytes]
    """Together `size_bytes` long."""


class Resource(Protocol):
    """A family of paths."""

    @property
    def json_paths(self) -> frozenset[str]:
        """Return where a POST must carry a JSON body."""
        ...

    def allowed(self, path: str) -> str:
        """Return the methods that a path takes (`GET, DELETE`), empty when it is none of ours."""
        ...

    async def serve(self, request: ResourceRequest) -> Page | Download:
        """Answer. Raises `GatewayError`."""
        ...


def json_page(document: Any) -> Page:
    return 200, JSON, msgspec.json.encode(document)


def page_size(query: dict[str, str], default: int = 20, most: int = 100) -> int:
    """Read `limit`. Raises `InvalidRequest`."""
    text = query.get("limit") or str(default)
    if not text.isdecimal() or not 1 <= int(text[:9]) <= most:
        raise errors.InvalidRequest(
            f"Invalid 'limit': expected an integer from 1 to {most}.", param="limit", code="invalid_value"
        )
    return int(text)


def is_ascending(query: dict[str, str]) -> bool:
    """Read `order` (`desc` unless asked). Raises `InvalidRequest`."""
    order = query.get("order") or "desc"
    if order not in {"asc", "desc"}:
        raise errors.InvalidRequest("Invalid 'order': expected asc or desc.", param="order", code="invalid_value")
    return order == "asc"
