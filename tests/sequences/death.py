"""Drivers that can be killed at any write and any call, and a world that is watched."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection
from tests.driving import Killed
from tests.faults.house import add_images

from ovenbird.provider.memory_world import LocalMemory, World
from ovenbird.state.database import Database, sqlite_url
from ovenbird.state.site import Site
from ovenbird.state.sqlite import copy
from ovenbird.values.errors import Blocked

T = TypeVar("T")

CHANGES = ("launch", "terminate", "register", "drain", "deregister", "open", "close")
"""Calls of the ports that change something."""

QUICK = Path("/dev/shm")
"""Where a write waits for no disk."""


class Death:
    """Kills a driver at a point: before or after a transaction or a call that changes something.

    Whoever is dead writes nothing more, were it in a ``finally``.
    """

    def __init__(self) -> None:
        self._left, self.dead = 0, False

    @contextmanager
    def awaiting(self, at: int) -> Iterator[None]:
        """Kill whoever comes by the ``at``-th point in this block; 0: nobody."""
        self._left, self.dead = at, False
        try:
            yield
        finally:
            self._left, self.dead = 0, False

    def point(self) -> None:
        """Come by a point. Raises `Killed` there, and at each one after it."""
        if threading.current_thread().name == "heartbeat":  # it has a time of its own
            if self.dead:
                raise Blocked("It is dead.", remedy="Let it rest.")
            return
        if self._left:
            self._left -= 1
            self.dead = not self._left
        if self.dead:
            raise Killed


class MortalDatabase(Database):
    """A database whose transactions are points, before and after each."""

    def __init__(self, inner: Database, death: Death) -> None:
        super().__init__(inner._engine)
        self._death = death

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        self._death.point()
        with super().begin() as db:
            yield db
        self._death.point()


class Watcher(Protocol):
    """Sees every call that changes something: the world before it, and after."""

    def before(self, world: World) -> None: ...

    def after(self, world: World, what: str, token: str) -> None: ...


class WatchedMemory(LocalMemory):
    """A world in this process whose changes by a driver are points, and watched."""

    def __init__(self, death: Death) -> None:
        super().__init__(None)
        self._death = death
        self.watcher: Watcher | None = None

    def do(self, deed: Callable[[World], T], *, verb: str = "") -> T:
        if verb not in CHANGES:
            return super().do(deed, verb=verb)
        self._death.point()
        if self.watcher is not None:
            self.watcher.before(self._world)
        done = super().do(deed, verb=verb)
        if self.watcher is not None:
            self.watcher.after(self._world, *self._world.asked[-1])
        self._death.point()
        return done


@contextmanager
def a_site_with_images(death: Death) -> Iterator[tuple[Database, Path]]:
    """Lend a site's database with web/1 to web/4 in it, in a folder that goes away."""
    with tempfile.TemporaryDirectory(prefix="sequence-", dir=_quick()) as name:
        folder = Path(name)
        file = folder / "ovenbird.db"
        shutil.copyfile(_template(), file)
        inner = Database.open(sqlite_url(file))
        try:
            yield MortalDatabase(inner, death), folder
        finally:
            inner.close()


def _quick() -> str | None:
    return str(QUICK) if QUICK.is_dir() else None


@cache
def _template() -> Path:
    """Make one database with images, for all sequences of this process to copy."""
    keeper = _KEEPER[0] = tempfile.TemporaryDirectory(prefix="sequences-", dir=_quick())
    folder = Path(keeper.name)
    first = Database.open(sqlite_url(folder / "first.db"))
    add_images(Site(id=first.site_id(), folder=folder, database=first, key=b"k" * 32), 4)
    first.close()
    copy(folder / "first.db", folder / "template.db")
    return folder / "template.db"


_KEEPER: dict[int, tempfile.TemporaryDirectory[str]] = {}
