"""Does the schedule still run? Decided from the stored runs and the clock.

A schedule counts from when it was installed. A run is missed where its time has passed for
longer than `GRACE` and none was begun since: a host that sleeps, a timer that nobody enabled.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from cronsim import CronSim

from ovenbird.patch.runs import FAILED, Run

GRACE = timedelta(hours=2)


class State(StrEnum):
    NONE = "not installed"
    ARMED = "armed"
    MISSED = "missed"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How the schedule stands. ``next_at`` is when it runs again, in this machine's zone."""

    state: State
    because: str
    next_at: datetime | None = None


def standing(
    *,
    at: str,
    installed_at: datetime | None,
    last: Run | None,
    failures: int,
    disable_after: int,
    now: datetime,
) -> Schedule:
    """Say how the schedule of ``at`` (cron) stands. ``now`` has the zone that cron is read in."""
    if installed_at is None:
        return Schedule(state=State.NONE, because="nothing runs it: invoke schedule.install")
    next_at = next(CronSim(at, now))
    if failures >= disable_after:
        return Schedule(
            state=State.DISABLED,
            because=f"the last {failures} runs failed; a run by hand that succeeds arms it again",
            next_at=next_at,
        )
    owed = _owed(at, now)
    begun = last.started_at if last else installed_at
    if owed > installed_at and begun < owed and now - owed > GRACE:
        return Schedule(
            state=State.MISSED,
            because=f"it was due at {owed:%Y-%m-%d %H:%M}, and no run was begun since",
            next_at=next_at,
        )
    return Schedule(state=State.ARMED, because=_last(last), next_at=next_at)


def _owed(at: str, now: datetime) -> datetime:
    """Return the newest time before ``now`` at which it was due."""
    return next(CronSim(at, now, reverse=True))


def _last(last: Run | None) -> str:
    if last is None:
        return "it has not run yet"
    how = last.outcome or "cut short, and the next run finishes it"
    return f"the last run was {how}" + (", and is tried again" if how == FAILED else "")
