"""What a site remembers of each instance of one fleet: from its order to its end.

Whoever is observed and not recorded is not ours to end; whoever is recorded as ended and is
observed all the same came late, and is ended again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update

from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.tables import instances, steps
from ovenbird.values.fleet import FleetKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One instance as its site remembers it. ``listed_at`` is when its engine first showed it;
    ``called`` says that its launch has returned; ``place`` names the engine that has it.
    ``lost_at`` is since when a driver has found its engine saying that it is gone.
    ``unwanted_because`` says why it is to be replaced, whatever it runs. ``job`` names the job
    that it runs, and is "" for a member of the fleet."""

    token: str
    version: str
    launch_hash: str
    slot: int
    rollout_id: str
    ordered_at: datetime
    called: bool
    place: str
    listed_at: datetime | None = None
    accepted_at: datetime | None = None
    lost_at: datetime | None = None
    kept_until: datetime | None = None
    quarantined_until: datetime | None = None
    unwanted_because: str = ""
    condemned_because: str | None = None
    job: str = ""
    exit_code: int | None = None
    ended_at: datetime | None = None
    vanished: bool = False  # ended by nobody that we know of; it may come back


VANISHED = "vanished: its engine did not list it any more"


def fleets_with_instances(database: Database, env: str) -> dict[str, int]:
    """Count, by fleet, the instances of an environment that were launched and not ended."""
    query = (
        select(instances.c.fleet, func.count())
        .where(instances.c.env == env, instances.c.ended_at.is_(None))
        .group_by(instances.c.fleet)
    )
    with database.begin() as db:
        return {row[0]: row[1] for row in db.execute(query)}


