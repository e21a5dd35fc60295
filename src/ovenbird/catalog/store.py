"""The rows of the catalog as values, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from ovenbird.state.tables import artifacts, channels, versions
from ovenbird.values.image import (
    Artifact,
    Contract,
    ImageState,
    Provenance,
    StopPolicy,
    Version,
)


def read(db: Connection, where: Select[Any]) -> list[Version]:
    """Return whole versions (artifacts, channels and parent's name) for a query on versions."""
    rows = db.execute(where).all()
    ids = [row.id for row in rows]
    held = _grouped(db.execute(select(artifacts).where(artifacts.c.version_id.in_(ids))).all())
    named = _grouped(db.execute(select(channels).where(channels.c.version_id.in_(ids))).all())
    parents = {row.parent_id for row in rows if row.parent_id}
    found = db.execute(
        select(versions.c.id, versions.c.family, versions.c.number).where(
            versions.c.id.in_(parents)
        )
    )
    names = {row.id: f"{row.family}/{row.number}" for row in found}
    return [
        Version(
            family=row.family,
            number=row.number,
            fingerprint=row.fingerprint,
            packages=row.packages,
            packages_at=row.packages_at,
            baked_at=row.baked_at,
            state=ImageState(row.state),
            state_because=row.state_because,
            parent=names.get(row.parent_id),
            channels=tuple(sorted(c.name for c in named.get(row.id, ()))),
            artifacts=tuple(_artifact(a) for a in held.get(row.id, ())),
            contract=contract_of(row.contract),
            provenance=provenance_of(row.provenance),
            log=row.log,
            ambient=tuple(row.ambient or ()),
        )
        for row in rows
    ]


def held_by(db: Connection) -> dict[int, tuple[Artifact, ...]]:
    """Return every artifact of the catalog, by the row of its version."""
    rows = _grouped(db.execute(select(artifacts).order_by(artifacts.c.id)).all())
    return {id_: tuple(_artifact(row) for row in mine) for id_, mine in rows.items()}


def named_by(db: Connection) -> dict[int, tuple[str, ...]]:
    """Return the names of all channels, by the row of the version that they point at."""
    rows = _grouped(db.execute(select(channels)).all())
    return {id_: tuple(sorted(row.name for row in mine)) for id_, mine in rows.items()}


def contract_of(data: dict[str, Any]) -> Contract:
    return Contract(
        port=data["port"],
        config=tuple(data["config"]),
        secrets=tuple(data["secrets"]),
        stop=StopPolicy(**data["stop"]),
        writable=tuple(data["writable"]),
        jobs=tuple((name, tuple(argv)) for name, argv in data.get("jobs", ())),
    )


def provenance_of(data: dict[str, Any]) -> Provenance:
    tools = tuple((name, version) for name, version in data["tools"])
    return Provenance(
        by=data["by"],
        because=data["because"],
        tools=tools,
        sources=tuple(data.get("sources", ())),
    )


def artifact_row(artifact: Artifact, version_id: int) -> dict[str, Any]:
    row = asdict(artifact)
    held = row.pop("id")
    return {**row, "artifact": held, "version_id": version_id}


def _artifact(row: Row[Any]) -> Artifact:
    return Artifact(
        provider=row.provider,
        id=row.artifact,
        template=row.template,
        parent=row.parent,
        token=row.token,
        location=row.location,
        size=row.size,
        baked_at=row.baked_at,
    )


def _grouped(rows: Sequence[Row[Any]]) -> dict[int, list[Row[Any]]]:
    groups: dict[int, list[Row[Any]]] = {}
    for row in rows:
        groups.setdefault(row.version_id, []).append(row)
    return groups
