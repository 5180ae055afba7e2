"""Reading the exchange log and the ledger, beside the writer. For worker threads: every call does blocking I/O.

SQLAlchemy is imported on the first call, not with this module: see `drain`.
"""

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.location import database_path
from intellirouter.store.pages import LedgerTotal, LogFilter, LogPage, TotalsKey

if TYPE_CHECKING:
    from intellirouter.store.queries import Queries

MAX_PAGE_ROWS: Final = 1000


def _always_readable() -> str | None:
    return None


class LogReader:
    """Thread-safe. Every method raises StoreUnavailable when the database cannot be read now."""

    def __init__(self, url: str, why_unreadable: Callable[[], str | None] = _always_readable) -> None:
        """`why_unreadable` is asked before every call; what it returns is the reason to refuse it."""
        self._url = url
        self._why_unreadable = why_unreadable
        self._opening = threading.Lock()
        self._queries: Queries | None = None

    def get(self, request_id: str) -> bytes | None:
        """Return the record as JSON, or None when the log does not hold it (any more)."""
        return self._open().get(request_id)

    def list_exchanges(self, wanted: LogFilter, *, limit: int = 50, before: str | None = None) -> LogPage:
        """Return the `limit` newest exchanges that match, older than the request id `before`.

        Pages follow a key, so they neither skip nor repeat rows while new ones arrive; `limit` is kept within
        1 and 1000.
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
        """Sum the ledger from `since_us` (inclusive) to `until_us` (exclusive), in microseconds since the epoch.

        At most 10,000 groups, the dearest first.
        """
        return self._open().ledger_totals(since_us, until_us, by, tenant)

    def close(self) -> None:
        """Let the connections go. The next call opens new ones."""
        with self._opening:
            queries, self._queries = self._queries, None
        if queries is not None:
            queries.close()

    def _open(self) -> "Queries":
        if (reason := self._why_unreadable()) is not None:
            raise StoreUnavailable(reason)
        with self._opening:
            if self._queries is None:
                if not (path := database_path(self._url)).exists():
                    raise StoreUnavailable(f"there is no database at {path}")
                # Imported here, on a worker thread: see the module's docstring.
                opened: Queries = importlib.import_module("intellirouter.store.queries").Queries(self._url)
                self._queries = opened
            return self._queries
