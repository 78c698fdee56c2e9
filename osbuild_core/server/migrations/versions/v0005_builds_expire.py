"""Builds live for a time, as composes do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from alembic import op

revision = "v0005"
down_revision = "v0004"

_DAYS = 7
"""For builds that are there; they count from today on, so that nothing goes with the upgrade."""


def upgrade() -> None:
    """Add the columns."""
    op.add_column("builds", sa.Column("time_to_expire", sa.DateTime(), nullable=True))
    op.add_column("builds", sa.Column("time_removed", sa.DateTime(), nullable=True))
    op.create_index("builds_expiry", "builds", ["state", "time_removed", "time_to_expire"])
    builds = sa.table("builds", sa.column("time_to_expire", sa.DateTime()))
    until = datetime.now(UTC).replace(tzinfo=None) + timedelta(days=_DAYS)
    op.execute(builds.update().values(time_to_expire=until))


def downgrade() -> None:
    """Remove them. Builds that were removed had failed, as far as an older program knows."""
    op.execute("UPDATE builds SET state = 4 WHERE state = 3")
    op.drop_index("builds_expiry", table_name="builds")
    op.drop_column("builds", "time_removed")
    op.drop_column("builds", "time_to_expire")
