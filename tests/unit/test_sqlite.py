"""A site in one file: what survives a power cut, and what is never made again by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy import func, insert, select, text
from tests.unit.test_database import NOON, at_once, set_schema, sites_in

from ovenbird.state import sqlite
from ovenbird.state.database import SCHEMA, Database, sqlite_url
from ovenbird.state.tables import site
from ovenbird.values.errors import Blocked


def write(database: Database, id_: str = "x") -> None:
    with database.begin() as db:
        db.execute(insert(site).values(id=id_, made_at=NOON))


def schema_in(file: Path) -> str:
    with closing(sqlite3.connect(file)) as db:
        ((version,),) = db.execute("SELECT version_num FROM alembic_version")
        return str(version)


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Hold the write lock as another process would."""
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
def test_what_is_written_survives_a_power_cut(
    pragma: str, value: object, database: Database
) -> None:
    with database.begin() as db:
        assert db.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_two_files_are_two_sites_that_do_not_meet(tmp_path: Path) -> None:
    here, there = (Database.open(sqlite_url(tmp_path / name)) for name in ("a.db", "b.db"))

    assert here.site_id() != there.site_id()
    assert (sites_in(here), sites_in(there)) == (1, 1)
    assert not here.is_shared

    here.close()
    there.close()


def test_an_older_schema_is_copied_whole_before_it_is_changed(
    url: str, tmp_path: Path, database: Database
) -> None:
    """In WAL mode the newest rows are in a file beside the database."""
    set_schema(database, "0000")

    with pytest.raises(CommandError, match="0000"):  # no such migration was ever written
        Database.open(url)

    assert schema_in(tmp_path / f"ovenbird.db.before-{SCHEMA}") == "0000"
    assert schema_in(tmp_path / "ovenbird.db") == "0000"


def test_several_who_upgrade_at_once_keep_the_copy_of_what_was_before(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever comes second finds the new schema and must not copy that over the old one."""
    first = Database.open(url)
    with first.begin() as db:
        for column in ("versions DROP COLUMN seal", "versions DROP COLUMN kept_because"):
            db.execute(text(f"ALTER TABLE {column}"))
        db.execute(text("ALTER TABLE channels DROP COLUMN seal"))
        for table in ("inventories", "statements", "updates", "approvals", "patch_runs"):
            db.execute(text(f"DROP TABLE {table}"))
    set_schema(first, "0004")
    first.close()

    at_once(4, lambda _: Database.open(url).close())

    assert schema_in(tmp_path / "ovenbird.db") == SCHEMA
    assert schema_in(tmp_path / f"ovenbird.db.before-{SCHEMA}") == "0004"
    assert {path.name for path in tmp_path.glob(".*")} == set(), "no half of a copy is left"


def test_a_file_that_is_no_database_is_blocked(url: str, tmp_path: Path) -> None:
    (tmp_path / "ovenbird.db").write_text("this is not a database, and long enough to be seen")

    with pytest.raises(Blocked, match="cannot be opened"):
        Database.open(url)


def test_a_disk_without_room_is_blocked_and_takes_it_when_there_is_some(
    database: Database,
) -> None:
    def fill() -> None:
        with database.begin() as db:
            db.execute(text("PRAGMA max_page_count = 1"))
            db.execute(insert(site).values(id="x", made_at=NOON))
            db.execute(text("CREATE TABLE big (x)"))
            db.execute(text("INSERT INTO big VALUES (zeroblob(1000000))"))

    with pytest.raises(Blocked, match="full") as refused:
        fill()

    assert refused.value.exit_code == 3
    with database.begin() as db:
        db.execute(text("PRAGMA max_page_count = 100000"))
        assert db.execute(select(func.count()).select_from(site)).scalar() == 0
    write(database)
    assert sites_in(database) == 1


def test_a_database_that_another_holds_is_blocked_and_free_again_after(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Database.open(url).close()
    monkeypatch.setattr(sqlite, "WAIT", 0.2)
    database = Database.open(url)

    with held(tmp_path / "ovenbird.db"), pytest.raises(Blocked, match="locked") as refused:
        write(database)

    assert refused.value.exit_code == 3
    assert sites_in(database) == 0
    write(database)
    assert sites_in(database) == 1
    database.close()


def test_a_file_that_was_removed_is_blocked_and_not_made_again(
    tmp_path: Path, database: Database
) -> None:
    write(database)
    for path in tmp_path.glob("ovenbird.db*"):
        path.rename(path.with_name(f"away-{path.name}"))

    with pytest.raises(Blocked, match="is gone"):
        write(database, "y")

    assert list(tmp_path.glob("ovenbird.db*")) == []
    for path in tmp_path.glob("away-*"):
        path.rename(path.with_name(path.name.removeprefix("away-")))
    write(database, "z")
    assert sites_in(database) == 2


def test_a_file_that_was_replaced_is_the_one_that_is_written_to(
    tmp_path: Path, database: Database
) -> None:
    """A restored backup; the connection from before would write where nobody reads."""
    sqlite.copy(tmp_path / "ovenbird.db", tmp_path / "backup.db")
    write(database)
    for path in tmp_path.glob("ovenbird.db-*"):
        path.unlink()
    (tmp_path / "backup.db").replace(tmp_path / "ovenbird.db")

    assert sites_in(database) == 0
    write(database, "y")
    with closing(sqlite3.connect(tmp_path / "ovenbird.db")) as db:
        assert db.execute("SELECT id FROM site").fetchall() == [("y",)]
