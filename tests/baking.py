"""What tests of a bake look at: the engine's containers and images, ledgers, processes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.project import Project

TASKS = "roles/web/tasks/main.yml"
FAILS = """---
- name: Open the oven door too early
  ansible.builtin.command: /bin/sh -c 'echo it is cold >&2; exit 3'
  changed_when: true
"""
TAKES_LONG = """---
- name: Wait for the dough
  ansible.builtin.command: sleep 60
  changed_when: true
"""
LISTENS_FOR_PROCESSES = """
import os, sys

def heard(event, args):
    if event.startswith(("subprocess.", "os.fork", "os.exec", "os.posix_spawn", "os.system")):
        with open(os.environ["HEARD"], "a") as file:
            print(event, args[:2], file=file)

sys.addaudithook(heard)
"""


@contextmanager
def changed(project: Project, file: str, text: str) -> Iterator[None]:
    """Replace a file of the project for as long as the block lasts."""
    path = project.folder / file
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(before)


def tokens(project: Project) -> set[str]:
    """Name every bake of this site, the dead and the done too: each has a log."""
    return {path.stem for path in (project.site / "logs").iterdir()}


def containers(project: Project) -> set[str]:
    names = project.podman("ps", "--all", "--format", "{{.Names}}").split()
    return {name for name in names if any(name.startswith(token) for token in tokens(project))}


def images(project: Project) -> set[str]:
    mine = tokens(project)
    return {
        image["Id"]
        for image in json.loads(project.podman("images", "--all", "--format", "json"))
        if (image.get("Labels") or {}).get("ovenbird.bake") in mine
        or any(
            name.partition("/ovenbird-bake/")[2][:-7] in mine for name in image.get("Names") or ()
        )
    }


def secrets(project: Project) -> set[str]:
    names = project.podman("secret", "ls", "--format", "{{.Name}}").split()
    return {name for name in names if any(name.startswith(token) for token in tokens(project))}


def open_ledgers(project: Project) -> set[str]:
    return {path.name for path in (project.site / "bakes").iterdir()}


def processes_of(token: str) -> dict[int, str]:
    """Find every process that was told a bake's token: Packer and what it started."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if token in words:
            found[int(path.parent.name)] = words
    return found
