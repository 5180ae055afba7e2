"""Objects that clients store in the gateway: responses, files, batches.

Every object belongs to one tenant, and no other tenant can read, list or delete it. For worker threads, because every
call does blocking I/O. SQLAlchemy is imported by the first call and not with this module; see `drain`.
"""

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.store_url import database_path
from intellirouter.store.stored_object import MAX_OBJECTS_PER_PAGE, StoredObject

if TYPE_CHECKING:
    from intellirouter.store.object_queries import ObjectQueries


class ObjectStore:
    """Stores objects. Thread-safe. Every method raises StoreUnavailable when the database cannot be used."""

    def __init__(self, url: str, unavailable_reason: Callable[[], str | None]) -> None:
        """`unavailable_reason` is called before every query. If it returns a message, the query is rejected with it."""
        self._url = url
        self._unavailable_reason = unavailable_reason
        self._opening = threading.Lock()
        self._queries: ObjectQueries | None = None

    def put(self, stored: StoredObject) -> None:
        """Create the object, or replace the one with the same kind, id and tenant."""
        self._open().put(stored)

    def put_all(self, several: Sequence[StoredObject]) -> None:
        """Like `put`, for several objects in one transaction."""
        self._open().put_all(several)

    def get(self, kind: str, object_id: str, tenant: str, now_us: int) -> StoredObject | None:
        """Return an object with its content; None if it does not exist, has expired or belongs to another tenant."""
        return self._open().get(kind, object_id, tenant, now_us)

    def page(
        self, kind: str, tenant: str, now_us: int, *, limit: int = 100, after: str = "", is_ascending: bool = False
    ) -> list[StoredObject]:
        """Return up to `limit` objects after the id `after`, without content, newest first by default."""
        limit = max(1, min(limit, MAX_OBJECTS_PER_PAGE))
        return self._open().page(kind, tenant, now_us, limit, after, is_ascending=is_ascending)

    def metas(self, kind: str, tenant: str, now_us: int) -> list[bytes]:
        """Return the metadata of all objects of a tenant that have not expired."""
        return self._open().metas(kind, tenant, now_us)

    def children(self, kind: str, parent: str, tenant: str) -> list[StoredObject]:
        """Return all objects of `kind` that belong to `parent`, with content, in the order of their ids."""
        return self._open().children(kind, parent, tenant)

    def parts(self, kind: str, owner: str, tenant: str, after: str, max_bytes: int) -> list[StoredObject]:
        """Return the next parts (see `part_id`) after the id `after`, with content, in order; empty at the end.

        The list ends as soon as the parts contain `max_bytes` or more.
        """
        return self._open().parts(kind, owner, tenant, after, max_bytes)

    def part_marks(self, kind: str, owner: str, tenant: str, after: str) -> list[StoredObject]:
        """Return the next `MAX_OBJECTS_PER_PAGE` parts after the id `after`, without content."""
        return self._open().part_marks(kind, owner, tenant, after)

    def delete_parts(self, kind: str, owner: str, tenant: str, limit: int) -> int:
        """Delete up to `limit` parts and return how many were deleted; 0 when none is left."""
        return self._open().delete_parts(kind, owner, tenant, limit)

    def unfinished(self, kind: str, statuses: Sequence[str]) -> list[StoredObject]:
        """Return objects of all tenants with one of these statuses, without content, to resume work after a start."""
        return self._open().unfinished(kind, statuses)

    def delete(self, kind: str, object_id: str, tenant: str) -> bool:
        """Delete an object and the objects that belong to it. Returns False if there was none."""
        return self._open().delete(kind, object_id, tenant)

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        with self._opening:
            queries, self._queries = self._queries, None
        if queries is not None:
            queries.close()

    def _open(self) -> "ObjectQueries":
        if (reason := self._unavailable_reason()) is not None:
            raise StoreUnavailable(reason)
        with self._opening:
            if self._queries is None:
                if not (path := database_path(self._url)).exists():
                    raise StoreUnavailable(f"There is no database at {path}.")
                # Imported on a worker thread; see the docstring of the module.
                opened: ObjectQueries = importlib.import_module("intellirouter.store.object_queries").ObjectQueries(
                    self._url
                )
                self._queries = opened
            return self._queries
