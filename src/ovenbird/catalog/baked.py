"""What a bake hands over, and how the artifacts of several engines become one version."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import Connection, desc, func, insert, select, update

from ovenbird.catalog import store
from ovenbird.catalog.inventory import keep
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import artifacts, versions
from ovenbird.values.image import Artifact, Contract, ImageState, Provenance, Version
from ovenbird.values.package import Inventory
from ovenbird.values.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Baked:
    """What a bake hands over to be registered. ``parent`` is a version's name, or None;
    ``ambient`` are the paths that changed by themselves while it was proven, ``inventory`` is what
    was found inside, ``parts`` are the artifact's files with their SHA-256, where it has some."""

    recipe: Recipe
    packages: str
    packages_at: datetime
    parent: str | None
    contract: Contract
    artifact: Artifact
    provenance: Provenance
    log: str
    ambient: tuple[str, ...] = ()
    inventory: Inventory | None = None
    parts: tuple[tuple[str, str], ...] = ()


def sibling(db: Connection, baked: Baked, *, since: datetime | None) -> Version | None:
    """Find the newest good version of the same recipe and packages without such an artifact.

    With ``since`` one that was baked before it does not count.
    """
    query = (
        select(versions)
        .where(versions.c.family == baked.recipe.family)
        .where(versions.c.fingerprint == baked.recipe.fingerprint)
        .where(versions.c.packages == baked.packages)
        .where(versions.c.state == ImageState.ACTIVE)
        .order_by(desc(versions.c.number))
    )
    if since is not None:
        query = query.where(versions.c.baked_at >= since)
    found = store.read(db, query)
    return next((v for v in found if v.artifact(baked.artifact.provider) is None), None)


def add(
    db: Connection, baked: Baked, *, parent_id: int | None, state: ImageState, because: str
) -> str:
    """Give what was baked the next number of its family, write the history, and return its name."""
    family, artifact = baked.recipe.family, baked.artifact
    last = select(func.max(versions.c.number)).where(versions.c.family == family)
    number = (db.execute(last).scalar() or 0) + 1
    added = db.execute(
        insert(versions).values(
            family=family,
            number=number,
            fingerprint=baked.recipe.fingerprint,
            packages=baked.packages,
            packages_at=baked.packages_at,
            baked_at=artifact.baked_at,
            state=state,
            state_because=because,
            parent_id=parent_id,
            contract=asdict(baked.contract),
            recipe=[list(pair) for pair in baked.recipe.inputs],
            provenance=asdict(baked.provenance),
            log=baked.log,
            ambient=list(baked.ambient),
        )
    )
    version_id = added.inserted_primary_key[0]  # type: ignore[index]
    if baked.inventory is not None:
        keep(db, version_id, baked.inventory, provider=artifact.provider)
    if artifact.id:
        db.execute(insert(artifacts).values(**store.artifact_row(artifact, version_id)))
    name = f"{family}/{number}"
    outcome = "done" if state is ImageState.ACTIVE else "failed"
    _tell(db, baked, name, because=because or baked.provenance.because, outcome=outcome)
    return name


def join(db: Connection, version: Version, version_id: int, baked: Baked) -> None:
    """Give a version one more artifact, and write the history."""
    db.execute(insert(artifacts).values(**store.artifact_row(baked.artifact, version_id)))
    if baked.inventory is not None:
        keep(db, version_id, baked.inventory, provider=baked.artifact.provider)
    ambient = sorted({*version.ambient, *baked.ambient})
    db.execute(update(versions).where(versions.c.id == version_id).values(ambient=ambient))
    after = f"an artifact for {baked.artifact.provider}"
    _tell(db, baked, str(version), because=baked.provenance.because, after=after)


def _tell(
    db: Connection,
    baked: Baked,
    name: str,
    *,
    because: str,
    after: str = "",
    outcome: str = "done",
) -> None:
    deed = Deed(
        at=baked.artifact.baked_at,
        by=baked.provenance.by,
        verb="bake",
        subject=name,
        after=after,
        because=because,
        outcome=outcome,
    )
    record(db, deed)
