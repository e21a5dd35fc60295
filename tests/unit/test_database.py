"""The database of a site: made, kept up to date, refused where it is newer, and one at a time."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import insert, select, text

from ovenbird.state import database as module
from ovenbird.state.database import SCHEMA, Database
from ovenbird.state.tables import history, metadata
from ovenbird.values.errors import Blocked, ConfigurationError


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'ovenbird.db'}"


def schema_in(file: Path) -> str:
    with closing(sqlite3.connect(file)) as db:
        ((version,),) = db.execute("SELECT version_num FROM alembic_version")
        return str(version)


def test_the_migrations_make_exactly_the_tables(url: str) -> None:
    with Database.open(url).begin() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_the_newest_migration_is_the_one_that_every_start_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]


def test_a_site_keeps_its_id(url: str) -> None:
    assert Database.open(url).site_id() == Database.open(url).site_id()


def test_two_sites_have_two_ids(tmp_path: Path) -> None:
    ids = {Database.open(f"sqlite:///{tmp_path / name}").site_id() for name in ("a.db", "b.db")}

    assert len(ids) == 2


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1)]
)
def test_what_is_written_survives_a_power_cut(pragma: str, value: object, url: str) -> None:
    with Database.open(url).begin() as db:
        assert db.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_a_newer_schema_is_refused_and_left_alone(url: str, tmp_path: Path) -> None:
    with Database.open(url).begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '9999'"))

    with pytest.raises(ConfigurationError, match="newer Ovenbird") as refused:
        Database.open(url)

    assert refused.value.exit_code == 2
    assert "Upgrade" in refused.value.remedy
    assert schema_in(tmp_path / "ovenbird.db") == "9999"


def test_an_older_schema_is_copied_whole_before_it_is_changed(url: str, tmp_path: Path) -> None:
    """In WAL mode the newest rows are in a file beside the database."""
    holder = Database.open(url)
    with holder.begin() as db:
        db.execute(text("UPDATE alembic_version SET version_num = '0000'"))

    with pytest.raises(CommandError, match="0000"):  # no such migration was ever written
        Database.open(url)

    assert schema_in(tmp_path / f"ovenbird.db.before-{SCHEMA}") == "0000"


def test_a_file_that_is_no_database_is_blocked(url: str, tmp_path: Path) -> None:
    (tmp_path / "ovenbird.db").write_text("this is not a database, and long enough to be seen")

    with pytest.raises(Blocked, match="cannot be opened"):
        Database.open(url)


@pytest.mark.parametrize("said", ["nosuch://host/db", "postgresql+nosuch://h/d", "://"])
def test_a_url_that_names_no_database_is_refused(said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Database.open(said)

    assert refused.value.remedy == "Write the path of a folder."


def test_a_server_that_hosts_would_share_is_refused_while_locks_are_per_host() -> None:
    with pytest.raises(ConfigurationError, match="cannot live in postgresql yet"):
        Database.open("postgresql+psycopg://ann@db/ovenbird")


def test_a_transaction_that_fails_leaves_nothing(url: str) -> None:
    database = Database.open(url)

    def broken() -> None:
        with database.begin() as db:
            db.execute(text("INSERT INTO site (id, made_at) VALUES ('x', '2026-01-01')"))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()

    with database.begin() as db:
        assert db.execute(text("SELECT count(*) FROM site")).scalar() == 0


def test_what_the_database_refuses_is_blocked_with_its_words(url: str) -> None:
    with (
        pytest.raises(Blocked, match="NOT NULL constraint failed"),
        Database.open(url).begin() as db,
    ):
        db.execute(insert(history).values(verb="bake"))


def test_a_disk_without_room_is_blocked(url: str) -> None:
    database = Database.open(url)

    def fill() -> None:
        with database.begin() as db:
            db.execute(text("PRAGMA max_page_count = 1"))
            db.execute(text("CREATE TABLE big (x)"))
            db.execute(text("INSERT INTO big VALUES (zeroblob(1000000))"))

    with pytest.raises(Blocked, match="full") as refused:
        fill()

    assert refused.value.exit_code == 3


def at_once(count: int, work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


def test_several_who_open_a_new_site_at_once_get_one_site(url: str) -> None:
    ids: list[str] = []

    at_once(4, lambda _: ids.append(Database.open(url).site_id()))

    assert len(set(ids)) == 1


def test_nothing_that_several_write_at_once_is_lost(url: str) -> None:
    database = Database.open(url)

    def add(number: int) -> None:
        for _ in range(5):
            with database.begin() as db:  # each reads first: a deferred BEGIN would dead-lock
                last = db.execute(text("SELECT coalesce(max(size), 0) FROM fleets")).scalar()
                name = f"{number}-{last}"
                query = text("INSERT INTO fleets (env, name, size) VALUES ('dev', :n, :s)")
                db.execute(query, {"n": name, "s": (last or 0) + 1})

    at_once(4, add)

    with database.begin() as db:
        sizes = db.execute(select(metadata.tables["fleets"].c.size)).scalars()
        assert sorted(s for s in sizes if s is not None) == list(range(1, 21))
