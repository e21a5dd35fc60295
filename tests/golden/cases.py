"""The worlds of which the transcripts tell, and what one should look for in each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tests.builders import (
    a_goal,
    an_instance,
    bounds,
    instances,
    kept,
    overloaded,
    ready_unlisted,
)
from tests.golden.case import Case
from tests.golden.stateful import stateful

from ovenbird.values.instance import Health
from ovenbird.values.limits import Bounds, Limits
from ovenbird.values.procedure import Checkpoint, Procedure, Strategy


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


STEPPED = Procedure(
    strategy=Strategy.STEPPED,
    checkpoints=(
        Checkpoint(share=1, soak=300, approve=True),
        Checkpoint(share="10%", soak=300),
        Checkpoint(share="50%", soak=600),
        Checkpoint(share="100%"),
    ),
)
BLUE_GREEN = Procedure(strategy=Strategy.BLUE_GREEN, keep_previous=600)


def _stepped() -> list[Case]:
    """One, 10%, 50% and all of it, with a soak at each and a person's word at the first."""
    sizes = {
        1: "Of 1 the first step is the whole fleet: there is nothing to soak before.",
        2: "Of 2 three steps are 1 instance: one canary, and three soaks.",
        4: "1, 10%, 50% and 100% of 4, with a soak before each next one.",
        10: "1, 10%, 50% and 100% of 10, with a soak before each next one.",
    }
    whole = [
        Case(
            name=f"stepped-{size:02}",
            says=says,
            limits=bounds(size),
            fleet=instances(size),
            procedure=STEPPED,
        )
        for size, says in sizes.items()
    ]
    half = [
        ready_unlisted(1, leaving=True),
        *(an_instance(n) for n in (2, 3)),
        an_instance(4, "web/2"),
        ready_unlisted(5, "web/2"),
    ]
    return [
        *whole,
        Case(
            name="stepped-without-surge",
            says="No room for more than 4: each step gives up what it needs.",
            limits=bounds(4, surge=0, unavailable=2),
            fleet=instances(4),
            procedure=STEPPED,
        ),
        Case(
            name="stepped-resumed",
            says="Two checkpoints of 10 lie behind.",
            limits=bounds(10, surge=2),
            fleet=[*instances(9), an_instance(10, "web/2")],
            untried=False,
            procedure=STEPPED,
            passed=2,
        ),
        Case(
            name="window-closing",
            says="The window closes in mid-wave: what is in hand is finished, no more is launched.",
            limits=bounds(4),
            fleet=half,
            untried=False,
            upto=2,
        ),
        Case(
            name="window-closing-on-a-pending-one",
            says="The window closes while one is on its way: it still takes its place.",
            limits=bounds(3),
            fleet=[*instances(3), an_instance(4, "web/2", Health.PENDING)],
            untried=False,
            upto=1,
        ),
    ]


def _blue_green() -> list[Case]:
    switches = [
        Case(
            name=f"blue-green-{size}{'' if untried else '-known'}",
            says=f"{how}: a whole second fleet of {size}, one switch.",
            limits=BLUE_GREEN.bounds(Limits(), size),
            fleet=instances(size),
            untried=untried,
            procedure=BLUE_GREEN,
        )
        for size in (1, 2, 3)
        for untried, how in ((True, "Untried"), (False, "Known"))
    ]
    three = BLUE_GREEN.bounds(Limits(), 3)
    interrupted = [
        *instances(3),
        an_instance(4, "web/2"),
        *(ready_unlisted(n, "web/2") for n in (5, 6)),
    ]
    return [
        *switches,
        Case(
            name="blue-green-rollback",
            says="Back to web/1, which is kept: a switch, and no launch.",
            limits=three,
            fleet=[*(kept(n) for n in (1, 2, 3)), *(an_instance(n, "web/2") for n in (4, 5, 6))],
            untried=False,
            goal=a_goal("web/1"),
            procedure=BLUE_GREEN,
        ),
        Case(
            name="blue-green-rollback-with-an-ill-one",
            says="Back to web/1, of which one has died meanwhile: it is replaced first.",
            limits=three,
            fleet=[
                *(kept(n) for n in (1, 2)),
                kept(3, health=Health.FAILED),
                *(an_instance(n, "web/2") for n in (4, 5, 6)),
            ],
            untried=False,
            goal=a_goal("web/1"),
            procedure=BLUE_GREEN,
        ),
        Case(
            name="blue-green-interrupted",
            says="The driver died in the switch: it is finished.",
            limits=three,
            fleet=interrupted,
            untried=False,
            procedure=BLUE_GREEN,
        ),
        Case(
            name="blue-green-not-kept",
            says="Nothing is to be kept: the previous ones are ended after the switch.",
            limits=three,
            fleet=instances(3),
            untried=False,
            procedure=replace(BLUE_GREEN, keep_previous=0),
        ),
        Case(
            name="blue-green-bad-canary",
            says="The canary never becomes healthy: nothing was switched.",
            limits=three,
            fleet=instances(3),
            procedure=BLUE_GREEN,
            outcome=Health.FAILED,
        ),
    ]


def _ill() -> list[Case]:
    some = [overloaded(1), overloaded(2), an_instance(3)]
    return [
        Case(
            name="ill-but-in-service",
            says="Every probe fails and the balancers disagree: no capacity is given up for it.",
            limits=bounds(3),
            fleet=[overloaded(n) for n in (1, 2, 3)],
        ),
        Case(
            name="ill-but-in-service-without-surge",
            says="The same without surge: as far as the floor, and no further.",
            limits=bounds(3, surge=0, unavailable=1),
            fleet=some,
            untried=False,
        ),
        Case(
            name="circuit-breaker",
            says="One serves, two never become healthy: that is enough.",
            limits=bounds(4),
            fleet=[*instances(3), an_instance(4, "web/2")],
            untried=False,
            outcome=Health.FAILED,
        ),
    ]


CASES = [*_replacements(), *_others(), *_stepped(), *_blue_green(), *_ill(), *stateful()]