class Records:
    """The instances of one fleet. Every method is one transaction."""

    def __init__(self, database: Database, key: FleetKey) -> None:
        self._database, self._key = database, key

    def of(self, seen: Iterable[str]) -> Mapping[str, Record]:
        """Return, by token, what is known of those that have not ended and of those ``seen``."""
        launches = steps.c.verb == "launch"
        query = (
            select(instances, steps.c.outcome)
            .outerjoin(steps, (steps.c.token == instances.c.token) & launches)
            .where(self._mine)
            .where(instances.c.ended_at.is_(None) | instances.c.token.in_(list(seen)))
        )
        with self._database.reading() as db:
            return {
                row.token: Record(
                    token=row.token,
                    version=row.version,
                    launch_hash=row.launch_hash,
                    slot=row.slot,
                    rollout_id=row.rollout_id or "",
                    ordered_at=row.intended_at,
                    called=row.outcome == "done",
                    place=row.place,
                    listed_at=row.launched_at,
                    accepted_at=row.accepted_at,
                    lost_at=row.lost_at,
                    kept_until=row.kept_until,
                    quarantined_until=row.quarantined_until,
                    unwanted_because=row.unwanted_because or "",
                    job=row.job,
                    exit_code=row.exit_code,
                    condemned_because=row.condemned_because,
                    ended_at=row.ended_at,
                    vanished=row.ended_because == VANISHED,
                )
                for row in db.execute(query)
            }

    def listed(self, tokens: Collection[str], *, at: datetime) -> None:
        """Remember that an engine has shown these for the first time."""
        self._note(tokens, instances.c.launched_at.is_(None), launched_at=at)

    def lost(self, tokens: Collection[str], *, at: datetime) -> None:
        """Remember since when an engine says that these are gone; the first time counts."""
        self._note(tokens, instances.c.lost_at.is_(None), lost_at=at)

    def found(self, tokens: Collection[str]) -> None:
        """Forget that these were gone: their engine shows them again."""
        self._note(tokens, lost_at=None)

    def accept(self, token: str, *, at: datetime) -> None:
        """Remember that an instance passed its gate; the first time counts."""
        self._note([token], instances.c.accepted_at.is_(None), accepted_at=at)

    def exited(self, token: str, code: int) -> None:
        """Remember how a job ended; the first code counts."""
        self._note([token], instances.c.exit_code.is_(None), exit_code=code)

    def condemn(self, token: str, *, because: str) -> None:
        """Remember that an instance is not good enough, whatever its probe says."""
        self._note([token], instances.c.condemned_because.is_(None), condemned_because=because)

    def keep(self, token: str, *, until: datetime) -> None:
        """Hold an instance out of service until then, for a switch back."""
        self._note([token], kept_until=until)

    def use(self, token: str) -> None:
        """Take a kept one back into service: nothing ends it when its time is over."""
        self._note([token], kept_until=None)

    def unwant(
        self,
        tokens: Collection[str],
        *,
        because: str,
        at: datetime,
        deed: Deed | None = None,
    ) -> None:
        """Want these replaced, whatever they run; the first reason counts. ``deed`` is written
        into the history with it."""
        with self._database.begin() as db:
            _unwant(db, tokens, because=because, at=at)
            if deed is not None:
                record(db, deed)

    def quarantine(
        self,
        tokens: Collection[str],
        *,
        until: datetime,
        because: str,
        at: datetime,
        deed: Deed | None = None,
    ) -> None:
        """Want these out of service for good, and kept for a look until then; of one that is in
        quarantine already, change until when. ``deed`` is written into the history with it."""
        held = {"quarantined_until": until, "kept_until": until}
        with self._database.begin() as db:
            _unwant(db, tokens, because=because, at=at)
            db.execute(update(instances).where(_are(tokens)).values(**held))
            if deed is not None:
                record(db, deed)

    def vanish(self, tokens: Collection[str], *, at: datetime) -> None:
        """Close the records of instances that are gone without an end that anybody saw."""
        self._note(tokens, instances.c.ended_at.is_(None), ended_at=at, ended_because=VANISHED)

    def back(self, token: str) -> None:
        """Open the record again of one that had only vanished."""
        vanished = instances.c.ended_because == VANISHED
        self._note([token], vanished, ended_at=None, ended_because=None)

    def failed_of(self, rollout_id: str) -> int:
        """Count the instances of a rollout that ended before they ever passed their gate."""
        query = select(func.count()).where(
            self._mine,
            instances.c.rollout_id == rollout_id,
            instances.c.ended_at.is_not(None),
            instances.c.accepted_at.is_(None),
            instances.c.job == "",
        )
        with self._database.reading() as db:
            return int(db.execute(query).scalar_one())

    def being_ended(self, *, lost_by: datetime) -> list[str]:
        with self._database.reading() as db:
            return self.being_ended_in(db, lost_by=lost_by)

    def being_ended_in(self, db: Connection, *, lost_by: datetime) -> list[str]:
        """Name the instances of the whole environment that are out of service to be ended now, or
        on their way into quarantine: these until they are out of service.

        What was lost by ``lost_by`` has ended without us, and nobody waits for it. What never
        passed its gate was in no service, and takes none away.
        """
        held = instances.c.quarantined_until.is_not(None)
        ends = steps.c.verb.in_(["register", "drain"]) | (held & (steps.c.verb == "deregister"))
        query = (
            select(steps.c.token, steps.c.verb)
            .join(instances, instances.c.token == steps.c.token)
            .where(instances.c.env == self._key.env, ends)
            .where(instances.c.ended_at.is_(None), instances.c.kept_until.is_(None) | held)
            .where(instances.c.accepted_at.is_not(None))
            .where(instances.c.lost_at.is_(None) | (instances.c.lost_at > lost_by))
            .where(steps.c.outcome != "void")
            .order_by(steps.c.id)
        )
        last = {row.token: row.verb for row in db.execute(query)}
        return [token for token, verb in last.items() if verb == "drain"]

    def _note(
        self, tokens: Collection[str], *where: ColumnElement[bool], **changed: object
    ) -> None:
        if not tokens:
            return
        with self._database.begin() as db:
            db.execute(update(instances).where(_are(tokens), *where).values(**changed))

    @property
    def _mine(self) -> ColumnElement[bool]:
        return (instances.c.env == self._key.env) & (instances.c.fleet == self._key.name)


def _unwant(db: Connection, tokens: Collection[str], *, because: str, at: datetime) -> None:
    free = instances.c.unwanted_because.is_(None)
    wish = {"unwanted_because": because, "unwanted_at": at}
    db.execute(update(instances).where(_are(tokens), free).values(**wish))


def _are(tokens: Collection[str]) -> ColumnElement[bool]:
    return instances.c.token.in_(list(tokens))
