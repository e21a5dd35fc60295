"""The golden files of QEMU: a disk and, where it does not boot by itself, its kernel.

FOLDER/qemu/images/HEX/{disk.qcow2,vmlinuz,initrd.img,boot.json}, read-only. HEX is a hash over all
of them, so what lies there is what was proven. The disks of instances are overlays on it: it is
never changed, and never deleted while one of them lives.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from pydantic import BaseModel

from ovenbird.values.errors import OvenbirdError, Tampered
from ovenbird.values.image import Artifact

_CHUNK = 1 << 20


class Boot(BaseModel, frozen=True):
    """How a golden disk is booted: ``append`` is the command line of the kernel beside it. Without
    ``kernel`` the disk boots by itself."""

    kernel: str = ""
    initrd: str = ""
    append: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden:
    """The files of one image that is here."""

    folder: Path
    boot: Boot

    @property
    def disk(self) -> Path:
        return self.folder / "disk.qcow2"


def images(folder: Path) -> Path:
    """Say where a site's golden files are; this is their `Artifact.location`."""
    return folder / "qemu" / "images"


def hex_id(artifact: Artifact) -> str:
    return artifact.id.removeprefix("sha256:")


def holds(artifact: Artifact) -> bool:
    """Look for it, by its location alone."""
    return (Path(artifact.location) / hex_id(artifact) / "disk.qcow2").is_file()


def golden(folder: Path, artifact_id: str, *, what: str) -> Golden:
    """Find an image's files. ``what`` names it in the error."""
    at = images(folder) / artifact_id.removeprefix("sha256:")
    try:
        boot = Boot.model_validate_json((at / "boot.json").read_text())
        (at / "disk.qcow2").stat()
    except FileNotFoundError as missing:
        raise OvenbirdError(
            f"{images(folder)} does not hold the image of {what} any more.",
            remedy="Bake it again with invoke bake FAMILY --force, or choose another version.",
        ) from missing
    return Golden(folder=at, boot=boot)


def keep(folder: Path, made: Path, *, boot: Boot) -> str:
    """Move the files of a new image, in the folder ``made``, to where images are kept.

    Returns its artifact id. ``made`` is gone afterwards; what is there already is left alone.
    """
    (made / "boot.json").write_text(boot.model_dump_json())
    named = _named(made, boot)
    at = images(folder) / named
    if at.exists():
        shutil.rmtree(made)
        return f"sha256:{named}"
    at.parent.mkdir(parents=True, exist_ok=True)
    arriving = at.parent / f".{at.name}.{uuid4().hex[:8]}"
    shutil.move(made, arriving)
    for name in _names(boot):
        (arriving / name).chmod(0o444)
    arriving.chmod(0o755)
    arriving.rename(at)
    return f"sha256:{named}"


def verify(folder: Path, artifact: Artifact) -> None:
    """Hash an image's files again: disk, kernel, and how it is booted. Raises `Tampered`."""
    short = hex_id(artifact)[:12]
    try:
        found = golden(folder, artifact.id, what=short)
        whole = _named(found.folder, found.boot) == hex_id(artifact)
    except (ValueError, FileNotFoundError):  # how it is booted cannot be read, or with what
        whole = False
    if not whole:
        raise Tampered(
            f"The files in {images(folder) / hex_id(artifact)} are not what was baked.",
            remedy="Nothing was launched. Find out who changed the disk, the kernel or the "
            "command line; then bake it again with --force, and roll to that.",
        )


def parts(folder: Path, artifact_id: str) -> list[tuple[str, str]]:
    """Name an image's files, each with its SHA-256 as ``sha256sum`` prints it."""
    found = golden(folder, artifact_id, what=artifact_id)
    return [(name, _digest(found.folder / name)) for name in _names(found.boot)]


def _named(folder: Path, boot: Boot) -> str:
    """Name an image by all of its files."""
    named = hashlib.sha256()
    for name in _names(boot):
        named.update(f"{name} {_digest(folder / name)}\n".encode())
    return named.hexdigest()


def remove(folder: Path, artifact_id: str) -> None:
    """Delete an image's files; those of one that is gone are no error."""
    at = images(folder) / artifact_id.removeprefix("sha256:")
    gone = at.parent / f".{at.name}.{uuid4().hex[:8]}"
    try:
        at.rename(gone)  # at once, so that nobody starts from half of it
    except FileNotFoundError:
        return
    shutil.rmtree(gone)


def size(folder: Path, artifact_id: str) -> int:
    """Return what an image's files take on the disk, in bytes."""
    at = images(folder) / artifact_id.removeprefix("sha256:")
    return sum(file.stat().st_blocks * 512 for file in at.iterdir())


def _names(boot: Boot) -> Iterator[str]:
    yield "boot.json"
    yield "disk.qcow2"
    yield from filter(None, (boot.kernel, boot.initrd))


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
