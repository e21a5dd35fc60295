"""A database that goes wrong on demand, around any other: for tests of what writes to it.

Only transactions that change rows are counted (`Verb.WRITE`); what only reads is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import OperationalError
from sqlalchemy.sql.dml import Delete, Insert, Update

from ovenbird.mishap import Kind, Mishap, Mishaps, Verb, wait
from ovenbird.state.database import Database


class FaultyDatabase(Database):
    """``inner``, but for what ``mishaps`` says of its writing transactions.

    All raise `Blocked`, as a real one does. ``fail`` writes nothing, ``fail after`` has written
    when it raises (a lost answer to a commit), ``hang`` writes nothing and raises after
    ``seconds``, as a database's library does when its time is over, ``lie`` says that it has
    written and has not, ``twice`` is the same as once: a transaction has one end.
    """

    def __init__(self, inner: Database, mishaps: Mishaps) -> None:
        super().__init__(inner._engine)
        self._mishaps = mishaps

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        struck: Mishap | None = None
        with super().begin() as db:
            with tables_written(db) as tables:
                yield db
            if tables:
                struck = self._mishaps.next(Verb.WRITE, tables)
            _before_the_commit(struck, db)
        if struck is not None and struck.kind is Kind.FAIL_AFTER:
            with super().begin():
                raise _error("the connection was lost while the answer was awaited")


@contextmanager
def tables_written(db: Connection) -> Iterator[set[str]]:
    """Collect the names of the tables that a connection changes within the block."""
    tables: set[str] = set()

    def note(_db: Any, statement: Any, _multi: Any, _params: Any, _options: Any) -> None:
        if isinstance(statement, Insert | Update | Delete):
            tables.add(str(getattr(statement.table, "name", "")))

    event.listen(db, "before_execute", note)
    try:
        yield tables
    finally:
        event.remove(db, "before_execute", note)


def _before_the_commit(struck: Mishap | None, db: Connection) -> None:
    match struck.kind if struck is not None else None:
        case Kind.FAIL:
            raise _error("database or disk is full")
        case Kind.HANG:
            wait(struck.seconds if struck is not None else 0.0)
            raise _error("database is locked")
        case Kind.LATE:
            wait(struck.seconds if struck is not None else 0.0)
        case Kind.LIE:
            db.rollback()


def _error(what: str) -> OperationalError:
    return OperationalError("COMMIT", None, Exception(what))
