"""Ledger, exchange log and spool cursor."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    _create_ledger()
    _create_log()
    op.create_table(
        "spool_cursor",
        sa.Column("segment", sa.String, primary_key=True),
        sa.Column("offset_bytes", sa.BigInteger, nullable=False),
    )


def _create_ledger() -> None:
    op.create_table(
        "ledger_entries",
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("key_name", sa.String),
        sa.Column("model", sa.String),
        sa.Column("deployment", sa.String),
        sa.Column("provider", sa.String),
        sa.Column("upstream_model", sa.String),
        sa.Column("endpoint", sa.String, nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error_code", sa.String),
        sa.Column("input_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_read_tokens", sa.BigInteger, nullable=False),
        sa.Column("cache_write_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_tokens", sa.BigInteger, nullable=False),
        sa.Column("reasoning_tokens", sa.BigInteger, nullable=False),
        sa.Column("input_audio_tokens", sa.BigInteger, nullable=False),
        sa.Column("output_audio_tokens", sa.BigInteger, nullable=False),
        sa.Column("is_estimated", sa.Boolean, nullable=False),
        sa.Column("cost_microusd", sa.BigInteger),
        sa.Column("price_version", sa.String),
        sa.Column("v", sa.Integer, nullable=False),
    )
    op.create_index("ix_ledger_started", "ledger_entries", ["started_us", "request_id"], unique=True)


def _create_log() -> None:
    op.create_table(
        "exchange_log",
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("started_us", sa.BigInteger, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("key_name", sa.String),
        sa.Column("model", sa.String),
        sa.Column("deployment", sa.String),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("error_code", sa.String),
        sa.Column("is_stream", sa.Boolean, nullable=False),
        sa.Column("duration_ms", sa.Float),
        sa.Column("cost_microusd", sa.BigInteger),
        sa.Column("size_bytes", sa.BigInteger, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
    )
    op.create_index("ix_log_request", "exchange_log", ["request_id"], unique=True)
    op.create_index("ix_log_tenant", "exchange_log", ["tenant", "request_id", "size_bytes"])


def downgrade() -> None:
    op.drop_table("spool_cursor")
    op.drop_table("exchange_log")
    op.drop_table("ledger_entries")
