"""One call that changes something at a time, a fleet and a host: also those of the dead.

A driver holds this lock around each such call, and the programs that it starts keep it until they
have ended. A successor that gets it knows that nothing of its predecessor is under way here.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ovenbird import process
from ovenbird.clock import Clock
from ovenbird.values.errors import Busy
from ovenbird.values.fleet import FleetKey


class Calls:
    """The lock of a fleet's calls on this host. ``longest`` is how many seconds one may take."""

    def __init__(self, folder: Path, key: FleetKey, clock: Clock, *, longest: float) -> None:
        self._path = folder / "locks" / f"calls-{key.env}-{key.name}.lock"
        self._key, self._clock, self.longest = key, clock, longest

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make one call. Raises `Busy` where one of somebody else's does not end in time."""
        self._path.parent.mkdir(exist_ok=True)
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(file)
            with process.lending(file):
                yield
        finally:
            os.close(file)

    def quiet(self) -> None:
        """Return when no call of anybody is under way on this host."""
        with self.alone():
            return

    def _lock(self, file: int) -> None:
        deadline, pause = self._clock.now().timestamp() + self.longest, 0.002
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if self._clock.now().timestamp() > deadline:
                    raise Busy(
                        f"A call that changes {self._key} has not ended for {self.longest:g} s.",
                        remedy=f"See who hangs: fuser -v {self._path}",
                    ) from None
                self._clock.sleep(pause)
                pause = min(pause * 2, 0.2)
            else:
                return
