"""One content in all the forms in which a secret may stand: packed, as UTF-16, as base64.

It decodes what it recognises by its first bytes or its letters, three levels deep and up to a
budget; what is encrypted, or packed with zstd, it cannot read and leaves alone.
"""

from __future__ import annotations

import base64
import binascii
import bz2
import io
import lzma
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ovenbird.hygiene.content import MOST

_DEPTH = 3
_BUDGET = 8 * MOST
_MEMBERS = 1000
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}(?:\r?\n[ \t]*[A-Za-z0-9+/_-]{4,})*={0,2}")
_BROKEN = re.compile(rb"\s+")
_ALPHABET = bytes.maketrans(b"-_", b"+/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """``line`` is where it stands in the file, 0 where its own lines count; ``how`` says in which
    wrapping it was, "" for none."""

    data: bytes
    how: str = ""
    line: int = 0


def forms(data: bytes) -> Iterator[Form]:
    """Yield a content as it is, then everything that can be decoded from it."""
    budget = [_BUDGET]
    first = Form(data=data)
    yield first
    yield from _within(first, _DEPTH, budget)


def _within(form: Form, depth: int, budget: list[int]) -> Iterator[Form]:
    if not depth:
        return
    for how, data, line in _decoded(form.data):
        budget[0] -= len(data)
        if budget[0] < 0:
            return
        both = f"{how} in {form.how}" if form.how else how
        inner = Form(data=data, how=both, line=form.line or line)
        yield inner
        yield from _within(inner, depth - 1, budget)


def _decoded(data: bytes) -> Iterator[tuple[str, bytes, int]]:
    """Yield each way to read it, with the line in it where that begins, 0 for all of it."""
    for name, magic, unpack in _PACKED:
        if data.startswith(magic):
            for found in unpack(data):
                yield name, found, 1
            return
    if text := _utf16(data):
        yield "UTF-16", text, 0
        return
    line, at = 1, 0
    for letters in _BASE64.finditer(data):
        if decoded := _base64(letters[0]):
            line, at = line + data.count(b"\n", at, letters.start()), letters.start()
            yield "base64", decoded, line


def _base64(letters: bytes) -> bytes:
    letters = _BROKEN.sub(b"", letters).rstrip(b"=").translate(_ALPHABET)
    letters = letters[:-1] if len(letters) % 4 == 1 else letters
    try:
        return base64.b64decode(letters + b"=" * (-len(letters) % 4))
    except binascii.Error:
        return b""


def _utf16(data: bytes) -> bytes:
    """Recognise it by its mark, or by zeros in every other place of the first 2000 bytes."""
    head = data[:2000]
    for codec, mark, zeros in (
        ("utf-16-le", b"\xff\xfe", head[1::2]),
        ("utf-16-be", b"\xfe\xff", head[0::2]),
    ):
        mostly = len(head) >= 16 and zeros.count(0) > 0.8 * len(zeros) and any(head)
        if head.startswith(mark) or (mostly and head.count(0) < 0.6 * len(head)):
            return data.decode(codec, errors="ignore").encode()
    return b""


def _gzip(data: bytes) -> Iterator[bytes]:
    found = b""
    while data.startswith(b"\x1f\x8b") and len(found) < MOST:  # members may follow one another
        unpacker = zlib.decompressobj(wbits=31)
        try:
            found += unpacker.decompress(data, MOST - len(found))
        except zlib.error:
            break
        data = unpacker.unused_data
    yield found


def _bzip2(data: bytes) -> Iterator[bytes]:
    try:
        yield bz2.BZ2Decompressor().decompress(data, MOST)
    except OSError:
        return


def _xz(data: bytes) -> Iterator[bytes]:
    try:
        yield lzma.LZMADecompressor().decompress(data, MOST)
    except lzma.LZMAError:
        return


def _zip(data: bytes) -> Iterator[bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist()[:_MEMBERS]:
                with archive.open(name) as member:
                    yield member.read(MOST)
    except _ZIP_FAULTS:
        return


_ZIP_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),  # broken, or cut off
    *(RuntimeError, NotImplementedError, ValueError),  # encrypted, or of another method
)

_PACKED: tuple[tuple[str, bytes, Callable[[bytes], Iterator[bytes]]], ...] = (
    ("gzip", b"\x1f\x8b", _gzip),
    ("bzip2", b"BZh", _bzip2),
    ("xz", b"\xfd7zXZ\0", _xz),
    ("zip", b"PK\x03\x04", _zip),
)
