"""Random days of a fleet: verbs, hands and deaths in any order, held against the rules at every
call that changes something. ``python -m tests.sequences.run`` plays as many as one likes."""

from __future__ import annotations

import os

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
