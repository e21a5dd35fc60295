"""An ext4 file system, read: its paths, what is known of each file, and contents where asked.

Only what a comparison needs, of what mke2fs makes by default: extents, linear or hashed folders,
a journal of its own. Little-endian throughout.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from stat import S_ISDIR, S_ISREG

from ovenbird.provider.qemu_journal import replayed
from ovenbird.provider.qemu_partitions import Read
from ovenbird.values.errors import Blocked

ROOT = 2
_JOURNAL_INODE = 8
_MAGIC, _EXTENT_MAGIC = 0xEF53, 0xF30A
_RECOVER, _META_BG, _64BIT = 0x4, 0x10, 0x80
_INODES_UNUSED = 0x1
_LONGEST = 1 << 15
"""Blocks of an extent; one that is reserved says so many more."""

_EXTENTS_FLAG, _INLINE_FLAG = 0x80000, 0x10000000


@dataclass(frozen=True, slots=True)
class Inode:
    """What an inode says of its file; ``changed_at`` is when that or its content changed last."""

    mode: int
    uid: int
    gid: int
    size: int
    written_at: tuple[int, int]
    changed_at: tuple[int, int]

    @property
    def is_folder(self) -> bool:
        return S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return S_ISREG(self.mode)

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.changed_at[0], UTC)


class Ext4:
    """The file system that begins at ``start`` bytes. Raises `Blocked` for one of another kind."""

    def __init__(self, read: Read, start: int = 0) -> None:
        self._from_disk, self._start = read, start
        self._newer: Mapping[int, bytes] = {}
        block = read(start + 1024, 1024)
        self._inodes, self._first = _u32(block, 0), _u32(block, 20)
        self.block_size = 1024 << _u32(block, 24)
        self._per_group, self._inode_size = _u32(block, 40), _u16(block, 88)
        features = _u32(block, 96)
        if _u16(block, 56) != _MAGIC or features & _META_BG:
            raise Blocked(
                "The root of this image is no ext4, so its files cannot be compared.",
                remedy="Bake it from a first tree or another cloud image: invoke bake --on qemu",
            )
        self._group_size = _u16(block, 254) if features & _64BIT else 32
        self._tables: dict[int, bytes] = {}
        if features & _RECOVER:
            self._newer = replayed(self._log())
            self._tables.clear()

    @property
    def groups(self) -> range:
        return range(-(-self._inodes // self._per_group))

    def table(self, group: int) -> bytes:
        """Return the inodes of a group as they lie there, those that were ever used."""
        if group not in self._tables:
            at = (self._first + 1) * self.block_size + group * self._group_size
            said = self._bytes(at, self._group_size)
            wide = self._group_size > 32
            start = _u32(said, 8) | (_u32(said, 40) << 32 if wide else 0)
            unused = _u16(said, 28) | (_u16(said, 50) << 16 if wide else 0)
            used = 0 if _u16(said, 18) & _INODES_UNUSED else self._per_group - unused
            self._tables[group] = self._bytes(start * self.block_size, used * self._inode_size)
        return self._tables[group]

    def record(self, number: int) -> bytes:
        """Return an inode as it lies in its table, b"" for one that was never used."""
        group, index = divmod(number - 1, self._per_group)
        at = index * self._inode_size
        return self.table(group)[at : at + self._inode_size]

    def differing(self, other: Ext4) -> set[int]:
        """Number the inodes that are not the same in another state of this file system."""
        found = set()
        size = self._inode_size
        for group in self.groups:
            mine, its = self.table(group), other.table(group)
            if mine != its:
                first = group * self._per_group + 1
                for index in range(max(len(mine), len(its)) // size):
                    part = slice(index * size, (index + 1) * size)
                    if mine[part] != its[part]:
                        found.add(first + index)
        return found

    def inode(self, number: int) -> Inode:
        raw = self.record(number)
        extra = len(raw) >= 140 and _u16(raw, 128) >= 12
        parts = [_u32(raw, 132) >> 2, _u32(raw, 136) >> 2] if extra else [0, 0]
        return Inode(
            mode=_u16(raw, 0),
            uid=_u16(raw, 2) | _u16(raw, 120) << 16,
            gid=_u16(raw, 24) | _u16(raw, 122) << 16,
            size=_u32(raw, 4) | _u32(raw, 108) << 32,
            changed_at=(_u32(raw, 12), parts[0]),
            written_at=(_u32(raw, 16), parts[1]),
        )

    def entries(self, number: int) -> dict[str, tuple[int, bool]]:
        """List a folder: each name with its inode, and whether it is a folder itself."""
        found = {}
        for block in self._blocks(number):
            at = 0
            while at + 8 <= len(block):
                inode, length, size, kind = struct.unpack_from("<IHBB", block, at)
                if length < 8:
                    break
                name = block[at + 8 : at + 8 + size]
                if inode and name not in (b".", b".."):
                    found[name.decode(errors="surrogateescape")] = (inode, kind == 2)
                at += length
        return found

    def content(self, number: int) -> Iterator[bytes]:
        """Yield a file's content block by block, holes as zeros."""
        left = self.inode(number).size
        for block in self._blocks(number):
            yield block[:left]
            left -= len(block)

    def reserved(self) -> Iterator[tuple[int, int]]:
        """Yield where the disk has blocks that belong to a file and were never written: an offset
        and a length, in bytes. A guest reads zeros there, whatever the disk has."""
        for group in self.groups:
            for index in range(len(self.table(group)) // self._inode_size):
                raw = self.record(group * self._per_group + index + 1)
                if _u16(raw, 26) and _u32(raw, 32) & _EXTENTS_FLAG:  # linked from somewhere
                    for _, length, at in self._extents(raw[40:100]):
                        if length > _LONGEST:
                            place = self._start + at * self.block_size
                            yield place, (length - _LONGEST) * self.block_size

    def _blocks(self, number: int) -> Iterator[bytes]:
        """Yield the blocks of a file or folder in their order."""
        raw = self.record(number)
        size = _u32(raw, 4) | _u32(raw, 108) << 32
        if _u32(raw, 32) & _INLINE_FLAG or not _u32(raw, 32) & _EXTENTS_FLAG:
            if size:
                yield raw[40:100].ljust(size, b"\0")
            return
        places = self._places(raw[40:100])
        for logical in range(-(-size // self.block_size)):
            yield self._block(places[logical]) if logical in places else bytes(self.block_size)

    def _places(self, node: bytes) -> dict[int, int]:
        """Map the blocks of a file, by their number in it, to those of the file system."""
        found: dict[int, int] = {}
        for first, length, at in self._extents(node):
            if length <= _LONGEST:
                found |= {first + n: at + n for n in range(length)}
        return found

    def _extents(self, node: bytes) -> Iterator[tuple[int, int, int]]:
        """Yield each: its first block in the file, its length, and where it lies. One that is
        longer than the longest is reserved and was never written."""
        magic, count, _, depth = struct.unpack_from("<4H", node)
        if magic != _EXTENT_MAGIC:
            return
        for at in range(12, 12 + 12 * count, 12):
            if depth:
                low, high = _u32(node, at + 4), _u16(node, at + 8)
                yield from self._extents(self._block(low | high << 32))
            else:
                first, length, high, low = struct.unpack_from("<IHHI", node, at)
                yield first, length, low | high << 32

    def _log(self) -> _Log:
        return _Log(self, self._places(self.record(_JOURNAL_INODE)[40:100]))

    def _block(self, number: int) -> bytes:
        newer = self._newer.get(number)
        return newer if newer is not None else self._read(number * self.block_size)

    def _read(self, at: int) -> bytes:
        return self._from_disk(self._start + at, self.block_size)

    def _bytes(self, at: int, length: int) -> bytes:
        """Read across blocks, those from the journal in their places."""
        found = bytearray(self._from_disk(self._start + at, length))
        for number, block in self._newer.items():
            begin = number * self.block_size - at
            if -self.block_size < begin < length:
                low, high = max(begin, 0), min(begin + self.block_size, length)
                found[low:high] = block[low - begin : high - begin]
        return bytes(found)


class _Log:
    """The journal's own blocks, read where the journal lies."""

    def __init__(self, system: Ext4, places: Mapping[int, int]) -> None:
        self._system, self._places = system, places

    def __call__(self, number: int) -> bytes:
        return self._system._block(self._places[number])


def _u16(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "little")


def _u32(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")
