"""What a broken configuration is made of: one mutation of a copy of this project, and its fault."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
SHIPPED = ("ansible.cfg", "tasks.py", "packer", "playbooks", "roles", "inventories", "tests/images")
IMAGES, DEV = "packer/images.yml", "inventories/dev/fleets.yml"
PLAYBOOK = "playbooks/web.yml"

Break = Callable[[Path], None]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One way to get it wrong. ``line`` is text of the line that is named; "" is the first.

    ``says`` is part of the problem, ``allowed`` of the remedy. ``<text>`` in what it says stands
    for the number of the line that holds the text.
    """

    name: str
    breaks: Break
    file: str
    line: str
    says: str
    allowed: str


def replace(file: str, old: str, new: str) -> Break:
    """Replace the one place in a file where ``old`` stands."""

    def breaks(project: Path) -> None:
        text = (project / file).read_text()
        assert text.count(old) >= 1, f"{file} no longer holds {old!r}"
        (project / file).write_text(text.replace(old, new, 1))

    return breaks


def write(file: str, content: str | bytes) -> Break:
    def breaks(project: Path) -> None:
        (project / file).parent.mkdir(parents=True, exist_ok=True)
        (project / file).write_bytes(content.encode() if isinstance(content, str) else content)

    return breaks


def remove(path: str) -> Break:
    def breaks(project: Path) -> None:
        target = project / path
        shutil.rmtree(target) if target.is_dir() else target.unlink()

    return breaks


def all_of(*parts: Break) -> Break:
    def breaks(project: Path) -> None:
        for part in parts:
            part(project)

    return breaks


def image(name: str, old: str, new: str, *, line: str, says: str, allowed: str) -> Kind:
    """A row that breaks ``packer/images.yml``."""
    breaks = replace(IMAGES, old, new)
    return Kind(name=name, breaks=breaks, file=IMAGES, line=line, says=says, allowed=allowed)


def fleet(name: str, old: str, new: str, *, line: str, says: str, allowed: str) -> Kind:
    """A row that breaks the fleets of dev."""
    breaks = replace(DEV, old, new)
    return Kind(name=name, breaks=breaks, file=DEV, line=line, says=says, allowed=allowed)


def playbook(name: str, text: str, *, line: str, says: str, allowed: str) -> Kind:
    """A row whose playbook of web is ``text``."""
    breaks = write(PLAYBOOK, text)
    return Kind(name=name, breaks=breaks, file=PLAYBOOK, line=line, says=says, allowed=allowed)


def copy_of_this_project(to: Path) -> Path:
    """A copy of the shipped configuration, which has no faults."""
    to.mkdir(exist_ok=True)
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, to / name, ignore=leave, symlinks=True)
        elif source.exists():
            shutil.copy(source, to / name)
    return to


def number_of(project: Path, file: str, text: str) -> int:
    """The number of the first line of a file with ``text`` in it; 1 for no text."""
    if not text:
        return 1
    lines = (project / file).read_text(errors="replace").split("\n")
    return next(number for number, line in enumerate(lines, 1) if text in line)


def sentence(project: Path, kind: Kind) -> str:
    """What the row says, with ``<text>`` replaced by the number of the line that holds it."""
    return re.sub(r"<([^<>]+)>", lambda m: str(number_of(project, kind.file, m[1])), kind.says)
