"""Everything that a site runs, over all environments and providers, looked at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from ovenbird.assembly import rolling
from ovenbird.assembly.engines import engine_named
from ovenbird.catalog import Catalog
from ovenbird.clock import SystemClock
from ovenbird.config import load_environments, load_fleets
from ovenbird.console import Console
from ovenbird.provider import Engine
from ovenbird.report.left import Left, left_of, places_of
from ovenbird.report.rows import Images, Row
from ovenbird.report.status import Status, status_of
from ovenbird.rollout.bounded import BoundedProvider
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import Fleet, FleetKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found at one moment. ``faults`` are those of files that hid their fleets."""

    now: datetime
    fleets: list[Status] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    faults: list[ConfigurationError] = field(default_factory=list)

    @property
    def rows(self) -> list[Row]:
        """Every instance, fleet by fleet."""
        mine = [row for status in self.fleets for row in status.rows]
        return mine + [row for left in self.left for row in left.rows]

    @property
    def unseen(self) -> list[str]:
        """Name the fleets that could not be looked at."""
        told = [f"{s.fleet.env}/{s.fleet.name}" for s in self.fleets if s.problem]
        return told + [f"{each.env}/{each.name}" for each in self.left if each.problem]


def survey(
    project: Path, site: Site, console: Console, *, env: str = "", fleet: str = ""
) -> Survey:
    """Look at every fleet of one environment or, where none is named, of all.

    A fault in one file is collected, and hides only what that file describes. An environment
    without a file is looked at where instances of it are there; else it is refused.
    """
    found = Survey(now=SystemClock().now())
    places, described = places_of(site.database), load_environments(project)
    there = {one for one, _ in places}
    envs = [env] if env else sorted({*described, *there})
    for one in envs:
        try:
            wanted = load_fleets(project, one) if one in described or one not in there else {}
            found.fleets.extend(_looked_at(project, site, console, wanted, fleet))
            found.left.extend(_left(project, site, one, fleet, wanted, places))
        except ConfigurationError as error:
            found.faults.append(error)
    if fleet and not (found.fleets or found.left or found.faults):
        raise ConfigurationError.of(
            f"There is no fleet {fleet!r} in {env or 'any environment'}.",
            remedy="See which there are: invoke status --all",
        )
    return found


def _looked_at(
    project: Path, site: Site, console: Console, wanted: dict[str, Fleet], only: str
) -> list[Status]:
    return [
        status_of(rolling.setting(project, site, console, each))
        for name, each in wanted.items()
        if only in ("", name)
    ]


def _left(
    project: Path,
    site: Site,
    env: str,
    only: str,
    wanted: dict[str, Fleet],
    places: dict[tuple[str, str], set[str]],
) -> list[Left]:
    gone: Sequence[str] = [
        name for one, name in places if one == env and name not in wanted and only in ("", name)
    ]
    if not gone:
        return []

    def engine_of(provider: str) -> Engine:
        return BoundedProvider(engine_named(provider, project=project, site=site))

    images = Images(Catalog(site.database).versions())
    return [
        left_of(
            site,
            FleetKey(site=site.id, env=env, name=name),
            places[env, name],
            images,
            engine_of=engine_of,
            now=SystemClock().now(),
        )
        for name in gone
    ]
