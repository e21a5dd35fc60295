"""A balancer that goes wrong on demand, around any other: for tests of what drives it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

from ovenbird.balancer import Balancer
from ovenbird.mishap import Kind, Lie, Mishaps, Verb, befall
from ovenbird.values.errors import BalancerUnreachable
from ovenbird.values.instance import Entry, Seen


class FaultyBalancer:
    """``inner``, but for what ``mishaps`` says. A failure raises `BalancerUnreachable`.

    A lying command returns and does nothing, a lying drain says that no session is left; lying
    entries are old, leave one out or have a stranger (a copy of the first with another token).
    """

    def __init__(self, inner: Balancer, mishaps: Mishaps) -> None:
        self._inner, self._mishaps = inner, mishaps
        self._last: Collection[Entry] = ()

    @property
    def name(self) -> str:
        return self._inner.name

    def open(self) -> None:
        self._do(Verb.OPEN, self._inner.open)

    def register(self, instance: Seen) -> None:
        self._do(Verb.REGISTER, lambda: self._inner.register(instance))

    def entries(self) -> Collection[Entry]:
        mishap = self._mishaps.next(Verb.ENTRIES)
        if mishap is not None and mishap.kind is Kind.LIE:
            return self._lied(mishap.lie)
        self._last = befall(mishap, self._inner.entries, error=self._gone(), lied=())
        return self._last

    def drain(self, token: str, *, timeout: float) -> int:
        mishap = self._mishaps.next(Verb.DRAIN)
        call = lambda: self._inner.drain(token, timeout=timeout)  # noqa: E731
        return befall(mishap, call, error=self._gone(), lied=0)

    def deregister(self, token: str) -> None:
        self._do(Verb.DEREGISTER, lambda: self._inner.deregister(token))

    def close(self) -> None:
        self._do(Verb.CLOSE, self._inner.close)

    def _do(self, verb: Verb, call: Callable[[], None]) -> None:
        befall(self._mishaps.next(verb), call, error=self._gone(), lied=None)

    def _lied(self, lie: Lie) -> Collection[Entry]:
        now = tuple(self._inner.entries())
        match lie:
            case Lie.OLD:
                return self._last
            case Lie.LESS:
                return now[1:]
            case Lie.STRANGER:
                return (*now, *(replace(e, token=f"{e.token}-stranger") for e in now[:1]))
            case Lie.DONE:
                return ()

    def _gone(self) -> BalancerUnreachable:
        return BalancerUnreachable(
            f"The balancer {self.name} does not answer.", remedy="Make it reachable."
        )
