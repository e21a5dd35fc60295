"""Everything that can happen to a site's server: nothing is written, and it goes on afterwards."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import event, insert, select, text
from tests.postgres import PostgresServer

from ovenbird.state import database as database_module
from ovenbird.state import postgresql
from ovenbird.state.database import Database
from ovenbird.state.tables import history, site
from ovenbird.values.errors import Blocked, OvenbirdError

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
BIG = 24_000_000
"""More than there is room for in the files that a server on a full disk has already."""


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up after a second or two, so that tests need not wait."""
    monkeypatch.setattr(database_module, "ANSWER", 2.0)
    monkeypatch.setattr(postgresql, "PING", 1.0)
    monkeypatch.setitem(postgresql.CONNECT, "connect_timeout", 2)
    monkeypatch.setitem(postgresql.SETTINGS, "lock_timeout", "500ms")


def write(database: Database, verb: str) -> None:
    with database.begin() as db:
        db.execute(insert(history).values(at=NOON, by="ann", verb=verb, subject="web"))


def written(database: Database) -> list[str]:
    with database.begin() as db:
        return list(db.execute(select(history.c.verb).order_by(history.c.id)).scalars())


@contextmanager
def stopped(server: PostgresServer, _: str) -> Iterator[None]:
    server.stop()
    yield
    server.start()


@contextmanager
def paused(server: PostgresServer, _: str) -> Iterator[None]:
    server.pause()
    yield
    server.resume()


@contextmanager
def locked(_: PostgresServer, url: str) -> Iterator[None]:
    other = Database.open(url)
    with other.begin():
        yield
    other.close()


@contextmanager
def renamed(server: PostgresServer, url: str) -> Iterator[None]:
    name = url.rpartition("/")[2]
    leave = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    server.sql(leave, f"ALTER DATABASE {name} RENAME TO away")
    yield
    server.sql(f"ALTER DATABASE away RENAME TO {name}")


@contextmanager
def forbidden(server: PostgresServer, url: str) -> Iterator[None]:
    """Writes are refused, as by a standby that one is connected to already."""
    name = url.rpartition("/")[2]
    leave = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"
    server.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on", leave)
    yield
    server.sql(f"ALTER DATABASE {name} RESET default_transaction_read_only", leave)


Fault = Callable[[PostgresServer, str], AbstractContextManager[None]]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("fault", [stopped, paused, locked, renamed, forbidden])
def test_a_server_that_cannot_take_it_is_blocked_and_takes_it_afterwards(
    fault: Fault, server: PostgresServer, url: str
) -> None:
    database = Database.open(url)
    write(database, "before")

    with fault(server, url):
        began = time.monotonic()
        with pytest.raises(Blocked) as refused:
            write(database, "meanwhile")
        assert time.monotonic() - began < 10
        with pytest.raises(Blocked):
            Database.open(url)

    assert refused.value.exit_code == 3
    assert "\n" not in refused.value.problem
    assert "Nothing was done" in refused.value.remedy
    write(database, "after")
    assert written(database) == ["before", "after"]
    database.close()


@pytest.mark.usefixtures("hasty")
def test_a_server_that_stops_in_the_middle_of_a_transaction_is_left(
    server: PostgresServer, database: Database
) -> None:
    def broken() -> None:
        with database.begin() as db:
            db.execute(insert(history).values(at=NOON, by="ann", verb="bake", subject="web"))
            server.pause()

    try:
        began = time.monotonic()
        with pytest.raises(Blocked, match="not answered for 2 s"):
            broken()
        assert time.monotonic() - began < 5
    finally:
        server.resume()

    assert written(database) == []


def test_a_connection_that_is_lost_in_the_middle_leaves_nothing(
    server: PostgresServer, database: Database
) -> None:
    def broken() -> None:
        with database.begin() as db:
            db.execute(insert(history).values(at=NOON, by="ann", verb="bake", subject="web"))
            pid = db.execute(text("SELECT pg_backend_pid()")).scalar_one()
            server.sql(f"SELECT pg_terminate_backend({pid})")

    with pytest.raises(Blocked):
        broken()

    assert written(database) == []


