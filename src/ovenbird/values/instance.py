"""What is seen: a report of an engine, a look, an entry, and the instance they make."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from ovenbird.values.fleet import FleetKey


class EngineState(StrEnum):
    """What the engine says of one instance."""

    CREATED = "created"  # known, not started yet
    RUNNING = "running"
    EXITED = "exited"  # ended by itself or by somebody else
    DYING = "dying"  # being terminated
    LOST = "lost"  # the engine says that it, or its host, is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One instance as its provider reports it. ``token`` is its name at the engine.

    ``check`` is the word of the engine's own health check (``healthy``, ``unhealthy``,
    ``starting``), or "" for an image without one.

    ``address`` is ``host:port`` for probes and balancers, or None where nothing listens.
    ``since`` is when the engine first reported ``state``, where the engine knows. ``restarts`` is
    how often the engine has restarted it after it had ended by itself: it counts as ended.
    ``job`` is the job that it was launched for: it is no member of its fleet, and ends by itself.
    """

    token: str
    id: str
    fleet: FleetKey
    version: str
    launch_hash: str
    slot: int
    state: EngineState
    launched_at: datetime
    address: str | None = None
    exit_code: int | None = None
    since: datetime | None = None
    check: str = ""
    restarts: int = 0
    job: str = ""


class ChangeKind(StrEnum):
    """What was done to a path since the image."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Change:
    """A path of one instance that is not as in its image. ``at`` is when, where the engine knows.

    A directory is reported only if it is itself new, or its own mode or owner changed.
    """

    path: str
    kind: ChangeKind
    at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """A volume as its engine reports it. ``name`` is the engine's, ``spec`` the one of the fleet's
    file; ``used_by`` holds the tokens (or names) of whatever has it attached, running or not."""

    name: str
    fleet: FleetKey
    slot: int
    spec: str
    used_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """An instance that this site launched a moment ago, whether its engine lists it yet or not."""

    token: str
    version: str
    launch_hash: str
    slot: int
    launched_at: datetime


class Verdict(StrEnum):
    PASS = "pass"
    FAIL = "fail"  # it answered, and the answer is bad (connection refused included)
    NO_ANSWER = "no answer"  # nothing came back in time: it, or the way to it, is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look of a probe at one instance."""

    token: str
    at: datetime
    verdict: Verdict
    detail: str = ""


class EntryState(StrEnum):
    """What a balancer says of one of its servers."""

    IN_SERVICE = "in service"  # gets traffic, and its last check passed
    UNCHECKED = "unchecked"  # listed, and no check has passed yet
    DRAINING = "draining"  # gets nothing new
    DOWN = "down"  # its check fails


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One server of a balancer. ``sessions`` is None where the balancer cannot count."""

    token: str
    address: str
    state: EntryState
    sessions: int | None = None


class Health(StrEnum):
    """What we know of an instance. Not seeing it is not the same as seeing it ill."""

    PENDING = "pending"  # launched and within its deadline, or accepted and not in service yet
    SERVING = "serving"  # accepted, running, last look passes, in service at every balancer
    FAILED = "failed"  # seen, and ill
    UNKNOWN = "unknown"  # not seen: the observer may be the blind one
    LOST = "lost"  # the engine itself says that it, or its host, is gone


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One machine, as provider, probe and balancers together report it. Observed, never commanded.

    ``accepted`` says that it passed its gate once. ``registered`` says that every balancer lists
    it for traffic, ``leaving`` that a drain has begun somewhere, ``ready`` that it has all that
    serving needs but its balancers, ``dying`` that the engine is ending it already. ``because``
    explains ``health``. ``in_service`` says that every balancer (one at the least) has it in
    service, whatever the probe thinks. ``kept`` says that it is held out of service: the previous
    one of a blue-green rollout, or one in quarantine, which is ``quarantined`` too and serves
    never again. ``unwanted`` says why it is to be replaced whatever it runs, or is "".
    ``rank`` puts the last of a stateful fleet last. ``stands_in`` says that a repair leaves it for
    one of the goal, which it is not.
    """

    token: str
    version: str
    launch_hash: str
    slot: int
    health: Health
    because: str
    launched_at: datetime
    address: str | None = None
    accepted: bool = False
    registered: bool = False
    leaving: bool = False
    ready: bool = False
    dying: bool = False
    in_service: bool = False
    kept: bool = False
    quarantined: bool = False
    unwanted: str = ""
    rank: int = 0
    stands_in: bool = False

    @property
    def is_serving(self) -> bool:
        return self.health is Health.SERVING


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """Where a rollout is going, resolved once: an instance is current if both are equal, and
    nobody wants it replaced."""

    version: str
    launch_hash: str

    def is_run_by(self, instance: Instance) -> bool:
        same = (instance.version, instance.launch_hash) == (self.version, self.launch_hash)
        return same and not instance.unwanted

    def __str__(self) -> str:
        return self.version
