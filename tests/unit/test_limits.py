from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import bounds

from ovenbird.values.errors import ConfigurationError
from ovenbird.values.limits import Limits

sizes = st.integers(1, 200)
percents = st.integers(0, 100).map(lambda n: f"{n}%")


@pytest.mark.parametrize(
    ("size", "surge", "unavailable", "expected"),
    [
        (3, 1, 0, (1, 0)),
        (3, "25%", 0, (1, 0)),
        (3, "25%", "25%", (1, 0)),
        (4, "25%", "25%", (1, 1)),
        (10, "25%", "25%", (3, 2)),
        (10, "100%", "100%", (10, 10)),
        (2, 0, 5, (0, 2)),
        (0, 0, 0, (0, 0)),
    ],
)
def test_surge_rounds_up_and_unavailable_rounds_down(
    size: int, surge: int | str, unavailable: int | str, expected: tuple[int, int]
) -> None:
    found = Limits(max_surge=surge, max_unavailable=unavailable).of(size)

    assert (found.surge, found.unavailable) == expected


def test_limits_that_cannot_move_are_refused_with_a_way_out() -> None:
    with pytest.raises(ConfigurationError) as refused:
        Limits(max_surge=0, max_unavailable="25%").of(3)

    assert "leave a fleet of 3 no room" in refused.value.problem
    assert refused.value.remedy.startswith("Set max_surge to 1 or more")


def test_the_ceiling_is_size_and_surge_and_the_floor_size_without_the_unavailable() -> None:
    ten = bounds(10, surge=3, unavailable=2)

    assert (ten.ceiling, ten.floor) == (13, 8)


@given(sizes, percents, percents)
def test_shares_never_reach_beyond_the_fleet(size: int, surge: str, unavailable: str) -> None:
    try:
        found = Limits(max_surge=surge, max_unavailable=unavailable).of(size)
    except ConfigurationError:
        return

    assert 0 <= found.floor <= size <= found.ceiling <= 2 * size
    assert found.ceiling > found.floor
