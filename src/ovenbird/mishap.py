"""What can go wrong with one call to the world, as values, and how it goes wrong.

`FaultyProvider`, `FaultyBalancer` and `FaultyDatabase` take a `Mishaps`: on the n-th call of a
verb the call fails, fails after it was done, hangs, is late, is made twice, or is a lie. For
tests of whatever drives the ports, ours and those of other packages:

    Mishaps(Mishap(verb=Verb.LAUNCH, kind=Kind.FAIL_AFTER, call=2))
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

T = TypeVar("T")


class Verb(StrEnum):
    """The calls of the ports; ``WRITE`` is one transaction of a database that changes rows."""

    LAUNCH = "launch"
    TERMINATE = "terminate"
    INSTANCES = "instances"
    CONSOLE = "console"
    CHANGES = "changes"
    VOLUMES = "volumes"
    OPEN = "open"
    REGISTER = "register"
    ENTRIES = "entries"
    DRAIN = "drain"
    DEREGISTER = "deregister"
    CLOSE = "close"
    WRITE = "write"


class Kind(StrEnum):
    """How one call goes wrong."""

    FAIL = "fail"  # raises, and nothing was done
    FAIL_AFTER = "fail after"  # does it, then raises: the answer was lost
    HANG = "hang"  # never returns
    LATE = "late"  # does it after ``seconds``
    TWICE = "twice"  # does it two times
    LIE = "lie"  # see `Lie`


class Lie(StrEnum):
    """What a call says that is not so. A command can only be `DONE`, a question only the rest."""

    DONE = "done"  # a command: says done, did nothing
    OLD = "old"  # a question: the answer of the call before
    LESS = "less"  # a question: the first one is left out
    STRANGER = "stranger"  # a question: one more, that is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Mishap:
    """What happens to the ``call``-th call of ``verb`` (the first is 1), ``times`` in a row;
    None is for ever.

    ``seconds`` is for `Kind.LATE`, and for `Kind.HANG` of a database: how long its library waits
    before it gives up. ``table`` narrows `Verb.WRITE` to transactions that change that table.
    """

    verb: Verb
    kind: Kind
    call: int = 1
    times: int | None = 1
    seconds: float = 0.0
    lie: Lie = Lie.DONE
    table: str = ""

    def strikes(self, number: int) -> bool:
        """Say whether the call with this number goes wrong."""
        last = None if self.times is None else self.call + self.times - 1
        return self.call <= number and (last is None or number <= last)


class Mishaps:
    """What will go wrong. It counts the calls, so one object is for one world."""

    def __init__(self, *mishaps: Mishap) -> None:
        self._mishaps, self._counted = mishaps, [0] * len(mishaps)
        self._counting = threading.Lock()
        self.struck: list[Mishap] = []
        """What has gone wrong so far, in order."""

    def next(self, verb: Verb, tables: Collection[str] = ()) -> Mishap | None:
        """Count one call, and return what goes wrong with it, or None."""
        with self._counting:
            strikes: Mishap | None = None
            for index, mishap in enumerate(self._mishaps):
                if mishap.verb is not verb or (mishap.table and mishap.table not in tables):
                    continue
                self._counted[index] += 1
                if strikes is None and mishap.strikes(self._counted[index]):
                    strikes = mishap
            if strikes is not None:
                self.struck.append(strikes)
            return strikes


def befall(mishap: Mishap | None, call: Callable[[], T], *, error: Exception, lied: T) -> T:
    """Make ``call`` as ``mishap`` wants it: raise ``error``, or return ``lied`` for a lie."""
    match mishap.kind if mishap is not None else None:
        case Kind.FAIL:
            raise error
        case Kind.FAIL_AFTER:
            call()
            raise error
        case Kind.HANG:
            wait_for_ever()
        case Kind.LATE:
            wait(mishap.seconds if mishap is not None else 0.0)
        case Kind.TWICE:
            call()
        case Kind.LIE:
            return lied
    return call()


def wait(seconds: float) -> None:
    threading.Event().wait(seconds)


def wait_for_ever() -> None:
    """Never return. Whoever calls a port that can hang bounds the call."""
    threading.Event().wait()
