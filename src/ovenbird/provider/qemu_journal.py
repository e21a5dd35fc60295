"""What the journal of an ext4 holds and its file system does not have yet.

A copy of a running machine's disk is like the disk after a power cut: what was committed last is
in the journal only. The kernel would write it to its place at the next mount; we read it as if it
had. The format is JBD2's, big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

MAGIC = 0xC03B3998
_DESCRIPTOR, _COMMIT, _REVOKE = 1, 2, 5
_64BIT, _CSUM_V2, _CSUM_V3 = 0x2, 0x8, 0x10
_ESCAPED, _SAME_UUID, _LAST = 0x1, 0x2, 0x8

Log = Callable[[int], bytes]
"""A block of the journal, by its number in it."""


@dataclass(slots=True)
class _Transaction:
    """Blocks of the file system with where the log has them, and those that it takes back."""

    blocks: dict[int, tuple[int, bool]] = field(default_factory=dict)
    revoked: set[int] = field(default_factory=set)


def replayed(log: Log) -> dict[int, bytes]:
    """Return the blocks of the file system that the journal has newer, by number."""
    head = log(0)
    magic, _, _, size, length, first, sequence, start = struct.unpack_from(">8I", head)
    features = struct.unpack_from(">I", head, 40)[0]
    if magic != MAGIC or start == 0:  # 0: it was unmounted in order
        return {}
    found: dict[int, bytes] = {}
    for transaction in _committed(log, start, sequence, first, length, features):
        for block in transaction.revoked:
            found.pop(block, None)
        for block, (at, escaped) in transaction.blocks.items():
            if block not in transaction.revoked:
                content = log(at)[:size]
                found[block] = struct.pack(">I", MAGIC) + content[4:] if escaped else content
    return found


def _committed(
    log: Log, at: int, sequence: int, first: int, length: int, features: int
) -> Iterator[_Transaction]:
    """Yield whole transactions in their order; one that was not committed never was."""

    def after(number: int) -> int:
        return number + 1 if number + 1 < length else first

    transaction = _Transaction()
    for _ in range(length):
        block = log(at)
        magic, kind, number = struct.unpack_from(">3I", block)
        if magic != MAGIC or number != sequence:
            return
        at = after(at)
        if kind == _DESCRIPTOR:
            for target, flags in _tags(block, features):
                transaction.blocks[target] = (at, bool(flags & _ESCAPED))
                at = after(at)
        elif kind == _REVOKE:
            transaction.revoked |= set(_revoked(block, features))
        elif kind == _COMMIT:
            yield transaction
            transaction, sequence = _Transaction(), sequence + 1


def _tags(block: bytes, features: int) -> Iterator[tuple[int, int]]:
    at, ends = 12, len(block) - (4 if features & (_CSUM_V2 | _CSUM_V3) else 0)
    while at + 8 <= ends:
        if features & _CSUM_V3:
            low, flags, high = struct.unpack_from(">3I", block, at)
            at += 16
        else:
            low, _, flags = struct.unpack_from(">IHH", block, at)
            high = struct.unpack_from(">I", block, at + 8)[0] if features & _64BIT else 0
            at += 8 + (4 if features & _64BIT else 0) + (2 if features & _CSUM_V2 else 0)
        yield low | (high << 32 if features & _64BIT else 0), flags
        at += 0 if flags & _SAME_UUID else 16
        if flags & _LAST:
            return


def _revoked(block: bytes, features: int) -> Iterator[int]:
    used = struct.unpack_from(">I", block, 12)[0]
    kind = ">Q" if features & _64BIT else ">I"
    for at in range(16, used, struct.calcsize(kind)):
        yield struct.unpack_from(kind, block, at)[0]
