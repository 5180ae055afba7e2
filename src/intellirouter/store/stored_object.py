"""Stored objects and their ids, which `objects` and `object_queries` share."""

from typing import Final

from msgspec import Struct

MAX_OBJECTS_PER_PAGE: Final = 1000


def part_id(owner: str, number: int) -> str:
    """Return the id of a part. Parts sort by number and are found by the id of their owner."""
    return f"{owner}.{number:08d}"


class StoredObject(Struct, frozen=True, kw_only=True):
    """One object. `meta` is a small JSON document that lists contain; `content` may be large."""

    kind: str
    """`response`, `file`, `batch`, …"""
    id: str
    """Ids of one kind sort by time."""
    tenant: str
    created_us: int
    expires_us: int | None = None
    """Expires at this time. None means that the object is kept until it is deleted."""
    status: str = ""
    parent: str = ""
    """The object that this one belongs to, and with which it is deleted. It may be of any kind."""
    meta: bytes = b"{}"
    content: bytes | None = None
    """Always None in lists."""
