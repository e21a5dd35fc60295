"""Where file systems may begin on a disk that is read from outside."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

SECTOR = 512

Read = Callable[[int, int], bytes]
"""Reads a disk: offset and length in bytes; beyond its end are zeros or nothing."""


def starts(read: Read) -> list[int]:
    """Return the offsets, in bytes: the whole disk, then its partitions, the largest first.

    Knows a GPT, else the four primary entries of an MBR; sectors are of 512 bytes.
    """
    found = sorted((*_gpt(read),) or (*_mbr(read),), reverse=True)
    return [0, *(begin * SECTOR for _, begin in found)]


def _gpt(read: Read) -> Iterator[tuple[int, int]]:
    """Yield the length and the first sector of each."""
    head = read(SECTOR, SECTOR)
    if head[:8] != b"EFI PART":
        return
    table, count, size = struct.unpack_from("<QII", head, 72)
    entries = read(table * SECTOR, min(count, 128) * size)
    for at in range(0, len(entries), size):
        begin, end = struct.unpack_from("<QQ", entries, at + 32)
        if begin:
            yield end - begin + 1, begin


def _mbr(read: Read) -> Iterator[tuple[int, int]]:
    sector = read(0, SECTOR)
    if sector[510:] != b"\x55\xaa":
        return
    for at in range(446, 510, 16):
        begin, length = struct.unpack_from("<II", sector, at + 8)
        if begin:
            yield length, begin
