"""Play a rollout forward on copies, wave by wave, with the worst moments of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ovenbird.rollout.plan import (
    Launch,
    Plan,
    Register,
    Step,
    Terminate,
    Wait,
    Wave,
    next_wave,
)
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds

_EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One wave and its worst moments.

    ``lowest`` is how many serve when all its endings have happened and none of its launches;
    ``most`` how many exist when it is the other way round.
    """

    steps: tuple[Step, ...]
    because: str
    lowest: int
    most: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A rollout played to its end, if every launch comes out as assumed.

    ``fleets`` holds the fleet before each of the waves.
    """

    observed: tuple[Instance, ...]
    waves: tuple[Moment, ...]
    fleets: tuple[tuple[Instance, ...], ...]
    end: Plan

    def count(self, kind: type[Launch] | type[Register] | type[Terminate]) -> int:
        return sum(isinstance(step, kind) for wave in self.waves for step in wave.steps)

    @property
    def launching(self) -> int:
        """How many waves launch something: each takes at least ``min_healthy_time``."""
        return sum(any(isinstance(s, Launch) for s in wave.steps) for wave in self.waves)


def play(
    goal: Goal,
    bounds: Bounds,
    observed: Collection[Instance],
    *,
    untried: bool,
    outcome: Health = Health.SERVING,
) -> Rehearsal:
    """Plan wave after wave, as if every launch became ``outcome`` and every other step worked.

    Pending instances become serving while the planner waits. Stops where the planner stops, and
    at the latest when it goes round in circles (every launch fails though the goal serves).
    """
    fleet = tuple(observed)
    waves: list[Moment] = []
    fleets: list[tuple[Instance, ...]] = []
    for number in range(1, 6 * (len(fleet) + bounds.size) + 12):
        plan = next_wave(goal, bounds, fleet, untried=untried)
        if isinstance(plan, Wave):
            waves.append(_moment(plan, fleet))
            fleets.append(fleet)
            fleet = _after(goal, plan, fleet, number=number, outcome=outcome)
        elif isinstance(plan, Wait) and (waited := _later(fleet)) != fleet:
            fleet = waited
        else:
            break
        untried = untried and not any(goal.is_run_by(i) and i.is_serving for i in fleet)
    return Rehearsal(observed=tuple(observed), waves=tuple(waves), fleets=tuple(fleets), end=plan)


def _moment(wave: Wave, fleet: tuple[Instance, ...]) -> Moment:
    ended = {step.token for step in wave.steps if isinstance(step, Terminate)}
    present = sum(i.health is not Health.LOST for i in fleet)
    return Moment(
        steps=wave.steps,
        because=wave.because,
        lowest=sum(i.is_serving for i in fleet if i.token not in ended),
        most=present + sum(isinstance(step, Launch) for step in wave.steps),
    )


def _after(
    goal: Goal, wave: Wave, fleet: tuple[Instance, ...], *, number: int, outcome: Health
) -> tuple[Instance, ...]:
    ended = {step.token for step in wave.steps if isinstance(step, Terminate)}
    listed = {step.token for step in wave.steps if isinstance(step, Register)}
    launches = sum(isinstance(step, Launch) for step in wave.steps)
    youngest = max((i.launched_at for i in fleet), default=None)
    stay = tuple(_serving(i) if i.token in listed else i for i in fleet if i.token not in ended)
    return stay + tuple(
        _launched(goal, f"new-{number}-{n}", youngest, outcome) for n in range(1, launches + 1)
    )


def _launched(goal: Goal, token: str, youngest: datetime | None, health: Health) -> Instance:
    good = health is Health.SERVING
    return Instance(
        token=token,
        version=goal.version,
        launch_hash=goal.launch_hash,
        slot=0,
        health=health,
        because="in service" if good else "as assumed for this rehearsal",
        launched_at=(youngest or _EPOCH) + timedelta(seconds=1),
        accepted=good,
        registered=good,
        ready=good,
    )


def _serving(instance: Instance) -> Instance:
    return replace(
        instance,
        health=Health.SERVING,
        because="in service",
        accepted=True,
        registered=True,
        ready=True,
        leaving=False,
    )


def _later(fleet: tuple[Instance, ...]) -> tuple[Instance, ...]:
    """Let a wait come to its end: what is being ended is gone, what is pending serves."""
    return tuple(_serving(i) if i.health is Health.PENDING else i for i in fleet if not i.dying)
