"""The cache: which requests it answered, from which other request, and what that saved."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SHARED = ("ledger_entries", "exchange_log")


def upgrade() -> None:
    for name in _SHARED:
        with op.batch_alter_table(name) as table:
            table.add_column(sa.Column("cache", sa.String))
            table.add_column(sa.Column("saved_microusd", sa.BigInteger))
    with op.batch_alter_table("ledger_entries") as table:
        table.add_column(sa.Column("cache_source", sa.String))


def downgrade() -> None:
    with op.batch_alter_table("ledger_entries") as table:
        table.drop_column("cache_source")
    for name in _SHARED:
        with op.batch_alter_table(name) as table:
            table.drop_column("saved_microusd")
            table.drop_column("cache")
