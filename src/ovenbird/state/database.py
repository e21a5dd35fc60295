"""The database of a site: SQLite in its folder by default, any server by URL.

An older Ovenbird refuses a newer schema. Before a migration SQLite is copied beside itself.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, select, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, NoSuchModuleError, SQLAlchemyError

from ovenbird.state import tables
from ovenbird.values.errors import Blocked, ConfigurationError

SCHEMA = "0002"
"""The newest migration in ``migrations/versions``; compared by one query at every start."""


class Database:
    """Transactions on a site's state. Short ones: nobody waits inside."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @classmethod
    def open(cls, url: str) -> Database:
        """Connect, and bring the schema up to date where it is older than this program."""
        try:
            parsed = make_url(url)
            engine = create_engine(parsed)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise ConfigurationError.of(
                f"OVENBIRD_STATE is not a folder and not a database URL that is known: {error}",
                remedy="Write the path of a folder.",
            ) from error
        if parsed.get_backend_name() != "sqlite":
            raise ConfigurationError.of(
                f"A site cannot live in {parsed.get_backend_name()} yet: two hosts would share "
                "its catalog, but not its locks.",
                remedy="Name a folder in OVENBIRD_STATE.",
            )
        _teach_sqlite(engine)
        database = cls(engine)
        database._migrate(Path(parsed.database) if parsed.database else None)
        return database

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction: all of it is durable when the block ends, or none of it is.

        Raises `Blocked` where the database is gone, locked or full: the caller does nothing then.
        """
        try:
            with self._engine.begin() as connection:
                yield connection
        except DatabaseError as error:
            raise Blocked(
                f"The site's database does not take this: {error.orig}.",
                remedy="Nothing was done. See that its disk has room and nobody else holds it.",
            ) from error

    def close(self) -> None:
        """Let go of every connection."""
        self._engine.dispose()

    def site_id(self) -> str:
        """Return the id of this site, made with its database: 8 hex digits."""
        with self.begin() as db:
            known = db.execute(select(tables.site.c.id)).scalar()
            if known is None:
                known = secrets.token_hex(4)
                db.execute(insert(tables.site).values(id=known, made_at=datetime.now(UTC)))
            return str(known)

    def _migrate(self, file: Path | None) -> None:
        found = self._schema()
        if found == SCHEMA:
            return
        if found is not None and found > SCHEMA:
            raise ConfigurationError.of(
                f"This site's state was written by a newer Ovenbird (schema {found}, this one "
                f"knows {SCHEMA}).",
                remedy="Upgrade Ovenbird here, or name another state in OVENBIRD_STATE.",
            )
        if found is not None and file is not None:
            _copy(file, file.with_name(f"{file.name}.before-{SCHEMA}"))
        from alembic import command
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.begin() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def _schema(self) -> str | None:
        try:
            with self._engine.connect() as connection:
                if not inspect(connection).has_table("alembic_version"):
                    return None
                query = text("SELECT version_num FROM alembic_version")
                return connection.execute(query).scalar()
        except SQLAlchemyError as error:
            raise Blocked(
                f"The site's database cannot be opened: {getattr(error, 'orig', error)}.",
                remedy="See that it is there, is a database, and may be read by you.",
            ) from error


def _copy(file: Path, to: Path) -> None:
    """Copy a database with what is still in its write-ahead log, which a copied file lacks."""
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(to)) as target:
        source.backup(target)


def sqlite_url(file: Path) -> str:
    """Return the URL of a database file, whatever characters its path has."""
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


def _teach_sqlite(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred and may dead-lock
        for pragma in (
            "busy_timeout=10000",
            "journal_mode=WAL",
            "synchronous=FULL",
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
