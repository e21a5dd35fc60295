"""Replace a fleet: look, decide, act, look again.

Nothing is remembered between waves but what the journal holds: each wave is planned from what is
observed now. A rollout that was interrupted is finished by starting it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from filelock import Timeout

from ovenbird.rollout.act import Hands
from ovenbird.rollout.goal import Chosen, still_allowed
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.patience import Patience
from ovenbird.rollout.plan import (
    Done,
    Doubtful,
    Failed,
    Launch,
    Register,
    Step,
    Stuck,
    Terminate,
    Wait,
    Wave,
    clear_failed,
    next_wave,
)
from ovenbird.rollout.setting import Setting, driver_lock
from ovenbird.state.lock import lock_of
from ovenbird.values.errors import (
    Busy,
    GoalFailed,
    OvenbirdError,
    RollbackFailed,
)

OUTCOMES = {3: "blocked", 4: "inconclusive"}
"""What an exit code is called in the journal; all others are failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """One step that was taken, with the instance that it was about."""

    step: Step
    token: str


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a rollout did. ``waves`` holds the steps of each wave in the order of their taking."""

    before: str
    after: str
    outcome: str = "running"
    because: str = ""
    waves: list[list[Taken]] = field(default_factory=list)


def roll_out(
    setting: Setting,
    chosen: Chosen,
    outcome: Outcome,
    *,
    retry: bool = False,
    because: str = "",
) -> None:
    """Bring a fleet to its goal, wave by wave, and write into ``outcome`` what was done.

    Raises `GoalFailed` (1) where the goal does not become healthy, `Blocked` (3) where nothing
    can move, `Inconclusive` (4) where nothing is seen, and `RollbackFailed` (5) for a rollback
    instead of the first. What serves still does then.
    """
    try:
        with _alone(setting):
            still_allowed(setting, chosen, retry=retry)
            open_entrances(setting)
            begun = _begin(setting, chosen, because)
            if retry:
                setting.book.forgive(chosen.goal)
            try:
                outcome.because = _drive(setting, chosen, begun, outcome, retry=retry)
            except OvenbirdError as error:
                raise _closed(setting, chosen, begun, error) from error
            now = setting.clock.now()
            served = setting.book.has_served(chosen.goal.version)  # not in a fleet of size 0
            told = outcome.because
            setting.journal.end(begun, outcome="done", told=told, at=now, settles=served)
    except OvenbirdError as error:
        outcome.because = error.problem
        outcome.outcome = OUTCOMES.get(error.exit_code, "failed")
        raise
    outcome.outcome = "done"


def open_entrances(setting: Setting) -> None:
    """Make every balancer of a fleet ready; a site's own HAProxy that is down is started."""
    for balancer in setting.balancers:
        balancer.open()


def _drive(setting: Setting, chosen: Chosen, begun: Begun, outcome: Outcome, *, retry: bool) -> str:
    """Look, decide, act, until the fleet has arrived; return why it has."""
    lookout = Lookout(setting)
    hands = Hands(setting, chosen, begun, lookout)
    observed = lookout.look()
    hands.finish_launches()
    observed = lookout.look()
    if retry or chosen.kind == "rollback":
        _take(clear_failed(chosen.goal, observed), hands, outcome, setting)
    patience = Patience(setting)
    untried = chosen.untried
    while True:
        observed = lookout.look()
        for token, why in lookout.admit():
            setting.console.note(f"  {token} is healthy: {why}")
            observed = lookout.look()
        if any(chosen.goal.is_run_by(i) and i.is_serving for i in observed):
            setting.book.serves(chosen.goal.version, at=setting.clock.now())
            untried = False
        patience.note(chosen, observed)
        begun_at = setting.clock.now()
        match next_wave(chosen.goal, setting.bounds, observed, untried=untried):
            case Wave(steps, _):
                hands.forget_strangers()
                _take(_up_to_an_ending(steps), hands, outcome, setting)
                patience.acted(begun_at)
            case Done(why):
                hands.forget_strangers()
                return why
            case Wait(why):
                setting.console.progress(f"waiting: {why}")
                patience.require_progress(why)
            case Doubtful(why):
                patience.require_sight(why)
            case Stuck(why):
                patience.require_room(why)
            case Failed(why, tokens):
                raise _goal_failed(setting, chosen, why, tokens)
        setting.clock.sleep(setting.fleet.health.interval)


