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
from tests.safety import SEEN, World, dark_worlds, decide, healthy_worlds, travel, worlds

from ovenbird.rollout import bucket, plan
from ovenbird.values.instance import Health


@dataclass(frozen=True, slots=True)
class Fault:
    what: str
    line: str
    planted: str
    where: ModuleType = plan


FAULTS = [
    Fault("one below the floor", "serving <= floor", "serving < floor"),
    Fault("no floor at all", "(instance.is_serving and serving <= floor)", "False"),
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
    Fault("a termination is not counted", "serving -= instance.is_serving", "serving -= 0"),
    Fault("no canary", "canary = self.untried and not self.proven", "canary = False"),
    Fault(
        "two canaries",
        "min(self.bounds.size, 1) - len(current)",
        "min(self.bounds.size, 2) - len(current)",
    ),
    Fault("the canary of every wave", "canary = self.untried and not self.proven", "canary = True"),
    Fault("a failed canary is overlooked", "None if fleet.proven else _failure(fleet)", "None"),
    Fault(
        "the old ones go before the goal serves",
        "len(fleet.present) if fleet.proven else _too_many_for_one_more(fleet)",
        "len(fleet.present)",
    ),
    Fault(
        "a fleet without surge gives nothing up",
        "return max(stays + 1 - fleet.bounds.ceiling, 0)",
        "return 0",
    ),
    Fault(
        "a canary's room is taken twice",
        "stays + 1 - fleet.bounds.ceiling",
        "stays + 2 - fleet.bounds.ceiling",
    ),
    Fault(
        "a blind observer acts",
        "if unknown and len(unknown)",
        "if False and len(unknown)",
    ),
    Fault(
        "lost ones are counted",
        "if pair[0] is not Bucket.LOST",
        "if True",
    ),
    Fault("the surplus stays", "reversed(serving[size:])", "serving[:0]"),
    Fault("a good one too many goes", "reversed(serving[size:])", "serving[size - 1 :]"),
    Fault("the ill are never replaced", "if fleet.replaces(i))", "if False)"),
    Fault(
        "done while one is still there",
        "== len(self.present) == self.bounds.size",
        "== self.bounds.size",
    ),
    Fault(
        "nobody is put back into service",
        'yield Register(instance.token, f"passed its gate',
        'yield from () and Register(instance.token, f"passed its gate',
    ),
    Fault(
        "what was dropped half-way stays for ever",
        'worth = [(i, "its drain had begun") for i in leaving]',
        "worth: list[tuple[Instance, str]] = []",
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
        "i), i) for i in sorted(observed, key=age)",
        "i), i) for i in observed",
    ),
]


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.what for fault in FAULTS])
def test_a_planted_fault_is_caught(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = _with(fault, monkeypatch)

    with pytest.raises(AssertionError):
        _hold_against_everything(planted)


def test_without_a_fault_nothing_is_caught() -> None:
    _hold_against_everything(plan)


def _hold_against_everything(planner: ModuleType) -> None:
    @settings(phases=[Phase.generate], max_examples=150)
    @given(worlds(), dark_worlds(), healthy_worlds(), worlds(kinds=SEEN), st.integers(0, 2**32))
    def check(world: World, dark: World, healthy: World, seen: World, seed: int) -> None:
        decide(planner, world)
        decide(planner, dark)
        _, end, _ = travel(planner, healthy, chance=Random(seed))
        assert isinstance(end, planner.Done), "stopped before it arrived"
        _, end, _ = travel(planner, seen, chance=Random(seed))
        assert isinstance(end, planner.Done | planner.Failed), "stopped before it arrived"
        travel(planner, seen, outcome=Health.FAILED, chance=Random(seed))

    check()


def _with(fault: Fault, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Execute the planner from its source with the fault in it, beside the real one."""
    source = inspect.getsource(fault.where)
    assert source.count(fault.line) == 1, f"no longer fits the source: {fault.line}"
    changed = _executed("planted", source.replace(fault.line, fault.planted), monkeypatch)
    if fault.where is plan:
        return changed
    planner = _executed("planted_plan", inspect.getsource(plan), monkeypatch)
    for name in ("Bucket", "age", "bucket_of", "is_ill"):
        setattr(planner, name, getattr(changed, name))
    return planner


def _executed(name: str, source: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, module)  # dataclasses look their module up there
    exec(compile(source, name, "exec"), vars(module))
    return module
