"""A clean-up on a real podman: what goes is gone with its name, and what anybody uses stays."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from tests.contract.conftest import a_small_image, podman_folder  # noqa: F401

from ovenbird import process
from ovenbird.bake.oven_podman import PodmanOven
from ovenbird.care.clean_up import Done, clean_up, plan
from ovenbird.care.store import Store
from ovenbird.catalog import Baked, Catalog
from ovenbird.clock import SystemClock
from ovenbird.console import Console
from ovenbird.provider import podman_engine
from ovenbird.provider.podman import PodmanProvider
from ovenbird.state.database import Database, sqlite_url
from ovenbird.state.site import Site
from ovenbird.values.errors import Inconclusive
from ovenbird.values.fleet import FleetKey, LaunchData, Order
from ovenbird.values.image import Artifact, Contract, ImageState, Provenance, StopPolicy, Version
from ovenbird.values.recipe import Recipe
from ovenbird.values.retention import Retention


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """A site with web/1 to web/3 on this machine's podman, all of them baked months ago."""

    store: Store
    provider: PodmanProvider
    catalog: Catalog
    key: FleetKey
    foreign: str

    def podman(self, *argv: str, check: bool = True) -> process.Finished:
        env = podman_engine.environment(self.store.site.folder)
        return process.run(("podman", *argv), doing="Looking", env=env, check=check)

    def add(self, number: int, content: bytes) -> Version:
        """Import an image, register it and name it, as a bake does at its end."""
        message = f"--message={self.key.site}-{number}"
        imported = process.run(
            ("podman", "import", "--quiet", message, "-"),
            doing="Importing a small image",
            env=podman_engine.environment(self.store.site.folder),
            stdin=content,
        )
        at = SystemClock().now() - timedelta(days=90 - number)
        artifact = Artifact(
            provider="podman",
            id=imported.stdout.strip().splitlines()[-1],
            template="",
            parent="",
            token=f"bake-{number}",
            location=self.provider.locate(),
            size=3_000_000,
            baked_at=at,
        )
        baked = Baked(
            recipe=Recipe.of("web", {"n": str(number).encode()}),
            packages="p",
            packages_at=at,
            parent=None,
            contract=Contract(port=80),
            artifact=artifact,
            provenance=Provenance(by="a test", because=""),
            log="",
        )
        version = self.catalog.register(baked, state=ImageState.ACTIVE)
        oven = PodmanOven(self.provider, folder=self.store.site.folder)
        oven.name_artifact(artifact.id, family="web", number=number)
        return version

    def there(self) -> list[str]:
        """List the names that podman has of this site's images."""
        mine = f"localhost/ovenbird-{self.key.site}/web"
        listed = self.podman("images", "--format", "{{.Repository}}:{{.Tag}}").stdout.split()
        return sorted(name.replace(mine, "web") for name in listed if name.startswith(mine))

    def launch(self, version: Version) -> None:
        order = Order(
            token=f"dev-web-{uuid4().hex[:8]}",
            fleet=self.key,
            version=str(version),
            artifact=version.artifacts[0],
            contract=Contract(port=80, stop=StopPolicy(timeout=0)),
            launch=LaunchData(config="{}", hash="h"),
            slot=0,
        )
        self.provider.launch(order)

    def clean(self) -> Done:
        done = Done()
        clean_up(self.store, plan(self.store, at_most=1), done)
        return done

    def close(self) -> None:
        for seen in self.provider.instances(self.key):
            self.provider.terminate(seen.token, stop=StopPolicy(timeout=0))
        self.podman("rm", "--force", "--ignore", self.foreign)
        for name in self.there():
            left = f"localhost/ovenbird-{self.key.site}/{name}"
            self.podman("rmi", "--force", left, check=False)
        self.store.site.database.close()


@pytest.fixture
def bench(podman_folder: Path, tmp_path: Path) -> Iterator[Bench]:  # noqa: F811
    database = Database.open(sqlite_url(tmp_path / "ovenbird.db"))
    site = Site(id=f"gc{uuid4().hex[:6]}", folder=tmp_path, database=database, key=b"k" * 32)
    provider = PodmanProvider(folder=tmp_path, site=site.id)
    key = FleetKey(site=site.id, env="dev", name=f"web-{site.id}")
    store = Store(
        site=site,
        engines={"podman": provider},
        fleets={key: {"podman"}},
        named={},
        retention={"web": Retention(keep=1, min_age=timedelta(days=30))},
        parents={},
        clock=SystemClock(),
        console=Console(err=io.StringIO(), out=io.StringIO()),
        by="a test",
    )
    made = Bench(
        store=store,
        provider=provider,
        catalog=Catalog(database),
        key=key,
        foreign=f"foreign-{site.id}",
    )
    content = a_small_image()
    try:
        for number in (1, 2, 3):
            made.add(number, content)
        yield made
    finally:
        made.close()


def test_only_what_nobody_uses_goes_and_its_name_with_it(bench: Bench) -> None:
    third, second, first = bench.catalog.versions("web")
    bench.launch(second)
    image = first.artifacts[0].id.removeprefix("sha256:")
    bench.podman("create", "--name", bench.foreign, image, "/bin/sh")

    held = bench.clean()
    assert (held.deleted, bench.there()) == ([], ["web:1", "web:2", "web:3"])

    bench.podman("rm", bench.foreign)
    done = bench.clean()

    assert done.deleted == ["web/1"]
    assert bench.there() == ["web:2", "web:3"]
    assert bench.podman("image", "exists", image, check=False).code == 1
    assert len(bench.provider.instances(bench.key)) == 1
    assert bench.catalog.versions("web")[-1].state is ImageState.RETIRED
    assert bench.clean().deleted == []
    assert bench.provider.present(third.artifacts[0])


def test_what_somebody_has_deleted_by_hand_is_no_error(bench: Bench) -> None:
    *_, first = bench.catalog.versions("web")
    bench.podman("rmi", f"localhost/ovenbird-{bench.key.site}/web:1")

    done = bench.clean()

    assert done.deleted == [str(first)]


def test_another_store_of_podman_is_not_cleaned_by_this_catalog(bench: Bench) -> None:
    for name in bench.there():
        bench.podman("rmi", f"localhost/ovenbird-{bench.key.site}/{name}")

    with pytest.raises(Inconclusive, match="podman holds not one of the 3 artifacts"):
        bench.clean()
