"""What a site knows of a fleet between rollouts: the settled goal, its size, the pin, what served
here, which goals failed, and whether it is being removed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, insert, select, update

from ovenbird.rollout.begun import MAIN, OPEN, Guard
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import failed_goals, fleets, instances, pins, rollouts, served
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import Goal

FORGOTTEN = (
    *("settled", "settled_hash", "settled_at", "size", "size_by", "size_because", "size_at"),
    *("removed_at", "paused_because", "paused_by", "paused_at"),
)
"""Columns of a fleet's row that mean nothing once it is removed."""


def being_removed(database: Database, env: str) -> list[str]:
    """Name the fleets of an environment whose removal has begun and not ended."""
    query = select(fleets.c.name).where(fleets.c.env == env, fleets.c.removed_at.is_not(None))
    with database.reading() as db:
        return sorted(db.execute(query).scalars())


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a fleet's next launch would be, and what it may not be. ``size`` is a recorded override
    of the file's, ``removed_at`` when somebody began to end the fleet for good."""

    settled: Goal | None = None
    settled_at: datetime | None = None
    size: int | None = None
    size_told: str = ""  # who recorded it, and why
    removed_at: datetime | None = None
    paused: str = ""  # who paused it, and why
    pins: Mapping[str, str] = field(default_factory=dict)  # refused version → because


class Book:
    """The standing facts of one fleet. Every method is one transaction."""

    def __init__(self, database: Database, key: FleetKey) -> None:
        self._database, self._key = database, key

    def standing(self) -> Standing:
        with self._database.reading() as db:
            row = db.execute(select(fleets).where(_here(self._key))).first()
            refused = db.execute(select(pins).where(self._mine(pins))).all()
        why = {pin.version: pin.because for pin in refused}
        if row is None:
            return Standing(pins=why)
        known, held = row.settled is not None, row.paused_because is not None
        told = f"by {row.size_by}" + (f": {row.size_because}" if row.size_because else "")
        return Standing(
            settled=Goal(version=row.settled, launch_hash=row.settled_hash) if known else None,
            settled_at=row.settled_at,
            size=row.size,
            size_told=told if row.size is not None else "",
            removed_at=row.removed_at,
            paused=f"by {row.paused_by}: {row.paused_because}" if held else "",
            pins=why,
        )

    def describe(self, entry: object) -> None:
        """Keep a fleet's entry, a JSON value without secrets: it may leave the file."""
        with self._database.begin() as db:
            note(db, self._key, described=entry)

    def described(self) -> object:
        """Return the entry that the last rollout here used, or None."""
        with self._database.reading() as db:
            return db.execute(select(fleets.c.described).where(_here(self._key))).scalar()

    def resize(
        self,
        size: int | None,
        guard: Guard,
        *,
        sizes: tuple[int, int],
        deed: tuple[str, str],
        at: datetime,
    ) -> None:
        """Record another size than the file's, or take it back with None.

        ``sizes`` are the size before and after for the history, ``deed`` who and why.
        """
        by, because = deed
        facts = {"size_by": by, "size_because": because, "size_at": at}
        free = {"size_by": None, "size_because": None, "size_at": None}
        before, after = sizes
        with self._database.begin() as db:
            guard(db)
            note(db, self._key, size=size, **(free if size is None else facts))
            told = {"before": str(before), "after": str(after), "because": because}
            self._record(db, "scale", by=by, at=at, **told)

    def begin_removal(self, guard: Guard, *, by: str, because: str, at: datetime) -> None:
        """Want a fleet ended for good: all of it, also what is kept or in quarantine, and what
        never passed its gate at once. A rollout that is open is cancelled by it."""
        mine = self._mine(instances) & instances.c.ended_at.is_(None) & (instances.c.job == "")
        open_ = self._mine(rollouts) & rollouts.c.outcome.in_(OPEN) & rollouts.c.kind.in_(MAIN)
        why = "its fleet is being removed"
        with self._database.begin() as db:
            guard(db)
            note(db, self._key, removed_at=at)
            self._record(db, "remove", by=by, because=because, at=at, outcome="begun")
            closed = {"outcome": "cancelled", "ended_at": at, "told": why}
            db.execute(update(rollouts).where(open_).values(**closed))
            kept = instances.c.kept_until > at
            db.execute(update(instances).where(mine, kept).values(kept_until=at))
            new = instances.c.accepted_at.is_(None) & instances.c.condemned_because.is_(None)
            db.execute(update(instances).where(mine, new).values(condemned_because=why))
            free = instances.c.unwanted_because.is_(None)
            wish = {"unwanted_because": why, "unwanted_at": at}
            db.execute(update(instances).where(mine, free).values(**wish))

    def forget(self, guard: Guard, *, by: str, because: str, before: str, at: datetime) -> None:
        """Forget what held of a fleet that is gone; its next rollout is a first launch.

        The history, the entry that it had and the ends of its consoles stay.
        """
        gone = dict.fromkeys(FORGOTTEN)
        before_it = self._mine(rollouts) & rollouts.c.kind.in_(MAIN)
        with self._database.begin() as db:
            guard(db)
            note(db, self._key, **gone)
            for table in (pins, failed_goals, served):
                db.execute(delete(table).where(self._mine(table)))
            db.execute(update(rollouts).where(before_it).values(outcome="superseded"))
            self._record(db, "remove", by=by, because=because, before=before, at=at)

    def unpin(self, *, by: str, because: str, at: datetime) -> None:
        """Allow again everything that rollbacks refused here."""
        with self._database.begin() as db:
            if not db.execute(delete(pins).where(self._mine(pins))).rowcount:
                return
            self._record(db, "unpin", by=by, because=because, at=at)

    def pause(self, *, by: str, because: str, at: datetime) -> None:
        """Let rollouts start no more work here until somebody resumes. Repairs go on."""
        with self._database.begin() as db:
            note(db, self._key, paused_because=because, paused_by=by, paused_at=at)
            self._record(db, "pause", by=by, because=because, at=at)

    def resume(self, *, by: str, because: str, at: datetime) -> bool:
        """Take a pause back; False where there is none."""
        with self._database.begin() as db:
            paused = _here(self._key) & fleets.c.paused_because.is_not(None)
            free = {"paused_because": None, "paused_by": None, "paused_at": None}
            if not db.execute(update(fleets).where(paused).values(**free)).rowcount:
                return False
            self._record(db, "resume", by=by, because=because, at=at)
            return True

    def has_served(self, version: str) -> bool:
        """Say whether a version has ever served in this fleet; one that has not is untried."""
        query = select(served.c.version).where(self._mine(served), served.c.version == version)
        with self._database.reading() as db:
            return db.execute(query).first() is not None

    def serves(self, version: str, *, at: datetime) -> None:
        """Remember that a version served here."""
        if not self.has_served(version):
            with self._database.begin() as db:
                row = {"env": self._key.env, "fleet": self._key.name, "version": version}
                db.execute(insert(served).values(**row, first_at=at))

    def failure_of(self, goal: Goal) -> tuple[datetime, str] | None:
        """Return when and why a goal failed here, unless it was given another try since."""
        with self._database.reading() as db:
            row = db.execute(select(failed_goals).where(*self._goal(goal))).first()
        return (row.at, row.because) if row else None

    def goal_failed(self, goal: Goal, *, because: str, at: datetime) -> None:
        with self._database.begin() as db:
            refute(db, self._key, goal, because=because, at=at)

    def forgive(self, goal: Goal) -> None:
        """Forget that a goal failed, since somebody asked for another try."""
        with self._database.begin() as db:
            db.execute(delete(failed_goals).where(*self._goal(goal)))

    def _record(
        self,
        db: Connection,
        verb: str,
        *,
        by: str,
        because: str,
        at: datetime,
        before: str = "",
        after: str = "",
        outcome: str = "done",
    ) -> None:
        place = {"env": self._key.env, "subject": self._key.name, "before": before, "after": after}
        record(db, Deed(at=at, by=by, verb=verb, because=because, outcome=outcome, **place))

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return (table.c.env == self._key.env) & (table.c.fleet == self._key.name)

    def _goal(self, goal: Goal) -> tuple[ColumnElement[bool], ...]:
        return (
            self._mine(failed_goals),
            failed_goals.c.version == goal.version,
            failed_goals.c.launch_hash == goal.launch_hash,
        )


