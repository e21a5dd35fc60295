"""Where a site's state lives, whose it is, and where it must not lie."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from filelock import Timeout
from sqlalchemy import text

from ovenbird.state import site as module
from ovenbird.state.lock import lock_of
from ovenbird.state.site import file_system, open_site, state_folder
from ovenbird.values.errors import Blocked, ConfigurationError


@pytest.mark.parametrize(
    ("environ", "uid", "folder"),
    [
        ({"OVENBIRD_STATE": "/srv/birds"}, 0, "/srv/birds"),
        ({"OVENBIRD_STATE": "/srv/birds"}, 1000, "/srv/birds"),
        ({}, 0, "/var/lib/ovenbird"),
        ({"XDG_STATE_HOME": "/x"}, 0, "/var/lib/ovenbird"),
        ({"XDG_STATE_HOME": "/x", "HOME": "/home/ann"}, 1000, "/x/ovenbird"),
        ({"HOME": "/home/ann"}, 1000, "/home/ann/.local/state/ovenbird"),
        ({"OVENBIRD_STATE": "postgresql+psycopg://h/d"}, 0, "/var/lib/ovenbird"),
        ({"OVENBIRD_STATE": "postgresql://h/d", "OVENBIRD_FOLDER": "/srv/b"}, 0, "/srv/b"),
        ({"OVENBIRD_STATE": "/srv/birds", "OVENBIRD_FOLDER": "/srv/b"}, 0, "/srv/birds"),
        ({"OVENBIRD_FOLDER": "/srv/b"}, 0, "/var/lib/ovenbird"),
    ],
)
def test_the_state_of_a_user_has_one_place(
    environ: Mapping[str, str], uid: int, folder: str
) -> None:
    assert state_folder(environ, uid=uid) == Path(folder)


@pytest.mark.parametrize(
    ("variable", "environ"),
    [
        ("OVENBIRD_STATE", {"OVENBIRD_STATE": "birds"}),
        ("OVENBIRD_FOLDER", {"OVENBIRD_STATE": "postgresql://h/d", "OVENBIRD_FOLDER": "birds"}),
    ],
)
def test_a_folder_named_from_where_one_is_is_refused(
    variable: str, environ: Mapping[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")

    with pytest.raises(ConfigurationError) as refused:
        state_folder(environ, uid=0)

    assert refused.value.remedy == f"Write the whole path: {variable}=/birds"


def test_a_path_may_hold_any_character(tmp_path: Path) -> None:
    folder = tmp_path / "a ?b%20c"
    first = open_site({"OVENBIRD_STATE": str(folder)})

    assert (folder / "ovenbird.db").is_file()
    assert open_site({"OVENBIRD_STATE": str(folder)}).id == first.id


def test_a_damaged_key_is_refused_before_it_changes_every_launch_hash(tmp_path: Path) -> None:
    open_site({"OVENBIRD_STATE": str(tmp_path)})
    (tmp_path / "key").write_bytes(b"")

    with pytest.raises(ConfigurationError, match="not a key of 32 bytes"):
        open_site({"OVENBIRD_STATE": str(tmp_path)})


def test_a_site_whose_key_was_lost_makes_no_other_by_itself(tmp_path: Path) -> None:
    open_site({"OVENBIRD_STATE": str(tmp_path)})
    (tmp_path / "key").unlink()

    with pytest.raises(ConfigurationError, match="key is missing") as refused:
        open_site({"OVENBIRD_STATE": str(tmp_path)})

    assert refused.value.exit_code == 2
    assert not (tmp_path / "key").exists()


def test_a_key_that_is_lost_for_good_can_be_given_up(tmp_path: Path) -> None:
    first = open_site({"OVENBIRD_STATE": str(tmp_path)})
    (tmp_path / "key").unlink()
    with first.database.begin() as db:
        db.execute(text("UPDATE site SET key_check = NULL"))

    again = open_site({"OVENBIRD_STATE": str(tmp_path)})

    assert again.id == first.id
    assert again.key != first.key


def test_the_database_does_not_hold_the_key(tmp_path: Path) -> None:
    site = open_site({"OVENBIRD_STATE": str(tmp_path)})

    with site.database.begin() as db:
        check = db.execute(text("SELECT key_check FROM site")).scalar_one()

    assert check not in (site.key.hex(), "")


def test_a_folder_that_others_may_read_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_site({"OVENBIRD_STATE": str(tmp_path)})

    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_a_site_is_made_once_and_found_again(tmp_path: Path) -> None:
    environ = {"OVENBIRD_STATE": str(tmp_path / "deep" / "site")}
    first, again = open_site(environ), open_site(environ)

    assert (first.id, first.key, first.folder) == (again.id, again.key, again.folder)
    assert len(first.key) == 32


def test_two_sites_share_neither_id_nor_key(tmp_path: Path) -> None:
    here, there = (open_site({"OVENBIRD_STATE": str(tmp_path / name)}) for name in ("a", "b"))

    assert here.id != there.id
    assert here.key != there.key


def test_only_its_owner_may_look_into_a_site(tmp_path: Path) -> None:
    folder = open_site({"OVENBIRD_STATE": str(tmp_path / "site")}).folder

    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / "key").stat().st_mode & 0o777 == 0o600


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    site = open_site({"OVENBIRD_STATE": str(tmp_path)})

    assert site.key.hex() not in repr(site)
    assert repr(site.key) not in repr(site)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "9p", "fuse.sshfs"])
def test_a_network_file_system_is_refused_before_anything_is_written(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "file_system", lambda folder: kind)

    with pytest.raises(ConfigurationError, match=kind) as refused:
        open_site({"OVENBIRD_STATE": str(tmp_path)})

    assert refused.value.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(ConfigurationError, match="Not a directory") as refused:
        open_site({"OVENBIRD_STATE": str(tmp_path / "file" / "site")})

    assert "OVENBIRD_STATE" in refused.value.remedy


def test_a_full_disk_is_blocked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: object, *flags: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "open", full)

    with pytest.raises(Blocked, match="No space left on device") as refused:
        open_site({"OVENBIRD_STATE": str(tmp_path)})

    assert refused.value.exit_code == 3


MOUNTS = """\
/dev/sda1 / ext4 rw 0 0
tmpfs /srv tmpfs rw 0 0
server:/x /srv/with\\040space nfs4 rw 0 0
/dev/sdb1 /srv/with\\040space/local xfs rw 0 0
"""


@pytest.mark.parametrize(
    ("folder", "kind"),
    [
        ("/etc", "ext4"),
        ("/srv", "tmpfs"),
        ("/srvice", "ext4"),
        ("/srv/with space/x", "nfs4"),
        ("/srv/with space/local/x", "xfs"),
    ],
)
def test_a_folder_lies_on_the_file_system_that_is_mounted_nearest(
    folder: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "read_text", lambda self: MOUNTS)

    assert file_system(Path(folder)) == kind


def test_a_lock_is_held_by_one_and_free_again_after(tmp_path: Path) -> None:
    with lock_of(tmp_path, "bake-web"):
        with pytest.raises(Timeout):
            lock_of(tmp_path, "bake-web").acquire(timeout=0)
        lock_of(tmp_path, "bake-base").acquire(timeout=0).lock.release()

    lock_of(tmp_path, "bake-web").acquire(timeout=0).lock.release()
