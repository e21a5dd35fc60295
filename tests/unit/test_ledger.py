"""The ledger of a bake: what it created stands in it before, and a dead one is known as dead."""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from ovenbird.bake import ledger
from ovenbird.bake.ledger import Ledger


def opened(bakes: Path, token: str = "bake-web-1") -> Ledger:
    return Ledger.open(bakes / token, token=token, family="web", oven="podman")


def test_an_open_bake_names_its_own_process(tmp_path: Path) -> None:
    book = ledger.read(opened(tmp_path).path)

    assert book.pid == os.getpid()
    assert book.started == ledger.start_time(os.getpid()) != ""


def test_only_its_owner_may_look_into_a_bake(tmp_path: Path) -> None:
    assert opened(tmp_path).folder.stat().st_mode & 0o777 == 0o700


def test_what_is_about_to_be_created_can_be_read_from_disk(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.intend(container="bake-web-1")
    book.intend(image="sha256:9f3c")

    assert ledger.read(book.path) == book
    assert (book.containers, book.images) == (["bake-web-1"], ["sha256:9f3c"])


def test_a_ledger_is_replaced_whole(tmp_path: Path) -> None:
    book = opened(tmp_path)
    before = book.path.stat().st_ino
    book.intend(container="x")

    assert book.path.stat().st_ino != before
    assert [path.name for path in book.folder.iterdir()] == ["ledger.json"]


def test_a_living_bake_is_not_cleaned(tmp_path: Path) -> None:
    opened(tmp_path)

    assert list(ledger.dead(tmp_path)) == []


def test_a_bake_whose_process_is_gone_is_dead(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.pid = 2**22 + 1  # beyond what the kernel gives out
    book.write()

    assert [dead.token for dead in ledger.dead(tmp_path)] == ["bake-web-1"]


def test_a_recycled_process_number_does_not_count_as_alive(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.started = "1"
    book.write()

    assert [dead.token for dead in ledger.dead(tmp_path)] == ["bake-web-1"]


def test_a_kept_bake_says_so_though_its_process_is_gone(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.started, book.kept = "1", True
    book.write()

    assert [found.kept for found in ledger.dead(tmp_path)] == [True]


def test_no_bakes_were_ever_begun_here(tmp_path: Path) -> None:
    assert list(ledger.dead(tmp_path / "nowhere")) == []


def test_a_folder_without_a_ledger_yet_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "bake-web-2").mkdir()

    assert list(ledger.dead(tmp_path)) == []


def test_a_closed_bake_leaves_no_file(tmp_path: Path) -> None:
    book = opened(tmp_path)
    book.close()

    assert list(tmp_path.iterdir()) == []


def test_one_token_is_one_bake(tmp_path: Path) -> None:
    opened(tmp_path)

    with pytest.raises(FileExistsError):
        opened(tmp_path)


def test_the_guard_finds_what_it_reads(tmp_path: Path) -> None:
    """The plug-ins import nothing of Ovenbird: these keys are what they know."""
    said = json.loads(opened(tmp_path).path.read_text())

    assert {"pid", "started", "into", "name"} <= said.keys()
    assert said["name"] == ledger.TARGET


def test_a_program_that_a_killed_bake_left_is_outrun(tmp_path: Path) -> None:
    """What podman still writes when its bake was killed: the folder fills while it is removed."""
    book = opened(tmp_path)
    inner = book.folder / "proof"
    inner.mkdir()
    written = threading.Event()

    def write_on() -> None:
        for number in range(400):
            with suppress(OSError):
                inner.mkdir(exist_ok=True)
                (inner / f"{number}").write_text("more")
            written.set()

    writer = threading.Thread(target=write_on)
    writer.start()
    written.wait()
    with suppress(FileNotFoundError):
        book.close()
    writer.join()
    if book.folder.exists():  # it came back after the last look
        book.close()

    assert not book.folder.exists()


def test_a_clean_up_that_is_cut_short_still_knows_its_bake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    book = opened(tmp_path)
    (book.folder / "lent").mkdir()

    def full(path: Path) -> None:
        raise PermissionError(13, "no", str(path))

    monkeypatch.setattr("shutil.rmtree", full)
    with pytest.raises(PermissionError):
        book.close()

    assert ledger.read(book.path) == book
