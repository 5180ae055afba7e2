"""Usage: one-hour cache writes, implausible counts, and the cost that the provider reports."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("ledger_entries") as table:
        table.add_column(sa.Column("cache_write_1h_tokens", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("is_implausible", sa.Boolean, nullable=False, server_default=sa.false()))
        table.add_column(sa.Column("provider_cost_microusd", sa.BigInteger))


def downgrade() -> None:
    with op.batch_alter_table("ledger_entries") as table:
        table.drop_column("provider_cost_microusd")
        table.drop_column("is_implausible")
        table.drop_column("cache_write_1h_tokens")
