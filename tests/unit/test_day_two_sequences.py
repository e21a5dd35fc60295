"""Random days of a fleet: verbs, hands and deaths in any order, held against the rules at every
call that changes something. ``python -m tests.sequences.run`` plays as many as one likes."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings
from tests.sequences.moves import Kind, Move, sequences
from tests.sequences.play import play

COUNT = int(os.environ.get("OVENBIRD_TEST_SEQUENCES", "12"))
"""How many are played here."""

LENGTH = 20


@settings(max_examples=COUNT, suppress_health_check=list(HealthCheck))
@given(sequences(LENGTH))
def test_whatever_the_day_the_rules_hold_at_every_call(day: tuple[Kind, list[Move]]) -> None:
    play(*day)


FOUND = {
    "a new one falls ill while the switch before it waits for another to end": (
        Kind(size=4, limits=2, procedure=2),
        [Move("exit", 2), Move("roll", 5, beside="ail", when=6)],
    ),
    "one that was lost on its way out is found again, and another is on its way out by now": (
        Kind(size=2, limits=1, procedure=1, budget=1),
        [
            *(Move("scale", 5), Move("remove", 1, bad=True, dies=7), Move("ail", 3)),
            *(Move("tend --resume", 5, bad=True, dies=29), Move("lose", 3)),
            *(Move("tend", dies=53), Move("find", 2)),
        ],
    ),
    "a fleet was scaled to nothing with one in the drain of a dead driver": (
        Kind(size=4, budget=1),
        [Move("roll", 1, dies=47), Move("scale"), Move("rebuild", 3)],
    ),
    "one that never served was being ended by a driver that died, and another falls ill": (
        Kind(size=1, limits=2, budget=1),
        [
            *(Move("scale", 4), Move("roll", 1), Move("roll", 4, bad=True, dies=11)),
            *(Move("roll", 5), Move("quarantine", 2), Move("roll", 1, dies=52), Move("ail", 5)),
        ],
    ),
    "one was lost in a drain of a dead driver, and its successor falls ill": (
        Kind(size=1, limits=1, budget=1),
        [
            Move("rebuild", 3, bad=True, dies=16),
            Move("lose"),
            Move("rebuild", 0, beside="ail", when=10),
        ],
    ),
    "a dead driver has drained one, and the next would end another first": (
        Kind(size=4, limits=1, budget=1),
        [
            *(Move("roll", 2), Move("roll", 3), Move("roll back"), Move("roll", 2, bad=True)),
            *(Move("rebuild", dies=50), Move("exit")),
        ],
    ),
    "a switch was cut short between a drain and its note": (
        Kind(procedure=2, budget=1),
        [Move("quarantine", dies=10), Move("roll", 1, dies=72)],
    ),
    "a launch died, and the fleet was scaled to nothing": (
        Kind(size=1, limits=1, budget=1),
        [Move("quarantine", 4, dies=35), Move("scale")],
    ),
    "a retry after more failures than are allowed": (
        Kind(),
        [Move("scale", 2), Move("lose", 2), Move("roll", 4, bad=True, dies=44), Move("ail")],
    ),
}
"""Days that were drawn, and broke a rule once."""


@pytest.mark.parametrize("day", FOUND.values(), ids=list(FOUND))
def test_what_a_day_has_found_stays_mended(day: tuple[Kind, list[Move]]) -> None:
    play(*day)
