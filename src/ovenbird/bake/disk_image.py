"""Disks that somebody else made: fetched once, and used only if they are what was meant."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from ovenbird.bake.bakery import Bakery
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.family import DiskImage, Family

PATIENCE = 60.0
"""Seconds without a byte after which a download is given up."""


def fetched(disk: DiskImage, family: Family, bakery: Bakery) -> Path:
    """Return the file of a disk image, after its SHA-256 was compared.

    What a URL gave is kept in the site's cache under its hash. Raises `ConfigurationError` where
    it is another file than the family means, and `Blocked` where it cannot be had.
    """
    if "://" not in disk.origin:
        path = bakery.project / disk.origin
        if not path.is_file():
            raise _wrong(family, f"there is no file {disk.origin}", "Correct path:.")
        _compare(path, disk, family)
        return path
    kept = bakery.site.folder / "cache" / "disks" / disk.sha256
    if kept.exists():
        return kept
    kept.parent.mkdir(parents=True, exist_ok=True)
    draft = kept.with_name(f".{disk.sha256}.{os.getpid()}")
    try:
        _download(disk.origin, draft)
        _compare(draft, disk, family)
        draft.replace(kept)
    finally:
        draft.unlink(missing_ok=True)
    return kept


def _download(url: str, to: Path) -> None:
    import httpx

    try:
        with (
            httpx.stream("GET", url, follow_redirects=True, timeout=PATIENCE) as answer,
            to.open("wb") as file,
        ):
            answer.raise_for_status()
            length, free = int(answer.headers.get("content-length", 0)), shutil.disk_usage(to).free
            if length > free:
                raise Blocked(
                    f"{url} takes {length / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free in "
                    f"{to.parent}.",
                    remedy="Free some space there, and bake again.",
                )
            for chunk in answer.iter_bytes(1 << 20):
                file.write(chunk)
    except httpx.HTTPError as error:
        raise Blocked(
            f"{url} could not be fetched: {error}",
            remedy="Bake again when it answers, or fetch it by hand and name it with path:.",
        ) from error


def _compare(file: Path, disk: DiskImage, family: Family) -> None:
    with file.open("rb") as held:
        seen = hashlib.file_digest(held, "sha256").hexdigest()
    if seen != disk.sha256:
        raise _wrong(
            family,
            f"{disk.origin} is another file than is meant: its SHA-256 is {seen}, and the family "
            f"names {disk.sha256}",
            "Find out who changed it. If the new file is meant, correct sha256:.",
        )


def _wrong(family: Family, problem: str, remedy: str) -> ConfigurationError:
    return ConfigurationError.of(
        f"family {family.name}: {problem}.", remedy=remedy, file=family.file, line=family.line
    )
