"""What of baking on QEMU can be told from texts and bytes alone."""

from __future__ import annotations

import shlex
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from tests.builders import a_version, an_artifact

from ovenbird.bake.oven_qemu_disk import Root, find_root, newest_kernel
from ovenbird.bake.oven_qemu_door import APPEND, SCRIPT
from ovenbird.bake.upkeep import require_size
from ovenbird.provider.qemu_partitions import starts
from ovenbird.values.errors import BakeFailed
from ovenbird.values.family import Family

MIB = 1 << 20


def a_gpt(*spans: tuple[int, int]) -> bytes:
    """A disk whose partitions begin and end at these sectors."""
    disk = bytearray(4 * MIB)
    disk[512:520] = b"EFI PART"
    struct.pack_into("<QII", disk, 512 + 72, 2, 128, 128)
    for number, (begin, end) in enumerate(spans):
        struct.pack_into("<QQ", disk, 1024 + number * 128 + 32, begin, end)
    return bytes(disk)


def an_mbr(*spans: tuple[int, int]) -> bytes:
    disk = bytearray(4 * MIB)
    disk[510:512] = b"\x55\xaa"
    for number, (begin, end) in enumerate(spans):
        struct.pack_into("<II", disk, 446 + 16 * number + 8, begin, end - begin)
    return bytes(disk)


def with_ext4(disk: bytes, sector: int) -> bytes:
    at = sector * 512 + 1024 + 56
    return disk[:at] + b"\x53\xef" + disk[at + 2 :]


@pytest.mark.parametrize("table", [a_gpt, an_mbr])
def test_partitions_are_listed_largest_first(table: object) -> None:
    assert callable(table)
    disk = table((64, 127), (2048, 8191), (128, 255))

    assert starts(lambda at, length: disk[at : at + length]) == [
        0,
        2048 * 512,
        128 * 512,
        64 * 512,
    ]


def test_a_disk_without_a_table_has_no_partition() -> None:
    assert starts(lambda at, length: bytes(MIB)[at : at + length]) == [0]


def test_the_root_is_the_whole_disk_or_the_largest_partition_with_ext4(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(with_ext4(bytes(MIB), 0))
    assert find_root(raw) == Root(disk=raw)

    raw.write_bytes(with_ext4(with_ext4(a_gpt((64, 127), (128, 255), (2048, 8191)), 64), 128))
    assert find_root(raw).name == f"{raw}?offset={128 * 512}"


def test_a_disk_without_ext4_is_refused_with_what_to_take_instead(tmp_path: Path) -> None:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(bytes(MIB))

    with pytest.raises(BakeFailed, match="holds no ext4") as told:
        find_root(raw)

    assert "root is ext4" in told.value.remedy


def test_the_newest_kernel_is_the_one_with_the_highest_numbers_and_an_initrd() -> None:
    boot = ["vmlinuz-6.1.0-9-cloud", "vmlinuz-6.1.0-10-cloud", "vmlinuz-6.2.0-1-cloud", "grub"]
    boot += ["initrd.img-6.1.0-9-cloud", "initrd.img-6.1.0-10-cloud"]

    assert newest_kernel(boot) == ("vmlinuz-6.1.0-10-cloud", "initrd.img-6.1.0-10-cloud")
    assert newest_kernel(["vmlinuz-6.1.0-9-cloud"]) is None


def test_the_door_leaves_nothing_outside_of_memory() -> None:
    written = [word for line in SCRIPT.splitlines() for word in shlex.split(line, comments=True)]
    paths = [word for word in written if word.startswith("/") and not word.startswith("/usr/sbin")]

    assert paths
    assert [path for path in paths if not path.startswith("/run/")] == []


def test_a_guest_without_the_door_boots_all_the_same() -> None:
    _, _, script = APPEND.partition(' -c "')

    assert script.endswith('exec /sbin/init"')
    assert "&&" not in script, "what fails must not keep the real init from starting"


def test_an_image_larger_than_its_family_allows_is_refused_with_both_sizes() -> None:
    family = replace(Family(name="web", playbook="playbooks/web.yml"), max_size=100 * MIB)
    base = a_version(1, family="base")
    of_parent = replace(an_artifact("sha256:1", provider="qemu"), size=90 * MIB)
    parent = replace(base, artifacts=(of_parent,))
    made = replace(an_artifact("sha256:2", provider="qemu"), size=120 * MIB)

    with pytest.raises(BakeFailed) as told:
        require_size(family, made, parent=parent)

    assert told.value.problem == (
        "The image of web takes 120 MiB, 90 MiB of it base/1, and max_size allows 100 MiB."
    )
    assert "max_size" in told.value.remedy
    require_size(replace(family, max_size=0), made, parent=parent)
    require_size(replace(family, max_size=120 * MIB), made, parent=None)
