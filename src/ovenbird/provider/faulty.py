"""A provider that goes wrong on demand, around any other: for tests of what drives it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from ovenbird.mishap import Kind, Lie, Mishaps, Verb, befall
from ovenbird.provider import Engine
from ovenbird.values.errors import EngineUnreachable
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Change, EngineState, Seen, Volume


class FaultyProvider:
    """``inner``, but for what ``mishaps`` says. A failure raises `EngineUnreachable`.

    A lying launch returns an instance that nobody started; a lying terminate returns and ends
    nothing; a lying list is old, leaves one out or has a stranger (a copy of the first with
    another token).
    """

    def __init__(self, inner: Engine, mishaps: Mishaps) -> None:
        self._inner, self._mishaps = inner, mishaps
        self._last: dict[FleetKey, Collection[Seen]] = {}

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def place(self) -> str:
        return self._inner.place

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        mishap = self._mishaps.next(Verb.INSTANCES)
        if mishap is not None and mishap.kind is Kind.LIE:
            return self._lied(fleet, mishap.lie)
        nothing: Collection[Seen] = ()
        seen = befall(mishap, lambda: self._inner.instances(fleet), error=_gone(), lied=nothing)
        self._last[fleet] = seen
        return seen

    def launch(self, order: Order) -> Seen:
        mishap = self._mishaps.next(Verb.LAUNCH)
        lied = _imagined(order)
        return befall(mishap, lambda: self._inner.launch(order), error=_gone(), lied=lied)

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        mishap = self._mishaps.next(Verb.TERMINATE)
        call = lambda: self._inner.terminate(token, stop=stop)  # noqa: E731
        befall(mishap, call, error=_gone(), lied=None)

    def console(self, token: str, *, lines: int) -> str:
        mishap = self._mishaps.next(Verb.CONSOLE)
        call = lambda: self._inner.console(token, lines=lines)  # noqa: E731
        return befall(mishap, call, error=_gone(), lied="")

    def present(self, artifact: Artifact) -> bool:
        return self._inner.present(artifact)

    def delete(self, artifact: Artifact) -> None:
        self._inner.delete(artifact)

    def in_use(self, artifact: Artifact) -> bool:
        return self._inner.in_use(artifact)

    def verify(self, artifact: Artifact) -> None:
        self._inner.verify(artifact)

    def changes(self, token: str) -> Collection[Change]:
        mishap = self._mishaps.next(Verb.CHANGES)
        none: Collection[Change] = ()
        return befall(mishap, lambda: self._inner.changes(token), error=_gone(), lied=none)

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        mishap = self._mishaps.next(Verb.VOLUMES)
        none: Collection[Volume] = ()
        return befall(mishap, lambda: self._inner.volumes(fleet), error=_gone(), lied=none)

    def delete_volume(self, name: str) -> None:
        self._inner.delete_volume(name)

    def _lied(self, fleet: FleetKey, lie: Lie) -> Collection[Seen]:
        now = tuple(self._inner.instances(fleet))
        match lie:
            case Lie.OLD:
                return self._last.get(fleet, ())
            case Lie.LESS:
                return now[1:]
            case Lie.STRANGER:
                return (*now, *(replace(s, token=f"{s.token}-stranger") for s in now[:1]))
            case Lie.DONE:
                return ()


def _gone() -> EngineUnreachable:
    return EngineUnreachable("The engine does not answer.", remedy="Make it reachable.")


def _imagined(order: Order) -> Seen:
    return Seen(
        token=order.token,
        id=order.token,
        fleet=order.fleet,
        version=order.version,
        launch_hash=order.launch.hash,
        slot=order.slot,
        state=EngineState.RUNNING,
        launched_at=order.artifact.baked_at,
    )
