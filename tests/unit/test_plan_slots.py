"""A fleet with volumes: its slots are replaced one by one, and no slot ever has two instances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.builders import a_goal, an_instance, bounds

from ovenbird.rollout.plan import Done, Failed, Launch, Plan, Terminate, Wait, Wave, next_wave
from ovenbird.rollout.rehearsal import play
from ovenbird.rollout.slots import free_slot
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds

GOAL = a_goal("web/2")


def numbered(size: int, *, unavailable: int = 1) -> Bounds:
    return replace(bounds(size, surge=0, unavailable=unavailable), numbered=True)


def a_slot(slot: int, version: str = "web/1", health: Health = Health.SERVING) -> Instance:
    """One that serves in a slot, the youngest in slot 0: age must decide nothing here."""
    return replace(an_instance(90 - slot, version, health), slot=slot)


def slots(size: int, version: str = "web/1") -> list[Instance]:
    return [a_slot(slot, version) for slot in range(size)]


def ended(plan: Plan) -> list[str]:
    steps = plan.steps if isinstance(plan, Wave) else ()
    return [step.token for step in steps if isinstance(step, Terminate)]


def rolled(
    fleet: Sequence[Instance], limits: Bounds, *, goal: Goal = GOAL, chance: Random | None = None
) -> tuple[list[int], list[Instance]]:
    """Drive a fleet as a driver does, one ending a look; return the slots in the order of their
    ending, and the fleet at its end. No slot is ever launched twice, none is out of range."""
    now, order, number = list(fleet), list[int](), 0
    for _ in range(200):
        plan = next_wave(goal, limits, now, untried=not any(goal.is_run_by(i) for i in now))
        if isinstance(plan, Done):
            return order, now
        if isinstance(plan, Wait):
            now = [
                replace(a_slot(i.slot, i.version), token=i.token, launched_at=i.launched_at)
                if i.health is Health.PENDING
                else i
                for i in now
            ]
            continue
        assert isinstance(plan, Wave), plan
        steps = list(plan.steps)
        if chance is not None:  # a driver died somewhere in it
            steps = steps[: chance.randint(0, len(steps))]
        for step in steps:
            if isinstance(step, Launch):
                number += 1
                slot = free_slot({i.slot for i in now})
                assert slot < limits.size, "launched beyond the size"
                new = replace(a_slot(slot, goal.version, Health.PENDING), token=f"new-{number}")
                now.append(new)
            elif isinstance(step, Terminate):
                order.append(next(i.slot for i in now if i.token == step.token))
                now = [i for i in now if i.token != step.token]
                break
        held = [i.slot for i in now]
        assert len(held) == len(set(held)), "two instances of one slot"
        assert sum(i.is_serving for i in now) >= min(limits.floor, len(fleet))
    raise AssertionError("it goes round in circles")


@pytest.mark.parametrize("size", [1, 2, 3])
def test_slots_are_replaced_from_the_lowest_up_whatever_their_age(size: int) -> None:
    order, last = rolled(slots(size), numbered(size))

    assert order == list(range(size))
    assert sorted(i.slot for i in last) == list(range(size))
    assert {i.version for i in last} == {"web/2"}


@given(st.integers(1, 6), st.integers(1, 3), st.integers(0, 2**32).map(Random))
def test_no_slot_ever_has_two_wherever_its_drivers_die(
    size: int, unavailable: int, chance: Random
) -> None:
    limits = numbered(size, unavailable=min(unavailable, size))

    _, last = rolled(slots(size), limits, chance=chance)

    assert sorted(i.slot for i in last) == list(range(size))


@given(st.integers(1, 6), st.integers(0, 6), st.booleans())
def test_a_smaller_size_ends_the_highest_slots_first(before: int, less: int, stale: bool) -> None:
    size = max(before - less, 0)
    fleet = slots(before, "web/1" if stale else "web/2")

    order, last = rolled(fleet, numbered(size) if size else numbered(0, unavailable=0))

    beyond = list(range(size, before))[::-1]
    assert order[: len(beyond)] == beyond
    assert sorted(i.slot for i in last) == list(range(size))


def test_a_slot_beyond_the_size_goes_though_as_many_are_there_as_wanted() -> None:
    """Slot 1 was lost while somebody made the fleet smaller: its data is what is wanted."""
    order, last = rolled([a_slot(0, "web/2"), a_slot(2, "web/2")], numbered(2))

    assert order == [2]
    assert [i.slot for i in last] == [0, 1]


@given(st.permutations(range(4)))
def test_the_order_that_was_asked_for_is_kept(ranks: list[int]) -> None:
    fleet = [replace(i, rank=rank) for i, rank in zip(slots(4), ranks, strict=True)]

    order, _ = rolled(fleet, numbered(4))

    assert [ranks[slot] for slot in order] == [0, 1, 2, 3]


def test_a_failed_canary_costs_its_slot_and_no_other() -> None:
    bad = [a_slot(0, "web/2", Health.FAILED), *slots(3)[1:]]

    assert isinstance(next_wave(GOAL, numbered(3), bad, untried=True), Failed)
    back = next_wave(a_goal("web/1"), numbered(3), bad, untried=False)
    assert ended(back) == [bad[0].token]


def test_a_rehearsal_gives_each_new_one_the_slot_of_the_one_before_it() -> None:
    played = play(GOAL, numbered(3), slots(3), untried=True)

    assert isinstance(played.end, Done)
    assert [len({i.slot for i in fleet}) for fleet in played.fleets] == [
        len(fleet) for fleet in played.fleets
    ]
    assert max(moment.most for moment in played.waves) == 3
