"""A journal of ext4, put together by hand: what of it counts, and what does not."""

from __future__ import annotations

import struct
from collections.abc import Mapping

import pytest

from ovenbird.provider.qemu_journal import MAGIC, replayed

SIZE, LENGTH, FIRST, SEQUENCE = 1024, 16, 1, 40
DESCRIPTOR, COMMIT, REVOKE = 1, 2, 5
V3, WIDE = 0x10, 0x2
SAME, LAST, ESCAPED = 2, 8, 1


def _head(kind: int, sequence: int) -> bytes:
    return struct.pack(">3I", MAGIC, kind, sequence)


def _super(*, start: int = FIRST, features: int = V3 | WIDE) -> bytes:
    head = _head(4, 0) + struct.pack(">5I", SIZE, LENGTH, FIRST, SEQUENCE, start)
    return head.ljust(40, b"\0") + struct.pack(">I", features)


def _described(sequence: int, *blocks: int, flags: int = SAME, features: int = V3) -> bytes:
    tags = b""
    for block in blocks:
        said = flags | (LAST if block == blocks[-1] else 0)
        wide = struct.pack(">4I", block, said, 0, 0)
        tags += wide if features & V3 else struct.pack(">IHHI", block, 0, said, 0)
    return _head(DESCRIPTOR, sequence) + tags


def _revoked(sequence: int, *blocks: int) -> bytes:
    used = struct.pack(">I", 16 + 8 * len(blocks))
    return _head(REVOKE, sequence) + used + b"".join(struct.pack(">Q", b) for b in blocks)


def _read(blocks: Mapping[int, bytes]) -> dict[int, bytes]:
    found = replayed(lambda number: blocks.get(number, b"").ljust(SIZE, b"\0"))
    return {block: content.rstrip(b"\0") for block, content in found.items()}


@pytest.mark.parametrize("features", [V3 | WIDE, WIDE])
def test_committed_blocks_are_newer_than_the_file_system(features: int) -> None:
    log = {
        0: _super(features=features),
        1: _described(40, 7, 9, features=features),
        2: b"seven",
        3: b"nine",
        4: _head(COMMIT, 40),
        5: _described(41, 7, features=features),
        6: b"seven again",
        7: _head(COMMIT, 41),
    }

    assert _read(log) == {7: b"seven again", 9: b"nine"}


def test_what_was_not_committed_never_was() -> None:
    log = {0: _super(), 1: _described(40, 7), 2: b"seven"}

    assert _read(log) == {}


def test_what_is_left_of_an_earlier_round_of_the_log_is_not_read() -> None:
    log = {
        0: _super(),
        1: _described(40, 7),
        2: b"seven",
        3: _head(COMMIT, 40),
        4: _described(29, 8),
        5: b"eight",
        6: _head(COMMIT, 29),
    }

    assert _read(log) == {7: b"seven"}


def test_a_block_that_was_freed_later_is_not_brought_back() -> None:
    log = {
        0: _super(),
        1: _described(40, 7, 8),
        2: b"seven",
        3: b"eight",
        4: _head(COMMIT, 40),
        5: _revoked(41, 7),
        6: _head(COMMIT, 41),
    }

    assert _read(log) == {8: b"eight"}


def test_the_log_goes_round() -> None:
    log = {
        0: _super(start=LENGTH - 1),
        LENGTH - 1: _described(40, 7),
        1: b"seven",
        2: _head(COMMIT, 40),
    }

    assert _read(log) == {7: b"seven"}


def test_content_that_looks_like_the_logs_own_is_given_back_its_first_word() -> None:
    log = {
        0: _super(),
        1: _described(40, 7, flags=SAME | ESCAPED),
        2: b"\0\0\0\0rest",
        3: _head(COMMIT, 40),
    }

    assert _read(log) == {7: struct.pack(">I", MAGIC) + b"rest"}


def test_a_journal_that_was_left_in_order_holds_nothing() -> None:
    assert _read({0: _super(start=0), 1: _described(40, 7), 3: _head(COMMIT, 40)}) == {}
