"""Join what providers, probes and balancers report into instances. It decides what is known, and
nothing about what to do.

The hard part is a probe without an answer: the instance may be gone, or the observer may be
blind. Only a *control*, something else of the fleet that does answer, tells the two apart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from ovenbird.fleet.gate import seconds
from ovenbird.values.fleet import HealthCheck
from ovenbird.values.instance import (
    EngineState,
    Entry,
    EntryState,
    Expected,
    Health,
    Instance,
    Look,
    Seen,
    Verdict,
)


def observe(
    seen: Collection[Seen],
    looks: Mapping[str, Sequence[Look]],
    entries: Sequence[Mapping[str, Entry]],
    accepted: Mapping[str, datetime],
    *,
    health: HealthCheck,
    now: datetime,
    condemned: Mapping[str, str] = MappingProxyType({}),
    kept: Collection[str] = (),
    expected: Collection[Expected] = (),
) -> tuple[Instance, ...]:
    """Say of each instance how it is, and why.

    All by token; ``entries`` has one mapping a balancer. Without a balancer, an accepted instance
    that passes is in service. ``condemned`` says why a running one is not good enough, whatever
    its probe says; ``kept`` names those that are held out of service on purpose; an ``expected``
    one that no engine lists yet is pending, for as long as the caller expects it.

    An entry counts only at the instance's own address: one that came back elsewhere is not in
    service, and not registered either, so that it will be.

    - *Serving*: accepted, running, its last look passes, in service at every balancer.
    - *Failed*: it ended by itself; it was accepted and its last two answers are failures; or it
      was launched ``healthy_deadline`` ago (an accepted one: has not passed for as long) and a
      control answers; or a balancer that has others in service finds it down, when it was
      accepted ``healthy_deadline`` ago.
    - *Unknown*: its looks have no answer, and no control has one either.
    - *Lost*: its engine has said for ``lost_after`` that it is gone.
    - *Pending* is the rest. One failed look of an accepted instance makes it pending: not ill, so
      it is not ended, nor serving, so that the floor does not lean on it. One whose host was
      restarted has ``healthy_deadline`` from then on.
    """
    ordered = {
        s.token: tuple(sorted(looks.get(s.token, ()), key=lambda look: look.at)) for s in seen
    }
    running = [s.token for s in seen if s.state is EngineState.RUNNING]
    control = any(_answers(ordered[token]) for token in running)
    found = [
        _instance(
            _View(
                seen=s,
                looks=ordered[s.token],
                entries=tuple(at.get(s.token) for at in entries),
                accepted_at=accepted.get(s.token),
                control=control,
                balancers_see=tuple(_has_service(at) for at in entries),
                alone=running == [s.token],
                condemned=condemned.get(s.token, ""),
                kept=s.token in kept,
                health=health,
                now=now,
            )
        )
        for s in seen
    ]
    found += [_not_listed_yet(e, now) for e in expected if e.token not in ordered]
    return tuple(sorted(found, key=lambda i: (i.launched_at, i.token)))


def _not_listed_yet(expected: Expected, now: datetime) -> Instance:
    age = seconds(now - expected.launched_at)
    return Instance(
        token=expected.token,
        version=expected.version,
        launch_hash=expected.launch_hash,
        slot=expected.slot,
        health=Health.PENDING,
        because=f"launched {age} ago, and its engine does not list it yet",
        launched_at=expected.launched_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _View:
    """All that is known of one instance.

    ``control`` says that some running instance of the fleet answers, itself included: an answer
    is proof that the way there is open. ``alone`` says that no other one runs. ``balancers_see``
    says of each balancer that some instance is in service there: its control.
    """

    seen: Seen
    looks: tuple[Look, ...]
    entries: tuple[Entry | None, ...]
    accepted_at: datetime | None
    control: bool
    balancers_see: tuple[bool, ...]
    alone: bool
    condemned: str
    kept: bool
    health: HealthCheck
    now: datetime

    @property
    def passes(self) -> bool:
        return bool(self.looks) and self.looks[-1].verdict is Verdict.PASS

    @property
    def ready(self) -> bool:
        running = self.seen.state is EngineState.RUNNING
        return self.accepted_at is not None and running and self.passes and not self.condemned

    def is_at_home(self, entry: Entry) -> bool:
        """Say whether a balancer would send this instance's traffic to this instance."""
        return entry.address in ("", self.seen.address)

    @property
    def starts_again(self) -> bool:
        """Say that its engine started it anew after it had been accepted: its host was away."""
        since, patience = self.seen.since, timedelta(seconds=self.health.healthy_deadline)
        if since is None or self.accepted_at is None:
            return False
        return since > self.accepted_at and self.now - since <= patience

    @property
    def answers(self) -> tuple[Look, ...]:
        return tuple(look for look in self.looks if look.verdict is not Verdict.NO_ANSWER)

    @property
    def overdue(self) -> bool:
        return self.now - self.waiting_since > timedelta(seconds=self.health.healthy_deadline)

    @property
    def waiting_since(self) -> datetime:
        """When the wait for health began: at the launch, for an accepted one at its last pass."""
        if self.accepted_at is None:
            return self.seen.launched_at
        passes = [look.at for look in self.looks if look.verdict is Verdict.PASS]
        return passes[-1] if passes else self.looks[0].at if self.looks else self.now

    @property
    def stuck_in_its_end(self) -> bool:
        """An end that hangs is asked for again: whoever asked first may have died half-way."""
        since = self.seen.since
        patience = timedelta(seconds=self.health.lost_after)
        dying = self.seen.state is EngineState.DYING
        return dying and since is not None and self.now - since > patience


