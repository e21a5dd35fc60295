"""What is known to be wrong with a package, how bad it is, and what a gate makes of it.

A severity is compared by its rank, never by its letters. What nobody has rated is `UNRATED`, and
each gate says what that counts as: silence is no proof of harmlessness.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from typing import Protocol

from ovenbird.values.package import Package

DEFAULT = "default"
"""The gate of every channel and environment that has none of its own."""


class Severity(StrEnum):
    """How bad it is, from the least to the worst."""

    UNRATED = "unrated"
    NEGLIGIBLE = "negligible"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        return tuple(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Advisory:
    """A source package has a vulnerability from ``introduced`` on ("0" is from the beginning).

    It ends before ``fixed_in``, or after ``last_affected``, or not yet. ``versions`` names single
    ones instead, where there are any. ``aliases`` are other names of the same vulnerability,
    ``covers`` the vulnerabilities that an announcement of several is about.
    """

    id: str
    package: str
    ecosystem: str
    severity: Severity = Severity.UNRATED
    summary: str = ""
    introduced: str = "0"
    fixed_in: str | None = None
    last_affected: str | None = None
    versions: frozenset[str] = frozenset()
    aliases: tuple[str, ...] = ()
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Affected:
    """An image has a package that an advisory is about.

    ``binaries`` are all that it has of that source and version, ``package`` is the first of them.
    """

    advisory: Advisory
    package: Package
    binaries: tuple[str, ...]

    @property
    def fixable(self) -> bool:
        return self.advisory.fixed_in is not None

    def __str__(self) -> str:
        advisory, package = self.advisory, self.package
        fix = f"fixed in {advisory.fixed_in}" if self.fixable else "no fix yet"
        return (
            f"{advisory.id} ({advisory.severity}) {package.source} {package.source_version}: {fix}"
        )


class Exemption(Protocol):
    """What somebody has decided to live with until a day, and why.

    ``package`` is a source or a binary package, or "" for all that the advisory is about.
    """

    @property
    def advisory(self) -> str: ...
    @property
    def package(self) -> str: ...
    @property
    def reason(self) -> str: ...
    @property
    def owner(self) -> str: ...
    @property
    def expires(self) -> date: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """What may not be promoted or rolled out: ``severity`` or worse, with ``fixable`` only what
    has a fix. ``unrated`` is what an advisory counts as that nobody has rated."""

    severity: Severity = Severity.HIGH
    fixable: bool = True
    unrated: Severity = Severity.HIGH

    def stops(self, affected: Affected) -> bool:
        rated = affected.advisory.severity
        counts = self.unrated if rated is Severity.UNRATED else rated
        return counts.rank >= self.severity.rank and (affected.fixable or not self.fixable)

    def __str__(self) -> str:
        return f"{self.severity} or worse{' with a fix' if self.fixable else ''}"


class Shape(StrEnum):
    """How a source of advisories is written."""

    DEBIAN_TRACKER = "debian_tracker"
    OSV = "osv"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisorySource:
    """Where advisories come from: a URL or a file, and which part of it is about our images.

    ``scope`` is a release of the Debian tracker ("bookworm") or an ecosystem of OSV ("Debian:12").
    """

    shape: Shape
    place: str
    scope: str

    def __str__(self) -> str:
        return f"{self.place} ({self.scope})"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisorySettings:
    """``inventories/advisories.yml``. Data older than ``max_age`` proves nothing."""

    sources: tuple[AdvisorySource, ...] = ()
    max_age: timedelta = timedelta(days=7)
    gates: tuple[tuple[str, Gate], ...] = ()

    def gate_for(self, name: str) -> Gate | None:
        """Return the gate of a channel or environment, or the default one, or None."""
        gates = dict(self.gates)
        return gates.get(name, gates.get(DEFAULT))
