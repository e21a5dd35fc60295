"""Whole rollouts as an operator reads them, with every rule checked at each step of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from tests.builders import KEY, a_goal, an_instance, bounds, instances, ready_unlisted
from tests.safety import decide
from tests.worlds import World

from ovenbird.rollout import plan
from ovenbird.rollout.preview import document, rehearse
from ovenbird.rollout.rehearsal import play
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A world, and what one should look for in its transcript."""

    name: str
    says: str
    limits: Bounds
    fleet: Sequence[Instance]
    untried: bool = True
    goal: Goal = a_goal("web/2")
    outcome: Health = Health.SERVING
    notes: tuple[str, ...] = ()


def _replacements() -> list[Case]:
    """Web/1 → web/2 for four sizes under three kinds of limits."""
    kinds: dict[str, Callable[[int], Bounds]] = {
        "surge-1": lambda size: bounds(size),
        "unavailable-1": lambda size: bounds(size, surge=0, unavailable=1),
        "quarters": lambda size: bounds(size, surge=-(-size // 4), unavailable=size // 4),
    }
    says = {
        "surge-1": "One more for a while, never one less.",
        "unavailable-1": "No room for one more, so one less for a while.",
        "quarters": "25% more (rounded up) and 25% less (rounded down).",
    }
    return [
        Case(name=f"{size:02}-{kind}", says=says[kind], limits=of(size), fleet=instances(size))
        for size in (1, 2, 3, 10)
        for kind, of in kinds.items()
    ]


def _others() -> list[Case]:
    resumed = [
        an_instance(2),
        an_instance(3),
        an_instance(4, "web/2"),
        ready_unlisted(1, leaving=True),
        ready_unlisted(5, "web/2"),
    ]
    bad = [*instances(3), an_instance(4, "web/2", Health.FAILED, because="answered 500")]
    dead = [
        an_instance(n, "web/2", Health.FAILED, accepted=True, because="ended by itself")
        for n in (1, 2, 3)
    ]
    ill = [
        an_instance(n, "web/1", Health.FAILED, accepted=True, because="answered 500")
        for n in (1, 2, 3)
    ]
    old_data = [an_instance(n, "web/2", launch_hash="before") for n in (1, 2, 3)]
    dark = [an_instance(n, health=Health.UNKNOWN, because="no answer") for n in (1, 2, 3)]
    three = bounds(3)
    tight = bounds(3, surge=0, unavailable=1)
    return [
        Case(name="first-launch", says="Nothing runs yet.", limits=three, fleet=[]),
        Case(
            name="bad-canary",
            says="The canary never becomes healthy.",
            limits=three,
            fleet=instances(3),
            outcome=Health.FAILED,
        ),
        Case(
            name="bad-canary-without-surge",
            says="The same, where one had to give up its room.",
            limits=tight,
            fleet=instances(3),
            outcome=Health.FAILED,
        ),
        Case(
            name="resume",
            says="The driver died: one drain had begun, one that was accepted has no traffic.",
            limits=three,
            fleet=resumed,
            untried=False,
        ),
        Case(
            name="rollback",
            says="Back to web/1, which has served here: no canary.",
            limits=bounds(3, surge=2),
            fleet=instances(3, "web/2"),
            goal=a_goal("web/1"),
            untried=False,
        ),
        Case(
            name="rollback-of-a-bad-canary",
            says="Back to web/1: only the bad one has to go.",
            limits=three,
            fleet=bad,
            goal=a_goal("web/1"),
            untried=False,
        ),
        Case(
            name="new-launch-data",
            says="The same image with another value is a rollout like any other.",
            limits=three,
            fleet=old_data,
            notes=("changed: greeting",),
        ),
        Case(
            name="ill-fleet",
            says="All of the old ones are ill: that does not block the fix.",
            limits=three,
            fleet=ill,
        ),
        Case(
            name="restarted-host",
            says="All of them ended with their host; web/2 has served here.",
            limits=three,
            fleet=dead,
            untried=False,
        ),
        Case(name="nothing-seen", says="No probe has an answer.", limits=three, fleet=dark),
        Case(
            name="scale-up",
            says="From 3 to 10.",
            limits=bounds(10, surge=3, unavailable=2),
            fleet=instances(3, "web/2"),
            untried=False,
        ),
        Case(
            name="scale-down-to-none",
            says="From 2 to 0.",
            limits=bounds(0),
            fleet=instances(2, "web/2"),
            untried=False,
        ),
        Case(
            name="arrived",
            says="Nothing to do.",
            limits=three,
            fleet=instances(3, "web/2"),
            untried=False,
        ),
    ]


CASES = [*_replacements(), *_others()]


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_a_rehearsal_reads_as_it_did(case: Case, golden: Callable[[str, str], None]) -> None:
    text = rehearse(
        KEY,
        case.goal,
        case.limits,
        case.fleet,
        untried=case.untried,
        min_healthy_time=10,
        notes=case.notes,
        outcome=case.outcome,
    )

    golden(case.name, f"{case.says}\n\n{text}\n")


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_every_step_of_a_rehearsal_keeps_every_rule(case: Case) -> None:
    played = play(case.goal, case.limits, case.fleet, untried=case.untried, outcome=case.outcome)
    world = World(bounds=case.limits, fleet=tuple(case.fleet), untried=case.untried, goal=case.goal)

    decide(plan, world)
    for wave, fleet in zip(played.waves, played.fleets, strict=True):
        tried = any(i.is_serving for i in replace(world, fleet=fleet).current())
        world = replace(world, fleet=fleet, untried=world.untried and not tried)
        assert getattr(decide(plan, world), "steps", ()) == wave.steps
        serving = sum(i.is_serving for i in fleet)
        present = len(world.present())
        assert wave.lowest >= min(case.limits.floor, serving)
        assert wave.most <= max(case.limits.ceiling, present)


def test_the_document_tells_what_the_text_tells() -> None:
    case = next(case for case in CASES if case.name == "03-surge-1")
    played = play(case.goal, case.limits, case.fleet, untried=True)

    told = document(played, min_healthy_time=10)

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


def test_every_transcript_belongs_to_a_case() -> None:
    names = {path.stem for path in Path(__file__).parent.glob("*.txt")}

    assert names == {case.name for case in CASES}
