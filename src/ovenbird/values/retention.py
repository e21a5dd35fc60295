"""How long a family's images stay, as its owner wrote it: ``retention:`` in packer/images.yml."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """The newest ``keep`` that may launch stay on every engine, and what is younger than
    ``min_age``. What somebody needs stays anyway."""

    keep: int
    min_age: timedelta
