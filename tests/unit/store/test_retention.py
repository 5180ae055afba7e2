from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Engine

from intellirouter.core import ExchangeRecord
from intellirouter.store.database import BatchWriter, open_engine
from intellirouter.store.record_rows import rows_of
from intellirouter.store.retention import Retention

Make = Callable[..., ExchangeRecord]
Sql = Callable[..., list[tuple[Any, ...]]]
DAY_US = 86_400_000_000


@pytest.fixture
def engine(database: Path) -> Iterator[Engine]:
    engine = open_engine(f"sqlite:///{database}", writes=True)
    yield engine
    engine.dispose()


def store(engine: Engine, records: list[ExchangeRecord]) -> int:
    writer = BatchWriter(engine)
    with writer.transaction():
        writer.insert(rows_of([msgspec.json.encode(record) for record in records]))
    writer.close()
    return len(msgspec.json.encode(records[0]))


def test_old_entries_are_deleted_from_the_log_and_stay_in_the_ledger(
    engine: Engine, make_record: Make, sql: Sql
) -> None:
    store(engine, [make_record(request_id=f"r{day}", started_us=day * DAY_US) for day in range(10)])
    assert not Retention(keep_days=3, max_bytes=1 << 30).enforce(engine, 9 * DAY_US)
    assert sql("SELECT request_id FROM exchange_log ORDER BY 1") == [("r6",), ("r7",), ("r8",), ("r9",)]
    assert sql("SELECT count(*) FROM ledger_entries") == [(10,)]


def test_oldest_entries_are_deleted_when_the_log_is_too_large(engine: Engine, make_record: Make, sql: Sql) -> None:
    size = store(engine, [make_record(request_id=f"r{n}", started_us=n + 100) for n in range(10)])
    assert not Retention(keep_days=1, max_bytes=3 * size + 1).enforce(engine, 200)
    assert sql("SELECT request_id FROM exchange_log ORDER BY 1") == [("r7",), ("r8",), ("r9",)]


def test_pass_is_bounded_and_the_next_one_continues(engine: Engine, make_record: Make, sql: Sql) -> None:
    store(engine, [make_record(started_us=1) for _ in range(5500)])
    retention = Retention(keep_days=1, max_bytes=1 << 30)
    assert retention.enforce(engine, 2 * DAY_US)
    assert sql("SELECT count(*) FROM exchange_log") == [(500,)]
    retention.enforce(engine, 2 * DAY_US)
    assert sql("SELECT count(*) FROM exchange_log") == [(0,)]


def test_pages_of_a_mostly_empty_file_are_returned(engine: Engine, make_record: Make, sql: Sql) -> None:
    store(engine, [make_record(usage=None, started_us=1, request_body="x" * 1000) for _ in range(2000)])
    (before,) = sql("PRAGMA page_count")[0]
    retention = Retention(keep_days=1, max_bytes=1 << 30)
    passes = 1
    while retention.enforce(engine, 2 * DAY_US):
        passes += 1
        assert passes < 20
    assert passes > 1
    (after,) = sql("PRAGMA page_count")[0]
    assert after < before / 4
