"""What is inside the images of a site, and since when an update of a package is known here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import astuple
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select

from ovenbird.state.database import Database
from ovenbird.state.image_tables import inventories, updates, versions
from ovenbird.values.image import Version
from ovenbird.values.package import Inventory, Kind, Package


def keep(db: Connection, version_id: int, inventory: Inventory, *, provider: str) -> None:
    """Note what is inside an artifact, in place of what was noted before."""
    mine = (inventories.c.version_id == version_id) & (inventories.c.provider == provider)
    db.execute(delete(inventories).where(mine))
    db.execute(
        insert(inventories).values(
            version_id=version_id,
            provider=provider,
            packages=[list(_written(package)) for package in inventory.packages],
            files=[list(pair) for pair in inventory.files],
            read_at=inventory.read_at,
        )
    )


class Inventories:
    """What was read while images were proven. Images of before that have none."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, version: Version, provider: str = "") -> Inventory | None:
        """Return what is inside a version on one engine, or on the first one that was read."""
        found = self.all_of(version)
        return next((i for i in found if provider in ("", i.provider)), None)

    def all_of(self, version: Version) -> list[Inventory]:
        """Return what is inside a version, engine by engine."""
        query = (
            select(inventories)
            .join(versions)
            .where(versions.c.family == version.family)
            .where(versions.c.number == version.number)
            .order_by(inventories.c.provider)
        )
        with self._database.reading() as db:
            return [_read(row) for row in db.execute(query)]

    def first_seen(
        self, found: Collection[tuple[str, str, str]], *, now: datetime
    ) -> Mapping[tuple[str, str, str], datetime]:
        """Say since when each update (suite, package, version) is known; new ones since now."""
        with self._database.begin() as db:
            known = {
                (row.suite, row.package, row.version): row.first_seen_at
                for row in db.execute(select(updates))
            }
            fresh = sorted(set(found) - known.keys())
            if fresh:
                rows = [
                    {"suite": s, "package": p, "version": v, "first_seen_at": now}
                    for s, p, v in fresh
                ]
                db.execute(insert(updates), rows)
        return {each: known.get(each, now) for each in found}


def _written(package: Package) -> tuple[Any, ...]:
    """In the order of the fields: name, version, architecture, source, source_version, origin,
    kind."""
    return astuple(package)


def _read(row: Row[Any]) -> Inventory:
    packages = tuple(
        Package(
            name=name,
            version=version,
            architecture=architecture,
            source=source,
            source_version=source_version,
            origin=origin,
            kind=Kind(kind),
        )
        for name, version, architecture, source, source_version, origin, kind in row.packages
    )
    files = tuple((path, digest) for path, digest in row.files or ())
    return Inventory(packages=packages, files=files, provider=row.provider, read_at=row.read_at)
