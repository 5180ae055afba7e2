"""The database: how it is opened, which schema it must have, and the one transaction that settles a batch."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, select, text
from sqlalchemy.pool import NullPool, QueuePool

from intellirouter.store.health import StoreUnavailable
from intellirouter.store.location import database_path
from intellirouter.store.record_columns import LEDGER_COLUMNS, LOG_COLUMNS, Column
from intellirouter.store.record_rows import RecordRows, Value
from intellirouter.store.tables import spool_cursor

REVISIONS: Final = ("0001", "0002", "0003")
"""Every schema version this program knows, oldest first; the last is the one it works with."""
HEAD: Final = REVISIONS[-1]

_BUSY_TIMEOUT_MS: Final = 1000
_READERS: Final = 4
_JOURNAL_LIMIT_BYTES: Final = 64 * 1024 * 1024
_PAGE_BYTES: Final = 8192
"""Of new databases. Records of 0.8 KB fill it better than SQLite's 4096, and half as many pages cross the kernel."""
_CHECKPOINT_PAGES: Final = 2000
"""16 MiB: a page that changes often is copied back less often than with SQLite's 1000."""
_ROWS_PER_STATEMENT: Final = (128, 64, 32, 16, 8, 4, 2, 1)
"""RecordRows go in by the handful: SQLite works without the interpreter lock inside one statement, and each return from
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
        f"page_size={_PAGE_BYTES}",  # this and the next take effect only in a new file, and only before WAL
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
    return isinstance(error, (sqlite3.IntegrityError, sqlite3.DataError, OverflowError))


class BatchWriter:
    """Settles batches on one connection of its own."""

    def __init__(self, engine: Engine) -> None:
        self.connection = engine.connect()
        # Past SQLAlchemy's execution, which costs as much as the insertion of ten rows.
        driver: Any = self.connection.connection.driver_connection
        self._execute = driver.execute
        # "?" is SQLite's mark; the text around it is standard enough for PostgreSQL.
        self._log = {n: _insert_sql("exchange_log", LOG_COLUMNS, n) for n in _ROWS_PER_STATEMENT}
        self._ledger = {n: _insert_sql("ledger_entries", LEDGER_COLUMNS, n) for n in _ROWS_PER_STATEMENT}

    def offsets(self) -> dict[str, int]:
        """Return how far each segment had been settled, by the segment's file name."""
        with self.connection.begin():
            rows = self.connection.execute(select(spool_cursor.c.segment, spool_cursor.c.offset_bytes))
            return {segment: offset_bytes for segment, offset_bytes in rows}  # noqa: C416 - rows are not tuples to mypy

    @contextlib.contextmanager
    def settling(self) -> Iterator[None]:
        """Hold a transaction around `insert` and `move_cursor`: all of it is stored, or nothing."""
        with self.connection.begin():
            yield

    def insert(self, rows: RecordRows) -> None:
        """Insert the rows that are not there yet."""
        self._insert(self._ledger, rows.ledger, len(LEDGER_COLUMNS))
        self._insert(self._log, rows.log, len(LOG_COLUMNS))

    def move_cursor(self, segment: str, offset_bytes: int) -> None:
        self._execute(
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
    return f"INSERT INTO {table} ({names}) VALUES {values} ON CONFLICT DO NOTHING"  # noqa: S608 - names are ours