def refute(db: Connection, key: FleetKey, goal: Goal, *, because: str, at: datetime) -> None:
    """Remember that a goal failed in a fleet, and why; the last time counts."""
    facts = {
        "env": key.env,
        "fleet": key.name,
        "version": goal.version,
        "launch_hash": goal.launch_hash,
    }
    same = [failed_goals.c[name] == value for name, value in facts.items()]
    db.execute(delete(failed_goals).where(*same))
    db.execute(insert(failed_goals).values(**facts, at=at, because=because))


def pin(db: Connection, key: FleetKey, version: str, *, because: str, at: datetime) -> None:
    """Refuse a version in a fleet until somebody unpins: a rollback leaves it."""
    here = (pins.c.env == key.env) & (pins.c.fleet == key.name) & (pins.c.version == version)
    db.execute(delete(pins).where(here))
    row = {"env": key.env, "fleet": key.name, "version": version, "because": because, "at": at}
    db.execute(insert(pins).values(**row))


def settle(db: Connection, key: FleetKey, goal: Goal, *, at: datetime) -> None:
    """Make a goal what launches use. One that is settled already stays so since its own time:
    rolling it once more does not begin its soak anew."""
    here = (fleets.c.settled, fleets.c.settled_hash, fleets.c.settled_at)
    row = db.execute(select(*here).where(_here(key))).first()
    if row is None or row[:2] != (goal.version, goal.launch_hash) or row.settled_at is None:
        facts = {"settled": goal.version, "settled_hash": goal.launch_hash, "settled_at": at}
        note(db, key, **facts)


def note(db: Connection, key: FleetKey, **changed: Any) -> None:
    """Change columns of a fleet's row, which is made where there is none."""
    if not db.execute(update(fleets).where(_here(key)).values(**changed)).rowcount:
        db.execute(insert(fleets).values(env=key.env, name=key.name, **changed))


def _here(key: FleetKey) -> ColumnElement[bool]:
    return (fleets.c.env == key.env) & (fleets.c.name == key.name)
