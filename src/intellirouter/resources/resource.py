"""The interface of API resources, such as files and batches. Requests to them are answered without an exchange."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from intellirouter.core import SMALL_BYTES, errors
from intellirouter.governance import Identity
from intellirouter.resources.pages import JSON, Page


class ResourceRequest(Struct, frozen=True, kw_only=True):
    """A request to a resource. The body has been read, within the server's limits."""

    identity: Identity
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[bytes, bytes]
    body: bytes = b""


class Download(Struct, frozen=True, kw_only=True):
    """A response that is sent piece by piece, because it may be large."""

    content_type: bytes
    size_bytes: int
    headers: tuple[tuple[bytes, bytes], ...]
    pieces: AsyncIterator[bytes]
    """The body, `size_bytes` long."""


class Resource(Protocol):
    """Serves a group of paths."""

    @property
    def json_paths(self) -> frozenset[str]:
        """The paths whose POST requests must have a JSON body."""
        ...

    def allowed(self, path: str) -> str:
        """Return the methods that a path supports (`GET, DELETE`); empty if it is not a path of this resource."""
        ...

    async def serve(self, request: ResourceRequest) -> Page | Download:
        """Return the response. Raises `GatewayError`."""
        ...


def check_small(body: bytes) -> None:
    """Raise `BodyTooLarge` for a body that is too large to be decoded on the event loop."""
    if len(body) > SMALL_BYTES:
        raise errors.BodyTooLarge(f"The body of this request is larger than {SMALL_BYTES} bytes.", hint="")


def json_page(document: Any) -> Page:
    return 200, JSON, msgspec.json.encode(document)


def page_size(query: dict[str, str], default: int = 20, maximum: int = 100) -> int:
    """Return the query parameter `limit`. Raises `InvalidRequest`."""
    text = query.get("limit") or str(default)
    if not text.isdecimal() or not 1 <= int(text[:9]) <= maximum:
        raise errors.InvalidRequest(
            f"Invalid 'limit': expected an integer from 1 to {maximum}.", param="limit", code="invalid_value"
        )
    return int(text)


def is_ascending(query: dict[str, str]) -> bool:
    """Return whether the query parameter `order` is `asc`; the default is `desc`. Raises `InvalidRequest`."""
    order = query.get("order") or "desc"
    if order not in {"asc", "desc"}:
        raise errors.InvalidRequest("Invalid 'order': expected 'asc' or 'desc'.", param="order", code="invalid_value")
    return order == "asc"
