"""Faults to plant into verbs, planner and driver, each with the shortest day that shows it.

A rule that no fault breaks proves nothing. ``python -m tests.sequences.run --faults`` looks for
these days anew, from nothing but the fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.sequences.moves import Kind, Move

from ovenbird import rollout
from ovenbird.care import acts, tend
from ovenbird.rollout import drive, endings, goal, plan
from ovenbird.rollout.act import Hands
from ovenbird.rollout.decision import Launch
from ovenbird.rollout.goal import Chosen, choose
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.plan import Terminate
from ovenbird.rollout.reconcile import Reconciler
from ovenbird.rollout.repair import as_settled
from ovenbird.rollout.setting import Setting
from ovenbird.values.instance import Health, Instance

Plant = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, words of the rule that it breaks, and the shortest ``moves`` that show it."""

    what: str
    plant: Plant
    breaks: str
    moves: tuple[Move, ...]
    kind: Kind = Kind()


def _no_floor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(endings._Purse, "_bears", lambda *_: True)


def _one_above_the_ceiling(patch: pytest.MonkeyPatch) -> None:
    launches: Callable[[Any], Iterator[Launch]] = plan._launches

    def more(fleet: Any) -> Iterator[Launch]:
        found = list(launches(fleet))
        yield from found
        yield from found[-1:]

    patch.setattr(plan, "_launches", more)


def _repair_with_what_the_channel_says(patch: pytest.MonkeyPatch) -> None:
    def newest(setting: Setting) -> Chosen:
        return replace(choose(setting, retry=True), kind="repair", untried=False, resumed=None)

    patch.setattr(tend, "choose_repair", newest)
    patch.setattr(acts, "choose_repair", newest)


def _nothing_is_refused(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(goal, "still_allowed", lambda *_, **__: None)
    patch.setattr(rollout, "still_allowed", lambda *_, **__: None)


def _wishes_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Lookout, "_as_wished", lambda _, instance: instance)


def _the_air_is_left_as_it_is(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reconciler, "finish_what_is_in_the_air", lambda *_: None)


def _launched_before_it_is_written(patch: pytest.MonkeyPatch) -> None:
    order = Hands._order

    def at_once(hands: Hands, token: str, slot: int) -> Any:
        made = order(hands, token, slot)
        hands._setting.provider.launch(made)
        return made

    patch.setattr(Hands, "_order", at_once)


def _ended_without_a_drain(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Hands, "_terminate", lambda hands, token, why: hands.end(token, why))


def _the_lost_are_good_enough(patch: pytest.MonkeyPatch) -> None:
    def seen_well(goal_: Any, observed: tuple[Instance, ...], **how: bool) -> tuple[Instance, ...]:
        well = [
            replace(i, health=Health.SERVING) if i.health is Health.LOST else i for i in observed
        ]
        return as_settled(goal_, well, **how)

    patch.setattr(drive, "as_settled", seen_well)
    patch.setattr(tend, "as_settled", seen_well)


def _the_unwanted_go_first(patch: pytest.MonkeyPatch) -> None:
    bears = endings._Purse._bears
    patch.setattr(endings._Purse, "_bears", lambda p, i: bool(i.unwanted) or bears(p, i))


def _quarantine_ends_it(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(endings, "_ending", lambda instance, why: Terminate(instance.token, why))


def _no_budget(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Hands, "_require_budget", lambda *_: None)


FAULTS = (
    Fault("no floor", _no_floor, "and the floor is", (Move("rebuild"),)),
    Fault("one above the ceiling", _one_above_the_ceiling, "the ceiling is", (Move("rebuild"),)),
    Fault(
        "a repair launches what the channel says",
        _repair_with_what_the_channel_says,
        "has settled",
        (Move("roll", 1, bad=True), Move("rebuild")),
    ),
    Fault(
        "nothing is refused",
        _nothing_is_refused,
        "which is pinned",
        (Move("roll", 1), Move("roll back"), Move("roll", 1)),
    ),
    Fault(
        "wishes are forgotten",
        _wishes_are_forgotten,
        "the ceiling is",
        (Move("quarantine"), Move("exit", 1)),
    ),
    Fault(
        "the air is left as it is",
        _the_air_is_left_as_it_is,
        "has not listed it",
        (Move("rebuild", dies=12),),
    ),
    Fault(
        "launched before it is written",
        _launched_before_it_is_written,
        "in no record",
        (),
    ),
    Fault("ended without a drain", _ended_without_a_drain, "gets traffic", (Move("rebuild"),)),
    Fault("the lost are good enough", _the_lost_are_good_enough, "web/1", (Move("lose"),)),
    Fault("the unwanted go first", _the_unwanted_go_first, "and the floor is", (Move("rebuild"),)),
    Fault(
        "no budget is asked",
        _no_budget,
        "and the budget is",
        (Move("quarantine", 0, dies=10), Move("quarantine", 1, dies=10), Move("roll", 1)),
        Kind(procedure=2, budget=1),
    ),
    Fault(
        "quarantine ends it", _quarantine_ends_it, "before its quarantine", (Move("quarantine"),)
    ),
)
