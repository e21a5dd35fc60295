"""YAML as the guard reads it: every tag is let through, and every value knows its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol, cast


class _Located(Protocol):
    """What ruamel.yaml's mappings and sequences carry: lines from 0."""

    line: int

    def key(self, key: object) -> tuple[int, int]: ...

    def item(self, index: int) -> tuple[int, int]: ...


class Unreadable(Exception):
    """A file that is no YAML. ``line`` counts from 1, 0 where nobody knows."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.line = line


def load(file: Path) -> object:
    """Read one document; raise `Unreadable` for what is no YAML, and None for an empty file."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        document: object = YAML(typ="rt").load(file.read_text())
    except MarkedYAMLError as fault:
        line = fault.problem_mark.line + 1 if fault.problem_mark else 0
        raise Unreadable(str(fault.problem or fault.context), line) from fault
    except (YAMLError, UnicodeDecodeError) as fault:
        raise Unreadable(str(fault).partition("\n")[0], 0) from fault
    return document


def line_of(parent: object, key: object) -> int:
    """Return the line, from 1, on which a mapping's key or a sequence's item begins."""
    located = cast("_Located | None", getattr(parent, "lc", None))
    if located is None:
        return 0
    try:
        where = located.item(key) if isinstance(key, int) else located.key(key)
    except (KeyError, AttributeError, TypeError):
        # A key that came with a merge ("<<") has no line of its own.
        return located.line + 1
    return where[0] + 1


def pairs(document: object) -> Iterator[tuple[object, object, int]]:
    """Yield every (key, value, line) at any depth; the items of a sequence under the key ""."""
    if isinstance(document, Mapping):
        for key, value in document.items():
            yield key, value, line_of(document, key)
            yield from pairs(value)
    elif isinstance(document, Sequence) and not isinstance(document, str | bytes):
        for index, value in enumerate(document):
            yield "", value, line_of(document, index)
            yield from pairs(value)
