"""What a rollout brings into a fleet: the difference of its two images, in one line."""

from __future__ import annotations

from ovenbird.catalog.inventory import Inventories
from ovenbird.packages.compare import difference
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.image import ImageRef

NAMED = 3
"""Packages that are named; those for security come first."""


def inside(setting: Setting, chosen: Chosen) -> str:
    """Say it, or "" where one of the two was proven before it was noted what is in it."""
    if not chosen.before or chosen.before == chosen.goal.version:
        return ""
    try:
        old = setting.catalog.resolve(ImageRef.parse(chosen.before))
    except ConfigurationError:
        return ""  # it is not in the catalog any more
    kept = Inventories(setting.site.database)
    now = kept.of(chosen.version, chosen.artifact.provider)
    was = kept.of(old, chosen.artifact.provider)
    if was is None or now is None:
        return ""
    found = difference(was, now, ignoring={*old.ambient, *chosen.version.ambient})
    first = sorted(found.packages, key=lambda change: not change.security)[:NAMED]
    named = [f"{c.name} {c.before} → {c.after}" for c in first if c.before and c.after]
    more = f" ({', '.join(named)}{', …' if len(found.packages) > len(named) else ''})"
    return f"{old} → {chosen.version}: {found}{more if named else ''}"
