"""Which images there are, what they are called, and which may run."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.builders import NOW, an_artifact

from ovenbird.catalog import Baked, Catalog
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, deeds
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.image import Contract, ImageRef, ImageState, Provenance, StopPolicy, Version
from ovenbird.values.recipe import Recipe

CONTRACT = Contract(
    port=80,
    config=("greeting",),
    secrets=("token",),
    stop=StopPolicy(signal="SIGQUIT", timeout=5),
    writable=("/var/log/nginx",),
)


@pytest.fixture
def catalog(database: Database) -> Catalog:
    return Catalog(database)


def baked(family: str = "web", content: bytes = b"1", *, parent: str | None = None) -> Baked:
    return Baked(
        recipe=Recipe.of(family, {"roles/web/tasks/main.yml": content}),
        packages="p" * 64,
        packages_at=NOW - timedelta(minutes=1),
        parent=parent,
        contract=CONTRACT,
        artifact=an_artifact(f"sha256:{family}", provider="podman"),
        provenance=Provenance(by="ann@host", because="it asked", tools=(("packer", "1.6.6"),)),
        log="/logs/1.log",
    )


def add(
    catalog: Catalog,
    family: str = "web",
    *,
    parent: str | None = None,
    state: ImageState = ImageState.ACTIVE,
) -> Version:
    because = "its proof failed" if state is ImageState.FAILED else ""
    return catalog.register(baked(family, parent=parent), state=state, because=because)


def promote(catalog: Catalog, image: str, channel: str = "stable") -> Version:
    return catalog.promote(
        ImageRef.parse(image), channel, by="ann@host", because="it is good", at=NOW
    )


def judge(catalog: Catalog, image: str, state: ImageState) -> tuple[Version, ...]:
    return catalog.judge(ImageRef.parse(image), state, by="ann@host", because="CVE-2026-1", at=NOW)


def state_of(catalog: Catalog, image: str) -> ImageState:
    return catalog.resolve(ImageRef.parse(image)).state


def test_versions_are_numbered_one_by_one_in_each_family(catalog: Catalog) -> None:
    names = [str(add(catalog, family)) for family in ("web", "base", "web", "web")]

    assert names == ["web/1", "base/1", "web/2", "web/3"]


def test_a_failed_image_takes_a_number_too(catalog: Catalog) -> None:
    add(catalog, state=ImageState.FAILED)

    assert str(add(catalog)) == "web/2"


def test_what_was_baked_is_read_as_it_was_written(catalog: Catalog) -> None:
    add(catalog, "base")
    written = baked(parent="base/1")
    version = catalog.register(written, state=ImageState.ACTIVE)

    assert version == catalog.resolve(ImageRef.parse("web/1"))
    assert version.artifacts == (written.artifact,)
    assert (version.contract, version.provenance) == (CONTRACT, written.provenance)
    assert (version.parent, version.log) == ("base/1", "/logs/1.log")
    assert (version.packages_at, version.baked_at) == (written.packages_at, NOW)
    assert version.fingerprint == written.recipe.fingerprint
    assert catalog.recipe(version) == written.recipe


def test_versions_are_listed_newest_first(catalog: Catalog) -> None:
    for family in ("web", "base", "web"):
        add(catalog, family)

    assert [str(v) for v in catalog.versions()] == ["base/1", "web/2", "web/1"]
    assert [str(v) for v in catalog.versions("web")] == ["web/2", "web/1"]


def test_a_recipe_is_known_by_its_fingerprint(catalog: Catalog) -> None:
    add(catalog)
    add(catalog)
    catalog.register(baked(content=b"other"), state=ImageState.ACTIVE)

    assert [str(v) for v in catalog.known(baked().recipe)] == ["web/2", "web/1"]
    assert catalog.known(baked("base").recipe) == []


@pytest.mark.parametrize("state", [ImageState.FAILED, ImageState.REVOKED])
def test_what_may_not_launch_is_not_known_and_no_parent(
    state: ImageState, catalog: Catalog
) -> None:
    add(catalog, state=ImageState.FAILED if state is ImageState.FAILED else ImageState.ACTIVE)
    if state is ImageState.REVOKED:
        judge(catalog, "web/1", state)

    assert catalog.known(baked().recipe) == []
    assert catalog.newest("web") is None


def test_the_newest_that_may_launch_is_the_parent_of_the_next(catalog: Catalog) -> None:
    for state in (ImageState.ACTIVE, ImageState.ACTIVE, ImageState.FAILED):
        add(catalog, state=state)

    assert str(catalog.newest("web")) == "web/2"


def test_an_image_that_was_not_proven_is_kept_without_an_artifact(catalog: Catalog) -> None:
    failed = baked()
    version = catalog.register(
        replace(failed, artifact=replace(failed.artifact, id="")),
        state=ImageState.FAILED,
        because="its proof failed",
    )

    assert version.artifacts == ()
    assert version.log == "/logs/1.log"
    with pytest.raises(Blocked, match="web/1 is failed: its proof failed"):
        catalog.launchable(ImageRef.parse("web/1"))


@pytest.mark.parametrize("state", [ImageState.DEPRECATED, ImageState.REVOKED])
def test_an_image_that_was_not_proven_is_not_judged(state: ImageState, catalog: Catalog) -> None:
    add(catalog, state=ImageState.FAILED)

    with pytest.raises(Blocked, match="never proven"):
        judge(catalog, "web/1", state)


def test_a_failed_image_can_never_be_restored_to_launch(catalog: Catalog) -> None:
    add(catalog, state=ImageState.FAILED)

    with pytest.raises(Blocked):
        judge(catalog, "web/1", ImageState.ACTIVE)
    with pytest.raises(Blocked, match="web/1 is failed"):
        promote(catalog, "web/1")


def test_a_channel_points_at_one_image_and_can_be_moved(catalog: Catalog) -> None:
    add(catalog)
    add(catalog)
    promote(catalog, "web/1")
    moved = promote(catalog, "web/2")

    assert moved.channels == ("stable",)
    assert str(catalog.resolve(ImageRef.parse("web@stable"))) == "web/2"
    assert catalog.resolve(ImageRef.parse("web/1")).channels == ()


def test_an_image_may_be_on_several_channels(catalog: Catalog) -> None:
    add(catalog)
    promote(catalog, "web/1", "stable")
    promote(catalog, "web@stable", "candidate")

    assert catalog.resolve(ImageRef.parse("web@candidate")).channels == ("candidate", "stable")


def test_channels_of_two_families_never_meet(catalog: Catalog) -> None:
    for family in ("base", "web"):
        add(catalog, family)
        promote(catalog, f"{family}/1")

    assert str(catalog.resolve(ImageRef.parse("base@stable"))) == "base/1"
    assert str(catalog.resolve(ImageRef.parse("web@stable"))) == "web/1"


def test_a_revoked_image_takes_its_descendants_with_it(catalog: Catalog) -> None:
    add(catalog, "base")
    add(catalog, "web", parent="base/1")
    add(catalog, "shop", parent="web/1")
    add(catalog, "base")
    add(catalog, "web", parent="base/2")

    judged = judge(catalog, "base/1", ImageState.REVOKED)

    assert [str(v) for v in judged] == ["base/1", "web/1", "shop/1"]
    assert {v.state for v in judged} == {ImageState.REVOKED}
    assert judged[2].state_because == "descends from base/1: CVE-2026-1"
    assert state_of(catalog, "web/2") is ImageState.ACTIVE


def test_a_descendant_that_failed_stays_failed_when_its_parent_is_revoked(catalog: Catalog) -> None:
    add(catalog, "base")
    add(catalog, "web", parent="base/1", state=ImageState.FAILED)

    assert [str(v) for v in judge(catalog, "base/1", ImageState.REVOKED)] == ["base/1"]
    assert state_of(catalog, "web/1") is ImageState.FAILED


@pytest.mark.parametrize("state", [ImageState.DEPRECATED, ImageState.ACTIVE])
def test_deprecating_or_restoring_concerns_one_image(state: ImageState, catalog: Catalog) -> None:
    add(catalog, "base")
    add(catalog, "web", parent="base/1")
    judge(catalog, "base/1", ImageState.REVOKED)

    assert [str(v) for v in judge(catalog, "base/1", state)] == ["base/1"]
    assert state_of(catalog, "web/1") is ImageState.REVOKED


def test_revoking_moves_no_channel_and_its_fleets_are_refused_with_a_sentence(
    catalog: Catalog,
) -> None:
    add(catalog)
    promote(catalog, "web/1")
    add(catalog)

    (revoked,) = judge(catalog, "web/1", ImageState.REVOKED)

    assert revoked.channels == ("stable",)
    with pytest.raises(Blocked, match=r"web/1 is revoked: CVE-2026-1\.") as refused:
        catalog.launchable(ImageRef.parse("web@stable"))
    assert refused.value.exit_code == 3
    assert "Bake a successor" in refused.value.remedy


def test_a_deprecated_image_launches(catalog: Catalog) -> None:
    add(catalog)
    judge(catalog, "web/1", ImageState.DEPRECATED)

    assert catalog.launchable(ImageRef.parse("web/1")).state is ImageState.DEPRECATED


def test_a_family_that_was_never_baked_says_how_to_begin(catalog: Catalog) -> None:
    with pytest.raises(ConfigurationError, match="no image of web has been baked") as refused:
        catalog.resolve(ImageRef.parse("web@stable"))

    assert refused.value.remedy == "Bake one: invoke bake web"


@pytest.mark.parametrize("image", ["web/9", "web@nowhere"])
def test_an_image_that_is_not_there_says_which_there_are(image: str, catalog: Catalog) -> None:
    add(catalog)
    add(catalog)
    promote(catalog, "web/1")

    with pytest.raises(ConfigurationError) as refused:
        catalog.resolve(ImageRef.parse(image))

    assert f"{image} names nothing" in refused.value.problem
    assert "the versions end at web/2, the channels are web@stable" in refused.value.problem
    assert "invoke image.promote web/" in refused.value.remedy


def test_an_image_that_could_not_be_launched_is_not_proposed_for_a_channel(
    catalog: Catalog,
) -> None:
    add(catalog)
    add(catalog, state=ImageState.FAILED)

    with pytest.raises(ConfigurationError) as refused:
        catalog.resolve(ImageRef.parse("web@stable"))

    assert "invoke image.promote web/1 stable" in refused.value.remedy


def test_every_deed_stands_in_the_history_with_who_and_why(
    catalog: Catalog, database: Database
) -> None:
    add(catalog)
    add(catalog, state=ImageState.FAILED)
    add(catalog)
    promote(catalog, "web/1")
    promote(catalog, "web/3")
    judge(catalog, "web/1", ImageState.DEPRECATED)

    newest, moved, first, *_ = deeds(database)

    assert newest == Deed(
        at=NOW,
        by="ann@host",
        verb="deprecate",
        subject="web/1",
        before="active",
        after="deprecated",
        because="CVE-2026-1",
    )
    assert (moved.subject, moved.before, moved.after) == ("web@stable", "web/1", "web/3")
    assert (first.before, first.because) == ("", "it is good")
    bakes = [(d.subject, d.outcome, d.because) for d in deeds(database) if d.verb == "bake"]
    assert bakes == [
        ("web/3", "done", "it asked"),
        ("web/2", "failed", "its proof failed"),
        ("web/1", "done", "it asked"),
    ]


def test_what_fails_half_way_is_neither_done_nor_told(catalog: Catalog, database: Database) -> None:
    add(catalog)

    with pytest.raises(ConfigurationError):
        add(catalog, parent="base/9")

    assert [str(v) for v in catalog.versions()] == ["web/1"]
    assert len(deeds(database)) == 1
