"""Reads the exchange log and the ledger. For worker threads, because every call does blocking I/O.

SQLAlchemy is imported by the first call and not with this module; see `drain`.
"""

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.query_types import LedgerTotal, LogFilter, LogPage, TotalsKey
from intellirouter.store.store_url import database_path

if TYPE_CHECKING:
    from intellirouter.store.log_queries import LogQueries

MAX_PAGE_ROWS: Final = 1000


def _always_readable() -> str | None:
    return None


class LogReader:
    """Reads the database. Thread-safe. Every method raises StoreUnavailable when the database cannot be read."""

    def __init__(self, url: str, unavailable_reason: Callable[[], str | None] = _always_readable) -> None:
        """`unavailable_reason` is called before every query. If it returns a message, the query is rejected with it."""
        self._url = url
        self._unavailable_reason = unavailable_reason
        self._opening = threading.Lock()
        self._queries: LogQueries | None = None

    def get(self, request_id: str) -> bytes | None:
        """Return the record as JSON, or None when the log does not contain it."""
        return self._open().get(request_id)

    def list_exchanges(self, wanted: LogFilter, *, limit: int = 50, before: str | None = None) -> LogPage:
        """Return the newest `limit` exchanges that match and are older than the request id `before`.

        Pages are selected by key, so they neither skip nor repeat rows while new ones arrive. `limit` is clamped to
        1 to 1000.
        """
        return self._open().list_exchanges(wanted, max(1, min(limit, MAX_PAGE_ROWS)), before)

    def ledger_totals(
        self,
        since_us: int,
        until_us: int | None = None,
        *,
        by: Sequence[TotalsKey] = ("tenant", "model", "deployment"),
        tenant: str | None = None,
    ) -> tuple[LedgerTotal, ...]:
        """Return totals of the ledger from `since_us` (inclusive) to `until_us` (exclusive), in microseconds.

        There are at most 10,000 groups, those with the highest cost first.
        """
        return self._open().ledger_totals(since_us, until_us, by, tenant)

    def close(self) -> None:
        """Close the connections. The next call opens new ones."""
        with self._opening:
            queries, self._queries = self._queries, None
        if queries is not None:
            queries.close()

    def _open(self) -> "LogQueries":
        if (reason := self._unavailable_reason()) is not None:
            raise StoreUnavailable(reason)
        with self._opening:
            if self._queries is None:
                if not (path := database_path(self._url)).exists():
                    raise StoreUnavailable(f"There is no database at {path}.")
                # Imported on a worker thread; see the docstring of the module.
                opened: LogQueries = importlib.import_module("intellirouter.store.log_queries").LogQueries(self._url)
                self._queries = opened
            return self._queries
