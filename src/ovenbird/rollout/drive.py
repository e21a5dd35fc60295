"""The loop of a rollout: look, compare, decide, act, look again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from ovenbird.rollout.act import BudgetSpent, Hands
from ovenbird.rollout.admission import admit
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.ordered import next_in_order
from ovenbird.rollout.pacing import Pacer, switches
from ovenbird.rollout.patience import Patience
from ovenbird.rollout.plan import (
    Done,
    Doubtful,
    Failed,
    Launch,
    Plan,
    Reached,
    Register,
    Retire,
    Step,
    Stuck,
    Terminate,
    Wait,
    Wave,
    clear_failed,
)
from ovenbird.rollout.reconcile import Reconciler
from ovenbird.rollout.repair import as_settled
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import (
    BalancerUnreachable,
    GoalFailed,
    GoalRefuted,
    OvenbirdError,
    Superseded,
)
from ovenbird.values.instance import Instance

Observed = tuple[Instance, ...]

LOOK_AT_A_SWITCH = 0.05
"""Seconds between two questions to the balancers whether they have what was registered."""

MOST_TRIES = 5
"""How often one driver tells the balancers the same of one instance before it disbelieves them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One step that was taken, with the instance that it was about."""

    step: Step
    token: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a rollout did. ``waves`` holds the steps of each wave in the order of their taking;
    ``driven`` says that it was not refused before its driver began."""

    before: str
    after: str
    outcome: str = "running"
    because: str = ""
    waves: list[list[Taken]] = field(default_factory=list)
    driven: bool = False


