"""``windows:``, ``smoke:`` and ``metrics:`` of a fleet's ``rollout:``, as they are written."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ovenbird.config.schema import Duration, Entry, refuse
from ovenbird.config.wording import did_you_mean
from ovenbird.config.yaml import Document, Loc
from ovenbird.values.errors import Fault
from ovenbird.values.procedure import Direction, MetricSpec, SmokeSpec, Window

FIVE = 'A cron has five fields: "0 22 * * 1-5" is 22:00 from Monday to Friday.'
IANA = "Write a name of the time zone database, such as Europe/Berlin or UTC."
PLACES = ("env", "family", "fleet", "image")
"""What ``$NAME`` in a query may stand for."""


def _cron(text: str) -> str:
    """A cron of five fields that comes at least once in fifty years."""
    from datetime import UTC, datetime

    from cronsim import CronSim, CronSimError

    if len(text.split()) != 5:
        refuse(f"cannot be {text!r}", FIVE)
    try:
        comes = next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)), None)
    except CronSimError as bad:
        refuse(f"cannot be {text!r}: {str(bad).lower()}", FIVE)
    if comes is None:
        refuse(f"cannot be {text!r}: it never comes", FIVE)
    return text


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        hint = did_you_mean(name, available_timezones())
        refuse(f"cannot be {name!r}: there is no such time zone{hint and '.'}{hint}", IANA)
    return name


def _url(text: str) -> str:
    """An address of a Prometheus; a password in it is refused, and not repeated."""
    from urllib.parse import urlsplit

    wanted = "Write where Prometheus answers, such as http://127.0.0.1:9090."
    try:
        parts = urlsplit(text)
        complete = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        refuse("is not an address", wanted)
    if "@" in parts.netloc:
        refuse("holds a name or a password; no secret may stand in this file", wanted)
    if not complete or parts.query or parts.fragment:
        refuse(f"is not an address that begins with http:// or https://: {text!r}", wanted)
    return text


def _query(text: str) -> str:
    if not text.strip():
        refuse("is empty", "Write a query of Prometheus that gives a number.")
    for name in Template(text).get_identifiers():
        if name not in PLACES:
            hint = did_you_mean(name, PLACES)
            known = ", ".join(f"${place}" for place in PLACES)
            told = f"asks for ${name}, which is nothing{hint and '.'}{hint}"
            refuse(told, f"Allowed in a query: {known}.")
    return text


def _short_command(value: object) -> object:
    return {"command": value} if isinstance(value, list) else value


class WindowEntry(Entry):
    cron: Annotated[str, AfterValidator(_cron)] = Field(
        description='a cron of five fields, such as "0 22 * * 1-5"'
    )
    length: Duration = Field(description="a duration, such as 4h")
    zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", description="a time zone, such as Europe/Berlin"
    )

    def value(self) -> Window:
        return Window(cron=self.cron, length=self.length, zone=self.zone)


class SmokeEntry(Entry):
    command: list[Annotated[str, Field(min_length=1)]] | None = Field(
        default=None, min_length=1, description="[PROGRAM, ARGUMENT, …]"
    )
    pytest: Annotated[str, Field(min_length=1)] | None = Field(
        default=None, description="the path of a file of tests"
    )
    timeout: Duration = Field(default=60.0, description="a duration, such as 60s")

    def value(self) -> SmokeSpec:
        if self.pytest is None:
            return SmokeSpec(argv=tuple(self.command or ()), timeout=self.timeout)
        argv = (sys.executable, "-m", "pytest", "-q", self.pytest)
        return SmokeSpec(argv=argv, timeout=self.timeout)


Smoke = Annotated[SmokeEntry, BeforeValidator(_short_command)]


class MetricEntry(Entry):
    name: Annotated[str, Field(min_length=1)] = Field(description="what you call it")
    prometheus: Annotated[str, AfterValidator(_url)] = Field(
        description="an address, such as http://127.0.0.1:9090"
    )
    query: Annotated[str, AfterValidator(_query)] = Field(description="a query of Prometheus")
    above: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="a number; more than it is bad"
    )
    below: Annotated[float, Field(allow_inf_nan=False)] | None = Field(
        default=None, description="a number; less than it is bad"
    )
    must_have_data: bool = Field(default=True, description="true or false")
    timeout: Duration = Field(default=10.0, description="a duration, such as 10s")

    def value(self) -> MetricSpec:
        above = self.above is not None
        return MetricSpec(
            name=self.name,
            url=self.prometheus,
            query=self.query,
            threshold=(self.above if above else self.below) or 0.0,
            direction=Direction.ABOVE if above else Direction.BELOW,
            must_have_data=self.must_have_data,
            timeout=self.timeout,
        )


def smoke_faults(
    entry: SmokeEntry, *, document: Document, loc: Loc, called: str, project: Path
) -> Iterator[Fault]:
    """One way to say it, and a file that is there. A bare program is looked for when it runs."""
    ways = [way for way in ("command", "pytest") if getattr(entry, way) is not None]
    if len(ways) != 1:
        problem = "a smoke test is a command or a pytest file"
        told = f"{called}: {problem}, not both." if ways else f"{called}: {problem}; here is none."
        shape = "Write smoke: [PROGRAM, ARGUMENT, …] or smoke: {pytest: FILE}."
        yield document.fault(loc, told, shape)
        return
    at = next((one for one in ((*loc, ways[0]), loc) if _stands(document, one)), loc)
    program = entry.pytest if entry.pytest is not None else (entry.command or [""])[0]
    if entry.pytest is None and "/" not in program:
        return
    path = project / program
    if not path.is_file():
        told = f"{called}: there is no smoke test {program}."
        yield document.fault(at, told, "A path starts at the project; create the file.")
    elif entry.pytest is None and not os.access(path, os.X_OK):
        told = f"{called}: the smoke test {program} is not executable."
        yield document.fault(at, told, f"Make it so: chmod +x {program}")


def metric_faults(
    entries: list[MetricEntry], *, document: Document, loc: Loc, called: str
) -> Iterator[Fault]:
    """Exactly one threshold each, and a name of its own."""
    names: dict[str, int] = {}
    for number, entry in enumerate(entries):
        here = (*loc, number)
        given = [side for side in ("above", "below") if getattr(entry, side) is not None]
        if len(given) != 1:
            how = "both above and below" if given else "neither above nor below"
            yield document.fault(
                (*here, "below") if given else here,
                f"{called}: metric {entry.name!r} has {how}, so nobody knows what is bad.",
                "Keep one: above: NUMBER (more is bad) or below: NUMBER (less is bad).",
                key=bool(given),
            )
        if entry.name in names:
            first = document.line((*loc, names[entry.name]))
            yield document.fault(
                (*here, "name"),
                f"{called}: two metrics are called {entry.name!r} (the other in line {first}).",
                "Give each metric a name of its own.",
            )
        names.setdefault(entry.name, number)


def _stands(document: Document, loc: Loc) -> bool:
    """Whether a place was written like this: a short form has no key of its own."""
    node = document.data
    for step in loc:
        if not isinstance(node, dict) or step not in node:
            return False
        node = node[step]
    return True
