"""Objects that clients leave with the gateway and come back for: stored responses, files, batches.

Every object belongs to one tenant; nobody else can read, list or delete it. For worker threads: every call does
blocking I/O. SQLAlchemy is imported on the first call, not with this module: see `drain`.
"""

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.location import database_path

if TYPE_CHECKING:
    from intellirouter.store.object_queries import ObjectQueries

MAX_OBJECTS_PER_PAGE: Final = 1000


def part_id(owner: str, number: int) -> str:
    """Return the id of an object's n-th part: parts sort by number, and are found by their owner's id."""
    return f"{owner}.{number:08d}"


class StoredObject(Struct, frozen=True, kw_only=True):
    """One object. `meta` is small JSON that is listed; `content` is whatever goes with it, and may be large."""

    kind: str
    """`response`, `file`, `batch`, …"""
    id: str
    """Sorts by time within a kind."""
    tenant: str
    created_us: int
    expires_us: int | None = None
    """Gone from then on; None = kept until it is deleted."""
    status: str = ""
    parent: str = ""
    """The object it belongs to, of any kind; deleted with it."""
    meta: bytes = b"{}"
    content: bytes | None = None
    """None in lists."""


class ObjectStore:
    """Thread-safe. Every method raises StoreUnavailable when the database cannot be used now."""

    def __init__(self, url: str, why_unavailable: Callable[[], str | None]) -> None:
        """`why_unavailable` is asked before every call; what it returns is the reason to refuse it."""
        self._url = url
        self._why_unavailable = why_unavailable
        self._opening = threading.Lock()
        self._queries: ObjectQueries | None = None

    def put(self, stored: StoredObject) -> None:
        """Create it, or replace status, expiry, meta and content of the one with this kind, id and tenant."""
        self._open().put(stored)

    def put_all(self, several: Sequence[StoredObject]) -> None:
        """`put` in one transaction: all of it is stored, or nothing."""
        self._open().put_all(several)

    def get(self, kind: str, object_id: str, tenant: str, now_us: int) -> StoredObject | None:
        """Return it whole; None when there is none, it has expired, or it is another tenant's."""
        return self._open().get(kind, object_id, tenant, now_us)

    def page(
        self, kind: str, tenant: str, now_us: int, *, limit: int = 100, after: str = "", is_ascending: bool = False
    ) -> list[StoredObject]:
        """Return up to `limit` objects without content, newest first unless asked otherwise, after the id `after`."""
        limit = max(1, min(limit, MAX_OBJECTS_PER_PAGE))
        return self._open().page(kind, tenant, now_us, limit, after, is_ascending=is_ascending)

    def children(self, kind: str, parent: str, tenant: str) -> list[StoredObject]:
        """Return all objects of `kind` that belong to `parent`, whole, in the order of their ids."""
        return self._open().children(kind, parent, tenant)

    def parts(self, kind: str, owner: str, tenant: str, after: str, max_bytes: int) -> list[StoredObject]:
        """Return the next parts (see `part_id`) after the id `after`, whole, in order; empty at the end.

        At least one, and no more once `max_bytes` of content have been read.
        """
        return self._open().parts(kind, owner, tenant, after, max_bytes)

    def part_marks(self, kind: str, owner: str, tenant: str, after: str) -> list[StoredObject]:
        """Return the next `MAX_OBJECTS_PER_PAGE` parts after the id `after`, without content."""
        return self._open().part_marks(kind, owner, tenant, after)

    def delete_parts(self, kind: str, owner: str, tenant: str, limit: int) -> int:
        """Delete up to `limit` parts; return how many there were. 0 = none is left."""
        return self._open().delete_parts(kind, owner, tenant, limit)

    def unfinished(self, kind: str, statuses: Sequence[str]) -> list[StoredObject]:
        """Return every tenant's objects in one of these states, without content: what a start has to go on with."""
        return self._open().unfinished(kind, statuses)

    def delete(self, kind: str, object_id: str, tenant: str) -> bool:
        """Delete it and what belongs to it; False when there was none."""
        return self._open().delete(kind, object_id, tenant)

    def close(self) -> None:
        """Let the connections go. The next call opens new ones."""
        with self._opening:
            queries, self._queries = self._queries, None
        if queries is not None:
            queries.close()

    def _open(self) -> "ObjectQueries":
        if (reason := self._why_unavailable()) is not None:
            raise StoreUnavailable(reason)
        with self._opening:
            if self._queries is None:
                if not (path := database_path(self._url)).exists():
                    raise StoreUnavailable(f"there is no database at {path}")
                # Imported here, on a worker thread: see the module's docstring.
                opened: ObjectQueries = importlib.import_module("intellirouter.store.object_queries").ObjectQueries(
                    self._url
                )
                self._queries = opened
            return self._queries
