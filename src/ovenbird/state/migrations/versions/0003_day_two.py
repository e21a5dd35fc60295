"""What drifted, what is unwanted, jobs, recorded sizes, and the end of a fleet"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ovenbird.state.tables import Utc

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("token", sa.String(length=255), nullable=False),
        sa.Column("path", sa.String(length=1024), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("changed_at", Utc(timezone=True), nullable=True),
        sa.Column("first_seen_at", Utc(timezone=True), nullable=False),
        sa.Column("last_seen_at", Utc(timezone=True), nullable=False),
        sa.Column("repaired_at", Utc(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token", "path"),
    )
    with op.batch_alter_table("fleets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("size_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("size_because", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("size_at", Utc(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("removed_at", Utc(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("described", sa.JSON(), nullable=True))
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.add_column(sa.Column("unwanted_because", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("unwanted_at", Utc(timezone=True), nullable=True))
        batch_op.add_column(
            sa.Column("job", sa.String(length=64), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("exit_code", sa.Integer(), nullable=True))
        batch_op.add_column(
            sa.Column("provider", sa.String(length=32), server_default="", nullable=False)
        )
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("ambient", sa.JSON(), nullable=True))
