"""An image that is a disk: the files of its ext4 root, read from outside without a mount.

What lies between the files is not read: a bake writes a golden disk anew, so nothing is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from stat import S_IMODE, S_ISREG

from ovenbird.hygiene.content import Content, File, Layer, contents
from ovenbird.provider import qemu_partitions
from ovenbird.provider.qemu_disk import opened
from ovenbird.provider.qemu_ext4 import ROOT, Ext4
from ovenbird.provider.qemu_partitions import Read
from ovenbird.values.errors import Blocked


def of_disk(disk: Path) -> Iterator[Content]:
    """Yield every file of a qcow2's root file system. Raises `Blocked` for one that is no ext4."""
    with opened(disk) as found:
        yield from of_system(found.read)


def of_system(read: Read) -> Iterator[Content]:
    """Yield every file of the root file system of a raw disk that is read by ``read``."""
    yield from contents([Layer(where="the disk", files=partial(_files, _root(read)))])


def _root(read: Read) -> Ext4:
    """Find the file system that has an /etc."""
    for start in qemu_partitions.starts(read):
        try:
            system = Ext4(read, start)
        except Blocked:
            continue
        if "etc" in system.entries(ROOT):
            return system
    raise Blocked(
        "No file system of this disk is an ext4 with an /etc, so its files cannot be looked at.",
        remedy="Bake it from a first tree or another cloud image: invoke bake --on qemu",
    )


def _files(system: Ext4) -> Iterator[File]:
    left = [("", ROOT)]
    while left:
        folder, number = left.pop()
        for name, (inode, is_folder) in sorted(system.entries(number).items()):
            path = f"{folder}/{name}"
            if is_folder:
                left.append((path, inode))
                continue
            known = system.inode(inode)
            regular = S_ISREG(known.mode)
            yield File(
                path=path,
                mode=S_IMODE(known.mode),
                size=known.size,
                read=partial(system.content, inode) if regular else None,
            )
