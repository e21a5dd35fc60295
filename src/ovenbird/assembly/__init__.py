"""Put a project, a site and an engine together into what a bake and a rollout work with.

Each part is a module of its own, so that a command loads only what it uses.
"""

from __future__ import annotations

from pathlib import Path

from ovenbird.values.errors import ConfigurationError


def project_folder(start: Path) -> Path:
    """Find the project that ``start`` lies in: the nearest folder with packer/images.yml."""
    for folder in (start, *start.parents):
        if (folder / "packer" / "images.yml").is_file():
            return folder
    raise ConfigurationError.of(
        f"{start} lies in no Ovenbird project: there is no packer/images.yml here or above.",
        remedy="Change into the project's folder.",
    )
