"""Everything that work on a fleet needs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ovenbird.balancer.registry import balancers_for
from ovenbird.catalog import Catalog
from ovenbird.clock import SystemClock
from ovenbird.config import load_fleets
from ovenbird.console import Console
from ovenbird.fleet.health import CONSOLE_LINES, probe_for
from ovenbird.provider.registry import provider_named
from ovenbird.rollout.book import Book
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.setting import Setting
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


def setting(project: Path, site: Site, console: Console, fleet: Fleet) -> Setting:
    """Make everything ready for work on one fleet."""
    key = FleetKey(site=site.id, env=fleet.env, name=fleet.name)
    provider = provider_named(fleet.provider, folder=site.folder, site=site.id)

    console_of = partial(provider.console, lines=CONSOLE_LINES)
    return Setting(
        project=project,
        site=site,
        fleet=fleet,
        key=key,
        catalog=Catalog(site.database),
        provider=provider,
        balancers=balancers_for(key, fleet.balancers, folder=site.folder, health=fleet.health),
        probe_for=lambda accepted: probe_for(fleet.health, console=console_of, accepted=accepted),
        journal=Journal(site.database, key),
        book=Book(site.database, key),
        clock=SystemClock(),
        console=console,
        by=whoami(),
    )
