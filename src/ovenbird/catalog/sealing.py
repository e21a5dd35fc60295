"""Sign what the catalog says, in the transaction that writes it; and hold it against that later."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from ovenbird.catalog import claims
from ovenbird.state.database import Database
from ovenbird.state.image_tables import channels, statements, versions
from ovenbird.state.tables import site
from ovenbird.values.errors import Tampered
from ovenbird.values.image import Artifact, ImageState, Version
from ovenbird.values.recipe import Recipe
from ovenbird.values.seal import Sealed, Seals


def recipe_of(db: Connection, version: Version) -> Recipe:
    """Read what went into a version."""
    query = select(versions.c.recipe).where(_is(version))
    inputs = db.execute(query).scalar_one()
    return Recipe(family=version.family, inputs=tuple((n, h) for n, h in inputs))


def seal(db: Connection, version: Version, seals: Seals) -> None:
    """Sign a version's state and what it is made of, as the catalog has it now."""
    envelope = seals.close(_claim(db, version), Sealed.VERSION)
    db.execute(update(versions).where(_is(version)).values(seal=envelope))


def seal_channel(db: Connection, version: Version, name: str, at: datetime, seals: Seals) -> None:
    """Sign where a channel points."""
    claim = claims.of_channel(f"{version.family}@{name}", str(version), at.astimezone(UTC))
    here = (channels.c.family == version.family) & (channels.c.name == name)
    db.execute(update(channels).where(here).values(seal=seals.close(claim, Sealed.CHANNEL)))


def attest(
    db: Connection,
    version: Version,
    artifact: Artifact,
    seals: Seals,
    *,
    parts: Sequence[tuple[str, str]] = (),
) -> None:
    """Sign how an artifact was made."""
    recipe, site_id = recipe_of(db, version), _site(db)
    claim = claims.statement(version, recipe, artifact, site=site_id, parts=parts)
    version_id = db.execute(select(versions.c.id).where(_is(version))).scalar_one()
    mine = (statements.c.version_id == version_id) & (statements.c.provider == artifact.provider)
    db.execute(delete(statements).where(mine))
    db.execute(
        insert(statements).values(
            version_id=version_id,
            provider=artifact.provider,
            envelope=seals.close(claim, Sealed.STATEMENT),
            signed_at=artifact.baked_at,
        )
    )


def envelope_of(db: Connection, version: Version, provider: str) -> str | None:
    """Return the signed statement of an artifact."""
    query = (
        select(statements.c.envelope)
        .join(versions)
        .where(_is(version), statements.c.provider == provider)
    )
    found: str | None = db.execute(query).scalar()
    return found


def require_version(db: Connection, version: Version, seals: Seals) -> None:
    """Raise `Tampered` unless a version's row says what was signed, and its recipe is that."""
    envelope = db.execute(select(versions.c.seal).where(_is(version))).scalar()
    signed = seals.open(envelope, Sealed.VERSION, called=str(version))
    if signed != (claim := _claim(db, version)):
        was, now = json.loads(signed), json.loads(claim)
        differs = ", ".join(sorted(key for key in now if was.get(key) != now[key]))
        raise Tampered(
            f"The catalog says another thing of {version} than what was signed: {differs}.",
            remedy="Nothing was launched. Find out who changed the database; restore it from a "
            "backup, or bake the image again.",
        )
    if recipe_of(db, version).fingerprint != version.fingerprint:
        raise Tampered(
            f"The recipe of {version} is not the one that its fingerprint names.",
            remedy="Nothing was launched. Find out who changed the database, and bake it again.",
        )


def require_channel(db: Connection, version: Version, name: str, seals: Seals) -> None:
    """Raise `Tampered` unless a channel points where somebody with a key has pointed it."""
    here = (channels.c.family == version.family) & (channels.c.name == name)
    row = db.execute(select(channels).where(here)).one()
    called = f"{version.family}@{name}"
    signed = seals.open(row.seal, Sealed.CHANNEL, called=called)
    if signed != claims.of_channel(called, str(version), row.assigned_at.astimezone(UTC)):
        raise Tampered(
            f"{called} points at {version}, and {json.loads(signed)['image']} was signed.",
            remedy="Nothing was launched. Find out who changed the database; then assign it "
            f"again: invoke image.promote {version.family}/NUMBER {name}",
        )


