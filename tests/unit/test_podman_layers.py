"""A layer's folder against its archive, where the two may differ and nothing was done to it."""

from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from ovenbird.provider.podman_layers import difference


def entry(name: str, **facts: object) -> tarfile.TarInfo:
    """Something of the user who runs this, as a layer's archive has it."""
    made = tarfile.TarInfo(name)
    made.uid, made.gid, made.mode = os.getuid(), os.getgid(), 0o644
    for key, value in facts.items():
        setattr(made, key, value)
    return made


def archive(*entries: tuple[tarfile.TarInfo, bytes]) -> io.BytesIO:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for each, content in entries:
            each.size = len(content)
            tar.addfile(each, io.BytesIO(content))
    packed.seek(0)
    return packed


@pytest.fixture
def layer(tmp_path: Path) -> Callable[..., Path]:
    def made(**files: bytes) -> Path:
        folder = tmp_path / "overlay" / "id" / "diff"
        folder.mkdir(parents=True)
        folder.chmod(0o555 | 0o200)
        for name, content in files.items():
            (folder / name).write_bytes(content)
            (folder / name).chmod(0o644)
        return folder

    return made


def link(name: str, to: str) -> tuple[tarfile.TarInfo, bytes]:
    return entry(name, type=tarfile.LNKTYPE, linkname=to), b""


def test_an_attribute_that_the_file_system_does_not_take_may_be_missing(
    layer: Callable[..., Path],
) -> None:
    apple = {"SCHILY.xattr.com.apple.provenance": "x"}

    assert difference(archive((entry("a", pax_headers=apple), b"1")), layer(a=b"1")) == ""


def test_one_that_gives_rights_may_not(layer: Callable[..., Path]) -> None:
    capable = {"SCHILY.xattr.security.capability": "x"}

    found = difference(archive((entry("a", pax_headers=capable), b"1")), layer(a=b"1"))

    assert found == "/a has other attributes"


def test_notes_of_an_older_storage_driver_are_unpacked_by_nobody(
    layer: Callable[..., Path],
) -> None:
    noted = archive((entry(".wh..wh.aufs"), b""), (entry("a"), b"1"))

    assert difference(noted, layer(a=b"1")) == ""


def test_a_hard_link_may_be_a_file_of_its_own_with_the_same_content(
    layer: Callable[..., Path],
) -> None:
    linked = archive((entry("a"), b"1"), link("b", "./a"))

    folder = layer(a=b"1", b=b"1")
    assert difference(linked, folder) == ""

    linked.seek(0)
    (folder / "b").write_bytes(b"2")
    assert difference(linked, folder) == "/b has another content"


def test_of_two_entries_of_one_name_the_last_one_counts(layer: Callable[..., Path]) -> None:
    twice = archive((entry("a"), b"1"), (entry("a"), b"2"))

    assert difference(twice, layer(a=b"2")) == ""


def test_folders_above_that_no_archive_names_are_no_addition(layer: Callable[..., Path]) -> None:
    folder = layer()
    (folder / "etc/web").mkdir(parents=True)
    (folder / "etc/web/conf").write_bytes(b"1")
    (folder / "etc/web/conf").chmod(0o644)

    assert difference(archive((entry("./etc/web/conf"), b"1")), folder) == ""


def test_a_longer_file_and_a_shorter_one_are_found(layer: Callable[..., Path]) -> None:
    folder = layer(a=b"12")

    for content in (b"1", b"123"):
        assert difference(archive((entry("a"), content)), folder) == "/a has another content"


def test_a_name_that_is_no_text_can_be_told(layer: Callable[..., Path]) -> None:
    folder = layer()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff")).write_bytes(b"")

    assert difference(archive(), folder) == "/\\xff was added"
