"""Which images are behind their own sources: decided without booting one, or asking an engine.

In use is what a channel names, what a fleet has settled on, and what an instance on record runs.
An image that nothing can be said about says so; it is never told as up to date.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import select

from ovenbird.catalog import Catalog
from ovenbird.catalog.inventory import Inventories
from ovenbird.packages.archive import Offer, Rules, offers, rules_of
from ovenbird.packages.sources import Source, lend
from ovenbird.packages.stale import Update, is_kernel, kernel_is_ours, updates_of
from ovenbird.state.database import Database
from ovenbird.state.site import Site
from ovenbird.state.tables import fleets, instances
from ovenbird.values.errors import Inconclusive
from ovenbird.values.family import BakeEnvironment, Family
from ovenbird.values.image import ImageState, Version
from ovenbird.values.package import Inventory, Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """One update that an image lacks, and since when this site knows of it."""

    update: Update
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Behind:
    """How one image stands. ``problem`` is why nothing can be said of it, with its remedy."""

    version: Version
    where: tuple[str, ...]
    late: tuple[Late, ...] = ()
    problem: str = ""
    remedy: str = ""
    shared_kernel: tuple[str, ...] = ()  # engines whose instances run the host's own

    @property
    def security(self) -> int:
        return sum(each.update.security for each in self.late)


def in_use(site: Site, catalog: Catalog) -> dict[str, tuple[str, ...]]:
    """Say where each image is used, by its name: channels first, then fleets."""
    where: dict[str, set[str]] = {}
    for version in catalog.versions():
        for channel in version.channels:
            where.setdefault(str(version), set()).add(f"@{channel}")
    with site.database.reading() as db:
        settled = select(fleets.c.env, fleets.c.name, fleets.c.settled).where(
            fleets.c.settled.is_not(None), fleets.c.removed_at.is_(None)
        )
        runs = (
            select(instances.c.env, instances.c.fleet, instances.c.version)
            .where(instances.c.ended_at.is_(None))
            .distinct()
        )
        for env, fleet, name in [*db.execute(settled), *db.execute(runs)]:
            where.setdefault(name, set()).add(f"{env}/{fleet}")
    return {name: tuple(sorted(each)) for name, each in where.items()}


class Sources:
    """What apt sources offer, each asked once however many images have it."""

    def __init__(
        self, site: Site, environment: BakeEnvironment, families: Mapping[str, Family]
    ) -> None:
        self._site, self._environment, self._families = site, environment, families
        self._known: dict[str, list[Offer] | Inconclusive] = {}
        self._names: set[str] = set()
        self._architectures: set[str] = set()
        self._rules: Rules | None = None

    def expect(self, inventories: Collection[Inventory]) -> None:
        """Say beforehand which packages are asked for, so that each list is read once."""
        for inventory in inventories:
            self._names |= {package.name for package in inventory.packages}
            self._architectures |= {package.architecture for package in inventory.packages}

    def offered(self, version: Version, now: datetime) -> list[Offer]:
        """List what an image's own sources offer. Raises `Inconclusive`."""
        family = self._families.get(version.family)
        lines = version.provenance.sources or (family.sources if family else ())
        if not lines:
            raise Inconclusive(
                f"{version} does not say which apt sources it is from.",
                remedy=f"Name them under sources: in packer/images.yml, and bake {version.family}.",
            )
        cache = self._site.folder / "cache"
        found: list[Offer] = []
        for source in lend(lines, self._environment, cache=cache / "mirrors.json"):
            found += self._asked(source, cache / "indexes", now)
        return found

    def _asked(self, source: Source, cache: Path, now: datetime) -> list[Offer]:
        key = str(source)
        if self._rules is None:
            self._rules = rules_of(self._environment, cache=cache)
        if key not in self._known:
            try:
                self._known[key] = offers(
                    source,
                    names=self._names,
                    architectures=self._architectures - {"all"},
                    rules=self._rules,
                    now=now,
                )
            except Inconclusive as error:
                self._known[key] = error
        known = self._known[key]
        if isinstance(known, Inconclusive):
            raise known
        return known


def behind(
    versions: Sequence[Version],
    where: Mapping[str, tuple[str, ...]],
    *,
    database: Database,
    sources: Sources,
    now: datetime,
) -> list[Behind]:
    """Hold each image's packages against what its sources have, in the order of ``versions``."""
    kept = Inventories(database)
    inside = {str(version): kept.all_of(version) for version in versions}
    sources.expect([each for several in inside.values() for each in several])
    looked = [
        _looked_at(version, where.get(str(version), ()), inside[str(version)], sources, now)
        for version in versions
    ]
    keys = {_key(each.update) for one in looked for each in one.late}
    since = kept.first_seen(keys, now=now) if keys else {}
    return [
        replace(one, late=tuple(replace(each, since=since[_key(each.update)]) for each in one.late))
        for one in looked
    ]


def of_images(
    catalog: Catalog, where: Mapping[str, tuple[str, ...]], *, family: str = ""
) -> list[Version]:
    """List the images that are in use and known, and may still run, newest first."""
    return [
        version
        for version in catalog.versions(family)
        if str(version) in where and version.state is not ImageState.FAILED
    ]


def _looked_at(
    version: Version,
    where: tuple[str, ...],
    inventories: Sequence[Inventory],
    sources: Sources,
    now: datetime,
) -> Behind:
    shared = tuple(a.provider for a in version.artifacts if not kernel_is_ours(a.provider))
    blank = Behind(version=version, where=where, shared_kernel=shared)
    if not inventories:
        return replace(
            blank,
            problem=f"{version} was proven before it was noted what is inside.",
            remedy=f"Note it now: invoke prove {version}",
        )
    if any(package.kind is Kind.RPM for each in inventories for package in each.packages):
        return replace(
            blank,
            problem=f"{version} has rpm packages, and indexes of rpm are not read yet.",
            remedy="Bake it anew by its age: max_age in inventories/patch.yml.",
        )
    try:
        offered = sources.offered(version, now)
    except Inconclusive as error:
        return replace(blank, problem=error.problem, remedy=error.remedy)
    found: dict[tuple[str, str], Update] = {}
    for inventory in inventories:
        for update in updates_of(inventory.packages, offered):
            if is_kernel(update.package) and not kernel_is_ours(inventory.provider):
                continue
            found.setdefault((update.package.name, update.package.architecture), update)
    ordered = sorted(found.values(), key=lambda u: (not u.security, u.package.name))
    return replace(blank, late=tuple(Late(update=update, since=now) for update in ordered))


def _key(update: Update) -> tuple[str, str, str]:
    return update.suite, update.package.name, update.version
