"""Bakes on several engines at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from ovenbird.bake.bakery import Result
from ovenbird.values.errors import OvenbirdError


def abreast(bakes: Sequence[Callable[[], Result]]) -> list[Result]:
    """Run all of them to their ends and return their results in order.

    Where some fail, each of them has cleaned up behind it and the first one's error is raised,
    with what the others said as its evidence.
    """
    if not bakes:
        return []
    with ThreadPoolExecutor(max_workers=len(bakes)) as cooks:
        running = [cooks.submit(bake) for bake in bakes]
    failed = [error for one in running if (error := one.exception()) is not None]
    for error in failed:
        if not isinstance(error, OvenbirdError):
            raise error
    if failed:
        first, *others = [error for error in failed if isinstance(error, OvenbirdError)]
        told = [f"{other.problem} {other.remedy}" for other in others]
        first.evidence = "\n".join(filter(None, (first.evidence, *told)))
        raise first
    return [one.result() for one in running]
