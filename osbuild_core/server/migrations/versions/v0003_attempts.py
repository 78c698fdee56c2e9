"""Which attempt at a compose counts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0003"
down_revision = "v0002"


def upgrade() -> None:
    """Add the column."""
    op.add_column("composes", sa.Column("attempt", sa.String(length=64), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("composes", "attempt")
