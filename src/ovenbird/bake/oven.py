"""Where a bake happens: the few things that differ from engine to engine.

Only `bake` holds a way inside a machine, and only to one that it made and will throw away or
seal: that way is ``into``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from ovenbird.provider import Engine
from ovenbird.values.image import Artifact

if TYPE_CHECKING:
    from ovenbird.hygiene.content import Content


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeNeeds:
    """What a first tree must hold to boot on an engine, beside what its family says.

    ``include`` are packages, ``hooks`` shell lines that mmdebstrap runs with the tree as ``$1``.
    """

    include: tuple[str, ...] = ()
    hooks: tuple[str, ...] = ()


class Oven(Protocol):
    """One engine as a bake sees it. ``name`` is also the provider's."""

    @property
    def name(self) -> str: ...

    @property
    def needs(self) -> TreeNeeds: ...

    @property
    def boot_deadline(self) -> float:
        """Seconds within which an instance of a good image has come up here."""
        ...

    @property
    def lends_by_mount(self) -> bool:
        """Say whether the template mounts what a bake is lent; else it is pushed through
        ``into``."""
        ...

    def environment(self, shims: Path) -> Mapping[str, str]:
        """Return what Packer's environment needs; ``shims`` is a folder first on its PATH."""
        ...

    def adopt_tree(self, tar: Path, *, name: str) -> str:
        """Make a first image of a root file system; return its artifact id."""
        ...

    def adopt_reference(self, reference: str) -> str:
        """Fetch a registry's image; return its artifact id."""
        ...

    def adopt_disk(self, fetch: Callable[[], Path], *, name: str) -> str:
        """Make a first image of a disk that somebody else made; return its artifact id.

        ``fetch`` gets the file. Raises `ConfigurationError` where disks are of no use.
        """
        ...

    def prepare(self, artifact_id: str, *, folder: Path, token: str) -> Mapping[str, str]:
        """Make ready what Packer needs to start from an artifact; return variables of the source.

        ``folder`` is the bake's own and goes with it. The source declares these variables.
        """
        ...

    def into(self, build: str, *, folder: Path, lent: Path) -> Sequence[str]:
        """Return the argv that reaches inside the build instance of a bake.

        What follows it are the words of one command, each to arrive as it is; stdin too.
        """
        ...

    def artifact_of(self, built: Mapping[str, object], *, folder: Path, token: str) -> str:
        """Take what Packer built to where the engine keeps images; return its artifact id.

        ``built`` is the entry of Packer's manifest. Raises `BakeFailed`.
        """
        ...

    def start(self, artifact_id: str, *, name: str, lent: Path) -> None:
        """Start a build instance by hand, for a trial that needs no Packer."""
        ...

    def location(self) -> str:
        """Say where the engine keeps images, so that `present` needs no process."""
        ...

    def present(self, artifact: Artifact) -> bool: ...

    def size(self, artifact_id: str) -> int:
        """Return an image's size in bytes."""
        ...

    def parts(self, artifact_id: str) -> Sequence[tuple[str, str]]:
        """Name the files of an image, each with its SHA-256, where others meet them as files."""
        ...

    def contents(self, artifact_id: str, *, folder: Path) -> Generator[Content]:
        """Yield every file of an image, each layer's, and what the image says of itself.

        What must be written out for it lies in ``folder`` until the generator is closed.
        """
        ...

    def free(self) -> int:
        """Return the bytes that are free where the engine keeps images."""
        ...

    def name_artifact(self, artifact_id: str, *, family: str, number: int) -> None:
        """Give an image a name at the engine, so that a person finds it and no prune takes it."""
        ...

    def stands(self, container: str) -> bool:
        """Say whether there still is a build instance of this name, running or not."""
        ...

    def made_by(self, token: str) -> Sequence[str]:
        """Return the artifact ids of images that carry a bake's token, whoever knows of them."""
        ...

    def clean(self, *, containers: Sequence[str], images: Sequence[str]) -> None:
        """Remove what a bake created, by name or id; what is gone already is fine."""
        ...

    def prover(self, *, folder: Path) -> Engine:
        """Return the engine that boots the throw-away instances of a proof, so that
        `proof_host` gets in; ``folder`` is the bake's own."""
        ...

    def proof_host(self, token: str, *, folder: Path) -> str:
        """Return the testinfra host specification of a throw-away instance."""
        ...

    def enter(self, container: str) -> tuple[str, str]:
        """Return the commands that enter a kept build instance, and that remove it."""
        ...
