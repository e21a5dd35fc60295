"""Reads ``inventories/`` for hosts: it says which fleets should run, and never where they live."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from ovenbird.bake.guard.documents import Unreadable, line_of, load
from ovenbird.values.errors import Fault

REMEDY = "Describe fleets in inventories/<env>/fleets.yml; Ansible has no inventory here."
NOT_READ = ("ansible.cfg", "fleets.yml", "environment.yml", ".gitkeep", ".gitignore", "README.md")
"""Files that Ansible cannot take for an inventory, or whose keys Ovenbird's own reader checks."""


def faults_of_inventories(project: Path) -> Iterator[Fault]:
    """Yield every file below ``inventories/`` that gives Ansible a host."""
    root = project / "inventories"
    for file in sorted(path for path in root.rglob("*") if path.is_file()):
        if file.name in NOT_READ:
            continue
        line = _first_host(file)
        if line is not None:
            yield Fault(
                file=str(file.relative_to(project)),
                line=line,
                problem="this lists hosts, or asks a program for them",
                remedy=REMEDY,
            )


def _first_host(file: Path) -> int | None:
    """Return the line of the first host or group, 0 for a whole file, None where there is none."""
    if os.access(file, os.X_OK):
        return 0  # Ansible starts it and takes what it prints for hosts
    if file.suffix in (".yml", ".yaml", ".json"):
        try:
            document = load(file)
        except Unreadable:
            return None  # Ansible cannot read it either; the reader of the configuration says so
        return _first_group(document) if isinstance(document, Mapping) else None
    return _first_word(file)


def _first_group(document: Mapping[object, object]) -> int | None:
    """Find ``plugin: …``, or a top-level group: only hosts, children and vars, and not vars alone.

    A variable that happens to be called ``hosts`` lies deeper, or beside other keys.
    """
    for key, value in document.items():
        if key == "plugin":
            return line_of(document, key)
        if isinstance(value, Mapping):
            keys = set(value)
            if keys & {"hosts", "children"} and keys <= {"hosts", "children", "vars"}:
                return line_of(document, key)
    return None


def _first_word(file: Path) -> int | None:
    """In an INI inventory each word at a line's start is a host, so nothing but comments may be."""
    try:
        lines = file.read_text().splitlines()
    except UnicodeDecodeError:
        return None
    for number, line in enumerate(lines, 1):
        if line.strip() and line.lstrip()[0] not in "#;":
            return number
    return None
