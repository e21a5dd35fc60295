"""What somebody changed is neither signed once more, nor in the way of who wants it gone."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import select, update
from tests.builders import NOW, an_artifact
from tests.unit.test_catalog import baked

from ovenbird.assembly.patching import World
from ovenbird.assembly.sealed import catalog_of
from ovenbird.bake.bakery import Wish
from ovenbird.bake.make import make
from ovenbird.bake.proving import prove_again
from ovenbird.bake.source import source_of
from ovenbird.catalog import Catalog, claims
from ovenbird.catalog.retiring import retire
from ovenbird.catalog.sealing import is_signed
from ovenbird.console import Console
from ovenbird.seals.keys import generate
from ovenbird.state.database import Database
from ovenbird.state.image_tables import artifacts, channels, statements, versions
from ovenbird.values.errors import Blocked, ConfigurationError, Tampered
from ovenbird.values.image import Contract, ImageRef, ImageState, Version
from ovenbird.values.patch import Patching
from ovenbird.values.recipe import Recipe

PINNED = "38c180c04648afb46ae936446f11c53adc9f6a274eb068e1cd135a4f1a64e1f8"
EVIL = ["migrate", ["/bin/sh", "-c", "evil"]]


class Bench:
    """A signed catalog, and who has the database beside it."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database, self.folder = database, folder
        database.site_id()
        generate(folder, name="site")

    @property
    def site(self) -> Any:
        return SimpleNamespace(database=self.database, folder=self.folder)

    @property
    def catalog(self) -> Catalog:
        return catalog_of(self.site)

    def add(self, family: str = "web", parent: str | None = None, *, on: str = "podman") -> Version:
        made = replace(
            baked(family, parent=parent), artifact=an_artifact(f"{on}:{family}", provider=on)
        )
        return self.catalog.register(made, state=ImageState.ACTIVE)

    def judge(self, image: str, state: ImageState) -> tuple[Version, ...]:
        ref = ImageRef.parse(image)
        return self.catalog.judge(ref, state, by="ann", because="CVE-1", at=NOW)

    def promote(self, image: str, channel: str = "stable") -> None:
        self.catalog.promote(ImageRef.parse(image), channel, by="ann", because="", at=NOW)

    def repoint(self, version: Version) -> None:
        """Move every channel to a version without a key."""
        number = versions.c.number == version.number
        mine = select(versions.c.id).where(versions.c.family == version.family, number)
        with self.database.begin() as db:
            db.execute(update(channels).values(version_id=mine.scalar_subquery()))

    def slip_in(self, family: str, **values: object) -> None:
        """Change a row of versions without a key."""
        with self.database.begin() as db:
            db.execute(update(versions).where(versions.c.family == family).values(**values))

    def evil_contract(self, family: str = "web") -> None:
        self.slip_in(
            family, contract=json.loads(json.dumps({**asdict(Contract()), "jobs": [EVIL]}))
        )

    def launchable(self, image: str) -> Version:
        return self.catalog.launchable(ImageRef.parse(image))


@pytest.fixture
def bench(database: Database, tmp_path: Path) -> Bench:
    return Bench(database, tmp_path)


def test_a_bake_for_another_engine_does_not_sign_what_somebody_changed(bench: Bench) -> None:
    bench.add(on="podman")
    bench.evil_contract()

    with pytest.raises(Tampered, match="contract"):
        bench.add(on="lxd")
    with pytest.raises(Tampered, match="contract"):
        bench.launchable("web/1")


def test_a_new_key_signs_all_but_what_somebody_changed_under_the_old_one(bench: Bench) -> None:
    for family in ("base", "web"):
        bench.add(family)
        bench.promote(f"{family}/1")
    bench.evil_contract("web")
    (bench.folder / "keys/signing.pem").unlink()
    generate(bench.folder, name="new")

    signed, refused = bench.catalog.seal_all(again=True)
    (bench.folder / "keys/trusted/site.pub").unlink()

    assert [str(version) for version in signed] == ["base/1"]
    assert ["web/1" in each.problem for each in refused] == [True]
    assert str(bench.launchable("base@stable")) == "base/1"
    with pytest.raises(Tampered):
        bench.launchable("web/1")


