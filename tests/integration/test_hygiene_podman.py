"""A real image of podman, of two layers: what is in it is found, also what the upper one hides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import pytest
from tests import planted
from tests.contract.conftest import podman_folder  # noqa: F401
from tests.planted import CLEAN, GITHUB, PEM

from ovenbird import process
from ovenbird.bake.oven_podman import PodmanOven
from ovenbird.hygiene.archive import CONFIGURATION
from ovenbird.hygiene.scan import Scan, scan
from ovenbird.provider import podman_engine
from ovenbird.provider.podman import PodmanProvider
from ovenbird.values.secret import SecretKind


class Bench:
    """Images of files, made by podman and removed after."""

    def __init__(self, folder: Path) -> None:
        self.oven = PodmanOven(PodmanProvider(folder=folder, site="hygiene"), folder=folder)
        self._env, self._made = podman_engine.environment(folder), list[str]()

    def imported(self, files: Mapping[str, bytes]) -> str:
        """Import a tree; its message makes its id unique, so that two sessions share no image."""
        words = ("import", "--quiet", f"--message={uuid4().hex}", "-")
        return self._image(self.podman(*words, stdin=planted.tree(files)))

    def changed(self, image: str, *changes: str, copied: Path, to: str) -> str:
        """Commit a second layer: a file that is copied in, and changes of the configuration."""
        build = self.podman("create", image, "/none")
        try:
            self.podman("cp", str(copied), f"{build}:{to}")
            told = [f"--change={change}" for change in changes]
            return self._image(self.podman("commit", "--quiet", *told, build))
        finally:
            self.podman("rm", "--force", build)

    def scanned(self, image: str, folder: Path) -> Scan:
        found = scan(self.oven.contents(image, folder=folder))
        assert list(folder.glob("*.tar")) == []
        return found

    def close(self) -> None:
        for image in reversed(self._made):
            self.podman("rmi", "--force", image)

    def podman(self, *words: str, stdin: bytes | None = None) -> str:
        argv = ("podman", *words)
        return process.run(argv, doing="Preparing", env=self._env, stdin=stdin).stdout.strip()

    def _image(self, said: str) -> str:
        self._made.append(said.splitlines()[-1])
        return self._made[-1]


@pytest.fixture
def bench(podman_folder: Path) -> Iterator[Bench]:  # noqa: F811
    made = Bench(podman_folder)
    try:
        yield made
    finally:
        made.close()


def test_a_clean_image_of_podman_raises_no_alarm(bench: Bench, tmp_path: Path) -> None:
    found = bench.scanned(bench.imported(CLEAN), tmp_path)

    assert found.findings == ()
    assert found.files == len(CLEAN) + 1


def test_a_parent_layer_the_files_and_the_configuration_are_looked_at(
    bench: Bench, tmp_path: Path
) -> None:
    parent = bench.imported({**CLEAN, "/srv/web.key": PEM})
    emptied = tmp_path / "web.key"
    emptied.write_bytes(b"")
    child = bench.changed(
        parent, f"ENV GH={GITHUB}", "LABEL by=https://ci:h0rse-77@git.corp/x", copied=emptied,
        to="/srv/web.key",
    )  # fmt: skip

    found = bench.scanned(child, tmp_path)

    assert {(f.kind, f.path) for f in found.findings} == {
        (SecretKind.PRIVATE_KEY, "/srv/web.key"),
        (SecretKind.TOKEN, CONFIGURATION),
        (SecretKind.URL_PASSWORD, CONFIGURATION),
    }
    (key,) = (f for f in found.findings if f.path == "/srv/web.key")
    assert key.where == "layer 1 of 2"
    assert key.hint.endswith("a later layer only hides it")