class Driver:
    """One driver of one rollout, for as long as it holds the lease."""

    def __init__(
        self,
        setting: Setting,
        chosen: Chosen,
        begun: Begun,
        lease: Lease,
        outcome: Outcome,
        *,
        emergency: bool = False,
    ) -> None:
        self._setting, self._chosen, self._outcome = setting, chosen, outcome
        self._lease = lease
        self._lookout = Lookout(setting)
        self._hands = Hands(setting, chosen, begun, self._lookout, lease)
        self._pacer = Pacer(setting, chosen, begun, emergency=emergency)
        self._patience = Patience(setting)
        self._reconciler = Reconciler(setting, self._hands, self._lookout, lease)
        self._untried, self._switches = chosen.untried, switches(setting, chosen)
        self._told: dict[tuple[type[Step], str], int] = {}

    def drive(self, *, retry: bool) -> str:
        """Go on until the fleet has arrived; return why it has. Raises what stops it."""
        chosen = self._chosen
        self._lookout.look()
        self._reconciler.finish_what_is_in_the_air(chosen.goal)
        if retry or chosen.kind == "rollback":
            observed = self._lookout.look()
            self._take(clear_failed(chosen.goal, self._setting.bounds, observed))
            self._pacer.forgive()
        while True:
            observed = self._look()
            plan = next_in_order(
                self._setting,
                chosen.goal,
                observed,
                untried=self._untried,
                pace=self._pacer.pace(observed),
            )
            if (why := self._follow(plan, observed)) is not None:
                return why
            self._rest(plan)

    def _rest(self, plan: Plan) -> None:
        """Wait for the next look. What was registered may be in service sooner, and during a
        switch two fleets serve: the balancers are asked until they have it."""
        setting = self._setting
        clock, interval = setting.clock, setting.fleet.health.interval
        steps = plan.steps if isinstance(plan, Wave) else ()
        coming = [step.token for step in steps if isinstance(step, Register)]
        if not coming:
            clock.sleep(interval)
            return
        ends = clock.now() + timedelta(seconds=interval)
        while (left := (ends - clock.now()).total_seconds()) > 0:
            clock.sleep(min(LOOK_AT_A_SWITCH, left))
            if all(self._lookout.in_service(token) for token in coming):
                return

    def _look(self) -> Observed:
        """Look, let through the gate who has passed it, and note what serves. Whoever was
        superseded finds out here, also in a soak that asks for no call."""
        self._lease.look()
        observed = self._lookout.look()
        self._reconciler.compare()
        repairs = self._chosen.kind == "repair"
        if (
            admit(self._setting, self._chosen, self._lookout)
            or self._lookout.late
            or (repairs and self._reconciler.end_the_expired())
        ):
            observed = self._lookout.look()
        goal = self._chosen.goal
        if any(goal.is_run_by(i) and i.is_serving for i in observed):
            self._setting.book.serves(goal.version, at=self._setting.clock.now())
            self._untried = False
        self._patience.note(self._chosen, observed)
        has_surge = self._setting.bounds.surge > 0
        return as_settled(goal, observed, has_surge=has_surge) if repairs else observed

    def _follow(self, plan: Plan, observed: Observed) -> str | None:
        """Do what is planned; return why all is done, or None to look again."""
        match plan:
            case Wave(steps, _):
                self._go_on(steps, observed)
            case Done(why):
                self._pacer.judge(now=True)
                return why
            case Reached(why):
                self._patience.rested()
                self._pacer.reached(why)
            case Wait(why):
                self._setting.console.progress(f"waiting: {why}")
                self._patience.require_progress(why)
            case Doubtful(why):
                self._patience.require_sight(why, gone=bool(self._lookout.lost()))
            case Stuck(why):
                self._patience.require_room(why)
            case Failed(why, tokens):
                raise self._goal_failed(why, tokens)
        return None

    def _go_on(self, steps: tuple[Step, ...], observed: Observed) -> None:
        """Take a wave, once the metrics allow it for what serves of the goal already."""
        if any(self._chosen.goal.is_run_by(i) and i.is_serving for i in observed):
            self._pacer.judge()
        begun_at = self._setting.clock.now()
        try:
            self._take(_up_to_an_ending(self._in_order(steps), at_once=self._switches))
        except BudgetSpent as spent:
            self._setting.console.progress(f"waiting: {spent.problem}")
            self._patience.require_budget(spent)
            return
        self._patience.acted(begun_at)

    def _in_order(self, steps: tuple[Step, ...]) -> tuple[Step, ...]:
        """Put first the endings that a dead driver has begun: they hold the budget of the next.
        Among these, first what gets no traffic any more, since its end waits for nothing."""
        if self._setting.fleet.budget.instances is None:
            return steps
        begun = self._setting.records.being_ended(lost_by=self._setting.lost_by)

        def waits(step: Step) -> int:
            if not isinstance(step, (Terminate, Retire)):
                return 0
            if step.token not in begun:
                return 2
            return 0 if self._lookout.is_leaving(step.token) else 1

        return tuple(sorted(steps, key=waits))

    def _take(self, steps: tuple[Step, ...]) -> None:
        """Take the steps of a wave. What was launched in the last one and only wants its traffic
        now belongs to that one."""
        if not steps:
            return
        waves = self._outcome.waves
        if waves and all(isinstance(step, Register) for step in steps):
            with self._setting.console.deeper():
                self._take_each(steps)
            return
        waves.append([])
        with self._setting.console.inside(f"Wave {len(waves)}: {_in_words(steps)}"):
            self._take_each(steps)

    def _take_each(self, steps: tuple[Step, ...]) -> None:
        self._hands.wave = len(self._outcome.waves)
        taken = self._outcome.waves[-1]
        for step in steps:
            if not isinstance(step, Retire):
                self._disbelieve(step)
                taken.append(Taken(step=step, token=self._hands.take(step)))
        if leaving := [step for step in steps if isinstance(step, Retire)]:
            self._hands.retire([(step.token, step.because) for step in leaving])
            taken += [Taken(step=step, token=step.token) for step in leaving]
            for step in leaving:  # told now: where the budget was spent nobody was
                self._disbelieve(step)

    def _disbelieve(self, step: Step) -> None:
        """Stop where a balancer is told the same again and again, and does not show it."""
        if not isinstance(step, (Register, Retire)):
            return
        key = type(step), step.token
        told = self._told[key] = self._told.get(key, 0) + 1
        if told > MOST_TRIES:
            raise BalancerUnreachable(
                f"The balancers were told {MOST_TRIES} times to "
                f"{'take' if isinstance(step, Register) else 'let go of'} {step.token}, and "
                "do not show it.",
                remedy="Nothing more was done. See what they say, then run this again.",
            )

    def _goal_failed(self, why: str, tokens: tuple[str, ...]) -> GoalFailed:
        setting, goal = self._setting, self._chosen.goal
        failure = GoalRefuted(
            f"{goal} does not become healthy in {setting.key}: {why}.",
            why=why,
            remedy="What served still does; the failed instance is kept out of service for a "
            f"look.\nBake a fixed image, go back with: invoke rollback {setting.fleet.name}, or "
            "try this one once more with --retry.",
        )
        try:
            failure.evidence = setting.provider.console(tokens[0], lines=10) if tokens else ""
            for token in tokens:
                if self._lookout.seen(token).restarts:  # kept for a look, it would never rest
                    self._hands.end(token, "it ends by itself, and its engine starts it again")
        except Superseded:
            raise
        except OvenbirdError as unseen:  # the image is bad, whatever else is wrong
            failure.add_note(unseen.problem)
        return failure


def _up_to_an_ending(steps: tuple[Step, ...], *, at_once: bool) -> tuple[Step, ...]:
    """Cut a wave after its first ending: a drain takes long, so we look again before the next.
    What a switch retires leaves ``at_once``, and before anything is ended beside it."""
    if at_once and any(isinstance(step, Retire) for step in steps):
        return tuple(step for step in steps if not isinstance(step, Terminate))
    endings = [n for n, step in enumerate(steps) if isinstance(step, (Terminate, Retire))]
    return steps[: endings[0] + 1] if endings else steps


def _in_words(steps: tuple[Step, ...]) -> str:
    words = []
    kinds: tuple[tuple[Callable[..., object], str], ...] = (
        (Register, "register"),
        (Launch, "launch"),
        (Retire, "retire"),
        (Terminate, "end"),
    )
    for kind, word in kinds:
        if count := sum(type(step) is kind for step in steps):
            words.append(f"{word} {count}")
    return ", ".join(words)
