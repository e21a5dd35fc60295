"""The points of a driver: before and after every write and every call that changes something.

A `Points` in a driver's process writes down each that it comes by, and at one of them it sends the
process a signal that cannot be caught.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event
from sqlalchemy.sql.dml import Delete, Insert, Update

from ovenbird.balancer import Balancer
from ovenbird.provider import Engine
from ovenbird.state.database import Database
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Change, Entry, Seen, Volume

T = TypeVar("T")


CALLS = ("launch", "terminate", "open", "register", "drain", "deregister")
"""What changes something outside of the database."""


class Points:
    """Names each point ``before launch 2``: the side, what, and how often by now.

    ``stop_at`` is the name of the point at which this process is sent ``number``.
    """

    def __init__(self, log: Path, *, stop_at: str = "", number: int = signal.SIGKILL) -> None:
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._stop_at, self._signal = stop_at, number
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.verb = ""

    def at(self, side: str, what: str) -> None:
        with self._lock:
            kind = f"{side} {what}"
            self._counts[kind] += 1
            name = f"{kind} {self._counts[kind]}"
            os.write(self._log, f"{name}\n".encode())
        if name == self._stop_at:
            os.kill(os.getpid(), self._signal)

    def around(self, what: str, call: Callable[[], T]) -> T:
        self.at("before", what)
        done = call()
        self.at("after", what)
        return done


def kind_of(point: str) -> str:
    """Return what kind of point it is: ``before launch`` of ``before launch 2``."""
    return point.rpartition(" ")[0]


def one_of_each_kind(points: Sequence[str]) -> list[str]:
    """Return the first point of each kind, in order."""
    return list({kind_of(point): point for point in reversed(points)}.values())[::-1]


def is_at_a_call(point: str) -> bool:
    """Say whether it is beside a call to the world: the others are beside a transaction."""
    return kind_of(point).partition(" ")[2] in CALLS


def is_after_a_transaction(point: str) -> bool:
    """Say whether a transaction has just ended. Right before the next one nothing has changed but
    by a call, and those are points of their own."""
    return point.startswith("after ") and not is_at_a_call(point)


class PointedProvider:
    """A provider whose changes are points."""

    def __init__(self, inner: Engine, points: Points) -> None:
        self._inner, self._points = inner, points

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def place(self) -> str:
        return self._inner.place

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        return self._inner.instances(fleet)

    def launch(self, order: Order) -> Seen:
        return self._points.around("launch", lambda: self._inner.launch(order))

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        self._points.around("terminate", lambda: self._inner.terminate(token, stop=stop))

    def console(self, token: str, *, lines: int) -> str:
        return self._inner.console(token, lines=lines)

    def present(self, artifact: Artifact) -> bool:
        return self._inner.present(artifact)

    def delete(self, artifact: Artifact) -> None:
        self._inner.delete(artifact)

    def in_use(self, artifact: Artifact) -> bool:
        return self._inner.in_use(artifact)

    def verify(self, artifact: Artifact) -> None:
        self._inner.verify(artifact)

    def changes(self, token: str) -> Collection[Change]:
        return self._inner.changes(token)

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        return self._inner.volumes(fleet)

    def delete_volume(self, name: str) -> None:
        self._inner.delete_volume(name)


class PointedBalancer:
    """A balancer whose changes are points."""

    def __init__(self, inner: Balancer, points: Points) -> None:
        self._inner, self._points = inner, points

    @property
    def name(self) -> str:
        return self._inner.name

    def open(self) -> None:
        self._points.around("open", self._inner.open)

    def register(self, instance: Seen) -> None:
        self._points.around("register", lambda: self._inner.register(instance))

    def entries(self) -> Collection[Entry]:
        return self._inner.entries()

    def drain(self, token: str, *, timeout: float) -> int:
        return self._points.around("drain", lambda: self._inner.drain(token, timeout=timeout))

    def deregister(self, token: str) -> None:
        self._points.around("deregister", lambda: self._inner.deregister(token))

    def close(self) -> None:
        self._inner.close()


def watch(database: Database, points: Points) -> None:
    """Make each transaction of this thread that changes rows two points.

    They are named after the function that wrote, and for steps after their verb: ``write
    journal.intend drain``. Other threads (a heartbeat) do not count.
    """
    engine = database._engine
    main = threading.get_ident()
    changed: set[str] = set()
    written: list[str] = []

    def note(_db: Any, statement: Any, _many: Any, _values: Any, _options: Any) -> None:
        if threading.get_ident() == main and isinstance(statement, Insert | Update | Delete):
            table = str(getattr(statement.table, "name", ""))
            changed.add(table)
            if table == "steps" and isinstance(statement, Insert):
                points.verb = str(statement.compile().params.get("verb", ""))

    def before(_db: Connection) -> None:
        if threading.get_ident() == main and changed:
            of = f" {points.verb}" if "steps" in changed else ""
            written.append(f"write {_writer()}{of}")
            changed.clear()
            points.at("before", written[-1])

    def after(*_: Any) -> None:
        if threading.get_ident() == main and written:
            points.at("after", written.pop())

    def gone(_db: Connection) -> None:
        if threading.get_ident() == main:
            changed.clear()
            written.clear()

    event.listen(engine, "before_execute", note)
    event.listen(engine, "commit", before)
    event.listen(engine, "rollback", gone)
    event.listen(engine, "checkin", after)


def _writer() -> str:
    """Name the public function of ours that opened the transaction: ``journal.finished``."""
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
        module, name = str(frame.f_globals.get("__name__", "")), frame.f_code.co_name
        ours = module.startswith("ovenbird.") and not module.startswith("ovenbird.state.")
        if ours and not name.startswith("_"):
            return f"{module.rpartition('.')[2]}.{name}"
    return "nobody"
