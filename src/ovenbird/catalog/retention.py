"""Which images may go: decided here, from what is said to need them, and nothing else.

A family without retention is never touched. An image goes only where no rule keeps it and nothing
that is kept was baked on it; and where the picture looks wrong, none goes at all.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ovenbird.catalog.needs import RULES, Picture, References, newest_of, span
from ovenbird.values.errors import Blocked, Inconclusive
from ovenbird.values.image import ImageState, Version
from ovenbird.values.retention import Retention

AT_MOST = 20
"""How many go at a time."""

SHARE = 50
"""Percent of a family's images that may go at a time."""

SHOWN = 10
"""So many of those that are too many are told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One image, and why it goes or stays."""

    version: Version
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """``going`` in the order in which they go, children before their parents; ``waiting`` could
    go too, and there is a limit to how many do at a time; ``kept`` newest first."""

    going: tuple[Line, ...]
    waiting: tuple[Line, ...]
    kept: tuple[Line, ...]


def chosen(
    versions: Sequence[Version],
    references: References,
    retention: Mapping[str, Retention],
    *,
    now: datetime,
    at_most: int = AT_MOST,
    share: int = SHARE,
) -> Selection:
    """Choose what goes: of the oldest at most ``at_most``, children before their parents.

    ``versions`` are all of the catalog; those that hold no artifact are neither kept nor go.
    Raises `Inconclusive` where an engine is silent or a reference names nothing, `Blocked` where
    something needs what is retired, or more than ``share`` percent of a family would go.
    """
    _refuse_a_wrong_picture(versions, references)
    why = why_kept(versions, references, retention, now=now)
    held = [v for v in versions if v.artifacts and v.state is not ImageState.RETIRED]
    free = _children_first([v for v in held if str(v) not in why])
    going = [Line(version=v, because=_why_free(v, now)) for v in free]
    _refuse_too_large_a_share(held, going[:at_most], share)
    kept = [Line(version=v, because=why[str(v)]) for v in held if str(v) in why]
    kept.sort(key=lambda line: (line.version.family, -line.version.number))
    return Selection(going=tuple(going[:at_most]), waiting=tuple(going[at_most:]), kept=tuple(kept))


def why_kept(
    versions: Sequence[Version],
    references: References,
    retention: Mapping[str, Retention],
    *,
    now: datetime,
) -> dict[str, str]:
    """Say of every version that has to stay why: by its name, the first rule that keeps it.

    What a kept one was baked on is kept too, up to the first of its line.
    """
    at = Picture(
        references=references, retention=retention, newest=newest_of(versions, retention), now=now
    )
    by_name = {str(v): v for v in versions}
    why: dict[str, str] = {}
    for version in versions:
        if version.artifacts and version.state is not ImageState.RETIRED:
            because = next(filter(None, (rule(version, at) for rule in RULES.values())), "")
            if because:
                why[str(version)] = because
    return {**_ancestors(why, by_name), **why}


def _ancestors(kept: Iterable[str], by_name: Mapping[str, Version]) -> dict[str, str]:
    """Name what the kept ones were baked on, and on what those were, each with its child."""
    found: dict[str, str] = {}
    for name in kept:
        child: Version | None = by_name[name]
        while child is not None and child.parent and child.parent not in found:
            found[child.parent] = f"parent of {child}, which is kept"
            child = by_name.get(child.parent)
    return found


def _children_first(free: Sequence[Version]) -> list[Version]:
    """Order them by age, the oldest first, but none before what was baked on it: so that whatever
    part of the list is left has its parents."""
    by_name = {str(v): v for v in free}
    children = dict.fromkeys(by_name, 0)
    for version in free:
        if version.parent in children:
            children[version.parent] += 1
    ready = [(v.baked_at, v.family, v.number) for v in free if not children[str(v)]]
    heapq.heapify(ready)
    ordered: list[Version] = []
    while ready:
        _, family, number = heapq.heappop(ready)
        version = by_name[f"{family}/{number}"]
        ordered.append(version)
        if (parent := by_name.get(version.parent or "")) is not None:
            children[str(parent)] -= 1
            if not children[str(parent)]:
                heapq.heappush(ready, (parent.baked_at, parent.family, parent.number))
    return ordered


def _why_free(version: Version, now: datetime) -> str:
    told = "" if version.launchable else f"{version.state}, "
    return f"{told}{span(now - version.baked_at)} old, and nothing needs it"


def _refuse_a_wrong_picture(versions: Sequence[Version], references: References) -> None:
    for engine, problem in references.silent.items():
        raise Inconclusive(
            f"{engine} does not say what runs: {problem}",
            remedy="Nothing was deleted, on no engine. See that it answers, then look again.",
        )
    for engine, count in references.empty.items():
        raise Inconclusive(
            f"{engine} holds not one of the {count} artifacts that the catalog says it holds.",
            remedy="Nothing was deleted, on no engine. Is this the host, the user and the store "
            "that they were baked with?",
        )
    states = {str(v): v.state for v in versions}
    for name in sorted(references.names()):
        if name not in states:
            raise Inconclusive(
                f"{name} is needed, and the catalog does not know it.",
                remedy="Nothing was deleted. See who needs it: invoke status --all; a catalog that "
                "lacks images is not to be cleaned by.",
            )
    for name in sorted({*references.running, *references.settled, *references.goals}):
        if states[name] is ImageState.RETIRED:
            raise Blocked(
                f"{name} is retired, and something needs it still.",
                remedy="Nothing was deleted. Roll what runs it to another image first: "
                "invoke status --all",
            )


def _refuse_too_large_a_share(held: Sequence[Version], going: Sequence[Line], share: int) -> None:
    for family in sorted({line.version.family for line in going}):
        goes = [f"{x.version}  {x.because}" for x in going if x.version.family == family]
        there = sum(v.family == family for v in held)
        if len(goes) * 100 > there * share:
            raise Blocked(
                f"{len(goes)} of the {there} images of {family} would go, more than {share} %.",
                remedy="Nothing was deleted. See that keep and min_age of its retention are meant; "
                "then let fewer go at a time with --at-most, or allow it with --share.",
                evidence="\n".join([*goes[:SHOWN], *["…"][: len(goes) - SHOWN]]),
            )
