"""The SQL behind `ObjectStore`."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, delete, insert, or_, select
from sqlalchemy.exc import SQLAlchemyError

from intellirouter.store.database import open_engine
from intellirouter.store.health import StoreUnavailable
from intellirouter.store.stored_object import MAX_OBJECTS_PER_PAGE, StoredObject
from intellirouter.store.tables import objects

_LISTED: Final = [objects.c[name] for name in StoredObject.__struct_fields__ if name != "content"]
_WHOLE: Final = [objects.c[name] for name in StoredObject.__struct_fields__]
_PURGE_EVERY: Final = 64
_PURGED_AT_ONCE: Final = 200


class ObjectQueries:
    """A pool of readers, and one writer at a time."""

    def __init__(self, url: str) -> None:
        self._readers = open_engine(url, writes=False)
        self._writers = open_engine(url, writes=True)
        self._writing = threading.Lock()
        self._writes = 0

    def close(self) -> None:
        self._readers.dispose()
        self._writers.dispose()

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        try:
            with self._readers.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"The database cannot be read: {getattr(error, 'orig', None) or error}.") from error

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        try:
            with self._writing, self._writers.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreUnavailable(
                f"The database cannot be written: {getattr(error, 'orig', None) or error}."
            ) from error

    def put(self, stored: StoredObject) -> None:
        self.put_all([stored])

    def put_all(self, several: Sequence[StoredObject]) -> None:
        with self._write() as connection:
            for stored in several:
                row = {name: getattr(stored, name) for name in StoredObject.__struct_fields__}
                connection.execute(delete(objects).where(_is(stored.kind, stored.id, stored.tenant)))
                connection.execute(insert(objects).values(**row))
            self._writes += 1
            if self._writes % _PURGE_EVERY == 1:
                _purge(connection, max(stored.created_us for stored in several))

    def get(self, kind: str, object_id: str, tenant: str, now_us: int) -> StoredObject | None:
        query = select(*_WHOLE).where(_is(kind, object_id, tenant), _is_alive(now_us))
        with self._read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _stored(row)

    def page(
        self, kind: str, tenant: str, now_us: int, limit: int, after: str, *, is_ascending: bool
    ) -> list[StoredObject]:
        column = objects.c.id
        query = select(*_LISTED).where(objects.c.kind == kind, objects.c.tenant == tenant, _is_alive(now_us))
        if after:
            query = query.where(column > after if is_ascending else column < after)
        query = query.order_by(column.asc() if is_ascending else column.desc()).limit(limit)
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def metas(self, kind: str, tenant: str, now_us: int) -> list[bytes]:
        query = select(objects.c.meta).where(objects.c.kind == kind, objects.c.tenant == tenant, _is_alive(now_us))
        with self._read() as connection:
            return list(connection.execute(query).scalars())

    def children(self, kind: str, parent: str, tenant: str) -> list[StoredObject]:
        query = select(*_WHOLE).where(objects.c.kind == kind, objects.c.parent == parent, objects.c.tenant == tenant)
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(query.order_by(objects.c.id))]

    def parts(self, kind: str, owner: str, tenant: str, after: str, max_bytes: int) -> list[StoredObject]:
        query = select(*_WHOLE).where(_is_part(kind, owner, tenant, after)).order_by(objects.c.id)
        found: list[StoredObject] = []
        size_bytes = 0
        with self._read() as connection, connection.execute(query) as rows:
            for row in rows:  # rows are fetched one by one, so nothing is read beyond the limit
                found.append(_stored(row))
                size_bytes += len(found[-1].content or b"")
                if size_bytes >= max_bytes or len(found) >= MAX_OBJECTS_PER_PAGE:
                    break
        return found

    def part_marks(self, kind: str, owner: str, tenant: str, after: str) -> list[StoredObject]:
        query = select(*_LISTED).where(_is_part(kind, owner, tenant, after)).order_by(objects.c.id)
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(query.limit(MAX_OBJECTS_PER_PAGE))]

    def delete_parts(self, kind: str, owner: str, tenant: str, limit: int) -> int:
        ids = select(objects.c.id).where(_is_part(kind, owner, tenant, "")).limit(limit)
        statement = delete(objects).where(
            objects.c.kind == kind, objects.c.tenant == tenant, objects.c.id.in_(ids.scalar_subquery())
        )
        with self._write() as connection:
            return connection.execute(statement).rowcount

    def unfinished(self, kind: str, statuses: Sequence[str]) -> list[StoredObject]:
        query = select(*_LISTED).where(objects.c.kind == kind, objects.c.status.in_(statuses)).order_by(objects.c.id)
        with self._read() as connection:
            return [_stored(row) for row in connection.execute(query)]

    def delete(self, kind: str, object_id: str, tenant: str) -> bool:
        with self._write() as connection:
            deleted = connection.execute(delete(objects).where(_is(kind, object_id, tenant))).rowcount
            if deleted:
                connection.execute(delete(objects).where(objects.c.parent == object_id, objects.c.tenant == tenant))
        return bool(deleted)


def _purge(connection: Connection, now_us: int) -> None:
    """Delete a bounded number of expired objects, so that no other call waits long."""
    expired = select(objects.c.kind, objects.c.id, objects.c.tenant).where(objects.c.expires_us <= now_us)
    for kind, object_id, tenant in connection.execute(expired.limit(_PURGED_AT_ONCE)).all():
        connection.execute(delete(objects).where(_is(kind, object_id, tenant)))
        connection.execute(delete(objects).where(objects.c.parent == object_id, objects.c.tenant == tenant))


def _is(kind: str, object_id: str, tenant: str) -> ColumnElement[bool]:
    return and_(objects.c.kind == kind, objects.c.id == object_id, objects.c.tenant == tenant)


def _is_part(kind: str, owner: str, tenant: str, after: str) -> ColumnElement[bool]:
    """Match a range of ids in the primary key; `/` is the character after the dot before the number of a part."""
    column = objects.c.id
    return and_(
        objects.c.kind == kind, objects.c.tenant == tenant, column > (after or f"{owner}."), column < f"{owner}/"
    )


def _is_alive(now_us: int) -> ColumnElement[bool]:
    return or_(objects.c.expires_us.is_(None), objects.c.expires_us > now_us)


def _stored(row: Row[Any]) -> StoredObject:
    return StoredObject(**row._mapping)  # noqa: SLF001 - public in SQLAlchemy
