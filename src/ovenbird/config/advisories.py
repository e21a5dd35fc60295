"""``inventories/advisories.yml``: where advisories come from, and what they may stop."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from ovenbird.config.schema import Entry, parse, refuse
from ovenbird.config.variables import CREDENTIALS
from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.config.yaml import Document, read
from ovenbird.values.advisory import (
    AdvisorySettings,
    AdvisorySource,
    Gate,
    Severity,
    Shape,
)
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.image import NAME

FILE = "inventories/advisories.yml"
UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
SCOPES = {Shape.DEBIAN_TRACKER: "release", Shape.OSV: "ecosystem"}
"""The key that says which part of a source's data is about our images."""

GATES = [str(severity) for severity in Severity if severity is not Severity.UNRATED]


def _age(value: object) -> object:
    said = re.fullmatch(r"([1-9][0-9]{0,3})([hd])", value) if isinstance(value, str) else None
    if said is None:
        shown = f"{value!r}" if isinstance(value, str) else kind_of(value)
        refuse(f"must be an age, not {shown}", "An age is 12h or 7d.")
    return int(said[1]) * UNITS[said[2]]


def _place(text: str) -> str:
    if CREDENTIALS.search(text):
        refuse("has credentials in its URL, and it is named in messages", "Fetch it to a file.")
    if "://" in text and not text.startswith(("https://", "http://")):
        refuse(f"cannot be {text!r}", "Allowed: a URL of https or http, or a file.")
    return text


def _severity(value: object) -> object:
    if not isinstance(value, str) or value not in GATES:
        shown = f"{value!r}" if isinstance(value, str) else kind_of(value)
        hint = did_you_mean(value, GATES) if isinstance(value, str) else ""
        refuse(f"cannot be {shown}{hint and '.'}{hint}", allowed(GATES))
    return Severity(value)


Place = Annotated[str, Field(min_length=1), AfterValidator(_place)]
Level = Annotated[Severity, BeforeValidator(_severity)]


class SourceEntry(Entry):
    debian_tracker: Place | None = Field(
        default=None, description="the URL or file of the Debian tracker's JSON"
    )
    osv: Place | None = Field(
        default=None, description="the URL or file of OSV documents: JSON, or a zip of it"
    )
    release: str | None = Field(
        default=None,
        pattern=r"^[a-z]+$",
        description="a release by its name, such as bookworm",
    )
    ecosystem: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z][A-Za-z ]*(:[A-Za-z0-9.]+)?$",
        description="an ecosystem of OSV, such as Debian:12",
    )


class GateEntry(Entry):
    severity: Level = Field(default=Gate().severity, description="low, medium, high or critical")
    fixable: bool = Field(default=Gate().fixable, description="true or false")
    unrated: Level = Field(
        default=Gate().unrated, description="what an advisory without a rating counts as"
    )

    def value(self) -> Gate:
        return Gate(severity=self.severity, fixable=self.fixable, unrated=self.unrated)


class AdvisoriesEntry(Entry):
    sources: list[SourceEntry] = Field(
        default_factory=list, description="a list of {debian_tracker: …} and {osv: …}"
    )
    max_age: Annotated[timedelta, BeforeValidator(_age)] = Field(
        default=AdvisorySettings().max_age, description="an age, such as 7d"
    )
    gates: dict[str, GateEntry] = Field(
        default_factory=dict, description="CHANNEL or ENVIRONMENT: {severity: high, fixable: true}"
    )


def advisory_settings(project: Path) -> AdvisorySettings:
    """What the file says; no source and no gate where there is none.

    Raises `ConfigurationError` with every fault.
    """
    if not (project / FILE).exists():
        return AdvisorySettings()
    document = read(project, FILE)
    if document.data is None:
        return AdvisorySettings()
    faults: list[Fault] = []
    entry = parse(
        AdvisoriesEntry,
        document.data,
        document=document,
        loc=(),
        called="advisories",
        faults=faults,
    )
    if entry is None:
        raise ConfigurationError(faults)
    sources = [
        source
        for number, each in enumerate(entry.sources)
        if (source := _source(each, document, number, faults)) is not None
    ]
    for name in entry.gates:
        if not NAME.fullmatch(name):
            problem = f"{name!r} is no name of a channel or an environment."
            remedy = "Allowed: a small letter, then up to 30 small letters, digits and -."
            faults.append(document.fault(("gates", name), problem, remedy, key=True))
    if entry.gates and not entry.sources:
        problem = "There are gates, and no source of advisories to ask."
        remedy = "Add sources: [{debian_tracker: URL, release: bookworm}], or remove the gates."
        faults.append(document.fault(("gates",), problem, remedy, key=True))
    if faults:
        raise ConfigurationError(faults)
    return AdvisorySettings(
        sources=tuple(sources),
        max_age=entry.max_age,
        gates=tuple((name, gate.value()) for name, gate in entry.gates.items()),
    )


def _source(
    entry: SourceEntry, document: Document, number: int, faults: list[Fault]
) -> AdvisorySource | None:
    loc = ("sources", number)
    said = [shape for shape in Shape if getattr(entry, shape) is not None]
    if len(said) != 1:
        problem = f"A source is one of {' and '.join(Shape)}, and this is {len(said)} of them."
        remedy = "Write {debian_tracker: URL, release: bookworm} or {osv: URL, ecosystem: NAME}."
        faults.append(document.fault(loc, problem, remedy))
        return None
    (shape,) = said
    scope = getattr(entry, SCOPES[shape])
    if scope is None:
        field = SCOPES[shape]
        remedy = f"Allowed: {SourceEntry.model_fields[field].description}."
        faults.append(document.fault(loc, f"A source {shape} needs its {field}.", remedy))
        return None
    for other in set(SCOPES.values()) - {SCOPES[shape]}:
        if getattr(entry, other) is not None:
            problem = f"A source {shape} has no {other}."
            remedy = f"Remove it: {SCOPES[shape]} says what of it is about our images."
            faults.append(document.fault((*loc, other), problem, remedy, key=True))
    return AdvisorySource(shape=shape, place=getattr(entry, shape), scope=scope)
