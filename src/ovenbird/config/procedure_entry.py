"""``rollout:`` of a fleet and ``budget:`` of an environment, and what is impossible in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from ovenbird.config.gate_entries import (
    MetricEntry,
    Smoke,
    WindowEntry,
    metric_faults,
    smoke_faults,
)
from ovenbird.config.schema import DurationOrZero, Entry, refuse
from ovenbird.config.wording import kind_of
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault
from ovenbird.values.limits import Share, count_of
from ovenbird.values.procedure import Budget, Checkpoint, OnFailure, Procedure, Strategy

WHOLE = "End with 100%, so that the file says what happens to the whole fleet."


def _step(value: object) -> object:
    """``10%`` is ``{to: 10%}``."""
    return value if isinstance(value, dict) else {"to": value}


def _share(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and re.fullmatch(r"[1-9][0-9]?%|100%", value):
        return value
    shown = repr(value) if isinstance(value, (str, int, float)) else kind_of(value)
    return refuse(f"cannot be {shown}", "Allowed: a number of instances from 1, or 1% to 100%.")


class StepEntry(Entry):
    to: Annotated[Any, BeforeValidator(_share)] = Field(
        description="a number of instances or a share, such as 10%"
    )
    soak: DurationOrZero | None = Field(default=None, description="a duration, such as 5m")
    approve: bool | None = Field(default=None, description="true or false")


class RolloutEntry(Entry):
    strategy: Literal["rolling", "stepped", "blue-green"] = Field(
        default="rolling", description="rolling, stepped or blue-green"
    )
    steps: list[Annotated[StepEntry, BeforeValidator(_step)]] = Field(
        default_factory=list, description="a list, such as [1, 10%, 50%, 100%]"
    )
    soak: DurationOrZero = Field(default=0.0, description="a duration, such as 5m")
    approve: bool = Field(default=False, description="true or false")
    keep_previous: DurationOrZero = Field(default=0.0, description="a duration, such as 10m")
    on_failure: Literal["stop", "rollback"] = Field(default="stop", description="stop or rollback")
    max_failed: int = Field(default=2, ge=1, le=1000, description="a whole number from 1 to 1000")
    windows: list[WindowEntry] = Field(
        default_factory=list, description="a list of {cron: …, length: …, zone: …}"
    )
    smoke: Smoke | None = Field(
        default=None, description="[PROGRAM, ARGUMENT, …], {command: …} or {pytest: FILE}"
    )
    metrics: list[MetricEntry] = Field(
        default_factory=list, description="a list of {name: …, prometheus: …, query: …, above: …}"
    )

    def value(self) -> Procedure:
        return Procedure(
            strategy=Strategy(self.strategy),
            checkpoints=tuple(self._checkpoints()),
            soak=self.soak,
            keep_previous=self.keep_previous,
            on_failure=OnFailure(self.on_failure),
            max_failed=self.max_failed,
            windows=tuple(window.value() for window in self.windows),
            smoke=None if self.smoke is None else self.smoke.value(),
            metrics=tuple(metric.value() for metric in self.metrics),
        )

    def _checkpoints(self) -> Iterator[Checkpoint]:
        """What a step leaves open is the rollout's; after the last nobody is asked."""
        for number, step in enumerate(self.steps, start=1):
            approve = self.approve if step.approve is None else step.approve
            yield Checkpoint(
                share=step.to,
                soak=self.soak if step.soak is None else step.soak,
                approve=approve and number < len(self.steps),
            )


class BudgetEntry(Entry):
    fleets: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="how many fleets are rolled at once, 1 or more"
    )
    instances: Annotated[int, Field(ge=1)] | None = Field(
        default=None, description="how many instances are being ended at once, 1 or more"
    )

    def value(self) -> Budget:
        return Budget(fleets=self.fleets, instances=self.instances)


