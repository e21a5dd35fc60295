"""Where this machine's own apt fetches each suite from.

Asking apt takes it a second, so its answer is kept for as long as nothing in its configuration
has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

from ovenbird import process
from ovenbird.packages.fetch import write

CONFIGURED = ("sources.list", "sources.list.d", "apt.conf", "apt.conf.d")
"""What decides on mirrors, under /etc/apt; and APT_CONFIG in the environment."""


def mirrors_of_this_machine(*, cache: Path | None = None) -> list[tuple[str, str]]:
    """List each suite with the address that it is fetched from. ``cache`` is a file, or none."""
    key = _key(Path("/etc/apt"))
    if cache is not None and cache.exists():
        known = json.loads(cache.read_text())
        if known["key"] == key:
            return [(suite, uri) for suite, uri in known["mirrors"]]
    mirrors = _asked()
    if cache is not None:
        write(cache, json.dumps({"key": key, "mirrors": mirrors}).encode())
    return mirrors


def _asked() -> list[tuple[str, str]]:
    listed = process.run(
        ["apt-get", "indextargets", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"],
        doing="Asking apt for this machine's mirror",
    )
    pairs = (line.partition(" ") for line in listed.stdout.splitlines())
    return list(dict.fromkeys((suite, uri) for suite, _, uri in pairs if uri))


def _key(etc: Path) -> str:
    """Hash place, size and time of every file that decides."""
    said = [os.environ.get("APT_CONFIG", "")]
    for path in _files(etc):
        stat = path.stat()
        said.append(f"{path} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(said).encode()).hexdigest()


def _files(etc: Path) -> Iterator[Path]:
    for name in CONFIGURED:
        path = etc / name
        if path.is_dir():
            yield from sorted(path.iterdir())
        elif path.exists():
            yield path
