"""What a bake starts from."""

from __future__ import annotations

from functools import partial

from ovenbird.bake.bakery import Bakery
from ovenbird.bake.disk_image import fetched
from ovenbird.bake.ledger import Ledger
from ovenbird.bake.tree import tree
from ovenbird.bake.upkeep import require_vouched
from ovenbird.packages.sources import Source, apt_options
from ovenbird.values.errors import BakeFailed
from ovenbird.values.family import Definition, Family
from ovenbird.values.image import Version


def source_of(
    family: Family,
    parent: Version | None,
    sources: tuple[Source, ...],
    packages: str,
    book: Ledger,
    bakery: Bakery,
) -> str:
    """Return the artifact id: the parent's, or that of a first tree, a disk or a registry's image.

    ``packages`` is the state of ``sources`` today. What is made for it stands in ``book`` first.
    """
    if parent is not None:
        artifact = parent.artifact(bakery.oven.name)
        if artifact is None:
            raise BakeFailed(
                f"{parent} has no artifact for {bakery.oven.name}.",
                remedy=f"Bake it there first: invoke bake {parent.family} --on {bakery.oven.name}",
            )
        require_vouched(parent, artifact, bakery)
        return artifact.id
    definition = family.definition or Definition()
    if definition.oci:
        with bakery.console.inside(f"Fetching {definition.oci}"):
            return bakery.oven.adopt_reference(definition.oci)
    name = f"localhost/ovenbird-bake/{book.token}"
    if definition.disk:
        with bakery.console.inside(f"Taking the disk {definition.disk.origin}"):
            book.intend(image=name)
            fetch = partial(fetched, definition.disk, family, bakery)
            return bakery.oven.adopt_disk(fetch, name=name)
    with bakery.console.inside(f"Making the first tree of {definition.suite} with mmdebstrap"):
        tar = tree(
            definition,
            needs=bakery.oven.needs,
            sources=sources,
            options=apt_options(bakery.environment),
            packages=packages,
            cache=bakery.site.folder / "cache",
        )
        book.intend(image=name)
        return bakery.oven.adopt_tree(tar, name=name)
