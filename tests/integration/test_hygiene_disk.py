"""A disk of QEMU, made with the tools of e2fsprogs: the files of its root are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.planted import CLEAN, PEM
from tests.qemu import require_qemu, run_tool

from ovenbird.hygiene.disk import of_disk
from ovenbird.hygiene.scan import scan
from ovenbird.values.errors import Blocked


def a_disk(folder: Path, files: dict[str, bytes]) -> Path:
    require_qemu()
    root, raw, disk = (folder / name for name in ("root", "disk.raw", "disk.qcow2"))
    root.mkdir()
    for path, data in files.items():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_bytes(data)
    run_tool("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(raw), "64M")
    run_tool("qemu-img", "convert", "-O", "qcow2", str(raw), str(disk))
    return disk


def test_a_clean_disk_raises_no_alarm(tmp_path: Path) -> None:
    found = scan(of_disk(a_disk(tmp_path, dict(CLEAN))))

    assert found.findings == ()
    assert found.files == len(CLEAN)


def test_what_lies_in_a_large_file_is_found_at_its_beginning_and_its_end(tmp_path: Path) -> None:
    large = b"first\n" + PEM + bytes(12 << 20) + b"\nlast\n" + PEM
    disk = a_disk(tmp_path, {**CLEAN, "/srv/large": large, "/srv/id": PEM})

    found = scan(of_disk(disk))

    assert [(f.path, f.where) for f in found.findings] == [
        ("/srv/id", "the disk"),
        ("/srv/large", "the disk"),
        ("/srv/large", "the disk"),
    ]
    assert found.cut == ("/srv/large",)


def test_a_disk_without_a_root_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(Blocked, match="with an /etc"):
        scan(of_disk(a_disk(tmp_path, {"/boot/x": b"x"})))
