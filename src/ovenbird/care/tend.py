"""Look after a fleet between rollouts: one pass, safe to repeat, and beside a rollout.

Nobody is home between commands, so this puts back what time has ended (kept previous instances,
quarantine, what balancers list of the gone), starts an entrance that is down, and replaces what is
lost, ill, missing or unwanted with the settled image. It finishes what a killed driver's verb has
wished, a removal too. It never rolls anything forward or back.
"""

from __future__ import annotations

from ovenbird.care.removal import finish_removal
from ovenbird.rollout import go_back, open_entrances, roll_out
from ovenbird.rollout.before import has_ended_jobs
from ovenbird.rollout.begun import GO_BACK
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import choose, choose_repair, choose_rollback
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.pacing import spares
from ovenbird.rollout.plan import Done, Pace, next_wave
from ovenbird.rollout.reins import cancel
from ovenbird.rollout.repair import as_settled
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Blocked, GoalFailed
from ovenbird.values.fleet import Kind
from ovenbird.values.instance import Instance


def tend(setting: Setting, *, resume: bool = False) -> str:
    """Look after one fleet, and return what was found and done.

    With ``resume`` an interrupted rollout is gone on with; otherwise it is only told. Raises
    what a rollout raises: `GoalFailed` where replacements do not become healthy, `Blocked` and
    `Inconclusive` as there.
    """
    holder = setting.leases.holder()
    if holder is not None and setting.leases.is_alive(holder):
        return f"left alone: {holder}"
    if setting.book.standing().removed_at is not None:
        return finish_removal(setting)
    _pay_the_rollback(setting)
    open_ = setting.journal.unfinished()
    if open_ is not None and open_.wish == "cancel":  # its driver died before it heard
        return cancel(setting)
    if open_ is not None and resume:
        choose_again = choose if open_.kind == "rollout" else choose_rollback
        chosen = choose_again(setting)
        outcome = Outcome(before=chosen.before, after=str(chosen.goal))
        roll_out(setting, chosen, outcome)
        return f"the interrupted {open_.kind} went on: {outcome.because}"
    told = _repaired(setting)
    if open_ is not None:
        told += (
            f"; a {open_.kind} to {open_.goal} of {open_.started_at.astimezone():%Y-%m-%d %H:%M} "
            "is unfinished: the same command goes on, or invoke tend --resume"
        )
    return told


def _pay_the_rollback(setting: Setting) -> None:
    """Go back where a rollout failed in a fleet that wishes that, and its driver died over it."""
    last = setting.journal.last()
    if last is None or last.outcome != "failed" or last.wish != GO_BACK:
        return
    failure = go_back(setting, GoalFailed(last.told, remedy="Bake a fixed image."))
    if setting.journal.last() != last:
        raise failure


def _repaired(setting: Setting) -> str:
    chosen = choose_repair(setting)
    if setting.fleet.kind is Kind.JOB:
        return "runs its job on demand, so there is nothing to tend"
    if chosen is None:
        return "nothing has completed here yet, so there is nothing to tend"
    open_entrances(setting)
    lookout = Lookout(setting)
    observed = lookout.look_twice()
    settled = as_settled(chosen.goal, observed, has_surge=setting.bounds.surge > 0)
    pace = Pace(spares=spares(setting, chosen))
    plan = next_wave(chosen.goal, setting.bounds, settled, untried=False, pace=pace)
    if isinstance(plan, Done) and not _is_overdue(setting, lookout, observed):
        return plan.because
    outcome = Outcome(before=str(chosen.goal), after=str(chosen.goal))
    try:
        roll_out(setting, chosen, outcome, because="tended")
    except Blocked as blocked:
        blocked.add_note(f"found: {plan.because}")
        raise
    steps = sum(len(wave) for wave in outcome.waves)
    return f"{steps} steps: {outcome.because}" if steps else outcome.because


def _is_overdue(setting: Setting, lookout: Lookout, observed: tuple[Instance, ...]) -> bool:
    """Say whether something is left over: ended and there, kept for too long, listed and gone, or
    a step whose driver died in its call."""
    here = {instance.token for instance in observed}
    strangers = any(token not in here for entries in lookout.entries for token in entries)
    now = setting.clock.now()
    expired = any(r.kept_until and r.kept_until <= now for r in lookout.records.values())
    unseen = bool(lookout.unlisted()) or bool(lookout.never_listed())
    open_ = setting.journal.unfinished() is not None  # then the air is that rollout's
    dropped = not open_ and bool(setting.journal.in_the_air())
    jobs = has_ended_jobs(setting)
    return bool(lookout.late) or strangers or expired or unseen or dropped or jobs
