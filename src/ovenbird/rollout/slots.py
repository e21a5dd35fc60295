"""Numbered slots: which one is free, which one is too many, and which one goes first.

The volumes of a fleet belong to its slots, 0 to size - 1. An instance whose slot is beyond the
size has to go whatever it runs, and its volumes stay. All of this is arithmetic on numbers that
were seen; that nobody writes to a volume any more is proven by the engine.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace

from ovenbird.rollout.bucket import age
from ovenbird.values.instance import Instance
from ovenbird.values.limits import Bounds


def in_slots(bounds: Bounds, observed: Iterable[Instance]) -> tuple[Instance, ...]:
    """Say of each instance beyond the size that it is unwanted: then it is stale to every rule,
    and one that is within the size and missing gets the room."""
    why = f"a size of {bounds.size} has no such slot"
    return tuple(
        i if i.slot < bounds.size else replace(i, unwanted=i.unwanted or f"slot {i.slot}: {why}")
        for i in observed
    )


def by_slot(bounds: Bounds) -> Callable[[Instance], tuple[object, ...]]:
    """Sort what is beyond the size first, from the highest slot down; then by rank (the operator's
    own order, the leader last), then from slot 0 up."""

    def place(instance: Instance) -> tuple[object, ...]:
        if instance.slot >= bounds.size:
            return 0, -instance.slot, 0, *age(instance)
        return 1, instance.rank, instance.slot, *age(instance)

    return place


def free_slot(taken: Collection[int]) -> int:
    """Return the lowest number that nobody has; for a fleet with volumes it may be too high."""
    return next(n for n in range(len(taken) + 1) if n not in taken)
