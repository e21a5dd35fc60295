"""The facts that a patch run decides on, read from the site's state: no engine is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from ovenbird.catalog import Catalog
from ovenbird.catalog.inventory import Inventories
from ovenbird.fleet.window import Closed, state_of
from ovenbird.packages.compare import difference
from ovenbird.patch.due import ORDINARY, SECURITY
from ovenbird.patch.path import Line, Place, Stop
from ovenbird.state.database import Database
from ovenbird.state.tables import approvals, channels, failed_goals, fleets, pins, versions
from ovenbird.values.fleet import Fleet, Kind
from ovenbird.values.image import Version
from ovenbird.values.patch import Step

MADE_BY = "patch: "
"""How the reason of an image begins that a patch run made: only such a one starts on the path by
itself. What somebody bakes by hand goes where somebody promotes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    number: int
    at: datetime


def line_of(
    family: str,
    path: Sequence[Step],
    wanted: Mapping[str, Sequence[Fleet]],
    *,
    database: Database,
    catalog: Catalog,
    now: datetime,
) -> Line:
    """Say how far a family has come. ``wanted`` are the fleets of each environment; those count
    that follow the channel with its environment's name."""
    followed = {
        step.env: [fleet for fleet in wanted.get(step.env, ()) if follows(fleet, family)]
        for step in path
    }
    if not any(followed.values()):
        return Line(family=family, stops=())
    images = catalog.versions(family)
    with database.reading() as db:
        pointed = _channels(db, family)
        stops = tuple(
            Stop(
                env=step.env,
                channel=pointed[step.env].number if step.env in pointed else None,
                assigned_at=pointed[step.env].at if step.env in pointed else None,
                places=tuple(_place(db, fleet, family, now) for fleet in followed[step.env]),
                soak=step.soak,
                approval=step.approval,
                approved=_approved(db, family, step.env),
            )
            for step in path
        )
    newest = next((image for image in images if image.launchable), None)
    made = newest is not None and newest.provenance.because.startswith(MADE_BY)
    return Line(
        family=family,
        stops=stops,
        candidate=newest.number if newest and made else None,
        dead=frozenset(image.number for image in images if not image.launchable),
        severity=_severities(images, stops, database),
    )


def follows(fleet: Fleet, family: str) -> bool:
    """Say whether a fleet runs what the channel with its environment's name points at."""
    image = fleet.image
    return fleet.kind is Kind.SERVICE and image.family == family and image.channel == fleet.env


def _channels(db: Connection, family: str) -> dict[str, Channel]:
    query = (
        select(channels.c.name, channels.c.assigned_at, versions.c.number)
        .join(versions, versions.c.id == channels.c.version_id)
        .where(channels.c.family == family)
    )
    return {row.name: Channel(number=row.number, at=row.assigned_at) for row in db.execute(query)}


def _place(db: Connection, fleet: Fleet, family: str, now: datetime) -> Place:
    mine = (fleets.c.env == fleet.env) & (fleets.c.name == fleet.name)
    row = db.execute(select(fleets).where(mine)).first()
    window = state_of(fleet.procedure.windows, now)
    held = window.because if isinstance(window, Closed) else ""
    if row and row.paused_because is not None:
        held = f"paused by {row.paused_by}: {row.paused_because}"
    refused: set[int] = set()
    for table in (failed_goals, pins):
        here = (table.c.env == fleet.env) & (table.c.fleet == fleet.name)
        refused |= {
            number
            for (name,) in db.execute(select(table.c.version).where(here))
            if (number := _number(name, family)) is not None
        }
    return Place(
        name=fleet.name,
        stage=fleet.stage,
        soak=timedelta(seconds=fleet.procedure.soak),
        settled=_number(row.settled, family) if row else None,
        settled_at=row.settled_at if row else None,
        refused=frozenset(refused),
        held=held,
    )


def _number(name: str | None, family: str) -> int | None:
    of, _, number = (name or "").partition("/")
    return int(number) if of == family and number.isdecimal() else None


def _approved(db: Connection, family: str, env: str) -> frozenset[int]:
    query = select(approvals.c.number).where(approvals.c.family == family, approvals.c.env == env)
    return frozenset(db.execute(query).scalars())


def _severities(
    images: Sequence[Version], stops: Sequence[Stop], database: Database
) -> dict[int, int]:
    """Say what each image on its way is worth next to what the last environment has: whether
    any package in it is from a security suite and another version there."""
    last = stops[-1].channel if stops else None
    base = next((image for image in images if image.number == last), None)
    kept = Inventories(database)
    old = kept.of(base) if base else None
    found: dict[int, int] = {}
    for image in images:
        if old is None or image.number <= (last or 0):
            continue
        new = kept.of(image, old.provider)
        if new is None:
            continue
        fixes = any(change.security for change in difference(old, new).packages)
        found[image.number] = SECURITY if fixes else ORDINARY
    return found
