"""Lists of many composes: counts that triggers keep, an index for each order and filter."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "v0004"
down_revision = "v0003"

_GROUP = ("owner", "source_type", "state", "compose_type", "label")
_NEW: dict[str, list[Any]] = {
    "composes_done": ["time_done", "id"],
    "composes_event": ["koji_event", "id"],
    "composes_expire": ["time_to_expire", "id"],
    "composes_kind": ["compose_type", "id"],
    "composes_label": [sa.literal_column("substr(label, 1, 100)"), "id"],
    "composes_pungi_id": [sa.literal_column("substr(pungi_compose_id, 1, 100)"), "id"],
    "composes_removed": ["time_removed", "id"],
    "composes_source": [sa.literal_column("substr(source, 1, 100)"), "id", "state"],
    "composes_submitted": ["time_submitted", "id"],
    "composes_task": ["koji_task_id", "id"],
    "composes_type": ["source_type", "id"],
}
_OLD: dict[str, list[Any]] = {
    "composes_done": ["time_done"],
    "composes_expire": ["time_to_expire"],
    "composes_removed": ["time_removed"],
    "composes_submitted": ["time_submitted"],
}


def _add(row: str, n: int) -> str:
    values = ", ".join(f"{row}.{name}" for name in _GROUP)
    return f"INSERT INTO compose_counts ({', '.join(_GROUP)}, n) VALUES ({values}, {n});"


def _sqlite() -> list[str]:
    changed = " OR ".join(f"OLD.{name} IS NOT NEW.{name}" for name in _GROUP)
    return [
        f"CREATE TRIGGER composes_counted_i AFTER INSERT ON composes BEGIN {_add('NEW', 1)} END",
        f"CREATE TRIGGER composes_counted_u AFTER UPDATE OF {', '.join(_GROUP)} ON composes WHEN {changed}"
        f" BEGIN {_add('OLD', -1)} {_add('NEW', 1)} END",
        f"CREATE TRIGGER composes_counted_d AFTER DELETE ON composes BEGIN {_add('OLD', -1)} END",
    ]


def _postgresql() -> list[str]:
    changed = " OR ".join(f"OLD.{name} IS DISTINCT FROM NEW.{name}" for name in _GROUP)
    return [
        "CREATE FUNCTION composes_counted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        f" IF TG_OP = 'INSERT' THEN {_add('NEW', 1)}"
        f" ELSIF TG_OP = 'DELETE' THEN {_add('OLD', -1)}"
        f" ELSIF {changed} THEN {_add('OLD', -1)} {_add('NEW', 1)} END IF;"
        " RETURN NULL; END $$",
        f"CREATE TRIGGER composes_counted AFTER INSERT OR DELETE OR UPDATE OF {', '.join(_GROUP)} ON composes"
        " FOR EACH ROW EXECUTE FUNCTION composes_counted()",
    ]


def upgrade() -> None:
    """Make the table, its triggers and the indexes, and count what is there."""
    op.create_table(
        "compose_counts",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("source_type", sa.Integer(), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("compose_type", sa.String(length=255), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("compose_counts_owner", "compose_counts", ["owner", "state"])
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    for statement in _sqlite() if is_sqlite else _postgresql():
        op.execute(statement)
    group = ", ".join(_GROUP)
    op.execute(
        f"INSERT INTO compose_counts ({group}, n) SELECT {group}, count(*) FROM composes GROUP BY {group}"
    )
    for name in _OLD:
        op.drop_index(name, table_name="composes")
    for name, columns in _NEW.items():
        op.create_index(name, "composes", columns)


def downgrade() -> None:
    """Remove them."""
    for name in _NEW:
        op.drop_index(name, table_name="composes")
    for name, columns in _OLD.items():
        op.create_index(name, "composes", columns)
    if op.get_bind().dialect.name == "sqlite":
        for name in ("composes_counted_i", "composes_counted_u", "composes_counted_d"):
            op.execute(f"DROP TRIGGER {name}")
    else:
        op.execute("DROP TRIGGER composes_counted ON composes")
        op.execute("DROP FUNCTION composes_counted()")
    op.drop_index("compose_counts_owner", table_name="compose_counts")
    op.drop_table("compose_counts")
