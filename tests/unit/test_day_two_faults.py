"""Plant a fault into day two and see that the shortest day that shows it breaks a rule.

Each day is as short as it can be: without any one of its moves the fault is not seen.
"""

from __future__ import annotations

import pytest
from tests.sequences.faults import FAULTS, Fault
from tests.sequences.play import play

from ovenbird.values.errors import OvenbirdError

LONGEST = 3
"""Moves that the longest of the shortest days has."""


@pytest.mark.parametrize("fault", FAULTS, ids=[fault.what for fault in FAULTS])
def test_a_planted_fault_breaks_a_rule_in_a_short_day(
    fault: Fault, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(fault.kind, fault.moves)
    fault.plant(monkeypatch)

    assert len(fault.moves) <= LONGEST
    with pytest.raises((AssertionError, OvenbirdError), match=fault.breaks):
        play(fault.kind, fault.moves)
    for missing in range(len(fault.moves)):
        play(fault.kind, fault.moves[:missing] + fault.moves[missing + 1 :])
