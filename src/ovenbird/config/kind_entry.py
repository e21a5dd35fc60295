"""``kind:``, ``job:`` and ``before_first_wave:`` of a fleet, and what does not go together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Annotated

from pydantic import BeforeValidator, Field

from ovenbird.config.schema import Duration, Entry
from ovenbird.config.volume_entry import ONE_AFTER_THE_OTHER
from ovenbird.config.wording import allowed, did_you_mean
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault
from ovenbird.values.fleet import Fleet, JobSpec, Kind
from ovenbird.values.image import Contract
from ovenbird.values.limits import count_of
from ovenbird.values.procedure import Strategy

NOT_OF_A_JOB: Mapping[str, str] = {
    "size": "it has one instance, while it runs",
    "stage": "no rollout reaches it",
    "limits": "nothing of it is replaced",
    "health": "its exit code says how it went",
    "rollout": "nothing of it is replaced",
    "balancer": "it gets no traffic",
    "volumes": "it has no slot to keep them for",
    "order": "nothing of it is replaced",
    "before_first_wave": "it is a job itself",
}
"""The keys that a fleet of jobs does not have, and why."""


def _short(value: object) -> object:
    return {"job": value} if isinstance(value, str) else value


class JobEntry(Entry):
    job: Annotated[str, Field(min_length=1)] = Field(
        description="the name of a job of the family, such as migrate"
    )
    timeout: Duration = Field(
        default=JobSpec(name="").timeout, description="a duration, such as 10m"
    )

    def value(self) -> JobSpec:
        return JobSpec(name=self.job, timeout=self.timeout)


Job = Annotated[JobEntry, BeforeValidator(_short)]


def kind_faults(
    fleet: Fleet, written: Collection[str], *, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    """What does not go together; ``written`` are the keys that the fleet's entry has."""
    if fleet.kind is Kind.JOB:
        yield from _job_faults(fleet, written, document=document, loc=loc, called=called)
        return
    if "size" not in written:
        remedy = "Allowed: a number of instances, 0 or more."
        yield document.fault((*loc, "size"), f"{called}: size is missing.", remedy, key=True)
    if fleet.job is not None:
        yield document.fault(
            (*loc, "job"),
            f"{called}: job belongs to kind: job, and this one is a service.",
            "Set kind: job, or run it before a rollout: before_first_wave: NAME.",
            key=True,
        )
    if fleet.is_stateful:
        yield from _stateful_faults(fleet, document=document, loc=loc, called=called)
    elif fleet.order is not None:
        yield document.fault(
            (*loc, "order"),
            f"{called}: order belongs to a fleet with volumes, and this one has none.",
            "Remove order; without volumes a new instance serves before an old one is ended.",
            key=True,
        )


def _job_faults(
    fleet: Fleet, written: Collection[str], *, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    if fleet.job is None:
        yield document.fault(
            (*loc, "kind"),
            f"{called}: a fleet of kind job needs its job, and there is none.",
            "Add job: NAME, a name of launch: {jobs: …} in packer/images.yml.",
            key=True,
        )
    for key, why in NOT_OF_A_JOB.items():
        if key in written:
            yield document.fault(
                (*loc, key),
                f"{called}: a fleet of kind job has no {key}: {why}.",
                f"Remove {key}, or set kind: service.",
                key=True,
            )


def _stateful_faults(fleet: Fleet, *, document: Document, loc: Loc, called: str) -> Iterator[Fault]:
    """Whatever would have two instances of one slot, were it for a moment."""
    blue_green = fleet.procedure.strategy is Strategy.BLUE_GREEN
    rollout = (*loc, "rollout")
    if blue_green:
        problem = f"{called}: a fleet with volumes cannot be blue-green."
        remedy = f"Set strategy: rolling. {ONE_AFTER_THE_OTHER}"
        yield document.fault((*rollout, "strategy"), problem, remedy)
    if fleet.procedure.keep_previous:
        problem = f"{called}: keep_previous would keep the volumes with it."
        remedy = f"Remove keep_previous. {ONE_AFTER_THE_OTHER}"
        yield document.fault((*rollout, "keep_previous"), problem, remedy, key=True)
    surge = fleet.limits.max_surge
    if count_of(surge, 1, up=True) > 0:
        problem = f"{called}: a fleet with volumes has no surge, and max_surge is {surge}."
        remedy = f"Remove max_surge, or set it to 0. {ONE_AFTER_THE_OTHER}"
        yield document.fault((*loc, "limits", "max_surge"), problem, remedy, key=True)


def job_faults(
    fleet: Fleet, contract: Contract, *, document: Document, loc: Loc
) -> Iterator[Fault]:
    """A job is one of those that the family's images know."""
    known = [name for name, _ in contract.jobs]
    for key, job in (("job", fleet.job), ("before_first_wave", fleet.before_first_wave)):
        if job is not None and job.name not in known:
            hint = did_you_mean(job.name, known)
            yield document.fault(
                (*loc, key),
                f"fleet {fleet.name}: family {fleet.image.family} has no job {job.name!r}.{hint}",
                allowed(known, what="Jobs of its launch in packer/images.yml"),
            )
