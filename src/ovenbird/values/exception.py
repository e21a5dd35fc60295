"""What an operator accepts for a while: a secret in an image, or an advisory about a package.

Each says why, who answers for it, and until when; there is none "for ever".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from ovenbird.values.secret import Finding, SecretKind


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretException:
    """Findings of one kind below paths that match a glob: ``*`` and ``?`` stay within a folder,
    ``**`` does not. ``expires`` is the last day that it counts; ``line`` is where it stands."""

    kind: SecretKind
    path: str
    reason: str
    owner: str
    expires: date
    line: int = 0

    def allows(self, finding: Finding) -> bool:
        return self.kind is finding.kind and bool(_pattern(self.path).fullmatch(finding.path))

    def __str__(self) -> str:
        return f"{self.kind} in {self.path}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AdvisoryException:
    """One advisory, for one package by name or, with "", for every package."""

    advisory: str
    package: str
    reason: str
    owner: str
    expires: date
    line: int = 0

    def allows(self, advisory: str, *, package: str) -> bool:
        return self.advisory == advisory and self.package in ("", package)

    def __str__(self) -> str:
        return f"{self.advisory} in {self.package or 'every package'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceptions:
    """All of ``inventories/bake/exceptions.yml``, in the order of the file."""

    secrets: tuple[SecretException, ...] = ()
    advisories: tuple[AdvisoryException, ...] = ()


def _pattern(glob: str) -> re.Pattern[str]:
    """``/etc/*.conf`` is one folder deep; ``/srv/**`` is all below /srv."""
    parts = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    split = re.split(r"(\*\*|\*|\?)", glob)
    return re.compile("".join(parts.get(part, re.escape(part)) for part in split), re.DOTALL)
