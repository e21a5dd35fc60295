"""The bytes of a qcow2 file and the one below it, read-only, without mounting or converting.

QEMU's own tool says where every byte is; we only read it there. A file that a running machine
writes is never read: see `qemu_qmp.copy_disk`.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from ovenbird import process
from ovenbird.values.errors import Blocked

_TIMEOUT = 60.0


class _Extent(BaseModel):
    start: int
    length: int
    depth: int
    zero: bool
    data: bool
    offset: int | None = None


_EXTENTS = TypeAdapter(list[_Extent])


class Disk:
    """What a guest would read. ``files`` are the open files of the chain, its top first."""

    def __init__(self, files: list[int], extents: list[_Extent]) -> None:
        self._files, self._extents = files, extents
        self._starts = [extent.start for extent in extents]
        self.size = extents[-1].start + extents[-1].length if extents else 0

    def read(self, offset: int, length: int) -> bytes:
        """Read; beyond the end are zeros."""
        found, ends = [], offset + length
        at = bisect_right(self._starts, offset) - 1
        while offset < ends:
            if not 0 <= at < len(self._extents) or offset >= self.size:
                found.append(bytes(ends - offset))
                break
            extent = self._extents[at]
            inside = offset - extent.start
            part = min(extent.length - inside, ends - offset)
            if extent.offset is None or extent.zero:
                found.append(bytes(part))
            else:
                read = os.pread(self._files[extent.depth], part, extent.offset + inside)
                found.append(read.ljust(part, b"\0"))
            offset, at = offset + part, at + 1
        return b"".join(found)


@contextmanager
def opened(*chain: Path) -> Iterator[Disk]:
    """Open a qcow2; ``chain`` is the file itself and those below it, which nobody writes."""
    argv = ("qemu-img", "map", "--force-share", "--output=json", str(chain[0]))
    said = process.run(argv, doing=f"Reading {chain[0].name}", timeout=_TIMEOUT).stdout
    extents = _EXTENTS.validate_json(said)
    if any(each.data and not each.zero and each.offset is None for each in extents):
        raise Blocked(
            f"{chain[-1]} is compressed, so nothing can be compared with it.",
            remedy="Bake that image again: what a bake makes is not compressed.",
        )
    with ExitStack() as stack:
        files = []
        for path in chain:
            files.append(os.open(path, os.O_RDONLY | os.O_CLOEXEC))
            stack.callback(os.close, files[-1])
        yield Disk(files, extents)
