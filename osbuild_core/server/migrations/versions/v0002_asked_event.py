"""The revision that a compose was asked for, beside the one that was found."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0002"
down_revision = "v0001"


def upgrade() -> None:
    """Add the column. What was asked for before is not known: what was found has to do."""
    op.add_column("composes", sa.Column("asked_event", sa.BigInteger(), nullable=True))
    op.execute("UPDATE composes SET asked_event = koji_event")


def downgrade() -> None:
    """Remove it."""
    op.drop_column("composes", "asked_event")
