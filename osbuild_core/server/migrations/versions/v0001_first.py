"""Composes, builds, the queue, workers and tokens."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "v0001"
down_revision = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("user", sa.String(length=255), nullable=False),
        sa.Column("groups", sa.JSON(), nullable=False),
        sa.Column("read_only", sa.Boolean(), nullable=False),
        sa.Column("time_created", sa.DateTime(), nullable=False),
        sa.Column("time_to_expire", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "builds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("exports", sa.JSON(), nullable=False),
        sa.Column("time_submitted", sa.DateTime(), nullable=False),
        sa.Column("time_started", sa.DateTime(), nullable=True),
        sa.Column("time_done", sa.DateTime(), nullable=True),
        sa.Column("manifest", sa.JSON(), nullable=False),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("builds_owner", "builds", ["owner", "id"], unique=False)
    op.create_index("builds_state", "builds", ["state", "id"], unique=False)
    op.create_table(
        "composes",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("source_type", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("koji_event", sa.BigInteger(), nullable=True),
        sa.Column("packages", sa.Text(), nullable=False),
        sa.Column("builds", sa.Text(), nullable=False),
        sa.Column("sigkeys", sa.Text(), nullable=False),
        sa.Column("flags", sa.Integer(), nullable=False),
        sa.Column("results", sa.Integer(), nullable=False),
        sa.Column("arches", sa.Text(), nullable=False),
        sa.Column("multilib_arches", sa.Text(), nullable=False),
        sa.Column("multilib_method", sa.Integer(), nullable=False),
        sa.Column("lookaside_repos", sa.Text(), nullable=False),
        sa.Column("modular_koji_tags", sa.Text(), nullable=False),
        sa.Column("module_defaults_url", sa.Text(), nullable=True),
        sa.Column("modules", sa.Text(), nullable=False),
        sa.Column("scratch_modules", sa.Text(), nullable=False),
        sa.Column("scratch_build_tasks", sa.Text(), nullable=False),
        sa.Column("parent_pungi_compose_ids", sa.Text(), nullable=False),
        sa.Column("base_module_br_name", sa.Text(), nullable=True),
        sa.Column("base_module_br_stream", sa.Text(), nullable=True),
        sa.Column("base_module_br_stream_version_lte", sa.BigInteger(), nullable=True),
        sa.Column("base_module_br_stream_version_gte", sa.BigInteger(), nullable=True),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("compose_type", sa.String(length=255), nullable=False),
        sa.Column("target_dir", sa.String(length=255), nullable=False),
        sa.Column("respin_of", sa.Text(), nullable=True),
        sa.Column("state", sa.Integer(), nullable=False),
        sa.Column("state_reason", sa.Text(), nullable=True),
        sa.Column("time_submitted", sa.DateTime(), nullable=False),
        sa.Column("time_to_expire", sa.DateTime(), nullable=False),
        sa.Column("time_started", sa.DateTime(), nullable=True),
        sa.Column("time_done", sa.DateTime(), nullable=True),
        sa.Column("time_removed", sa.DateTime(), nullable=True),
        sa.Column("removed_by", sa.String(length=255), nullable=True),
        sa.Column("reused_id", sa.BigInteger(), nullable=True),
        sa.Column("pungi_compose_id", sa.Text(), nullable=True),
        sa.Column("koji_task_id", sa.BigInteger(), nullable=True),
        sa.Column("result_repo", sa.Text(), nullable=True),
        sa.Column("result_repofile", sa.Text(), nullable=True),
        sa.Column("locked", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("composes_done", "composes", ["time_done"], unique=False)
    op.create_index("composes_expire", "composes", ["time_to_expire"], unique=False)
    op.create_index("composes_expiry", "composes", ["state", "time_to_expire"], unique=False)
    op.create_index("composes_owner", "composes", ["owner", "id"], unique=False)
    op.create_index("composes_owner_state", "composes", ["owner", "state", "id"], unique=False)
    op.create_index("composes_removed", "composes", ["time_removed"], unique=False)
    op.create_index("composes_reused", "composes", ["reused_id"], unique=False)
    op.create_index("composes_state", "composes", ["state", "id"], unique=False)
    op.create_index("composes_submitted", "composes", ["time_submitted"], unique=False)
    op.create_index("composes_type_state", "composes", ["source_type", "state", "id"], unique=False)
    op.create_table(
        "work",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("subject_id", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("ready_at", sa.Float(precision=53), nullable=False),
        sa.Column("lease_holder", sa.String(length=255), nullable=True),
        sa.Column("lease_until", sa.Float(precision=53), nullable=True),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("cancelled_by", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index("work_owner", "work", ["owner"], unique=False)
    op.create_index("work_ready", "work", ["ready_at", "id"], unique=False)
    op.create_index("work_subject", "work", ["kind", "subject_id"], unique=True)
    op.create_table(
        "workers",
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("seen", sa.Float(precision=53), nullable=False),
        sa.Column("busy", sa.Integer(), nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "build_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("build_id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["build_id"], ["builds.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("build_events_build", "build_events", ["build_id", "id"], unique=False)


def downgrade() -> None:
    """Remove them with all that is in them."""
    op.drop_index("build_events_build", table_name="build_events")
    op.drop_table("build_events")
    op.drop_table("workers")
    op.drop_index("work_subject", table_name="work")
    op.drop_index("work_ready", table_name="work")
    op.drop_index("work_owner", table_name="work")
    op.drop_table("work")
    op.drop_index("composes_type_state", table_name="composes")
    op.drop_index("composes_submitted", table_name="composes")
    op.drop_index("composes_state", table_name="composes")
    op.drop_index("composes_reused", table_name="composes")
    op.drop_index("composes_removed", table_name="composes")
    op.drop_index("composes_owner_state", table_name="composes")
    op.drop_index("composes_owner", table_name="composes")
    op.drop_index("composes_expiry", table_name="composes")
    op.drop_index("composes_expire", table_name="composes")
    op.drop_index("composes_done", table_name="composes")
    op.drop_table("composes")
    op.drop_index("builds_state", table_name="builds")
    op.drop_index("builds_owner", table_name="builds")
    op.drop_table("builds")
    op.drop_table("api_tokens")
