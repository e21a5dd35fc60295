"""YAML with the line of everything in it.

A file that cannot be read or parsed is one fault with its line. What was parsed comes as plain
Python values; where each of them stands is asked by its path, as in ``("fleets", "web", "size")``.
No message quotes a value of the file: it may be a secret that stands in the wrong place.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError, RoundTripConstructor
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError
from ruamel.yaml.scalarbool import ScalarBoolean

from ovenbird.values.errors import ConfigurationError, Fault

Step = str | int
Loc = tuple[Step, ...]
"""A way through a document: keys of mappings and numbers of list items."""


@dataclass(frozen=True, slots=True)
class Opaque:
    """A value with a tag or type that configuration has no use for, such as a date."""

    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One parsed file: ``data`` as plain values, and the line of every part of it.

    ``file`` is relative to the project, as an operator would name it.
    """

    file: str
    data: object
    tree: object

    def line(self, loc: Loc) -> int:
        """The line, counted from 1, where the value at ``loc`` begins.

        Where a part of the way does not exist, the line of the last part that does.
        """
        return self._walk(loc, key=False)

    def key_line(self, loc: Loc) -> int:
        """The line of the key that names the value at ``loc``."""
        return self._walk(loc, key=True)

    def fault(self, loc: Loc, problem: str, remedy: str, *, key: bool = False) -> Fault:
        """A fault at ``loc``: at its value, or with ``key`` at the key that names it."""
        line = self._walk(loc, key=key)
        return Fault(file=self.file, line=line, problem=problem, remedy=remedy)

    def _walk(self, loc: Loc, *, key: bool) -> int:
        node, line = self.tree, 0
        if isinstance(node, (CommentedMap, CommentedSeq)):
            line = node.lc.line
        for number, step in enumerate(loc):
            found = _child_line(node, step, key=key or number + 1 < len(loc))
            if found is None:
                break
            line = found
            node = node[step]  # type: ignore[index]
        return line + 1


def _child_line(node: object, step: Step, *, key: bool) -> int | None:
    """Where a child stands, counted from 0; None where there is no such child."""
    if isinstance(node, CommentedMap) and step in node:
        if step not in (node.lc.data or {}):  # merged in with <<: it stands somewhere else
            return cast(int, node.lc.line)
        if key or node[step] is None:
            return cast(int, node.lc.key(step)[0])
        return cast(int, node.lc.value(step)[0])
    if isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
        return cast(int, node.lc.item(step)[0])
    return None


def read(project: Path, file: str) -> Document:
    """Parse one file of the project; an empty one has the data None.

    Raises `ConfigurationError` where it is missing, unreadable, not UTF-8 or not YAML.
    """
    return _parsed(file, _text(project / file, file))


@lru_cache(maxsize=256)
def _parsed(file: str, text: str) -> Document:
    """Parse a text once a process: the same role is asked about by several playbooks."""
    try:
        parser = YAML(typ="rt", pure=True)
        parser.Constructor = _Constructor
        tree = parser.load(text)
    except YAMLError as error:
        _refuse(file, text, error)
    return Document(file=file, data=_plain(tree), tree=tree)


class _Constructor(RoundTripConstructor):
    """A date that no calendar has, 2026-02-30, stays text; the parser alone would break off."""

    def construct_yaml_timestamp(self, node: Any, values: Any = None) -> Any:
        try:
            return super().construct_yaml_timestamp(node, values)
        except ValueError:
            return node.value


_Constructor.add_constructor("tag:yaml.org,2002:timestamp", _Constructor.construct_yaml_timestamp)


def _text(path: Path, file: str) -> str:
    try:
        content = path.read_bytes()
    except FileNotFoundError as missing:
        raise ConfigurationError.of(
            f"There is no file {file}.",
            remedy="Run from the project's folder, or create the file.",
            file=file,
            line=1,
        ) from missing
    except OSError as unreadable:
        raise ConfigurationError.of(
            f"It cannot be read: {unreadable.strerror}.",
            remedy="It must be a regular file that you may read.",
            file=file,
            line=1,
        ) from unreadable
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as other:
        raise ConfigurationError.of(
            f"The byte 0x{content[other.start]:02x} is not UTF-8.",
            remedy=f"Save it as UTF-8: iconv -f latin1 -t utf-8 {file}",
            file=file,
            line=content[: other.start].count(b"\n") + 1,
        ) from other


def _refuse(file: str, text: str, error: YAMLError) -> NoReturn:
    """Say what is wrong with the syntax, without the values that the parser would quote."""
    line, problem, remedy = 1, "It is not YAML", "Mind the indentation and the quotes around it."
    if isinstance(error, ReaderError):
        line = text[: error.position].count("\n") + 1
        problem, remedy = "It holds a control character", "Remove the character."
    elif isinstance(error, DuplicateKeyError):
        line = error.problem_mark.line + 1
        named = re.match(r'found duplicate key "([^"\n]*)"', str(error.problem))
        problem = f"The key {named[1]!r} is there twice" if named else "A key is there twice"
        remedy = "A key may stand once in its mapping: keep one of the two."
    elif isinstance(error, MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        said = str(error.problem or error.context)
        problem = f"It is not YAML: {said}"
        if "\\t" in said:
            problem, remedy = "A tab indents this line", "YAML indents with spaces only."
        elif "undefined alias" in said:
            remedy = "An alias (*name) needs its anchor (&name) further up in the same file."
        elif "another document" in said:
            remedy = "A file holds one document: remove the second ---."
    raise ConfigurationError.of(f"{problem}.", remedy=remedy, file=file, line=line) from None


def _plain(value: object, inside: tuple[int, ...] = ()) -> object:
    """Turn what the round-trip loader returns into values that carry no trace of YAML."""
    if id(value) in inside:
        return Opaque("an alias of what it stands in")
    within = (*inside, id(value))
    match value:
        case ScalarBoolean():
            return bool(value)
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str(value)
        case CommentedMap():
            return {_plain(key): _plain(child, within) for key, child in value.items()}
        case CommentedSeq():
            return [_plain(child, within) for child in value]
        case date():  # a datetime is one too
            return Opaque("a date")
        case _:
            return Opaque("a value with a tag of its own")
