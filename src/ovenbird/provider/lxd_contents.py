"""Is an image that LXD holds still what its fingerprint says?

What is read is the image as LXD keeps it. A storage pool may hold a copy of its own, unpacked, from
which instances are made: that one is behind LXD's own walls, and nothing reads it from here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ovenbird.provider.lxd_api import Lxd
from ovenbird.provider.lxd_errors import Refused, translated
from ovenbird.values.errors import Blocked, Tampered
from ovenbird.values.image import Artifact


def verify(lxd: Lxd, artifact: Artifact) -> None:
    """Raise `Tampered` unless the hash of the image's files, one after the other, is its name."""
    short = artifact.id[:12]
    try:
        content = lxd.read("images", artifact.id, "export", doing=f"Reading {short}")
    except Refused as refused:
        raise translated(refused, what=short) from refused
    if content is None:
        raise Blocked(
            f"LXD does not hold the image {short}, so nobody knows whether it is as it was.",
            remedy="Nothing was launched. Bake it again with --force, or roll to another one.",
        )
    found = hashlib.sha256()
    try:
        for part in _parts(content):
            found.update(part)
    except ValueError:  # an answer that was cut short has no other end
        found.update(content)
    if found.hexdigest() != artifact.id:
        raise Tampered(
            f"LXD's image {short} is not what was baked: its files are other ones.",
            remedy="Nothing was launched. Find out who changed them; then bake it again with "
            "--force, and roll to that.",
        )


def _parts(content: bytes) -> Iterator[memoryview]:
    """Find the files in a multipart answer; an image in one file is answered as it is.

    Nothing is copied: an image may be as large as half of the memory.
    """
    first, _, _ = content[:200].partition(b"\r\n")
    if not first.startswith(b"--") or len(first) == len(content[:200]):
        yield memoryview(content)
        return
    end = -2  # the first mark has no line before it
    while content[(at := end + 2 + len(first)) : at + 2] == b"\r\n":
        begin = content.index(b"\r\n\r\n", at) + 4
        end = content.index(b"\r\n" + first, begin)
        yield memoryview(content)[begin:end]
