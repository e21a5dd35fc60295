"""Say how a fleet is: what is wanted, what runs, what is being done, and what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypedDict

from ovenbird.report.rows import Images, Row, members, minute, others, strangers
from ovenbird.rollout.book import Standing
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.lease import Holder
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.records import Record
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import ConfigurationError, OvenbirdError
from ovenbird.values.fleet import Fleet
from ovenbird.values.instance import Goal, Instance, Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """One fleet at one moment. ``problem`` says why it could not be looked at, or is "".

    ``records`` hold what is remembered of what was seen, ``jobs`` what runs a job beside the
    fleet, ``unowned`` what carries its name and is not this site's, or in no record.
    """

    fleet: Fleet
    now: datetime
    resolved: str
    instances: Sequence[Instance]
    standing: Standing
    last: Begun | None
    holder: Holder | None = None  # who is at work on this fleet now
    problem: str = ""
    site: str = ""
    records: Mapping[str, Record] = field(default_factory=dict)
    jobs: Sequence[Seen] = ()
    unowned: Sequence[Seen] = ()
    images: Images = field(default_factory=lambda: Images(()))

    @property
    def rows(self) -> list[Row]:
        """Every instance that carries the fleet's name: members, jobs, then what is unowned."""
        here = {"env": self.fleet.env, "fleet": self.fleet.name}
        rows = members(self.instances, self.records, self.images, **here)
        rows += others(self.jobs, self.images, records=self.records)
        return rows + strangers(self.unowned, self.images, site=self.site)

    @property
    def goal(self) -> Goal | None:
        """What every launch outside a rollout would use."""
        return self.standing.settled

    @property
    def sentence(self) -> str:
        """Tell it in one line: "3 of 3 serving, all current"."""
        if self.problem:
            return self.problem
        if not self.instances:
            if self.fleet.job is not None:
                return f"nothing runs now; its job {self.fleet.job.name} runs on demand"
            return f"nothing runs, {self.fleet.size} wanted"
        held = [i for i in self.instances if i.quarantined and not i.is_serving]
        counted = [i for i in self.instances if i not in held]
        serving = sum(i.is_serving for i in counted)
        told = [f"{serving} of {self.fleet.size} serving"]
        kinds = Counter(str(i.health) for i in counted if not i.is_serving)
        told += [f"{count} {kind}" for kind, count in sorted(kinds.items())]
        if self.goal is not None:
            stale = sum(not self.goal.is_run_by(i) for i in counted)
            told.append(f"{stale} not on {self.goal}" if stale else f"all on {self.goal}")
        if held:
            told.append(f"{len(held)} in quarantine")
        return ", ".join(told)

    @property
    def remarks(self) -> list[str]:
        """Tell what a person should know beside it."""
        told = [f"at work: {self.holder}"] if self.holder is not None else []
        if self.standing.paused:
            told.append(
                f"paused {self.standing.paused}; invoke fleet.resume "
                f"{self.fleet.name} --env {self.fleet.env}"
            )
        told += self._of_day_two()
        if self.last is not None and self.last.outcome != "done":
            when = f"{self.last.started_at.astimezone():%Y-%m-%d %H:%M}"
            dead = self.last.outcome == "running" and self.holder is None
            how = "interrupted; the same command finishes it" if dead else self.last.outcome
            told.append(
                f"the {self.last.kind} to {self.last.goal} of {when} is {how}"
                + (f": {self.last.told}" if self.last.told else f", by {self.last.owner}")
            )
        told += [
            f"pinned: {version} is refused here since a rollback ({because})"
            for version, because in self.standing.pins.items()
        ]
        ahead = self.goal and self.resolved and self.resolved != self.goal.version
        if ahead and self.resolved not in self.standing.pins:
            told.append(
                f"{self.fleet.image} is {self.resolved} now: invoke rollout "
                f"{self.fleet.name} --env {self.fleet.env}"
            )
        return told

    def _of_day_two(self) -> list[str]:
        """Tell what was decided for it between rollouts."""
        fleet, told = self.fleet, []
        here = f"{fleet.name} --env {fleet.env}"
        if fleet.file_size is not None:
            since = f" {self.standing.size_told}" if self.standing.size_told else ""
            told.append(
                f"size {fleet.size} (file {fleet.file_size}){since}; back to the "
                f"file's: invoke fleet.scale {fleet.name} reset --env {fleet.env}"
            )
        if self.standing.removed_at is not None:
            told.append(
                f"being removed since {minute(self.standing.removed_at)}; invoke fleet.remove "
                f"{here} finishes it"
            )
        if kept := sum(i.kept and not i.quarantined for i in self.instances):
            told.append(f"{kept} previous kept out of service for a switch back")
        if self.unowned:
            told.append(
                f"{len(self.unowned)} unowned under its name: no rollout and no repair touches "
                "this fleet while they are there"
            )
        return told


class _Beside(TypedDict):
    records: Mapping[str, Record]
    jobs: Sequence[Seen]
    unowned: Sequence[Seen]


def status_of(setting: Setting) -> Status:
    """Look at one fleet. What stands in the way of looking is told and not raised."""
    problem, instances = "", tuple[Instance, ...]()
    lookout = Lookout(setting, tolerant=True)
    try:
        instances = lookout.look_twice()
    except OvenbirdError as error:
        problem = f"cannot be looked at: {error.problem}"
    return Status(
        fleet=setting.fleet,
        now=setting.clock.now(),
        resolved=_resolved(setting),
        instances=instances,
        standing=setting.book.standing(),
        last=setting.journal.last(),
        holder=_at_work(setting),
        problem=problem,
        site=setting.key.site,
        images=Images(setting.catalog.versions()),
        **_beside(setting, lookout),
    )


def _beside(setting: Setting, lookout: Lookout) -> _Beside:
    """Set apart what runs under the fleet's name and is no member of it."""
    known = setting.records.of(lookout.jobs)
    jobs = list[Seen]()
    unowned = list(lookout.unowned)
    for token, seen in lookout.jobs.items():
        mine = seen.fleet.site == setting.key.site and token in known
        (jobs if mine else unowned).append(seen)
    return {"records": {**lookout.records, **known}, "jobs": jobs, "unowned": unowned}


def _at_work(setting: Setting) -> Holder | None:
    holder = setting.leases.holder()
    return holder if holder is not None and setting.leases.is_alive(holder) else None


def _resolved(setting: Setting) -> str:
    """Name what the fleet's reference means now, or "" while it means nothing yet."""
    try:
        return str(setting.catalog.resolve(setting.fleet.image))
    except ConfigurationError:
        return ""
