"""Play a rollout forward on copies, wave by wave, with the worst moments of each."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from ovenbird.rollout.bucket import Bucket, bucket_of
from ovenbird.rollout.counts import ABSENT
from ovenbird.rollout.plan import (
    Launch,
    Pace,
    Plan,
    Reached,
    Register,
    Retire,
    Step,
    Terminate,
    Wait,
    Wave,
    next_wave,
)
from ovenbird.rollout.slots import free_slot
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds
from ovenbird.values.procedure import Procedure, Strategy

_EPOCH = datetime.fromtimestamp(0, UTC)
ROLLING = Procedure()


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One wave and its worst moments, under the pace that it was planned for.

    ``lowest`` is how many serve when all its endings have happened and none of its launches;
    ``most`` how many exist when it is the other way round, without those that are kept.
    """

    steps: tuple[Step, ...]
    because: str
    lowest: int
    most: int
    pace: Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """Checkpoint ``number`` of ``of``, reached after so many waves: ``count`` of ``size`` run
    the goal."""

    after: int
    number: int
    of: int
    count: int
    size: int
    soak: float
    approve: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """A rollout played to its end, if every launch comes out as assumed.

    ``fleets`` holds the fleet before each of the waves, ``kept`` what is retired on the way and
    then held out of service.
    """

    observed: tuple[Instance, ...]
    waves: tuple[Moment, ...]
    fleets: tuple[tuple[Instance, ...], ...]
    end: Plan
    pauses: tuple[Pause, ...] = ()
    kept: tuple[Instance, ...] = ()

    def count(self, kind: type[Step]) -> int:
        return sum(isinstance(step, kind) for wave in self.waves for step in wave.steps)

    @property
    def launching(self) -> int:
        """How many waves launch something: each takes at least ``min_healthy_time``."""
        return sum(any(isinstance(s, Launch) for s in wave.steps) for wave in self.waves)

    @property
    def soaking(self) -> float:
        """Seconds of all soaks together."""
        return sum(pause.soak for pause in self.pauses)


def play(
    goal: Goal,
    bounds: Bounds,
    observed: Collection[Instance],
    *,
    untried: bool,
    procedure: Procedure = ROLLING,
    passed: int = 0,
    upto: int | None = None,
    outcome: Health = Health.SERVING,
    spares: bool = False,
) -> Rehearsal:
    """Plan wave after wave, as if every launch became ``outcome`` and every other step worked.

    Pending instances become serving while the planner waits. ``passed`` checkpoints lie behind,
    and ``upto`` instances of the goal are all that it may have (a window that closes); ``spares``
    is as in `Pace`. Stops
    where the planner stops, and at the latest when it goes round in circles (every launch fails
    though the goal serves).
    """
    stage = _Stage(
        goal=goal,
        bounds=bounds,
        fleet=tuple(observed),
        untried=untried,
        procedure=procedure,
        passed=passed,
        upto=upto,
        outcome=outcome,
        spares=spares,
    )
    for _ in range(6 * (len(observed) + bounds.size) + 2 * len(stage.counts) + 12):
        plan = stage.plan()
        if not stage.goes_on(plan):
            break
    retired = {s.token for wave in stage.waves for s in wave.steps if isinstance(s, Retire)}
    return Rehearsal(
        observed=tuple(observed),
        waves=tuple(stage.waves),
        fleets=tuple(stage.fleets),
        end=plan,
        pauses=tuple(stage.pauses),
        kept=tuple(i for i in stage.fleet if i.kept and not i.quarantined and i.token in retired),
    )


