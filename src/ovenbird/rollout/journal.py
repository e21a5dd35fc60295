"""What a site remembers of one fleet: its goal, its steps, and what has passed its gate.

A step is durable before its call is made, and ended after: what is intended and not ended is
what a killed driver left in the air.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, desc, insert, select, update

from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import failed_goals, fleets, instances, rollouts, served, steps
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.instance import Goal


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A rollout as it stands in the journal. ``outcome`` is "running" until it has ended."""

    id: str
    kind: str
    before: str
    goal: Goal
    untried: bool
    owner: str
    started_at: datetime
    outcome: str = "running"
    because: str = ""
    told: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a fleet's next launch would be, and what it may not be."""

    settled: Goal | None = None
    pinned_from: str | None = None
    pinned_because: str = ""


class Journal:
    """The memory of one fleet. Every method is one transaction."""

    def __init__(self, database: Database, key: FleetKey) -> None:
        self._database, self._key = database, key

    # --- rollouts -------------------------------------------------------------------------

    def begin(self, begun: Begun) -> None:
        """Write a new rollout down; one that was still running here is superseded by it."""
        with self._database.begin() as db:
            db.execute(
                update(rollouts)
                .where(self._mine(rollouts), rollouts.c.outcome == "running")
                .values(outcome="superseded", ended_at=begun.started_at, told=f"by {begun.id}")
            )
            db.execute(
                insert(rollouts).values(
                    id=begun.id,
                    env=self._key.env,
                    fleet=self._key.name,
                    kind=begun.kind,
                    before=begun.before,
                    goal=begun.goal.version,
                    goal_hash=begun.goal.launch_hash,
                    untried=begun.untried,
                    owner=begun.owner,
                    because=begun.because,
                    started_at=begun.started_at,
                )
            )

    def resume(self, begun: Begun) -> None:
        """Say that somebody is at work on it again."""
        with self._database.begin() as db:
            again = update(rollouts).where(rollouts.c.id == begun.id)
            db.execute(again.values(outcome="running", ended_at=None, told=""))

    def unfinished(self) -> Begun | None:
        """Return the last rollout here if it has neither arrived nor failed: running, or
        interrupted by what had nothing to do with the image."""
        last = self.last()
        open_ = ("running", "blocked", "inconclusive")
        return last if last is not None and last.outcome in open_ else None

    def last(self) -> Begun | None:
        return self._last()

    def completed(self) -> list[str]:
        """List the versions that completed a rollout here, the last one first, each once."""
        query = (
            select(rollouts.c.goal)
            .where(self._mine(rollouts), rollouts.c.outcome == "done")
            .order_by(desc(rollouts.c.ended_at))
        )
        with self._database.begin() as db:
            return list(dict.fromkeys(db.execute(query).scalars()))

    def end(self, begun: Begun, *, outcome: str, told: str, at: datetime) -> None:
        """Close a rollout, and write it into the history. Done settles its goal."""
        with self._database.begin() as db:
            db.execute(
                update(rollouts)
                .where(rollouts.c.id == begun.id)
                .values(outcome=outcome, told=told, ended_at=at)
            )
            if outcome == "done":
                settled = {"settled": begun.goal.version, "settled_hash": begun.goal.launch_hash}
                self._fleet(db, **settled, settled_at=at)
            record(
                db,
                Deed(
                    at=at,
                    by=begun.owner,
                    verb=begun.kind,
                    env=self._key.env,
                    subject=self._key.name,
                    before=begun.before,
                    after=begun.goal.version,
                    because=begun.because or told,
                    outcome=outcome,
                ),
            )

    # --- steps ----------------------------------------------------------------------------

    def intend_launch(
        self, begun: Begun, wave: int, order: Order, because: str, at: datetime
    ) -> int:
        """Make a launch durable, with the token that the instance will carry."""
        with self._database.begin() as db:
            db.execute(
                insert(instances).values(
                    token=order.token,
                    env=self._key.env,
                    fleet=self._key.name,
                    version=order.version,
                    launch_hash=order.launch.hash,
                    slot=order.slot,
                    rollout_id=begun.id,
                    intended_at=at,
                )
            )
            return self._step(db, begun, wave, "launch", order.token, because, at)

    def intend(
        self, begun: Begun, wave: int, verb: str, token: str, *, because: str, at: datetime
    ) -> int:
        """Make a step on an instance that exists durable."""
        with self._database.begin() as db:
            return self._step(db, begun, wave, verb, token, because, at)

    def finished(self, step: int, *, at: datetime) -> None:
        """Say that a step's call has returned well."""
        with self._database.begin() as db:
            db.execute(update(steps).where(steps.c.id == step).values(outcome="done", ended_at=at))

    def in_the_air(self, begun: Begun) -> list[tuple[int, str, str, int]]:
        """List the launches without an end as (step, token, version, slot)."""
        query = (
            select(steps.c.id, steps.c.token, instances.c.version, instances.c.slot)
            .join(instances, instances.c.token == steps.c.token)
            .where(steps.c.rollout_id == begun.id, steps.c.verb == "launch")
            .where(steps.c.outcome == "intended")
        )
        with self._database.begin() as db:
            return [(row.id, row.token, row.version, row.slot) for row in db.execute(query)]

    # --- instances ------------------------------------------------------------------------

    def accept(self, token: str, *, at: datetime) -> None:
        """Remember that an instance passed its gate; the first time counts."""
        with self._database.begin() as db:
            db.execute(
                update(instances)
                .where(instances.c.token == token, instances.c.accepted_at.is_(None))
                .values(accepted_at=at)
            )

    def accepted(self) -> Mapping[str, datetime]:
        """Say when each instance of this fleet passed its gate."""
        query = select(instances.c.token, instances.c.accepted_at).where(
            self._mine(instances), instances.c.accepted_at.is_not(None)
        )
        with self._database.begin() as db:
            return {row.token: row.accepted_at for row in db.execute(query)}

    def launched(self) -> set[str]:
        """Name every instance that this site has a record of launching here."""
        with self._database.begin() as db:
            return set(db.execute(select(instances.c.token).where(self._mine(instances))).scalars())

    def ended(self, token: str, *, because: str, console: str, at: datetime) -> None:
        with self._database.begin() as db:
            db.execute(
                update(instances)
                .where(instances.c.token == token)
                .values(ended_at=at, ended_because=because, console=console)
            )

    # --- goals ----------------------------------------------------------------------------

    def standing(self) -> Standing:
        with self._database.begin() as db:
            row = db.execute(select(fleets).where(self._mine(fleets, name="name"))).first()
        if row is None:
            return Standing()
        known = row.settled is not None
        return Standing(
            settled=Goal(version=row.settled, launch_hash=row.settled_hash) if known else None,
            pinned_from=row.pinned_from,
            pinned_because=row.pinned_because or "",
        )

    def pin(self, version: str, *, because: str, at: datetime) -> None:
        """Refuse a version here until somebody unpins: a rollback left it."""
        with self._database.begin() as db:
            self._fleet(db, pinned_from=version, pinned_because=because, pinned_at=at)

    def unpin(self, *, by: str, because: str, at: datetime) -> None:
        with self._database.begin() as db:
            self._fleet(db, pinned_from=None, pinned_because=None, pinned_at=None)
            deed = Deed(
                at=at,
                by=by,
                verb="unpin",
                env=self._key.env,
                subject=self._key.name,
                because=because,
            )
            record(db, deed)

    def has_served(self, version: str) -> bool:
        """Say whether a version has ever served in this fleet; one that has not is untried."""
        query = select(served.c.version).where(self._mine(served), served.c.version == version)
        with self._database.begin() as db:
            return db.execute(query).first() is not None

    def serves(self, version: str, *, at: datetime) -> None:
        """Remember that a version served here."""
        if not self.has_served(version):
            with self._database.begin() as db:
                row = {"env": self._key.env, "fleet": self._key.name, "version": version}
                db.execute(insert(served).values(**row, first_at=at))

    def failure_of(self, goal: Goal) -> tuple[datetime, str] | None:
        """Return when and why a goal failed here, unless it was given another try since."""
        with self._database.begin() as db:
            row = db.execute(select(failed_goals).where(*self._goal(goal))).first()
        return (row.at, row.because) if row else None

    def goal_failed(self, goal: Goal, *, because: str, at: datetime) -> None:
        with self._database.begin() as db:
            db.execute(delete(failed_goals).where(*self._goal(goal)))
            db.execute(
                insert(failed_goals).values(
                    env=self._key.env,
                    fleet=self._key.name,
                    version=goal.version,
                    launch_hash=goal.launch_hash,
                    at=at,
                    because=because,
                )
            )

    def forgive(self, goal: Goal) -> None:
        """Forget that a goal failed, since somebody asked for another try."""
        with self._database.begin() as db:
            db.execute(delete(failed_goals).where(*self._goal(goal)))

    # --------------------------------------------------------------------------------------

    def _mine(self, table: Table, *, name: str = "fleet") -> ColumnElement[bool]:
        return (table.c.env == self._key.env) & (table.c[name] == self._key.name)

    def _goal(self, goal: Goal) -> tuple[ColumnElement[bool], ...]:
        return (
            self._mine(failed_goals),
            failed_goals.c.version == goal.version,
            failed_goals.c.launch_hash == goal.launch_hash,
        )

    def _last(self, *where: ColumnElement[bool]) -> Begun | None:
        query = select(rollouts).where(self._mine(rollouts), *where)
        with self._database.begin() as db:
            row = db.execute(query.order_by(desc(rollouts.c.started_at))).first()
        if row is None:
            return None
        return Begun(
            id=row.id,
            kind=row.kind,
            before=row.before,
            goal=Goal(version=row.goal, launch_hash=row.goal_hash),
            untried=row.untried,
            owner=row.owner,
            started_at=row.started_at,
            outcome=row.outcome,
            because=row.because,
            told=row.told,
        )

    def _fleet(self, db: Connection, **changed: Any) -> None:
        here = self._mine(fleets, name="name")
        if not db.execute(update(fleets).where(here).values(**changed)).rowcount:
            db.execute(insert(fleets).values(env=self._key.env, name=self._key.name, **changed))

    def _step(
        self,
        db: Connection,
        begun: Begun,
        wave: int,
        verb: str,
        token: str,
        because: str,
        at: datetime,
    ) -> int:
        added = db.execute(
            insert(steps).values(
                rollout_id=begun.id,
                wave=wave,
                verb=verb,
                token=token,
                because=because,
                intended_at=at,
            )
        )
        return int(added.inserted_primary_key[0])  # type: ignore[index]
