"""How far a rollout may go, how it switches, and when it stops for good, decision by decision."""

from __future__ import annotations

import pytest
from tests.builders import (
    a_goal,
    an_instance,
    bounds,
    instances,
    kept,
    overloaded,
    ready_unlisted,
)

from ovenbird.rollout.plan import (
    Done,
    Failed,
    Launch,
    Pace,
    Plan,
    Reached,
    Register,
    Retire,
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
SWITCH = Pace(switch=True)


def planned(
    *fleet: Instance,
    pace: Pace,
    size: int = 4,
    surge: int = 1,
    unavailable: int = 0,
    untried: bool = False,
) -> Plan:
    limits = bounds(size, surge=surge, unavailable=unavailable)
    if pace.switch:
        limits = bounds(size, surge=size)
    return next_wave(GOAL, limits, fleet, untried=untried, pace=pace)


def steps(plan: Plan) -> list[tuple[str, str]]:
    """Say each step in two words: what, and to whom."""
    assert isinstance(plan, Wave)
    return [(type(s).__name__, getattr(s, "token", "")) for s in plan.steps]


def test_a_checkpoint_of_none_is_reached_at_once() -> None:
    assert planned(*instances(4), pace=Pace(upto=0), untried=True) == Reached(
        "0 of 4 run web/2 and serve, 0 wanted for now; 4 serving, floor 4; 4 instances, ceiling 5",
        0,
    )


def test_a_checkpoint_launches_no_more_than_it_allows() -> None:
    fleet = instances(4)

    plan = planned(*fleet, pace=Pace(upto=2), surge=4)

    assert steps(plan) == [("Launch", "")] * 2
    assert steps(planned(*fleet, pace=Pace(upto=2), surge=4, untried=True)) == [("Launch", "")]


def test_at_a_checkpoint_the_old_ones_go_only_as_far_as_the_new_ones_pay_for() -> None:
    fleet = [*instances(4), an_instance(5, "web/2"), an_instance(6, "web/2")]

    plan = planned(*fleet, pace=Pace(upto=2), surge=2, unavailable=2)

    assert steps(plan) == [("Terminate", "web-001"), ("Terminate", "web-002")]
    assert isinstance(planned(*fleet[2:], pace=Pace(upto=2), unavailable=2), Reached)


def test_without_surge_a_checkpoint_still_gets_its_room() -> None:
    fleet = [*instances(3), an_instance(4, "web/2")]

    plan = planned(*fleet, pace=Pace(upto=3), surge=0, unavailable=2)

    assert steps(plan) == [("Terminate", "web-001"), ("Terminate", "web-002")]


def test_a_checkpoint_waits_for_what_is_in_hand() -> None:
    pending = an_instance(5, "web/2", Health.PENDING)

    assert isinstance(planned(*instances(4), pending, pace=Pace(upto=1)), Wait)


def test_more_of_the_goal_than_a_checkpoint_allows_are_left_alone() -> None:
    fleet = [*instances(2), an_instance(5, "web/2"), an_instance(6, "web/2")]

    plan = planned(*fleet, pace=Pace(upto=1))

    assert isinstance(plan, Reached)
    assert plan.serving == 2


def test_a_window_that_closes_finishes_what_is_in_hand() -> None:
    """One is accepted and not registered, one drain has begun: both are finished."""
    fleet = [
        *instances(2),
        ready_unlisted(3, leaving=True),
        an_instance(4, "web/2"),
        ready_unlisted(5, "web/2"),
    ]

    plan = planned(*fleet, pace=Pace(upto=2))

    assert steps(plan) == [("Register", "web-005"), ("Terminate", "web-003")]


def test_part_of_the_way_an_ill_one_of_the_goal_goes_before_its_successor_comes() -> None:
    ill = an_instance(5, "web/2", Health.FAILED, accepted=True)
    fleet = [*instances(3), an_instance(4, "web/2"), ill]

    assert steps(planned(*fleet, pace=Pace(upto=2), surge=3)) == [("Terminate", "web-005")]
    assert steps(planned(*fleet[:-1], pace=Pace(upto=2), surge=3)) == [("Launch", "")]


def test_one_of_the_goal_that_is_ill_only_for_the_probe_holds_a_checkpoint_up() -> None:
    fleet = [*instances(3), overloaded(4, "web/2")]

    assert planned(*fleet, pace=Pace(upto=1)) == Stuck(
        "no step is within the limits: 3 serving, 1 ill but in service, floor 4; "
        "4 instances, ceiling 5"
    )


def test_a_switch_starts_with_one_canary_and_then_launches_the_whole_fleet() -> None:
    blue = instances(3)

    assert steps(planned(*blue, pace=SWITCH, size=3, untried=True)) == [("Launch", "")]
    ready = ready_unlisted(4, "web/2")
    after = planned(*blue, ready, pace=SWITCH, size=3, untried=True)
    assert steps(after) == [("Launch", "")] * 2


@pytest.mark.parametrize("size", [1, 2, 3])
def test_a_switch_registers_all_at_once_when_all_are_ready(size: int) -> None:
    blue = instances(size)
    green = [ready_unlisted(size + n, "web/2") for n in range(1, size + 1)]

    plan = planned(*blue, *green, pace=SWITCH, size=size)

    assert steps(plan) == [("Register", i.token) for i in green]
    pending = an_instance(2 * size, "web/2", Health.PENDING)
    assert isinstance(planned(*blue, *green[:-1], pending, pace=SWITCH, size=size), Wait)


def test_a_switch_that_was_interrupted_is_finished() -> None:
    fleet = [*instances(2), an_instance(3, "web/2"), ready_unlisted(4, "web/2")]

    assert steps(planned(*fleet, pace=SWITCH, size=2)) == [("Register", "web-004")]


def test_once_all_serve_the_others_are_retired_in_one_wave_and_ill_ones_ended() -> None:
    green = [an_instance(n, "web/2") for n in (5, 6, 7, 8)]
    ill = an_instance(4, health=Health.FAILED, accepted=True, because="answered 500")
    fleet = [*instances(2), ready_unlisted(3, leaving=True), ill, *green]

    plan = planned(*fleet, pace=SWITCH)

    assert isinstance(plan, Wave)
    numbers = "4 of 4 run web/2 and serve"
    assert plan.steps == (
        Retire("web-001", f"stale: {numbers}"),
        Retire("web-002", f"stale: {numbers}"),
        Retire("web-003", f"stale: {numbers}"),
        Terminate("web-004", f"ill (answered 500): {numbers}"),
    )


def test_what_is_kept_counts_for_nothing_and_stays() -> None:
    green = instances(3, "web/2")

    assert planned(*green, kept(4), kept(5), kept(6), pace=SWITCH, size=3) == Done(
        "3 of 3 run web/2"
    )
    ill = kept(7, health=Health.FAILED)
    assert isinstance(planned(*green, ill, pace=Pace(), size=3), Done)


def test_a_kept_one_that_is_still_in_service_is_retired_again_and_never_ended() -> None:
    """The driver died after it wrote down that it is kept, and before its drain."""
    half = an_instance(5, kept=True)

    plan = planned(*instances(4, "web/2"), half, pace=Pace())

    assert steps(plan) == [("Retire", "web-005")]


def test_going_back_to_the_kept_ones_is_a_switch_without_a_launch() -> None:
    held = [kept(n, "web/2") for n in (1, 2, 3)]
    bad = [an_instance(n, "web/3") for n in (4, 5, 6)]

    plan = planned(*held, *bad, pace=SWITCH, size=3)

    assert steps(plan) == [("Register", i.token) for i in held]
    back = instances(3, "web/2")
    assert steps(planned(*back, *bad, pace=SWITCH, size=3)) == [("Retire", i.token) for i in bad]


def test_before_a_switch_a_closed_window_leaves_the_new_ones_ready_and_the_old_in_service() -> None:
    fleet = [*instances(3), ready_unlisted(4, "web/2")]

    assert planned(*fleet, pace=Pace(upto=1, switch=True), size=3) == Reached(
        "0 of 3 run web/2 and serve, 1 ready for the switch, 1 wanted for now; "
        "3 serving, floor 3; 4 instances, ceiling 6",
        0,
    )


def test_the_circuit_opens_though_some_of_the_goal_serve() -> None:
    bad = an_instance(5, "web/2", Health.FAILED, because="answered 500")
    fleet = [*instances(3), an_instance(4, "web/2"), bad]

    assert planned(*fleet, pace=Pace(failed=1, max_failed=2)) == Failed(
        "2 of the instances that were launched of web/2 failed (web-005: answered 500), and "
        "max_failed is 2; still serving: 4",
        ("web-005",),
    )
    assert isinstance(planned(*fleet, pace=Pace(failed=1, max_failed=3)), Wave)
    assert isinstance(planned(*fleet[:-1], pace=Pace(failed=2, max_failed=2)), Failed)


def test_one_that_served_before_it_fell_ill_does_not_open_the_circuit() -> None:
    ill = an_instance(5, "web/2", Health.FAILED, accepted=True)
    fleet = [*instances(3), an_instance(4, "web/2"), ill]

    assert isinstance(planned(*fleet, pace=Pace(max_failed=1)), Wave)


def test_an_ill_one_that_the_balancers_have_in_service_counts_for_the_floor() -> None:
    fleet = [overloaded(1), overloaded(2), overloaded(3)]

    alone = planned(*fleet, pace=Pace(), size=3)
    assert alone == Wave(
        (Launch("3 instances, ceiling 4"),),
        "0 serving, 3 ill but in service, floor 3; 3 instances, ceiling 4",
    )
    helped = planned(*fleet, an_instance(4, "web/2"), pace=Pace(), size=3)
    because = "ill (failed by decree): 1 serving, 3 ill but in service, floor 3"
    assert isinstance(helped, Wave)
    assert helped.steps == (Terminate("web-001", because),)


def test_old_ones_that_are_ill_for_both_go_one_for_each_new_one() -> None:
    ill = [an_instance(n, health=Health.FAILED, accepted=True) for n in (1, 2, 3)]
    new = [an_instance(n, "web/2") for n in (4, 5)]

    assert steps(planned(*ill, new[0], pace=Pace(), size=3)) == [("Terminate", "web-001")]
    assert steps(planned(*ill[1:], *new, pace=Pace(), size=3)) == [("Terminate", "web-002")]


def test_a_retry_leaves_those_that_the_balancers_have_in_service_to_the_waves() -> None:
    canary = overloaded(4, "web/2")

    bounds = Bounds(size=3, surge=1, unavailable=0)
    assert [s.token for s in clear_failed(GOAL, bounds, [*instances(3), canary])] == ["web-004"]
    assert clear_failed(GOAL, bounds, [*instances(2), canary]) == (), "the floor is 3"
    assert clear_failed(GOAL, bounds, [overloaded(1, "web/2"), overloaded(2, "web/2")]) == ()


def test_a_stale_one_that_was_registered_by_nobody_is_put_back_at_a_checkpoint() -> None:
    fleet = [*instances(2), ready_unlisted(3), an_instance(4, "web/2")]

    plan = planned(*fleet, pace=Pace(upto=1), unavailable=2)

    assert isinstance(plan, Wave)
    assert [type(s) for s in plan.steps] == [Register]
