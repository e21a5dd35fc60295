"""Everything that a bake works with."""

from __future__ import annotations

from pathlib import Path

from ovenbird.bake.bakery import Bakery
from ovenbird.bake.oven import Oven
from ovenbird.bake.oven_podman import PodmanOven
from ovenbird.catalog import Catalog
from ovenbird.clock import SystemClock
from ovenbird.config import load_bake_environment, load_bake_variables, load_families
from ovenbird.console import Console
from ovenbird.provider.podman import PodmanProvider
from ovenbird.state.history import whoami
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError

OVENS = ("podman",)


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
