"""The SQL behind `LogReader`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final, get_args

from sqlalchemy import ColumnElement, Connection, RowMapping, case, func, or_, select
from sqlalchemy.exc import SQLAlchemyError

from intellirouter.store.database import open_engine
from intellirouter.store.health import StoreUnavailable
from intellirouter.store.query_types import LedgerTotal, LogFilter, LogPage, LogRow, TotalsKey
from intellirouter.store.tables import exchange_log, ledger_entries

_MAX_GROUPS: Final = 10_000
_SUMMED: Final = [
    name for name in LedgerTotal.__struct_fields__ if name in ledger_entries.c and name not in get_args(TotalsKey)
]
_LISTED: Final = [exchange_log.c[name] for name in LogRow.__struct_fields__]


class LogQueries:
    """A pool of read-only connections. In WAL mode readers and the writer do not wait for each other."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, writes=False)

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        try:
            with self._engine.connect() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise StoreUnavailable(f"The database cannot be read: {getattr(error, 'orig', None) or error}.") from error

    def get(self, request_id: str) -> bytes | None:
        with self._connect() as connection:
            body: str | None = connection.execute(
                select(exchange_log.c.body).where(exchange_log.c.request_id == request_id)
            ).scalar_one_or_none()
        return None if body is None else body.encode()

    def list_exchanges(self, wanted: LogFilter, limit: int, before: str | None) -> LogPage:
        log = exchange_log.c
        query = select(*_LISTED).where(*_conditions(wanted))
        if before is not None:
            query = query.where(log.request_id < before)
        # Request ids sort by time, so the order of the key is the order of arrival.
        query = query.order_by(log.request_id.desc()).limit(limit + 1)
        with self._connect() as connection:
            found = [LogRow(**row._mapping) for row in connection.execute(query)]  # noqa: SLF001 - public in SQLAlchemy
        rows = tuple(found[:limit])
        has_more = len(found) > limit
        return LogPage(rows=rows, next_before=rows[-1].request_id if has_more else None)

    def ledger_totals(
        self, since_us: int, until_us: int | None, by: Sequence[TotalsKey], tenant: str | None
    ) -> tuple[LedgerTotal, ...]:
        ledger = ledger_entries.c
        keys = [ledger[name] for name in by]
        cost: ColumnElement[Any] = func.coalesce(func.sum(ledger.cost_microusd), 0)
        query = select(
            *keys,
            func.count().label("requests"),
            (func.count() - func.count(ledger.cost_microusd)).label("unpriced_requests"),
            func.coalesce(func.sum(case((ledger.is_estimated, 1), else_=0)), 0).label("estimated_requests"),
            *(func.coalesce(func.sum(ledger[name]), 0).label(name) for name in _SUMMED),
        ).where(ledger.started_us >= since_us)
        if until_us is not None:
            query = query.where(ledger.started_us < until_us)
        if tenant is not None:
            query = query.where(ledger.tenant == tenant)
        if keys:
            query = query.group_by(*keys).order_by(cost.desc(), *keys).limit(_MAX_GROUPS)
        with self._connect() as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(_total(row, by) for row in rows)


def _total(row: RowMapping, keys: Sequence[TotalsKey]) -> LedgerTotal:
    # Some databases return decimals for sums of integers.
    columns: dict[str, Any] = {name: value if name in keys else int(value) for name, value in row.items()}
    return LedgerTotal(**columns)


def _conditions(wanted: LogFilter) -> list[ColumnElement[bool]]:
    log = exchange_log.c
    conditions: list[ColumnElement[bool]] = []
    if wanted.tenant is not None:
        conditions.append(log.tenant == wanted.tenant)
    if wanted.key_names is not None:
        conditions.append(or_(*(log.key_name.is_not_distinct_from(name) for name in wanted.key_names)))
    if wanted.id_prefix:
        # A range, because the index does not help LIKE, which ignores case.
        end = wanted.id_prefix[:-1] + chr(ord(wanted.id_prefix[-1]) + 1)
        conditions += [log.request_id >= wanted.id_prefix, log.request_id < end]
    if wanted.model is not None:
        conditions.append(log.model == wanted.model)
    if wanted.deployment is not None:
        conditions.append(log.deployment == wanted.deployment)
    if wanted.status_class is not None:
        conditions.append(log.status.between(wanted.status_class * 100, wanted.status_class * 100 + 99))
    if wanted.errors_only:
        conditions.append(or_(log.error_code.is_not(None), log.status >= 400))
    return conditions
