"""Who may change a fleet now: a lease in the database, with a heartbeat and a fencing token.

The lease guards changes and nothing else: whoever only watches does not have to be waited for.
It is taken by compare and swap, in one transaction, and asserted in the transaction of every
intent, so a driver that was stopped for an hour finds out before its next call and not after.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from filelock import FileLock
from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from ovenbird.fleet.gate import seconds
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, record
from ovenbird.state.lock import is_held, lock_of
from ovenbird.state.tables import leases
from ovenbird.values.errors import Blocked, Busy, Superseded
from ovenbird.values.fleet import FleetKey

LIFE = 15.0
"""Seconds without a heartbeat after which a holder that cannot be looked at counts as dead."""

BEAT = 3.0
"""Seconds between two heartbeats."""

RANK = {"repair": 0, "rollout": 1, "run": 1, "rollback": 2}
"""Who may supersede whom without waiting: a rollback a rollout, and both a repair."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """A lease as it stood at ``seen_at``; all times are the database's."""

    name: str
    kind: str
    by: str
    host: str
    taken_at: datetime
    heartbeat_at: datetime
    seen_at: datetime
    fence: int

    @property
    def silence(self) -> timedelta:
        return self.seen_at - self.heartbeat_at

    def __str__(self) -> str:
        age = seconds(self.seen_at - self.taken_at)
        return f"a {self.kind} by {self.by}, for {age}, last heard of {seconds(self.silence)} ago"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to change one fleet, until it is released or somebody takes it over.

    ``previous`` is whom it was taken over from, or None; ``elsewhere`` says that nothing on this
    host tells when that one's calls have ended.
    """

    database: Database
    name: str
    fence: int
    previous: Holder | None = None
    elsewhere: bool = False

    def require(self, db: Connection) -> None:
        """Renew it in the transaction of an intent. Raises `Superseded` where it is not ours."""
        if not self._renewed(db):
            raise self._lost(db)

    def look(self) -> None:
        """Raise `Superseded` where it is not ours any more; nothing is written."""
        with self.database.reading() as db:
            if db.execute(select(leases.c.name).where(*self._mine)).first() is None:
                raise self._lost(db)

    def renew_or_raise(self) -> None:
        """Assert right before a call that it is still ours. Raises `Superseded`."""
        with self.database.begin() as db:
            self.require(db)

    def renew(self) -> bool:
        """Beat once. False where the lease is somebody else's."""
        with self.database.begin() as db:
            return self._renewed(db)

    def release(self) -> None:
        with self.database.begin() as db:
            db.execute(update(leases).where(*self._mine).values(released_at=self.database.now(db)))

    def _lost(self, db: Connection) -> Superseded:
        row = db.execute(select(leases).where(leases.c.name == self.name)).first()
        who = str(_holder(row, self.database.now(db))) if row else "nobody"
        return Superseded(
            f"This driver does not hold the lease of {self.name} any more; it has {who}.",
            remedy="It has stopped where it was and called nothing more. See: invoke status",
        )

    def _renewed(self, db: Connection) -> bool:
        beat = update(leases).where(*self._mine).values(heartbeat_at=self.database.now(db))
        return db.execute(beat).rowcount == 1

    @property
    def _mine(self) -> tuple[ColumnElement[bool], ...]:
        return (
            leases.c.name == self.name,
            leases.c.fence == self.fence,
            leases.c.released_at.is_(None),
        )


