"""What one transcript tells of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.builders import a_goal

from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds
from ovenbird.values.procedure import Procedure


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A world, and what one should look for in its transcript."""

    name: str
    says: str
    limits: Bounds
    fleet: Sequence[Instance]
    untried: bool = True
    goal: Goal = a_goal("web/2")
    outcome: Health = Health.SERVING
    notes: tuple[str, ...] = ()
    procedure: Procedure = Procedure()
    passed: int = 0
    upto: int | None = None
