"""The safety of the planner, over fleets in any state."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.builders import an_instance, instances, serving
from tests.safety import SEEN, World, dark_worlds, decide, limits, travel, worlds

from ovenbird.rollout import plan
from ovenbird.values.instance import Health
from ovenbird.values.limits import Bounds

chances = st.integers(0, 2**32).map(Random)


@given(worlds())
def test_every_decision_keeps_every_rule(world: World) -> None:
    decide(plan, world)


@given(worlds(kinds=SEEN), chances)
def test_a_fleet_that_is_seen_arrives_or_says_that_its_goal_failed(
    world: World, chance: Random
) -> None:
    _, end, _ = travel(plan, world, chance=chance)

    assert isinstance(end, plan.Done | plan.Failed)


@given(limits(), chances)
def test_a_healthy_fleet_arrives_though_every_fourth_wave_is_cut(
    bounds: Bounds, chance: Random
) -> None:
    world = World(bounds=bounds, fleet=tuple(instances(bounds.size)))

    last, end, _ = travel(plan, world, chance=chance)

    assert isinstance(end, plan.Done)
    assert [i.version for i in last.fleet] == ["web/2"] * bounds.size


@given(limits(), st.integers(0, 14), chances)
def test_a_fleet_grows_and_shrinks_to_its_size_on_the_way_to_a_new_image(
    bounds: Bounds, before: int, chance: Random
) -> None:
    world = World(bounds=bounds, fleet=tuple(instances(before)))

    last, end, _ = travel(plan, world, chance=chance)

    assert isinstance(end, plan.Done)
    assert serving(last.fleet) == bounds.size


@given(limits().filter(lambda b: b.size > 0), st.booleans(), chances)
def test_a_bad_image_costs_at_most_the_room_of_its_canary(
    bounds: Bounds, full: bool, chance: Random
) -> None:
    fleet = tuple(instances(bounds.size if full else bounds.size - 1))
    world = World(bounds=bounds, fleet=fleet)

    last, end, _ = travel(plan, world, outcome=Health.FAILED, chance=chance)

    assert isinstance(end, plan.Failed)
    assert len(last.current()) == 1
    assert serving(last.fleet) >= len(fleet) - (full and bounds.surge == 0)


@given(limits().filter(lambda b: b.size > 0), chances)
def test_an_ill_old_fleet_never_blocks_its_fix(bounds: Bounds, chance: Random) -> None:
    old = [an_instance(n, "web/1", Health.FAILED, accepted=True) for n in range(1, bounds.size + 1)]
    world = World(bounds=bounds, fleet=tuple(old))

    _, end, _ = travel(plan, world, chance=chance)

    assert isinstance(end, plan.Done)


@given(limits().filter(lambda b: b.size > 0), chances)
def test_a_fleet_that_ended_with_its_host_comes_back_by_itself(
    bounds: Bounds, chance: Random
) -> None:
    """Every container exited, of an image that has served here: nobody has to roll out."""
    dead = [
        an_instance(n, "web/2", Health.FAILED, accepted=True) for n in range(1, bounds.size + 1)
    ]
    world = World(bounds=bounds, fleet=tuple(dead), untried=False)

    _, end, _ = travel(plan, world, chance=chance)

    assert isinstance(end, plan.Done)


@given(dark_worlds())
def test_a_blind_observer_does_nothing_at_all(world: World) -> None:
    end = decide(plan, world)

    assert isinstance(end, plan.Doubtful) or not world.fleet


@given(worlds())
def test_what_is_pending_is_waited_for(world: World) -> None:
    pending = tuple(an_instance(i.slot, i.version, Health.PENDING) for i in world.fleet)

    end = decide(plan, replace(world, fleet=pending))

    steps = end.steps if isinstance(end, plan.Wave) else ()
    assert not [s for s in steps if isinstance(s, plan.Terminate)]


@given(worlds())
def test_lost_instances_change_no_plan(world: World) -> None:
    seen = tuple(i for i in world.fleet if i.health is not Health.LOST)

    assert decide(plan, world) == decide(plan, replace(world, fleet=seen))


@given(worlds())
def test_clearing_the_failed_leaves_no_failed_canary(world: World) -> None:
    gone = {step.token for step in plan.clear_failed(world.goal, world.fleet)}
    left = tuple(i for i in world.fleet if i.token not in gone)

    assert all(i.health is Health.FAILED for i in world.fleet if i.token in gone)
    assert serving(left) == serving(world.fleet)
    assert not isinstance(decide(plan, replace(world, fleet=left)), plan.Failed)
