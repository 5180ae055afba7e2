"""Retention of the exchange log: entries beyond the age or the size limit are deleted, oldest first.

Ledger entries are kept. Every pass is bounded, so that the drain can continue. Freed pages are reused by later inserts.
If more than a quarter of the file is free, a bounded number of pages per pass is returned to the file system.
"""

from typing import Any, Final

from msgspec import Struct
from sqlalchemy import Connection, Engine, func, select

from intellirouter.store.tables import exchange_log

_ROWS_PER_DELETE: Final = 500
_DELETES_PER_PASS: Final = 10
_PAGES_PER_PASS: Final = 256
_FREE_SHARE: Final = 4
"""Pages are returned when more than one in this many is free."""
_DAY_US: Final = 86_400_000_000


class Retention(Struct, frozen=True, kw_only=True):
    """Limits of the log. `max_bytes` counts the JSON of the records, without indexes and page overhead."""

    keep_days: float
    max_bytes: int

    def enforce(self, engine: Engine, now_us: int) -> bool:
        """Do one bounded pass. Returns True when there is more to do."""
        cutoff_us = now_us - round(self.keep_days * _DAY_US)
        with engine.connect() as connection:
            return self._delete(connection, cutoff_us) or _return_pages(connection)

    def _delete(self, connection: Connection, cutoff_us: int) -> bool:
        with connection.begin():
            size_bytes = int(connection.execute(select(func.sum(exchange_log.c.size_bytes))).scalar() or 0)
        for _ in range(_DELETES_PER_PASS):
            with connection.begin():
                oldest = connection.execute(
                    select(exchange_log.c.request_id, exchange_log.c.started_us, exchange_log.c.size_bytes)
                    .order_by(exchange_log.c.request_id)
                    .limit(_ROWS_PER_DELETE)
                ).all()
                expired: list[str] = []
                for request_id, started_us, row_bytes in oldest:
                    if started_us >= cutoff_us and size_bytes <= self.max_bytes:
                        break
                    expired.append(request_id)
                    size_bytes -= row_bytes
                if expired:
                    connection.execute(exchange_log.delete().where(exchange_log.c.request_id.in_(expired)))
            if len(expired) < _ROWS_PER_DELETE:
                return False
        return True


def _return_pages(connection: Connection) -> bool:
    driver: Any = connection.connection.driver_connection  # specific to SQLite, outside of any transaction
    (pages,) = driver.execute("PRAGMA page_count").fetchone()
    (free,) = driver.execute("PRAGMA freelist_count").fetchone()
    if free * _FREE_SHARE <= pages:
        return False
    # Run as a script, because execute() stops after the first page.
    driver.executescript(f"PRAGMA incremental_vacuum({_PAGES_PER_PASS})")
    return bool(free > _PAGES_PER_PASS)
