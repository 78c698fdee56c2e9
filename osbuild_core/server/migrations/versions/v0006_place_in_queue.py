"""The queue is in the order of requests, whatever was tried before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0006"
down_revision = "v0005"


def upgrade() -> None:
    """Add the columns. What is there keeps its order, before all that comes: places are seconds since 1970."""
    op.add_column("work", sa.Column("place", sa.Float(precision=53), nullable=False, server_default="0"))
    op.add_column("work", sa.Column("waits_for", sa.BigInteger(), nullable=True))
    op.execute("UPDATE work SET place = id")
    op.create_index("work_place", "work", ["place", "id"])
    op.drop_index("work_ready", table_name="work")


def downgrade() -> None:
    """Remove them."""
    op.create_index("work_ready", "work", ["ready_at", "id"])
    op.drop_index("work_place", table_name="work")
    op.drop_column("work", "waits_for")
    op.drop_column("work", "place")
