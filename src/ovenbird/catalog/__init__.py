"""Which images there are, what they are called, and which may run.

A channel moves only when somebody moves it: revoking an image leaves every channel where it is,
and a fleet whose channel points at a revoked image is refused with a sentence.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import cast

from sqlalchemy import Connection, delete, desc, insert, select, update

from ovenbird.catalog import sealing, store
from ovenbird.catalog.baked import Baked, add, join, sibling
from ovenbird.catalog.inventory import keep
from ovenbird.catalog.named import unnamed
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import channels, versions
from ovenbird.values.errors import Blocked, Tampered
from ovenbird.values.image import Artifact, ImageRef, ImageState, Version
from ovenbird.values.package import Inventory
from ovenbird.values.recipe import Recipe
from ovenbird.values.seal import Seals

__all__ = ["Baked", "Catalog"]


class Catalog:
    """The images of a site. Every change is one transaction that also writes the history."""

    def __init__(self, database: Database, *, seals: Seals | None = None) -> None:
        self._database, self._seals = database, seals

    @property
    def is_sealed(self) -> bool:
        """Say whether this site signs what is in here, and launches nothing else."""
        return self._seals is not None

    def versions(self, family: str = "") -> list[Version]:
        """List versions, newest first; all families where none is named."""
        query = select(versions).order_by(versions.c.family, desc(versions.c.number))
        if family:
            query = query.where(versions.c.family == family)
        with self._database.begin() as db:
            return store.read(db, query)

    def known(self, recipe: Recipe) -> list[Version]:
        """List the launchable versions that this recipe made, newest first."""
        query = (
            select(versions)
            .where(versions.c.family == recipe.family)
            .where(versions.c.fingerprint == recipe.fingerprint)
            .order_by(desc(versions.c.number))
        )
        with self._database.begin() as db:
            return [version for version in store.read(db, query) if version.launchable]

    def newest(self, family: str) -> Version | None:
        """Return the newest version that may be launched, or be a parent."""
        return next((v for v in self.versions(family) if v.launchable), None)

    def recipe(self, version: Version) -> Recipe:
        """Return what went into a version, to compare it with what would go in now."""
        with self._database.begin() as db:
            return sealing.recipe_of(db, version)

    def resolve(self, ref: ImageRef) -> Version:
        """Find the version that a reference means now, whatever its state.

        Raises `ConfigurationError` where there is none, and says what there is.
        """
        with self._database.reading() as db:
            return self._resolve(db, ref)

    def launchable(self, ref: ImageRef) -> Version:
        """Resolve a reference, and refuse what must not run (`Blocked`, exit 3), and what is not
        what was signed (`Tampered`, exit 1)."""
        version = self.resolve(ref)
        if not version.launchable:
            raise Blocked(
                f"{version} is {version.state}: {version.state_because}.",
                remedy=f"Bake a successor (invoke bake {version.family}), or name another image "
                "with --image.",
            )
        if self._seals is not None:
            with self._database.reading() as db:
                if ref.channel:
                    sealing.require_channel(db, version, ref.channel, self._seals)
                sealing.require_version(db, version, self._seals)
        return version

    def register(
        self,
        baked: Baked,
        *,
        state: ImageState,
        because: str = "",
        joins_since: datetime | None = None,
    ) -> Version:
        """Give what was baked the next number of its family.

        A good image of the same recipe and packages for another engine has that number already:
        then this is one more artifact of it, unless it was baked before ``joins_since``.
        """
        with self._database.begin() as db:
            if state is ImageState.ACTIVE and (version := sibling(db, baked, since=joins_since)):
                if self._seals is not None:
                    sealing.require_version(db, version, self._seals)
                join(db, version, self._id(db, version), baked)
                name = str(version)
            else:
                parent = self._resolve(db, ImageRef.parse(baked.parent)) if baked.parent else None
                parent_id = self._id(db, parent) if parent else None
                name = add(db, baked, parent_id=parent_id, state=state, because=because)
            made = self._resolve(db, ImageRef.parse(name))
            if self._seals is not None:
                sealing.seal(db, made, self._seals)
                if artifact := made.artifact(baked.artifact.provider):
                    sealing.attest(db, made, artifact, self._seals, parts=baked.parts)
            return made

    def require_vouched(self, version: Version, artifact: Artifact) -> None:
        """Refuse (`Tampered`) an artifact whose making nobody with a key has signed."""
        if self._seals is not None:
            with self._database.reading() as db:
                sealing.require_version(db, version, self._seals)
                sealing.require_artifact(db, version, artifact, self._seals)

    def statement(self, version: Version, provider: str) -> str | None:
        """Return the signed statement of how an artifact was made, or None."""
        with self._database.reading() as db:
            return sealing.envelope_of(db, version, provider)

    def require_channels(self, family: str) -> None:
        """Refuse (`Tampered`) channels of a family that point where nobody with a key has pointed
        them: for who goes on from where they point."""
        if self._seals is not None:
            for version in self.versions(family):
                with self._database.reading() as db:
                    for name in version.channels:
                        sealing.require_channel(db, version, name, self._seals)

    def require_signer(self) -> None:
        """Raise `ConfigurationError` where this site signs, and no key to sign with is here."""
        if self._seals is not None:
            self._seals.require_signer()

    def seal_all(self, *, again: bool = False) -> tuple[list[Version], list[Tampered]]:
        """Sign every image and channel as they are now; ``again``: if they are what was signed.

        Returns what was signed, and why the others were not.
        """
        if self._seals is None:
            return [], []
        with self._database.begin() as db:
            found = store.read(db, select(versions).order_by(versions.c.id))
            return sealing.seal_all(db, found, self._seals, again=again)

    def learn(
        self, version: Version, *, provider: str, ambient: Sequence[str], inventory: Inventory
    ) -> None:
        """Note what a later proof found: what is inside, and which paths change by themselves
        in a version that was registered without them."""
        with self._database.begin() as db:
            version_id = self._id(db, version)
            keep(db, version_id, inventory, provider=provider)
            if not version.ambient:
                mine = versions.c.id == version_id
                db.execute(update(versions).where(mine).values(ambient=list(ambient)))

    def promote(
        self, ref: ImageRef, channel: str, *, by: str, because: str, at: datetime
    ) -> Version:
        """Point a channel at a version; what it pointed at before stands in the history."""
        with self._database.begin() as db:
            version = self._resolve(db, ref)
            if not version.launchable:
                raise Blocked(
                    f"{version} is {version.state}: {version.state_because}.",
                    remedy="Promote another version: invoke image.list",
                )
            if self._seals is not None:  # what somebody changed is not signed once more
                if ref.channel:
                    sealing.require_channel(db, version, ref.channel, self._seals)
                sealing.require_version(db, version, self._seals)
            here = (channels.c.family == version.family) & (channels.c.name == channel)
            before = db.execute(
                select(versions.c.number).join(channels).where(here)
            ).scalar_one_or_none()
            db.execute(delete(channels).where(here))
            db.execute(
                insert(channels).values(
                    family=version.family,
                    name=channel,
                    version_id=self._id(db, version),
                    assigned_at=at,
                    by=by,
                    because=because,
                )
            )
            deed = Deed(
                verb="promote",
                subject=f"{version.family}@{channel}",
                at=at,
                by=by,
                because=because,
                before=f"{version.family}/{before}" if before else "",
                after=str(version),
            )
            record(db, deed)
            if self._seals is not None:
                sealing.seal_channel(db, version, channel, at, self._seals)
            return self._resolve(db, ImageRef.parse(str(version)))

    def judge(
        self, ref: ImageRef, state: ImageState, *, by: str, because: str, at: datetime
    ) -> tuple[Version, ...]:
        """Deprecate, revoke or restore a version; revoking takes its descendants with it.

        No channel moves. Returns every version whose state has changed, the named one first.
        """
        from ovenbird.catalog.lineage import descendants

        with self._database.begin() as db:
            version = self._resolve(db, ref)
            if version.state is ImageState.FAILED:
                raise Blocked(
                    f"{version} was never proven, so it never launches anyway.",
                    remedy="Bake again; the log is in: invoke image.show " + str(version),
                )
            if version.state is ImageState.RETIRED:
                raise Blocked(
                    f"{version} is retired and never launches again: {version.state_because}.",
                    remedy=f"Its artifacts are deleted. Bake another: invoke bake {version.family}",
                )
            judged = [version]
            if state is ImageState.REVOKED:
                everything = store.read(db, select(versions).order_by(versions.c.id))
                judged += [
                    v
                    for v in descendants(version, everything)
                    if v.state not in (ImageState.REVOKED, ImageState.FAILED, ImageState.RETIRED)
                ]
            fit: list[Version] = []
            for one in judged:
                revokes = state is ImageState.REVOKED
                if self._seals and sealing.may_be_signed(db, one, self._seals, revokes=revokes):
                    fit.append(one)
                told = because if one is version else f"descends from {version}: {because}"
                db.execute(
                    update(versions)
                    .where(versions.c.id == self._id(db, one))
                    .values(state=state, state_because=told)
                )
                verbs = {"active": "restore", "deprecated": "deprecate", "revoked": "revoke"}
                deed = Deed(
                    verb=verbs[state],
                    subject=str(one),
                    at=at,
                    by=by,
                    because=told,
                    before=one.state,
                    after=state,
                )
                record(db, deed)
            now = {one: self._resolve(db, ImageRef.parse(str(one))) for one in judged}
            for one in fit:
                sealing.seal(db, now[one], cast(Seals, self._seals))
            return tuple(now.values())

    def _resolve(self, db: Connection, ref: ImageRef) -> Version:
        query = select(versions).where(versions.c.family == ref.family)
        if ref.version is not None:
            query = query.where(versions.c.number == ref.version)
        else:
            query = query.join(channels).where(channels.c.name == ref.channel)
            query = query.where(channels.c.family == ref.family)
        found = store.read(db, query)
        if found:
            return found[0]
        raise unnamed(ref, store.read(db, select(versions).where(versions.c.family == ref.family)))

    def _id(self, db: Connection, version: Version) -> int:
        found: int = db.execute(
            select(versions.c.id)
            .where(versions.c.family == version.family)
            .where(versions.c.number == version.number)
        ).scalar_one()
        return found
