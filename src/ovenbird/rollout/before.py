"""What comes before the first wave of a rollout: its job, once, and nobody else's still there.

Nothing of the fleet has been touched then, so waiting costs nothing that serves.
"""

from __future__ import annotations

from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.job import Job, finish, listed, stop_of, token_of
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.records import Record
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import GoalRefuted
from ovenbird.values.fleet import JobSpec
from ovenbird.values.instance import EngineState


class JobFailed(GoalRefuted):
    """The job before the first wave did not end well: nothing was rolled, so nothing goes back."""


def before_first_wave(setting: Setting, chosen: Chosen, begun: Begun, lease: Lease) -> None:
    """See that no job of anybody's is left, and run the fleet's own before a rollout's first wave.

    A rollback and a new rollout wait for a job that still runs: half a migration is worse than
    none, and what serves meanwhile is untouched. A repair only removes those that have ended.
    Raises `JobFailed` with the end of its console, and nothing was rolled.
    """
    spec, token = setting.fleet.before_first_wave, token_of(setting, begun)
    wanted = is_due(setting, chosen, begun)
    for record in left_jobs(setting):
        if record.token != token or not wanted:
            _clear(setting, begun, lease, record, waits=chosen.kind != "repair")
    if spec is None or not wanted:
        return
    with setting.console.inside(f"Before the first wave: the job {spec.name}"):
        ended = Job(setting, chosen, begun, lease, spec).run()
    if ended.code == 0:
        return
    raise JobFailed(
        f"The job {spec.name} of {chosen.goal} {ended.because} in {setting.key}, so nothing was "
        "rolled.",
        why=f"its job {spec.name} {ended.because}",
        remedy=f"Read all of it: invoke fleet.logs {ended.token}\n"
        "Bake a fixed image, or run the job once more with --retry.",
        evidence=ended.console,
    )


def is_due(setting: Setting, chosen: Chosen, begun: Begun | None) -> bool:
    """Say whether a rollout owes its job: not where its goal has settled, and not after its first
    wave has begun (``begun`` is the rollout that is gone on with, or None)."""
    if chosen.kind != "rollout" or setting.fleet.before_first_wave is None:
        return False
    if setting.book.standing().settled == chosen.goal:
        return False
    launched = setting.records.of([]).values()
    return begun is None or not any(r.rollout_id == begun.id and not r.job for r in launched)


def said_before(setting: Setting, chosen: Chosen) -> list[str]:
    """Tell in a plan what runs before its first wave."""
    spec = setting.fleet.before_first_wave
    if spec is None or not is_due(setting, chosen, chosen.resumed):
        return []
    return [f"first the job {spec.name} runs once, for {spec.timeout:g} s at the most"]


def left_jobs(setting: Setting) -> list[Record]:
    """List the jobs of this fleet that nobody has removed, the oldest first."""
    seen = [s.token for s in listed(setting)]
    found = [r for r in setting.records.of(seen).values() if r.job]
    still = [r for r in found if r.ended_at is None or r.token in seen]
    return sorted(still, key=lambda r: r.ordered_at)


def has_ended_jobs(setting: Setting) -> bool:
    """Say whether a dead driver has left a job that has ended, for somebody to remove."""
    return any(seen.state is EngineState.EXITED for seen in listed(setting))


def _clear(setting: Setting, begun: Begun, lease: Lease, record: Record, *, waits: bool) -> None:
    """Deal with a job of another rollout, whose driver is gone."""
    if record.ended_at is not None:  # its launch landed late
        with setting.calls.alone():
            lease.renew_or_raise()
            setting.provider.terminate(record.token, stop=stop_of(setting, record.version))
        return
    states = {seen.token: seen.state for seen in listed(setting)}
    if not waits and states.get(record.token) is not EngineState.EXITED:
        return
    setting.console.step(f"Waiting for the job {record.job} that somebody else began")
    spec = setting.fleet.before_first_wave or setting.fleet.job or JobSpec(name=record.job)
    finish(setting, begun, lease, record, spec.timeout, beside=record.job)
