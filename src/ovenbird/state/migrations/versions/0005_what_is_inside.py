"""What is inside an image, who says so, and what a patch run came to"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ovenbird.state.tables import Utc

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    with op.batch_alter_table("versions", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seal", sa.Text(), nullable=True))
        batch_op.add_column(sa.Column("kept_because", sa.Text(), nullable=True))
    with op.batch_alter_table("channels", schema=None) as batch_op:
        batch_op.add_column(sa.Column("seal", sa.Text(), nullable=True))
    op.create_table(
        "inventories",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("packages", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=True),
        sa.Column("read_at", Utc(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"]),
        sa.PrimaryKeyConstraint("version_id", "provider"),
    )
    op.create_table(
        "statements",
        sa.Column("version_id", sa.Integer(), nullable=False),
        sa.Column("provider", sa.String(length=32), nullable=False),
        sa.Column("envelope", sa.Text(), nullable=False),
        sa.Column("signed_at", Utc(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"]),
        sa.PrimaryKeyConstraint("version_id", "provider"),
    )
    op.create_table(
        "updates",
        sa.Column("suite", sa.String(length=160), nullable=False),
        sa.Column("package", sa.String(length=160), nullable=False),
        sa.Column("version", sa.String(length=160), nullable=False),
        sa.Column("first_seen_at", Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("suite", "package", "version"),
    )
    op.create_table(
        "approvals",
        sa.Column("family", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("env", sa.String(length=64), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("because", sa.Text(), nullable=False),
        sa.Column("at", Utc(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("family", "number", "env"),
    )
    op.create_table(
        "patch_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("started_at", Utc(timezone=True), nullable=False),
        sa.Column("ended_at", Utc(timezone=True), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column("scheduled", sa.Boolean(), server_default=sa.false(), nullable=False),
        sa.Column("outcome", sa.String(length=16), server_default="", nullable=False),
        sa.Column("told", sa.JSON(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
