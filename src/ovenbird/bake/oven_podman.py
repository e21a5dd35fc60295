"""Baking with podman: Packer's docker builder, reached through a shim that says podman."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird import process
from ovenbird.bake.lend import MOUNTED
from ovenbird.bake.oven import TreeNeeds
from ovenbird.provider import Engine, podman_engine
from ovenbird.provider.podman import PodmanProvider
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.image import Artifact

if TYPE_CHECKING:
    from ovenbird.hygiene.content import Content

SHIM = '#!/bin/sh\nexec podman "$@"\n'


class PodmanOven:
    """Bakes OCI images in the store of this machine's podman."""

    name = "podman"
    needs = TreeNeeds()
    boot_deadline = 90.0
    lends_by_mount = True

    def __init__(self, provider: PodmanProvider, *, folder: Path) -> None:
        self._provider, self._folder = provider, folder

    def environment(self, shims: Path) -> Mapping[str, str]:
        """Put a ``docker`` on the PATH that is podman, whatever else is called docker here."""
        docker = shims / "docker"
        docker.write_text(SHIM)
        docker.chmod(0o755)
        return self._settings

    def adopt_tree(self, tar: Path, *, name: str) -> str:
        done = self._podman("Importing the base tree", "import", "--quiet", str(tar), name)
        return done.stdout.strip().splitlines()[-1]

    def adopt_reference(self, reference: str) -> str:
        done = self._podman(f"Fetching {reference}", "pull", "--quiet", reference)
        return f"sha256:{done.stdout.strip().removeprefix('sha256:')}"

    def adopt_disk(self, fetch: Callable[[], Path], *, name: str) -> str:
        raise ConfigurationError.of(
            "podman cannot start from the disk of a virtual machine.",
            remedy="Bake the family on qemu: invoke bake FAMILY --on qemu",
        )

    def prepare(self, artifact_id: str, *, folder: Path, token: str) -> Mapping[str, str]:
        return {}

    def into(self, build: str, *, folder: Path, lent: Path) -> Sequence[str]:
        return ["podman", "exec", "-i", "--env-file", str(lent / "environment"), build]

    def artifact_of(self, built: Mapping[str, object], *, folder: Path, token: str) -> str:
        return str(built["artifact_id"])

    def start(self, artifact_id: str, *, name: str, lent: Path) -> None:
        mount = f"{lent}:{MOUNTED}:ro"
        words = ["run", "-d", "-t", "--systemd=always", "--name", name, "-v", mount]
        self._podman(f"Starting {name}", *words, artifact_id, "/sbin/init")

    def location(self) -> str:
        return self._where

    def present(self, artifact: Artifact) -> bool:
        return self._provider.present(artifact)

    def size(self, artifact_id: str) -> int:
        seen = self._podman("Measuring the image", "image", "inspect", artifact_id)
        return int(json.loads(seen.stdout)[0]["Size"])

    def parts(self, artifact_id: str) -> Sequence[tuple[str, str]]:
        return ()

    def contents(self, artifact_id: str, *, folder: Path) -> Generator[Content]:
        from ovenbird.hygiene.archive import of_image

        archive = folder / "image.tar"
        words = ["save", "--quiet", "--format=docker-archive", f"--output={archive}", artifact_id]
        try:
            self._podman("Writing the image out", *words)
            yield from of_image(archive)
        finally:
            archive.unlink(missing_ok=True)

    def free(self) -> int:
        return shutil.disk_usage(Path(self._where).parent).free

    def name_artifact(self, artifact_id: str, *, family: str, number: int) -> None:
        name = f"localhost/ovenbird-{self._provider.site}/{family}:{number}"
        self._podman(f"Naming the image {name}", "tag", artifact_id, name)

    def stands(self, container: str) -> bool:
        doing = "Looking for a kept build instance"
        return self._podman(doing, "container", "exists", container, check=False).code == 0

    def made_by(self, token: str) -> Sequence[str]:
        mine = f"--filter=label=ovenbird.bake={token}"
        listed = self._podman(
            "Listing what a bake made", "images", "--all", "--quiet", "--no-trunc", mine
        )
        return sorted(set(listed.stdout.split()))

    def clean(self, *, containers: Sequence[str], images: Sequence[str]) -> None:
        if containers:
            self._podman("Removing build instances", "rm", "--force", "--ignore", *containers)
        for image in images:
            if (
                self._podman("Looking for an image", "image", "exists", image, check=False).code
                == 0
            ):
                self._podman("Removing a half-made image", "rmi", "--no-prune", image)

    def prover(self, *, folder: Path) -> Engine:
        return self._provider

    def proof_host(self, token: str, *, folder: Path) -> str:
        return f"podman://{token}"

    def enter(self, container: str) -> tuple[str, str]:
        return f"podman exec -it {container} bash", f"podman rm --force {container}"

    @cached_property
    def _settings(self) -> Mapping[str, str]:
        return podman_engine.environment(self._folder)

    @cached_property
    def _where(self) -> str:
        return self._provider.locate()

    def _podman(self, doing: str, *words: str, check: bool = True) -> process.Finished:
        return process.run(["podman", *words], doing=doing, env=self._settings, check=check)