def test_where_the_commit_itself_is_lost_the_error_says_that_nobody_knows(
    server: PostgresServer, database: Database
) -> None:
    def broken() -> None:
        with database.begin() as db:
            pid = db.execute(text("SELECT pg_backend_pid()")).scalar_one()
            db.execute(insert(history).values(at=NOON, by="ann", verb="bake", subject="web"))

            @event.listens_for(db, "commit")
            def _cut(_: object) -> None:
                server.sql(f"SELECT pg_terminate_backend({pid}, 5000)")

    with pytest.raises(Blocked, match="while it was asked to keep this") as refused:
        broken()

    assert refused.value.remedy.startswith("It may be written or not.")


def test_connections_that_a_restart_has_cut_are_made_anew_unseen(
    server: PostgresServer, database: Database
) -> None:
    write(database, "before")
    server.stop()
    server.start()

    write(database, "after")

    assert written(database) == ["before", "after"]


def test_a_driver_that_is_stopped_in_a_transaction_does_not_hold_up_the_others(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgresql.SETTINGS, "idle_in_transaction_session_timeout", "1s")
    stopped_one, other = Database.open(url), Database.open(url)
    inside, ended = threading.Event(), threading.Event()

    def stop_in_it() -> None:
        with stopped_one.begin() as db:
            db.execute(insert(site).values(id="x", made_at=NOON))
            inside.set()
            ended.wait(20)

    with ThreadPoolExecutor() as pool:
        first = pool.submit(stop_in_it)
        assert inside.wait(10)
        write(other, "bake")
        ended.set()
        with pytest.raises(Blocked):
            first.result()

    with other.begin() as db:
        assert db.execute(select(site)).all() == []
    stopped_one.close()
    other.close()


def test_a_disk_without_room_is_blocked_and_the_server_takes_it_when_there_is_some() -> None:
    with PostgresServer(size=128) as server:
        database = Database.open(server.fresh_database())
        write(database, "before")

        def fill() -> None:
            with database.begin() as db:
                row = {"at": NOON, "by": "ann", "verb": "meanwhile", "subject": "web"}
                db.execute(insert(history).values(**row, because=os.urandom(BIG).hex()))

        with server.full_disk(), pytest.raises(Blocked) as refused:
            fill()

        assert refused.value.exit_code == 3
        until_it_is_back(database)
        write(database, "after")
        assert written(database) == ["before", "after"]
        database.close()


def test_a_fail_over_is_followed_and_a_standby_is_never_written_to() -> None:
    with PostgresServer() as first:
        url = first.fresh_database()
        with first.standby() as second:
            hosts = f"?host=127.0.0.1:{first.port}&host=127.0.0.1:{second.port}"
            name = url.rpartition("/")[2]
            both = f"postgresql://ovenbird:{first.password}@/{name}{hosts}"
            database = Database.open(both)
            write(database, "before")
            first.stop()

            with pytest.raises(Blocked):
                write(database, "meanwhile")
            second.promote()
            write(database, "after")

            assert written(database) == ["before", "after"]
            database.close()


def until_it_is_back(database: Database) -> None:
    """Wait while a server that ran out of room starts itself again."""
    for _ in range(100):
        try:
            written(database)
            return
        except Blocked:
            time.sleep(0.1)
    raise AssertionError("the server does not come back")


def test_a_refusal_is_one_of_ours_whatever_the_driver_says(url: str) -> None:
    """psycopg has errors that SQLAlchemy wraps apart from the rest."""
    database = Database.open(url)

    def closed_under_it() -> None:
        with database.begin() as db:
            line = db.connection.dbapi_connection
            assert line is not None
            line.close()
            db.execute(select(site))

    with pytest.raises(OvenbirdError):
        closed_under_it()

    database.close()
