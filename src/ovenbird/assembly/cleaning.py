"""Everything that a clean-up of images has to look at: the families, every fleet of every
environment, those that left their file, and every engine that holds an image."""

from __future__ import annotations

from pathlib import Path

from ovenbird.assembly.engines import engine_named
from ovenbird.care.store import Store
from ovenbird.catalog import Catalog
from ovenbird.clock import SystemClock
from ovenbird.config import load_environments, load_families, load_fleets
from ovenbird.console import Console
from ovenbird.report.left import places_of
from ovenbird.rollout.bounded import BoundedProvider
from ovenbird.state.history import whoami
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import FleetKey


def store_of(project: Path, site: Site, console: Console, *, family: str = "") -> Store:
    """Put it together; with ``family`` only images of that one may go.

    Raises `ConfigurationError` for any fault in any file: what is hidden by it may need an image.
    """
    families = load_families(project)
    rules = {name: f.retention for name, f in families.items() if f.retention is not None}
    if family and family not in rules:
        raise ConfigurationError.of(
            f"{family} has no retention, so none of its images ever goes."
            if family in families
            else f"There is no family {family!r}; there are {', '.join(sorted(families))}.",
            remedy="Give it one in packer/images.yml: retention: {keep: 10, min_age: 30d}"
            if family in families
            else "Name one of those.",
            file="packer/images.yml",
            line=families[family].line if family in families else 0,
        )
    fleets, named = _fleets(project, site)
    held = {a.provider for v in Catalog(site.database).versions() for a in v.artifacts}
    asked = {provider for at in fleets.values() for provider in at}
    return Store(
        site=site,
        engines={
            name: BoundedProvider(engine_named(name, project=project, site=site))
            for name in sorted(held | asked)
        },
        fleets=fleets,
        named=named,
        retention={name: rule for name, rule in rules.items() if family in ("", name)},
        parents={name: f.parent for name, f in families.items() if f.parent is not None},
        clock=SystemClock(),
        console=console,
        by=whoami(),
    )


def _fleets(
    project: Path, site: Site
) -> tuple[dict[FleetKey, set[str]], dict[str, tuple[str, ...]]]:
    """Say where each fleet may have instances, and which lines of files name a version."""
    at: dict[FleetKey, set[str]] = {}
    named: dict[str, tuple[str, ...]] = {}
    for (env, name), providers in places_of(site.database).items():
        at[FleetKey(site=site.id, env=env, name=name)] = {p for p in providers if p}
    for env in load_environments(project):
        for fleet in load_fleets(project, env).values():
            key = FleetKey(site=site.id, env=env, name=fleet.name)
            at.setdefault(key, set()).add(fleet.provider)
            if fleet.image.version is not None:
                line = f"{fleet.file}:{fleet.line}"
                named[str(fleet.image)] = (*named.get(str(fleet.image), ()), line)
    return at, named
