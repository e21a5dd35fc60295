"""Two states of a disk, made with the tools of e2fsprogs, and what a comparison finds in them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from tests.qemu import require_qemu, run_tool

from ovenbird.bake.oven_qemu_disk import Root, wipe
from ovenbird.provider.qemu_changes import differences
from ovenbird.provider.qemu_disk import Disk, opened
from ovenbird.provider.qemu_ext4 import ROOT, Ext4
from ovenbird.provider.qemu_partitions import starts
from ovenbird.values.errors import Blocked
from ovenbird.values.instance import ChangeKind

ADDED, CHANGED, DELETED = ChangeKind.ADDED, ChangeKind.CHANGED, ChangeKind.DELETED
MANY = 700
"""Names enough for a folder with an index."""

Compared = Callable[[Sequence[str]], list[tuple[str, ChangeKind]]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    require_qemu()
    root = tmp_path / "root"
    for name in ("etc/many", "srv", "var"):
        (root / name).mkdir(parents=True)
    (root / "etc" / "hostname").write_text("golden\n")
    (root / "etc" / "motd").write_text("hello\n")
    (root / "srv" / "large").write_bytes(os.urandom(3 << 20))
    (root / "srv" / "link").symlink_to("large")
    for number in range(MANY):
        (root / "etc" / "many" / f"a-name-that-takes-some-room-{number:04}").touch()
    return root


@pytest.fixture(params=["1024", "4096"])
def raw(request: pytest.FixtureRequest, tree: Path, tmp_path: Path) -> Path:
    disk = tmp_path / "golden.raw"
    run_tool("mke2fs", "-q", "-t", "ext4", "-b", request.param, "-d", str(tree), str(disk), "64M")
    return disk


@pytest.fixture
def compared(raw: Path, tmp_path: Path) -> Compared:
    """Change a copy with debugfs, and compare it with what it was copied from."""

    def compare(commands: Sequence[str]) -> list[tuple[str, ChangeKind]]:
        changed, script = tmp_path / "changed.raw", tmp_path / "script"
        shutil.copyfile(raw, changed)
        script.write_text("\n".join([*commands, ""]))
        run_tool("debugfs", "-w", "-f", str(script), str(changed))
        golden, overlay = _qcow2(raw), _qcow2(changed)
        with opened(golden) as before, opened(overlay) as now:
            found = list(differences(Ext4(before.read), Ext4(now.read)))
        return [(change.path, change.kind) for change in found]

    return compare


def _qcow2(raw: Path) -> Path:
    made = raw.with_suffix(".qcow2")
    run_tool("qemu-img", "convert", "-O", "qcow2", str(raw), str(made))
    return made


def test_a_disk_is_as_itself(compared: Compared) -> None:
    assert compared([]) == []


def test_what_was_added_changed_and_deleted_is_told_by_path(
    compared: Compared, tmp_path: Path
) -> None:
    (tmp_path / "new").write_text("by hand\n")

    found = compared(
        [
            f"write {tmp_path}/new /etc/by-hand",
            "mkdir /srv/more",
            f"write {tmp_path}/new /srv/more/inside",
            "rm /etc/motd",
            "set_inode_field /etc/hostname mode 0100600",
            f"rm /etc/many/a-name-that-takes-some-room-{MANY - 1:04}",
            "set_inode_field /var uid 33",
        ]
    )

    assert found == [
        ("/etc/by-hand", ADDED),
        ("/etc/hostname", CHANGED),
        (f"/etc/many/a-name-that-takes-some-room-{MANY - 1:04}", DELETED),
        ("/etc/motd", DELETED),
        ("/srv/more", ADDED),
        ("/srv/more/inside", ADDED),
        ("/var", CHANGED),
    ]


def test_a_content_of_the_same_size_under_an_old_time_is_seen(
    compared: Compared, tmp_path: Path, tree: Path
) -> None:
    (tmp_path / "new").write_text("hullo\n")
    time = int((tree / "etc" / "motd").stat().st_mtime)

    found = compared(
        [
            "rm /etc/motd",
            f"write {tmp_path}/new /etc/motd",
            f"set_inode_field /etc/motd mtime @{time}",
            "set_inode_field /etc/motd mtime_extra 0",
            # A kernel would do this, down to the nanosecond.
            f"set_inode_field /etc/motd ctime @{time + 7}",
        ]
    )

    assert found == [("/etc/motd", CHANGED)]


def test_what_only_looks_touched_is_no_change(compared: Compared) -> None:
    assert compared(["set_inode_field /etc/motd atime @1", "set_inode_field /srv mtime @1"]) == []
    assert compared(["set_inode_field /srv/large ctime @1800000000"]) == []


def test_files_are_read_as_they_were_written(raw: Path, tree: Path) -> None:
    with opened(_qcow2(raw)) as disk:
        system = Ext4(disk.read)
        (folder, is_folder) = system.entries(ROOT)["srv"]
        (number, _) = system.entries(folder)["large"]
        (many, _) = system.entries(system.entries(ROOT)["etc"][0])["many"]

        assert is_folder
        assert b"".join(system.content(number)) == (tree / "srv" / "large").read_bytes()
        assert len(system.entries(many)) == MANY


def test_a_partition_is_found_wherever_the_table_says(raw: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole.raw"
    sector = bytearray(512)
    sector[446 + 8 : 446 + 12] = (2048).to_bytes(4, "little")
    sector[510:] = b"\x55\xaa"
    with whole.open("wb") as file:
        file.write(sector)
        file.seek(2048 * 512)
        file.write(raw.read_bytes())

    with opened(_qcow2(whole)) as disk:
        assert starts(disk.read) == [0, 2048 * 512]
        assert "etc" in Ext4(disk.read, 2048 * 512).entries(ROOT)
        with pytest.raises(Blocked, match="is no ext4"):
            Ext4(disk.read, 0)


def test_what_was_deleted_is_nowhere_on_a_disk_that_was_wiped(raw: Path, tmp_path: Path) -> None:
    """Not in freed blocks, and not in those that a file has got and never written."""
    secret, script = tmp_path / "secret", tmp_path / "script"
    secret.write_text("a-secret-of-the-bake\n" * 5000)
    script.write_text(
        f"write {secret} /srv/secret\nwrite {secret} /srv/another\n"
        "rm /srv/secret\nrm /srv/another\n"
        "write /dev/null /srv/reserved\nfallocate /srv/reserved 0 50\n"
    )
    run_tool("debugfs", "-w", "-f", str(script), str(raw))
    with raw.open("rb") as disk:
        system = Ext4(lambda at, length: os.pread(disk.fileno(), length, at))
        reserved = sum(length for _, length in system.reserved())
    before = b"a-secret-of-the-bake" in raw.read_bytes()

    wipe(Root(disk=raw))

    assert before
    assert reserved == 51 * system.block_size
    assert b"a-secret-of-the-bake" not in raw.read_bytes()
    with opened(_qcow2(raw)) as after:
        assert "reserved" in Ext4(after.read).entries(Ext4(after.read).entries(ROOT)["srv"][0])


def test_a_compressed_disk_is_refused_with_a_remedy(raw: Path) -> None:
    packed = raw.with_suffix(".packed")
    run_tool("qemu-img", "convert", "-c", "-O", "qcow2", str(raw), str(packed))

    with pytest.raises(Blocked, match="is compressed") as refused, opened(packed) as disk:
        assert isinstance(disk, Disk)

    assert refused.value.exit_code == 3
