"""Objects that clients leave with the gateway: stored responses, files, batches."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "objects",
        sa.Column("kind", sa.String, primary_key=True),
        sa.Column("tenant", sa.String, primary_key=True),
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("expires_us", sa.BigInteger),
        sa.Column("status", sa.String, nullable=False),
        sa.Column("parent", sa.String, nullable=False),
        sa.Column("meta", sa.LargeBinary, nullable=False),
        sa.Column("content", sa.LargeBinary),
    )
    op.create_index("ix_objects_parent", "objects", ["parent", "tenant", "kind"])
    op.create_index("ix_objects_expires", "objects", ["expires_us"])
    op.create_index("ix_objects_status", "objects", ["kind", "status"])


def downgrade() -> None:
    op.drop_table("objects")
