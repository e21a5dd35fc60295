"""Decide whether a fleet's windows let a rollout start work now, and when that changes.

Cron fields are read as Debian's cron reads them, in the window's own time zone: an opening in the
hour that a clock skips is at the end of that hour, one in the hour that it repeats is in the first
of the two, unless minute or hour is a ``*``. The length is counted in passing time, so a window
over a change of the clock closes an hour earlier or later by the wall.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from ovenbird.values.errors import ConfigurationError
from ovenbird.values.procedure import Window

LOOK_AHEAD = 100
"""Openings that may follow on one another before no end is in sight: ``0 * * * *`` for an hour
each never closes, and nobody waits for the end of a window that is open for days."""

CHANGE = timedelta(hours=3)
"""More than any clock is put forward or back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Work may be started. ``until`` is when no window is open any more, in UTC, or None where
    no end is in sight: without windows it is always open."""

    until: datetime | None
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """No work may be started before ``opens_at``, in UTC."""

    opens_at: datetime
    because: str


def state_of(windows: Sequence[Window], now: datetime) -> Open | Closed:
    """Say whether any window is open at ``now``, which has a time zone.

    A window holds from its opening up to, and not with, its end. Windows that overlap or touch
    are one. Raises `ConfigurationError` for a cron that cannot be read or never comes.
    """
    if not windows:
        return Open(until=None, because="it has no windows, so it is always open")
    ends = [(end, window) for window in windows if (end := _end(window, now)) and end > now]
    if not ends:
        opens_at, window = min(((_next(w, now), w) for w in windows), key=lambda pair: pair[0])
        return Closed(
            opens_at=opens_at,
            because=f"it is {_local(now, window)}, and the next window opens "
            f"{_local(opens_at, window)} ({window.cron}, {window.zone})",
        )
    until, last = max(ends, key=lambda pair: pair[0])
    for _ in range(LOOK_AHEAD):
        longer = [(end, w) for w in windows if (end := _end(w, until)) and end > until]
        if not longer:
            here = f"its window is open until {_local(until, last)} ({last.zone})"
            return Open(until=until, because=here)
        until, last = max(longer, key=lambda pair: pair[0])
    return Open(until=None, because="one window follows on another, and no end is in sight")


def _end(window: Window, at: datetime) -> datetime | None:
    """When the last opening at or before ``at`` ends; None where there was none for 50 years."""
    zone = ZoneInfo(window.zone)
    # In the hour that a clock repeats, cronsim's first step back may leave out an opening.
    around = {(at + step).astimezone(zone).utcoffset() for step in (-CHANGE, CHANGE)}
    after = at + (CHANGE if len(around) > 1 else timedelta(seconds=1))
    last = next((start for start in _openings(window, after, back=True) if start <= at), None)
    return last + timedelta(seconds=window.length) if last else None


def _next(window: Window, at: datetime) -> datetime:
    """Return the first opening after ``at``."""
    first = next((start for start in _openings(window, at, back=False) if start > at), None)
    if first is None:
        raise _unreadable(window, "it never comes")
    return first


def _openings(window: Window, at: datetime, *, back: bool) -> Iterator[datetime]:
    """Yield openings from ``at`` on, or ``back`` from it, in UTC."""
    try:
        found = CronSim(window.cron, at.astimezone(ZoneInfo(window.zone)), reverse=back)
    except CronSimError as bad:
        raise _unreadable(window, str(bad)) from bad
    return (start.astimezone(UTC) for start in found)


def _unreadable(window: Window, why: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"The window {window.cron!r} cannot be meant: {why}.",
        remedy='A cron has five fields: "0 22 * * 1-5" is 22:00 from Monday to Friday.',
    )


def _local(at: datetime, window: Window) -> str:
    """``Mon 2026-11-23 22:00`` by the clocks of the window's zone."""
    return f"{at.astimezone(ZoneInfo(window.zone)):%a %Y-%m-%d %H:%M}"
