"""image.keygen, image.provenance, and --key, as they are typed."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from invoke import Program
from sqlalchemy import update
from tests.builders import an_artifact
from tests.unit.test_catalog import baked

from ovenbird.assembly.sealed import catalog_of
from ovenbird.seals.keys import NAMED_BY, generate, keyring
from ovenbird.state.image_tables import versions
from ovenbird.state.site import open_site
from ovenbird.tasks import make_namespace
from ovenbird.values.image import ImageState

Typed = Callable[..., tuple[int, str, str]]


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """Type a command on a site with base/1 and web/1; returns its exit code and what it wrote."""
    monkeypatch.setenv("OVENBIRD_STATE", str(tmp_path / "site"))
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    catalog = catalog_of(open_site())
    for family in ("base", "web"):
        artifact = an_artifact("sha256:" + "a" * 64, provider="podman")
        catalog.register(replace(baked(family), artifact=artifact), state=ImageState.ACTIVE)

    def run(*argv: str, named: str = "") -> tuple[int, str, str]:
        monkeypatch.setenv(NAMED_BY, named)
        code = 0
        try:
            Program(name="ovenbird", namespace=make_namespace()).run(["ovenbird", *argv])
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def judge(typed: Typed, *more: str) -> tuple[int, str, str]:
    return typed("image.deprecate", "web/1", "--because", "old", *more)


def test_a_key_signs_what_is_there_and_says_who_needs_which_half(
    typed: Typed, tmp_path: Path
) -> None:
    code, _, said = typed("image.keygen", named="/another/key.pem")

    assert code == 0
    assert f"Wrote the private key {tmp_path}/site/keys/signing.pem" in said
    assert "Signed 2 images as the catalog has them now" in said
    assert "Other hosts of this site need the public half" in said
    keys = keyring(tmp_path / "site", {})
    assert keys is not None
    assert keys.signer is not None


def test_a_second_keygen_makes_nothing(typed: Typed, tmp_path: Path) -> None:
    typed("image.keygen")
    before = (tmp_path / "site/keys/signing.pem").read_bytes()

    code, _, said = typed("image.keygen", "--name", "new")

    assert code == 2
    assert "There is a key already" in said
    assert (tmp_path / "site/keys/signing.pem").read_bytes() == before
    assert not (tmp_path / "site/keys/trusted/new.pub").exists()


def test_a_keygen_that_was_killed_is_finished_by_the_next_one(typed: Typed, tmp_path: Path) -> None:
    site = tmp_path / "site"
    private, public = generate(site, name="site")
    made, trusted = private.read_bytes(), public.read_bytes()
    for dead_before_its_public_half in (True, False):
        (site / "keys/.unfinished").touch()
        if dead_before_its_public_half:
            public.unlink()

        code, _, said = typed("image.keygen")

        assert code == 0, said
        assert "Signed 2 images" in said
        assert (private.read_bytes(), public.read_bytes()) == (made, trusted)
        assert [path.name for path in (site / "keys/trusted").iterdir()] == ["site.pub"]
        assert typed("image.keygen")[0] == 2
        unsign()


def test_signatures_that_somebody_took_away_are_not_made_again_by_a_keygen(
    typed: Typed, tmp_path: Path
) -> None:
    typed("image.keygen")
    unsign()

    assert typed("image.keygen")[0] == 2
    (tmp_path / "site/keys/signing.pem").unlink()
    code, _, said = typed("image.keygen", "--name", "new")

    assert code == 1
    assert "Signed 0 images" in said
    assert "web/1 is not signed" in said


def unsign() -> None:
    """What somebody does who has the database, and no key."""
    with open_site().database.begin() as db:
        db.execute(update(versions).values(seal=None))


def test_a_new_key_names_what_somebody_changed_and_exits_1(typed: Typed, tmp_path: Path) -> None:
    typed("image.keygen")
    (tmp_path / "site/keys/signing.pem").unlink()
    with open_site().database.begin() as db:
        db.execute(update(versions).where(versions.c.family == "web").values(packages="q" * 64))

    code, _, said = typed("image.keygen", "--name", "new")

    assert code == 1
    assert "Signed 1 image as" in said
    assert "Not signed once more: The catalog says another thing of web/1" in said


def test_a_host_that_lost_its_trusted_keys_makes_no_other_one(typed: Typed, tmp_path: Path) -> None:
    typed("image.keygen")
    (tmp_path / "site/keys").rename(tmp_path / "moved")

    code, _, said = typed("image.keygen")

    assert code == 2
    assert "this host trusts no key" in said
    assert not (tmp_path / "site/keys/signing.pem").exists()


def test_the_statement_is_printed_with_its_envelope_and_without(typed: Typed) -> None:
    typed("image.keygen")

    _, envelope, _ = typed("image.provenance", "web/1")
    _, statement, _ = typed("image.provenance", "web/1", "--on", "podman", "--statement")

    assert json.loads(envelope)["payloadType"] == "application/vnd.in-toto+json"
    assert json.loads(statement)["subject"][0]["name"] == "web/1@podman"


def test_what_nobody_has_signed_has_no_statement(typed: Typed) -> None:
    code, said, told = typed("image.provenance", "web/1")

    assert (code, said) == (3, "")
    assert "is signed by nobody" in told


def test_a_key_may_be_named_for_one_command(typed: Typed, tmp_path: Path) -> None:
    typed("image.keygen")
    away = (tmp_path / "site/keys/signing.pem").rename(tmp_path / "on-a-stick.pem")

    assert judge(typed)[0] == 2
    assert judge(typed, "--key", str(away))[0] == 0


def test_a_named_key_that_the_site_does_not_trust_changes_nothing(
    typed: Typed, tmp_path: Path
) -> None:
    other, _ = generate(tmp_path / "other", name="other")

    code, _, said = judge(typed, "--key", str(other))
    assert code == 2
    assert "this site trusts none" in said

    typed("image.keygen")
    code, _, said = judge(typed, "--key", str(other))
    assert code == 2
    assert "is a key that this site does not trust" in said
    assert "active" in typed("image.show", "web/1")[1]
