"""``inventories/patch.yml``: when images are baked anew, and how a new one travels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, BeforeValidator, Field

from ovenbird.config.environment import environments
from ovenbird.config.fleet_entry import SecretReference
from ovenbird.config.schema import Entry, parse, refuse
from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.config.yaml import Document, read
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.patch import Patching, Rule, Step

FILE = "inventories/patch.yml"
DEFAULT = "default"

WORDS = {
    "at_once": timedelta(0),
    "daily": timedelta(days=1),
    "weekly": timedelta(days=7),
    "monthly": timedelta(days=30),
    "never": None,
}
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
MOST = timedelta(days=3650)
SPAN = "A span is 90m, 12h, 30d or 4w, up to ten years."
CADENCE = "at_once, daily, weekly, monthly, never, or a span as in 12h or 3d"


def _span(value: object) -> timedelta:
    """``"3d"`` is three days, ``0`` and ``"0"`` are none at all."""
    if value in (0, "0") and not isinstance(value, bool):
        return timedelta(0)
    read_ = (
        re.fullmatch(r"([1-9][0-9]{0,9}) ?(s|m|h|d|w)", value) if isinstance(value, str) else None
    )
    if read_ is None:
        refuse(
            f"is no span of time: {value!r}"
            if isinstance(value, str)
            else f"must be a span of time, not {kind_of(value)}",
            SPAN,
        )
    found = timedelta(seconds=int(read_[1]) * UNITS[read_[2]])
    if found > MOST:
        refuse("is longer than ten years", SPAN)
    return found


def _cadence(value: object) -> timedelta | None:
    return WORDS[value] if isinstance(value, str) and value in WORDS else _span(value)


def _cron(text: str) -> str:
    from datetime import UTC, datetime

    try:
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration):
        refuse(f"is no time table of cron that ever comes: {text!r}", 'Every night: "30 2 * * *"')
    return text


Span = Annotated[timedelta, BeforeValidator(_span)]
Cadence = Annotated[timedelta | None, BeforeValidator(_cadence)]


class RuleEntry(Entry):
    security: Cadence = Field(default=timedelta(0), description=CADENCE)
    all: Cadence = Field(default=timedelta(days=7), description=CADENCE)
    max_age: Cadence = Field(default=timedelta(days=30), description=CADENCE)


class StepEntry(Entry):
    env: str = Field(description="the name of an environment, whose channel has its name")
    soak: Span = Field(default=timedelta(0), description="a span as in 12h or 3d")
    approval: bool = Field(default=False, description="true or false")


class ScheduleEntry(Entry):
    at: Annotated[str, AfterValidator(_cron)] = Field(
        default="30 2 * * *", description="when, in the five fields of cron"
    )
    disable_after: int = Field(default=5, ge=1, le=100, description="a number of failures in a row")


class PatchEntry(Entry):
    path: list[StepEntry] = Field(
        default_factory=list, description="a list of {env: …, soak: …, approval: …}"
    )
    rules: dict[str, RuleEntry] = Field(
        default_factory=dict, description="FAMILY or default: {security: …, all: …, max_age: …}"
    )
    schedule: ScheduleEntry = Field(
        default_factory=ScheduleEntry, description="{at: …, disable_after: …}"
    )
    notify: list[SecretReference] = Field(
        default_factory=list, description="file:PATH or command:PROGRAM…, each an Apprise URL"
    )
    metrics: str = Field(default="", description="the path of a file that ends in .prom")


def patching(project: Path) -> Patching:
    """Read the file; without one there is no path, and the rules are the defaults.

    Raises `ConfigurationError` with every fault.
    """
    if not (project / FILE).exists():
        return Patching()
    document = read(project, FILE)
    if document.data is None:
        return Patching()
    faults: list[Fault] = []
    entry = parse(
        PatchEntry, document.data, document=document, loc=(), called="patch", faults=faults
    )
    if entry is None:
        raise ConfigurationError(faults)
    if faults := [*_faults(entry, project, document)]:
        raise ConfigurationError(faults)
    return Patching(
        path=tuple(Step(env=s.env, soak=s.soak, approval=s.approval) for s in entry.path),
        default=_rule(entry.rules.get(DEFAULT, RuleEntry())),
        rules={name: _rule(rule) for name, rule in entry.rules.items() if name != DEFAULT},
        at=entry.schedule.at,
        disable_after=entry.schedule.disable_after,
        notify=tuple(entry.notify),
        metrics=entry.metrics,
    )


def _faults(entry: PatchEntry, project: Path, document: Document) -> Iterator[Fault]:
    """Find what no single entry can know: environments, families, and one that comes twice."""
    known, seen = environments(project), set[str]()
    for index, step in enumerate(entry.path):
        loc = ("path", index, "env")
        if step.env not in known:
            hint = did_you_mean(step.env, known)
            problem = f"patch: there is no environment {step.env!r}.{hint}"
            yield document.fault(loc, problem, allowed(known, what="Environments"))
        elif step.env in seen:
            problem = f"patch: {step.env} is on the path twice."
            yield document.fault(loc, problem, "An image comes to each environment once.")
        seen.add(step.env)
    if entry.path and (entry.path[0].soak or entry.path[0].approval):
        yield document.fault(
            ("path", 0),
            "patch: the first environment asks for evidence, and there is none before it.",
            "Put soak and approval into the step that comes after it.",
        )
    written = read(project, "packer/images.yml").data
    families = list(written.get("families") or {}) if isinstance(written, dict) else []
    for name in entry.rules:
        if name != DEFAULT and families and name not in families:
            hint = did_you_mean(name, families)
            problem = f"patch: there is no family {name!r} to have a rule.{hint}"
            remedy = allowed([DEFAULT, *families], what="Families")
            yield document.fault(("rules", name), problem, remedy, key=True)
    if entry.metrics and not entry.metrics.endswith(".prom"):
        problem = f"patch: metrics names {entry.metrics!r}, and Prometheus reads only *.prom."
        yield document.fault(("metrics",), problem, "Name a file that ends in .prom.")


def _rule(entry: RuleEntry) -> Rule:
    return Rule(security=entry.security, all=entry.all, max_age=entry.max_age)
