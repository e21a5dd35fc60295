"""Which rendered texts were checked and accepted before: the same text is checked once a site.

Checking takes a parser of HCL and a start of Packer, which is time in every bake. What decides is
the text, the program that accepted it, and this version of Ovenbird with its policy.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from ovenbird import __version__
from ovenbird.bake import policy
from ovenbird.bake.template import Rendered

MOST = 200
"""Texts that are remembered; the oldest are forgotten first."""


class Accepted:
    """A file of hashes, one a line. Losing it costs one more check."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def knows(self, rendered: Rendered, *, packer: tuple[int, ...]) -> bool:
        return _mark(rendered, packer) in self._marks()

    def remember(self, rendered: Rendered, *, packer: tuple[int, ...]) -> None:
        mark = _mark(rendered, packer)
        marks = [*(m for m in self._marks() if m != mark), mark][-MOST:]
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text("\n".join(marks))

    def _marks(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []


def _mark(rendered: Rendered, packer: tuple[int, ...]) -> str:
    rules = Path(policy.__file__).read_bytes()
    said = f"{rendered.text}\0{packer}\0{__version__}\0".encode()
    return hashlib.sha256(said + rules).hexdigest()
