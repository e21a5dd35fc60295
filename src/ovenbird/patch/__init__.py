"""The job that runs at night: what is behind is baked, proven, promoted and rolled out.

Nothing is remembered between runs but what is stored anyway: the catalog, the channels, when a
fleet settled, who approved. Each run moves each family as far as that allows, and ends. A run
that was killed is finished by the next one, and bakes nothing twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from ovenbird.clock import Clock
from ovenbird.console import Console
from ovenbird.patch.due import Due, Known, NotDue, due
from ovenbird.patch.path import Arrived, Line, Promote, Roll, Wait, after, next_move, on_its_way
from ovenbird.report.behind import Behind
from ovenbird.values.errors import OvenbirdError
from ovenbird.values.family import Family
from ovenbird.values.image import Version
from ovenbird.values.patch import Patching

OUTCOMES = {1: "failed", 2: "failed", 3: "blocked", 4: "inconclusive", 5: "failed"}
EXIT_CODES = {"done": 0, "failed": 1, "inconclusive": 4, "blocked": 3}
WORST = ("failed", "inconclusive", "blocked", "done")


class World(Protocol):
    """What a patch run looks at, and the three things that it does. Each may raise."""

    def newest(self, family: str) -> Version | None: ...

    def behind(self, families: Sequence[str]) -> Mapping[str, Behind]:
        """Hold the newest image of each family against its sources."""
        ...

    def line(self, family: str) -> Line: ...

    def bake(self, family: str, *, because: str) -> Version: ...

    def promote(self, image: str, env: str, *, because: str) -> None: ...

    def roll(self, image: str, env: str, fleet: str, *, because: str) -> None: ...


@dataclass(slots=True, kw_only=True)
class Came:
    """What a family came to: a sentence a step, and the worst of them."""

    family: str
    outcome: str = "done"
    did: list[str] = field(default_factory=list)
    told: list[str] = field(default_factory=list)
    would_be_new: bool = False
    remedy: str = ""
    evidence: str = ""

    def failed(self, error: OvenbirdError) -> None:
        self.told.append(error.problem)
        self.remedy = self.remedy or error.remedy
        self.evidence = self.evidence or error.evidence
        self.worse(OUTCOMES.get(error.exit_code, "failed"))

    def worse(self, outcome: str) -> None:
        self.outcome = min(self.outcome, outcome, key=WORST.index)

    def __str__(self) -> str:
        return "; ".join([*self.did, *self.told]) or "nothing to do"


def patch(
    families: Mapping[str, Family],
    patching: Patching,
    world: World,
    *,
    clock: Clock,
    console: Console,
    rehearse: bool = False,
) -> list[Came]:
    """Move every family as far as the stored evidence allows, parents before children.

    What goes wrong in one family is told of it, and of those that descend from it, which wait;
    the others go on. ``rehearse`` decides the same and does nothing.
    """
    ordered = in_order(families)
    behind = world.behind(ordered)
    came: dict[str, Came] = {}
    for name in ordered:
        mine = came[name] = Came(family=name)
        parent = came.get(families[name].parent or "")
        if parent is not None and parent.outcome in ("failed", "inconclusive"):
            mine.told.append(f"waits for {parent.family}, its parent")
            mine.worse(parent.outcome)
            continue
        work = _Work(name, families, patching, world, clock, console, mine, rehearse)
        with console.inside(name):
            work.bake_if_due(behind.get(name), parent)
            work.move_on()
            console.step(str(mine))
    return list(came.values())


def in_order(families: Mapping[str, Family]) -> list[str]:
    """List families with parents before their children, else in the order of the file."""
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in ordered:
            return
        parent = families[name].parent
        if parent is not None and parent in families:
            visit(parent)
        ordered.append(name)

    for name in families:
        visit(name)
    return ordered


def outcome_of(came: Sequence[Came]) -> str:
    """Return the worst of all: failed, inconclusive, blocked, done."""
    return min((each.outcome for each in came), key=WORST.index, default="done")


@dataclass(slots=True)
class _Work:
    """One family in one run."""

    name: str
    families: Mapping[str, Family]
    patching: Patching
    world: World
    clock: Clock
    console: Console
    came: Came
    rehearse: bool

    def bake_if_due(self, behind: Behind | None, parent: Came | None) -> None:
        """Bake the family where its rule says so. Without data nothing is concluded."""
        try:
            line = self.world.line(self.name)
            newest = self.world.newest(self.name)
            above = self.families[self.name].parent
            moving = on_its_way(line)
            known = Known(
                family=self.name,
                newest=newest,
                behind=behind,
                parent=self.world.newest(above) if above else None,
                on_its_way=None if moving is None else line.severity.get(moving, 0),
                where="is on its way",
            )
            verdict = due(known, self.patching.rule(self.name), self.clock.now())
            if parent is not None and parent.would_be_new and isinstance(verdict, NotDue):
                verdict = Due(because=f"its parent {parent.family} would be new")
            if isinstance(verdict, Due):
                self._bake(verdict)
            elif behind is not None and behind.problem:
                self.came.told.append(behind.problem)
                self.came.remedy = behind.remedy
                self.came.worse("inconclusive")
            else:
                self.came.told.append(verdict.because)
        except OvenbirdError as error:
            self.came.failed(error)

    def _bake(self, verdict: Due) -> None:
        if self.rehearse:
            self.came.did.append(f"would bake it: {verdict.because}")
            self.came.would_be_new = True
            return
        image = self.world.bake(self.name, because=verdict.because)
        self.came.did.append(f"baked {image}: {verdict.because}")

    def move_on(self) -> None:
        """Promote and roll out until evidence is missing, or all has arrived."""
        try:
            self._moves()
        except OvenbirdError as error:
            self.came.failed(error)

    def _moves(self) -> None:
        line, before = self.world.line(self.name), None
        if self.came.would_be_new:
            newest = self.world.newest(self.name)
            number = (newest.number if newest else 0) + 1
            line = replace(line, candidate=number)
        while True:
            move = next_move(line, self.clock.now())
            if isinstance(move, Wait | Arrived):
                if line.stops:
                    self.came.told.append(move.because)
                if isinstance(move, Wait) and move.stuck:
                    self.came.worse("blocked")
                return
            if move == before:
                self.came.told.append(f"{_said(move, line)} did not take")
                self.came.worse("blocked")
                return
            before = move
            if self.rehearse:
                self.came.did.append(f"would {_said(move, line)}")
                line = after(line, move, self.clock.now())
            else:
                self._do(move, line)
                self.came.did.append(_said(move, line))
                line = self.world.line(self.name)

    def _do(self, move: Promote | Roll, line: Line) -> None:
        image = f"{line.family}/{move.number}"
        match move:
            case Promote():
                self.world.promote(image, move.env, because=move.because)
            case Roll():
                self.world.roll(image, move.env, move.fleet, because=move.because)


def _said(move: Promote | Roll, line: Line) -> str:
    image = f"{line.family}/{move.number}"
    if isinstance(move, Promote):
        return f"promote {image} to {move.env}"
    return f"roll {move.env}/{move.fleet} to {image}"
