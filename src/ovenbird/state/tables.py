"""The tables of a site. Times are UTC; a change here needs a migration beside it."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    false,
)

from ovenbird.state.columns import Utc, metadata
from ovenbird.state.image_tables import (
    approvals,
    artifacts,
    channels,
    inventories,
    patch_runs,
    statements,
    updates,
    versions,
)

__all__ = [
    "Utc",
    "approvals",
    "artifacts",
    "channels",
    "inventories",
    "metadata",
    "patch_runs",
    "statements",
    "updates",
    "versions",
]

site = Table(
    "site",
    metadata,
    Column("id", String(16), primary_key=True),
    Column("made_at", Utc, nullable=False),
    Column("key_check", String(64)),  # tells the site's key from another one, not the key
)

history = Table(
    "history",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("at", Utc, nullable=False),
    Column("by", Text, nullable=False),
    Column("verb", String(32), nullable=False),
    Column("env", String(64), nullable=False, default=""),
    Column("subject", String(160), nullable=False),
    Column("before", Text, nullable=False, default=""),
    Column("after", Text, nullable=False, default=""),
    Column("because", Text, nullable=False, default=""),
    Column("outcome", String(16), nullable=False, default="done"),
)

fleets = Table(
    "fleets",
    metadata,
    Column("env", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("settled", String(96)),  # the version that every launch outside a rollout uses
    Column("settled_hash", String(32)),
    Column("settled_at", Utc),
    Column("size", Integer),  # a recorded override of the file's size
    Column("size_by", Text),
    Column("size_because", Text),
    Column("size_at", Utc),
    Column("removed_at", Utc),  # being ended for good: no launch until a rollout brings it back
    Column("described", JSON),  # the entry that its last rollout used: it may leave the file
    Column("paused_because", Text),
    Column("paused_by", Text),
    Column("paused_at", Utc),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("number", Integer, primary_key=True),  # their order, whatever a clock says
    Column("id", String(64), nullable=False, unique=True),
    Column("env", String(64), nullable=False, index=True),
    Column("fleet", String(64), nullable=False),
    Column("kind", String(16), nullable=False),  # rollout | rollback
    Column("before", String(96), nullable=False, default=""),
    Column("goal", String(96), nullable=False),
    Column("goal_hash", String(32), nullable=False),
    Column("untried", Boolean, nullable=False),
    Column("owner", Text, nullable=False),
    Column("because", Text, nullable=False, default=""),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("outcome", String(16), nullable=False, default="running"),
    Column("told", Text, nullable=False, default=""),
    Column("wish", String(16), nullable=False, server_default=""),  # cancel: heard between calls
    Column("wish_by", Text, nullable=False, server_default=""),
    Column("emergency", Boolean, nullable=False, server_default=false()),
)

checkpoints = Table(  # how far a stepped rollout has come, and since when it soaks
    "checkpoints",
    metadata,
    Column("rollout_id", String(64), ForeignKey("rollouts.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("reached_at", Utc, nullable=False),
    Column("approved_at", Utc),
    Column("approved_by", Text),
)

steps = Table(
    "steps",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("rollout_id", String(64), ForeignKey("rollouts.id"), nullable=False, index=True),
    Column("wave", Integer, nullable=False),
    Column("verb", String(16), nullable=False),
    Column("token", String(255), nullable=False),
    Column("because", Text, nullable=False),
    Column("intended_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("outcome", String(16), nullable=False, default="intended"),
    Column("fence", Integer, nullable=False, server_default="0"),  # of the driver that took it
    Column("attempts", Integer, nullable=False, server_default="1"),
)

instances = Table(
    "instances",
    metadata,
    Column("token", String(255), primary_key=True),
    Column("env", String(64), nullable=False),
    Column("fleet", String(64), nullable=False),
    Column("version", String(96), nullable=False),
    Column("launch_hash", String(32), nullable=False),
    Column("slot", Integer, nullable=False),
    Column("rollout_id", String(64)),
    Column("intended_at", Utc, nullable=False),
    Column("launched_at", Utc),  # when its engine first listed it
    Column("accepted_at", Utc),
    Column("lost_at", Utc),  # since when its engine says that it is gone
    Column("quarantined_until", Utc),
    Column("unwanted_because", Text),  # to be replaced, whatever it runs
    Column("unwanted_at", Utc),
    Column("kept_until", Utc),  # out of service, for a switch back
    Column("job", String(64), nullable=False, server_default=""),  # no member of its fleet
    Column("exit_code", Integer),  # of a job
    Column("provider", String(32), nullable=False, server_default=""),
    Column("condemned_because", Text),  # it answers, and is not good enough all the same
    Column("place", String(255), nullable=False, server_default=""),  # the engine that has it
    Column("ended_at", Utc),
    Column("ended_because", Text),
    Column("console", Text),
)

changes = Table(  # what was found to differ from the image, and since when it is known
    "changes",
    metadata,
    Column("token", String(255), primary_key=True),
    Column("path", String(1024), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("changed_at", Utc),  # where the engine knows
    Column("first_seen_at", Utc, nullable=False),
    Column("last_seen_at", Utc, nullable=False),
    Column("repaired_at", Utc),  # its instance was given up because of it
)

pins = Table(  # what a rollback left: refused in its fleet until somebody unpins
    "pins",
    metadata,
    Column("env", String(64), primary_key=True),
    Column("fleet", String(64), primary_key=True),
    Column("version", String(96), primary_key=True),
    Column("because", Text, nullable=False),
    Column("at", Utc, nullable=False),
)

failed_goals = Table(
    "failed_goals",
    metadata,
    Column("env", String(64), primary_key=True),
    Column("fleet", String(64), primary_key=True),
    Column("version", String(96), primary_key=True),
    Column("launch_hash", String(32), primary_key=True),
    Column("at", Utc, nullable=False),
    Column("because", Text, nullable=False),
)

served = Table(
    "served",
    metadata,
    Column("env", String(64), primary_key=True),
    Column("fleet", String(64), primary_key=True),
    Column("version", String(96), primary_key=True),
    Column("first_at", Utc, nullable=False),
)

launch_data = Table(
    "launch_data",
    metadata,
    Column("env", String(64), primary_key=True),
    Column("fleet", String(64), primary_key=True),
    Column("hash", String(32), nullable=False),
    Column("resolved_at", Utc, nullable=False),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(160), primary_key=True),
    Column("holder", Text, nullable=False),
    Column("because", Text, nullable=False, default=""),
    Column("taken_at", Utc, nullable=False),
    Column("heartbeat_at", Utc, nullable=False),
    Column("fence", Integer, nullable=False),
    Column("host", String(255), nullable=False, server_default=""),
    Column("released_at", Utc),
)
