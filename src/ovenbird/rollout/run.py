"""Run the job of a fleet of kind job, on demand: one instance, to its end, and never two at once.

A run whose driver was killed is finished by the next one: it waits for that job, tells how it
came out, and starts no other.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from ovenbird.rollout import let_others_end
from ovenbird.rollout.before import left_jobs
from ovenbird.rollout.goal import Chosen, choose_run
from ovenbird.rollout.job import Ended, Job, finish, listed, token_of
from ovenbird.rollout.journal import OPEN, Begun
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import ConfigurationError, GoalFailed, OvenbirdError, Superseded
from ovenbird.values.fleet import JobSpec, Kind
from ovenbird.values.image import ImageRef

OUTCOMES = {3: "blocked", 4: "inconclusive"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """A run that has ended. ``adopted`` says who had begun it, or is ""."""

    version: str
    job: str
    ended: Ended
    adopted: str = ""

    def require_well(self) -> None:
        """Raise `GoalFailed`, with the end of its console, where the job did not end well."""
        if self.ended.code != 0:
            raise GoalFailed(
                f"The job {self.job} of {self.version} {self.ended.because}.",
                remedy=f"Read all of it: invoke fleet.logs {self.ended.token}. Then run it again.",
                evidence=self.ended.console,
            )


def run_job(
    setting: Setting, *, image: str = "", because: str = "", timeout: float | None = None
) -> Ran:
    """Run the fleet's job once, and return how it came out, well or not.

    ``image`` is another image than the fleet's own, ``timeout`` how many seconds it may take
    instead of what the file says. A run that is under way without a driver is waited for instead.
    Raises `ConfigurationError` for a fleet that has no job, `Busy` while somebody is at it.
    """
    spec = _spec_of(setting, timeout)
    with setting.leases.taken("run") as lease:
        let_others_end(setting, lease)
        chosen, begun, adopted = _begun(setting, lease, spec, image=image, because=because)
        if adopted:
            setting.console.step(f"Waiting for the job that {adopted} began: no other is started")
        try:
            ended = Job(setting, chosen, begun, lease, spec).run()
        except Superseded:
            raise
        except OvenbirdError as error:
            outcome = OUTCOMES.get(error.exit_code, "failed")
            _close(setting, lease, begun, outcome=outcome, told=error.problem)
            raise
        outcome = "done" if ended.code == 0 else "failed"
        _close(setting, lease, begun, outcome=outcome, told=f"{spec.name} {ended.because}")
    return Ran(version=chosen.goal.version, job=spec.name, ended=ended, adopted=adopted)


def _begun(
    setting: Setting, lease: Lease, spec: JobSpec, *, image: str, because: str
) -> tuple[Chosen, Begun, str]:
    """Go on with a run whose driver is dead, else begin one. The third is who began it, or ""."""
    last = setting.journal.last_run()
    if last is not None and last.outcome in OPEN:
        if _can_be_adopted(setting, last):
            chosen = choose_run(setting, image=last.goal.version, adopts=True)
            setting.journal.resume(last, lease.require)
            return replace(chosen, goal=last.goal), last, last.owner
        _close(setting, lease, last, outcome="failed", told="its job was never seen to begin")
    chosen = choose_run(setting, image=image)
    begun = Begun(
        id=f"run-{secrets.token_hex(6)}",
        kind="run",
        before="",
        goal=chosen.goal,
        untried=False,
        owner=setting.by,
        started_at=setting.clock.now(),
        because=because,
    )
    setting.journal.begin(begun, lease.require)
    for record in left_jobs(setting):
        if record.ended_at is None:
            finish(setting, begun, lease, record, spec.timeout, beside=record.job)
    return chosen, begun, ""


def _can_be_adopted(setting: Setting, last: Begun) -> bool:
    """Say whether a run has a job that was launched, or still may be: its image is not revoked."""
    token = token_of(setting, last)
    record = setting.records.of([token]).get(token)
    if record is None:
        return False
    launched = record.called or any(seen.token == token for seen in listed(setting))
    return launched or setting.catalog.resolve(ImageRef.parse(last.goal.version)).launchable


def _close(setting: Setting, lease: Lease, begun: Begun, *, outcome: str, told: str) -> None:
    now = setting.clock.now()
    setting.journal.end(begun, lease.require, outcome=outcome, told=told, at=now)


def _spec_of(setting: Setting, timeout: float | None) -> JobSpec:
    fleet = setting.fleet
    if fleet.kind is not Kind.JOB or fleet.job is None:
        raise ConfigurationError.of(
            f"{setting.key} is a service, and has no job of its own to run.",
            remedy=f"Roll it out: invoke rollout {fleet.name} --env {fleet.env}. For a job on "
            f"demand, add a fleet with kind: job to inventories/{fleet.env}/fleets.yml.",
            file=fleet.file,
            line=fleet.line,
        )
    return fleet.job if timeout is None else replace(fleet.job, timeout=timeout)
