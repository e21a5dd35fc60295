"""Bake an image, unless its recipe is known. The story is told by `bake`, the making by `make`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ovenbird.bake.bakery import Bakery, Result, Wish
from ovenbird.bake.ingredients import recipe_of
from ovenbird.bake.known import already, family_named, known_version
from ovenbird.values.errors import Blocked
from ovenbird.values.family import Family
from ovenbird.values.image import Artifact, ImageRef, Version


def bake(name: str, bakeries: Sequence[Bakery], wish: Wish) -> Result:
    """Bake a family on every engine, and before it each ancestor whose recipe is not known.

    Raises `ConfigurationError` (2), `Blocked` (3), or `BakeFailed` and `ProofFailed` (1); then
    nothing half made is left, and what other engines have finished stays.
    """
    *ancestors, family = _line(name, bakeries[0])
    if len(bakeries) > 1 and wish.force:
        wish = replace(wish, since=bakeries[0].clock.now())
    parent: Version | None = None
    for ancestor in ancestors:
        as_it_is = replace(wish, force=False, refresh=False, since=None)
        parent = _on_each(ancestor, parent, bakeries, as_it_is).version
    return _on_each(family, parent, bakeries, wish)


def _on_each(
    family: Family, parent: Version | None, bakeries: Sequence[Bakery], wish: Wish
) -> Result:
    """Bake one family side by side, until one version has an artifact on every engine."""
    if len(bakeries) == 1:
        return _bake_one(family, parent, bakeries[0], wish)
    from ovenbird.bake.abreast import abreast

    results = abreast([partial(_bake_one, family, parent, each, wish) for each in bakeries])
    newest = max(results, key=lambda result: (result.version.number, result.fresh))
    late = [b for b in bakeries if _held(newest.version, b) is None]
    # An older image of the same recipe is not this version: its packages are of another day.
    again = replace(wish, force=False, refresh=True)
    abreast([partial(_bake_one, family, parent, each, again) for each in late])
    whole = bakeries[0].catalog.resolve(ImageRef.parse(str(newest.version)))
    if missing := [b.oven.name for b in bakeries if whole.artifact(b.oven.name) is None]:
        raise Blocked(
            f"{whole} has no artifact for {', '.join(missing)}: the packages of its sources moved "
            "while it was baked.",
            remedy=f"Nothing is lost. Bake once more: invoke bake {family.name}",
        )
    return replace(newest, version=whole)


def _held(version: Version, bakery: Bakery) -> Artifact | None:
    return bakery.catalog.resolve(ImageRef.parse(str(version))).artifact(bakery.oven.name)


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
        if parent is not None:  # somebody may have revoked or retired it while we waited
            bakery.catalog.launchable(ImageRef.parse(str(parent)))
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
