"""The volumes of a site: which there are, whose they are, and the one way to delete one.

A volume outlives its instances, its fleet's size and its fleet's entry in the file. What nobody
wants any more is called orphaned, and stays until a person deletes it by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sqlalchemy import select

from ovenbird.assembly.engines import engine_named
from ovenbird.clock import Clock, SystemClock
from ovenbird.config import load_environments, load_fleets
from ovenbird.config.wording import did_you_mean
from ovenbird.provider import Engine
from ovenbird.rollout.bounded import LONGEST_CALL, BoundedProvider
from ovenbird.rollout.calls import Calls
from ovenbird.rollout.lease import Leases
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record, whoami
from ovenbird.state.site import Site
from ovenbird.state.tables import fleets as standings
from ovenbird.state.tables import instances
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.fleet import Fleet, FleetKey
from ovenbird.values.instance import Volume

EngineOf = Callable[[str], Engine]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A volume and what it is worth now. ``orphaned`` says why no instance will use it again, or
    is ""."""

    volume: Volume
    provider: str
    orphaned: str = ""

    @property
    def where(self) -> str:
        """Name its slot: ``dev/db-0``."""
        return f"{self.volume.fleet}-{self.volume.slot}"


def volumes_of(
    project: Path, site: Site, *, env: str = "", fleet: str = "", engine_of: EngineOf | None = None
) -> list[Stored]:
    """List the volumes of every fleet that is in a file or has ever had an instance here.

    Sorted by environment, fleet, slot and name. Raises `EngineUnreachable` where an engine does
    not answer: a list that leaves out somebody's data would be a lie.
    """
    open_engine = engine_of or partial(engine_named, project=project, site=site)
    found: list[Stored] = []
    for one, name, provider, wanted in _fleets(project, site.database, env=env, fleet=fleet):
        engine = BoundedProvider(open_engine(provider), longest=LONGEST_CALL)
        key = FleetKey(site=site.id, env=one, name=name)
        for volume in engine.volumes(key):
            why = _orphaned(volume, wanted, size=_size(site.database, key, wanted))
            found.append(Stored(volume=volume, provider=provider, orphaned=why))
    return sorted(
        found, key=lambda s: (s.volume.fleet, s.volume.slot, s.volume.spec, s.volume.name)
    )


def volume_named(stored: list[Stored], name: str) -> Stored:
    """Find one by its whole name. Raises `ConfigurationError` where there is none."""
    for one in stored:
        if one.volume.name == name:
            return one
    known = [each.volume.name for each in stored]
    raise ConfigurationError.of(
        f"There is no volume {name!r}.{did_you_mean(name, known)}",
        remedy="See which there are: invoke volume.list",
    )


def delete_volume(
    project: Path,
    site: Site,
    stored: Stored,
    *,
    because: str = "",
    clock: Clock | None = None,
    engine_of: EngineOf | None = None,
) -> None:
    """Delete a volume and all that is on it, for ever.

    While nobody else is at work on its fleet: between two instances of a rollout a volume is
    free, and wanted. Raises `Busy` then, and `Blocked` where something has it attached.
    """
    open_engine = engine_of or partial(engine_named, project=project, site=site)
    clock, volume = clock or SystemClock(), stored.volume
    require_unused(stored)
    calls = Calls(site.folder, volume.fleet, clock, longest=LONGEST_CALL)
    leases = Leases(site.database, volume.fleet, folder=site.folder, by=whoami())
    with leases.taken("repair") as lease:
        calls.quiet()
        with calls.alone():
            lease.renew_or_raise()
            _tell(site, volume, because, "begun", clock)
            engine = BoundedProvider(open_engine(stored.provider), longest=LONGEST_CALL)
            engine.delete_volume(volume.name)
            _tell(site, volume, because, "done", clock)


def require_unused(stored: Stored) -> None:
    """Raise `Blocked` where something has it attached, running or not."""
    if stored.volume.used_by:
        raise Blocked(
            f"{stored.volume.name} is in use by {', '.join(stored.volume.used_by)}.",
            remedy="Nothing was deleted. Make its fleet smaller or remove it first: invoke "
            "fleet.scale, invoke fleet.remove",
        )


def _tell(site: Site, volume: Volume, because: str, outcome: str, clock: Clock) -> None:
    key = volume.fleet
    deed = Deed(
        at=clock.now(),
        by=whoami(),
        verb="delete volume",
        subject=key.name,
        env=key.env,
        before=volume.name,
        because=because,
        outcome=outcome,
    )
    with site.database.begin() as db:
        record(db, deed)


def _fleets(
    project: Path, database: Database, *, env: str, fleet: str
) -> list[tuple[str, str, str, Fleet | None]]:
    """List environment, name, provider and entry of every fleet that may have volumes."""
    described = load_environments(project)
    known: dict[tuple[str, str, str], Fleet | None] = {}
    for one in described:
        if env in ("", one):
            for name, wanted in load_fleets(project, one).items():
                known[one, name, wanted.provider] = wanted
    columns = (instances.c.env, instances.c.fleet, instances.c.provider, instances.c.place)
    with database.reading() as db:
        rows = db.execute(select(*columns).distinct()).all()
    for row in rows:
        provider = row.provider or row.place.partition(" ")[0]
        if env in ("", row.env) and provider:
            known.setdefault((row.env, row.fleet, provider), None)
    if env and env not in described and not known:
        raise ConfigurationError.of(
            f"There is no environment {env!r}.{did_you_mean(env, described)}",
            remedy=f"There are: {', '.join(described) or 'none'}.",
        )
    return [
        (*place, wanted)
        for place, wanted in sorted(known.items(), key=lambda each: each[0])
        if fleet in ("", place[1])
    ]


def _size(database: Database, key: FleetKey, wanted: Fleet | None) -> int:
    """Return the size that holds: a recorded one goes before the file's."""
    mine = (standings.c.env == key.env) & (standings.c.name == key.name)
    with database.reading() as db:
        recorded = db.execute(select(standings.c.size).where(mine)).scalar()
    return int(recorded) if recorded is not None else (wanted.size if wanted else 0)


def _orphaned(volume: Volume, wanted: Fleet | None, *, size: int) -> str:
    if wanted is None:
        return "its fleet is in no file"
    if volume.spec not in {spec.name for spec in wanted.volumes}:
        return f"its fleet has no volume {volume.spec} any more"
    return f"its fleet has {size} slots" if volume.slot >= size else ""
