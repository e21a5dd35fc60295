"""Which images in use are behind, and what is said where nothing can be said."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import cast

import pytest
from tests.builders import NOW, a_package, an_artifact, an_inventory
from tests.unit.test_catalog import baked, promote
from tests.unit.test_stale import an_offer

from ovenbird.catalog import Catalog
from ovenbird.packages.archive import Offer
from ovenbird.report.behind import Behind, Sources, behind, in_use, of_images
from ovenbird.state.database import Database
from ovenbird.state.site import Site
from ovenbird.values.errors import Inconclusive
from ovenbird.values.image import ImageState, Version
from ovenbird.values.package import Inventory, Kind, Package


class Shelf:
    """Apt sources that offer what they are told, or say nothing."""

    def __init__(self, *offers: Offer, broken: bool = False) -> None:
        self._offers, self._broken = list(offers), broken

    def expect(self, inventories: Collection[Inventory]) -> None:
        """Every list is short here."""

    def offered(self, version: Version, now: datetime) -> list[Offer]:
        if self._broken:
            raise Inconclusive("The index expired.", remedy="Look at the mirror.")
        return self._offers


@pytest.fixture
def catalog(database: Database) -> Catalog:
    return Catalog(database)


def add(catalog: Catalog, *packages: Package, provider: str = "podman") -> Version:
    inside = an_inventory(*packages, provider=provider) if packages else None
    artifact = an_artifact(f"sha256:{provider}", provider=provider)
    said = replace(baked(), inventory=inside, artifact=artifact)
    return catalog.register(said, state=ImageState.ACTIVE)


def looked(
    catalog: Catalog, database: Database, version: Version, shelf: Shelf, *, now: datetime = NOW
) -> Behind:
    (found,) = behind(
        [version],
        {str(version): ("@stable",)},
        database=database,
        sources=cast(Sources, shelf),
        now=now,
    )
    return found


def test_an_update_is_told_with_where_the_image_is_used_and_since_when_it_is_known(
    catalog: Catalog, database: Database
) -> None:
    version = add(catalog, a_package("bread"), a_package("salt"))
    shelf = Shelf(an_offer("bread", "1.1", "stable-security"), an_offer("salt", "1.0"))

    first = looked(catalog, database, version, shelf)
    later = looked(catalog, database, version, shelf, now=NOW + timedelta(days=3))

    for found in (first, later):
        (late,) = found.late
        assert (str(late.update), late.since) == ("bread 1.0 → 1.1", NOW)
        assert (found.security, found.where, found.problem) == (1, ("@stable",), "")


def test_an_image_without_a_package_list_is_not_told_as_up_to_date(
    catalog: Catalog, database: Database
) -> None:
    found = looked(catalog, database, add(catalog), Shelf())

    assert "before it was noted what is inside" in found.problem
    assert "invoke prove web/1" in found.remedy


def test_an_index_that_says_nothing_is_a_problem_and_no_empty_list(
    catalog: Catalog, database: Database
) -> None:
    found = looked(catalog, database, add(catalog, a_package("bread")), Shelf(broken=True))

    assert (found.problem, found.late) == ("The index expired.", ())


def test_rpm_is_not_concluded_on(catalog: Catalog, database: Database) -> None:
    version = add(catalog, replace(a_package("bread"), kind=Kind.RPM))

    assert "indexes of rpm are not read yet" in looked(catalog, database, version, Shelf()).problem


@pytest.mark.parametrize(("provider", "counts"), [("podman", False), ("qemu", True)])
def test_a_kernel_counts_only_where_instances_run_it(
    catalog: Catalog, database: Database, provider: str, counts: bool
) -> None:
    kernel = a_package("linux-image-6.1.0-30-cloud-amd64")
    version = add(catalog, kernel, provider=provider)

    found = looked(catalog, database, version, Shelf(an_offer(kernel.name, "2.0")))

    assert bool(found.late) is counts
    assert (found.shared_kernel == ("podman",)) is not counts


def test_in_use_is_what_a_channel_names_and_nothing_that_lies_about(
    catalog: Catalog, database: Database, tmp_path: Path
) -> None:
    add(catalog, a_package("bread"))
    add(catalog, a_package("bread"), provider="lxd")
    promote(catalog, "web/1")
    site = Site(id=database.site_id(), folder=tmp_path, database=database, key=b"k" * 32)

    where = in_use(site, catalog)

    assert where == {"web/1": ("@stable",)}
    assert [str(version) for version in of_images(catalog, where)] == ["web/1"]
