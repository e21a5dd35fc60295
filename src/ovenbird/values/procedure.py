"""How a fleet is replaced: the strategy, its checkpoints, its gates, and when it may happen."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from ovenbird.values.limits import Bounds, Limits, Share, count_of


class Strategy(StrEnum):
    ROLLING = "rolling"  # wave by wave within the limits
    STEPPED = "stepped"  # rolling, with a soak at each checkpoint
    BLUE_GREEN = "blue-green"  # a whole second fleet, one switch, the previous one kept


class OnFailure(StrEnum):
    STOP = "stop"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A planned pause of a stepped rollout: when ``share`` of the fleet runs the goal, soak for
    ``soak`` seconds, and with ``approve`` wait for a person's word."""

    share: Share
    soak: float = 0.0
    approve: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """When rollouts may start work: from each moment of ``cron``, for ``length`` seconds, in the
    time zone ``zone`` (an IANA name)."""

    cron: str
    length: float
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class SmokeSpec:
    """A program of the operator's that judges a new instance before it gets traffic.

    It runs on the operator's machine, with OVENBIRD_ADDRESS (host:port) and OVENBIRD_INSTANCE,
    OVENBIRD_FLEET, OVENBIRD_ENV, OVENBIRD_IMAGE. Exit code 0 passes, ``timeout`` is in seconds.
    """

    argv: tuple[str, ...]
    timeout: float = 60.0


class Direction(StrEnum):
    """On which side of the threshold a value is bad."""

    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """A query to Prometheus whose answer must be good before a rollout goes on.

    ``url`` is the server's (``http://127.0.0.1:9090``). In ``query`` the words ``$env``,
    ``$fleet``, ``$image`` and ``$family`` are replaced. A value beyond ``threshold`` in
    ``direction`` is bad. Without data the verdict is inconclusive, unless ``must_have_data`` is
    False: then it passes.
    """

    name: str
    url: str
    query: str
    threshold: float
    direction: Direction = Direction.ABOVE
    must_have_data: bool = True
    timeout: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Procedure:
    """How one fleet is replaced, from ``rollout:`` of its entry. Times in seconds.

    ``soak`` is how long a completed rollout is watched before the next stage of
    ``rollout.all`` begins. ``max_failed`` new instances that failed open the circuit breaker.
    """

    strategy: Strategy = Strategy.ROLLING
    checkpoints: tuple[Checkpoint, ...] = ()
    soak: float = 0.0
    keep_previous: float = 0.0
    on_failure: OnFailure = OnFailure.STOP
    max_failed: int = 2
    windows: tuple[Window, ...] = ()
    smoke: SmokeSpec | None = None
    metrics: tuple[MetricSpec, ...] = ()

    def bounds(self, limits: Limits, size: int) -> Bounds:
        """Blue-green has a whole second fleet for its ceiling; the others what ``limits`` say."""
        if self.strategy is Strategy.BLUE_GREEN:
            return Bounds(size=size, surge=size, unavailable=0)
        return limits.of(size)

    def counts(self, size: int) -> tuple[int, ...]:
        """How many of the goal each checkpoint allows: rising, at least 1, the last is ``size``.

        A share rounds up: 10% of 4 is 1. A checkpoint that allows no more than the one before
        it keeps its place and its soak.
        """
        counts: list[int] = []
        for checkpoint in self.checkpoints:
            count = min(size, max(1, count_of(checkpoint.share, size, up=True)))
            counts.append(max([count, *counts]))
        return (*counts, size) if not counts or counts[-1] < size else tuple(counts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What all fleets of an environment share: how many are rolled at once, and how many
    instances are being ended at once, by whatever verb. None is no limit."""

    fleets: int | None = None
    instances: int | None = None
