from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import NOW, looks

from ovenbird.fleet.gate import Accepted, Waiting, judge, seconds
from ovenbird.values.fleet import HealthCheck
from ovenbird.values.instance import Look

HEALTH = HealthCheck(passes=3, min_healthy_time=4)
LAUNCHED = NOW - timedelta(seconds=100)


def judged(verdicts: str, *, health: HealthCheck = HEALTH) -> Accepted | Waiting:
    """Judge looks that were a second apart, the last one now."""
    return judge(LAUNCHED, looks(1, verdicts), health, NOW)


def test_a_streak_that_is_long_enough_in_looks_and_in_time_is_accepted() -> None:
    assert judged("-FPPPPP") == Accepted("5 passes in a row, healthy for 4 s")


def test_enough_looks_in_too_short_a_time_wait() -> None:
    assert judged("FPPPP") == Waiting("4 passes in a row, healthy for 3 s of 4 s")


def test_enough_time_with_too_few_looks_waits() -> None:
    few = [*looks(1, "P", ago=50), *looks(1, "P")]

    assert judge(LAUNCHED, few, HEALTH, NOW) == Waiting(
        "2 of 3 passes in a row, healthy for 50 s of 4 s"
    )


@pytest.mark.parametrize("broken", ["PPPPPPFPPP", "PPPPPP-PPP"])
def test_one_failure_or_one_look_without_an_answer_starts_the_time_anew(broken: str) -> None:
    assert isinstance(judged(broken), Waiting)


def test_the_last_look_must_pass() -> None:
    assert judged("PPPPPPPPF") == Waiting("launched 100 s ago, last look: answered 500")


def test_looks_from_before_the_launch_are_left_out() -> None:
    assert judge(NOW, looks(1, "PPPPPP", ago=1), HEALTH, NOW) == Waiting(
        "launched 0 s ago, not looked at yet"
    )


def test_without_a_time_the_passes_decide() -> None:
    health = HealthCheck(passes=2, min_healthy_time=0)

    assert isinstance(judged("PP", health=health), Accepted)
    assert isinstance(judged("P", health=health), Waiting)


def test_a_span_is_written_for_a_person() -> None:
    assert [seconds(timedelta(seconds=s)) for s in (0, 1.5, 9.96, 75.4)] == [
        "0 s",
        "1.5 s",
        "10 s",
        "75 s",
    ]


@given(st.text("PF-", max_size=12), st.permutations(range(12)))
def test_the_order_in_which_looks_are_handed_over_changes_nothing(
    verdicts: str, order: list[int]
) -> None:
    straight = list(looks(1, verdicts))
    mixed: list[Look] = [straight[n] for n in order if n < len(straight)]

    assert judge(LAUNCHED, straight, HEALTH, NOW) == judge(LAUNCHED, mixed, HEALTH, NOW)


@given(st.text("PF-", max_size=12))
def test_whoever_is_accepted_passed_all_of_its_last_looks(verdicts: str) -> None:
    if isinstance(judged(verdicts), Accepted):
        assert verdicts.endswith("PPPPP")