def _has_service(entries: Mapping[str, Entry]) -> bool:
    return any(entry.state is EntryState.IN_SERVICE for entry in entries.values())


def _answers(looks: Sequence[Look]) -> bool:
    return bool(looks) and looks[-1].verdict is not Verdict.NO_ANSWER


def _instance(view: _View) -> Instance:
    health, because = _health(view)
    seen = view.seen
    dying = seen.state is EngineState.DYING
    at_home = {e.state if e is not None and view.is_at_home(e) else None for e in view.entries}
    drained = any(e is not None and e.state is EntryState.DRAINING for e in view.entries)
    return Instance(
        token=seen.token,
        version=seen.version,
        launch_hash=seen.launch_hash,
        slot=seen.slot,
        health=health,
        because=because,
        launched_at=seen.launched_at,
        address=seen.address,
        accepted=view.accepted_at is not None,
        registered=not {None, EntryState.DRAINING} & at_home
        if view.entries
        else view.accepted_at is not None,
        leaving=drained or dying,
        ready=view.ready,
        dying=dying and not view.stuck_in_its_end,
        in_service=at_home == {EntryState.IN_SERVICE},
        kept=view.kept,
    )


def _health(view: _View) -> tuple[Health, str]:
    """Hear the engine first, then the probe, then the balancers."""
    match view.seen.state:
        case EngineState.LOST:
            return _lost(view)
        case EngineState.EXITED:
            return Health.FAILED, f"ended by itself{_how(view.seen)}"
        case EngineState.DYING if view.stuck_in_its_end:
            since = view.seen.since or view.now
            return Health.FAILED, f"ending for {seconds(view.now - since)} and not gone"
        case EngineState.DYING:
            return Health.PENDING, "being ended"
        case EngineState.CREATED:
            return _created(view)
        case EngineState.RUNNING if view.condemned:
            return Health.FAILED, f"condemned: {view.condemned}"
        case EngineState.RUNNING:
            return _passing(view) if view.passes else _not_passing(view)


def _how(ended: Seen) -> str:
    if ended.restarts:
        return f", and its engine restarted it ({ended.restarts})"
    return "" if ended.exit_code is None else f" with exit code {ended.exit_code}"


def _lost(view: _View) -> tuple[Health, str]:
    """Count from when the engine first said so, or a driver first found it saying so."""
    gone = view.now - (view.seen.since or view.now)
    if gone >= timedelta(seconds=view.health.lost_after):
        return Health.LOST, f"its engine has said for {seconds(gone)} that it is gone"
    return Health.UNKNOWN, (
        f"its engine says it is gone, for {seconds(gone)} of {view.health.lost_after:g} s"
    )


def _created(view: _View) -> tuple[Health, str]:
    age = seconds(view.now - view.seen.launched_at)
    if view.now - view.seen.launched_at > timedelta(seconds=view.health.healthy_deadline):
        return Health.FAILED, f"created {age} ago and never started"
    return Health.PENDING, f"created {age} ago, not started yet"


def _passing(view: _View) -> tuple[Health, str]:
    if view.accepted_at is None:
        return Health.PENDING, "its look passes, its gate is not passed yet"
    accepted_for = view.now - view.accepted_at
    late = accepted_for > timedelta(seconds=view.health.healthy_deadline)
    for entry, sees in zip(view.entries, view.balancers_see, strict=True):
        if entry is None:
            return Health.PENDING, "accepted, not listed at a balancer"
        if not view.is_at_home(entry):
            return Health.PENDING, f"accepted, listed at a balancer as {entry.address}"
        if entry.state is EntryState.DOWN and late and sees and not view.starts_again:
            return Health.FAILED, "its look passes, but it is down at a balancer that sees others"
        if entry.state is not EntryState.IN_SERVICE:
            return Health.PENDING, f"accepted, {entry.state} at a balancer"
    return Health.SERVING, "in service" if view.entries else "accepted, and its look passes"


def _not_passing(view: _View) -> tuple[Health, str]:
    """Judge a running instance whose last look did not pass, or that nobody has looked at."""
    waited = seconds(view.now - view.waiting_since)
    deadline = f"{view.health.healthy_deadline:g} s"
    said = _last_words(view)
    if view.starts_again:
        return Health.PENDING, f"started again by its engine, not healthy yet: {said}"
    if view.accepted_at is not None and view.control and _failed_twice(view.answers):
        last = view.answers[-1].detail or "the check fails"
        return Health.FAILED, f"two failed looks in a row, the last: {last}"
    if view.accepted_at is not None and not view.control:
        return Health.UNKNOWN, f"{said}, and nothing else of the fleet answers"
    if not view.overdue:
        return Health.PENDING, f"not healthy for {waited} of {deadline}: {said}"
    if view.looks and (view.control or view.alone):
        return Health.FAILED, f"not healthy within {deadline}: {said}"
    return Health.UNKNOWN, f"{said} for {waited}, and nothing else of the fleet answers"


def _failed_twice(answers: Sequence[Look]) -> bool:
    last = [look.verdict for look in answers[-2:]]
    return last == [Verdict.FAIL, Verdict.FAIL]


def _last_words(view: _View) -> str:
    if not view.looks:
        return "not looked at yet"
    last = view.looks[-1]
    return "no answer" if last.verdict is Verdict.NO_ANSWER else last.detail or "the check fails"
