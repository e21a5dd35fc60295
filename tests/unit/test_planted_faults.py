"""Plant a fault into the planner and see that the safety checks catch it.

A check that never fails proves nothing. Each fault is a change of one line of the source; should
the line be rewritten, the fault says that it no longer fits, and is planted anew by hand.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from random import Random
from types import ModuleType

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.safety import decide, travel
from tests.worlds import (
    SEEN,
    World,
    corners,
    dark_worlds,
    healthy_worlds,
    ill_worlds,
    whole_paces,
    worlds,
)

from ovenbird.rollout import bucket, counts, decision, endings, plan
from ovenbird.rollout.decision import Pace
from ovenbird.values.instance import Health

PARTS = (bucket, decision, counts, endings, plan)
"""All that the planner is made of, each after those that it imports."""


@dataclass(frozen=True, slots=True)
class Fault:
    what: str
    line: str
    planted: str
    where: ModuleType = plan


FAULTS = [
    Fault(
        "one below the floor",
        "self._serving > self._floor",
        "self._serving >= self._floor",
        endings,
    ),
    Fault("no floor at all", "return self._serving > self._floor", "return True", endings),
    Fault(
        "one above the ceiling",
        "min(present + fleet.missing, ceiling)",
        "min(present + fleet.missing, ceiling + 1)",
    ),
    Fault(
        "credit for what the same wave ends",
        "launches = tuple(_launches(fleet))",
        "launches = tuple(_launches(fleet)) + tuple(Launch(e.because) for e in endings)",
    ),
    Fault("a termination is not counted", "self._serving -= serves", "self._serving -= 0", endings),
    Fault("no canary", "return self.untried and not self.proven", "return False", counts),
    Fault(
        "two canaries",
        "min(self.limit, 1) - len(self.current)",
        "min(self.limit, 2) - len(self.current)",
        counts,
    ),
    Fault(
        "the canary of every wave", "return self.untried and not self.proven", "return True", counts
    ),
    Fault("a failed canary is overlooked", "None if fleet.proven else _failure(fleet)", "None"),
    Fault(
        "the old ones go before the goal serves",
        "if not self._fleet.proven:",
        "if False:",
        endings,
    ),
    Fault(
        "a fleet without surge gives nothing up",
        "return max(stays + more - self.bounds.ceiling, 0)",
        "return 0",
        counts,
    ),
    Fault(
        "a canary's room is taken twice",
        "stays + more - self.bounds.ceiling",
        "stays + more + 1 - self.bounds.ceiling",
        counts,
    ),
    Fault("a blind observer acts", "if unknown and len(unknown)", "if False and len(unknown)"),
    Fault("lost ones are counted", "if pair[0] not in ABSENT", "if True", counts),
    Fault("the surplus stays", "reversed(serving[size:])", "serving[:0]", endings),
    Fault("a good one too many goes", "reversed(serving[size:])", "serving[size - 1 :]", endings),
    Fault("the ill are never replaced", "if fleet.replaces(i):", "if False:", endings),
    Fault(
        "done while one is still there",
        "== len(self.present) == self.bounds.size",
        "== self.bounds.size",
        counts,
    ),
    Fault(
        "nobody is put back into service",
        'yield Register(instance.token, f"{why}',
        'yield from () and Register(instance.token, f"{why}',
    ),
    Fault(
        "what was dropped half-way stays for ever",
        "for i in fleet.of(Bucket.LEAVING):",
        "for i in fleet.of():",
        endings,
    ),
    Fault(
        "unknown ones may be ended",
        "i.health is Health.UNKNOWN",
        "i.health is Health.UNKNOWN and not i.leaving",
        bucket,
    ),
    Fault(
        "the dying are ended again",
        "(Bucket.DYING, lambda i, _: i.dying)",
        "(Bucket.DYING, lambda *_: False)",
        bucket,
    ),
    Fault(
        "pending ones may be ended",
        "return instance.health is Health.FAILED",
        "return instance.health in (Health.FAILED, Health.PENDING)",
        bucket,
    ),
    Fault(
        "a stale one that leaves is called back",
        "current and _is_unlisted(i)",
        "_is_unlisted(i)",
        bucket,
    ),
    Fault(
        "the order of a report decides",
        "ordered = sorted(observed, key=lambda i: (i.stands_in, *age(i)))",
        "ordered = list(observed)",
        counts,
    ),
    Fault(
        "what is kept is ended",
        "if instance.kept and is_listed(instance):",
        "if False:",
        endings,
    ),
    Fault(
        "what is kept takes up room",
        "ABSENT = (Bucket.LOST, Bucket.KEPT)",
        "ABSENT = (Bucket.LOST,)",
        counts,
    ),
    Fault(
        "kept, and yet in service, it is forgotten there",
        "i.kept and not current and not is_listed(i)",
        "i.kept and not current",
        bucket,
    ),
    Fault(
        "the ill that balancers have in service count for nothing",
        "or self._in_service > self._floor",
        "or True",
        endings,
    ),
    Fault(
        "an overloaded one is ended and not counted",
        "self._in_service -= serves or (ill and instance.in_service)",
        "self._in_service -= serves",
        endings,
    ),
    Fault(
        "all that are ill for both go at once",
        "return self._spare > 0 or self._standing > self._least",
        "return True",
        endings,
    ),
    Fault(
        "an ill fleet blocks its fix",
        "return self._spare > 0 or self._standing > self._least",
        "return False",
        endings,
    ),
    Fault(
        "a checkpoint is not heeded",
        "return self.limit - len(self.current)",
        "return self.bounds.size - len(self.current)",
        counts,
    ),
    Fault(
        "at a checkpoint old ones go that nobody replaces",
        "and self._fleet.partial and self._room <= 0",
        "and False",
        endings,
    ),
    Fault(
        "a checkpoint is reached while one is missing",
        "fleet.good + ready >= fleet.limit",
        "True",
    ),
    Fault(
        "a checkpoint is never reached",
        "if fleet.partial and fleet.good",
        "if False and fleet.good",
    ),
    Fault(
        "traffic before all are ready",
        "return len(ready) >= fleet.bounds.size",
        "return len(ready) >= 1",
    ),
    Fault(
        "a switch that was interrupted stays half done",
        "if not fleet.pace.switch or fleet.good:",
        "if not fleet.pace.switch:",
    ),
    Fault(
        "retired before all of the goal serve",
        "return self.good >= self.bounds.size",
        "return self.good > 0",
        counts,
    ),
    Fault(
        "a switch ends what it should keep",
        'yield Retire(instance.token, f"{_stale',
        'yield Terminate(instance.token, f"{_stale',
        endings,
    ),
    Fault(
        "a drain that had begun is not finished by the switch",
        "fleet.of(Bucket.STALE, Bucket.LEAVING):",
        "fleet.of(Bucket.STALE):",
        endings,
    ),
    Fault(
        "before a switch ready ones prove nothing",
        "would = self.pace.switch and bool(self.of(Bucket.UNLISTED))",
        "would = False",
        counts,
    ),
    Fault("the circuit stays closed", "if failed < max(fleet.pace.max_failed, 1):", "if True:"),
    Fault("those that are gone do not count", "fleet.pace.failed + len(bad)", "len(bad)"),
    Fault("one that had served opens the circuit", "not (i.dying or i.accepted)]", "not i.dying]"),
    Fault("one in quarantine is registered again", "and not instance.quarantined:", "and True:"),
    Fault(
        "an unwanted one is ended before its successor serves",
        "return self._serving > self._floor",
        "return bool(instance.unwanted) or self._serving > self._floor",
        endings,
    ),
    Fault(
        "the canary of an unfinished rollout is ended as surplus",
        "reversed(serving[size:]) if not fleet.pace.spares else ()",
        "reversed(serving[size:])",
        endings,
    ),
    Fault(
        "what goes into quarantine is ended",
        "if instance.kept and is_listed(instance):",
        "if instance.kept and not instance.quarantined and is_listed(instance):",
        endings,
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.what for fault in FAULTS])
def test_a_planted_fault_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = _with(fault, monkeypatch)

    with pytest.raises(AssertionError):
        _hold_against_everything(planted)


def test_without_a_fault_nothing_is_caught() -> None:
    _hold_against_everything(plan)


TROUBLE = {kind: SEEN[kind] for kind in ("serving", "ill but in service", "ill", "draining")}


def _hold_against_everything(planner: ModuleType) -> None:
    healthy = st.one_of(healthy_worlds(), healthy_worlds(Pace(switch=True)))
    seen = st.one_of(
        worlds(kinds=SEEN, pace=whole_paces(), most=6),
        worlds(kinds=TROUBLE, pace=whole_paces(), most=6),
        ill_worlds(),
    )
    partly = st.one_of(
        worlds(kinds=SEEN, most=6),
        worlds(kinds=TROUBLE, most=6),
        healthy_worlds(Pace(upto=1)),
        healthy_worlds(Pace(upto=3)),
    )

    @settings(phases=[Phase.generate], max_examples=150, report_multiple_bugs=False)
    @given(worlds(), dark_worlds(), healthy, seen, partly, st.integers(0, 2**32))
    def check(
        world: World, dark: World, healthy: World, seen: World, partly: World, seed: int
    ) -> None:
        decide(planner, world)
        decide(planner, dark)
        _, end, _ = travel(planner, healthy, chance=Random(seed))
        assert isinstance(end, planner.Done), "stopped before it arrived"
        _, end, _ = travel(planner, seen, chance=Random(seed))
        assert isinstance(end, planner.Done | planner.Failed), "stopped before it arrived"
        travel(planner, seen, outcome=Health.FAILED, chance=Random(seed))
        _partly(planner, partly, Random(seed))

    for corner in corners():
        _partly(planner, corner, Random(0))
    check()


def _partly(planner: ModuleType, world: World, chance: Random) -> None:
    _, end, _ = travel(planner, world, chance=chance)
    if not any(i.in_service and i.health is Health.FAILED for i in world.fleet):
        assert not isinstance(end, planner.Stuck), "stopped before it came as far as it may"


def _with(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Execute all parts of the planner from their sources, with the fault in one of them, beside
    the real ones."""
    for part in PARTS:
        source = inspect.getsource(part)
        if part is fault.where:
            assert source.count(fault.line) == 1, f"no longer fits the source: {fault.line}"
            source = source.replace(fault.line, fault.planted)
        planner = ModuleType(_planted_name(part))
        monkeypatch.setitem(sys.modules, planner.__name__, planner)  # for imports, and dataclasses
        for other in PARTS:
            source = source.replace(f"from {other.__name__} ", f"from {_planted_name(other)} ")
        exec(compile(source, planner.__name__, "exec"), vars(planner))
    return planner


def _planted_name(part: ModuleType) -> str:
    return part.__name__.replace("ovenbird.rollout.", "planted_")
