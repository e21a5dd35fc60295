"""What was found to differ from an image, and since when it is known: the table ``changes``.

A row without a path says when an instance was looked at, so that what is new in a look is known
to be younger than the look before it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, select, update

from ovenbird.fleet.drift import GivenUp
from ovenbird.state.database import Database
from ovenbird.state.tables import changes, instances
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import Change, ChangeKind

WHOLE = ""
"""The path of the row that stands for the look itself."""

MOST = 1000
"""So many paths of one instance are kept: more say nothing that these do not."""

KEPT = timedelta(days=30)
"""What no look has shown for so long is forgotten, as consoles are."""

LONGEST = 1024
"""Characters of a path that the table has room for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """A path that is not as in the image. ``at`` is when it was changed, where the engine knows;
    ``after`` the last look that did not show it, and ``by`` the first that did."""

    path: str
    kind: ChangeKind
    by: datetime
    at: datetime | None = None
    after: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    first: datetime
    last: datetime


class Sightings:
    """The changes of one fleet's instances. Every method is one transaction."""

    def __init__(self, database: Database, key: FleetKey) -> None:
        self._database, self._key = database, key

    def note(
        self, found: Mapping[str, Collection[Change]], *, at: datetime
    ) -> dict[str, tuple[Sighting, ...]]:
        """Remember one look at several instances, and return what is known of each change."""
        with self._database.begin() as db:
            db.execute(delete(changes).where(changes.c.last_seen_at < at - KEPT))
            tokens = changes.c.token.in_(list(found))
            known = {
                (row.token, row.path): _Known(first=row.first_seen_at, last=row.last_seen_at)
                for row in db.execute(select(changes).where(tokens))
            }
            seen = {
                (token, change.path[:LONGEST]): change
                for token, each in found.items()
                for change in (_LOOK, *sorted(each)[:MOST])
            }
            old = [key for key in seen if key in known]
            for token in found:
                paths = [path for of, path in old if of == token]
                mine = (changes.c.token == token) & changes.c.path.in_(paths)
                db.execute(update(changes).where(mine).values(last_seen_at=at))
            if new := [_row(key, seen[key], at) for key in seen if key not in known]:
                db.execute(insert(changes), new)
        return {
            token: tuple(_sighting(token, change, known, at) for change in sorted(each))
            for token, each in found.items()
        }

    def given_up(self, *, since: datetime) -> tuple[GivenUp, ...]:
        """Name the changes because of which instances of this fleet were given up since then."""
        query = (
            select(changes.c.path, changes.c.kind, changes.c.repaired_at)
            .join(instances, instances.c.token == changes.c.token)
            .where(self._mine, changes.c.repaired_at >= since)
        )
        with self._database.reading() as db:
            return tuple(
                GivenUp(path=row.path, kind=ChangeKind(row.kind), at=row.repaired_at)
                for row in db.execute(query)
            )

    def give_up(self, because_of: Mapping[str, Collection[str]], *, at: datetime) -> None:
        """Remember, by token, the paths because of which an instance is being replaced."""
        with self._database.begin() as db:
            for token, paths in because_of.items():
                cut = [path[:LONGEST] for path in paths][:MOST]
                mine = (changes.c.token == token) & changes.c.path.in_(cut)
                first = changes.c.repaired_at.is_(None)
                db.execute(update(changes).where(mine, first).values(repaired_at=at))

    @property
    def _mine(self) -> ColumnElement[bool]:
        return (instances.c.env == self._key.env) & (instances.c.fleet == self._key.name)


_LOOK = Change(path=WHOLE, kind=ChangeKind.CHANGED)


def _row(key: tuple[str, str], change: Change, at: datetime) -> dict[str, object]:
    token, path = key
    seen = {"first_seen_at": at, "last_seen_at": at}
    return {"token": token, "path": path, "kind": change.kind, "changed_at": change.at, **seen}


def _sighting(
    token: str, change: Change, known: Mapping[tuple[str, str], _Known], at: datetime
) -> Sighting:
    before = known.get((token, change.path[:LONGEST]))
    look = known.get((token, WHOLE))
    return Sighting(
        path=change.path,
        kind=change.kind,
        at=change.at,
        by=before.first if before else at,
        after=look.last if look and not before else None,
    )
