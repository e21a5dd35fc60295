"""What may happen to a fleet in one move, and sequences of it for hypothesis to draw."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hypothesis import strategies as st
from tests.driving import HEALTH

from ovenbird.values.limits import Limits
from ovenbird.values.procedure import Budget, OnFailure, Procedure, Strategy

VERBS = (
    *("roll", "roll back", "tend", "tend --resume", "scale", "scale reset", "rebuild"),
    *("quarantine", "drift", "drift --repair", "unpin", "pause", "resume", "cancel"),
    *("retry", "remove", "revoke", "plan a scale", "plan a rebuild", "plan a quarantine"),
)
"""What an operator says. What is planned is carried out after the next move, as by one who was
asked and took his time to answer."""

HANDS = ("exit", "lose", "find", "ail", "write", "pass by")
"""What happens to a fleet without anybody's verb."""

SIZES = (0, 1, 2, 3, 4, 5)
PASSES = (5.0, 70.0, 4000.0)
"""Seconds: a moment, longer than any deadline of the fleet, longer than a quarantine."""


@dataclass(frozen=True, slots=True)
class Move:
    """One move. ``which`` chooses an instance, an image, a size or a time; ``bad`` says that an
    image is; ``dies`` is at which point the driver of a verb is killed, 0 for one that lives;
    ``beside`` is a hand that does its work during the ``when``-th sleep of the verb."""

    what: str
    which: int = 0
    bad: bool = False
    dies: int = 0
    beside: str = ""
    when: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """What kind of fleet it is: one of each table."""

    size: int = 3
    limits: int = 0
    procedure: int = 0
    budget: int | None = None

    @property
    def wanted(self) -> dict[str, object]:
        """Return the fields of its `Fleet`."""
        return {
            "size": self.size,
            "health": SOON,
            "limits": LIMITS[self.limits],
            "procedure": PROCEDURES[self.procedure],
            "budget": Budget(instances=self.budget),
        }


SOON = replace(
    HEALTH, min_healthy_time=0.5, healthy_deadline=8.0, progress_deadline=20.0, lost_after=8.0
)
"""Healthy after the second look and given up soon: most of a sequence is spent in looking."""

LIMITS = (
    Limits(),
    Limits(max_surge=0, max_unavailable=1),
    Limits(max_surge=2, max_unavailable=1),
)
PROCEDURES = (
    Procedure(),
    Procedure(on_failure=OnFailure.ROLLBACK),
    Procedure(strategy=Strategy.BLUE_GREEN, keep_previous=60.0),
)


def kinds() -> st.SearchStrategy[Kind]:
    return st.builds(
        Kind,
        size=st.sampled_from((3, 2, 1, 4)),
        limits=st.integers(0, len(LIMITS) - 1),
        procedure=st.sampled_from((0, 0, 1, 2)),
        budget=st.sampled_from((None, 1)),
    )


def moves() -> st.SearchStrategy[Move]:
    """Draw one move: two of three are a verb, and of these one in three is killed or met by a
    hand in the middle."""
    which = st.integers(0, 5)
    spoken = st.builds(
        Move,
        st.sampled_from((*VERBS, "roll", "roll", "rebuild", "quarantine", "tend")),
        which,
        st.sampled_from((False, False, True)),
        st.one_of(st.just(0), st.just(0), st.integers(1, 60)),
    )
    met = st.builds(
        Move,
        st.sampled_from(("roll", "roll back", "tend", "scale", "rebuild", "quarantine")),
        which,
        st.just(False),
        st.just(0),
        st.sampled_from(HANDS[:4]),
        st.integers(1, 12),
    )
    done = st.builds(Move, st.sampled_from(HANDS), which)
    return st.one_of(spoken, spoken, met, done)


def sequences(length: int, *, least: int = 1) -> st.SearchStrategy[tuple[Kind, list[Move]]]:
    """Draw a fleet and up to ``length`` moves; what shrinks has ``least``."""
    return st.tuples(kinds(), st.lists(moves(), min_size=least, max_size=length))
