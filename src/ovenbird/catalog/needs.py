"""Who needs an image: the rules by which one stays, each with its sentence.

Pure: who runs what, and what the files say, is read elsewhere and handed in.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial

from ovenbird.values.image import Version
from ovenbird.values.retention import Retention

Needs = Mapping[str, tuple[str, ...]]
"""A version's name → who needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class References:
    """Who needs which version, by its name; fleets are written ``dev/web``.

    ``running`` counts instances by fleet. ``goals`` are of rollouts that have not arrived, ``back``
    what a rollback would go to, ``left`` what one came from, ``failed`` the goals that a person may
    still look at. ``named`` says which files name a version, ``kept`` why somebody keeps it.
    ``baking`` are families that a bake under way may start from, each with the bake. ``in_use``
    are versions that something at an engine uses, whoever made that; ``absent`` those with an
    artifact that is not on this host. ``silent`` are engines that did not answer, with what they
    said; ``empty`` those that hold nothing of what the catalog says they hold.
    """

    running: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    settled: Needs = field(default_factory=dict)
    goals: Needs = field(default_factory=dict)
    back: Needs = field(default_factory=dict)
    left: Needs = field(default_factory=dict)
    failed: Needs = field(default_factory=dict)
    named: Needs = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)
    baking: Mapping[str, str] = field(default_factory=dict)
    in_use: Mapping[str, str] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    silent: Mapping[str, str] = field(default_factory=dict)
    empty: Mapping[str, int] = field(default_factory=dict)

    def names(self) -> set[str]:
        """Return every version that the site needs; a file may name one that is not baked yet."""
        needs = (self.settled, self.goals, self.back, self.left, self.failed)
        return {*self.running, *(name for need in needs for name in need)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """What the rules look at."""

    references: References
    retention: Mapping[str, Retention]
    newest: frozenset[str]
    now: datetime


Rule = Callable[[Version, Picture], str]
"""Says why a version stays, or ""."""


def _whole_family(v: Version, at: Picture) -> str:
    return "" if v.family in at.retention else f"{v.family} has no retention in packer/images.yml"


def _by_hand(v: Version, at: Picture) -> str:
    why = at.references.kept.get(str(v))
    return "" if why is None else f"somebody keeps it: {why}"


def _channel(v: Version, _: Picture) -> str:
    if not v.channels:
        return ""
    verb = "point" if len(v.channels) > 1 else "points"
    return f"{', '.join(f'{v.family}@{name}' for name in v.channels)} {verb} at it"


def _runs(v: Version, at: Picture) -> str:
    fleets = at.references.running.get(str(v))
    if not fleets:
        return ""
    count = sum(fleets.values())
    plural = "instances run" if count != 1 else "instance runs"
    return f"{count} {plural} it in {', '.join(sorted(fleets))}"


def _rule(needs: Callable[[References], Needs], told: str, v: Version, at: Picture) -> str:
    who = needs(at.references).get(str(v))
    return told.format(", ".join(who)) if who else ""


def _baked_on(v: Version, at: Picture) -> str:
    bake = at.references.baking.get(v.family)
    return f"{bake} is under way and may use it" if bake else ""


def _in_use(v: Version, at: Picture) -> str:
    where = at.references.in_use.get(str(v))
    return f"something at {where} uses it, and no fleet does" if where else ""


def _absent(v: Version, at: Picture) -> str:
    where = at.references.absent.get(str(v))
    return f"its artifact is not at the {where} of this host; clean up where it is" if where else ""


def _young(v: Version, at: Picture) -> str:
    rule = at.retention[v.family]
    return f"younger than {span(rule.min_age)}" if at.now - v.baked_at < rule.min_age else ""


def _newest(v: Version, at: Picture) -> str:
    keep = at.retention[v.family].keep
    told = f"one of the newest {keep}" if keep > 1 else "the newest"
    return told if str(v) in at.newest else ""


RULES: dict[str, Rule] = {
    "opted in": _whole_family,
    "kept by hand": _by_hand,
    "channel": _channel,
    "running": _runs,
    "settled": partial(_rule, lambda r: r.settled, "{} has settled on it"),
    "goal": partial(_rule, lambda r: r.goals, "a rollout of {} has not arrived"),
    "rollback": partial(_rule, lambda r: r.back, "a rollback of {} would go to it"),
    "pinned": partial(_rule, lambda r: r.left, "{} was rolled back from it and is pinned"),
    "failed": partial(_rule, lambda r: r.failed, "it failed in {}, and nothing completed since"),
    "named": partial(_rule, lambda r: r.named, "{} names it"),
    "baking": _baked_on,
    "in use": _in_use,
    "absent": _absent,
    "young": _young,
    "newest": _newest,
}
"""Why an image stays: the first that fits is told. The last two know a family's retention, so the
first stands before them."""


def newest_of(versions: Iterable[Version], retention: Mapping[str, Retention]) -> frozenset[str]:
    """Name the newest that may launch, so many as a family keeps on each engine."""
    lines: dict[tuple[str, str], list[int]] = {}
    for version in versions:
        if version.family in retention and version.launchable:
            for artifact in version.artifacts:
                lines.setdefault((version.family, artifact.provider), []).append(version.number)
    return frozenset(
        f"{family}/{number}"
        for (family, _), numbers in lines.items()
        for number in heapq.nlargest(retention[family].keep, numbers)
    )


def span(length: timedelta) -> str:
    """Tell a length in whole days, or hours where it is no day: "30d", "5h"."""
    hours = int(length.total_seconds()) // 3600
    return f"{hours // 24}d" if hours >= 24 else f"{hours}h"
