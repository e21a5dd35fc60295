"""From which suite each package of a new image is: asked of the sources while they are as the
bake found them, since a later index has only what is newest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ovenbird.bake.bakery import Bakery
from ovenbird.packages.archive import offers, rules_of
from ovenbird.packages.sources import Source
from ovenbird.packages.stale import with_origins
from ovenbird.values.errors import Inconclusive
from ovenbird.values.package import Inventory


def with_their_origins(
    inventory: Inventory, sources: Sequence[Source], bakery: Bakery
) -> Inventory:
    """Add to each package the suite that has it. A source that cannot be read is told, and
    leaves its packages without: they were installed from it all the same."""
    names = {package.name for package in inventory.packages}
    architectures = {package.architecture for package in inventory.packages} - {"all"}
    rules = rules_of(bakery.environment, cache=bakery.site.folder / "cache" / "indexes")
    found = []
    for source in sources:
        try:
            found += offers(
                source,
                names=names,
                architectures=architectures,
                rules=rules,
                now=bakery.clock.now(),
            )
        except Inconclusive as error:
            bakery.console.note(f"  {error.problem}")
    return replace(inventory, packages=with_origins(inventory.packages, found))
