"""The safety of the planner, over fleets in any state."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st
from tests.builders import an_instance, instances, overloaded, serving
from tests.safety import decide, travel
from tests.worlds import (
    SEEN,
    World,
    carried,
    dark_worlds,
    is_ill,
    limits,
    paced,
    whole_paces,
    worlds,
)

from ovenbird.rollout import plan
from ovenbird.rollout.decision import Pace
from ovenbird.values.instance import Health
from ovenbird.values.limits import Bounds

chances = st.integers(0, 2**32).map(Random)


@given(worlds())
def test_every_decision_keeps_every_rule(world: World) -> None:
    decide(plan, world)


@given(worlds(kinds=SEEN, pace=whole_paces(), most=6), chances)
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


@given(worlds(pace=whole_paces()))
def test_clearing_the_failed_leaves_no_failed_canary(world: World) -> None:
    gone = {step.token for step in plan.clear_failed(world.goal, world.bounds, world.fleet)}
    left = replace(world, fleet=tuple(i for i in world.fleet if i.token not in gone))

    assert all(i.health is Health.FAILED for i in world.fleet if i.token in gone)
    assert serving(left.fleet) == serving(world.fleet)
    busy = [i for i in left.current() if is_ill(i)]
    assert all(i.in_service for i in busy)
    assert not isinstance(decide(plan, left), plan.Failed) or (busy and left.untried)


@given(worlds(kinds=SEEN), chances)
def test_part_of_the_way_a_fleet_that_is_seen_comes_as_far_as_it_may(
    world: World, chance: Random
) -> None:
    """It is blocked only by one of the goal that is ill for the probe and not for the balancers:
    its successor would be one more than allowed."""
    last, end, _ = travel(plan, world, chance=chance)

    blocked = [i for i in last.current() if is_ill(i) and i.in_service]
    assert isinstance(end, plan.Done | plan.Failed | plan.Reached | plan.Stuck)
    assert not isinstance(end, plan.Stuck) or (blocked and last.partial)


@given(limits(), st.lists(st.integers(0, 12), max_size=5), chances)
def test_a_healthy_fleet_stops_at_each_checkpoint_with_all_that_it_needs(
    bounds: Bounds, counts: list[int], chance: Random
) -> None:
    world = World(bounds=bounds, fleet=tuple(instances(bounds.size)))

    for count in sorted(c for c in counts if c < bounds.size):
        world = replace(world, pace=Pace(upto=count))
        world, end, _ = travel(plan, world, chance=chance)
        assert isinstance(end, plan.Reached)
        assert end.serving == world.good == len(world.current()) == count
        assert serving(world.fleet) >= bounds.size
    _, end, _ = travel(plan, replace(world, pace=Pace(upto=bounds.size)), chance=chance)
    assert isinstance(end, plan.Done)


@given(worlds(kinds=SEEN), chances)
def test_a_window_that_closes_lets_what_is_in_hand_be_finished_and_starts_no_more(
    world: World, chance: Random
) -> None:
    there = len(world.current())
    closed = replace(world, pace=Pace(upto=there, switch=world.pace.switch))

    last, end, _ = travel(plan, closed, chance=chance)

    assert len(last.current()) <= max(there, 0) or there >= world.bounds.size
    assert not isinstance(end, plan.Wait | plan.Doubtful)


@given(limits(), st.booleans(), chances)
def test_a_blue_green_fleet_switches_keeps_the_previous_and_switches_back(
    bounds: Bounds, untried: bool, chance: Random
) -> None:
    size = bounds.size
    blue = World(bounds=bounds, fleet=tuple(instances(size)), untried=untried)
    green, end, _ = travel(plan, paced(blue, Pace(switch=True)), chance=chance)
    assert isinstance(end, plan.Done)
    held = [i for i in green.fleet if i.kept]
    assert [i.version for i in held] == ["web/1"] * size

    goal = replace(green.goal, version="web/1")
    back, end, _ = travel(plan, replace(green, goal=goal, untried=False), chance=chance)

    assert isinstance(end, plan.Done)
    assert {i.token for i in back.current()} == {i.token for i in held}
    assert len(back.fleet) == 2 * size


@given(limits(), chances)
def test_what_is_no_longer_kept_is_ended(bounds: Bounds, chance: Random) -> None:
    world = World(bounds=bounds, fleet=tuple(instances(bounds.size)))
    green, _, _ = travel(plan, paced(world, Pace(switch=True)), chance=chance)
    expired = tuple(replace(i, kept=False) for i in green.fleet)

    last, end, _ = travel(plan, replace(green, fleet=expired), chance=chance)

    assert isinstance(end, plan.Done)
    assert [i.version for i in last.fleet] == ["web/2"] * bounds.size


@given(limits().filter(lambda b: b.size > 0), whole_paces(), chances)
def test_an_overloaded_fleet_is_replaced_and_loses_no_capacity(
    bounds: Bounds, pace: Pace, chance: Random
) -> None:
    """Every probe fails and every balancer has all of them in service: `travel` holds the floor
    of what the balancers see at every moment."""
    fleet = tuple(overloaded(n) for n in range(1, bounds.size + 1))
    world = paced(World(bounds=bounds, fleet=fleet), pace)

    last, end, _ = travel(plan, world, chance=chance)

    assert isinstance(end, plan.Done)
    assert carried(last.fleet) == bounds.size


@given(limits().filter(lambda b: b.size > 1), st.integers(1, 4), chances)
def test_the_circuit_opens_after_so_many_failed(bounds: Bounds, most: int, chance: Random) -> None:
    """One of the goal serves, and no other ever becomes healthy."""
    fleet = (an_instance(1, "web/2"), *instances(bounds.size)[1:])
    world = World(bounds=bounds, fleet=fleet, untried=False, pace=Pace(max_failed=most))

    last, end, _ = travel(plan, world, outcome=Health.FAILED, chance=chance)

    assert isinstance(end, plan.Failed)
    bad = [i for i in last.current() if is_ill(i)]
    assert last.pace.failed + len(bad) >= most
    assert last.pace.failed < most
