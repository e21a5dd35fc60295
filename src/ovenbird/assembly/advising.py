"""Advisories over the images of a site: before a promotion, and for all that is in use."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ovenbird.catalog import Catalog
from ovenbird.catalog.inventory import Inventories
from ovenbird.clock import SystemClock
from ovenbird.packages.advised import Watch, inside, refusal, watch_of
from ovenbird.packages.advisories import Change, affecting, changed
from ovenbird.packages.fetch import write
from ovenbird.report.behind import in_use
from ovenbird.state.site import Site
from ovenbird.values.advisory import Affected
from ovenbird.values.errors import ConfigurationError, Inconclusive
from ovenbird.values.image import ImageRef, Version
from ovenbird.values.package import Package

SCANNED = "scanned.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """One image, where it is used, what it has, and what of that a gate of those places stops.

    ``problem`` is why nothing can be said of it, with its remedy.
    """

    version: Version
    where: tuple[str, ...]
    affected: tuple[Affected, ...] = ()
    stopped: tuple[Affected, ...] = ()
    problem: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a look found. ``digest`` is of the data; ``unchanged_since`` tells when these families
    were last looked at with the same data, as ISO 8601, or ""."""

    images: tuple[Advised, ...]
    digest: str = ""
    at: str = ""
    notes: tuple[str, ...] = ()
    unchanged_since: str = ""


def require_promotable(project: Path, site: Site, version: Version, channel: str) -> None:
    """Refuse to point a channel at what its gate stops: on any engine that has the image.

    Raises `Blocked`, or `Inconclusive` where it cannot be known.
    """
    watch = watch_of(project, site.folder, SystemClock().now())
    gate = watch.settings.gate_for(channel) if watch else None
    if watch is None or gate is None:
        return
    stopped = refusal(
        watch,
        gate,
        _inside(site, version),
        image=str(version),
        family=version.family,
        towards=f"{version.family}@{channel}",
    )
    if stopped is not None:
        raise stopped


def look(project: Path, site: Site, *, image: str = "", family: str = "") -> Report:
    """Look at one image, or at all that a channel names, a fleet has settled on or that runs.

    Raises `Inconclusive` where there is no data at all.
    """
    watch = watch_of(project, site.folder, SystemClock().now())
    if watch is None:
        raise ConfigurationError.of(
            "No source of advisories is named.",
            remedy="Write inventories/advisories.yml: sources: [{debian_tracker: "
            "https://security-tracker.debian.org/tracker/data/json, release: bookworm}]",
            file="inventories/advisories.yml",
        )
    catalog = Catalog(site.database)
    used = in_use(site, catalog)
    if image:
        versions = [catalog.resolve(ImageRef.parse(image))]
    else:
        versions = [v for v in catalog.versions(family) if str(v) in used]
    packages: dict[str, list[Package]] = {}
    unknown: dict[str, Inconclusive] = {}
    for version in versions:
        try:
            packages[str(version)] = _inside(site, version)
        except Inconclusive as error:
            unknown[str(version)] = error
    known = watch.known_of([package for each in packages.values() for package in each])
    found: list[Advised] = []
    for version in versions:
        name = str(version)
        where = used.get(name, ())
        if name in unknown:
            why = unknown[name]
            told = Advised(version=version, where=where, problem=why.problem, remedy=why.remedy)
        else:
            affected = affecting(packages[name], known.advisories)
            stopped = _stopped(watch, affected, where)
            told = Advised(
                version=version, where=where, affected=tuple(affected), stopped=tuple(stopped)
            )
        found.append(told)
    families = sorted({version.family for version in versions if str(version) in packages})
    since = "" if image else _remember(watch, families, known.digest)
    return Report(
        images=tuple(found),
        digest=known.digest,
        at=known.at.isoformat(),
        notes=known.notes,
        unchanged_since=since,
    )


def between(project: Path, site: Site, before: Version, after: Version) -> Change | None:
    """Say which advisories a newer image has fixed and which it brings; None where no source of
    advisories is named. Raises `Inconclusive`."""
    watch = watch_of(project, site.folder, SystemClock().now())
    if watch is None:
        return None
    old, new = _inside(site, before), _inside(site, after)
    known = watch.known_of([*old, *new])
    return changed(affecting(old, known.advisories), affecting(new, known.advisories))


def _inside(site: Site, version: Version) -> list[Package]:
    known = {each.provider: each for each in Inventories(site.database).all_of(version)}
    return inside(str(version), [each.provider for each in version.artifacts], known)


def _stopped(watch: Watch, affected: Sequence[Affected], where: Sequence[str]) -> list[Affected]:
    """List what any gate of the places stops where an image is used; else what the default does."""
    places = [place.removeprefix("@").partition("/")[0] for place in where]
    gates = [gate for place in places or [""] if (gate := watch.settings.gate_for(place))]
    hit = {id(each) for gate in gates for each in watch.stopped(affected, gate)}
    return [each for each in affected if id(each) in hit]


def _remember(watch: Watch, families: Sequence[str], digest: str) -> str:
    """Note with which data each family was looked at; say since when all have been with this."""
    path, now = watch.folder / SCANNED, watch.now.isoformat()
    try:
        known = json.loads(path.read_bytes())
        known = known if isinstance(known, dict) else {}
    except (OSError, ValueError):
        known = {}
    same = [
        entry["at"]
        for family in families
        if isinstance(entry := known.get(family), dict) and entry.get("digest") == digest
    ]
    since = max(same) if same and len(same) == len(families) else ""
    for family in families:
        entry = known.get(family)
        if not (isinstance(entry, dict) and entry.get("digest") == digest):
            known[family] = {"digest": digest, "at": now}
    write(path, json.dumps(known, indent=2, sort_keys=True).encode())
    return since
