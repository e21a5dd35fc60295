"""Whole rollouts as an operator reads them, with every rule checked at each step of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders import KEY
from tests.golden.case import Case
from tests.golden.cases import CASES
from tests.safety import decide
from tests.worlds import World

from ovenbird.rollout import plan
from ovenbird.rollout.preview import document, rehearse
from ovenbird.rollout.rehearsal import Rehearsal, play


def _case(name: str) -> Case:
    return next(case for case in CASES if case.name == name)


def _played(case: Case) -> Rehearsal:
    return play(
        case.goal,
        case.limits,
        case.fleet,
        untried=case.untried,
        procedure=case.procedure,
        passed=case.passed,
        upto=case.upto,
        outcome=case.outcome,
    )


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_rehearsal_reads_as_it_did(case: Case, golden: Callable[[str, str], None]) -> None:
    text = rehearse(
        KEY,
        case.goal,
        case.limits,
        case.fleet,
        untried=case.untried,
        procedure=case.procedure,
        passed=case.passed,
        upto=case.upto,
        min_healthy_time=10,
        notes=case.notes,
        outcome=case.outcome,
    )

    golden(case.name, f"{case.says}\n\n{text}\n")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_step_of_a_rehearsal_keeps_every_rule(case: Case) -> None:
    played = _played(case)
    world = World(bounds=case.limits, fleet=tuple(case.fleet), untried=case.untried, goal=case.goal)

    decide(plan, world)
    for wave, fleet in zip(played.waves, played.fleets, strict=True):
        tried = any(i.is_serving for i in replace(world, fleet=fleet).current())
        untried = world.untried and not tried
        world = replace(world, fleet=fleet, untried=untried, pace=wave.pace)
        assert getattr(decide(plan, world), "steps", ()) == wave.steps
        serving = sum(i.is_serving for i in fleet)
        present = len(world.present())
        assert wave.lowest >= min(case.limits.floor, serving)
        assert wave.most <= max(case.limits.ceiling, present)


def test_the_document_tells_what_the_text_tells() -> None:
    told = document(_played(_case("03-surge-1")), min_healthy_time=10)

    assert (told["ends"], told["because"]) == ("done", "3 of 3 run web/2")
    assert told["seconds_at_least"] == 30
    assert [wave["wave"] for wave in told["waves"]] == [1, 2, 3, 4, 5, 6]
    assert told["waves"][0]["steps"] == [
        {
            "step": "launch",
            "instance": None,
            "because": "untried in this fleet: one canary first; 3 instances, ceiling 4",
        }
    ]
    assert told["waves"][1]["steps"][0]["instance"] == "web-001"


def test_the_document_tells_the_checkpoints_and_what_is_kept() -> None:
    stepped = document(_played(_case("stepped-04")), min_healthy_time=10)
    assert [c["instances"] for c in stepped["checkpoints"]] == [1, 1, 2]
    assert stepped["checkpoints"][0] == {
        "checkpoint": 1,
        "after_wave": 2,
        "instances": 1,
        "soak_seconds": 300,
        "approve": True,
    }
    assert (stepped["seconds_of_soak"], stepped["seconds_at_least"]) == (1200, 1240)

    switched = document(_played(_case("blue-green-2")))
    assert switched["kept"] == ["web-001", "web-002"]
    assert switched["waves"][-1]["steps"][0]["step"] == "retire"


def test_every_transcript_belongs_to_a_case() -> None:
    names = {path.stem for path in Path(__file__).parent.glob("*.txt")}

    assert names == {case.name for case in CASES}
