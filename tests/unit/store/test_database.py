import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import structs
from sqlalchemy.exc import OperationalError

from intellirouter.core import ExchangeRecord
from intellirouter.store import StoreUnavailable
from intellirouter.store.database import BatchWriter, is_current, is_rejected_value, open_engine
from intellirouter.store.record_columns import LEDGER_COLUMNS
from intellirouter.store.record_rows import RecordRows, rows_of

Make = Callable[..., ExchangeRecord]
Sql = Callable[..., list[tuple[Any, ...]]]


def rows(records: list[ExchangeRecord]) -> RecordRows:
    return rows_of([msgspec.json.encode(record) for record in records])


def settle(writer: BatchWriter, rows: RecordRows, segment: str, offset_bytes: int) -> None:
    with writer.transaction():
        writer.insert(rows)
        writer.move_cursor(segment, offset_bytes)


@pytest.fixture
def writer(database: Path) -> Iterator[BatchWriter]:
    engine = open_engine(f"sqlite:///{database}", writes=True)
    writer = BatchWriter(engine)
    yield writer
    writer.close()
    engine.dispose()


@pytest.mark.parametrize("count", [1, 7, 299])
def test_batch_of_any_size_is_stored_once(writer: BatchWriter, make_record: Make, sql: Sql, count: int) -> None:
    batch = rows([make_record(usage=None) if n % 5 == 0 else make_record() for n in range(count)])
    reached = count - (count + 4) // 5
    for _ in range(2):
        settle(writer, batch, "one.spool", 77)
    assert sql("SELECT count(*) FROM exchange_log") == [(count,)]
    assert sql("SELECT count(*), coalesce(sum(input_tokens), 0) FROM ledger_entries") == [(reached, 10 * reached)]
    assert writer.offsets() == {"one.spool": 77}


def test_rows_and_cursor_are_written_together_or_not_at_all(writer: BatchWriter, make_record: Make, sql: Sql) -> None:
    batch = rows([make_record() for _ in range(3)])
    spoiled = structs.replace(batch, ledger=batch.ledger.copy())
    tenant = [column.name for column in LEDGER_COLUMNS].index("tenant")
    spoiled.ledger[2 * len(LEDGER_COLUMNS) + tenant] = None
    with pytest.raises(sqlite3.IntegrityError) as caught:
        settle(writer, spoiled, "one.spool", 77)
    assert is_rejected_value(caught.value)
    assert sql("SELECT (SELECT count(*) FROM exchange_log), (SELECT count(*) FROM ledger_entries)") == [(0, 0)]
    assert writer.offsets() == {}
    settle(writer, batch, "one.spool", 78)
    assert writer.offsets() == {"one.spool": 78}


def test_cursor_is_deleted_with_its_segment(writer: BatchWriter, sql: Sql) -> None:
    settle(writer, rows([]), "one.spool", 5)
    settle(writer, rows([]), "two.spool", 6)
    writer.finish_segment("one.spool")
    assert writer.offsets() == {"two.spool": 6}
    driver: Any = writer.connection.connection.driver_connection
    assert driver.execute("PRAGMA synchronous").fetchone() == (1,)


def test_readers_cannot_write(database: Path) -> None:
    engine = open_engine(f"sqlite:///{database}", writes=False)
    with engine.connect() as connection, pytest.raises(OperationalError, match="readonly"):
        connection.exec_driver_sql("DELETE FROM exchange_log")
    engine.dispose()


def test_empty_file_is_not_current_and_newer_schema_is_an_error(tmp_path: Path, database: Path, sql: Sql) -> None:
    fresh = open_engine(f"sqlite:///{tmp_path / 'fresh.db'}", writes=True)
    assert not is_current(fresh)
    fresh.dispose()
    engine = open_engine(f"sqlite:///{database}", writes=True)
    assert is_current(engine)
    sql("UPDATE alembic_version SET version_num = '0999'")
    with pytest.raises(StoreUnavailable, match="0999, which is newer than this version supports"):
        is_current(engine)
    engine.dispose()


def test_pages_and_size_of_the_log_are_read_from_an_index(sql: Sql, database: Path) -> None:
    def plan(statement: str) -> str:
        return " ".join(str(row[3]) for row in sql("EXPLAIN QUERY PLAN " + statement))

    page = "SELECT model FROM exchange_log {} ORDER BY request_id DESC LIMIT 5"
    for where in ("", "WHERE tenant = 'a'", "WHERE tenant = 'a' AND request_id < 'r'"):
        assert "USING INDEX ix_log" in plan(page.format(where))
        assert "TEMP B-TREE" not in plan(page.format(where))
    assert "COVERING INDEX ix_log_tenant" in plan("SELECT sum(size_bytes) FROM exchange_log")
    assert "USING INDEX ix_ledger_started (started_us>? AND started_us<?)" in plan(
        "SELECT sum(cost_microusd) FROM ledger_entries WHERE started_us >= 5 AND started_us < 9"
    )
