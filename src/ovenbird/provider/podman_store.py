"""The images that podman holds, read from its store's own index, so that a look costs no process.

The index is ``images.json``, a list of objects with an ``id``. Its place has been the same since
containers/storage began, and it is replaced atomically.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, Field, TypeAdapter

from ovenbird.values.errors import EngineUnreachable
from ovenbird.values.image import Artifact


class _Store(BaseModel):
    root: str = Field(alias="graphRoot")
    driver: str = Field(alias="graphDriverName")


class _Info(BaseModel):
    store: _Store


class _Image(BaseModel):
    id: str


_INDEX = TypeAdapter(list[_Image])


def hex_id(artifact: Artifact) -> str:
    """Return the id as the store writes it: Packer's manifest puts ``sha256:`` before it."""
    return artifact.id.removeprefix("sha256:")


def locate(info: str) -> str:
    """Read from ``podman info --format json`` the folder of the index, for later looks."""
    store = _Info.model_validate_json(info).store
    return str(Path(store.root) / f"{store.driver}-images")


def holds(artifact: Artifact) -> bool:
    """Say whether the store at ``artifact.location`` lists it. Starts no process.

    Raises `EngineUnreachable` where the index may not be read.
    """
    index = Path(artifact.location) / "images.json"
    try:
        return hex_id(artifact) in {image.id for image in _INDEX.validate_json(index.read_bytes())}
    except FileNotFoundError:
        return False
    except (PermissionError, ValueError) as error:
        raise EngineUnreachable(
            f"podman's list of images cannot be read: {index}.",
            remedy="Run this as the user who baked the image.",
        ) from error


def settings_key(environment: Mapping[str, str]) -> str:
    """Name the files that decide where podman stores, each with its size and time."""
    home = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    files = [
        Path(shutil.which("podman") or "podman"),
        Path("/etc/containers/storage.conf"),
        home / "containers" / "storage.conf",
        Path(environment.get("CONTAINERS_CONF", os.environ.get("CONTAINERS_CONF", "/none"))),
    ]
    stats = [(str(f), f.stat()) for f in files if f.exists()]
    said = [f"{name} {stat.st_size} {stat.st_mtime_ns}" for name, stat in stats]
    return " ".join([str(os.getuid()), os.environ.get("CONTAINERS_STORAGE_CONF", ""), *said])
