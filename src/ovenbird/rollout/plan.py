"""Decide what a rollout does next. Nothing here waits, logs, or asks anybody.

A wave is planned only from what is observed now. It refuses to end what is not seen, to count
what does not serve, to spend a termination before it has happened, and to risk more than one
instance of an image that has not yet served in this fleet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from ovenbird.rollout.bucket import Bucket, age, bucket_of, is_ill
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds


@dataclass(frozen=True, slots=True)
class Launch:
    """Start one instance of the goal."""

    because: str


@dataclass(frozen=True, slots=True)
class Register:
    """Send an instance that passed its gate its traffic; a drain of it is taken back."""

    token: str
    because: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Drain, deregister and end an instance."""

    token: str
    because: str


Step = Launch | Register | Terminate


@dataclass(frozen=True, slots=True)
class Wave:
    """Take these steps, then look again. Half of a wave is as safe as all of it."""

    steps: tuple[Step, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Done:
    """The fleet has arrived: as many as wanted, all of the goal, all serving."""

    because: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Something is on its way; look again."""

    because: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The goal does not become healthy here (exit 1). What served still does."""

    because: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stuck:
    """No step is within the limits, and the fleet has not arrived (exit 3)."""

    because: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Instances are not seen, and not seeing them is not bad news (exit 4)."""

    because: str


Plan = Wave | Done | Wait | Failed | Stuck | Doubtful


def next_wave(goal: Goal, bounds: Bounds, observed: Collection[Instance], *, untried: bool) -> Plan:
    """Choose the steps that bring a fleet one wave closer to running only ``goal``.

    ``untried`` says that the goal has never served in this fleet: then one canary goes first.
    A rollback and a rollout whose canary has served pass False. Launches reach up to the ceiling
    without credit for what the same wave ends; endings reach down to the floor without credit
    for what the same wave launches or registers. So any part of a wave, in any order, stays
    within both.
    """
    fleet = _Fleet.sorted_into_buckets(goal, bounds, observed, untried=untried)
    return _verdict(fleet) or _wave(fleet) or _idle(fleet)


def clear_failed(goal: Goal, observed: Collection[Instance]) -> tuple[Terminate, ...]:
    """End the failed instances of the goal, so that a retry starts as if they had never been.

    They are out of service, so this costs the floor nothing.
    """
    return tuple(
        Terminate(i.token, f"ended for another try: it failed, {i.because}")
        for i in sorted(observed, key=age)
        if goal.is_run_by(i) and i.health is Health.FAILED and not i.dying
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fleet:
    """What is observed, counted once against what is wanted."""

    goal: Goal
    bounds: Bounds
    untried: bool
    present: tuple[tuple[Bucket, Instance], ...]

    @classmethod
    def sorted_into_buckets(
        cls, goal: Goal, bounds: Bounds, observed: Collection[Instance], *, untried: bool
    ) -> _Fleet:
        found = [(bucket_of(goal, i), i) for i in sorted(observed, key=age)]
        present = tuple(pair for pair in found if pair[0] is not Bucket.LOST)
        return cls(goal=goal, bounds=bounds, untried=untried, present=present)

    def of(self, *buckets: Bucket) -> list[Instance]:
        """List the instances of these buckets, bucket by bucket, the oldest first."""
        return [i for wanted in buckets for bucket, i in self.present if bucket is wanted]

    @property
    def serving(self) -> int:
        return len(self.of(Bucket.STALE, Bucket.SERVING))

    @property
    def arrived(self) -> bool:
        return len(self.of(Bucket.SERVING)) == len(self.present) == self.bounds.size

    @property
    def proven(self) -> bool:
        """One instance of the goal serves now, or none is wanted."""
        return self.bounds.size == 0 or bool(self.of(Bucket.SERVING))

    @property
    def missing(self) -> int:
        """How many instances of the goal should exist and do not.

        An ill one is missing already once the goal serves, or where it served before it fell
        ill (a host that restarted): it is replaced. A canary is replaced by nobody.
        """
        canary = self.untried and not self.proven
        current = [i for _, i in self.present if self.goal.is_run_by(i)]
        if canary:
            return min(self.bounds.size, 1) - len(current)
        stands = [i for i in current if not i.dying and not self.replaces(i)]
        return self.bounds.size - len(stands)

    def replaces(self, instance: Instance) -> bool:
        return is_ill(instance) and (self.proven or instance.accepted)

    @property
    def numbers(self) -> str:
        b = self.bounds
        return (
            f"{self.serving} serving, floor {b.floor}; "
            f"{_instances(len(self.present))}, ceiling {b.ceiling}"
        )


def _verdict(fleet: _Fleet) -> Plan | None:
    """Say what is settled before any step is thought of."""
    if fleet.arrived:
        size = fleet.bounds.size
        return Done(f"{size} of {size} run {fleet.goal}" if size else "none wanted, none runs")
    unknown = fleet.of(Bucket.UNKNOWN)
    if unknown and len(unknown) + len(fleet.of(Bucket.DYING)) == len(fleet.present):
        return Doubtful(f"none of {len(unknown)} instances is seen: {unknown[0].because}")
    return None if fleet.proven else _failure(fleet)


def _failure(fleet: _Fleet) -> Failed | None:
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


def _wave(fleet: _Fleet) -> Wave | None:
    endings = tuple(_endings(fleet))
    gone = {step.token for step in endings}
    launches = tuple(_launches(fleet))
    registrations = tuple(_registrations(fleet, gone))
    steps: tuple[Step, ...] = (*registrations, *launches, *endings)
    return Wave(steps, fleet.numbers) if steps else None


def _idle(fleet: _Fleet) -> Plan:
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
    return Stuck(f"no step is within the limits: {fleet.numbers}")


def _registrations(fleet: _Fleet, gone: Collection[str]) -> Iterator[Register]:
    """Put back into service what passed its gate: the driver died before it could register it,
    or a balancer forgot it. A stale one only where its traffic is missed."""
    listed = fleet.serving
    places = fleet.bounds.size - len(fleet.of(Bucket.SERVING))
    for instance in fleet.of(Bucket.UNLISTED)[: max(places, 0)]:
        yield Register(instance.token, f"passed its gate, gets no traffic: {fleet.numbers}")
        listed += 1
    least = fleet.bounds.floor if fleet.proven else fleet.bounds.size
    for instance in fleet.of(Bucket.IDLE):
        if listed < least and instance.token not in gone:
            yield Register(instance.token, f"stale, but missed in service: {fleet.numbers}")
            listed += 1


def _launches(fleet: _Fleet) -> Iterator[Launch]:
    ceiling, present = fleet.bounds.ceiling, len(fleet.present)
    for n in range(present, min(present + fleet.missing, ceiling)):
        numbers = f"{_instances(n)}, ceiling {ceiling}"
        if fleet.untried and not fleet.proven:
            numbers = f"untried in this fleet: one canary first; {numbers}"
        yield Launch(numbers)


def _instances(count: int) -> str:
    return f"{count} {'instance' if count == 1 else 'instances'}"


def _endings(fleet: _Fleet) -> Iterator[Terminate]:
    """End what is worth ending, worst first, as long as enough others serve."""
    serving, floor = fleet.serving, fleet.bounds.floor
    room = len(fleet.present) if fleet.proven else _too_many_for_one_more(fleet)
    leaving = fleet.of(Bucket.LEAVING)
    worth = [(i, "its drain had begun") for i in leaving]
    for instance, why in (*worth, *_worth_ending(fleet)):
        if instance not in leaving:
            if room <= 0 or (instance.is_serving and serving <= floor):
                continue
            room -= 1
        yield Terminate(instance.token, f"{why}: {serving} serving, floor {floor}")
        serving -= instance.is_serving


def _too_many_for_one_more(fleet: _Fleet) -> int:
    """Count what a full fleet must give up so that one instance of the goal fits under the
    ceiling. 3 of 3 with surge 0: 1. 3 of 4: 0. What is already going gives its room first."""
    if fleet.missing <= 0:
        return 0
    stays = len(fleet.present) - len(fleet.of(Bucket.DYING, Bucket.LEAVING))
    return max(stays + 1 - fleet.bounds.ceiling, 0)


def _worth_ending(fleet: _Fleet) -> Iterable[tuple[Instance, str]]:
    """List what may go, worst first: what is ill or out of service costs nobody anything.

    Of the stale the oldest goes first, as it has run longest on what is to be replaced. Of the
    surplus the youngest goes first: the others have proven themselves for longer.
    """
    size, serving = fleet.bounds.size, fleet.of(Bucket.SERVING)
    stale = "stale" if fleet.proven else "makes room for the first of the goal"
    yield from ((i, f"ill ({i.because})") for i in fleet.of(Bucket.ILL_STALE))
    if not fleet.proven or fleet.serving >= fleet.bounds.floor:
        yield from ((i, f"{stale}, out of service") for i in fleet.of(Bucket.IDLE))
    places = max(size - len(serving), 0)
    unlisted = fleet.of(Bucket.UNLISTED)[places:] if fleet.proven else []
    yield from ((i, f"surplus, {size} wanted") for i in unlisted)
    yield from ((i, f"ill ({i.because})") for i in fleet.of(Bucket.ILL) if fleet.replaces(i))
    yield from ((i, stale) for i in fleet.of(Bucket.STALE))
    yield from ((i, f"surplus, {size} wanted") for i in reversed(serving[size:]))
