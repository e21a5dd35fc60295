"""The time as a port, so that everything that decides can be handed a time of its own."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The time in UTC, aware."""
        ...

    def sleep(self, seconds: float) -> None: ...


class SystemClock:
    """The machine's clock as it was when this began, and from then on one that never jumps.

    Deadlines are compared with it, so a correction of the machine's time makes nobody late.
    """

    def __init__(self) -> None:
        self._wall, self._monotonic = datetime.now(UTC), time.monotonic()

    def now(self) -> datetime:
        return self._wall + timedelta(seconds=time.monotonic() - self._monotonic)

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
