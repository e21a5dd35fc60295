"""What instances wrote before they ended: bounded, whole, and readable for a month."""

from __future__ import annotations

import errno
import os
from datetime import timedelta
from pathlib import Path

import pytest
from tests.builders import NOW

from ovenbird.rollout.consoles import CONSOLE_BYTES, KEPT_FOR, Consoles
from ovenbird.values.errors import Blocked


def test_a_console_is_read_as_it_was_kept(tmp_path: Path) -> None:
    consoles = Consoles(tmp_path / "consoles")

    path = consoles.save("dev-web-1", "ready\nänd done\n", at=NOW)

    assert consoles.read("dev-web-1") == "ready\nänd done\n"
    assert path == tmp_path / "consoles" / "dev-web-1.log"
    assert path.stat().st_mode & 0o077 == 0


def test_nothing_was_kept_of_an_instance_that_nobody_knows(tmp_path: Path) -> None:
    assert Consoles(tmp_path / "consoles").read("dev-web-1") is None


def test_of_a_long_console_the_end_is_kept_and_no_torn_line(tmp_path: Path) -> None:
    lines = [f"{n:07} ü" for n in range(CONSOLE_BYTES // 10)]
    consoles = Consoles(tmp_path)

    path = consoles.save("dev-web-1", "\n".join(lines), at=NOW)

    read = consoles.read("dev-web-1")
    assert read is not None
    kept = read.splitlines()
    assert CONSOLE_BYTES - 12 < path.stat().st_size <= CONSOLE_BYTES
    assert kept == lines[-len(kept) :]


def test_one_line_without_end_is_cut_as_well(tmp_path: Path) -> None:
    path = Consoles(tmp_path).save("dev-web-1", "x" * 3 * CONSOLE_BYTES, at=NOW)

    assert path.stat().st_size == CONSOLE_BYTES


def test_a_console_is_forgotten_after_thirty_days(tmp_path: Path) -> None:
    consoles = Consoles(tmp_path)
    consoles.save("dev-web-1", "old", at=NOW - KEPT_FOR - timedelta(seconds=1))
    consoles.save("dev-web-2", "just young enough", at=NOW - KEPT_FOR)

    consoles.save("dev-web-3", "new", at=NOW)

    assert [consoles.read(f"dev-web-{n}") for n in (1, 2, 3)] == [None, "just young enough", "new"]


def test_the_oldest_go_first_where_all_are_too_much(tmp_path: Path) -> None:
    consoles = Consoles(tmp_path, most=25)
    for n in range(5):
        consoles.save(f"dev-web-{n}", "x" * 10, at=NOW + timedelta(minutes=n))

    assert sorted(path.name for path in tmp_path.iterdir()) == ["dev-web-3.log", "dev-web-4.log"]


def test_the_one_that_is_being_kept_is_never_forgotten_for_it(tmp_path: Path) -> None:
    consoles = Consoles(tmp_path, most=5)

    consoles.save("dev-web-1", "longer than all may be", at=NOW)

    assert consoles.read("dev-web-1") == "longer than all may be"


def test_a_draft_of_a_killed_driver_goes_with_the_rest(tmp_path: Path) -> None:
    draft = tmp_path / ".dev-web-1.log.77"
    draft.write_text("half")
    os.utime(draft, (0, 0))

    assert Consoles(tmp_path).prune(NOW) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_blocks_and_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    consoles = Consoles(tmp_path)
    consoles.save("dev-web-1", "first", at=NOW)

    def no_room(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(Blocked, match="No space left on device") as caught:
        consoles.save("dev-web-1", "second", at=NOW)

    assert caught.value.exit_code == 3
    assert "was not ended" in caught.value.remedy
    assert consoles.read("dev-web-1") == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["dev-web-1.log"]


@pytest.mark.parametrize("token", ["", "../key", "a/b", ".hidden", "a\nb"])
def test_a_name_that_is_no_token_reaches_no_file(tmp_path: Path, token: str) -> None:
    with pytest.raises(ValueError, match="no token"):
        Consoles(tmp_path).read(token)
