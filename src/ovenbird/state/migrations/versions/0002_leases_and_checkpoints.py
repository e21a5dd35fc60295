"""Leases with a fence, checkpoints, and what blue-green keeps"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ovenbird.state.tables import Utc

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("rollout_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reached_at", Utc(timezone=True), nullable=False),
        sa.Column("approved_at", Utc(timezone=True), nullable=True),
        sa.Column("approved_by", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["rollout_id"],
            ["rollouts.id"],
        ),
        sa.PrimaryKeyConstraint("rollout_id", "number"),
    )
    with op.batch_alter_table("fleets", schema=None) as batch_op:
        batch_op.add_column(sa.Column("paused_by", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("paused_at", Utc(timezone=True), nullable=True))

    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.add_column(sa.Column("kept_until", Utc(timezone=True), nullable=True))
        batch_op.add_column(sa.Column("condemned_because", sa.Text(), nullable=True))
        batch_op.add_column(
            sa.Column("place", sa.String(length=255), server_default="", nullable=False)
        )

    with op.batch_alter_table("leases", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("host", sa.String(length=255), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("released_at", Utc(timezone=True), nullable=True))

    with op.batch_alter_table("rollouts", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("wish", sa.String(length=16), server_default="", nullable=False)
        )
        batch_op.add_column(sa.Column("wish_by", sa.Text(), server_default="", nullable=False))
        batch_op.add_column(
            sa.Column("emergency", sa.Boolean(), server_default=sa.false(), nullable=False)
        )

    with op.batch_alter_table("site", schema=None) as batch_op:
        batch_op.add_column(sa.Column("key_check", sa.String(length=64), nullable=True))

    with op.batch_alter_table("steps", schema=None) as batch_op:
        batch_op.add_column(sa.Column("fence", sa.Integer(), server_default="0", nullable=False))
        batch_op.add_column(sa.Column("attempts", sa.Integer(), server_default="1", nullable=False))