def test_a_new_key_does_not_sign_a_channel_that_somebody_moved(bench: Bench) -> None:
    bench.repoint(two_of_web(bench))

    _, refused = bench.catalog.seal_all(again=True)

    assert ["points at web/2" in each.problem for each in refused] == [True]
    with pytest.raises(Tampered, match="points at web/2, and web/1 was signed"):
        bench.launchable("web@stable")


def test_the_files_of_an_artifact_are_subjects_too_and_stay_so_under_a_new_key(
    bench: Bench,
) -> None:
    parts = (("disk.qcow2", "d" * 64), ("vmlinuz", "e" * 64))
    artifact = an_artifact("sha256:" + "a" * 64, provider="qemu")
    version = bench.catalog.register(
        replace(baked(), artifact=artifact, parts=parts), state=ImageState.ACTIVE
    )
    wanted = {
        "web/1@qemu": "a" * 64,
        "web/1@qemu/disk.qcow2": "d" * 64,
        "web/1@qemu/vmlinuz": "e" * 64,
    }

    assert subjects(bench, version) == wanted
    (bench.folder / "keys/signing.pem").unlink()
    generate(bench.folder, name="new")
    bench.catalog.seal_all(again=True)
    assert subjects(bench, version) == wanted
    bench.catalog.require_vouched(version, artifact)


def subjects(bench: Bench, version: Version) -> dict[str, str]:
    envelope = json.loads(bench.catalog.statement(version, "qemu") or "")
    said = json.loads(base64.b64decode(envelope["payload"]))
    return {each["name"]: each["digest"]["sha256"] for each in said["subject"]}


def test_a_channel_that_somebody_moved_is_not_copied_to_another_one(bench: Bench) -> None:
    second = two_of_web(bench)
    bench.repoint(second)

    with pytest.raises(Tampered, match="points at web/2, and web/1 was signed"):
        bench.promote("web@stable", "prod")
    bench.promote("web/2", "prod")  # whoever says which one has decided it himself
    assert str(bench.launchable("web@prod")) == "web/2"


