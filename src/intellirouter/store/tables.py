"""The tables, in SQLAlchemy Core. Their history is in `migrations/`; a test holds the two together."""

from sqlalchemy import BigInteger, Boolean, Column, Float, Index, Integer, LargeBinary, MetaData, String, Table, Text

metadata = MetaData()

ledger_entries = Table(
    "ledger_entries",
    metadata,
    Column("request_id", String, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("tenant", String, nullable=False),
    Column("key_name", String),
    Column("model", String),
    Column("deployment", String),
    Column("provider", String),
    Column("upstream_model", String),
    Column("endpoint", String, nullable=False),
    Column("status", Integer, nullable=False),
    Column("error_code", String),
    Column("input_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("input_audio_tokens", BigInteger, nullable=False),
    Column("output_audio_tokens", BigInteger, nullable=False),
    Column("is_estimated", Boolean, nullable=False),
    Column("cost_microusd", BigInteger),  # NULL = the price is unknown, which is not zero
    Column("price_version", String),
    Column("v", Integer, nullable=False),
    # An entry's identity, and the way sums find their time: one index does both. Without a primary key, rows are
    # appended to their tree, which costs SQLite half of what keeping them in key order does.
    Index("ix_ledger_started", "started_us", "request_id", unique=True),
)

exchange_log = Table(
    "exchange_log",
    metadata,
    Column("request_id", String, nullable=False),
    Column("started_us", BigInteger, nullable=False),
    Column("tenant", String, nullable=False),
    Column("key_name", String),
    Column("model", String),
    Column("deployment", String),
    Column("status", Integer, nullable=False),
    Column("error_code", String),
    Column("is_stream", Boolean, nullable=False),
    Column("duration_ms", Float),
    Column("cost_microusd", BigInteger),
    Column("size_bytes", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    # Request ids sort by time, so both are read backwards for "newest first". The second also answers how many
    # bytes the log holds.
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
