"""What a fleet runs: a version of a family, what each provider holds of it, and how to name it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from ovenbird.values.errors import ConfigurationError

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")
"""Families, channels, fleets and environments: safe as a label, a host name and a file name."""


class ImageState(StrEnum):
    ACTIVE = "active"  # may be launched, may be assigned to a channel
    DEPRECATED = "deprecated"  # still launches, with a warning
    REVOKED = "revoked"  # never launches again; fleets that run it are stale
    FAILED = "failed"  # was baked and not proven: never launches, kept for its log
    RETIRED = "retired"  # its artifacts are deleted or being deleted; never launches again


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageRef:
    """What an operator writes for an image: ``web@stable`` (a channel) or ``web/2`` (a version)."""

    family: str
    version: int | None = None
    channel: str | None = None

    @classmethod
    def parse(cls, text: str) -> ImageRef:
        """Read ``web@stable`` or ``web/2``; raise `ConfigurationError` for anything else."""
        family, at, channel = text.partition("@")
        if at and NAME.fullmatch(family) and NAME.fullmatch(channel):
            return cls(family=family, channel=channel)
        family, slash, number = text.partition("/")
        if slash and NAME.fullmatch(family) and re.fullmatch(r"[0-9]{1,9}", number):
            return cls(family=family, version=int(number))
        raise ConfigurationError.of(
            f"{text!r} does not name an image.",
            remedy="Write FAMILY/NUMBER (web/2) or FAMILY@CHANNEL (web@stable).",
        )

    def __str__(self) -> str:
        if self.version is not None:
            return f"{self.family}/{self.version}"
        return f"{self.family}@{self.channel}"


@dataclass(frozen=True, slots=True, kw_only=True)
class StopPolicy:
    """How an instance is asked to end: a signal, and after ``timeout`` seconds force."""

    signal: str = "SIGRTMIN+3"
    timeout: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """What an image asks of its launch, fixed when it is baked.

    A rollback to an older version uses the older contract. ``writable`` are paths that instances
    may change, with all below them: no drift.
    """

    port: int | None = None
    config: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    stop: StopPolicy = StopPolicy()
    writable: tuple[str, ...] = ()
    jobs: tuple[tuple[str, tuple[str, ...]], ...] = ()  # name → what the image runs for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What one provider holds of a version.

    ``template`` is the hash of the rendered source, ``parent`` the parent's artifact id (or the
    definition of a base), ``location`` where the engine keeps it, so that a look costs no process.
    """

    provider: str
    id: str
    template: str
    parent: str
    token: str
    location: str
    size: int
    baked_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """Who made a version, why, with which tools, from which apt sources: told, never compared."""

    by: str
    because: str
    tools: tuple[tuple[str, str], ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A golden image. It is never edited: a change is another version.

    ``fingerprint`` hashes the recipe, ``packages`` the signed indexes of its sources on the day,
    ``identity`` both: what a child's recipe names as its parent. ``ambient`` are the paths that
    changed by themselves while it was proven: every boot does that, so it is no drift.
    """

    family: str
    number: int
    fingerprint: str
    packages: str
    packages_at: datetime
    baked_at: datetime
    state: ImageState = ImageState.ACTIVE
    parent: str | None = None
    channels: tuple[str, ...] = ()
    artifacts: tuple[Artifact, ...] = ()
    contract: Contract = field(default_factory=Contract)
    provenance: Provenance
    state_because: str = ""
    log: str = ""
    ambient: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        return f"{self.fingerprint}+{self.packages}"

    @property
    def launchable(self) -> bool:
        return self.state in (ImageState.ACTIVE, ImageState.DEPRECATED)

    def artifact(self, provider: str) -> Artifact | None:
        return next((a for a in self.artifacts if a.provider == provider), None)

    def __str__(self) -> str:
        return f"{self.family}/{self.number}"
