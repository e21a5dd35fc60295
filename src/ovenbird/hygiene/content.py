"""The files of an image as a scan sees them: layer by layer, each with where it was found.

Whatever an image lies in (an archive, a tree, a disk) is a list of `Layer`; all the rest is the
same for each. It is read twice: first what packages brought and what upper layers took away,
then the files. Of a file larger than `MOST` the first and the last part are kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ovenbird.hygiene.brought import Brought

MOST = 8 << 20
"""Bytes of one file that are looked at."""
_TAIL = 2 << 20
_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """One file of an image, or one of its documents.

    ``data`` is at most `MOST` of its ``size`` bytes. ``brought`` says that a package brought it
    and nobody has changed it; ``live`` that no upper layer took it away.
    """

    path: str
    mode: int
    size: int
    data: bytes
    where: str
    brought: bool = False
    live: bool = True

    @property
    def whole(self) -> bool:
        return len(self.data) == self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    """A name in a layer. ``read`` is None for what has no content: a link, a device."""

    path: str
    mode: int
    size: int
    read: Callable[[], Iterator[bytes]] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """``files`` may be called again and again."""

    where: str
    files: Callable[[], Iterator[File]]


def contents(layers: Sequence[Layer]) -> Iterator[Content]:
    """Yield every file of every layer, the lowest first, also those that another one hides."""
    brought, top = Brought(), dict[str, int]()
    for number, layer in enumerate(layers):
        for file in layer.files():
            _lay(top, file.path, number)
            if file.read and brought.tells(file.path):
                brought.learn(file.path, b"".join(file.read()))
    for number, layer in enumerate(layers):
        for file in layer.files():
            if file.read is None:
                continue
            data, md5, sha256 = _read(file.read())
            yield Content(
                path=file.path,
                mode=file.mode,
                size=file.size,
                data=data,
                where=layer.where,
                brought=brought.has(file.path, md5=md5, sha256=sha256),
                live=top.get(file.path) == number,
            )


def _lay(top: dict[str, int], path: str, number: int) -> None:
    """Note which layer has a path last; a layer's marks take away what lies below it."""
    folder, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
    if not name.startswith(_WHITEOUT):
        top[path] = number
        return
    gone = folder if name == _OPAQUE else f"{folder.rstrip('/')}/{name.removeprefix(_WHITEOUT)}"
    for known in [k for k in top if k == gone or k.startswith(f"{gone.rstrip('/')}/")]:
        if top[known] < number:
            del top[known]


def _read(chunks: Iterator[bytes]) -> tuple[bytes, str, str]:
    """Return what is kept of a file, and two hashes of all of it."""
    md5, sha256 = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    head, tail = bytearray(), b""
    for chunk in chunks:
        md5.update(chunk)
        sha256.update(chunk)
        room = MOST - len(head)
        head += chunk[:room]
        if len(chunk) > room:
            tail = (tail + chunk[room:])[-_TAIL:]
    if tail:
        del head[MOST - len(tail) :]
    return bytes(head) + tail, md5.hexdigest(), sha256.hexdigest()
