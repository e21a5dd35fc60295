"""The tables of images: what there is, what is inside, who says so, and how far it has come."""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
)

from ovenbird.state.columns import Utc, metadata

versions = Table(
    "versions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("family", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("fingerprint", String(64), nullable=False, index=True),
    Column("packages", String(64), nullable=False),
    Column("packages_at", Utc, nullable=False),
    Column("baked_at", Utc, nullable=False),
    Column("state", String(16), nullable=False),
    Column("state_because", Text, nullable=False, default=""),
    Column("parent_id", Integer, ForeignKey("versions.id")),
    Column("contract", JSON, nullable=False),
    Column("recipe", JSON, nullable=False),
    Column("provenance", JSON, nullable=False),
    Column("log", Text, nullable=False, default=""),
    Column("ambient", JSON),  # paths that changed by themselves while it was proven
    Column("seal", Text),  # a signature over its state and what it is made of
    Column("kept_because", Text),  # why no clean-up may ever take it
    UniqueConstraint("family", "number"),
)

artifacts = Table(
    "artifacts",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("provider", String(32), nullable=False),
    Column("artifact", Text, nullable=False),
    Column("template", String(64), nullable=False),
    Column("parent", Text, nullable=False),
    Column("token", String(255), nullable=False),
    Column("location", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("baked_at", Utc, nullable=False),
    UniqueConstraint("version_id", "provider"),
)

channels = Table(
    "channels",
    metadata,
    Column("family", String(64), primary_key=True),
    Column("name", String(64), primary_key=True),
    Column("version_id", Integer, ForeignKey("versions.id"), nullable=False),
    Column("assigned_at", Utc, nullable=False),
    Column("by", Text, nullable=False),
    Column("because", Text, nullable=False, default=""),
    Column("seal", Text),  # a signature over where it points
)

inventories = Table(  # what is installed in an artifact, read while it was proven
    "inventories",
    metadata,
    Column("version_id", Integer, ForeignKey("versions.id"), primary_key=True),
    Column("provider", String(32), primary_key=True),
    Column("packages", JSON, nullable=False),
    Column("files", JSON),  # path → what is there, of all that no package brought
    Column("read_at", Utc, nullable=False),
)

statements = Table(  # signed: how an artifact was made
    "statements",
    metadata,
    Column("version_id", Integer, ForeignKey("versions.id"), primary_key=True),
    Column("provider", String(32), primary_key=True),
    Column("envelope", Text, nullable=False),
    Column("signed_at", Utc, nullable=False),
)

updates = Table(  # since when an update of a package is known here
    "updates",
    metadata,
    Column("suite", String(160), primary_key=True),
    Column("package", String(160), primary_key=True),
    Column("version", String(160), primary_key=True),
    Column("first_seen_at", Utc, nullable=False),
)

approvals = Table(
    "approvals",
    metadata,
    Column("family", String(64), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("env", String(64), primary_key=True),
    Column("by", Text, nullable=False),
    Column("because", Text, nullable=False, default=""),
    Column("at", Utc, nullable=False),
)

patch_runs = Table(
    "patch_runs",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", Utc, nullable=False),
    Column("ended_at", Utc),
    Column("by", Text, nullable=False),
    Column("scheduled", Boolean, nullable=False, server_default=false()),
    Column("outcome", String(16), nullable=False, server_default=""),
    Column("told", JSON),  # what each family came to
)
