"""The gate in a bake: what it finds stands in the catalog as failed, and what it says of it."""

from __future__ import annotations

import io
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.builders import NOW, an_artifact
from tests.planted import GITHUB, PEM
from tests.unit.test_catalog import baked

from ovenbird.bake import cleanliness, make
from ovenbird.bake.bakery import Bakery, Wish
from ovenbird.bake.cleanliness import demand_clean, exceptions_of, look_into
from ovenbird.catalog import Catalog
from ovenbird.config.exceptions import FILE
from ovenbird.console import Console
from ovenbird.hygiene.content import Content
from ovenbird.state.database import Database
from ovenbird.tasks.image_scan import scan_document
from ovenbird.values.errors import Blocked, ConfigurationError, ProofFailed
from ovenbird.values.exception import Exceptions
from ovenbird.values.image import Artifact, ImageState

ARTIFACT = replace(an_artifact("sha256:web", provider="podman"), size=1000)
ALLOWS = """\
exceptions:
  - {secret: token, path: /srv/app.env, reason: a demo, owner: ada, expires: 2026-12-31}
  - {secret: history, path: /root/**, reason: never seen, owner: ada, expires: 2026-12-31}
"""


class Shelf:
    """An oven as the gate sees it: one image, whose files a test says."""

    name = "podman"

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files, self.closed = files, False

    def present(self, artifact: Artifact) -> bool:
        return True

    def contents(self, artifact_id: str, *, folder: Path) -> Generator[Content]:
        assert artifact_id == ARTIFACT.id
        try:
            for path, data in self.files.items():
                yield Content(
                    path=path, mode=0o644, size=len(data), data=data, where="layer 2 of 2"
                )
        finally:
            self.closed = True


class Bench:
    def __init__(self, folder: Path, database: Database, files: dict[str, bytes]) -> None:
        self.said, self.oven = io.StringIO(), Shelf(files)
        self.catalog, self.folder = Catalog(database), folder
        self.bakery = Bakery(
            project=folder,
            site=cast(Any, SimpleNamespace(id="s", folder=folder)),
            families={},
            variables={},
            environment=cast(Any, None),
            catalog=self.catalog,
            oven=cast(Any, self.oven),
            provider=cast(Any, None),
            clock=cast(Any, SimpleNamespace(now=lambda: NOW)),
            console=Console(err=self.said),
            by="ada",
        )

    def allow(self, text: str) -> None:
        path = self.folder / FILE
        path.parent.mkdir(parents=True)
        path.write_text(text)

    def gate(self) -> None:
        demand_clean(ARTIFACT, self.bakery, folder=self.folder, allowed=exceptions_of(self.bakery))


@pytest.fixture
def dirty(tmp_path: Path, database: Database) -> Bench:
    token = f"GH={GITHUB}\n".encode()
    return Bench(tmp_path, database, {"/srv/app.env": token, "/etc/ssl/web.key": PEM})


def test_a_clean_image_passes_and_the_files_are_counted(tmp_path: Path, database: Database) -> None:
    bench = Bench(tmp_path, database, {f"/srv/{n}": b"hello\n" for n in range(1234)})

    bench.gate()

    assert bench.said.getvalue() == "‣ Looking for secrets: 1,234 files, none\n"
    assert bench.oven.closed


def test_every_finding_is_named_with_its_path_kind_and_place(dirty: Bench) -> None:
    with pytest.raises(ProofFailed) as refused:
        dirty.gate()

    assert refused.value.problem.startswith("2 things must not be in it: private-key in /etc/ssl")
    assert refused.value.evidence.splitlines() == [
        "/etc/ssl/web.key:1: private-key, a PEM block, private key (in layer 2 of 2)",
        "/srv/app.env:1: token, a GitHub token (ghp_…) (in layer 2 of 2)",
    ]
    assert FILE in refused.value.remedy
    assert dirty.oven.closed


def test_what_is_allowed_passes_and_is_told_with_its_day(dirty: Bench) -> None:
    dirty.allow(ALLOWS)
    del dirty.oven.files["/etc/ssl/web.key"]

    dirty.gate()

    said = dirty.said.getvalue()
    assert "1 files, none, 1 allowed" in said
    assert "allowed until 2026-12-31 (ada: a demo): /srv/app.env:1: token" in said
    assert f"nothing here needs the exception of {FILE}:3, history in /root/**" in said


def test_an_exception_whose_day_is_over_stops_a_bake_before_it_begins(dirty: Bench) -> None:
    dirty.allow(ALLOWS.replace("2026-12-31", "2026-01-31"))

    with pytest.raises(ConfigurationError, match="ended on 2026-01-31"):
        exceptions_of(dirty.bakery)


def test_a_bake_with_a_secret_in_its_image_fails_as_one_that_is_not_proven(
    dirty: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidate = replace(baked(), artifact=ARTIFACT, log=str(dirty.folder / "bake.log"))
    monkeypatch.setattr("ovenbird.bake.prove.prove", lambda *_, **__: None)  # it boots well

    with pytest.raises(ProofFailed, match="web/1 is not proven: 2 things") as refused:
        make._prove(
            cast(Any, SimpleNamespace(name="web")),
            candidate,
            cast(Any, SimpleNamespace(folder=dirty.folder, environment={})),
            cast(Any, None),
            dirty.bakery,
            Wish(),
            allowed=Exceptions(),
        )

    (version,) = dirty.catalog.versions("web")
    assert (version.state, version.artifacts) == (ImageState.FAILED, ())
    assert "its artifact is deleted" in refused.value.remedy
    assert "/etc/ssl/web.key:1: private-key" in Path(candidate.log).read_text()


def test_without_room_to_write_an_image_out_nothing_is_said_of_it(dirty: Bench) -> None:
    with pytest.raises(Blocked, match="are needed there"):
        look_into(
            replace(ARTIFACT, size=10**18),
            dirty.bakery,
            folder=dirty.folder,
            allowed=Exceptions(),
        )


def test_a_version_that_the_engine_does_not_hold_cannot_be_looked_into(dirty: Bench) -> None:
    version = dirty.catalog.register(baked(), state=ImageState.ACTIVE)
    dirty.oven.name = "lxd"

    with pytest.raises(Blocked, match="web/1 is not held by lxd"):
        cleanliness.scan_again(version, dirty.bakery)


def test_the_document_holds_what_a_program_needs(dirty: Bench) -> None:
    dirty.allow(ALLOWS)
    looked = look_into(
        ARTIFACT, dirty.bakery, folder=dirty.folder, allowed=exceptions_of(dirty.bakery)
    )

    document = scan_document(looked, image="web/1", on="podman")

    assert document["findings"] == [
        {
            "kind": "private-key",
            "path": "/etc/ssl/web.key",
            "line": 1,
            "where": "layer 2 of 2",
            "hint": "a PEM block, private key",
        }
    ]
    assert [(a["owner"], a["expires"]) for a in cast(Any, document["allowed"])] == [
        ("ada", "2026-12-31")
    ]
    assert document["unused_exceptions"] == [{"secret": "history", "path": "/root/**", "line": 3}]
