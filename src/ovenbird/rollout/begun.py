"""What stands in the journal of a rollout: how it was begun, and what was left in the air."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row

from ovenbird.values.instance import Goal

OPEN = ("running", "blocked", "inconclusive")
"""Outcomes of a rollout that keeps its goal: it has neither arrived nor failed."""

MAIN = ("rollout", "rollback")
"""Kinds that give a fleet its goal; a repair only brings back what has settled."""

GO_BACK = "rollback"
"""What a failed rollout still wishes in a fleet with ``on_failure: rollback``."""

Guard = Callable[[Connection], None]
"""Asserts in a transaction that this driver may still change the fleet, or raises `Superseded`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A rollout as it stands in the journal. ``outcome`` is "running" until it has ended;
    ``wish`` is what is still to be done: "", "cancel", or `GO_BACK`."""

    id: str
    kind: str
    before: str
    goal: Goal
    untried: bool
    owner: str
    started_at: datetime
    outcome: str = "running"
    because: str = ""
    told: str = ""
    wish: str = ""
    wish_by: str = ""
    emergency: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InTheAir:
    """A step that was intended and whose end nobody saw."""

    step: int
    verb: str
    token: str
    version: str
    launch_hash: str
    slot: int


def begun_of(row: Row[Any]) -> Begun:
    """Read a row of ``rollouts``."""
    return Begun(
        id=row.id,
        kind=row.kind,
        before=row.before,
        goal=Goal(version=row.goal, launch_hash=row.goal_hash),
        untried=row.untried,
        owner=row.owner,
        started_at=row.started_at,
        outcome=row.outcome,
        because=row.because,
        told=row.told,
        wish=row.wish,
        wish_by=row.wish_by,
        emergency=row.emergency,
    )
