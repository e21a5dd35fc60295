"""Read what an instance says: from its engine while it is there, else what was kept of it.

Read-only. The port has no way to be told of new lines, so who follows asks again and again, and
finds what is new by what overlaps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ovenbird.clock import Clock
from ovenbird.fleet.health import CONSOLE_LINES
from ovenbird.provider import Provider
from ovenbird.report.named import Named
from ovenbird.rollout.consoles import Consoles
from ovenbird.values.errors import Blocked, Inconclusive
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import EngineState

LOOK_EVERY = 1.0
"""Seconds between two looks at a console that is followed: a person reads no faster."""

ENDED = (EngineState.EXITED, EngineState.LOST)


class Logs:
    """The console of one instance. ``site`` is the id of the site that asks."""

    def __init__(
        self, named: Named, provider: Provider, consoles: Consoles, clock: Clock, *, site: str
    ) -> None:
        self._named, self._provider, self._clock = named, provider, clock
        self._consoles = consoles
        self._key = FleetKey(site=site, env=named.env, name=named.fleet)

    def last(self, lines: int) -> list[str]:
        """Return its last lines, wherever they are.

        Raises `Inconclusive` where nothing was kept of one that has ended, and `Blocked` for one
        that lives where this engine cannot see it.
        """
        if self._named.ended_at is None and self._there() is not None:
            return self._console(lines)
        return self._kept()[-lines:]

    def follow(self, lines: int) -> Iterator[list[str]]:
        """Yield its last lines, then whatever is new, until it ends."""
        if self._named.ended_at is not None:
            yield self.last(lines)
            return
        known = self.last(CONSOLE_LINES)
        yield known[-lines:]
        while True:
            state = self._there()  # before its console: what it says at its end comes after this
            now = self._console(CONSOLE_LINES) if state else self._rest(known)
            if fresh := new_lines(known, now):
                yield fresh
            known = now or known
            if state is None or state in ENDED:
                return
            self._clock.sleep(LOOK_EVERY)

    def _there(self) -> EngineState | None:
        """Say how its engine finds it; None where it is gone."""
        here = self._provider.place
        if self._named.place not in ("", here):
            raise Blocked(
                f"{self._named.token} lives at {self._named.place}, and this is {here}.",
                remedy="Run this where it lives.",
            )
        listed = self._provider.instances(self._key)
        return next((s.state for s in listed if s.token == self._named.token), None)

    def _console(self, lines: int) -> list[str]:
        return self._provider.console(self._named.token, lines=lines).splitlines()

    def _rest(self, known: Sequence[str]) -> list[str]:
        """Return what was kept of one that has just gone; what was known, where nothing was."""
        kept = self._consoles.read(self._named.token)
        return list(known) if kept is None else kept.splitlines()

    def _kept(self) -> list[str]:
        kept = self._consoles.read(self._named.token)
        if kept is None:
            raise Inconclusive(
                f"{self._named.token} is gone, and its console is not kept here.",
                remedy="Consoles are kept for 30 days, on the host whose command ended the "
                "instance. One that vanished without us left none.",
            )
        return kept.splitlines()


def new_lines(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the lines of ``now`` that were not in ``before``, which both end a longer text.

    Worked: a, b, c and then b, c, d: new is d. With nothing in common all are new.
    """
    for overlap in range(min(len(before), len(now)), 0, -1):
        if before[len(before) - overlap :] == now[:overlap]:
            return list(now[overlap:])
    return list(now)
