"""The database of a site: SQLite in its folder by default, a PostgreSQL server by URL.

Both give the same: one transaction at a time, durable at its end, `Blocked` where it cannot be.
An older Ovenbird refuses a newer schema. Before a migration SQLite is copied beside itself.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from ovenbird.state import postgresql, sqlite, tables
from ovenbird.state.sqlite import sqlite_url
from ovenbird.values.errors import Blocked, ConfigurationError

__all__ = ["SCHEMA", "Database", "sqlite_url"]

SCHEMA = "0005"
"""The newest migration in ``migrations/versions``; compared by one query at every start."""

ANSWER = 30.0
"""Seconds after which a transaction on a server that answers nothing is given up."""

MIGRATION = 900.0
"""The same for a migration, which may have much to rewrite."""

REFUSED = "The site's database does not take this"
CLOSED = "The site's database cannot be opened"
KNOWN = "Write the path of a folder, or postgresql://USER@HOST/DATABASE."

_migrating = threading.Lock()  # Alembic keeps what it works on in its own module


class Database:
    """Transactions on a site's state, from any thread. Short ones: nobody waits inside.

    ``is_shared`` says that it is a server, so that other hosts may see the same site.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._secrets = engine, _secrets_in(engine.url)
        self.is_shared = engine.dialect.name != "sqlite"
        self._file = None if self.is_shared else sqlite.file_of(engine.url)

    @classmethod
    def open(cls, url: str) -> Database:
        """Connect, and bring the schema up to date where it is older than this program.

        Raises `ConfigurationError` for a URL that cannot be meant, and for a schema that is
        newer; `Blocked` where the database does not answer. No message repeats the URL.
        """
        parsed = _parsed(url)
        server = postgresql.is_meant_by(parsed)
        engine = postgresql.postgresql_engine(parsed) if server else sqlite.sqlite_engine(parsed)
        database = cls(engine)
        try:
            database._migrate()
        except BaseException:
            database.close()
            raise
        return database

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: all of it is durable when the block ends, or none of it is.

        No other one runs beside it, on this host or another, so what was read in it still holds
        when it writes. Raises `Blocked` where the database is gone, stopped, locked or full: the
        caller does nothing then. Where a server is lost in the very moment of the commit nobody
        knows what it kept, and that is what the error says.
        """
        with self._transaction(ANSWER, REFUSED) as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Look at what was written last, and wait for nobody who writes. Nothing may be written
        in it, nor be decided on it that must still hold when something is."""
        with self._transaction(ANSWER, REFUSED, reads=True) as connection:
            yield connection

    @staticmethod
    def now(connection: Connection) -> datetime:
        """Return the time by the clock that all hosts of a site share, to the millisecond or
        better: the server's, or this host's for SQLite."""
        if connection.dialect.name == "sqlite":
            said = connection.exec_driver_sql("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')")
            return datetime.fromisoformat(str(said.scalar_one())).replace(tzinfo=UTC)
        found: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        return found.astimezone(UTC)

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def site_id(self) -> str:
        """Return the id of this site, made with its database: 8 hex digits."""
        with self.begin() as db:
            return site_id(db)

    @contextmanager
    def _transaction(
        self, seconds: float, what: str, *, reads: bool = False
    ) -> Iterator[Connection]:
        engine = self._engine.execution_options(reads=True) if reads else self._engine
        with postgresql.watched(seconds) if self.is_shared else _unwatched() as dog:
            asked = False
            try:
                with engine.begin() as connection:
                    yield connection
                    if dog and connection.in_transaction():
                        # A commit that is sent to a server which hangs is done when it wakes up,
                        # long after we have given up; so it must answer right before.
                        connection.exec_driver_sql("SELECT 1")
                        asked = True
            except DBAPIError as error:
                if asked and error.connection_invalidated:
                    raise _unknown(self._words_of(error)) from error
                silent = f"it has not answered for {seconds:g} s" if dog and dog.has_bitten else ""
                raise Blocked(
                    f"{what}: {silent or self._words_of(error)}.",
                    remedy=postgresql.REMEDY if self.is_shared else sqlite.REMEDY,
                ) from error

    def _words_of(self, error: DBAPIError) -> str:
        """Say in one line what the database said, without a password that it may repeat."""
        words = " ".join(str(error.orig).split())
        for secret in self._secrets:
            words = words.replace(secret, "***")
        return words.rstrip(".")

    def _migrate(self) -> None:
        with self._transaction(ANSWER, CLOSED) as db:
            if _schema_of(db) == SCHEMA:
                return
        # Others may be at it in this moment, on other hosts as well: what counts is what is found
        # by the one that has the database for itself.
        with _migrating, self._transaction(MIGRATION, CLOSED) as db:
            found = _schema_of(db)
            if found == SCHEMA:
                return
            if found is not None and found > SCHEMA:
                raise ConfigurationError.of(
                    f"This site's state was written by a newer Ovenbird (schema {found}, this "
                    f"one knows {SCHEMA}).",
                    remedy="Upgrade Ovenbird here, or name another state in OVENBIRD_STATE.",
                )
            if found is not None and self._file is not None:
                sqlite.copy(self._file, self._file.with_name(f"{self._file.name}.before-{SCHEMA}"))
            if self.is_shared:
                postgresql.be_patient(db)
            _upgrade(db)


def site_id(db: Connection) -> str:
    """Return the id of the site in whose database this is, and make one where there is none."""
    known = db.execute(select(tables.site.c.id)).scalar()
    if known is None:
        known = secrets.token_hex(4)
        db.execute(insert(tables.site).values(id=known, made_at=datetime.now(UTC)))
    return str(known)


def _unknown(words: str) -> Blocked:
    return Blocked(
        f"The site's database was lost while it was asked to keep this: {words}.",
        remedy="It may be written or not. When the database is back, look (invoke history, invoke "
        "status), then run this again.",
    )


@contextmanager
def _unwatched() -> Iterator[None]:
    """SQLite asks nobody who could be silent: its own ``busy_timeout`` ends every wait."""
    yield


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except (SQLAlchemyError, ValueError):  # their words may repeat a half of the password
        parsed = None
    if parsed is None or not (sqlite.is_meant_by(parsed) or postgresql.is_meant_by(parsed)):
        raise ConfigurationError.of(
            "OVENBIRD_STATE is not a folder and not the URL of a database that we know.",
            remedy=KNOWN,
        )
    return parsed


def _secrets_in(url: URL) -> list[str]:
    said = [url.password, url.query.get("password"), url.query.get("sslpassword")]
    return [str(secret) for secret in said if secret]


def _schema_of(db: Connection) -> str | None:
    if not inspect(db).has_table("alembic_version"):
        return None
    return db.execute(text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(db: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = db
    command.upgrade(config, "head")
