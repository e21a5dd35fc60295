"""Everything that a bake works with."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from ovenbird.assembly.engines import engine_named
from ovenbird.assembly.sealed import catalog_of
from ovenbird.bake.bakery import Bakery
from ovenbird.bake.oven import Oven
from ovenbird.clock import SystemClock
from ovenbird.config import (
    load_bake_environment,
    load_bake_variables,
    load_engines,
    load_families,
)
from ovenbird.console import Console
from ovenbird.provider import Engine
from ovenbird.state.history import whoami
from ovenbird.state.site import Site
from ovenbird.values.engine import LxdSettings, QemuSettings
from ovenbird.values.errors import ConfigurationError


def _on_podman(_project: Path, site: Site) -> tuple[Oven, Engine]:
    from ovenbird.bake.oven_podman import PodmanOven
    from ovenbird.provider.podman import PodmanProvider

    provider = PodmanProvider(folder=site.folder, site=site.id)
    return PodmanOven(provider, folder=site.folder), provider


def _on_lxd(project: Path, site: Site) -> tuple[Oven, Engine]:
    from ovenbird.bake.oven_lxd import LxdOven

    said = load_engines(project).get("lxd")
    settings = said if isinstance(said, LxdSettings) else LxdSettings()
    provider = engine_named("lxd", project=project, site=site)
    return LxdOven(provider, settings=settings, folder=site.folder, site=site.id), provider


def _on_qemu(project: Path, site: Site) -> tuple[Oven, Engine]:
    from ovenbird.bake.oven_qemu import QemuOven

    said = load_engines(project).get("qemu")
    settings = said if isinstance(said, QemuSettings) else QemuSettings()
    provider = engine_named("qemu", project=project, site=site)
    return QemuOven(provider, settings=settings, folder=site.folder, site=site.id), provider


OVENS: Mapping[str, Callable[[Path, Site], tuple[Oven, Engine]]] = {
    "podman": _on_podman,
    "lxd": _on_lxd,
    "qemu": _on_qemu,
}
"""How each engine is opened for a bake; each imports only what it needs."""


def bakeries(project: Path, site: Site, console: Console, *, on: str) -> list[Bakery]:
    """Make everything ready for a bake on each engine of a list like ``podman,lxd``."""
    names = list(dict.fromkeys(name.strip() for name in on.split(",")))
    if len(names) == 1:
        return [bakery(project, site, console, on=names[0])]
    return [bakery(project, site, console.of(name), on=name) for name in names]


def bakery(project: Path, site: Site, console: Console, *, on: str = "podman") -> Bakery:
    """Make everything ready for a bake on one engine."""
    if on not in OVENS:
        raise ConfigurationError.of(
            f"Nothing can be baked on {on!r} here.",
            remedy=f"Allowed with --on: {', '.join(OVENS)}.",
        )
    oven, provider = OVENS[on](project, site)
    return Bakery(
        project=project,
        site=site,
        families=load_families(project),
        variables=load_bake_variables(project),
        environment=load_bake_environment(project),
        catalog=catalog_of(site),
        oven=oven,
        provider=provider,
        clock=SystemClock(),
        console=console,
        by=whoami(),
    )
