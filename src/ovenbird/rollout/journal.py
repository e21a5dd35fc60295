"""What a site remembers of one fleet: its goal, its steps, and what has passed its gate.

A step is durable before its call is made, and ended after: what is intended and not ended is
what a killed driver left in the air.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, desc, func, insert, select, update

from ovenbird.rollout.book import note, pin
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import instances, rollouts, steps
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


def fleets_with_instances(database: Database, env: str) -> dict[str, int]:
    """Count, by fleet, the instances of an environment that were launched and not ended."""
    query = (
        select(instances.c.fleet, func.count())
        .where(instances.c.env == env, instances.c.ended_at.is_(None))
        .group_by(instances.c.fleet)
    )
    with database.begin() as db:
        return {row[0]: row[1] for row in db.execute(query)}


class Journal:
    """The memory of one fleet. Every method is one transaction."""

    def __init__(self, database: Database, key: FleetKey) -> None:
        self._database, self._key = database, key

    def begin(self, begun: Begun, *, pins: tuple[str, str] | None = None) -> None:
        """Write a new rollout down; one that was still running here is superseded by it.

        ``pins`` is the version that a rollback leaves, and why: refused from its first moment,
        so that nothing rolls it forward again while the rollback is under way or interrupted.
        """
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
            if pins is not None:
                version, because = pins
                pin(db, self._key, version, because=because, at=begun.started_at)

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
            .order_by(desc(rollouts.c.number))
        )
        with self._database.begin() as db:
            return list(dict.fromkeys(db.execute(query).scalars()))

    def end(
        self, begun: Begun, *, outcome: str, told: str, at: datetime, settles: bool = False
    ) -> None:
        """Close a rollout, and write it into the history.

        ``settles`` says that its goal served here to the end, and is what launches use now.
        """
        with self._database.begin() as db:
            ended = db.execute(
                update(rollouts)
                .where(rollouts.c.id == begun.id, rollouts.c.outcome == "running")
                .values(outcome=outcome, told=told, ended_at=at)
            ).rowcount
            if not ended:
                return  # it was superseded meanwhile: another rollout's word counts now
            if outcome == "done" and settles:
                settled = {"settled": begun.goal.version, "settled_hash": begun.goal.launch_hash}
                note(db, self._key, **settled, settled_at=at)
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

    def in_the_air(self) -> list[tuple[int, str, str, int]]:
        """List the launches of this fleet without an end as (step, token, version, slot)."""
        query = (
            select(steps.c.id, steps.c.token, instances.c.version, instances.c.slot)
            .join(instances, instances.c.token == steps.c.token)
            .where(self._mine(instances), steps.c.verb == "launch")
            .where(steps.c.outcome == "intended")
        )
        with self._database.begin() as db:
            return [(row.id, row.token, row.version, row.slot) for row in db.execute(query)]

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

    def gone(self) -> set[str]:
        """Name every instance that this site has ended here."""
        ours = self._mine(instances) & instances.c.ended_at.is_not(None)
        with self._database.begin() as db:
            return set(db.execute(select(instances.c.token).where(ours)).scalars())

    def launched_at(self) -> Mapping[str, datetime]:
        """Say when each instance was ordered, by the clock that everything else is judged by."""
        query = select(instances.c.token, instances.c.intended_at).where(self._mine(instances))
        with self._database.begin() as db:
            return {row.token: row.intended_at for row in db.execute(query)}

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

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return (table.c.env == self._key.env) & (table.c.fleet == self._key.name)

    def _last(self, *where: ColumnElement[bool]) -> Begun | None:
        query = select(rollouts).where(self._mine(rollouts), *where)
        with self._database.begin() as db:
            row = db.execute(query.order_by(desc(rollouts.c.number))).first()
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