class Leases:
    """The lease of one fleet, as a driver on this host sees it.

    ``folder`` is the site's own on this host: each holder keeps a lock of the kernel there, so
    that on the same host a dead one is known to be dead at once.
    """

    def __init__(self, database: Database, key: FleetKey, *, folder: Path, by: str) -> None:
        self._database, self._key, self._folder, self._by = database, key, folder, by
        self.name = f"fleet/{key.env}/{key.name}"

    def holder(self) -> Holder | None:
        """Name who holds it now, dead or alive; None where nobody does."""
        with self._database.reading() as db:
            row = db.execute(select(leases).where(leases.c.name == self.name)).first()
            taken = row and row.released_at is None
            return _holder(row, self._database.now(db)) if row and taken else None

    def is_alive(self, holder: Holder) -> bool:
        """Say whether a holder still counts: it beats, and its process was not seen to be dead."""
        dead = self.is_here(holder) and not is_held(self._folder, self._lock_name(holder.fence))
        return not dead and holder.silence < timedelta(seconds=LIFE)

    def is_here(self, holder: Holder) -> bool:
        """Say whether a holder is, or was, a process of this host."""
        return (self._folder / "locks" / f"{self._lock_name(holder.fence)}.lock").exists()

    @contextmanager
    def taken(self, kind: str, *, at_once: int | None = None) -> Iterator[Lease]:
        """Hold the lease for a ``kind`` of work: repair, rollout, run or rollback.

        ``at_once`` is how many fleets of the environment may be rolled at once. Raises `Busy`
        with the holder's name and age. One that is free, dead, or held for work of a lower rank
        is taken; a take-over is written into the history.
        """
        lease, lock = self._take(kind, at_once)
        stop = threading.Event()
        beating = threading.Thread(
            target=_beat, args=(lease.renew, stop), name="heartbeat", daemon=True
        )
        beating.start()
        try:
            yield lease
        finally:
            stop.set()
            beating.join()
            try:
                lease.release()
            finally:
                lock.release()  # its file stays: one that is free tells a successor: it is dead

    def _take(self, kind: str, at_once: int | None) -> tuple[Lease, FileLock]:
        self._refuse(kind, self.holder())  # a crowd of fifty need not queue to be told
        with ExitStack() as undo:
            lease, lock = self._swap(kind, at_once, undo)
            undo.pop_all()
        self._forget_locks(lease.fence)
        return lease, lock

    def _swap(self, kind: str, at_once: int | None, undo: ExitStack) -> tuple[Lease, FileLock]:
        """Write ourselves down as the holder; ``undo`` frees the lock where that is not kept."""
        with self._database.begin() as db:
            now = self._database.now(db)
            row = db.execute(select(leases).where(leases.c.name == self.name)).first()
            fence = (row.fence if row else 0) + 1
            before = _holder(row, now) if row and row.released_at is None else None
            self._refuse(kind, before)
            if kind == "rollout" and at_once is not None:
                self._require_room(db, now, at_once)
            lock = lock_of(self._folder, self._lock_name(fence))
            lock.acquire(timeout=0)  # nobody else can have this number
            undo.callback(lock.release)
            self._write(db, kind, fence, now, seen=row.fence if row else None)
            if before:
                self._tell(db, kind, before, now)
        lease = Lease(
            database=self._database,
            name=self.name,
            fence=fence,
            previous=before,
            elsewhere=before is not None and not self.is_here(before),
        )
        return lease, lock

    def _refuse(self, kind: str, before: Holder | None) -> None:
        if before and self.is_alive(before) and RANK[kind] <= RANK[before.kind]:
            raise Busy(
                f"{self._key} is being changed by somebody else: {before}.",
                remedy="Wait until they have finished (--wait does), or see what they do: "
                "invoke status",
            )

    def _write(
        self, db: Connection, kind: str, fence: int, now: datetime, *, seen: int | None
    ) -> None:
        facts = {
            "holder": self._by,
            "host": socket.gethostname(),
            "because": kind,
            "taken_at": now,
            "heartbeat_at": now,
            "released_at": None,
            "fence": fence,
        }
        if seen is None:
            db.execute(insert(leases).values(name=self.name, **facts))
            return
        swap = update(leases).where(leases.c.name == self.name, leases.c.fence == seen)
        if db.execute(swap.values(**facts)).rowcount != 1:
            raise Busy(
                f"Somebody else took the lease of {self._key} in the same moment.",
                remedy="See what they do: invoke status",
            )

    def _tell(self, db: Connection, kind: str, before: Holder, now: datetime) -> None:
        alive = self.is_alive(before)
        why = f"a {kind} does not wait for a {before.kind}" if alive else "its driver is dead"
        deed = Deed(
            at=now,
            by=self._by,
            verb="take over",
            env=self._key.env,
            subject=self._key.name,
            because=f"{why}: {before}",
        )
        record(db, deed)

    def _require_room(self, db: Connection, now: datetime, at_once: int) -> None:
        """Refuse one more fleet than the environment's budget allows at once."""
        others = select(leases).where(
            leases.c.name.startswith(f"fleet/{self._key.env}/", autoescape=True),
            leases.c.name != self.name,
            leases.c.released_at.is_(None),
            leases.c.because.not_in(["repair", "run"]),
            leases.c.heartbeat_at > now - timedelta(seconds=LIFE),
        )
        rolling = [row.name.removeprefix("fleet/") for row in db.execute(others)]
        if len(rolling) >= at_once:
            raise Blocked(
                f"{', '.join(sorted(rolling))} is being rolled, and the budget allows {at_once} "
                f"fleets of {self._key.env} at once.",
                remedy="Wait until it has finished, or raise budget: {fleets: …} in "
                f"inventories/{self._key.env}/fleets.yml.",
            )

    def _forget_locks(self, fence: int) -> None:
        """Remove the lock files of those before us: nobody asks after them any more."""
        for path in (self._folder / "locks").glob(f"{self._lock_name(0).removesuffix('0')}*.lock"):
            number = path.stem.rpartition("-")[2]
            mine = number.isdigit() and path.stem == self._lock_name(int(number))
            if mine and int(number) < fence:
                path.unlink(missing_ok=True)

    def _lock_name(self, fence: int) -> str:
        return f"fleet-{self._key.env}-{self._key.name}-{fence}"


def _beat(renew: Callable[[], bool], stop: threading.Event) -> None:
    """Renew until told to stop or superseded. A database that is away for a moment is asked
    again: whether the lease still holds is decided by the next intent, not here."""
    while not stop.wait(BEAT):
        try:
            if not renew():
                return
        except Blocked:
            continue


def _holder(row: Row[Any], now: datetime) -> Holder:
    return Holder(
        name=row.name,
        kind=row.because,
        by=row.holder,
        host=row.host,
        taken_at=row.taken_at,
        heartbeat_at=row.heartbeat_at,
        seen_at=now,
        fence=row.fence,
    )
