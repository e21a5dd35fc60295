"""The first tree of a base family, made from the distribution with mmdebstrap.

The mirror that it is lent is taken out of the tree again before the tree is packed: what stands
in a layer can be read for ever, whatever a later layer deletes.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ovenbird import process
from ovenbird.bake.oven import TreeNeeds
from ovenbird.packages.sources import Source
from ovenbird.values.family import Definition

LENT_TRACES = (
    'rm -rf "$1"/etc/apt/sources.list "$1"/etc/apt/sources.list.d/* '
    '"$1"/etc/apt/apt.conf.d/99mmdebstrap "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*.bin '
    '"$1"/var/log/apt/* "$1"/var/log/dpkg.log '
    '"$1"/var/log/bootstrap.log "$1"/var/log/alternatives.log'
)
IDENTITY = 'rm -f "$1"/etc/hostname "$1"/var/lib/dbus/machine-id; : > "$1"/etc/machine-id'


def tree(
    definition: Definition,
    *,
    needs: TreeNeeds,
    sources: Sequence[Source],
    options: Sequence[str],
    packages: str,
    cache: Path,
) -> Path:
    """Return a tar of the distribution as it is today, made once for a definition and a state.

    Trees of the same day for other engines stay in ``cache``; those of days gone by are removed.
    """
    made_of = json.dumps([asdict(definition), asdict(needs), LENT_TRACES, IDENTITY])
    what, day = (hashlib.sha256(text.encode()).hexdigest()[:16] for text in (made_of, packages))
    name = f"tree-{definition.suite}-{day}-{what}.tar"
    cache.mkdir(parents=True, exist_ok=True)
    made = cache / name
    if made.exists():
        return made
    draft = cache / f".{name}.{os.getpid()}"
    try:
        _make(draft, definition, needs, sources=sources, options=options)
        draft.replace(made)
    finally:
        draft.unlink(missing_ok=True)
    for old in cache.glob(f"tree-{definition.suite}-*.tar"):
        if day not in old.name:
            old.unlink()
    return made


def _make(
    draft: Path,
    definition: Definition,
    needs: TreeNeeds,
    *,
    sources: Sequence[Source],
    options: Sequence[str],
) -> None:
    """Let mmdebstrap make a tree, with what it is lent in files beside it."""
    sources_list = draft.with_name(f"{draft.name}.list")
    sources_list.write_text("".join(f"{source}\n" for source in sources))
    apt = draft.with_name(f"{draft.name}.conf")  # a file, since a proxy's password may be in it
    apt.touch(mode=0o600)
    apt.write_text("".join(f"{option}\n" for option in options))
    try:
        process.run(
            [
                "mmdebstrap",
                "--quiet",
                f"--variant={definition.variant}",
                f"--include={','.join((*definition.include, *needs.include))}",
                f"--aptopt={apt}",
                "--dpkgopt=force-unsafe-io",
                '--customize-hook=rm -f "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap',
                *(f"--customize-hook={hook}" for hook in needs.hooks),
                f"--customize-hook={LENT_TRACES}",
                f"--customize-hook={IDENTITY}",
                "--format=tar",
                definition.suite,
                str(draft),
                str(sources_list),
            ],
            doing=f"Making the first tree of {definition.suite}",
        )
    finally:
        sources_list.unlink(missing_ok=True)
        apt.unlink(missing_ok=True)
