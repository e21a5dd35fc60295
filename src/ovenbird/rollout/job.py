"""Run one job of an image to its end: before the first wave of a rollout, or on demand.

What a job runs is baked. Its instance is launched like any other, has no traffic and no place in
the size, and its name is made of its rollout's: launching it twice gives one. Whoever comes after
a dead driver finds it by that name, waits for it, and never starts a second. A job that runs is
cut by its time-out alone, and by nobody who takes over.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

from ovenbird.fleet.health import CONSOLE_LINES
from ovenbird.rollout.consoles import Consoles
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.records import Record
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import ConfigurationError, Inconclusive
from ovenbird.values.fleet import JobSpec, Order
from ovenbird.values.image import ImageRef, StopPolicy
from ovenbird.values.instance import EngineState, Seen

TOLD_LINES = 10
"""Lines of a console that are shown when a job has ended; the whole of it is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a job came out. ``code`` is None where it did not end by itself; ``because`` tells it
    in a few words; ``console`` holds its last lines."""

    token: str
    code: int | None
    because: str
    console: str


class Job:
    """One job of one rollout or run, for a driver that holds the lease."""

    def __init__(
        self, setting: Setting, chosen: Chosen, begun: Begun, lease: Lease, spec: JobSpec
    ) -> None:
        self._setting, self._chosen, self._begun = setting, chosen, begun
        self._lease, self._spec = lease, spec
        self.token = token_of(setting, begun)

    def run(self) -> Ended:
        """Launch it unless it was launched, wait for its end, and remove it.

        Its code is durable before it is removed: one that has ended is never started again.
        Raises `Superseded` for whoever has lost the lease (the job goes on), `Inconclusive` where
        its host is lost, and what a launch raises.
        """
        record = self.record()
        if record is None:
            self._launch()
        elif record.ended_at is None and record.exit_code is None and not record.called:
            self._launch_again()
        if (record := self.record()) is not None and record.ended_at is None:
            finish(
                self._setting,
                self._begun,
                self._lease,
                record,
                self._spec.timeout,
                beside=self._spec.name,
            )
        return self._told()

    def record(self) -> Record | None:
        """Return what the site remembers of it, also after its end; None before its intent."""
        return self._setting.records.of([self.token]).get(self.token)

    def _launch(self) -> None:
        setting, chosen, spec = self._setting, self._chosen, self._spec
        order = self._order()
        setting.console.step(f"Running the job {spec.name} of {chosen.goal}")
        with setting.calls.alone():
            step = setting.journal.intend_launch(
                self._begun,
                0,
                order,
                f"the job {spec.name} runs once",
                setting.clock.now(),
                self._lease.require,
                place=setting.provider.place,
            )
            setting.provider.launch(order)
            setting.journal.finished(step, at=setting.clock.now())

    def _launch_again(self) -> None:
        """Make a launch again whose end nobody saw: its name makes one of the two."""
        setting = self._setting
        for step in setting.journal.in_the_air(jobs=True):
            if step.token != self.token or step.verb != "launch":
                continue
            there = any(seen.token == self.token for seen in listed(setting))
            order = None if there else self._order()
            with setting.calls.alone():
                if not setting.journal.take_again(step, self._lease.require):
                    return
                if order is not None:
                    setting.console.step(f"Launching {self.token} again: nobody saw it begin")
                    setting.provider.launch(order)
                setting.journal.finished(step.step, at=setting.clock.now())

    def _order(self) -> Order:
        """Make its order. Raises `Blocked` for an image that was revoked meanwhile."""
        setting, chosen, spec = self._setting, self._chosen, self._spec
        setting.catalog.launchable(ImageRef.parse(chosen.goal.version))
        _require_known(setting, chosen, spec)
        return Order(
            token=self.token,
            fleet=setting.key,
            version=chosen.goal.version,
            artifact=chosen.artifact,
            contract=chosen.version.contract,
            launch=chosen.launch,
            slot=0,
            job=spec.name,
        )

    def _told(self) -> Ended:
        record = self.record()
        code = record.exit_code if record is not None else None
        if code is None:
            because = f"did not end by itself within {self._spec.timeout:g} s, or was removed"
        else:
            because = "ended well" if code == 0 else f"ended with exit code {code}"
        kept = Consoles(self._setting.site.folder / "consoles").read(self.token) or ""
        last = "\n".join(kept.strip().splitlines()[-TOLD_LINES:])
        return Ended(token=self.token, code=code, because=because, console=last)


def token_of(setting: Setting, begun: Begun) -> str:
    """Name the job of a rollout: the same however often it is asked."""
    return f"{setting.key.env}-{setting.key.name}-job-{begun.id.rpartition('-')[2]}"


def finish(
    setting: Setting,
    begun: Begun,
    lease: Lease,
    record: Record,
    timeout: float,
    *,
    beside: str,
) -> None:
    """Wait for the end of a job, for ``timeout`` seconds from its start; write its code; remove it.

    Raises `Superseded` where the lease is lost, and `Inconclusive` where its host is.
    """
    if record.exit_code is None:
        for seen in _looks(setting, lease, record.token):
            if seen.state is EngineState.EXITED and seen.exit_code is not None:
                setting.records.exited(record.token, seen.exit_code)
                break
            if setting.clock.now() - seen.launched_at >= timedelta(seconds=timeout):
                if seen.state is EngineState.LOST:
                    raise _lost(setting, seen)
                setting.console.note(f"  ended by force after {timeout:g} s")
                break
            if seen.state is EngineState.EXITED:
                break
            setting.console.progress(f"waiting for the job {beside} ({seen.state})")
    remove(setting, begun, lease, record)


def remove(setting: Setting, begun: Begun, lease: Lease, record: Record) -> None:
    """Keep the console of a job, and end it at its engine."""
    token, because = record.token, "its job is over"
    text = setting.provider.console(token, lines=CONSOLE_LINES)
    folder = setting.site.folder / "consoles"
    kept = Consoles(folder)
    if text or kept.read(token) is None:  # who was removed already has said all
        kept.save(token, text, at=setting.clock.now())
    console, stop = str(folder / f"{token}.log"), stop_of(setting, record.version)
    at, guard = setting.clock.now(), lease.require
    with setting.calls.alone():
        for dropped in setting.journal.in_the_air(jobs=True):
            if dropped.token == token:
                setting.journal.leave(dropped, at=at)
        step = setting.journal.intend(
            begun, 0, "terminate", token, because=because, at=at, guard=guard
        )
        setting.provider.terminate(token, stop=stop)
        now = setting.clock.now()
        setting.journal.ended(step, token, because=because, console=console, at=now)


def _looks(setting: Setting, lease: Lease, token: str) -> Iterator[Seen]:
    """Look at a job again and again, until nobody has shown it for ``lost_after``."""
    health, missing_since = setting.fleet.health, None
    while True:
        lease.look()
        now = setting.clock.now()
        seen = next((s for s in listed(setting) if s.token == token), None)
        if seen is not None:
            missing_since = None
            yield seen
        else:
            missing_since = missing_since or now
            if now - missing_since >= timedelta(seconds=health.lost_after):
                return
        setting.clock.sleep(health.interval)


def listed(setting: Setting) -> list[Seen]:
    every = setting.provider.instances(setting.key)
    return [seen for seen in every if seen.job and seen.fleet.site == setting.key.site]


def _require_known(setting: Setting, chosen: Chosen, spec: JobSpec) -> None:
    known = [name for name, _ in chosen.version.contract.jobs]
    if spec.name not in known:
        raise ConfigurationError.of(
            f"{chosen.goal} was baked without a job {spec.name!r}; it has "
            f"{', '.join(known) or 'none'}.",
            remedy=f"Nothing was launched. Add launch: {{jobs: …}} to {chosen.version.family} in "
            "packer/images.yml, and bake it again.",
            file=setting.fleet.file,
            line=setting.fleet.line,
        )


def stop_of(setting: Setting, version: str) -> StopPolicy:
    try:
        return setting.catalog.resolve(ImageRef.parse(version)).contract.stop
    except ConfigurationError:
        return StopPolicy()


def _lost(setting: Setting, seen: Seen) -> Inconclusive:
    return Inconclusive(
        f"The host of {seen.token} is lost, so nobody knows how the job {seen.job} ends.",
        remedy=f"Nothing was rolled. When {setting.fleet.provider} sees it again, run this again.",
    )
