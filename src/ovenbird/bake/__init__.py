"""Bake an image, unless its recipe is known. The story is told by `bake`, the making by `make`."""

from __future__ import annotations

from dataclasses import replace

from ovenbird.bake.bakery import Bakery, Result, Wish
from ovenbird.bake.ingredients import recipe_of
from ovenbird.bake.known import already, family_named, known_version
from ovenbird.values.family import Family
from ovenbird.values.image import Version


def bake(name: str, bakery: Bakery, wish: Wish) -> Result:
    """Bake a family, and before it each ancestor whose recipe is not known.

    Raises `ConfigurationError` (2), `Blocked` (3), or `BakeFailed` and `ProofFailed` (1); then
    nothing half made is left.
    """
    *ancestors, family = _line(name, bakery)
    parent: Version | None = None
    for ancestor in ancestors:
        as_it_is = replace(wish, force=False, refresh=False)
        parent = _bake_one(ancestor, parent, bakery, as_it_is).version
    return _bake_one(family, parent, bakery, wish)


def _bake_one(family: Family, parent: Version | None, bakery: Bakery, wish: Wish) -> Result:
    recipe = recipe_of(family, project=bakery.project, variables=bakery.variables, parent=parent)
    if (known := known_version(recipe, bakery)) and not wish.force and not wish.refresh:
        return already(known, bakery)
    from concurrent.futures import ThreadPoolExecutor

    from ovenbird.bake.make import make
    from ovenbird.bake.upkeep import alone, clean_after_the_dead, require_room
    from ovenbird.packages.index import package_state
    from ovenbird.packages.sources import lend

    with alone(family, bakery):
        if (later := known_version(recipe, bakery)) and later != known and not wish.force:
            return already(later, bakery)  # somebody baked it while we waited
        clean_after_the_dead(bakery)
        mirrors = bakery.site.folder / "cache" / "mirrors.json"
        with ThreadPoolExecutor() as meanwhile:  # asking the engine takes as long as the network
            room = meanwhile.submit(require_room, bakery)
            sources = lend(family.sources, bakery.environment, cache=mirrors)
            packages = package_state(sources, bakery.environment)
            room.result()
        if known and wish.refresh and not wish.force and known.packages == packages:
            return Result(
                version=known,
                fresh=False,
                because=f"{known} has today's packages already: no index of its sources moved",
            )
        with bakery.console.inside(f"Baking {family.name}" + (f" from {parent}" if parent else "")):
            version = make(family, parent, recipe, sources, packages, bakery, wish)
    bakery.console.step(f"Registered {version} ({version.fingerprint[:8]}…), on no channel yet")
    return Result(version=version, fresh=True, because=wish.because or _due(known, wish))


def _due(known: Version | None, wish: Wish) -> str:
    if known is None:
        return "its recipe is new"
    return "it was forced" if wish.force else f"packages moved since {known}"


def _line(name: str, bakery: Bakery) -> list[Family]:
    """List a family's ancestors, the first one first, and then the family."""
    family = family_named(name, bakery)
    return [*(_line(family.parent, bakery) if family.parent else []), family]
