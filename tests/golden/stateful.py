"""Fleets with volumes, as transcripts tell of them."""

from __future__ import annotations

from dataclasses import replace

from tests.builders import an_instance, bounds
from tests.golden.case import Case

from ovenbird.values.instance import Health, Instance
from ovenbird.values.limits import Bounds


def stateful() -> list[Case]:
    """Numbered slots: the fleet's own data is on their volumes."""

    def slots(size: int, version: str = "web/1") -> list[Instance]:
        return [replace(an_instance(9 - slot, version), slot=slot) for slot in range(size)]

    def numbered(size: int) -> Bounds:
        return replace(bounds(size, surge=0, unavailable=1), numbered=True)

    led = [replace(i, rank=rank) for i, rank in zip(slots(3), (2, 0, 1), strict=True)]
    return [
        *(
            Case(
                name=f"stateful-{size}",
                says="Slot by slot from the lowest, the old one ended first.",
                limits=numbered(size),
                fleet=slots(size),
            )
            for size in (1, 2, 3)
        ),
        Case(
            name="stateful-leader-last",
            says="The same, and slot 0 leads.",
            limits=numbered(3),
            fleet=led,
            untried=False,
        ),
        Case(
            name="stateful-bad-canary",
            says="The new image fails in slot 0, and costs no other.",
            limits=numbered(3),
            fleet=slots(3),
            outcome=Health.FAILED,
        ),
        Case(
            name="stateful-scale-down",
            says="Three of the goal, and one wanted: the highest slots go first.",
            limits=numbered(1),
            fleet=slots(3, "web/2"),
            untried=False,
        ),
    ]
