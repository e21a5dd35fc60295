"""Refusals that an operator can act on, found by the words in which an engine says them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ovenbird.values.errors import Blocked


@dataclass(frozen=True, slots=True)
class Known:
    """One refusal: it is ``kind`` where any of ``words`` (in small letters) is said."""

    kind: type[Blocked]
    words: tuple[str, ...]
    problem: str
    remedy: str


def known(table: Sequence[Known], said: str, *, doing: str, evidence: str) -> Blocked | None:
    """Return the first that fits as an error, ``doing: problem``; None where none does."""
    for each in table:
        if any(word in said.lower() for word in each.words):
            return each.kind(f"{doing}: {each.problem}", remedy=each.remedy, evidence=evidence)
    return None
