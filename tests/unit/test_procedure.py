"""The arithmetic of a procedure: what its checkpoints allow, and how far a fleet may stretch."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ovenbird.values.errors import ConfigurationError
from ovenbird.values.limits import Bounds, Limits, Share
from ovenbird.values.procedure import Checkpoint, Procedure, Strategy

SHARES = st.one_of(st.integers(1, 40), st.integers(1, 100).map(lambda percent: f"{percent}%"))


def stepped(*shares: Share) -> Procedure:
    return Procedure(
        strategy=Strategy.STEPPED, checkpoints=tuple(Checkpoint(share=share) for share in shares)
    )


@pytest.mark.parametrize(
    ("size", "counts"),
    [
        (1, (1, 1, 1, 1)),
        (2, (1, 1, 1, 2)),
        (3, (1, 1, 2, 3)),
        (4, (1, 1, 2, 4)),
        (10, (1, 1, 5, 10)),
        (200, (1, 20, 100, 200)),
    ],
)
def test_a_share_rounds_up_and_each_checkpoint_keeps_its_place(
    size: int, counts: tuple[int, ...]
) -> None:
    assert stepped(1, "10%", "50%", "100%").counts(size) == counts


def test_without_checkpoints_there_is_one_count_the_whole_fleet() -> None:
    assert Procedure().counts(3) == (3,)


def test_the_whole_fleet_comes_last_where_no_checkpoint_says_so() -> None:
    assert stepped(1, "50%").counts(4) == (1, 2, 4)


def test_a_checkpoint_beyond_the_fleet_is_the_fleet() -> None:
    assert stepped(1, 5).counts(2) == (1, 2)


@given(st.lists(SHARES, max_size=6), st.integers(1, 400))
def test_counts_rise_begin_with_one_at_least_and_end_with_all(
    shares: list[Share], size: int
) -> None:
    counts = stepped(*shares).counts(size)

    assert counts[0] >= 1
    assert counts[-1] == size
    assert all(before <= after for before, after in pairwise(counts))
    assert len(counts) in (len(shares), len(shares) + 1)


@given(st.integers(0, 400))
def test_blue_green_stretches_to_twice_the_fleet_and_never_shrinks(size: int) -> None:
    procedure = Procedure(strategy=Strategy.BLUE_GREEN)

    bounds = procedure.bounds(Limits(max_surge=0, max_unavailable=1), size)

    assert bounds == Bounds(size=size, surge=size, unavailable=0)
    assert (bounds.ceiling, bounds.floor) == (2 * size, size)


@pytest.mark.parametrize("strategy", [Strategy.ROLLING, Strategy.STEPPED])
def test_the_others_have_the_bounds_of_their_limits(strategy: Strategy) -> None:
    procedure = Procedure(strategy=strategy)

    assert procedure.bounds(Limits(max_surge="25%"), 10) == Bounds(size=10, surge=3, unavailable=0)
    with pytest.raises(ConfigurationError, match="no room to replace"):
        procedure.bounds(Limits(max_surge=0, max_unavailable="25%"), 2)
