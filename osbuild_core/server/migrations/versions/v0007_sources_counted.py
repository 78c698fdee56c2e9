"""Counts of composes by their source, that triggers keep."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0007"
down_revision = "v0006"

_GROUP = ("source", "owner", "source_type", "state")


def _values(row: str) -> list[str]:
    return [f"substr({row}source, 1, 100)", *(f"{row}{name}" for name in _GROUP[1:])]


def _add(row: str, n: int) -> str:
    columns = ", ".join(_GROUP)
    return f"INSERT INTO compose_source_counts ({columns}, n) VALUES ({', '.join(_values(f'{row}.'))}, {n});"


def _sqlite() -> list[str]:
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _GROUP)
    return [
        f"CREATE TRIGGER composes_sourced_i AFTER INSERT ON composes BEGIN {_add('NEW', 1)} END",
        f"CREATE TRIGGER composes_sourced_u AFTER UPDATE OF {', '.join(_GROUP)} ON composes WHEN {changed}"
        f" BEGIN {_add('OLD', -1)} {_add('NEW', 1)} END",
        f"CREATE TRIGGER composes_sourced_d AFTER DELETE ON composes BEGIN {_add('OLD', -1)} END",
    ]


def _postgresql() -> list[str]:
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _GROUP)
    return [
        "CREATE FUNCTION composes_sourced() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP = 'INSERT' THEN {_add('NEW', 1)}"
        f" ELSIF TG_OP = 'DELETE' THEN {_add('OLD', -1)}"
        f" ELSIF {changed} THEN {_add('OLD', -1)} {_add('NEW', 1)} END IF;"
        " RETURN NULL; END $$",
        f"CREATE TRIGGER composes_sourced AFTER INSERT OR DELETE OR UPDATE OF {', '.join(_GROUP)} ON composes"
        " FOR EACH ROW EXECUTE FUNCTION composes_sourced()",
    ]


def upgrade() -> None:
    """Make the table, its triggers and its index, and count what is there."""
    op.create_table(
        "compose_source_counts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("source", sa.String(length=100), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("source_type", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("compose_source_counts_group", "compose_source_counts", list(_GROUP))
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _sqlite() if is_sqlite else _postgresql():
        op.execute(statement)
    values = ", ".join(_values(""))
    op.execute(
        f"INSERT INTO compose_source_counts ({', '.join(_GROUP)}, n)"
        f" SELECT {values}, count(*) FROM composes GROUP BY {values}"
    )


def downgrade() -> None:
    """Remove them."""
    if op.get_bind().dialect.name == "sqlite":
        for name in ("composes_sourced_i", "composes_sourced_u", "composes_sourced_d"):
            op.execute(f"DROP TRIGGER {name}")
    else:
        op.execute("DROP TRIGGER composes_sourced ON composes")
        op.execute("DROP FUNCTION composes_sourced()")
    op.drop_index("compose_source_counts_group", table_name="compose_source_counts")
    op.drop_table("compose_source_counts")
