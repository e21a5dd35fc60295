"""All that determines an image but the day's packages, and its hash.

The inputs have no engine in them and no version of a tool: an upgrade of Packer or Ansible must
not roll production. Those are provenance.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass

BAKE_FORMAT = 1
"""Raised when Ovenbird itself bakes the same recipe into something else: every image is stale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What goes into one image. ``inputs`` maps a name that a person knows ("roles/web/tasks/
    main.yml", "variable web_title", "parent") to the SHA-256 of its content."""

    family: str
    inputs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, family: str, contents: Mapping[str, bytes]) -> Recipe:
        hashed = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        return cls(family=family, inputs=tuple(sorted(hashed.items())))

    @property
    def fingerprint(self) -> str:
        """SHA-256 over the family's name, the bake format and every input, as 64 hex digits."""
        text = json.dumps([BAKE_FORMAT, self.family, self.inputs], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One input that differs between two recipes: ``what`` is changed, added or removed."""

    what: str
    name: str


def explain(before: Recipe, after: Recipe) -> tuple[Change, ...]:
    """Say which inputs differ, in the order of their names; nothing where the recipes are one."""
    old, new = dict(before.inputs), dict(after.inputs)
    return tuple(
        Change(what="added" if n not in old else "removed" if n not in new else "changed", name=n)
        for n in sorted(old.keys() | new.keys())
        if old.get(n) != new.get(n)
    )
