"""Catalogs of any size with families on top of each other, and who needs what of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random

from tests.builders import NOW, a_version, an_artifact

from ovenbird.catalog.needs import References
from ovenbird.values.image import ImageState, Version
from ovenbird.values.retention import Retention

PARENTS = {"base": None, "java": "base", "web": "base", "app": "java", "shop": "app"}
FLEETS = ("dev/web", "dev/shop", "prod/web", "prod/shop")
STATES = [ImageState.ACTIVE] * 12 + [ImageState.DEPRECATED, ImageState.REVOKED, ImageState.FAILED]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A catalog, who needs what of it, and how long its families keep their images."""

    versions: tuple[Version, ...]
    references: References
    retention: Mapping[str, Retention]

    def __repr__(self) -> str:
        told = " ".join(
            f"{v}<{v.parent}{'@' if v.channels else ''}:{v.state}" for v in self.versions
        )
        return f"Kept({told}; {self.references}; {dict(self.retention)})"


def a_catalog(chance: Random, size: int) -> Kept:
    """Make ``size`` versions of five families within a year, and references here and there."""
    versions: list[Version] = []
    numbers = dict.fromkeys(PARENTS, 0)
    for index in range(size):
        family = chance.choice([f for f, p in PARENTS.items() if p is None or numbers[p]])
        numbers[family] += 1
        versions.append(_version(chance, family, numbers, age=365 * (size - index) / size))
    retention = {
        family: Retention(
            keep=chance.randint(1, 10), min_age=timedelta(days=chance.choice([0.01, 7, 30]))
        )
        for family in PARENTS
        if chance.random() < 0.8
    }
    return Kept(
        versions=tuple(versions), references=_references(chance, versions), retention=retention
    )


def _version(chance: Random, family: str, numbers: dict[str, int], *, age: float) -> Version:
    number, parent = numbers[family], PARENTS[family]
    made = a_version(number, family=family, state=chance.choice(STATES))
    engines = [p for p in ("memory", "podman") if chance.random() < 0.7]
    retired = chance.random() < 0.05
    return replace(
        made,
        parent=f"{parent}/{_recent(chance, numbers[parent])}" if parent else None,
        baked_at=NOW - timedelta(days=age),
        state=ImageState.RETIRED if retired else made.state,
        artifacts=tuple(an_artifact(f"{p}-{made}", provider=p) for p in engines),
        channels=("stable",) if not retired and chance.random() < 0.01 else (),
    )


def _recent(chance: Random, newest: int) -> int:
    """Mostly one of the last few; a role that went back has an old parent."""
    return chance.randint(1 if chance.random() < 0.02 else max(1, newest - 3), newest)


def _references(chance: Random, versions: list[Version]) -> References:
    alive = [str(v) for v in versions if v.state is not ImageState.RETIRED]

    def some(share: float = 0.01) -> list[str]:
        return [name for name in alive if chance.random() < share]

    def needs() -> dict[str, tuple[str, ...]]:
        return {name: (chance.choice(FLEETS),) for name in some()}

    return References(
        running={name: {chance.choice(FLEETS): chance.randint(1, 9)} for name in some()},
        settled=needs(),
        goals=needs(),
        back=needs(),
        left=needs(),
        failed=needs(),
        named=dict.fromkeys(some(), ("inventories/dev/fleets.yml:7",)),
        kept=dict.fromkeys(some(), "an auditor asked"),
        baking={"java": "a bake of app"} if chance.random() < 0.3 else {},
        in_use=dict.fromkeys(some(), "podman"),
        absent=dict.fromkeys(some(), "podman"),
    )


def needed(world: Kept) -> set[str]:
    """Say in another way than the rules do which versions have to stay."""
    there = {str(v): v for v in world.versions if is_there(v)}
    r = world.references
    told = {*r.running, *r.settled, *r.goals, *r.back, *r.left, *r.failed, *r.named}
    told |= {*r.kept, *r.in_use, *r.absent}
    stay = {name for name in there if name in told}
    for name, version in there.items():
        rule = world.retention.get(version.family)
        young = rule is not None and version.baked_at > NOW - rule.min_age
        if version.channels or version.family in r.baking or rule is None or young:
            stay.add(name)
    for family, rule in world.retention.items():
        for engine in ("memory", "podman"):
            line = [v for v in there.values() if v.family == family and v.launchable]
            line = sorted((v for v in line if v.artifact(engine)), key=lambda v: v.number)
            stay |= {str(v) for v in line[-rule.keep :]}
    everything = {str(v): v for v in world.versions}
    for name in tuple(stay):
        while (parent := everything[name].parent) is not None:
            stay.add(parent)
            name = parent
    return stay


def is_there(version: Version) -> bool:
    return bool(version.artifacts) and version.state is not ImageState.RETIRED