@dataclass(slots=True, kw_only=True)
class _Stage:
    """What a rehearsal changes while it is played."""

    goal: Goal
    bounds: Bounds
    fleet: tuple[Instance, ...]
    untried: bool
    procedure: Procedure
    passed: int
    upto: int | None
    outcome: Health
    spares: bool = False
    failed: int = 0
    waves: list[Moment] = field(default_factory=list)
    fleets: list[tuple[Instance, ...]] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)

    @property
    def counts(self) -> tuple[int, ...]:
        procedure = self.procedure
        return procedure.counts(self.bounds.size) if procedure.checkpoints else ()

    @property
    def pace(self) -> Pace:
        limits = [*self.counts[self.passed : self.passed + 1]]
        limits += [self.upto] if self.upto is not None else []
        return Pace(
            upto=min(limits, default=None),
            switch=self.procedure.strategy is Strategy.BLUE_GREEN,
            failed=self.failed,
            max_failed=self.procedure.max_failed,
            spares=self.spares,
        )

    def plan(self) -> Plan:
        return next_wave(self.goal, self.bounds, self.fleet, untried=self.untried, pace=self.pace)

    def goes_on(self, plan: Plan) -> bool:
        """Play one plan; say False where nothing comes after it."""
        match plan:
            case Wave():
                self.waves.append(_moment(self.goal, plan, self.fleet, self.pace))
                self.fleets.append(self.fleet)
                self._act(plan)
            case Wait() if (later := self._later()) != self.fleet:
                self.fleet = later
            case Reached() if self.pace.upto != self.upto:
                self._pause()
            case _:
                return False
        served = any(self.goal.is_run_by(i) and i.is_serving for i in self.fleet)
        self.untried = self.untried and not served
        return True

    def _pause(self) -> None:
        checkpoint = self.procedure.checkpoints[self.passed]
        self.pauses.append(
            Pause(
                after=len(self.waves),
                number=self.passed + 1,
                of=len(self.counts),
                count=self.counts[self.passed],
                size=self.bounds.size,
                soak=checkpoint.soak,
                approve=checkpoint.approve,
            )
        )
        self.passed += 1

    def _act(self, wave: Wave) -> None:
        fleet = {i.token: i for i in self.fleet}
        youngest = max((i.launched_at for i in self.fleet), default=None)
        number = 0
        for step in wave.steps:
            match step:
                case Launch():
                    number += 1
                    slot = free_slot({i.slot for i in fleet.values()})
                    new = self._launched(f"new-{len(self.waves)}-{number}", youngest, slot)
                    fleet[new.token] = new
                case Register(token):
                    fleet[token] = _serving(fleet[token])
                case Retire(token):
                    keep = self.procedure.keep_previous > 0 or fleet[token].quarantined
                    fleet[token] = _retired(fleet[token], keep=keep)
                case Terminate(token):
                    gone = fleet.pop(token)
                    ill = gone.health is Health.FAILED and not gone.accepted
                    self.failed += ill and self.goal.is_run_by(gone)
        self.fleet = tuple(fleet.values())

    def _launched(self, token: str, youngest: datetime | None, slot: int) -> Instance:
        good = self.outcome is Health.SERVING
        instance = Instance(
            token=token,
            version=self.goal.version,
            launch_hash=self.goal.launch_hash,
            slot=slot,
            health=Health.PENDING if good else self.outcome,
            because="as assumed for this rehearsal",
            launched_at=(youngest or _EPOCH) + timedelta(seconds=1),
        )
        return self._healthy(instance) if good else instance

    def _healthy(self, instance: Instance) -> Instance:
        """It passes its gate: before a switch that is all, else it gets its traffic too."""
        waits = self.pace.switch and self.goal.is_run_by(instance) and not instance.registered
        return replace(instance, accepted=True, ready=True) if waits else _serving(instance)

    def _later(self) -> tuple[Instance, ...]:
        """Let a wait come to its end: what is being ended is gone, what is pending is healthy."""
        return tuple(
            self._healthy(i)
            if i.health is Health.PENDING and bucket_of(self.goal, i) is not Bucket.KEPT
            else i
            for i in self.fleet
            if not i.dying
        )


def _moment(goal: Goal, wave: Wave, fleet: tuple[Instance, ...], pace: Pace) -> Moment:
    out = {step.token for step in wave.steps if isinstance(step, Terminate | Retire)}
    present = sum(bucket_of(goal, i) not in ABSENT for i in fleet)
    return Moment(
        steps=wave.steps,
        because=wave.because,
        lowest=sum(i.is_serving for i in fleet if i.token not in out),
        most=present + sum(isinstance(step, Launch) for step in wave.steps),
        pace=pace,
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
        in_service=True,
    )


def _retired(instance: Instance, *, keep: bool) -> Instance:
    return replace(
        instance,
        health=Health.PENDING,
        because="retired",
        registered=False,
        leaving=False,
        in_service=False,
        kept=keep,
    )
