"""The tables, in SQLAlchemy Core. Their history is in `migrations/`; a test compares the two.

The columns of the exchange log and of the ledger are those that `record_columns` derives from the record.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

from intellirouter.store.record_columns import BODY, LEDGER_COLUMNS, LOG_COLUMNS
from intellirouter.store.record_columns import Column as RecordColumn

metadata = MetaData()

_SQL_TYPES: Final = {str: String, int: BigInteger, float: Float, bool: Boolean}


def _sql_columns(columns: Sequence[RecordColumn]) -> Iterator[Column[Any]]:
    for column in columns:
        sql_type = Integer if column.is_small else Text if column is BODY else _SQL_TYPES[column.value_type]
        yield Column(column.name, sql_type, nullable=column.is_nullable)


ledger_entries = Table(
    "ledger_entries",
    metadata,
    *_sql_columns(LEDGER_COLUMNS),
    # One index serves as the identity of an entry and as the path of sums over time. Without a primary key, rows are
    # appended to their tree, which costs SQLite half of what keeping them in key order does.
    Index("ix_ledger_started", "started_us", "request_id", unique=True),
)

exchange_log = Table(
    "exchange_log",
    metadata,
    *_sql_columns(LOG_COLUMNS),
    # Request ids sort by time, so both indexes are read backwards for "newest first". The second one also answers how
    # many bytes the log holds.
    Index("ix_log_request", "request_id", unique=True),
    Index("ix_log_tenant", "tenant", "request_id", "size_bytes"),
)

spool_cursor = Table(
    "spool_cursor",
    metadata,
    Column("segment", String, primary_key=True),
    Column("offset_bytes", BigInteger, nullable=False),
)

objects = Table(
    "objects",
    metadata,
    Column("kind", String, primary_key=True),
    Column("tenant", String, primary_key=True),
    Column("id", String, primary_key=True),
    Column("created_us", BigInteger, nullable=False),
    Column("expires_us", BigInteger),
    Column("status", String, nullable=False),
    Column("parent", String, nullable=False),
    Column("meta", LargeBinary, nullable=False),
    Column("content", LargeBinary),
    Index("ix_objects_parent", "parent", "tenant", "kind"),
    Index("ix_objects_expires", "expires_us"),
    Index("ix_objects_status", "kind", "status"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("name", String, primary_key=True),
    Column("nonce", LargeBinary, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_us", BigInteger, nullable=False),
    Column("updated_us", BigInteger, nullable=False),
)