def require_artifact(db: Connection, version: Version, artifact: Artifact, seals: Seals) -> None:
    """Raise `Tampered` unless the statement of how an artifact was made is about this one."""
    called = f"The statement of how {version} was made for {artifact.provider}"
    envelope = envelope_of(db, version, artifact.provider)
    signed = seals.open(envelope, Sealed.STATEMENT, called=called)
    subject, *_ = json.loads(signed)["subject"]
    name = f"{version}@{artifact.provider}"
    if subject["name"] != name:
        raise Tampered(
            f"{called} is about {subject['name']}.",
            remedy="Nothing was launched. Somebody gave it another image's statement.",
        )
    if subject["digest"]["sha256"] != claims.bare(artifact.id):
        raise Tampered(
            f"{version} is another artifact on {artifact.provider} than the one that was signed.",
            remedy="Nothing was launched. Find out who changed the database, and bake it again.",
        )
    known = version.artifact(artifact.provider) or artifact
    again = claims.statement(version, recipe_of(db, version), known, site=_site(db))
    if json.loads(again)["predicate"] != json.loads(signed)["predicate"]:
        raise Tampered(
            f"The catalog says that {version} was made in another way than what was signed.",
            remedy="Nothing was launched. Find out who changed the database, and bake it again.",
        )


def may_be_signed(db: Connection, version: Version, seals: Seals, *, revokes: bool) -> bool:
    """Say whether a version is what was signed, so that its new state may be. Raises `Tampered`
    where it is not; but one that is revoked need not be: without a seal it launches even less."""
    try:
        require_version(db, version, seals)
    except Tampered:
        if not revokes:
            raise
        return False
    return True


def is_signed(database: Database) -> bool:
    """Say whether anything in a catalog was ever signed."""
    with database.reading() as db:
        some = select(versions.c.id).where(versions.c.seal.is_not(None)).limit(1)
        return db.execute(some).scalar() is not None


def require_whole(db: Connection, version: Version, seals: Seals) -> None:
    """Raise `Tampered` unless a version, its artifacts and its channels are what was signed."""
    require_version(db, version, seals)
    for artifact in version.artifacts:
        require_artifact(db, version, artifact, seals)
    for name in version.channels:
        require_channel(db, version, name, seals)


def seal_all(
    db: Connection, found: list[Version], seals: Seals, *, again: bool
) -> tuple[list[Version], list[Tampered]]:
    """Sign all that is there as it is now: what a site does that gets its first key.

    With ``again`` a site gets another key: what its old one has not signed is left as it is.
    """
    refused: list[Tampered] = []
    signed: list[Version] = []
    for version in found:
        if version.state is ImageState.RETIRED:  # it never launches, and a clean-up needs no key
            continue
        try:
            if again:
                require_whole(db, version, seals)
        except Tampered as tampered:
            refused.append(tampered)
            continue
        signed.append(version)
        seal(db, version, seals)
        for artifact in version.artifacts:
            parts = _parts(db, version, artifact, seals) if again else ()
            attest(db, version, artifact, seals, parts=parts)
        for name in version.channels:
            here = (channels.c.family == version.family) & (channels.c.name == name)
            at = db.execute(select(channels.c.assigned_at).where(here)).scalar_one()
            seal_channel(db, version, name, at, seals)
    return signed, refused


def _parts(
    db: Connection, version: Version, artifact: Artifact, seals: Seals
) -> list[tuple[str, str]]:
    """Read from a statement that is good which files it names beside the artifact."""
    envelope = envelope_of(db, version, artifact.provider)
    whole, *files = json.loads(seals.open(envelope, Sealed.STATEMENT, called="It"))["subject"]
    own = f"{whole['name']}/"
    return [(file["name"].removeprefix(own), file["digest"]["sha256"]) for file in files]


def _claim(db: Connection, version: Version) -> bytes:
    contract = db.execute(select(versions.c.contract).where(_is(version))).scalar_one()
    return claims.of_version(version, contract)


def _is(version: Version) -> ColumnElement[bool]:
    return (versions.c.family == version.family) & (versions.c.number == version.number)


def _site(db: Connection) -> str:
    found: str = db.execute(select(site.c.id)).scalar_one()
    return found
