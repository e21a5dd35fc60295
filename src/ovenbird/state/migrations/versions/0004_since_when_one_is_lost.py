"""Since when an engine says that an instance is gone"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ovenbird.state.tables import Utc

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    with op.batch_alter_table("instances", schema=None) as batch_op:
        batch_op.add_column(sa.Column("lost_at", Utc(timezone=True), nullable=True))
