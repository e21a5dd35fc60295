"""Prove an image again that the catalog holds already: after a check was added, or out of doubt."""

from __future__ import annotations

import secrets
from contextlib import ExitStack
from dataclasses import replace

from ovenbird.bake import ledger
from ovenbird.bake.bakery import Bakery
from ovenbird.bake.known import family_named
from ovenbird.bake.origins import with_their_origins
from ovenbird.bake.prove import Proof, prove
from ovenbird.bake.upkeep import (
    child_environment,
    clean,
    clean_after_the_dead,
    require_vouched,
)
from ovenbird.packages.sources import lend
from ovenbird.values.errors import Blocked
from ovenbird.values.image import Version


def prove_again(version: Version, bakery: Bakery) -> Proof:
    """Boot two throw-away instances of a version and look; its state in the catalog stays.

    What is inside is noted anew, so an image of before that was noted learns it now.
    Raises `ProofFailed` with what was seen, and `Blocked` where the engine holds it no more.
    """
    artifact = version.artifact(bakery.oven.name)
    if artifact is None or not bakery.oven.present(artifact):
        raise Blocked(
            f"{version} is not held by {bakery.oven.name}.",
            remedy=f"Bake it again: invoke bake {version.family} --force",
        )
    require_vouched(version, artifact, bakery)
    family = replace(family_named(version.family, bakery), contract=version.contract)
    clean_after_the_dead(bakery)
    token = f"prove-{version.family}-{secrets.token_hex(5)}"
    with ExitStack() as undo:
        book = ledger.Ledger.open(
            bakery.bakes / token, token=token, family=version.family, oven=bakery.oven.name
        )
        undo.callback(clean, book, bakery)
        proof = prove(
            replace(artifact, token=token),
            family=family,
            project=bakery.project,
            folder=book.folder,
            site=bakery.site.id,
            oven=bakery.oven,
            clock=bakery.clock,
            environment=child_environment(book, bakery),
        )
        mirrors = bakery.site.folder / "cache" / "mirrors.json"
        sources = lend(
            version.provenance.sources or family.sources, bakery.environment, cache=mirrors
        )
        bakery.catalog.learn(
            version,
            provider=bakery.oven.name,
            ambient=proof.ambient,
            inventory=with_their_origins(proof.inventory, sources, bakery),
        )
        return proof
