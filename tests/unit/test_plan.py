"""The planner, decision by decision, with its words and numbers."""

from __future__ import annotations

import pytest
from tests.builders import a_goal, an_instance, bounds, instances, ready_unlisted

from ovenbird.rollout.plan import (
    Done,
    Doubtful,
    Failed,
    Launch,
    Plan,
    Register,
    Stuck,
    Terminate,
    Wait,
    Wave,
    clear_failed,
    next_wave,
)
from ovenbird.values.instance import Health, Instance
from ovenbird.values.limits import Bounds

GOAL = a_goal("web/2")


def planned(*fleet: Instance, size: int = 3, surge: int = 1, unavailable: int = 0) -> Plan:
    """Plan for a fleet in which the goal has served before."""
    limits = bounds(size, surge=surge, unavailable=unavailable)
    return next_wave(GOAL, limits, fleet, untried=False)


def untried(*fleet: Instance, size: int = 3, surge: int = 1, unavailable: int = 0) -> Plan:
    """Plan for a fleet in which the goal has never served."""
    limits = bounds(size, surge=surge, unavailable=unavailable)
    return next_wave(GOAL, limits, fleet, untried=True)


def ended(plan: Plan) -> list[str]:
    assert isinstance(plan, Wave)
    return [step.token for step in plan.steps if isinstance(step, Terminate)]


def launched(plan: Plan) -> int:
    assert isinstance(plan, Wave)
    return sum(isinstance(step, Launch) for step in plan.steps)


def test_an_untried_image_starts_with_one_canary() -> None:
    assert untried(*instances(3), surge=3) == Wave(
        (Launch("untried in this fleet: one canary first; 3 instances, ceiling 6"),),
        "3 serving, floor 3; 3 instances, ceiling 6",
    )


def test_the_first_launch_of_a_fleet_is_a_canary_too() -> None:
    assert launched(untried(size=3)) == 1


def test_a_rollback_needs_no_canary() -> None:
    assert launched(planned(*instances(3), surge=3)) == 3


def test_a_pending_canary_is_waited_for() -> None:
    plan = untried(*instances(3), an_instance(4, "web/2", Health.PENDING))

    assert plan == Wait("1 pending; 3 serving, floor 3; 4 instances, ceiling 4")


def test_a_failed_canary_ends_the_rollout_and_nothing_else_is_touched() -> None:
    bad = an_instance(4, "web/2", Health.FAILED, because="answered 500")

    assert untried(*instances(3), bad) == Failed(
        "the canary of web/2 failed and none serves (web-004: answered 500); still serving: 3",
        ("web-004",),
    )


def test_a_known_image_fails_only_when_none_of_its_launches_can_still_come_up() -> None:
    bad = an_instance(4, "web/2", Health.FAILED)
    hope = an_instance(5, "web/2", Health.PENDING)

    assert isinstance(planned(*instances(3), bad, hope, surge=2), Wait)
    assert isinstance(planned(*instances(3), bad, surge=2), Failed)


def test_a_retry_ends_the_failed_instances_of_the_goal_first() -> None:
    bad = an_instance(4, "web/2", Health.FAILED, because="answered 500")
    fleet = [*instances(3), bad, an_instance(5, "web/1", Health.FAILED)]

    assert clear_failed(GOAL, Bounds(size=3, surge=1, unavailable=0), fleet) == (
        Terminate("web-004", "ended for another try: it failed, answered 500"),
    )


def test_while_the_failed_canary_of_a_retry_is_being_ended_no_second_one_is_launched() -> None:
    going = an_instance(4, "web/2", Health.PENDING, dying=True)

    plan = untried(*instances(3), going, surge=2)

    assert plan == Wait("1 ending; 3 serving, floor 3; 4 instances, ceiling 5")


def test_once_the_canary_serves_the_oldest_stale_one_goes() -> None:
    assert planned(*instances(3), an_instance(4, "web/2")) == Wave(
        (Terminate("web-001", "stale: 4 serving, floor 3"),),
        "4 serving, floor 3; 4 instances, ceiling 4",
    )


def test_a_fleet_without_surge_gives_up_one_for_its_canary() -> None:
    plan = untried(*instances(3), surge=0, unavailable=2)

    assert plan == Wave(
        (Terminate("web-001", "makes room for the first of the goal: 3 serving, floor 1"),),
        "3 serving, floor 1; 3 instances, ceiling 3",
    )


def test_a_fleet_without_surge_gives_up_its_ill_one_first() -> None:
    fleet = [*instances(2), an_instance(3, "web/1", Health.FAILED)]

    assert ended(untried(*fleet, surge=0, unavailable=1)) == ["web-003"]


def test_an_old_fleet_that_is_ill_does_not_block_its_fix() -> None:
    ill = instances(3, health=Health.FAILED)

    assert (ended(untried(*ill)), launched(untried(*ill))) == ([], 1)
    assert ended(untried(*ill, surge=0, unavailable=1)) == ["web-001"]
    assert ended(planned(*ill, an_instance(4, "web/2"))) == ["web-001"]


