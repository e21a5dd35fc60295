"""Nothing is waited for without end: the ports to the world, each call with a limit.

A call that is over its limit is left alone, not killed: nobody would know what it did. Its end is
found out by looking, and its intent stands in the journal.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable, Collection
from typing import TypeVar

from ovenbird.balancer import Balancer
from ovenbird.provider import Engine
from ovenbird.values.errors import BalancerUnreachable, EngineUnreachable
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Change, Entry, Seen, Volume

T = TypeVar("T")

LONGEST_CALL = 300.0
"""Seconds that a call may take, beyond what it was told to wait for."""

LONGEST_LOOK = 60.0
"""Seconds until an engine or a balancer that does not answer a question counts as unreachable."""

A_THREAD_BEGINS = 1.0
"""Seconds in which a thread that was started has begun, on the busiest host."""


def within(seconds: float, call: Callable[[], T], *, late: Exception) -> T:
    """Return what ``call`` returns or raise what it raises; after ``seconds`` raise ``late``.

    An interrupt is passed on when the call has ended: what was begun is not left half known.
    """
    results: list[T] = []
    failures: list[BaseException] = []
    begun, done = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - handed to whoever waits
            failures.append(error)
        finally:
            done.set()

    context = contextvars.copy_context()
    worker = threading.Thread(target=context.run, args=(work,), name="call", daemon=True)
    try:
        worker.start()
        done.wait(seconds)
    except KeyboardInterrupt:
        if begun.wait(A_THREAD_BEGINS):  # it may come while the thread is being started
            done.wait(seconds)
        raise
    if failures:
        raise failures[0]
    if not results:
        raise late
    return results[0]


class BoundedProvider:
    """An engine that answers in time or raises `EngineUnreachable`."""

    def __init__(self, inner: Engine, *, longest: float = LONGEST_CALL) -> None:
        self._inner, self._longest = inner, longest

    @property
    def name(self) -> str:
        return self._inner.name

    @property
    def place(self) -> str:
        return self._inner.place

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        limit = min(LONGEST_LOOK, self._longest)
        late = self._late("says nothing of its instances", limit)
        return within(limit, lambda: self._inner.instances(fleet), late=late)

    def launch(self, order: Order) -> Seen:
        late = self._late(f"has not launched {order.token}", self._longest)
        return within(self._longest, lambda: self._inner.launch(order), late=late)

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        limit = self._longest + stop.timeout
        late = self._late(f"has not ended {token}", limit)
        within(limit, lambda: self._inner.terminate(token, stop=stop), late=late)

    def console(self, token: str, *, lines: int) -> str:
        limit = min(LONGEST_LOOK, self._longest)
        late = self._late(f"does not show the console of {token}", limit)
        return within(limit, lambda: self._inner.console(token, lines=lines), late=late)

    def present(self, artifact: Artifact) -> bool:
        return self._inner.present(artifact)

    def delete(self, artifact: Artifact) -> None:
        self._inner.delete(artifact)

    def in_use(self, artifact: Artifact) -> bool:
        return self._inner.in_use(artifact)

    def verify(self, artifact: Artifact) -> None:
        self._inner.verify(artifact)

    def changes(self, token: str) -> Collection[Change]:
        limit = min(LONGEST_LOOK, self._longest)
        late = self._late(f"does not say what changed in {token}", limit)
        return within(limit, lambda: self._inner.changes(token), late=late)

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        limit = min(LONGEST_LOOK, self._longest)
        late = self._late("says nothing of its volumes", limit)
        return within(limit, lambda: self._inner.volumes(fleet), late=late)

    def delete_volume(self, name: str) -> None:
        late = self._late(f"has not deleted {name}", self._longest)
        within(self._longest, lambda: self._inner.delete_volume(name), late=late)

    def _late(self, what: str, limit: float) -> EngineUnreachable:
        return EngineUnreachable(
            f"{self.name} {what} within {limit:g} s.",
            remedy="The call was left alone, and what it did will be seen. When the engine "
            "answers again, run the same command.",
        )


class BoundedBalancer:
    """A balancer that answers in time or raises `BalancerUnreachable`."""

    def __init__(self, inner: Balancer, *, longest: float = LONGEST_CALL) -> None:
        self._inner, self._longest = inner, longest

    @property
    def name(self) -> str:
        return self._inner.name

    def open(self) -> None:
        self._in_time(self._inner.open, "is not ready")

    def register(self, instance: Seen) -> None:
        self._in_time(lambda: self._inner.register(instance), f"does not take {instance.token}")

    def entries(self) -> Collection[Entry]:
        return self._in_time(self._inner.entries, "says nothing of its servers")

    def drain(self, token: str, *, timeout: float) -> int:
        what = f"has not drained {token}"
        return self._in_time(lambda: self._inner.drain(token, timeout=timeout), what, timeout)

    def deregister(self, token: str) -> None:
        self._in_time(lambda: self._inner.deregister(token), f"does not let go of {token}")

    def close(self) -> None:
        self._in_time(self._inner.close, "does not close")

    def _in_time(self, call: Callable[[], T], what: str, more: float = 0.0) -> T:
        limit = min(LONGEST_LOOK, self._longest) + more
        late = BalancerUnreachable(
            f"The balancer {self.name} {what} within {limit:g} s.",
            remedy="Nothing more was done. When it answers again, run the same command.",
        )
        return within(limit, call, late=late)
