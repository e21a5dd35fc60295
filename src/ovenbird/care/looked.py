"""What the engines and the bakes of this host add to what the state says of who needs an image."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from ovenbird.bake import ledger
from ovenbird.care.store import Store
from ovenbird.catalog.needs import References
from ovenbird.values.errors import OvenbirdError
from ovenbird.values.image import ImageState, Version


def looked_at(store: Store, versions: Sequence[Version], known: References) -> References:
    """Ask every engine what really runs, and whether it holds anything of the catalog at all.

    An engine that fails is noted as silent, with its words.
    """
    silent: dict[str, str] = {}
    empty: dict[str, int] = {}
    seen: dict[str, dict[str, int]] = {}
    for name, engine in store.engines.items():
        mine = [
            artifact
            for v in reversed(versions)
            if v.state is not ImageState.RETIRED
            for artifact in v.artifacts
            if artifact.provider == name
        ]
        try:
            for key, at in store.fleets.items():
                for each in engine.instances(key) if name in at else ():
                    if each.fleet.site == store.site.id:
                        counts = seen.setdefault(each.version, {})
                        fleet = f"{key.env}/{key.name}"
                        counts[fleet] = counts.get(fleet, 0) + 1
            if mine and not any(engine.present(artifact) for artifact in mine):
                empty[name] = len(mine)
        except OvenbirdError as error:
            silent[name] = error.problem
    found = replace(known, named=store.named, silent=silent, empty=empty)
    return merged(found, replace(found, running=seen), baking=baking(store))


def missing_of(store: Store, versions: Sequence[Version], names: Collection[str]) -> set[str]:
    """Name those that an engine does not hold, or cannot be asked about."""
    found: set[str] = set()
    for version in versions:
        if str(version) in names:
            try:
                held = [store.engines[a.provider].present(a) for a in version.artifacts]
            except OvenbirdError:
                held = []
            if not held or not all(held):
                found.add(str(version))
    return found


def merged(known: References, seen: References, *, baking: Mapping[str, str]) -> References:
    """Add what was ``seen`` outside the state; of two counts of one fleet the higher holds."""
    running = {version: dict(fleets) for version, fleets in known.running.items()}
    for version, fleets in seen.running.items():
        for fleet, count in fleets.items():
            there = running.setdefault(version, {})
            there[fleet] = max(count, there.get(fleet, 0))
    return replace(
        known,
        running=running,
        named=seen.named,
        baking=baking,
        in_use=seen.in_use,
        absent=seen.absent,
        silent=seen.silent,
        empty=seen.empty,
    )


def baking(store: Store) -> dict[str, str]:
    """Name the families whose images a living bake, proof or trial on this host may start from."""
    found: dict[str, str] = {}
    dead = {book.token for book in ledger.dead(store.site.folder / "bakes")}
    for path in sorted((store.site.folder / "bakes").glob("*/ledger.json")):
        try:
            book = ledger.read(path)
        except FileNotFoundError:
            continue  # it has ended between the listing and the reading
        if book.token not in dead:
            told = f"a bake of {book.family}"
            found[book.family] = told
            if parent := store.parents.get(book.family):
                found[parent] = told
    return found
