"""A site in one file: SQLite, written by one connection at a time.

A file that has gone away is refused and never made again by itself: an empty database in its
place would look like a site without a single instance.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidatePoolError

WAIT = 10.0
"""Seconds that a transaction waits for another one to end."""

REMEDY = "Nothing was done. See that its disk has room and nobody else holds it."


def sqlite_url(file: Path) -> str:
    """Return the URL of a database file, whatever characters its path has."""
    return URL.create("sqlite", database=str(file)).render_as_string(hide_password=False)


def is_meant_by(url: URL) -> bool:
    return url.drivername in ("sqlite", "sqlite+pysqlite")


def file_of(url: URL) -> Path | None:
    """Return the file of a URL, or None where the database is only in memory."""
    name = url.database
    return Path(name) if name and name != ":memory:" else None


def sqlite_engine(url: URL) -> Engine:
    """Return an engine whose transactions take the write lock first, and survive a power cut.
    Those with the option ``reads`` take none.

    Every thread that begins one has a connection of its own.
    """
    file = file_of(url)
    # Of a file each checkout is another connection; one thread never waits for another's.
    engine = create_engine(url, **({"max_overflow": -1} if file else {}))
    _teach(engine)
    if file is not None:
        _never_make_it_twice(engine, file)
    return engine


def copy(file: Path, to: Path) -> None:
    """Copy a database with what is still in its write-ahead log, which a copied file lacks."""
    draft = to.with_name(f".{to.name}.{os.getpid()}")
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(draft)) as target:
        source.backup(target)
    draft.replace(to)


def _teach(engine: Engine) -> None:
    @event.listens_for(engine, "connect")
    def _connected(connection: sqlite3.Connection, _record: Any) -> None:
        connection.isolation_level = None  # the driver's own BEGIN is deferred and may dead-lock
        connection.execute(f"PRAGMA busy_timeout={int(WAIT * 1000)}")
        _log_ahead(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        reads = connection.get_execution_options().get("reads", False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _log_ahead(connection: sqlite3.Connection) -> None:
    """Switch to a write-ahead log.

    SQLite waits for nobody while it switches: two who open a new file in the same moment would
    see "database is locked" at once, whatever ``busy_timeout`` says. So we wait.
    """
    ends = time.monotonic() + WAIT
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            if not busy or time.monotonic() > ends:
                raise
        time.sleep(0.02)


def _never_make_it_twice(engine: Engine, file: Path) -> None:
    """Notice that the file was removed or replaced: an open connection would go on writing to
    the old one, which nobody can read any more."""
    made = False

    @event.listens_for(engine, "do_connect")
    def _connecting(*_: Any) -> None:
        if made and not file.exists():
            raise sqlite3.OperationalError(f"{file} is gone")

    @event.listens_for(engine, "connect")
    def _connected(_connection: Any, record: Any) -> None:
        nonlocal made
        made = True
        record.info["file"] = _identity(file)

    @event.listens_for(engine, "checkout")
    def _taken(_connection: Any, record: Any, _proxy: Any) -> None:
        if record.info["file"] != _identity(file):
            raise InvalidatePoolError


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino
