"""Show a fleet to the planner as if it had arrived, so that it only repairs.

A rollout that was cancelled leaves a mixed fleet on purpose. What is good in it stays, whatever
its version; what is lost, ill or missing is replaced with the settled goal.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ovenbird.rollout.bucket import is_ill, is_listed
from ovenbird.values.instance import Goal, Health, Instance


def as_settled(
    goal: Goal, observed: Collection[Instance], *, has_surge: bool = True
) -> tuple[Instance, ...]:
    """Return the fleet in which every instance that is good enough runs ``goal``.

    Good enough is what was accepted and is neither ill nor lost; of another version it stands in
    for one of ``goal``, and is the first to go where there are too many. What is kept for a switch
    back is left out: it counts for nothing, and a repair neither uses nor ends it; but one that is
    to go into quarantine is there until it is out of service. What is unwanted is stale: it serves
    until its successor does. Keep saying ``kept`` of an expired one until it has been ended, else
    a repair may put it back into service.

    What never passed its gate and is not of ``goal`` is left out too: it is the canary of a
    rollout, which judges it, or the failed one that it keeps for a look. In a fleet without surge
    there is no room for it beside the others, so there it counts.

    ``next_wave(goal, bounds, as_settled(goal, observed), untried=False)`` then launches only
    ``goal``, takes back drains that nobody finished, ends what is ill or surplus, and replaces
    nothing because of its version.
    """
    return tuple(
        _standing_in(goal, i) if _is_good(i) and not goal.is_run_by(i) else i
        for i in observed
        if not _is_apart(goal, i, has_surge=has_surge)
    )


def _standing_in(goal: Goal, instance: Instance) -> Instance:
    return replace(instance, version=goal.version, launch_hash=goal.launch_hash, stands_in=True)


def _is_apart(goal: Goal, instance: Instance, *, has_surge: bool) -> bool:
    if instance.kept:
        return not (instance.quarantined and is_listed(instance))
    member = instance.accepted or goal.is_run_by(instance) or instance.unwanted
    return has_surge and not member


def _is_good(instance: Instance) -> bool:
    well = not is_ill(instance) and instance.health is not Health.LOST
    return instance.accepted and well and not instance.unwanted
