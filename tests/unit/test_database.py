"""What a site's database promises, whichever it is.

Here on SQLite; tests/contract/test_state_database.py runs the same on a PostgreSQL server.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, insert, select, text

from ovenbird.state import database as module
from ovenbird.state.database import SCHEMA, Database
from ovenbird.state.tables import fleets, history, metadata, site
from ovenbird.values.errors import Blocked, ConfigurationError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def schema_of(database: Database) -> str:
    with database.begin() as db:
        return str(db.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def set_schema(database: Database, version: str) -> None:
    with database.begin() as db:
        db.execute(text(f"UPDATE alembic_version SET version_num = '{version}'"))


def sites_in(database: Database) -> int:
    with database.begin() as db:
        return db.execute(select(func.count()).select_from(site)).scalar_one()


def at_once(count: int, work: Callable[[int], None]) -> None:
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(work, range(count)))


def test_the_migrations_make_exactly_the_tables(database: Database) -> None:
    with database.begin() as db:
        assert compare_metadata(MigrationContext.configure(db), metadata) == []


def test_the_newest_migration_is_the_one_that_every_start_asks_for() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(module.__file__).parent / "migrations"))

    assert ScriptDirectory.from_config(config).get_heads() == [SCHEMA]


def test_a_site_keeps_its_id(url: str) -> None:
    first, again = Database.open(url), Database.open(url)

    assert first.site_id() == again.site_id()

    first.close()
    again.close()


def test_a_newer_schema_is_refused_and_left_alone(url: str, database: Database) -> None:
    newer = Database.open(url)
    set_schema(newer, "9999")

    with pytest.raises(ConfigurationError, match="newer Ovenbird") as refused:
        Database.open(url)

    assert refused.value.exit_code == 2
    assert "Upgrade" in refused.value.remedy
    assert schema_of(newer) == "9999"
    newer.close()


def test_a_transaction_that_fails_leaves_nothing(database: Database) -> None:
    def broken() -> None:
        with database.begin() as db:
            db.execute(insert(site).values(id="x", made_at=NOON))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        broken()

    assert sites_in(database) == 0


def test_what_the_database_refuses_is_blocked_with_its_words(database: Database) -> None:
    def broken() -> None:
        with database.begin() as db:
            db.execute(insert(site).values(id="x", made_at=NOON))
            db.execute(insert(history).values(verb="bake"))

    with pytest.raises(Blocked, match=r"(?i)not.null constraint") as refused:
        broken()

    assert refused.value.problem.count("\n") == 0
    assert sites_in(database) == 0


def test_several_who_open_a_new_site_at_once_get_one_site(url: str) -> None:
    ids: list[str] = []

    def opened(_: int) -> None:
        database = Database.open(url)
        ids.append(database.site_id())
        database.close()

    at_once(6, opened)

    assert len(set(ids)) == 1


def test_nothing_that_several_write_at_once_is_lost(database: Database) -> None:
    """Each reads before it writes: without a lock from the start they would overtake each other."""

    def add(number: int) -> None:
        for _ in range(5):
            with database.begin() as db:
                last = db.execute(select(func.coalesce(func.max(fleets.c.size), 0))).scalar_one()
                row = {"env": "dev", "name": f"{number}-{last}", "size": last + 1}
                db.execute(insert(fleets).values(row))

    at_once(8, add)

    with database.begin() as db:
        sizes = db.execute(select(fleets.c.size)).scalars()
        assert sorted(s for s in sizes if s is not None) == list(range(1, 41))


def test_a_time_comes_back_in_utc_whatever_zone_it_was_written_in(database: Database) -> None:
    from datetime import timezone

    with database.begin() as db:
        written = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
        db.execute(insert(site).values(id="x", made_at=written))
        read = db.execute(select(site.c.made_at)).scalar_one()

    assert (read, read.utcoffset()) == (NOON, timedelta(0))


def test_the_database_tells_the_time_of_one_clock(database: Database) -> None:
    with database.begin() as db:
        first = database.now(db)
        again = database.now(db)

    assert first.tzinfo is UTC
    assert first <= again
    assert abs(datetime.now(UTC) - first) < timedelta(minutes=1)


def test_time_goes_on_within_a_transaction(database: Database) -> None:
    """PostgreSQL's plain now() is when the transaction began, and a lease would not age in it."""
    with database.begin() as db:
        first = database.now(db)
        while database.now(db) == first:
            pass


def test_names_may_be_as_long_as_the_configuration_lets_them_be(database: Database) -> None:
    """SQLite keeps any length; a server keeps what the tables say, so they must be wide enough."""
    item, tables = "x" * 63, metadata.tables
    token = f"{item}-{item}-0123456789"
    image = f"{item}/1234567890"
    widest = {
        ("instances", "token"): token,
        ("steps", "token"): token,
        ("leases", "name"): f"fleet/{item}/{item}",
        ("history", "subject"): f"{item}@{item}",
        ("fleets", "settled"): image,
        ("pins", "version"): image,
        ("rollouts", "goal"): image,
    }

    for (table, column), value in widest.items():
        assert getattr(tables[table].c[column].type, "length", 0) >= len(value), (table, column)
    with database.begin() as db:
        db.execute(insert(fleets).values(env=item, name=item, settled=image))


@pytest.mark.parametrize(
    "said", ["nosuch://host/db", "postgresql+nosuch://h/d", "mysql://h/d", "://", "sqlite+x://"]
)
def test_a_url_that_names_no_database_is_refused(said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Database.open(said)

    assert refused.value.remedy.startswith("Write the path of a folder, or postgresql://")


@pytest.mark.parametrize(
    "said",
    [
        "postgresql://ann:s3cr@et@host/db",
        "postgresql://ann:s3cret@host:s3cret/db",
        "nosuch://ann:s3cret@host/db",
        "postgresql://ann:s3cret/x@host:1:2/db",
    ],
)
def test_no_refusal_repeats_a_password(said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        Database.open(said)

    told = f"{refused.value.problem} {refused.value.remedy}"
    assert not {"s3cr", "et@"} & {piece for piece in ("s3cr", "et@") if piece in told}


def test_without_psycopg_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)

    with pytest.raises(ConfigurationError, match="psycopg") as refused:
        Database.open("postgresql://ann@host/db")

    assert refused.value.exit_code == 2
    assert refused.value.remedy == "Install it: pip install 'ovenbird[postgresql]'"
