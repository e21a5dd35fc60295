"""A disk of QEMU, made with the tools of e2fsprogs: the files of its root are looked at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.planted import CLEAN, PEM

from ovenbird import process
from ovenbird.hygiene.disk import of_system
from ovenbird.hygiene.scan import Scan, scan
from ovenbird.values.errors import Blocked

Scanned = Callable[[Mapping[str, bytes]], Scan]


@pytest.fixture
def scanned(tmp_path: Path) -> Iterator[Scanned]:
    """Make a disk of files, and look into it."""
    if shutil.which("mke2fs") is None:
        pytest.skip("mke2fs is not installed: apt-get install e2fsprogs")
    with ExitStack() as stack:

        def scanned(files: Mapping[str, bytes]) -> Scan:
            root, disk = tmp_path / "root", tmp_path / "disk.raw"
            for path, data in files.items():
                (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
                (root / path[1:]).write_bytes(data)
            words = ("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(disk), "64M")
            process.run(words, doing="Making a disk")
            file = stack.enter_context(disk.open("rb")).fileno()
            return scan(of_system(lambda offset, length: os.pread(file, length, offset)))

        yield scanned


def test_a_clean_disk_raises_no_alarm(scanned: Scanned) -> None:
    found = scanned(CLEAN)

    assert found.findings == ()
    assert found.files == len(CLEAN)


def test_what_lies_in_a_large_file_is_found_at_its_beginning_and_its_end(scanned: Scanned) -> None:
    large = b"first\n" + PEM + bytes(12 << 20) + b"\nlast\n" + PEM

    found = scanned({**CLEAN, "/srv/large": large, "/srv/id": PEM})

    assert [(f.path, f.where) for f in found.findings] == [
        ("/srv/id", "the disk"),
        ("/srv/large", "the disk"),
        ("/srv/large", "the disk"),
    ]
    assert found.cut == ("/srv/large",)


def test_a_disk_without_a_root_is_told_so(scanned: Scanned) -> None:
    with pytest.raises(Blocked, match="with an /etc"):
        scanned({"/boot/x": b"x"})
