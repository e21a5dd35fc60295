"""One package that is installed in an image."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Kind(StrEnum):
    """Which package manager it belongs to, by the name that package URLs give it."""

    DEB = "deb"
    RPM = "rpm"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Package:
    """A binary package as its manager tells it.

    ``source`` and ``source_version`` name what it was built from: advisories are about sources.
    ``origin`` is the suite that offered this very version when the image was proven, or "".
    """

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    origin: str = ""
    kind: Kind = Kind.DEB

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """What is installed in one artifact, read from inside while it was proven.

    ``files`` are the SHA-256 of every file that no package brought, or that is a package's
    configuration and was changed since.
    """

    packages: tuple[Package, ...]
    files: tuple[tuple[str, str], ...] = ()
    provider: str = ""
    read_at: datetime | None = None
