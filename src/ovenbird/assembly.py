"""Put a project, a site and an engine together into what a bake and a rollout work with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from ovenbird.bake.bakery import Bakery
from ovenbird.bake.guard import faults_of as guard_faults
from ovenbird.bake.oven import Oven
from ovenbird.bake.oven_podman import PodmanOven
from ovenbird.bake.template import check, render
from ovenbird.balancer.registry import balancers_for
from ovenbird.catalog import Catalog
from ovenbird.clock import SystemClock
from ovenbird.config import faults_of as configuration_faults
from ovenbird.config import load_bake_environment, load_bake_variables, load_families, load_fleets
from ovenbird.console import Console
from ovenbird.fleet.health import CONSOLE_LINES, probe_for
from ovenbird.provider.podman import PodmanProvider
from ovenbird.provider.registry import provider_named
from ovenbird.rollout.book import Book
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.setting import Setting
from ovenbird.state.history import whoami
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.fleet import Fleet, FleetKey

OVENS = ("podman",)


def project_folder(start: Path) -> Path:
    """Find the project that ``start`` lies in: the nearest folder with packer/images.yml."""
    for folder in (start, *start.parents):
        if (folder / "packer" / "images.yml").is_file():
            return folder
    raise ConfigurationError.of(
        f"{start} lies in no Ovenbird project: there is no packer/images.yml here or above.",
        remedy="Change into the project's folder.",
    )


def bakery(project: Path, site: Site, console: Console, *, on: str = "podman") -> Bakery:
    """Make everything ready for a bake on one engine."""
    if on not in OVENS:
        raise ConfigurationError.of(
            f"Nothing can be baked on {on!r} here.",
            remedy=f"Allowed with --on: {', '.join(OVENS)}.",
        )
    provider = PodmanProvider(folder=site.folder, site=site.id)
    oven: Oven = PodmanOven(provider, folder=site.folder)
    return Bakery(
        project=project,
        site=site,
        families=load_families(project),
        variables=load_bake_variables(project),
        environment=load_bake_environment(project),
        catalog=Catalog(site.database),
        oven=oven,
        provider=provider,
        clock=SystemClock(),
        console=console,
        by=whoami(),
    )


def faults_of_project(project: Path) -> list[Fault]:
    """Find everything that is wrong in a project's files: configuration, guard, templates."""
    faults = [*configuration_faults(project), *guard_faults(project)]
    try:
        families = load_families(project)
    except ConfigurationError:
        return faults  # told above, each with its line
    for family in families.values():
        try:
            rendered = render(family, project=project, provider=OVENS[0], parent_artifact="none")
            check(rendered, project=project)
        except ConfigurationError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    return faults


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
