"""One version, an artifact for each engine: however its bakes end, and in whatever order."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import NOW, an_artifact
from tests.unit.test_catalog import baked

from ovenbird.bake.abreast import abreast
from ovenbird.bake.bakery import Result
from ovenbird.catalog import Baked, Catalog
from ovenbird.state.database import Database
from ovenbird.state.history import deeds
from ovenbird.values.errors import BakeFailed, ProofFailed
from ovenbird.values.image import ImageRef, ImageState, Version


@pytest.fixture
def catalog(database: Database) -> Catalog:
    return Catalog(database)


def on(engine: str, **changed: object) -> Baked:
    made = replace(baked(), artifact=an_artifact(f"{engine}:web", provider=engine))
    return replace(made, **changed)  # type: ignore[arg-type]


def add(catalog: Catalog, made: Baked) -> Version:
    return catalog.register(made, state=ImageState.ACTIVE)


def test_the_same_recipe_and_packages_on_another_engine_are_one_version(
    catalog: Catalog, database: Database
) -> None:
    add(catalog, on("podman", ambient=("/etc/a",)))
    add(catalog, on("lxd", ambient=("/etc/b",)))
    version = add(catalog, on("qemu"))

    assert str(version) == "web/1"
    assert {a.provider for a in version.artifacts} == {"podman", "lxd", "qemu"}
    assert version.ambient == ("/etc/a", "/etc/b")
    told = [(d.subject, d.after) for d in deeds(database, verb="bake")]
    assert ("web/1", "an artifact for lxd") in told


def test_a_second_image_for_the_same_engine_is_another_version(catalog: Catalog) -> None:
    add(catalog, on("podman"))

    assert str(add(catalog, on("podman"))) == "web/2"
    assert str(add(catalog, on("lxd"))) == "web/2", "it joins the newest that lacks one"


def test_packages_of_another_day_make_another_version(catalog: Catalog) -> None:
    add(catalog, on("podman"))

    assert str(add(catalog, on("lxd", packages="q" * 64))) == "web/2"


def test_a_revoked_or_failed_version_is_never_joined(catalog: Catalog) -> None:
    add(catalog, on("podman"))
    catalog.judge(ImageRef.parse("web/1"), ImageState.REVOKED, by="ann@host", because="CVE", at=NOW)

    assert str(add(catalog, on("lxd"))) == "web/2"


def test_a_forced_bake_joins_only_what_was_baked_with_it(catalog: Catalog) -> None:
    add(catalog, on("podman"))
    later = NOW + timedelta(hours=1)
    new = replace(an_artifact("lxd:web", provider="lxd"), baked_at=later)

    forced = catalog.register(
        on("lxd", artifact=new), state=ImageState.ACTIVE, joins_since=later - timedelta(minutes=1)
    )

    assert str(forced) == "web/2"


def test_bakes_run_side_by_side_and_keep_their_order(catalog: Catalog) -> None:
    version, both = add(catalog, on("podman")), threading.Barrier(2, timeout=5)

    def one(because: str) -> Result:
        both.wait()  # breaks unless the other one runs meanwhile
        return Result(version=version, fresh=True, because=because)

    results = abreast([lambda: one("a"), lambda: one("b")])

    assert [result.because for result in results] == ["a", "b"]


def test_where_several_fail_all_of_them_are_told(catalog: Catalog) -> None:
    version = add(catalog, on("podman"))

    def fail(error: Exception) -> Result:
        raise error

    with pytest.raises(BakeFailed, match="no kernel") as told:
        abreast(
            [
                lambda: Result(version=version, fresh=True, because=""),
                lambda: fail(BakeFailed("no kernel", remedy="add one")),
                lambda: fail(ProofFailed("no answer", remedy="correct the role")),
            ]
        )

    assert "no answer correct the role" in told.value.evidence


def test_a_fault_of_ours_is_not_taken_for_a_failed_bake() -> None:
    def broken() -> Result:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        abreast([broken])
