"""How a new image travels, as ``inventories/patch.yml`` says it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

DAY = timedelta(days=1)
NEVER = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """When a family is baked anew. Each is how long an update may wait since the packages of the
    newest image were read; `NEVER` where it is no reason. ``max_age`` counts though nothing
    has changed."""

    security: timedelta | None = timedelta(0)
    all: timedelta | None = 7 * DAY
    max_age: timedelta | None = 30 * DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One environment on the way. An image comes here after it has served for ``soak`` in every
    fleet of the environment before, and with ``approval`` after somebody approved it."""

    env: str
    soak: timedelta = timedelta(0)
    approval: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patching:
    """All that a patch run is told. Without a path images are baked and proven, and go nowhere.

    ``at`` is when the schedule runs it (cron, this machine's own time), ``disable_after`` how
    many scheduled runs in a row may fail, ``notify`` are Apprise URLs as secret references.
    """

    path: tuple[Step, ...] = ()
    default: Rule = Rule()
    rules: Mapping[str, Rule] = field(default_factory=dict)
    at: str = "30 2 * * *"
    disable_after: int = 5
    notify: tuple[str, ...] = field(default=(), repr=False)
    metrics: str = ""

    def rule(self, family: str) -> Rule:
        return self.rules.get(family, self.default)
