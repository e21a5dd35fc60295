"""Parents and descendants of a version."""

from __future__ import annotations

from collections.abc import Sequence

from ovenbird.values.image import Version


def descendants(version: Version, everything: Sequence[Version]) -> tuple[Version, ...]:
    """List all that was baked on a version, and on those, in the order of ``everything``."""
    family = {str(version)}
    found: list[Version] = []
    grew = True
    while grew:
        children = [v for v in everything if v.parent in family and str(v) not in family]
        family |= {str(v) for v in children}
        found += children
        grew = bool(children)
    return tuple(found)
