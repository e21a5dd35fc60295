"""An image, or what the catalog says of it, that is not what was signed is launched by nobody."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, select, text, update
from tests.driving import Scene

from ovenbird.catalog import Catalog
from ovenbird.provider.memory import MemoryProvider
from ovenbird.rollout.vouched import Vouching
from ovenbird.seals.keys import generate, keyring
from ovenbird.state.database import Database
from ovenbird.state.image_tables import artifacts, channels, statements, versions
from ovenbird.values.errors import ConfigurationError, Tampered
from ovenbird.values.image import Artifact, ImageRef, ImageState

Change = Callable[[Connection], object]


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, web/2 is what the channel means, and all of it is signed."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    generate(home(scene), name="site")
    sealed(scene).seal_all()
    promote(scene, "web/2")
    return scene


def home(scene: Scene) -> Path:
    """The folder of the host on which the driver runs."""
    return scene.site.folder / "here"


def sealed(scene: Scene) -> Catalog:
    return Catalog(scene.site.database, seals=keyring(home(scene)))


def promote(scene: Scene, image: str) -> None:
    ref = ImageRef.parse(image)
    sealed(scene).promote(ref, "stable", by="ann", because="it is good", at=scene.clock.now())


def change(scene: Scene, deed: Change) -> None:
    """What somebody does who has the database, and no key."""
    with scene.site.database.begin() as db:
        deed(db)


def row(number: int):  # type: ignore[no-untyped-def]
    return versions.c.number == number


def of(number: int):  # type: ignore[no-untyped-def]
    return select(versions.c.id).where(row(number)).scalar_subquery()


def another_artifact(db: Connection) -> object:
    mine = artifacts.c.version_id == of(2)
    return db.execute(update(artifacts).where(mine).values(artifact="sha256:" + "e" * 64))


def no_signature(db: Connection) -> object:
    return db.execute(update(versions).where(row(2)).values(seal=None))


def no_statement(db: Connection) -> object:
    return db.execute(statements.delete().where(statements.c.version_id == of(2)))


def statement_of_another_image(db: Connection) -> object:
    other = select(statements.c.envelope).where(statements.c.version_id == of(3)).scalar_subquery()
    mine = statements.c.version_id == of(2)
    return db.execute(update(statements).where(mine).values(envelope=other))


def seal_of_another_image(db: Connection) -> object:
    other = db.execute(select(versions.c.seal).where(row(3))).scalar_one()
    return db.execute(update(versions).where(row(2)).values(seal=other))


def altered_recipe(db: Connection) -> object:
    inputs = [["roles/web/tasks/main.yml", "f" * 64]]
    return db.execute(update(versions).where(row(2)).values(recipe=inputs))


def altered_fingerprint(db: Connection) -> object:
    return db.execute(update(versions).where(row(2)).values(fingerprint="f" * 64))


def altered_contract(db: Connection) -> object:
    contract = db.execute(select(versions.c.contract).where(row(2))).scalar_one()
    evil = {**contract, "jobs": [["migrate", ["/bin/sh", "-c", "evil"]]]}
    return db.execute(update(versions).where(row(2)).values(contract=evil))


def repointed_channel(db: Connection) -> object:
    return db.execute(update(channels).values(version_id=of(3)))


def repointed_with_its_signature(db: Connection) -> object:
    envelope = json.loads(db.execute(select(channels.c.seal)).scalar_one())
    envelope["payload"] = envelope["payload"][::-1]
    return db.execute(update(channels).values(version_id=of(3), seal=json.dumps(envelope)))


def altered_provenance(db: Connection) -> object:
    said = db.execute(select(versions.c.provenance).where(row(2))).scalar_one()
    tools = [["packer", "9.9.9"]]
    return db.execute(update(versions).where(row(2)).values(provenance={**said, "tools": tools}))


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (another_artifact, "another artifact on memory than the one that was signed"),
        (no_signature, "web/2 is not signed"),
        (no_statement, "The statement of how web/2 was made for memory is not signed"),
        (statement_of_another_image, "is about web/3@memory"),
        (seal_of_another_image, "says another thing of web/2 than what was signed"),
        (altered_recipe, "The recipe of web/2 is not the one that its fingerprint names"),
        (altered_fingerprint, "than what was signed: fingerprint"),
        (altered_contract, "than what was signed: contract"),
        (repointed_channel, "web@stable points at web/3, and web/2 was signed"),
        (repointed_with_its_signature, "web@stable is not signed as it must be"),
        (altered_provenance, "made in another way than what was signed"),
    ],
)
def test_what_was_changed_in_the_database_is_refused_and_nothing_is_launched(
    scene: Scene, deed: Change, said: str
) -> None:
    change(scene, deed)
    launched = scene.asked("launch")

    with pytest.raises(Tampered, match=said) as refused:
        scene.roll()

    assert scene.asked("launch") == launched
    assert scene.running == scene.serving == {"web/1": 3}
    assert refused.value.exit_code == 1
    assert "Nothing was launched" in refused.value.remedy


def test_a_revoked_image_whose_state_was_flipped_back_is_refused(scene: Scene) -> None:
    """Not by the state, which says active again, but by what was signed when it was revoked."""
    ref = ImageRef.parse("web/2")
    sealed(scene).judge(ref, ImageState.REVOKED, by="ann", because="CVE", at=scene.clock.now())
    change(scene, lambda db: db.execute(update(versions).values(state="active")))

    with pytest.raises(Tampered, match="than what was signed: state"):
        scene.roll()


def test_what_is_as_it_was_signed_is_rolled_out(scene: Scene) -> None:
    scene.roll()

    assert scene.serving == {"web/2": 3}


def test_a_signature_by_a_key_that_nobody_trusts_is_none(scene: Scene, tmp_path: Path) -> None:
    generate(tmp_path / "thief", name="thief")
    thief = Catalog(scene.site.database, seals=keyring(tmp_path / "thief"))
    thief.seal_all()

    with pytest.raises(Tampered, match="by no key in"):
        scene.roll()


def test_what_somebody_changed_is_not_signed_again_by_who_promotes_or_judges_it(
    scene: Scene,
) -> None:
    change(scene, altered_fingerprint)

    with pytest.raises(Tampered, match="fingerprint"):
        promote(scene, "web/2")
    with pytest.raises(Tampered, match="fingerprint"):
        sealed(scene).judge(
            ImageRef.parse("web/2"),
            ImageState.DEPRECATED,
            by="ann",
            because="old",
            at=scene.clock.now(),
        )


def test_a_second_key_beside_the_first_takes_over(scene: Scene) -> None:
    keys = home(scene) / "keys"
    (keys / "signing.pem").rename(keys / "old.pem")
    generate(home(scene), name="new")
    promote(scene, "web/3")

    scene.roll()

    assert scene.serving == {"web/3": 3}


def test_a_host_that_only_launches_needs_no_private_key_and_cannot_sign(scene: Scene) -> None:
    (home(scene) / "keys/signing.pem").unlink()

    scene.roll()
    assert scene.serving == {"web/2": 3}
    with pytest.raises(ConfigurationError, match="no private key is here") as told:
        promote(scene, "web/3")
    assert "OVENBIRD_KEY" in told.value.remedy


def test_a_private_key_that_the_site_does_not_trust_signs_nothing(
    scene: Scene, tmp_path: Path
) -> None:
    other, _ = generate(tmp_path / "other", name="other")

    with pytest.raises(ConfigurationError, match="does not trust"):
        keyring(home(scene), {"OVENBIRD_KEY": str(other)})


def test_a_key_is_never_written_over_and_a_broken_one_is_named(scene: Scene) -> None:
    with pytest.raises(ConfigurationError, match="There is a key already"):
        generate(home(scene), name="again")
    (home(scene) / "keys/trusted/bad.pub").write_text("no key")
    with pytest.raises(ConfigurationError, match=r"bad\.pub is no public key"):
        keyring(home(scene))


def test_the_private_key_is_nobody_elses_to_read(scene: Scene) -> None:
    assert (home(scene) / "keys/signing.pem").stat().st_mode & 0o777 == 0o600


def test_contents_are_read_once_for_an_image_and_a_driver_and_seals_at_each_launch(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    monkeypatch.setattr(
        MemoryProvider, "verify", lambda _, artifact: read.append(artifact.id), raising=True
    )

    scene.roll()

    assert scene.serving == {"web/2": 3}
    assert len(read) == 1


def test_contents_that_are_not_what_the_id_says_are_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: MemoryProvider, artifact: Artifact) -> None:
        raise Tampered("a byte is another one", remedy="bake again")

    monkeypatch.setattr(MemoryProvider, "verify", broken)

    with pytest.raises(Tampered, match="a byte is another one"):
        scene.roll()
    assert scene.serving == {"web/1": 3}


def test_a_change_between_two_launches_is_seen_at_the_second(scene: Scene) -> None:
    catalog = sealed(scene)
    vouching = Vouching(catalog, scene.provider)
    version = catalog.resolve(ImageRef.parse("web/2"))
    artifact = version.artifacts[0]
    vouching.require(version, artifact)

    with pytest.raises(Tampered):
        vouching.require(version, replace(artifact, id="sha256:" + "e" * 64))
    change(scene, no_statement)
    with pytest.raises(Tampered):
        vouching.require(version, artifact)


def test_a_site_without_keys_checks_nothing(database: Database, tmp_path: Path) -> None:
    scene = Scene.of(database, tmp_path)
    change(scene, lambda db: db.execute(text("UPDATE versions SET packages = 'other'")))

    scene.roll("web/1")

    assert scene.serving == {"web/1": 3}