def procedure_faults(
    entry: RolloutEntry,
    *,
    size: int,
    with_limits: bool,
    stateful: bool,
    document: Document,
    loc: Loc,
    called: str,
    project: Path,
) -> Iterator[Fault]:
    """What a well-typed ``rollout:`` at ``loc`` still gets wrong for a fleet of ``size``.

    ``with_limits`` is whether the fleet has limits of its own beside it; a ``stateful`` one is
    told elsewhere that it is never blue-green.
    """
    yield from _strategy_faults(
        entry,
        with_limits=with_limits,
        stateful=stateful,
        document=document,
        loc=loc,
        called=called,
    )
    if entry.strategy == "stepped" and entry.steps:
        yield from _step_faults(entry, size=size, document=document, loc=loc, called=called)
    if entry.smoke is not None:
        here = (*loc, "smoke")
        yield from smoke_faults(
            entry.smoke, document=document, loc=here, called=called, project=project
        )
    yield from metric_faults(entry.metrics, document=document, loc=(*loc, "metrics"), called=called)


def _strategy_faults(
    entry: RolloutEntry,
    *,
    with_limits: bool,
    stateful: bool,
    document: Document,
    loc: Loc,
    called: str,
) -> Iterator[Fault]:
    """Keys that the strategy does not read: somebody would wait for what never happens."""
    stepped, blue_green = entry.strategy == "stepped", entry.strategy == "blue-green"
    if stepped and not entry.steps:
        problem = f"{called}: a stepped rollout needs its steps, and there are none."
        remedy = "Add steps: [1, 10%, 50%, 100%], or set strategy: rolling."
        yield document.fault((*loc, "strategy"), problem, remedy)
    for key, wanted in (
        ("steps", "stepped"),
        ("approve", "stepped"),
        ("keep_previous", "blue-green"),
    ):
        if stateful and wanted == "blue-green":
            continue
        if getattr(entry, key) and entry.strategy != wanted:
            problem = (
                f"{called}: {key} belongs to strategy: {wanted}, and this one is {entry.strategy}."
            )
            remedy = f"Set strategy: {wanted}, or remove {key}."
            yield document.fault((*loc, key), problem, remedy, key=True)
    if blue_green and with_limits and not stateful:
        yield document.fault(
            (*loc[:-1], "limits"),
            f"{called}: a blue-green rollout has a whole second fleet beside the first, so limits "
            "say nothing in it.",
            "Remove limits, or set strategy: rolling or stepped.",
            key=True,
        )


def _step_faults(
    entry: RolloutEntry, *, size: int, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    """Steps rise, stay within the fleet, and the last is the whole of it."""
    here, last = (*loc, "steps"), len(entry.steps) - 1
    counts = [_count(step.to, size) for step in entry.steps]
    for number, step in enumerate(entry.steps):
        if isinstance(step.to, int) and step.to > size > 0:
            problem = f"{called}: step {number + 1} is {step.to}, and the fleet has {size}."
            remedy = "A step is at most the size of the fleet; 100% is always all of it."
            yield document.fault((*here, number), problem, remedy)
    for number, (before, after) in enumerate(pairwise(counts), start=1):
        if after < before <= size:
            one, two = entry.steps[number - 1].to, entry.steps[number].to
            yield document.fault(
                (*here, number),
                f"{called}: steps fall from {one} to {two}: {before}, then {after} of {size}.",
                "Write the steps in the order in which they are taken, the smallest first.",
            )
    if counts[last] < size:
        problem = f"{called}: the last step is {entry.steps[last].to}: {counts[last]} of {size}."
        yield document.fault((*here, last), problem, WHOLE)
    if entry.steps[last].approve:
        problem = f"{called}: nothing follows the last step, so there is nothing to approve."
        remedy = "Put approve: true at the step before; a rollout waits after a step."
        yield document.fault((*here, last), problem, remedy)


def _count(share: Share, size: int) -> int:
    """How many a step allows, as `Procedure.counts` reads it."""
    return max(1, count_of(share, size, up=True))
