"""The database: opening it, checking its schema, and inserting a batch of records in one transaction."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.pool import NullPool, QueuePool

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.record_columns import LEDGER_COLUMNS, LOG_COLUMNS, Column
from intellirouter.store.record_rows import RecordRows, Value
from intellirouter.store.store_url import database_path
from intellirouter.store.tables import spool_cursor

REVISIONS: Final = ("0001", "0002", "0003", "0004", "0005", "0006")
"""All schema versions that this program knows, oldest first. It works with the last one."""
HEAD: Final = REVISIONS[-1]

_BUSY_TIMEOUT_MS: Final = 1000
_READERS: Final = 4
_JOURNAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_PAGE_BYTES: Final = 8192
"""Page size of new databases. Records of 0.8 KB fill it better than SQLite's 4096, with half as many page writes."""
_CHECKPOINT_PAGES: Final = 2000
"""16 MiB. Pages that change often are copied back less often than with SQLite's default of 1000."""
_ROWS_PER_STATEMENT: Final = (32, 16, 8, 4, 2, 1)
"""Sizes of multi-row statements. SQLite releases the interpreter lock inside a statement, and after each statement the
thread has to compete with the event loop for it."""


def open_engine(url: str, *, writes: bool) -> Engine:
    """Return an engine for `url` without connecting. Readers share a pool of connections; each writer has its own."""
    path = database_path(url)
    if writes:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Created here so that other users cannot read it, because the log can contain prompts. Side files inherit
            # the mode. An existing file is never opened: closing it would release the locks of this process's other
            # connections.
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        engine = create_engine(url, poolclass=NullPool)
        event.listen(engine, "connect", _prepare_writer)
        event.listen(engine, "begin", _begin_immediate)
    else:
        engine = create_engine(url, poolclass=QueuePool, pool_size=_READERS, max_overflow=0)
        event.listen(engine, "connect", _prepare_reader)
        event.listen(engine, "begin", _begin)
    return engine


def _prepare_writer(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the hooks below begin transactions, not the driver
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        f"page_size={_PAGE_BYTES}",  # this and the next only apply to a new file, and only before WAL
        "auto_vacuum=INCREMENTAL",
        "journal_mode=WAL",
        f"journal_size_limit={_JOURNAL_LIMIT_BYTES}",
        f"wal_autocheckpoint={_CHECKPOINT_PAGES}",
        "synchronous=NORMAL",
        "foreign_keys=ON",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _prepare_reader(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None
    for pragma in (f"busy_timeout={_BUSY_TIMEOUT_MS}", "query_only=ON"):
        connection.execute(f"PRAGMA {pragma}").fetchall()


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN")


def is_current(engine: Engine) -> bool:
    """Return whether the schema is the one that this program works with. Raises StoreUnavailable if it is newer."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if version is not None and version not in REVISIONS:
        raise StoreUnavailable(
            f"The database has schema {version}, which is newer than this version supports ({HEAD}). "
            "Upgrade IntelliRouter, or set store.url to another file."
        )
    return version == HEAD


def is_rejected_value(error: Exception) -> bool:
    """Return whether the database rejected a value, as opposed to a failure of the database itself."""
    return isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError, OverflowError))


class BatchWriter:
    """Inserts batches of records on a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connect()
        # Bypasses SQLAlchemy, whose execution costs as much as the insertion of ten rows.
        driver: Any = self.connection.connection.driver_connection
        self._execute = driver.execute
        # "?" is the placeholder of SQLite; the rest of the statement also works with PostgreSQL.
        self._log = {n: _insert_sql("exchange_log", LOG_COLUMNS, n) for n in _ROWS_PER_STATEMENT}
        self._ledger = {n: _insert_sql("ledger_entries", LEDGER_COLUMNS, n) for n in _ROWS_PER_STATEMENT}

    def offsets(self) -> dict[str, int]:
        """Return the position up to which each segment has been drained, by file name."""
        with self.connection.begin():
            rows = self.connection.execute(select(spool_cursor.c.segment, spool_cursor.c.offset_bytes))
            return {segment: offset_bytes for segment, offset_bytes in rows}  # noqa: C416 - rows are not tuples to mypy

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Run `insert` and `move_cursor` in one transaction, which stores everything or nothing."""
        with self.connection.begin():
            yield

    def insert(self, rows: RecordRows) -> None:
        """Insert the rows that do not exist yet."""
        self._insert(self._ledger, rows.ledger, len(LEDGER_COLUMNS))
        self._insert(self._log, rows.log, len(LOG_COLUMNS))

    def move_cursor(self, segment: str, offset_bytes: int) -> None:
        self._execute(
            "INSERT INTO spool_cursor (segment, offset_bytes) VALUES (?, ?) "
            "ON CONFLICT (segment) DO UPDATE SET offset_bytes = excluded.offset_bytes",
            (segment, offset_bytes),
        )

    def finish_segment(self, segment: str) -> None:
        """Delete the cursor of a drained segment, and return when all its records are on disk.

        Ordinary commits survive the death of the process, but not power loss, because the write-ahead log is synced at
        checkpoints only. The segment is the only other copy, so this commit syncs the whole write-ahead log before the
        segment is deleted.
        """
        self._set_synchronous("FULL")
        try:
            with self.connection.begin():
                self.connection.execute(spool_cursor.delete().where(spool_cursor.c.segment == segment))
        finally:
            self._set_synchronous("NORMAL")

    def _set_synchronous(self, level: str) -> None:
        driver: Any = self.connection.connection.driver_connection  # SQLite rejects this pragma inside a transaction
        driver.execute(f"PRAGMA synchronous={level}")

    def _insert(self, statements: dict[int, str], values: list[Value], width: int) -> None:
        start = 0
        for size, statement in statements.items():
            step = size * width
            while len(values) - start >= step:
                self._execute(statement, values[start : start + step])
                start += step

    def close(self) -> None:
        self.connection.close()


def _insert_sql(table: str, columns: Sequence[Column], rows: int) -> str:
    marks = ", ".join("?" * len(columns))
    values = ", ".join([f"({marks})"] * rows)
    names = ", ".join(column.name for column in columns)
    return f"INSERT INTO {table} ({names}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608 - the names are constants