def test_the_night_goes_on_from_no_channel_that_somebody_moved(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(bench.folder)
    world = World(bench.folder, bench.site, Console(), Patching(), {})
    second = two_of_web(bench)
    world.line("web")

    bench.repoint(second)

    with pytest.raises(Tampered, match="points at web/2, and web/1 was signed"):
        world.line("web")
    world.line("base")  # another family goes on


def two_of_web(bench: Bench) -> Version:
    """web/1, which is stable, and web/2; return the second."""
    bench.add("web")
    bench.promote("web/1")
    made = replace(baked("web", b"2"), artifact=an_artifact("podman:2", provider="podman"))
    return bench.catalog.register(made, state=ImageState.ACTIVE)


def test_a_changed_descendant_does_not_keep_its_parent_from_being_revoked(bench: Bench) -> None:
    bench.add("base")
    bench.add("web", parent="base/1")
    bench.add("shop", parent="base/1")
    bench.evil_contract("web")

    judged = bench.judge("base/1", ImageState.REVOKED)

    assert {str(v): v.state for v in judged} == dict.fromkeys(
        ("base/1", "web/1", "shop/1"), ImageState.REVOKED
    )
    for image in ("base/1", "shop/1", "web/1"):
        with pytest.raises(Blocked, match="is revoked"):
            bench.launchable(image)
    bench.slip_in("web", state="active")
    with pytest.raises(Tampered):
        bench.launchable("web/1")
    with pytest.raises(Tampered):
        bench.judge("web/1", ImageState.ACTIVE)


def test_a_retired_image_is_told_to_be_retired_and_is_in_nobodys_way(bench: Bench) -> None:
    version = bench.add()
    (bench.folder / "keys/signing.pem").unlink()  # whoever cleans up has no need of it
    with bench.database.begin() as db:
        retire(db, version, by="ann", because="too old", at=NOW)

    with pytest.raises(Blocked, match="web/1 is retired: too old"):
        bench.launchable("web/1")
    with pytest.raises(Blocked, match="web/1 is retired"):
        bench.promote("web/1")
    generate(bench.folder, name="new")
    assert bench.catalog.seal_all(again=True) == ([], [])


def test_a_host_without_keys_does_nothing_with_images_that_are_signed(bench: Bench) -> None:
    bench.add()
    bench.promote("web/1")
    bench.folder = bench.folder / "another-host"

    assert [str(version) for version in bench.catalog.versions()] == ["web/1"]
    for deed in (
        lambda: bench.launchable("web@stable"),
        lambda: bench.promote("web/1"),
        lambda: bench.add("base"),
        lambda: bench.catalog.require_signer(),
    ):
        with pytest.raises(ConfigurationError, match="this host trusts no key") as told:
            deed()
        assert str(bench.folder / "keys/trusted") in told.value.remedy


def test_a_bake_is_refused_before_it_begins_where_nobody_could_sign_it(bench: Bench) -> None:
    bench.catalog.require_signer()
    (bench.folder / "keys/signing.pem").unlink()
    kitchen = cast(Any, SimpleNamespace(catalog=bench.catalog))  # nothing else is reached
    family = cast(Any, SimpleNamespace(name="web"))

    with pytest.raises(ConfigurationError, match="no private key is here"):
        make(family, None, baked().recipe, (), "p" * 64, kitchen, Wish())


def test_nothing_is_baked_on_a_parent_that_somebody_changed(bench: Bench) -> None:
    read: list[str] = []
    kitchen = cast(
        Any,
        SimpleNamespace(
            catalog=bench.catalog,
            oven=SimpleNamespace(name="podman", present=lambda _: True),
            provider=SimpleNamespace(verify=lambda artifact: read.append(artifact.id)),
        ),
    )
    bench.add("base")
    version = bench.catalog.resolve(ImageRef.parse("base/1"))
    artifact = version.artifacts[0]

    family = cast(Any, SimpleNamespace(name="web"))
    assert source_of(family, version, (), "", cast(Any, None), kitchen) == artifact.id
    assert read == [artifact.id]

    with bench.database.begin() as db:
        db.execute(update(artifacts).values(artifact="podman:evil"))
    changed = bench.catalog.resolve(ImageRef.parse("base/1"))
    with pytest.raises(Tampered, match="another artifact on podman"):
        source_of(family, changed, (), "", cast(Any, None), kitchen)
    with pytest.raises(Tampered, match="another artifact on podman"):
        prove_again(changed, kitchen)
    assert read == [artifact.id]


def test_an_artifact_whose_row_is_gone_is_refused_with_a_sentence(bench: Bench) -> None:
    version = bench.add()
    artifact = version.artifacts[0]

    bench.catalog.require_vouched(version, artifact)
    another = replace(artifact, template="f" * 64)
    with pytest.raises(Tampered, match="made in another way"):
        bench.catalog.require_vouched(replace(version, artifacts=()), another)


def test_what_was_signed_once_is_written_the_same_way_for_ever(bench: Bench) -> None:
    """An Ovenbird that wrote other texts would find all images of before tampered with. A change
    here needs a way to read the old ones."""
    version = bench.add("web")
    contract = {"port": 80, "of a later day": [1]}
    artifact = an_artifact("sha256:" + "a" * 64, provider="podman")
    recipe = Recipe(family="web", inputs=(("roles/web/tasks/main.yml", "b" * 64),))
    version = replace(version, fingerprint="f" * 64)

    assert claims.of_version(version, contract).decode() == (
        '{"contract":{"of a later day":[1],"port":80},"fingerprint":"' + "f" * 64 + '",'
        '"image":"web/1","packages":"' + "p" * 64 + '","parent":null,"state":"active"}'
    )
    assert claims.of_channel("web@stable", "web/1", NOW).decode() == (
        '{"assigned_at":"2026-11-22T01:00:00+00:00","channel":"web@stable","image":"web/1"}'
    )
    said = claims.statement(version, recipe, artifact, site="s1")
    assert hashlib.sha256(said).hexdigest() == PINNED, said


def test_a_contract_that_a_later_ovenbird_reads_with_more_in_it_is_as_it_was_signed(
    bench: Bench,
) -> None:
    """Its row says nothing of what came later, and was signed like that."""
    bench.add()
    with bench.database.begin() as db:
        contract = db.execute(select(versions.c.contract)).scalar_one()
        contract.pop("jobs")  # as a row of before there were jobs
        db.execute(update(versions).values(contract=contract, seal=None))
    with bench.database.begin() as db:
        db.execute(statements.delete())
    keys = bench.catalog
    keys.seal_all()

    assert bench.launchable("web/1").contract.jobs == ()
    assert is_signed(bench.database)
