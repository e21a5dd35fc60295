"""``python -m tests.sequences.run``: play random days, or look for the shortest that show a fault.

Every run draws others. What it finds is printed as a literal for a test.
"""

from __future__ import annotations

import argparse
import sys
import time

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.sequences.faults import FAULTS, Fault
from tests.sequences.moves import Kind, Move, sequences
from tests.sequences.play import play
from tests.sequences.shorten import shortened

from ovenbird.console import Console

LENGTH = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many days are played")
    parser.add_argument("--faults", action="store_true", help="plant each fault, and look for it")
    wanted, console = parser.parse_args(), Console()
    if not wanted.faults:
        began, cpu = time.monotonic(), time.process_time()
        moves = _play_days(wanted.count, length=LENGTH, least=LENGTH)
        wall, used = time.monotonic() - began, time.process_time() - cpu
        told = f"{wanted.count} days, {moves} moves: no rule was broken"
        console.step(f"{told}; {wall:.0f} s, {used:.0f} s of one core")
        return
    missed = [fault.what for fault in FAULTS if not _is_found(fault, wanted.count, console)]
    if missed:
        sys.exit(f"not found in {wanted.count} days: {', '.join(missed)}")


def _play_days(count: int, *, length: int, least: int = 1) -> int:
    """Play so many; return how many moves they had. Raises what the first that fails raises, with
    the shortest day that breaks the same rule in its notes."""
    played: list[int] = []
    last: list[tuple[Kind, list[Move]]] = []

    @settings(
        max_examples=count,
        derandomize=False,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        report_multiple_bugs=False,
        suppress_health_check=list(HealthCheck),
    )
    @given(sequences(length, least=least))
    def days(day: tuple[Kind, list[Move]]) -> None:
        last[:] = [day]
        play(*day)
        played.append(len(day[1]))
        if len(played) % 50 == 0:
            Console().step(f"{len(played)} days")

    try:
        days()
    except Exception as broken:
        kind, moves = shortened(*last[0], broken)
        broken.add_note("\n  ".join([f"{kind}", *map(repr, moves)]))
        raise
    return sum(played)


def _is_found(fault: Fault, count: int, console: Console) -> bool:
    with console.inside(f"Planting: {fault.what}"), pytest.MonkeyPatch.context() as patch:
        fault.plant(patch)
        try:
            _play_days(count, length=LENGTH // 2)
        except Exception as found:  # noqa: BLE001 - whatever breaks is what we look for
            console.step("\n".join([str(found), *getattr(found, "__notes__", ())]))
            return True
    return False


if __name__ == "__main__":
    main()
