"""What a site remembers of the rollouts of one fleet, and of every step that was taken in them.

A step is durable before its call is made, and ended after: what is intended and not ended is
what a killed driver left in the air. A step that has ended does not start again.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, Table, desc, insert, select, update

from ovenbird.rollout.begun import GO_BACK, MAIN, OPEN, Begun, Guard, InTheAir, begun_of
from ovenbird.rollout.book import pin, refute, settle
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import instances, rollouts, steps
from ovenbird.values.errors import Superseded
from ovenbird.values.fleet import FleetKey, Order

__all__ = ["MAIN", "OPEN", "Begun", "Guard", "InTheAir", "Journal"]


class Journal:
    """The memory of one fleet's rollouts. Every method is one transaction."""

    def __init__(self, database: Database, key: FleetKey) -> None:
        self._database, self._key = database, key

    def begin(self, begun: Begun, guard: Guard, *, pins: tuple[str, str] | None = None) -> None:
        """Write a new rollout down; one that was still open here is superseded by it.

        ``pins`` is the version that a rollback leaves, and why: refused from its first moment,
        so that nothing rolls it forward again while the rollback is under way or interrupted.
        """
        with self._database.begin() as db:
            guard(db)
            if begun.kind in MAIN:
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
                    emergency=begun.emergency,
                )
            )
            if pins is not None:
                version, because = pins
                pin(db, self._key, version, because=because, at=begun.started_at)

    def resume(self, begun: Begun, guard: Guard, *, emergency: bool = False) -> bool:
        """Say that somebody is at work on it again; False where it has ended meanwhile."""
        facts: dict[str, object] = {"outcome": "running", "ended_at": None, "told": "", "wish": ""}
        if emergency:
            facts["emergency"] = True
        with self._database.begin() as db:
            guard(db)
            still = rollouts.c.outcome.in_(OPEN)
            again = update(rollouts).where(rollouts.c.id == begun.id, still).values(**facts)
            return db.execute(again).rowcount == 1

    def unfinished(self) -> Begun | None:
        """Return the last rollout here if it has neither arrived nor failed: running, or
        interrupted by what had nothing to do with the image."""
        last = self.last()
        return last if last is not None and last.outcome in OPEN else None

    def last(self) -> Begun | None:
        """Return the last rollout or rollback here, however it ended."""
        return self._last(rollouts.c.kind.in_(MAIN))

    def last_run(self) -> Begun | None:
        return self._last(rollouts.c.kind == "run")

    def completed(self) -> list[str]:
        """List the versions that completed a rollout here, the last one first, each once."""
        query = (
            select(rollouts.c.goal)
            .where(self._mine(rollouts), rollouts.c.outcome == "done", rollouts.c.kind.in_(MAIN))
            .order_by(desc(rollouts.c.number))
        )
        with self._database.reading() as db:
            return list(dict.fromkeys(db.execute(query).scalars()))

    def wish(self, begun: Begun) -> tuple[str, str]:
        """Return what is asked of the driver of a rollout, and by whom: ("cancel", "bob@db1")."""
        query = select(rollouts.c.wish, rollouts.c.wish_by).where(rollouts.c.id == begun.id)
        with self._database.reading() as db:
            row = db.execute(query).first()
        return (row.wish, row.wish_by) if row else ("", "")

    def ask(self, begun: Begun, wish: str, *, by: str) -> bool:
        """Ask something of the driver of a running rollout; False where it has ended."""
        running = (rollouts.c.id == begun.id) & (rollouts.c.outcome == "running")
        with self._database.begin() as db:
            asked = update(rollouts).where(running).values(wish=wish, wish_by=by)
            return db.execute(asked).rowcount == 1

    def end(
        self,
        begun: Begun,
        guard: Guard,
        *,
        outcome: str,
        told: str,
        at: datetime,
        settles: bool = False,
        refutes: str = "",
        goes_back: bool = False,
    ) -> bool:
        """Close a rollout, and write it into the history; False where it was superseded.

        ``settles`` says that its goal served here to the end, and is what launches use now;
        ``refutes`` why the goal is bad here; ``goes_back`` that a rollback is owed now.
        """
        with self._database.begin() as db:
            guard(db)
            ended = db.execute(
                update(rollouts)
                .where(rollouts.c.id == begun.id, rollouts.c.outcome.in_(OPEN))
                .values(outcome=outcome, told=told, ended_at=at, wish=GO_BACK if goes_back else "")
            ).rowcount
            if not ended:
                return False  # another rollout's word counts now
            if refutes:
                refute(db, self._key, begun.goal, because=refutes, at=at)
            if outcome == "done" and settles:
                settle(db, self._key, begun.goal, at=at)
            reason = begun.because or told
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
                    because=f"emergency: {reason}" if begun.emergency else reason,
                    outcome=outcome,
                ),
            )
            return True

    def intend_launch(
        self,
        begun: Begun,
        wave: int,
        order: Order,
        because: str,
        at: datetime,
        guard: Guard,
        *,
        place: str = "",
    ) -> int:
        """Make a launch durable, with the token that the instance will carry."""
        with self._database.begin() as db:
            guard(db)
            db.execute(
                insert(instances).values(
                    token=order.token,
                    env=self._key.env,
                    fleet=self._key.name,
                    version=order.version,
                    launch_hash=order.launch.hash,
                    slot=order.slot,
                    provider=order.artifact.provider,
                    job=order.job,
                    rollout_id=begun.id,
                    intended_at=at,
                    place=place,
                )
            )
            return self._step(db, begun, wave, "launch", order.token, because, at)

    def intend(
        self,
        begun: Begun,
        wave: int,
        verb: str,
        token: str,
        *,
        because: str,
        at: datetime,
        guard: Guard,
    ) -> int:
        """Make a step on an instance that exists durable: register, drain, deregister, terminate.

        Raises `Superseded` where the instance has been ended already: a step that has finished
        does not start again.
        """
        with self._database.begin() as db:
            guard(db)
            query = select(instances.c.ended_at).where(instances.c.token == token)
            if db.execute(query).scalar() is not None:
                raise Superseded(
                    f"{token} was ended already, so it is not {verb}ed again.",
                    remedy="Run the same command again: it looks anew.",
                )
            return self._step(db, begun, wave, verb, token, because, at)

    def finished(self, step: int, *, at: datetime) -> None:
        """Say that a step's call has returned well. Once is enough: the first end counts."""
        with self._database.begin() as db:
            _close_step(db, step, at)

    def ended(self, step: int, token: str, *, because: str, console: str, at: datetime) -> None:
        """Say that an instance is gone, and that the step which ended it has finished."""
        with self._database.begin() as db:
            _close_step(db, step, at)
            db.execute(
                update(instances)
                .where(instances.c.token == token, instances.c.ended_at.is_(None))
                .values(ended_at=at, ended_because=because, console=console)
            )

    def in_the_air(self, *, jobs: bool = False) -> list[InTheAir]:
        """List the steps that nobody saw end, the oldest first: of ``jobs``, or of members."""
        query = (
            select(steps.c.id, steps.c.verb, instances)
            .join(instances, instances.c.token == steps.c.token)
            .where(self._mine(instances), steps.c.outcome == "intended")
            .where((instances.c.job != "") == jobs)
            .order_by(steps.c.id)
        )
        with self._database.begin() as db:
            return [
                InTheAir(
                    step=row.id,
                    verb=row.verb,
                    token=row.token,
                    version=row.version,
                    launch_hash=row.launch_hash,
                    slot=row.slot,
                )
                for row in db.execute(query)
            ]

    def take_again(self, step: InTheAir, guard: Guard) -> bool:
        """Claim a step in the air for one more try; False where it has ended meanwhile."""
        with self._database.begin() as db:
            guard(db)
            claim = update(steps).where(steps.c.id == step.step, steps.c.outcome == "intended")
            return db.execute(claim.values(attempts=steps.c.attempts + 1)).rowcount == 1

    def leave(self, step: InTheAir, *, at: datetime, void: bool = False) -> None:
        """Say that a step is not taken again: it may have been, or ``void`` was seen not to be."""
        with self._database.begin() as db:
            left = update(steps).where(steps.c.id == step.step, steps.c.outcome == "intended")
            db.execute(left.values(outcome="void" if void else "left", ended_at=at))

    def _mine(self, table: Table) -> ColumnElement[bool]:
        return (table.c.env == self._key.env) & (table.c.fleet == self._key.name)

    def _last(self, *where: ColumnElement[bool]) -> Begun | None:
        query = select(rollouts).where(self._mine(rollouts), *where)
        with self._database.reading() as db:
            row = db.execute(query.order_by(desc(rollouts.c.number))).first()
        return None if row is None else begun_of(row)

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


def _close_step(db: Connection, step: int, at: datetime) -> None:
    once = update(steps).where(steps.c.id == step, steps.c.outcome == "intended")
    db.execute(once.values(outcome="done", ended_at=at))
