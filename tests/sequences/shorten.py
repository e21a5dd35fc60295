"""Shorten a day that breaks a rule, by leaving out moves for as long as the same rule is broken.

A day takes seconds to play, so this asks for few: first halves, then quarters, then single moves.
hypothesis would try hundreds of variants, most of them as long.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from tests.sequences.moves import Kind, Move
from tests.sequences.play import play

NUMBER = re.compile(r"\d+")


def broken_by(kind: Kind, moves: Sequence[Move]) -> Exception | None:
    """Play a day; return what it broke, or None."""
    try:
        play(kind, moves)
    except Exception as broken:  # noqa: BLE001 - whatever breaks is what we look for
        return broken
    return None


def shortened(kind: Kind, moves: Sequence[Move], broken: Exception) -> tuple[Kind, list[Move]]:
    """Return a shorter day that breaks the same rule; without any one of its moves it does not."""
    rule, left, size = _rule(broken), list(moves), max(len(moves) // 2, 1)

    def still(kind: Kind, moves: Sequence[Move]) -> bool:
        found = broken_by(kind, moves)
        return found is not None and _rule(found) == rule

    while size:
        before, at = len(left), 0
        while at < len(left):
            shorter = left[:at] + left[at + size :]
            if still(kind, shorter):
                left = shorter
            else:
                at += size
        if size > 1 or len(left) == before:  # what went may have let another go
            size //= 2
    for at, move in enumerate(left):
        calm = replace(move, dies=0, beside="", when=0, bad=False)
        calmer = [*left[:at], calm, *left[at + 1 :]]
        if calm != move and still(kind, calmer):
            left = calmer
    plain = Kind()
    return (plain if kind != plain and still(plain, left) else kind), left


def _rule(broken: Exception) -> str:
    """Name the rule without the numbers of this day."""
    return NUMBER.sub("#", str(broken).partition("\n")[0])
