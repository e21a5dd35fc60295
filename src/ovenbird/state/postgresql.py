"""A site on a PostgreSQL server, which several hosts share.

Everything here can go away in the middle: each wait has an end. Settings that the URL names are
the operator's, and ours give way to them.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidatePoolError

from ovenbird.values.errors import ConfigurationError

REMEDY = (
    "Nothing was done. See that the server in OVENBIRD_STATE runs, lets you write, has room, and "
    "is held by nobody else; then run this again."
)
NAMES = ("postgresql", "postgres", "postgresql+psycopg")
LOCK = 0x6F76656E62697264
"""One number for all of Ovenbird ("ovenbird" in ASCII); such locks are apart in each database."""

CONNECT: dict[str, str | int] = {
    "application_name": "ovenbird",
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
    # After a fail-over the old server may be up again, as a standby.
    "target_session_attrs": "read-write",
}

PING = 5.0
"""Seconds in which a connection that was used before must answer."""

SETTINGS = {
    "lock_timeout": "10s",
    "statement_timeout": "15s",
    # Shorter than lock_timeout: a driver that is stopped in the middle of a transaction loses it
    # before those who wait for it give up.
    "idle_in_transaction_session_timeout": "8s",
    "TimeZone": "UTC",
}
PATIENT = {"statement_timeout": "10min", "idle_in_transaction_session_timeout": "1min"}
"""For a migration, which may have much to rewrite."""


class Line(Protocol):
    """What the watchdog needs of a connection: its socket."""

    def fileno(self) -> int: ...


class Watchdog:
    """Cuts the line to a server that answers nothing.

    No setting of a server helps where the server itself is stopped, or its disk hangs: TCP goes
    on, the kernel of that host sees to it. So after ``seconds`` the socket is shut down, and
    libpq, which waits for it, gives up with an error.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.has_bitten = seconds, False
        self._line: Line | None = None
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._bite)
        self._timer.daemon = True

    def __enter__(self) -> Watchdog:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._line = None

    def guard(self, line: Line) -> None:
        """Watch this connection, instead of the one before."""
        with self._lock:
            self._line = line
            if self.has_bitten:
                _cut(line)

    def _bite(self) -> None:
        with self._lock:
            self.has_bitten = True
            if self._line is not None:
                _cut(self._line)


def _cut(line: Line) -> None:
    import psycopg

    # Closed already, by either end: then nobody waits for it.
    with suppress(psycopg.Error, OSError), socket.socket(fileno=os.dup(line.fileno())) as door:
        door.shutdown(socket.SHUT_RDWR)


_now = threading.local()


@contextmanager
def watched(seconds: float) -> Iterator[Watchdog]:
    """Give this thread ``seconds`` for all that it asks of a server inside."""
    with Watchdog(seconds) as dog:
        _now.dog = dog
        try:
            yield dog
        finally:
            _now.dog = None


def is_meant_by(url: URL) -> bool:
    return url.drivername in NAMES


def postgresql_engine(url: URL) -> Engine:
    """Return an engine whose transactions take the site's lock first.

    SQLite lets one transaction write at a time, and what is read in it holds until its end. The
    lock makes the same true here. Raises `ConfigurationError` where psycopg is not installed.
    """
    if "@" in (url.host or ""):
        raise ConfigurationError.of(
            "OVENBIRD_STATE has two @ before its host: whoever reads it would take a part of the "
            "password for the host.",
            remedy="Write a character of the password that is neither a letter nor a digit as % "
            "and its two hex digits: @ is %40. Or leave it out, and write it into ~/.pgpass.",
        )
    said = {name: value for name, value in CONNECT.items() if name not in url.query}
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={**said, "prepare_threshold": None},  # a pooler in between keeps none
            # Under a stricter one a transaction would see what was there before it got the lock.
            isolation_level="READ COMMITTED",
            use_native_hstore=False,  # else each connection asks for a type that we do not use
            max_overflow=-1,
        )
    except ImportError as error:
        raise ConfigurationError.of(
            "OVENBIRD_STATE names a PostgreSQL server, and the Python package psycopg, which "
            "talks to it, is not installed here.",
            remedy="Install it: pip install 'ovenbird[postgresql]'",
        ) from error
    _teach(engine)
    return engine


def be_patient(connection: Connection) -> None:
    """Give the rest of a transaction the time that a migration may take."""
    connection.exec_driver_sql(_setting(PATIENT))


def _teach(engine: Engine) -> None:
    dialect = engine.dialect

    @event.listens_for(engine, "do_connect")
    def _connecting(dialect: Any, _record: Any, words: Any, options: Any) -> Any:
        line = dialect.connect(*words, **options)
        _guard(line)
        return line

    @event.listens_for(engine, "checkout")
    def _taken(line: Any, _record: Any, _proxy: Any) -> None:
        _guard(line)
        try:
            with Watchdog(PING) as dog:
                dog.guard(line)
                dialect.do_ping(line)
        except dialect.loaded_dbapi.Error as error:
            raise InvalidatePoolError from error  # the pool connects anew

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        connection.exec_driver_sql(_setting(SETTINGS))
        connection.exec_driver_sql(DURABLE)
        if not connection.get_execution_options().get("reads", False):
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', true) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)
"""An intent must survive a crash of the server; a role may be set to forget the last second."""


def _setting(values: dict[str, str]) -> str:
    each = (f"set_config('{name}', '{value}', true)" for name, value in values.items())
    return f"SELECT {', '.join(each)}"


def _guard(line: Line) -> None:
    dog: Watchdog | None = getattr(_now, "dog", None)
    if dog is not None:
        dog.guard(line)
