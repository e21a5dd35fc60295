"""Parents: each family has one origin, every parent exists, and no line of them is a circle."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from ovenbird.config.wording import allowed, did_you_mean
from ovenbird.config.yaml import Document
from ovenbird.values.errors import Fault

Origins = Mapping[str, tuple[str | None, bool]]
"""Of each family its parent, and whether it says ``from``."""


def lineage_faults(origins: Origins, *, known: Collection[str], document: Document) -> list[Fault]:
    """What is wrong with where families come from. ``known`` also names the unreadable ones."""
    faults = []
    for name, (parent, has_from) in origins.items():
        here = ("families", name)
        if parent is not None and has_from:
            problem = f"family {name} has a parent and a from, but an image is made from one thing."
            remedy = "Keep parent to build on a family, or from to begin a line of images."
            faults.append(document.fault((*here, "parent"), problem, remedy, key=True))
        elif parent is None and not has_from:
            problem = f"family {name} does not say what it is made from."
            remedy = "Give it parent: FAMILY, or from: {mmdebstrap: {suite: …}} or {oci: …}."
            faults.append(document.fault(here, problem, remedy, key=True))
        if parent is not None and parent not in known:
            hint = did_you_mean(parent, known)
            problem = f"family {name}: there is no family {parent!r} to be its parent.{hint}"
            remedy = allowed(set(known) - {name}, what="Families")
            faults.append(document.fault((*here, "parent"), problem, remedy))
    return faults + _circles(origins, document=document)


def _circles(origins: Origins, *, document: Document) -> list[Fault]:
    """One fault for each circle, at the parent of its family that stands first in the file."""
    faults, told = [], set[str]()
    for name in origins:
        way = [name]
        while (parent := origins.get(way[-1], (None, False))[0]) is not None:
            if parent in way:
                break
            way.append(parent)
        if parent != name or name in told:
            continue
        told.update(way)
        faults.append(
            document.fault(
                ("families", name, "parent"),
                f"The parents go in a circle: {' → '.join([*way, name])}.",
                "One of them must begin the line, with from: instead of parent:.",
            )
        )
    return faults


def sources_of(
    name: str, families: Mapping[str, tuple[str | None, Sequence[str] | None]]
) -> tuple[str, ...]:
    """A family's own sources, else those of the nearest ancestor that has some."""
    seen: set[str] = set()
    at: str | None = name
    while at is not None and at in families and at not in seen:
        seen.add(at)
        at, sources = families[at]
        if sources is not None:
            return tuple(sources)
    return ()
