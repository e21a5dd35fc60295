"""Fleets that left their file, and whose instances are still there: told, and never ended by
itself. Whoever deletes a line of a file may not have meant a hundred machines."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from ovenbird.provider import Engine
from ovenbird.report.rows import Images, Row, others, strangers
from ovenbird.rollout.records import Record, Records
from ovenbird.state.database import Database
from ovenbird.state.site import Site
from ovenbird.state.tables import instances
from ovenbird.values.errors import OvenbirdError
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A fleet that no file has, with instances of this site that were launched and not ended.

    ``rows`` are these, also where an engine does not answer, and what else carries its name;
    ``problem`` says which engine could not be asked, or is "".
    """

    env: str
    name: str
    now: datetime
    rows: Sequence[Row]
    problem: str = ""

    @property
    def sentence(self) -> str:
        count, where = len(self.rows), f"inventories/{self.env}/fleets.yml"
        told = f"{count} unowned, since the fleet is not in {where} any more; {self.remedy}"
        return f"{told}. {self.problem}" if self.problem else told

    @property
    def remedy(self) -> str:
        """Say how to end them."""
        return f"invoke fleet.remove {self.name} --env {self.env} ends them"


def places_of(database: Database) -> dict[tuple[str, str], set[str]]:
    """Return the providers of every fleet with instances that have not ended, by (env, name)."""
    columns = (instances.c.env, instances.c.fleet, instances.c.provider, instances.c.place)
    query = select(*columns).where(instances.c.ended_at.is_(None)).distinct()
    found: dict[tuple[str, str], set[str]] = {}
    with database.reading() as db:
        for row in db.execute(query):
            provider = row.provider or row.place.partition(" ")[0]
            found.setdefault((row.env, row.fleet), set()).add(provider)
    return dict(sorted(found.items()))


def left_of(
    site: Site,
    key: FleetKey,
    providers: Collection[str],
    images: Images,
    *,
    engine_of: Callable[[str], Engine],
    now: datetime,
) -> Left:
    """Look at a fleet that left its file: engines are asked what is there, probes are not."""
    seen: dict[str, Seen] = {}
    problems = []
    for provider in sorted(providers):
        try:
            seen |= {each.token: each for each in engine_of(provider).instances(key)}
        except OvenbirdError as error:
            problems.append(error.problem)
    known = Records(site.database, key).of(seen)
    mine = {t: s for t, s in seen.items() if t in known and s.fleet.site == key.site}
    why = f"its fleet left inventories/{key.env}/fleets.yml"
    rows = others(mine.values(), images, records=known, unowned=why)
    rows += strangers([s for t, s in seen.items() if t not in mine], images, site=key.site)
    rows += [
        _unseen(key, record, images, why, unsure=bool(problems))
        for token, record in known.items()
        if token not in seen and record.ended_at is None
    ]
    return Left(env=key.env, name=key.name, now=now, rows=rows, problem=" ".join(problems))


def _unseen(key: FleetKey, record: Record, images: Images, why: str, *, unsure: bool) -> Row:
    lives = f"it lives at {record.place}" if record.place else "nobody saw it end"
    return Row(
        env=key.env,
        fleet=key.name,
        token=record.token,
        version=record.version,
        health="unknown",
        because="its engine cannot be asked" if unsure else f"not listed here; {lives}",
        launched_at=record.ordered_at,
        launch_hash=record.launch_hash,
        slot=record.slot,
        kept_until=record.kept_until,
        quarantined_until=record.quarantined_until,
        unwanted=record.unwanted_because,
        job=record.job,
        image=images.of(record.version),
        behind=images.behind(record.version),
        unowned=why,
    )
