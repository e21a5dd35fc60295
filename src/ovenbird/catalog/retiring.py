"""How an image leaves: marked first, so that nothing launches it any more, and its artifacts after.

A retired version keeps its row, its lineage and its history; what is left of its artifacts in the
catalog is what is still to be deleted. Nobody brings it back.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, delete, func, select, update

from ovenbird.catalog import store
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import artifacts, versions
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.image import Artifact, ImageRef, ImageState, Provenance, Version


def every_version(db: Connection) -> list[Version]:
    """Read the whole catalog in this transaction: all that decides who stays, and no contracts,
    provenances and paths, which are most of what there is to read."""
    mine, parent = versions.c, versions.alias()
    heavy = {"contract", "recipe", "provenance", "ambient", "seal"}
    light = [column for column in mine if column.name not in heavy]
    above = (parent.c.family.label("above"), parent.c.number.label("above_number"))
    query = select(*light, *above).outerjoin(parent, parent.c.id == mine.parent_id)
    held, named = store.held_by(db), store.named_by(db)
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
            log=row.log,
            parent=f"{row.above}/{row.above_number}" if row.above else None,
            artifacts=held.get(row.id, ()),
            channels=named.get(row.id, ()),
            provenance=Provenance(by="", because=""),
        )
        for row in db.execute(query.order_by(mine.id))
    ]


def retire(db: Connection, version: Version, *, by: str, because: str, at: datetime) -> None:
    """Mark it as one whose artifacts are being deleted; what it was stands in its because."""
    was = f"; it was {version.state}: {version.state_because}" if version.state_because else ""
    db.execute(
        update(versions)
        .where(_is(version))
        .values(state=ImageState.RETIRED, state_because=f"{because}{was}")
    )
    after = ImageState.RETIRED
    _tell(db, "retire", version, by=by, because=because, at=at, before=version.state, after=after)


def unfinished(everything: Sequence[Version]) -> list[Version]:
    """List the retired ones that still have an artifact: somebody stopped half-way."""
    return [v for v in everything if v.state is ImageState.RETIRED and v.artifacts]


def is_shared(db: Connection, artifact: Artifact) -> bool:
    """Say whether another version has the very same artifact: an engine that names images by their
    content keeps two equal ones once."""
    query = select(func.count()).where(
        artifacts.c.provider == artifact.provider, artifacts.c.artifact == artifact.id
    )
    return int(db.execute(query).scalar_one()) > 1


def forget(db: Connection, version: Version, artifact: Artifact, *, by: str, at: datetime) -> None:
    """Take an artifact that its engine holds no more out of the catalog."""
    mine = select(versions.c.id).where(_is(version)).scalar_subquery()
    here = (artifacts.c.version_id == mine) & (artifacts.c.provider == artifact.provider)
    if db.execute(delete(artifacts).where(here)).rowcount:
        told = f"{artifact.provider} {artifact.id}"
        _tell(db, "delete", version, by=by, because="retired", at=at, before=told, after="")


def forget_log(db: Connection, version: Version) -> None:
    """Note that the log of its bake is gone."""
    db.execute(update(versions).where(_is(version)).values(log=""))


def keep(database: Database, ref: ImageRef, *, by: str, because: str | None, at: datetime) -> bool:
    """Keep a version from every clean-up and say why, or with None no longer.

    False where it was so already. Raises `Blocked` for one that is retired.
    """
    if ref.version is None:
        raise ConfigurationError.of(
            f"{ref} is a channel, and what it means may be another image tomorrow.",
            remedy=f"Name a version: invoke image.list --family {ref.family}",
        )
    with database.begin() as db:
        found = store.read(
            db,
            select(versions)
            .where(versions.c.family == ref.family)
            .where(versions.c.number == ref.version),
        )
        if not found:
            raise ConfigurationError.of(
                f"There is no image {ref}.", remedy=f"invoke image.list --family {ref.family}"
            )
        (version,) = found
        if version.state is ImageState.RETIRED:
            raise Blocked(
                f"{version} is retired: {version.state_because}.",
                remedy="Nothing is left of it to keep. Bake its recipe again: "
                f"invoke bake {version.family} --force",
            )
        before = db.execute(select(versions.c.kept_because).where(_is(version))).scalar()
        if before == because:
            return False
        db.execute(update(versions).where(_is(version)).values(kept_because=because))
        told, verb = because or "", "keep" if because is not None else "unkeep"
        _tell(db, verb, version, by=by, because=told, at=at, before=before or "", after=told)
        return True


def _is(version: Version) -> ColumnElement[bool]:
    return (versions.c.family == version.family) & (versions.c.number == version.number)


def _tell(
    db: Connection,
    verb: str,
    version: Version,
    *,
    by: str,
    because: str,
    at: datetime,
    before: str,
    after: str,
) -> None:
    deed = Deed(
        at=at,
        by=by,
        verb=verb,
        subject=str(version),
        before=before,
        after=after,
        because=because,
    )
    record(db, deed)
