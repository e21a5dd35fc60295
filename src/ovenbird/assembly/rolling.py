"""Everything that work on a fleet needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from ovenbird.assembly.engines import engine_named
from ovenbird.assembly.sealed import catalog_of
from ovenbird.balancer import Balancer
from ovenbird.balancer.registry import balancers_for
from ovenbird.clock import Clock, SystemClock
from ovenbird.config import load_environments, load_fleets
from ovenbird.console import Console
from ovenbird.fleet.health import CONSOLE_LINES, Probe, probe_for
from ovenbird.provider import Engine
from ovenbird.rollout.book import Book, Standing, being_removed
from ovenbird.rollout.bounded import LONGEST_CALL, BoundedBalancer
from ovenbird.rollout.calls import Calls
from ovenbird.rollout.checkpoints import Checkpoints
from ovenbird.rollout.described import fleet_of
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.lease import Leases
from ovenbird.rollout.records import Records
from ovenbird.rollout.setting import Setting, require_room
from ovenbird.rollout.vouched import VouchedProvider, Vouching
from ovenbird.state.history import whoami
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import Fleet, FleetKey


def fleet_named(project: Path, env: str, name: str) -> Fleet:
    """Find one fleet of an environment, or say which there are."""
    fleets = load_fleets(project, env)
    if name not in fleets:
        raise ConfigurationError.of(
            f"There is no fleet {name!r} in {env}; there are {', '.join(fleets) or 'none'}.",
            remedy="Name one of those, or another environment with --env.",
            file=f"inventories/{env}/fleets.yml",
        )
    return fleets[name]


def fleet_known(project: Path, site: Site, env: str, name: str) -> Fleet:
    """Find a fleet in its file, else as its last rollout used it: it may have left the file.

    Raises what `fleet_named` raises for one that was never rolled out either.
    """
    fleets = load_fleets(project, env) if env in load_environments(project) else {}
    if name in fleets:
        return fleets[name]
    kept = Book(site.database, FleetKey(site=site.id, env=env, name=name)).described()
    return fleet_named(project, env, name) if kept is None else fleet_of(kept)


def fleets_to_tend(project: Path, site: Site, env: str) -> list[Fleet]:
    """List the fleets of an environment, and those whose removal has begun after they had left."""
    fleets = load_fleets(project, env)
    left = [name for name in being_removed(site.database, env) if name not in fleets]
    return [*fleets.values(), *(fleet_known(project, site, env, name) for name in left)]


def sized(fleet: Fleet, standing: Standing) -> Fleet:
    """Give a fleet the size that holds: a recorded one instead of the file's, and none at all
    while it is being removed."""
    size = 0 if standing.removed_at is not None else standing.size
    wanted = fleet.size if fleet.file_size is None else fleet.file_size
    if size is None:
        return replace(fleet, size=wanted, file_size=None)
    scaled = replace(fleet, size=size, file_size=wanted)
    require_room(scaled)
    return scaled


def setting(
    project: Path, site: Site, console: Console, fleet: Fleet, *, recorded: bool = True
) -> Setting:
    """Make everything ready for work on one fleet; without ``recorded`` of its file's size."""
    key = FleetKey(site=site.id, env=fleet.env, name=fleet.name)
    provider = engine_named(fleet.provider, project=project, site=site)
    balancers = balancers_for(key, fleet.balancers, folder=site.folder, health=fleet.health)
    return setting_with(
        project,
        site,
        console,
        fleet,
        provider=provider,
        balancers=balancers,
        clock=SystemClock(),
        recorded=recorded,
    )


def setting_with(
    project: Path,
    site: Site,
    console: Console,
    fleet: Fleet,
    *,
    provider: Engine,
    balancers: Sequence[Balancer],
    clock: Clock,
    probe_for_fleet: Callable[[Collection[str]], Probe] | None = None,
    longest_call: float = LONGEST_CALL,
    recorded: bool = True,
) -> Setting:
    """Make a setting of ports that somebody else chose, each of them bounded in time.

    The fleet gets the size that holds now (`sized`), or without ``recorded`` its file's.
    """
    key = FleetKey(site=site.id, env=fleet.env, name=fleet.name)
    book = Book(site.database, key)
    standing = book.standing()
    catalog = catalog_of(site)
    vouching = Vouching(catalog, provider)
    engine = VouchedProvider(provider, vouching, longest=longest_call)
    console_of = partial(engine.console, lines=CONSOLE_LINES)

    def probe(accepted: Collection[str]) -> Probe:
        return probe_for(fleet.health, console=console_of, accepted=accepted)

    return Setting(
        project=project,
        site=site,
        fleet=sized(fleet, standing) if recorded else fleet,
        key=key,
        catalog=catalog,
        vouching=vouching,
        provider=engine,
        balancers=tuple(BoundedBalancer(each, longest=longest_call) for each in balancers),
        probe_for=probe_for_fleet or probe,
        journal=Journal(site.database, key),
        records=Records(site.database, key),
        checkpoints=Checkpoints(site.database),
        book=book,
        leases=Leases(site.database, key, folder=site.folder, by=whoami()),
        calls=Calls(site.folder, key, clock, longest=longest_call),
        clock=clock,
        console=console,
        by=whoami(),
        standing=standing,
    )
