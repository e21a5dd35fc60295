"""Is an image that LXD holds still what its fingerprint says?

What is read is the image as LXD keeps it. A storage pool may hold a copy of its own, unpacked, from
which instances are made: that one is behind LXD's own walls, and nothing reads it from here.
"""

from __future__ import annotations

import hashlib

from ovenbird.provider.lxd_api import Lxd
from ovenbird.values.errors import Blocked, Tampered
from ovenbird.values.image import Artifact


def verify(lxd: Lxd, artifact: Artifact) -> None:
    """Raise `Tampered` unless the hash of the image's files, one after the other, is its name."""
    content = lxd.read("images", artifact.id, "export", doing=f"Reading {artifact.id[:12]}")
    if content is None:
        raise Blocked(
            f"LXD does not hold the image {artifact.id[:12]}, so nobody knows whether it is as it "
            "was.",
            remedy="Nothing was launched. Bake it again with --force, or roll to another one.",
        )
    found = hashlib.sha256()
    for part in _parts(memoryview(content)):
        found.update(part)
    if found.hexdigest() != artifact.id:
        raise Tampered(
            f"LXD's image {artifact.id[:12]} is not what was baked: its files are other ones.",
            remedy="Nothing was launched. Find out who changed them; then bake it again with "
            "--force, and roll to that.",
        )


def _parts(content: memoryview) -> list[memoryview]:
    """Take the files out of a multipart answer; an image in one file is answered as it is."""
    head = bytes(content[:200])
    if not head.startswith(b"--") or b"\r\n" not in head:
        return [content]
    mark = b"\r\n" + head.partition(b"\r\n")[0]
    whole, parts = b"\r\n" + bytes(content), []
    at = 0
    while (end := whole.find(mark, at + len(mark))) != -1:
        begin = whole.index(b"\r\n\r\n", at) + 4
        parts.append(memoryview(whole)[begin:end])
        at = end
    return parts
