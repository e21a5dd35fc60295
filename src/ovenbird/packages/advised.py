"""Look for advisories in images, and refuse what a gate stops.

What cannot be looked at (no list of packages, no data, data that is too old) is `Inconclusive`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ovenbird.packages.advisories import affecting, gated, lapsed
from ovenbird.packages.advisory_data import Known, known_of
from ovenbird.values.advisory import AdvisorySettings, Affected, Exemption, Gate
from ovenbird.values.errors import Blocked, Inconclusive
from ovenbird.values.family import BakeEnvironment
from ovenbird.values.package import Inventory, Package

TOLD = 20
"""Advisories that a refusal shows; the report has all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What is needed to look: what the project wants, where copies are kept, and the time."""

    project: Path
    folder: Path
    now: datetime
    settings: AdvisorySettings
    exceptions: tuple[Exemption, ...] = ()
    environment: BakeEnvironment = BakeEnvironment()

    def known_of(self, packages: Sequence[Package]) -> Known:
        """Read what is known of what these packages were built from."""
        return known_of(
            self.settings,
            {package.source for package in packages},
            project=self.project,
            cache=self.folder,
            now=self.now,
            proxy=self.environment.proxy,
        )

    def stopped(self, affected: Sequence[Affected], gate: Gate) -> list[Affected]:
        return gated(affected, gate, self.exceptions, self.now.date())


def watch_of(project: Path, site_folder: Path, now: datetime) -> Watch | None:
    """Make ready to look; None where the project has no inventories/advisories.yml.

    Raises `ConfigurationError`, also for an exception whose day is over.
    """
    if not (project / "inventories" / "advisories.yml").exists():
        return None
    from ovenbird.config import load_advisories, load_bake_environment, load_exceptions

    return Watch(
        project=project,
        folder=site_folder / "cache" / "advisories",
        now=now,
        settings=load_advisories(project),
        exceptions=load_exceptions(project, today=now.date()).advisories,
        environment=load_bake_environment(project),
    )


def inside(
    image: str, providers: Sequence[str], inventories: Mapping[str, Inventory]
) -> list[Package]:
    """List what is in an image on these engines. Raises `Inconclusive` where that is not known."""
    packages: dict[Package, None] = {}
    for provider in providers:
        if provider not in inventories:
            raise Inconclusive(
                f"It is not known what is inside {image} on {provider}: it was proven before that "
                "was noted.",
                remedy=f"Note it now: invoke prove {image} --on {provider}",
            )
        packages.update(dict.fromkeys(inventories[provider].packages))
    return list(packages)


def refusal(
    watch: Watch,
    gate: Gate,
    packages: Sequence[Package],
    *,
    image: str,
    family: str,
    towards: str,
    instead: str = "",
) -> Blocked | None:
    """Return why an image may not go ``towards`` a place, or None.

    ``instead`` is one more way out for the remedy. Raises `Inconclusive` without data.
    """
    affected = affecting(packages, watch.known_of(packages).advisories)
    stopped = watch.stopped(affected, gate)
    if not stopped:
        return None
    lines = [str(each) for each in stopped[:TOLD]]
    if len(stopped) > TOLD:
        lines.append(f"and {len(stopped) - TOLD} more: invoke image.advisories --image {image}")
    for each in lapsed(stopped, watch.exceptions, watch.now.date()):
        lines.append(f"the exception for {each.advisory} by {each.owner} ended on {each.expires}")
    many = "1 advisory" if len(stopped) == 1 else f"{len(stopped)} advisories"
    ways = [
        f"Bake it of the packages of today: invoke bake {family} --refresh"
        if any(each.fixable for each in stopped)
        else "None of them has a fix yet: wait for one, or do without the package.",
        "Or say who lives with it until when: an entry with advisory, reason, owner and expires "
        "in inventories/bake/exceptions.yml",
    ]
    return Blocked(
        f"{image} may not go to {towards}: it has {many} of severity {gate}.",
        remedy="\n".join([*ways, *([instead] if instead else [])]),
        evidence="\n".join(lines),
    )
