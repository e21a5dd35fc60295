"""Which tools a bake used: told in an image's provenance, and never part of its fingerprint.

Asking Packer costs a process, so its answer is kept for as long as the program is the same file.
"""

from __future__ import annotations

import json
import re
import shutil
from importlib.metadata import version
from pathlib import Path

from ovenbird import process
from ovenbird.values.errors import ConfigurationError


def packer_version(cache: Path) -> tuple[int, ...]:
    """Return Packer's version as numbers, ``(1, 6, 6)``; asked once for a path, size and mtime."""
    program = shutil.which("packer")
    if program is None:
        raise ConfigurationError.of(
            "Baking needs packer, which is not installed.",
            remedy="See what is missing and how to get it: invoke doctor",
        )
    stat = Path(program).stat()
    key = f"{program} {stat.st_size} {stat.st_mtime_ns}"
    known: dict[str, list[int]] = json.loads(cache.read_text()) if cache.exists() else {}
    if key not in known:
        said = process.run([program, "version"], doing="Asking Packer for its version")
        found = re.search(r"v(\d+)\.(\d+)\.(\d+)", said.stdout)
        known = {key: [int(n) for n in found.groups()] if found else [0]}
        cache.parent.mkdir(parents=True, exist_ok=True)
        cache.write_text(json.dumps(known))
    return tuple(known[key])


def provenance(packer: tuple[int, ...]) -> tuple[tuple[str, str], ...]:
    """List name and version of every tool that had a hand in an image."""
    ours = [(name, version(name)) for name in ("ovenbird", "ansible-core", "ansible-runner")]
    return (("packer", ".".join(map(str, packer))), *ours)
