"""The database: how it is opened, which schema it must have, and the one transaction that settles a batch."""

import contextlib
import os
import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.pool import NullPool, QueuePool

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.location import database_path
from intellirouter.store.rows import LEDGER_COLUMNS, LOG_COLUMNS, Row
from intellirouter.store.tables import spool_cursor

REVISIONS: Final = ("0001",)
"""Every schema version this program knows, oldest first; the last is the one it works with."""
HEAD: Final = REVISIONS[-1]

_BUSY_TIMEOUT_MS: Final = 1000
_READERS: Final = 4
_JOURNAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_CHECKPOINT_PAGES: Final = 4000
"""16 MiB: a page that changes often is copied back less often than with SQLite's 1000; a fifth less CPU per record."""
_ROWS_PER_STATEMENT: Final = (256, 32, 4, 1)
"""Rows go in by the handful: SQLite works without the interpreter lock inside one statement, and each return from
a statement has to fight for the lock with the event loop."""


def open_engine(url: str, *, writes: bool) -> Engine:
    """Return an engine for `url`; no connection is made yet. Readers share a few, a writer has its own."""
    path = database_path(url)
    if writes:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            # Made here so that nobody else may read it: the log can hold prompts. Side files inherit the mode.
            # Never done to an existing file: closing it would drop the locks of this process's other connections.
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
    connection.isolation_level = None  # transactions are begun by the hooks below, not by the driver's guess
    for pragma in (
        f"busy_timeout={_BUSY_TIMEOUT_MS}",
        "auto_vacuum=INCREMENTAL",  # takes effect only in a new file, and only before WAL
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
    """Say whether the schema is the one this program works with. StoreUnavailable when it is a newer one."""
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        version = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if version is not None and version not in REVISIONS:
        raise StoreUnavailable(
            f"the database has schema {version}, which is newer than this program knows ({HEAD}): "
            "run the newer program, or point store.url at another file"
        )
    return version == HEAD


def is_row_fault(error: Exception) -> bool:
    """Say whether `error` came from a value the database refuses, rather than from the database."""
    return isinstance(error, (IntegrityError, DataError, OverflowError))


class BatchWriter:
    """Settles batches on one connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connect()
        # "?" is SQLite's mark; the text around it is standard enough for PostgreSQL.
        self._log = {n: _insert_sql("exchange_log", LOG_COLUMNS, n) for n in _ROWS_PER_STATEMENT}
        self._ledger = {n: _insert_sql("ledger_entries", LEDGER_COLUMNS, n) for n in _ROWS_PER_STATEMENT}

    def offsets(self) -> dict[str, int]:
        """Return how far each segment had been settled, by the segment's file name."""
        with self.connection.begin():
            rows = self.connection.execute(select(spool_cursor.c.segment, spool_cursor.c.offset_bytes))
            return {segment: offset_bytes for segment, offset_bytes in rows}  # noqa: C416 - rows are not tuples to mypy

    def settle(self, log: list[Row], ledger: list[Row], segment: str, offset_bytes: int) -> None:
        """Insert the rows that are not there yet and move the cursor, in one transaction."""
        with self.connection.begin():
            self._insert(self._ledger, ledger)
            self._insert(self._log, log)
            self.connection.exec_driver_sql(
                "INSERT INTO spool_cursor (segment, offset_bytes) VALUES (?, ?) "
                "ON CONFLICT (segment) DO UPDATE SET offset_bytes = excluded.offset_bytes",
                (segment, offset_bytes),
            )

    def settle_last(self, segment: str) -> None:
        """Forget the segment's cursor, and return only when all that was settled is on the disk.

        Ordinary commits survive the process, not a loss of power: the write-ahead log is synced at checkpoints
        only. The segment is the only other copy, so before it goes this commit syncs the whole write-ahead log.
        """
        self._set_synchronous("FULL")
        try:
            with self.connection.begin():
                self.connection.execute(spool_cursor.delete().where(spool_cursor.c.segment == segment))
        finally:
            self._set_synchronous("NORMAL")

    def _set_synchronous(self, level: str) -> None:
        driver: Any = self.connection.connection.driver_connection  # a pragma is refused inside a transaction
        driver.execute(f"PRAGMA synchronous={level}")

    def _insert(self, statements: dict[int, str], rows: Sequence[Row]) -> None:
        start = 0
        for size, statement in statements.items():
            while len(rows) - start >= size:
                parameters = [value for row in rows[start : start + size] for value in row]
                self.connection.exec_driver_sql(statement, tuple(parameters))
                start += size

    def close(self) -> None:
        self.connection.close()


def _insert_sql(table: str, columns: Sequence[str], rows: int) -> str:
    marks = ", ".join("?" * len(columns))
    values = ", ".join([f"({marks})"] * rows)
    names = ", ".join(columns)
    return f"INSERT INTO {table} ({names}) VALUES {values} ON CONFLICT (request_id) DO NOTHING"  # noqa: S608 - names are ours