def test_the_worst_go_first() -> None:
    plan = planned(
        an_instance(1, "web/1"),
        an_instance(2, "web/1"),
        an_instance(3, "web/2"),
        an_instance(4, "web/2", Health.FAILED),
        an_instance(5, "web/1", Health.FAILED),
        ready_unlisted(6, "web/1", leaving=True),
        unavailable=1,
        surge=3,
    )

    assert ended(plan) == ["web-006", "web-005", "web-004", "web-001"]


def test_the_youngest_of_the_surplus_goes() -> None:
    assert ended(planned(*instances(5, "web/2"))) == ["web-005", "web-004"]


def test_a_fleet_of_none_is_emptied() -> None:
    assert ended(planned(*instances(2, "web/2"), size=0)) == ["web-002", "web-001"]
    assert planned(size=0) == Done("none wanted, none runs")


def test_a_fleet_that_grows_launches_what_is_missing_under_its_ceiling() -> None:
    assert launched(planned(*instances(3, "web/2"), size=10)) == 7


def test_nothing_is_launched_into_room_that_is_only_about_to_be_free() -> None:
    fleet = [*instances(3), an_instance(4, "web/2")]

    assert (ended(planned(*fleet)), launched(planned(*fleet))) == (["web-001"], 0)


def test_an_ill_current_instance_is_replaced_in_one_wave_where_there_is_room() -> None:
    fleet = [*instances(2, "web/2"), an_instance(3, "web/2", Health.FAILED)]

    assert planned(*fleet) == Wave(
        (
            Launch("3 instances, ceiling 4"),
            Terminate("web-003", "ill (failed by decree): 2 serving, floor 3"),
        ),
        "2 serving, floor 3; 3 instances, ceiling 4",
    )


def test_a_changed_launch_hash_makes_an_instance_stale() -> None:
    old = [an_instance(n, "web/2", launch_hash="before") for n in (1, 2, 3)]

    assert launched(untried(*old)) == 1


def test_an_accepted_instance_without_traffic_is_registered() -> None:
    """The driver died between accepting and registering it."""
    plan = untried(*instances(3), ready_unlisted(4, "web/2"))

    assert plan == Wave(
        (
            Register(
                "web-004",
                "passed its gate, gets no traffic: 3 serving, floor 3; 4 instances, ceiling 4",
            ),
        ),
        "3 serving, floor 3; 4 instances, ceiling 4",
    )


def test_a_rollback_calls_back_a_current_one_that_leaves() -> None:
    fleet = [*instances(2, "web/2"), ready_unlisted(3, "web/2", leaving=True)]

    plan = planned(*fleet)

    assert isinstance(plan, Wave)
    assert [type(step) for step in plan.steps] == [Register]


def test_a_stale_one_that_leaves_is_ended_even_before_the_goal_serves() -> None:
    fleet = [*instances(2), ready_unlisted(3, leaving=True)]

    plan = untried(*fleet)

    assert (ended(plan), launched(plan)) == (["web-003"], 1)


def test_a_stale_one_that_a_balancer_forgot_is_put_back_until_the_goal_serves() -> None:
    plan = untried(*instances(2), ready_unlisted(3))

    assert isinstance(plan, Wave)
    assert [type(step) for step in plan.steps] == [Register, Launch]


def test_a_stale_one_without_traffic_is_ended_once_the_goal_serves_and_nobody_misses_it() -> None:
    plan = planned(*instances(3, "web/2"), ready_unlisted(4))

    assert ended(plan) == ["web-004"]


def test_pending_and_unknown_instances_are_never_ended() -> None:
    fleet = [
        *instances(3, "web/2"),
        an_instance(4, "web/1", Health.PENDING),
        an_instance(5, "web/1", Health.UNKNOWN),
    ]

    assert isinstance(planned(*fleet), Wait)
    assert isinstance(planned(*fleet[:3], fleet[4]), Doubtful)


def test_a_fleet_of_which_nothing_is_seen_is_left_alone() -> None:
    plan = untried(*instances(3, health=Health.UNKNOWN))

    assert plan == Doubtful("none of 3 instances is seen: unknown by decree")


def test_a_lost_instance_holds_nothing_up() -> None:
    lost = an_instance(4, "web/1", Health.LOST)

    assert planned(*instances(3, "web/2"), lost) == Done("3 of 3 run web/2")


def test_an_instance_that_is_being_ended_still_takes_up_room() -> None:
    dying = an_instance(4, "web/1", Health.PENDING, dying=True)

    plan = planned(*instances(2, "web/2"), an_instance(3), dying)

    assert plan == Wait("1 ending; 3 serving, floor 3; 4 instances, ceiling 4")


def test_limits_without_room_are_told_with_their_numbers() -> None:
    plan = untried(*instances(3), surge=0, unavailable=0)

    assert plan == Stuck("no step is within the limits: 3 serving, floor 3; 3 instances, ceiling 3")


@pytest.mark.parametrize("size", [1, 3, 10])
def test_a_fleet_that_has_arrived_says_so(size: int) -> None:
    assert planned(*instances(size, "web/2"), size=size) == Done(f"{size} of {size} run web/2")
