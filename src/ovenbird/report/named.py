"""Find the instance that an operator means, by its token or a part of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Row, select

from ovenbird.state.database import Database
from ovenbird.state.tables import instances
from ovenbird.values.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """One instance of this site's records. ``ended_at`` is None for one that has not ended;
    ``place`` names the engine that has it, ``job`` the job that it runs, "" for a member."""

    env: str
    fleet: str
    token: str
    provider: str
    version: str
    place: str = ""
    job: str = ""
    ended_at: datetime | None = None
    ended_because: str = ""
    exit_code: int | None = None


def instance_named(database: Database, text: str, *, ended: bool = False) -> Named:
    """Return the only instance whose token is ``text``, or else has it as a part.

    One that is there goes before those that have ended; these count only with ``ended``. Raises
    `ConfigurationError` for none, and for several, which it names.
    """
    found = _matching(database, text)
    exact = [row for row in found if row.token == text]
    there = exact or [row for row in found if row.ended_at is None]
    if ended and not there:
        there = found
    if len(there) == 1 and (there[0].ended_at is None or ended):
        return _named(there[0])
    if len(there) > 1:
        several = ", ".join(sorted(row.token for row in there)[:5])
        more = f" and {len(there) - 5} more" if len(there) > 5 else ""
        raise ConfigurationError.of(
            f"{text!r} is a part of {len(there)} instances: {several}{more}.",
            remedy="Write more of the one that you mean.",
        )
    if found:
        last = found[0]
        raise ConfigurationError.of(
            f"{last.token} has ended already, at {last.ended_at:%Y-%m-%d %H:%M} UTC.",
            remedy=f"Read what it said: invoke fleet.logs {last.token}",
        )
    raise ConfigurationError.of(
        f"{text!r} is no instance that this site has launched, and no part of one.",
        remedy="See which there are: invoke status --all",
    )


def _matching(database: Database, text: str) -> list[Row[tuple[object, ...]]]:
    """List what has ``text`` in its token, the one that ended last first."""
    if not text:
        return []
    query = (
        select(instances)
        .where(instances.c.token.contains(text, autoescape=True))
        .order_by(instances.c.ended_at.desc(), instances.c.token)
    )
    with database.reading() as db:
        return list(db.execute(query))


def _named(row: Row[tuple[object, ...]]) -> Named:
    return Named(
        env=row.env,
        fleet=row.fleet,
        token=row.token,
        provider=row.provider or row.place.partition(" ")[0],
        version=row.version,
        place=row.place,
        job=row.job,
        ended_at=row.ended_at,
        ended_because=row.ended_because or "",
        exit_code=row.exit_code,
    )
