"""What patch runs came to, and whether the schedule is still on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Row, desc, insert, select, update

from ovenbird.state.database import Database
from ovenbird.state.image_tables import patch_runs

FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. ``outcome`` is done, failed, blocked, inconclusive, or "" while it runs or where
    it was killed; ``told`` says of each family what it came to."""

    id: int
    started_at: datetime
    ended_at: datetime | None
    by: str
    scheduled: bool
    outcome: str
    told: Mapping[str, str] = field(default_factory=dict)


class Runs:
    """The runs of a site, kept in its database. One at a time is the caller's lock."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, *, at: datetime, by: str, scheduled: bool) -> int:
        with self._database.begin() as db:
            added = db.execute(
                insert(patch_runs).values(started_at=at, by=by, scheduled=scheduled, outcome="")
            )
            number: int = added.inserted_primary_key[0]  # type: ignore[index]
        return number

    def end(self, run: int, *, at: datetime, outcome: str, told: Mapping[str, str]) -> None:
        with self._database.begin() as db:
            db.execute(
                update(patch_runs)
                .where(patch_runs.c.id == run)
                .values(ended_at=at, outcome=outcome, told=dict(told))
            )

    def last(self, count: int = 10) -> list[Run]:
        """List the newest runs, the newest first."""
        query = select(patch_runs).order_by(desc(patch_runs.c.id)).limit(count)
        with self._database.reading() as db:
            return [_read(row) for row in db.execute(query)]

    def failures(self) -> int:
        """Count the runs that failed since one last did not. One that was killed counts for
        neither: the next one finishes it."""
        query = select(patch_runs.c.outcome).order_by(desc(patch_runs.c.id))
        count = 0
        with self._database.reading() as db:
            for (outcome,) in db.execute(query):
                if outcome == FAILED:
                    count += 1
                elif outcome == "done":
                    break
        return count


def _read(row: Row[Any]) -> Run:
    return Run(
        id=row.id,
        started_at=row.started_at,
        ended_at=row.ended_at,
        by=row.by,
        scheduled=row.scheduled,
        outcome=row.outcome,
        told=dict(row.told or {}),
    )
