"""A repair replaces what is lost, ill or missing, and nothing because of its version."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import (
    a_goal,
    an_instance,
    bounds,
    instances,
    kept,
    quarantined,
    ready_unlisted,
    serving,
    unwanted,
)
from tests.safety import decide, travel
from tests.worlds import SEEN, World, worlds

from ovenbird.rollout import plan
from ovenbird.rollout.decision import Done, Launch, Pace, Register, Retire, Terminate, Wave
from ovenbird.rollout.plan import next_wave
from ovenbird.rollout.repair import as_settled
from ovenbird.values.instance import Health, Instance

SETTLED = a_goal("web/1")
REPAIRS = st.builds(Pace, spares=st.booleans())
"""Beside a rollout that is unfinished, or not."""


def repaired(*fleet: Instance, size: int = 3) -> object:
    return next_wave(SETTLED, bounds(size), as_settled(SETTLED, fleet), untried=False)


def test_a_mixed_fleet_that_was_cancelled_is_left_as_it_is() -> None:
    fleet = [*instances(2), an_instance(3, "web/2")]

    assert repaired(*fleet) == Done("3 of 3 run web/1")


def test_of_too_many_what_came_back_from_another_version_is_ended_before_its_successor() -> None:
    fleet = [an_instance(1, "web/0"), *(an_instance(n) for n in (2, 3, 4))]

    assert repaired(*fleet) == Wave(
        (Terminate("web-001", "surplus, 3 wanted: 4 serving, floor 3"),),
        "4 serving, floor 3; 4 instances, ceiling 4",
    )


def test_a_lost_one_is_replaced_with_the_settled_image_whatever_it_was() -> None:
    fleet = [*instances(2), an_instance(3, "web/2", Health.LOST)]

    assert repaired(*fleet) == Wave(
        (Launch("2 instances, ceiling 4"),), "2 serving, floor 3; 2 instances, ceiling 4"
    )


@pytest.mark.parametrize("health", [Health.PENDING, Health.FAILED])
def test_a_canary_that_was_never_accepted_is_left_to_its_rollout(health: Health) -> None:
    """Pending, it may be in its smoke test; failed, it is kept for a look."""
    fleet = [*instances(3), an_instance(4, "web/2", health)]

    assert repaired(*fleet) == Done("3 of 3 run web/1")


def test_a_drain_that_nobody_finished_is_taken_back() -> None:
    fleet = [*instances(2), ready_unlisted(3, leaving=True)]

    plan = repaired(*fleet)

    assert isinstance(plan, Wave)
    assert [type(step) for step in plan.steps] == [Register]


def test_what_is_kept_is_neither_used_nor_ended() -> None:
    green = [an_instance(n, "web/2") for n in (4, 5, 6)]

    assert repaired(*green, kept(1), kept(2), kept(3)) == Done("3 of 3 run web/1")
    lost = replace(green[2], health=Health.LOST)
    plan = repaired(*green[:2], lost, kept(1))
    assert isinstance(plan, Wave)
    assert [type(step) for step in plan.steps] == [Launch]


def _as_repaired(world: World) -> World:
    fleet = as_settled(world.goal, world.fleet)
    return replace(world, fleet=fleet, untried=False)


@given(worlds(pace=REPAIRS))
def test_a_repair_takes_nothing_out_of_service_that_is_not_surplus(world: World) -> None:
    """Whatever versions serve: as many go on serving as are wanted, and each that goes is ill,
    without traffic, or one too many."""
    settled = _as_repaired(world)
    wave = decide(plan, settled)

    steps = wave.steps if isinstance(wave, plan.Wave) else ()
    out = {s.token for s in steps if isinstance(s, Terminate | Retire)}
    gone = [i for i in world.fleet if i.token in out]
    left = serving(settled.fleet) - serving(gone)
    wanted = [i for i in gone if not i.unwanted]
    assert not serving(wanted) or left >= world.bounds.size
    assert not serving(gone) or left >= world.bounds.floor
    assert not [i for i in gone if i.kept and not i.quarantined]
    back = {s.token for s in steps if isinstance(s, Register)}
    assert all(i.accepted and not i.kept for i in world.fleet if i.token in back)


@given(worlds(kinds=SEEN, pace=REPAIRS, most=6), st.integers(0, 2**32).map(Random))
def test_a_repair_rolls_nothing_forward_or_back(world: World, chance: Random) -> None:
    """What is good before and is wanted, is there afterwards, whatever its version."""
    good = [i for i in world.fleet if i.accepted and not (i.kept or i.unwanted)]
    good = [i for i in good if i.health not in (Health.FAILED, Health.LOST)]
    settled = _as_repaired(world)

    last, end, _ = travel(plan, settled, chance=chance)

    assert isinstance(end, plan.Done | plan.Failed)
    here = {i.token for i in world.fleet}
    launched = sum(i.token not in here for i in last.fleet)
    assert launched <= max(world.bounds.size - len(good), 0)
    there = {i.token for i in last.fleet}
    hopeful = [i for i in world.fleet if i.health is Health.PENDING and not (i.dying or i.accepted)]
    stayed = sum(i.token in there for i in (*good, *hopeful))
    assert stayed >= min(len(good), world.bounds.size)


def test_an_unwanted_one_serves_until_its_successor_does() -> None:
    fleet = [*instances(2), unwanted(an_instance(3))]

    first = repaired(*fleet)
    assert isinstance(first, Wave)
    assert first.steps == (Launch("3 instances, ceiling 4"),)
    then = repaired(*fleet, an_instance(4))
    assert isinstance(then, Wave)
    why = "unwanted (changed by hand): 4 serving, floor 3"
    assert then.steps == (Terminate("web-003", why),)


def test_one_on_its_way_into_quarantine_is_taken_out_and_not_ended() -> None:
    fleet = [*instances(2), quarantined(an_instance(3)), an_instance(4)]

    plan = repaired(*fleet)

    assert isinstance(plan, Wave)
    assert [(type(s), getattr(s, "token", "")) for s in plan.steps] == [(Retire, "web-003")]


def test_in_quarantine_it_counts_for_nothing() -> None:
    assert repaired(*instances(3), quarantined(kept(4))) == Done("3 of 3 run web/1")


def test_beside_an_unfinished_rollout_a_good_one_too_many_stays() -> None:
    fleet = as_settled(SETTLED, [*instances(3), an_instance(4, "web/2")])

    plan = next_wave(SETTLED, bounds(3), fleet, untried=False, pace=Pace(spares=True))

    assert plan == Done("3 run web/1; 1 more belong to the rollout that is unfinished")


def test_beside_an_unfinished_rollout_one_too_many_whose_drain_had_begun_goes_before_others() -> (
    None
):
    leaving = ready_unlisted(4, leaving=True)
    fleet = as_settled(SETTLED, [*instances(3), leaving, unwanted(an_instance(5))])

    plan = next_wave(SETTLED, bounds(3), fleet, untried=False, pace=Pace(spares=True))

    assert isinstance(plan, Wave)
    assert [getattr(step, "token", "") for step in plan.steps] == ["web-004", "web-005"]
