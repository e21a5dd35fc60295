"""How far a stepped rollout has come: which checkpoints it reached, when, and who let it pass."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import insert, select, update

from ovenbird.rollout.journal import Begun
from ovenbird.state.database import Database
from ovenbird.state.tables import checkpoints


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A checkpoint that was reached: it soaks since ``reached_at``."""

    number: int
    reached_at: datetime
    approved_by: str = ""


class Checkpoints:
    """The checkpoints of rollouts, in the database, so that a soak outlives its driver."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reached(self, begun: Begun) -> dict[int, Passage]:
        """Return the checkpoints that a rollout has reached, by number from 1."""
        query = select(checkpoints).where(checkpoints.c.rollout_id == begun.id)
        with self._database.reading() as db:
            return {
                row.number: Passage(
                    number=row.number,
                    reached_at=row.reached_at,
                    approved_by=row.approved_by or "",
                )
                for row in db.execute(query)
            }

    def reach(self, begun: Begun, number: int, *, at: datetime) -> None:
        """Start the soak of a checkpoint; the first time counts."""
        mine = (checkpoints.c.rollout_id == begun.id) & (checkpoints.c.number == number)
        with self._database.begin() as db:
            if db.execute(select(checkpoints.c.number).where(mine)).first() is None:
                row = {"rollout_id": begun.id, "number": number, "reached_at": at}
                db.execute(insert(checkpoints).values(**row))

    def approve(self, begun: Begun, *, by: str, at: datetime) -> int | None:
        """Let a rollout pass the last checkpoint that it reached; return its number, or None
        where it waits at none."""
        reached = self.reached(begun)
        waiting = [n for n, passage in reached.items() if not passage.approved_by]
        if not waiting:
            return None
        mine = (checkpoints.c.rollout_id == begun.id) & (checkpoints.c.number == max(waiting))
        with self._database.begin() as db:
            db.execute(update(checkpoints).where(mine).values(approved_at=at, approved_by=by))
        return max(waiting)
