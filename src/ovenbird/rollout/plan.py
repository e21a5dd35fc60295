"""Decide what a rollout does next. Nothing here waits, logs, or asks anybody.

A wave is planned only from what is observed now. It refuses to end what is not seen, to count
what does not serve, to spend a termination before it has happened, and to risk more than one
instance of an image that has not yet served in this fleet.

What can be said is in `decision`, the arithmetic in `counts`, what goes and when in `endings`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from ovenbird.rollout.bucket import Bucket, age, is_ill
from ovenbird.rollout.counts import Counts, count_of_instances
from ovenbird.rollout.decision import (
    Done,
    Doubtful,
    Failed,
    Launch,
    Pace,
    Plan,
    Reached,
    Register,
    Retire,
    Step,
    Stuck,
    Terminate,
    Wait,
    Wave,
)
from ovenbird.rollout.endings import endings_of
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds

__all__ = [
    "Done", "Doubtful", "Failed", "Launch", "Pace", "Plan", "Reached", "Register", "Retire",
    "Step", "Stuck", "Terminate", "Wait", "Wave", "clear_failed", "next_wave",
]  # fmt: skip


def next_wave(
    goal: Goal,
    bounds: Bounds,
    observed: Collection[Instance],
    *,
    untried: bool,
    pace: Pace = Pace(),  # noqa: B008 (frozen)
) -> Plan:
    """Choose the steps that bring a fleet one wave closer to running only ``goal``.

    ``untried`` says that the goal has never served in this fleet: then one canary goes first.
    A rollback and a rollout whose canary has served pass False. ``pace`` says how far it may go
    for now, and whether the traffic changes over in one switch.

    Launches reach up to the ceiling without credit for what the same wave ends; endings reach
    down to the floor without credit for what the same wave launches or registers. So any part of
    a wave, in any order, stays within both.
    """
    fleet = Counts.of_fleet(goal, bounds, observed, untried=untried, pace=pace)
    return _verdict(fleet) or _wave(fleet) or _idle(fleet)


def clear_failed(
    goal: Goal, bounds: Bounds, observed: Collection[Instance]
) -> tuple[Terminate, ...]:
    """End the failed instances of the goal, so that a retry starts as if they had never been.

    They do not serve, so this costs the floor nothing. One that the balancers have in service all
    the same goes only while more are in service than the floor: all of it may be overloaded.
    """
    failed = [
        i
        for i in sorted(observed, key=age)
        if goal.is_run_by(i) and i.health is Health.FAILED and not i.dying
    ]
    in_service = sum(i.in_service and not i.dying for i in observed)
    spare = max(in_service - bounds.floor, 0)
    going = [i for i in failed if not i.in_service] + [i for i in failed if i.in_service][:spare]
    return tuple(
        Terminate(i.token, f"ended for another try: it failed, {i.because}") for i in going
    )


def _verdict(fleet: Counts) -> Plan | None:
    """Say what is settled before any step is thought of."""
    if fleet.arrived:
        return Done(_arrived(fleet))
    unknown = fleet.of(Bucket.UNKNOWN)
    if unknown and len(unknown) + len(fleet.of(Bucket.DYING)) == len(fleet.present):
        return Doubtful(f"none of {len(unknown)} instances is seen: {unknown[0].because}")
    return _broken(fleet) or (None if fleet.proven else _failure(fleet))


def _arrived(fleet: Counts) -> str:
    size, spared = fleet.bounds.size, len(fleet.present) - fleet.bounds.size
    if spared > 0:
        beside = f"{size} run {fleet.goal}" if size else "none wanted"
        return f"{beside}; {spared} more belong to the rollout that is unfinished"
    return f"{size} of {size} run {fleet.goal}" if size else "none wanted, none runs"


def _broken(fleet: Counts) -> Failed | None:
    """Open the circuit where too many of the goal failed, though some of it may serve."""
    if fleet.pace.max_failed is None:
        return None
    bad = [i for i in fleet.current if is_ill(i) and not (i.dying or i.accepted)]
    failed = fleet.pace.failed + len(bad)
    if failed < max(fleet.pace.max_failed, 1):
        return None
    last = f" ({bad[-1].token}: {bad[-1].because})" if bad else ""
    return Failed(
        f"{failed} of the instances that were launched of {fleet.goal} failed{last}, and "
        f"max_failed is {fleet.pace.max_failed}; still serving: {fleet.serving}",
        tuple(i.token for i in bad),
    )


def _failure(fleet: Counts) -> Failed | None:
    """See whether the goal failed. One failed canary is enough; a known image that is launched
    several times fails when none of them can still become healthy."""
    current = [(b, i) for b, i in fleet.present if fleet.goal.is_run_by(i) and not i.dying]
    bad = [i for _, i in current if is_ill(i) and (fleet.untried or not i.accepted)]
    hopeful = any(b in (Bucket.PENDING, Bucket.UNLISTED, Bucket.UNKNOWN) for b, _ in current)
    if not bad or (hopeful and not fleet.untried):
        return None
    what = "the canary" if fleet.untried else f"{len(bad)} of {len(current)} instances"
    return Failed(
        f"{what} of {fleet.goal} failed and none serves ({bad[0].token}: {bad[0].because}); "
        f"still serving: {fleet.serving}",
        tuple(i.token for i in bad),
    )


def _wave(fleet: Counts) -> Wave | None:
    endings = tuple(endings_of(fleet))
    gone = {step.token for step in endings}
    launches = tuple(_launches(fleet))
    registrations = tuple(_registrations(fleet, gone))
    steps: tuple[Step, ...] = (*registrations, *launches, *endings)
    return Wave(steps, fleet.numbers) if steps else None


def _idle(fleet: Counts) -> Plan:
    """Say why nothing is done though the fleet has not arrived."""
    pending, dying = len(fleet.of(Bucket.PENDING)), len(fleet.of(Bucket.DYING))
    if pending or dying:
        parts = [f"{n} {word}" for n, word in ((pending, "pending"), (dying, "ending")) if n]
        return Wait(f"{', '.join(parts)}; {fleet.numbers}")
    if unknown := fleet.of(Bucket.UNKNOWN):
        return Doubtful(
            f"{len(unknown)} of {len(fleet.present)} instances are not seen "
            f"({unknown[0].token}: {unknown[0].because}); {fleet.numbers}"
        )
    ready = len(fleet.of(Bucket.UNLISTED))
    if fleet.partial and fleet.good + ready >= fleet.limit:
        waits = f", {ready} ready for the switch" if ready else ""
        return Reached(
            f"{fleet.good} of {fleet.bounds.size} run {fleet.goal} and serve{waits}, "
            f"{fleet.limit} wanted for now; {fleet.numbers}",
            fleet.good,
        )
    return Stuck(f"no step is within the limits: {fleet.numbers}")


def _registrations(fleet: Counts, gone: Collection[str]) -> Iterator[Register]:
    """Put into service what passed its gate: the driver died before it could register it, a
    balancer forgot it, or the switch has come. A stale one only where its traffic is missed."""
    listed = fleet.serving
    if _may_register(fleet):
        places = fleet.bounds.size - fleet.good
        why = _why_now(fleet)
        for instance in fleet.of(Bucket.UNLISTED)[: max(places, 0)]:
            yield Register(instance.token, f"{why}: {fleet.numbers}")
            listed += 1
    for instance in fleet.of(Bucket.IDLE):
        if listed < fleet.least and instance.token not in gone and not instance.quarantined:
            yield Register(instance.token, f"stale, but missed in service: {fleet.numbers}")
            listed += 1


def _why_now(fleet: Counts) -> str:
    if not fleet.pace.switch:
        return "passed its gate, gets no traffic"
    size = fleet.bounds.size
    if fleet.good:
        return f"the switch had begun, {fleet.good} of {size} serve"
    return f"switch, {len(fleet.of(Bucket.UNLISTED))} of {size} are ready"


def _may_register(fleet: Counts) -> bool:
    """Before a switch nothing gets traffic until all of it is ready; one that was interrupted is
    finished."""
    if not fleet.pace.switch or fleet.good:
        return True
    ready = [i for i in fleet.current if i.ready and not (is_ill(i) or i.dying)]
    return len(ready) >= fleet.bounds.size


def _launches(fleet: Counts) -> Iterator[Launch]:
    ceiling, present = fleet.bounds.ceiling, len(fleet.present)
    for n in range(present, min(present + fleet.missing, ceiling)):
        numbers = f"{count_of_instances(n)}, ceiling {ceiling}"
        if fleet.canary:
            numbers = f"untried in this fleet: one canary first; {numbers}"
        elif fleet.partial:
            numbers = f"{fleet.limit} of {fleet.bounds.size} wanted for now; {numbers}"
        yield Launch(numbers)
