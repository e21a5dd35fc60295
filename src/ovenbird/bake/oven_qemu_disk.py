"""Disks for QEMU: from a tree or a baked disk to a golden one, with its kernel beside it.

All is done on files, without a mount, a loop device or a guest. A golden disk is written anew:
what was deleted in it is in none of its blocks any more.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ovenbird import process
from ovenbird.provider import qemu_partitions
from ovenbird.provider.qemu_ext4 import Ext4
from ovenbird.provider.qemu_partitions import Read
from ovenbird.provider.qemu_store import Boot
from ovenbird.values.errors import BakeFailed

SIZE = "8G"
"""How large an instance sees the disk of a first tree. What is not written takes no room."""

KERNEL, INITRD = "vmlinuz", "initrd.img"
CONSOLE = "rw console=ttyS0 net.ifnames=0 panic=1"

_UNPACK = """\
set -e
mkdir root
tar -x --numeric-owner --xattrs --xattrs-include='*' --exclude='./dev/*' -C root -f "$1"
mke2fs -q -t ext4 -L root -E lazy_itable_init=0,lazy_journal_init=0 -d root disk.raw "$2"
rm -rf root
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Where the root file system begins in a raw disk, in bytes, and its device in a guest."""

    disk: Path
    offset: int = 0

    @property
    def name(self) -> str:
        """What programs for ext4 call it."""
        return f"{self.disk}?offset={self.offset}" if self.offset else str(self.disk)


def raw_of_tree(tar: Path, folder: Path) -> Path:
    """Make a raw disk with one ext4 file system, whose label is ``root``, of a root's tar."""
    # mmdebstrap's own way to be root of a user namespace, where somebody else than root bakes.
    alone = [] if os.geteuid() == 0 else ["mmdebstrap", "--unshare-helper"]
    process.run(
        [*alone, "/bin/sh", "-c", _UNPACK, "sh", str(tar), SIZE],
        doing="Making a disk of the first tree",
        cwd=folder,
    )
    return folder / "disk.raw"


def raw_of(disk: Path, folder: Path) -> Path:
    """Write a disk image of any format as a raw one."""
    raw = folder / "disk.raw"
    _image("Reading the disk", "convert", "-O", "raw", str(disk), str(raw))
    return raw


def golden(raw: Path, folder: Path) -> Boot:
    """Turn a raw disk into ``disk.qcow2``, ``vmlinuz`` and ``initrd.img`` in ``folder``, and return
    how they are booted.

    Raises `BakeFailed` where it holds no kernel or no ext4 root.
    """
    root = find_root(raw)
    wipe(root)
    boot = _take_kernel_out(root, folder)
    _image("Writing the disk", "convert", "-O", "qcow2", str(raw), str(folder / "disk.qcow2"))
    raw.unlink()
    return boot


def find_root(raw: Path) -> Root:
    """Find the root file system: the whole disk, or the largest partition of it with ext4."""
    with _read_from(raw) as read:
        for offset in qemu_partitions.starts(read):
            if read(offset + 1024 + 56, 2) == b"\x53\xef":  # the superblock's magic number
                return Root(disk=raw, offset=offset)
    raise BakeFailed(
        "The disk holds no ext4 file system, and its kernel is looked for in one.",
        remedy="Take a disk image whose root is ext4, as those of Debian and Ubuntu are.",
    )


def virtual_size(disk: Path) -> int:
    """Return how large a guest sees a disk image, in bytes."""
    said = _image("Measuring the disk", "info", "--output=json", str(disk))
    return int(json.loads(said.stdout)["virtual-size"])


def newest_kernel(names: Sequence[str]) -> tuple[str, str] | None:
    """Pick ``(kernel, initrd)`` of the highest version among the names in ``/boot``.

    ``vmlinuz-6.1.0-10-amd64`` is newer than ``vmlinuz-6.1.0-9-amd64``. A kernel without an initrd
    of its version does not count.
    """
    versions = {name.partition("-")[2] for name in names if name.startswith("vmlinuz-")}
    whole = [version for version in versions if f"initrd.img-{version}" in names]
    if not whole:
        return None
    best = max(whole, key=_natural)
    return f"vmlinuz-{best}", f"initrd.img-{best}"


def _natural(version: str) -> list[tuple[int, str]]:
    return [(int(digits or 0), rest) for digits, rest in re.findall(r"(\d+)|(\D+)", version)]


def wipe(root: Root) -> None:
    """Take what was deleted out of a file system: names in folders and journal, freed blocks, and
    blocks that are some file's and that it has never written."""
    _ext4(root, "tune2fs", "-O", "^has_journal")
    _ext4(root, "e2fsck", "-f", "-y", "-D")
    _ext4(root, "e2fsck", "-f", "-y", "-E", "discard")  # it discards only where it changes nothing
    with _read_from(root.disk) as read:
        reserved = list(Ext4(read, root.offset).reserved())
    for offset, length in reserved:
        words = ("--punch-hole", f"--offset={offset}", f"--length={length}", str(root.disk))
        process.run(("fallocate", *words), doing="Wiping reserved space")
    _ext4(root, "tune2fs", "-O", "has_journal")


def _ext4(root: Root, program: str, *words: str) -> None:
    # 1 says that e2fsck has corrected something: folders were packed anew.
    done = process.run([program, *words, root.name], doing="Wiping free space", check=False)
    if done.code not in (0, 1):
        raise BakeFailed(
            f"The file system of the disk is broken: {program} ended with {done.code}.",
            remedy="Bake again; if it stays so, look at what the roles do to the disk.",
            evidence=(done.stdout + done.stderr).strip()[-500:],
        )


@contextmanager
def _read_from(raw: Path) -> Iterator[Read]:
    with raw.open("rb") as disk:
        yield lambda offset, length: os.pread(disk.fileno(), length, offset)


def _take_kernel_out(root: Root, folder: Path) -> Boot:
    listed = _debugfs(root, "ls -p /boot")
    found = newest_kernel([line.split("/")[5] for line in listed.splitlines() if "/" in line])
    if found is None:
        raise BakeFailed(
            "The disk has no kernel with an initrd in /boot.",
            remedy="Install one in the image: linux-image-cloud-amd64 and initramfs-tools.",
        )
    for name, target in zip(found, (KERNEL, INITRD), strict=True):
        _debugfs(root, f"dump /boot/{name} {target}", cwd=folder)
    uuid = _debugfs(root, "show_super_stats -h").partition("Filesystem UUID:")[2].split()[0]
    return Boot(kernel=KERNEL, initrd=INITRD, append=f"root=UUID={uuid} {CONSOLE}")


def _debugfs(root: Root, request: str, *, cwd: Path | None = None) -> str:
    words = ["debugfs", "-R", request, root.name]
    return process.run(words, doing="Looking into the disk", cwd=cwd).stdout


def _image(doing: str, *words: str) -> process.Finished:
    return process.run(["qemu-img", *words], doing=doing)
