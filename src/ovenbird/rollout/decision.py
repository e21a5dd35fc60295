"""What a planner can say: the steps of a wave, and the verdicts that end a rollout or hold it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Launch:
    """Start one instance of the goal."""

    because: str


@dataclass(frozen=True, slots=True)
class Register:
    """Send an instance that passed its gate its traffic; a drain of it is taken back."""

    token: str
    because: str


@dataclass(frozen=True, slots=True)
class Retire:
    """Stop sending an instance traffic, and keep it: drain, deregister, and nothing more."""

    token: str
    because: str


@dataclass(frozen=True, slots=True)
class Terminate:
    """Drain, deregister and end an instance."""

    token: str
    because: str


Step = Launch | Register | Retire | Terminate


@dataclass(frozen=True, slots=True)
class Wave:
    """Take these steps, then look again. Half of a wave is as safe as all of it."""

    steps: tuple[Step, ...]
    because: str


@dataclass(frozen=True, slots=True)
class Done:
    """The fleet has arrived: as many as wanted, all of the goal, all serving."""

    because: str


@dataclass(frozen=True, slots=True)
class Reached:
    """As far as the pace allows, with nothing in hand: soak, ask, or stop here.

    ``serving`` instances of the goal serve. With a switch none may, though all are ready.
    """

    because: str
    serving: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Something is on its way; look again."""

    because: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The goal does not become healthy here (exit 1). What served still does."""

    because: str
    tokens: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Stuck:
    """No step is within the limits, and the fleet has not arrived (exit 3)."""

    because: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """Instances are not seen, and not seeing them is not bad news (exit 4)."""

    because: str


Plan = Wave | Done | Reached | Wait | Failed | Stuck | Doubtful


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How far a rollout may go before it is asked again, and how it changes over.

    ``upto`` is how many instances of the goal may exist (None, or the fleet's size: all that are
    wanted). Those beyond it are left alone. ``switch`` is blue-green: nothing of the goal gets
    traffic before all of it is ready, and what it replaces is retired, not ended. ``failed``
    instances of the goal, launched by this rollout and never accepted, are gone already; with
    ``max_failed`` of them, gone or ill now, the verdict is failed though some of the goal serve.
    ``spares`` is a repair beside an unfinished rollout: a good one too many is its canary, and
    is not ended.
    """

    upto: int | None = None
    switch: bool = False
    failed: int = 0
    max_failed: int | None = None
    spares: bool = False
