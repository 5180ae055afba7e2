"""Usage: image tokens, which some providers charge differently from text."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("ledger_entries") as table:
        table.add_column(sa.Column("input_image_tokens", sa.BigInteger, nullable=False, server_default="0"))
        table.add_column(sa.Column("output_image_tokens", sa.BigInteger, nullable=False, server_default="0"))


def downgrade() -> None:
    with op.batch_alter_table("ledger_entries") as table:
        table.drop_column("output_image_tokens")
        table.drop_column("input_image_tokens")
