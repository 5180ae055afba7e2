"""Reading the exchange log and the ledger, beside the writer. For worker threads: every call does blocking I/O.

SQLAlchemy is imported on the first call, not with this module: see `drain`.
"""

import importlib
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.location import database_path

if TYPE_CHECKING:
    from intellirouter.store.queries import Queries

MAX_PAGE_ROWS: Final = 1000

TotalsKey = Literal["tenant", "model", "deployment"]


class LogFilter(Struct, frozen=True, kw_only=True):
    """Which exchanges to list. None does not filter."""

    tenant: str | None = None
    model: str | None = None
    deployment: str | None = None
    status_class: int | None = None
    """First digit of the status: 2, 4, 5."""
    errors_only: bool = False
    """Those with an error code or a status from 400 on."""


class LogRow(Struct, frozen=True, kw_only=True):
    """One line of the log's table."""

    request_id: str
    started_us: int
    tenant: str
    key_name: str | None
    model: str | None
    deployment: str | None
    status: int
    error_code: str | None
    is_stream: bool
    duration_ms: float | None
    cost_microusd: int | None


class LogPage(Struct, frozen=True, kw_only=True):
    rows: tuple[LogRow, ...]
    """Newest first."""
    next_before: str | None
    """Pass it as `before` to get the next page; None on the last page."""


class LedgerTotal(Struct, frozen=True, kw_only=True):
    """Sums of one group. Keys that were not grouped by are None, as are keys that the entries do not have."""

    tenant: str | None = None
    model: str | None = None
    deployment: str | None = None
    requests: int
    unpriced_requests: int
    """Entries whose cost is unknown; they are not in `cost_microusd`."""
    estimated_requests: int
    """Entries whose tokens were estimated."""
    input_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    input_audio_tokens: int
    output_audio_tokens: int
    cost_microusd: int


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
        """Return the `limit` newest exchanges that match, older than the cursor `before`.

        Pages follow a key, so they neither skip nor repeat rows while new ones arrive. ValueError for a cursor
        that is none of ours; `limit` is kept within 1 and 1000.
        """
        position = None if before is None else _parse_cursor(before)
        return self._open().list_exchanges(wanted, max(1, min(limit, MAX_PAGE_ROWS)), position)

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


def make_cursor(started_us: int, request_id: str) -> str:
    """Return the cursor that stands for this row: opaque to clients."""
    return f"{started_us}~{request_id}"


def _parse_cursor(cursor: str) -> tuple[int, str]:
    started, separator, request_id = cursor.partition("~")
    if not separator or not request_id or not (started.isascii() and started.isdigit()) or len(started) > 18:
        raise ValueError(f"{cursor!r} is not a cursor of this log")
    return int(started), request_id