def _take(steps: tuple[Step, ...], hands: Hands, outcome: Outcome, setting: Setting) -> None:
    """Take the steps of a wave. What was launched in the last one and only wants its traffic now
    belongs to that one."""
    if not steps:
        return
    if outcome.waves and all(isinstance(step, Register) for step in steps):
        with setting.console.deeper():
            _take_each(steps, hands, outcome)
        return
    outcome.waves.append([])
    with setting.console.inside(f"Wave {len(outcome.waves)}: {_in_words(steps)}"):
        _take_each(steps, hands, outcome)


def _up_to_an_ending(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Cut a wave after its first ending: a drain takes long, so we look again before the next."""
    endings = [n for n, step in enumerate(steps) if isinstance(step, Terminate)]
    return steps[: endings[0] + 1] if endings else steps


def _take_each(steps: tuple[Step, ...], hands: Hands, outcome: Outcome) -> None:
    for step in steps:
        token = hands.take(step, wave=len(outcome.waves))
        outcome.waves[-1].append(Taken(step=step, token=token))


def _in_words(steps: tuple[Step, ...]) -> str:
    words = []
    for kind, word in ((Register, "register"), (Launch, "launch"), (Terminate, "end")):
        if count := sum(isinstance(step, kind) for step in steps):
            words.append(f"{word} {count}")
    return ", ".join(words)


def _begin(setting: Setting, chosen: Chosen, because: str) -> Begun:
    if chosen.resumed is not None and chosen.resumed.goal == chosen.goal:
        setting.journal.resume(chosen.resumed)
        return chosen.resumed
    begun = Begun(
        id=f"rollout-{secrets.token_hex(6)}",
        kind=chosen.kind,
        before=chosen.before,
        goal=chosen.goal,
        untried=chosen.untried,
        owner=setting.by,
        started_at=setting.clock.now(),
        because=because,
    )
    leaves = chosen.kind == "rollback" and chosen.before not in ("", chosen.goal.version)
    reason = because or f"rolled back to {chosen.goal}"
    setting.journal.begin(begun, pins=(chosen.before, reason) if leaves else None)
    return begun


def _closed(setting: Setting, chosen: Chosen, begun: Begun, error: OvenbirdError) -> OvenbirdError:
    """Write down how it ended. A failed rollback calls a person, and nothing else is tried."""
    outcome = OUTCOMES.get(error.exit_code, "failed")
    setting.journal.end(begun, outcome=outcome, told=error.problem, at=setting.clock.now())
    if chosen.kind == "rollback" and outcome == "failed":
        return RollbackFailed(
            f"The rollback of {setting.key} to {chosen.goal} failed: {error.problem}",
            remedy="Everything is kept as it is. Look at the instances (invoke status) and their "
            "consoles before you do anything else.",
            evidence=error.evidence,
        )
    return error


def _goal_failed(setting: Setting, chosen: Chosen, why: str, tokens: tuple[str, ...]) -> GoalFailed:
    setting.book.goal_failed(chosen.goal, because=why, at=setting.clock.now())
    lines = setting.provider.console(tokens[0], lines=10) if tokens else ""
    return GoalFailed(
        f"{chosen.goal} does not become healthy in {setting.key}: {why}.",
        remedy="What served still does; the failed instance is kept out of service for a look.\n"
        f"Bake a fixed image, go back with: invoke rollback {setting.fleet.name}, or try this "
        "one once more with --retry.",
        evidence=lines,
    )


@contextmanager
def _alone(setting: Setting) -> Iterator[None]:
    """Let one driver work on a fleet; the kernel frees the lock of a dead one."""
    lock = lock_of(setting.site.folder, driver_lock(setting.key))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        running = setting.journal.unfinished()
        who = f"{running.owner} since {running.started_at.astimezone():%H:%M}" if running else "?"
        raise Busy(
            f"{setting.key} is being rolled by somebody else: {who}.",
            remedy="Wait until they have finished; see: invoke status",
        ) from None
    with held:
        yield
