"""What somebody did to the files of a machine: its disk as it is now against its image's.

QEMU makes a copy of one moment; that and the image are read from outside, so nothing is asked of
the guest and nothing is mounted. What the guest has not written to its disk yet is not seen: that
is at most half a minute old. Kind, mode, owner, size, and time are compared, and the contents
where only the inode tells that something was done. What lies on a volume is another disk.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from itertools import zip_longest
from pathlib import Path, PurePosixPath
from uuid import uuid4

from ovenbird import process
from ovenbird.provider import qemu_partitions, qemu_qmp
from ovenbird.provider.qemu_disk import Disk, opened
from ovenbird.provider.qemu_ext4 import ROOT, Ext4, Inode
from ovenbird.provider.qemu_machine import Machine, Written
from ovenbird.provider.qemu_store import Golden
from ovenbird.provider.seed import JOB_EXIT_PATH, SEED_PATH
from ovenbird.values.errors import Blocked
from ovenbird.values.instance import Change, ChangeKind

COPY_TIMEOUT = 300.0
_MADE_AT_RUN_TIME = ("/proc", "/sys", "/dev", "/run", "/lost+found")
_OURS = (SEED_PATH, JOB_EXIT_PATH, str(PurePosixPath(SEED_PATH).parent))


def compared(machine: Machine, written: Written, *, golden: Golden) -> Collection[Change]:
    """Compare a machine with its image, ordered by path. Whoever calls holds its lock."""
    with ExitStack() as stack:
        top = stack.enter_context(_still(machine, golden))
        before = _root(stack.enter_context(opened(golden.disk)))
        now = _root(stack.enter_context(opened(top, golden.disk)))
        found = list(differences(before, now))
    mounts = list(written.volumes.values())
    folders = {str(parent) for path in mounts for parent in PurePosixPath(path).parents}
    return tuple(
        change
        for change in found
        if change.path not in _OURS
        and not any(_is_below(change.path, path) for path in (*_MADE_AT_RUN_TIME, *mounts))
        # The folders in which a volume is mounted are made for it.
        and not (change.path in folders and change.kind is ChangeKind.ADDED)
    )


def differences(before: Ext4, now: Ext4) -> Iterator[Change]:
    """Compare two states of one file system, ordered by path."""
    touched = before.differing(now)
    old, new = dict(_walked(before)), dict(_walked(now))
    for path in sorted({*old, *new}):
        if path not in new:
            yield Change(path=path, kind=ChangeKind.DELETED)
        elif path not in old:
            yield Change(path=path, kind=ChangeKind.ADDED, at=now.inode(new[path]).at)
        elif old[path] != new[path] or old[path] in touched:
            was, is_ = before.inode(old[path]), now.inode(new[path])
            if _differ(was, is_) or _rewritten(before, old[path], now, new[path]):
                # The time of a folder only tells of what is in it.
                at = None if is_.is_folder else is_.at
                yield Change(path=path, kind=ChangeKind.CHANGED, at=at)


@contextmanager
def _still(machine: Machine, golden: Golden) -> Iterator[Path]:
    """Give a disk that nobody writes meanwhile: a copy, or that of a machine that has ended."""
    if machine.pid() is None:
        yield machine.overlay
        return
    for left in machine.folder.glob("copy-*"):
        left.unlink()
    name = f"copy-{uuid4().hex[:8]}"
    copy = machine.folder / name
    argv = ("qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(golden.disk))
    process.run((*argv, str(copy)), doing=f"Copying the disk of {machine.token}", timeout=60)
    try:
        qemu_qmp.copy_disk(machine.folder, to=copy, name=name, timeout=COPY_TIMEOUT)
        yield copy
    finally:
        copy.unlink(missing_ok=True)


def _root(disk: Disk) -> Ext4:
    """Find the file system that has an /etc."""
    failure: Blocked | None = None
    for start in qemu_partitions.starts(disk.read):
        try:
            found = Ext4(disk.read, start)
        except Blocked as other:
            failure = other
            continue
        if "etc" in found.entries(ROOT):
            return found
    raise failure or Blocked(
        "No file system of this image has an /etc, so its files cannot be compared.",
        remedy="See what is on it: qemu-img info; virt-filesystems",
    )


def _walked(system: Ext4) -> Iterator[tuple[str, int]]:
    """Yield each path with its inode."""
    left = [("", ROOT)]
    while left:
        folder, number = left.pop()
        for name, (inode, is_folder) in system.entries(number).items():
            path = f"{folder}/{name}"
            yield path, inode
            if is_folder and path not in _MADE_AT_RUN_TIME:
                left.append((path, inode))


def _differ(was: Inode, now: Inode) -> bool:
    facts = (was.mode, was.uid, was.gid) != (now.mode, now.uid, now.gid)
    if facts or now.is_folder:
        return facts
    return (was.size, was.written_at) != (now.size, now.written_at)


def _rewritten(before: Ext4, old: int, now: Ext4, new: int) -> bool:
    """Say whether a file that looks the same has another content: whoever sets its time back
    cannot set back when its inode changed."""
    was, is_ = before.inode(old), now.inode(new)
    if not is_.is_file or (old == new and was.changed_at == is_.changed_at):
        return False
    return any(a != b for a, b in zip_longest(before.content(old), now.content(new)))


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
