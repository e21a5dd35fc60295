"""A world that lives in memory: for tests, previews and the tutorial.

It starts no process and waits for nothing. Everything that a real engine does now and then
(an instance that ends by itself, a host that is lost, a launch that fails) is done here by asking
for it. With a folder the world is a file there, or the server that has its socket there, so that
two processes see the same one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from ovenbird.clock import Clock, SystemClock
from ovenbird.provider import memory_deeds as deeds
from ovenbird.provider.memory_server import FarMemory
from ovenbird.provider.memory_world import Inhabitant, LocalMemory, Memory, World
from ovenbird.values.errors import BalancerUnreachable
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import (
    Change,
    ChangeKind,
    EngineState,
    Entry,
    Look,
    Seen,
    Verdict,
    Volume,
)


def memory_of(folder: Path | None) -> Memory:
    """Find the world of a folder: its server where there is one, else a file; none is ours."""
    if folder is not None and FarMemory.is_there(folder):
        return FarMemory(folder)
    return LocalMemory(folder)


class MemoryProvider:
    """Starts instances at once and remembers all that was asked of it.

    ``linger`` makes a terminated instance stay as dying until it is terminated again.
    """

    name = "memory"

    def __init__(
        self,
        *,
        folder: Path | None = None,
        site: str = "memory",
        clock: Clock | None = None,
        memory: Memory | None = None,
    ) -> None:
        self.site, self.linger = site, False
        self.place = f"memory in {folder}" if folder else "memory"
        self.memory = memory or memory_of(folder)
        self._clock = clock or SystemClock()
        self._failures: list[tuple[str, Exception]] = []

    # What the port says.

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        self._maybe_fail("instances")
        return self.memory.do(partial(deeds.listed, fleet=fleet), verb="instances")

    def launch(self, order: Order) -> Seen:
        """Start one. Raises `NoCapacity` where there is no room."""
        self._maybe_fail("launch")
        deed = partial(deeds.launch, order=order, site=self.site, now=self._clock.now())
        return self.memory.do(deed, verb="launch")

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        self._maybe_fail("terminate")
        now, linger = self._clock.now(), self.linger
        deed = partial(deeds.terminate, token=token, site=self.site, linger=linger, now=now)
        self.memory.do(deed, verb="terminate")

    def console(self, token: str, *, lines: int) -> str:
        known = self.inhabitant(token)
        return "\n".join(known.console.splitlines()[-lines:]) if known else ""

    def present(self, artifact: Artifact) -> bool:
        return self.memory.do(partial(deeds.is_present, artifact=artifact.id))

    def delete(self, artifact: Artifact) -> None:
        self.memory.do(partial(deeds.delete, artifact=artifact.id))

    def in_use(self, artifact: Artifact) -> bool:
        return self.memory.do(partial(deeds.is_used, artifact=artifact.id))

    def verify(self, artifact: Artifact) -> None:
        """There is nothing behind an id here."""

    def changes(self, token: str) -> Collection[Change]:
        self._maybe_fail("changes")
        return self.memory.do(partial(deeds.changes, token=token), verb="changes")

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        self._maybe_fail("volumes")
        return self.memory.do(partial(deeds.volumes, fleet=fleet, site=self.site))

    def delete_volume(self, name: str) -> None:
        self.memory.do(partial(deeds.delete_volume, name=name))

    # What a test makes happen.

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Every launch and terminate so far, with its token, in order."""
        return self.memory.do(deeds.asked)

    def fail_next(self, verb: str, error: Exception) -> None:
        """Raise ``error`` from the next call of ``verb``, before it does anything."""
        self._failures.append((verb, error))

    def delay_next(self, verb: str, seconds: float) -> None:
        """Let the next call of ``verb`` land that much later, whether its caller lives or not."""
        self.memory.do(partial(deeds.delay, verb=verb, seconds=seconds))

    def make_room(self, capacity: int | None) -> None:
        """Have room for so many instances, or for any number."""
        self.memory.do(partial(deeds.make_room, capacity=capacity))

    def becomes(self, version: str, verdict: Verdict) -> None:
        """Decide what a probe will say of the instances of ``version`` launched from now on.

        Only those that pass write the line ``ready`` to their console.
        """
        self.memory.do(partial(deeds.become, version=version, verdict=verdict))

    def answer(self, token: str, verdict: Verdict) -> None:
        """Decide what a probe says of one instance from now on."""
        self.memory.do(partial(deeds.answer, token=token, verdict=verdict))

    def exit(self, token: str, *, code: int = 1) -> None:
        """End an instance as if by itself."""
        self._turn(token, EngineState.EXITED, code=code)

    def write(self, token: str, path: str, kind: ChangeKind = ChangeKind.CHANGED) -> None:
        """Change a file of an instance by hand, now."""
        now = self._clock.now()
        self.memory.do(partial(deeds.write, token=token, path=path, kind=kind, now=now))

    def put(self, token: str, volume: str, file: str, content: str) -> None:
        """Let a running instance write a file to one of its volumes, by the name in its order."""
        deed = partial(deeds.put, token=token, spec=volume, file=file, content=content)
        self.memory.do(deed)

    def end_jobs_with(self, code: int | None) -> None:
        """Let jobs that are started from now on end at once with ``code``; None: they go on."""
        self.memory.do(partial(deeds.end_jobs_with, code=code))

    def lose(self, token: str) -> None:
        """Let the engine say that this instance's host is gone."""
        self._turn(token, EngineState.LOST)

    def find(self, token: str) -> None:
        """Let a lost instance come back, running."""
        self._turn(token, EngineState.RUNNING)

    def config(self, token: str) -> str:
        """Return what the instance reads at ``/run/ovenbird/config.json``."""
        known = self.inhabitant(token)
        if known is None:
            raise KeyError(token)
        return known.config

    def inhabitant(self, token: str) -> Inhabitant | None:
        """Return all that there is of one instance, or None."""
        return self.memory.do(partial(deeds.known, token=token))

    # What a test looks back at.

    @property
    def ran(self) -> list[str]:
        """The token of every job that was started, in order: twice for one that ran twice."""
        return self.memory.do(deeds.ran)

    def files(self, volume: str) -> dict[str, str]:
        """What is on a volume, by the engine's name of it."""
        return self.memory.do(partial(deeds.files, volume=volume))

    def mark(self) -> int:
        """Return the place in the timeline where it is now."""
        return self.memory.do(deeds.mark)

    def lowest_serving_since(self, mark: int, fleet: FleetKey) -> int:
        """The fewest of a fleet that served at any moment since ``mark``, the mark included."""
        return self.memory.do(partial(deeds.lowest, fleet=fleet, mark=mark))

    def most_present(self, mark: int, fleet: FleetKey) -> int:
        """The most instances of a fleet that there were at any moment since ``mark``."""
        return self.memory.do(partial(deeds.most, fleet=fleet, mark=mark))

    def snapshot(self) -> World:
        """Return a copy of the whole world, for `restore`."""
        return self.memory.do(deeds.taken)

    def restore(self, world: World) -> None:
        """Make the world what it was."""
        self.memory.do(deeds.restoring(world))

    def _turn(self, token: str, state: EngineState, *, code: int | None = None) -> None:
        now = self._clock.now()
        self.memory.do(partial(deeds.turn, token=token, state=state, code=code, now=now))

    def _maybe_fail(self, verb: str) -> None:
        for failure in self._failures:
            if failure[0] == verb:
                self._failures.remove(failure)
                raise failure[1]


class MemoryProbe:
    """Looks at instances of a `MemoryProvider`. ``blind`` cuts the way to all of them."""

    def __init__(self, provider: MemoryProvider) -> None:
        self._provider, self.blind = provider, False

    def look(self, instance: Seen, at: datetime) -> Look:
        """Say what was decided for it; one that does not run refuses, a lost one is silent."""
        known = self._provider.inhabitant(instance.token)
        if self.blind or known is None or known.seen.state is EngineState.LOST:
            verdict = Verdict.NO_ANSWER
        elif known.seen.state is not EngineState.RUNNING:
            verdict = Verdict.FAIL
        else:
            verdict = known.verdict
        return Look(token=instance.token, at=at, verdict=verdict, detail=f"memory: {verdict}")


class MemoryBalancer:
    """Sends one fleet of a `MemoryProvider` its imagined traffic.

    ``sessions`` holds how many a test wants still open when a drain ends; ``unreachable`` makes
    every call raise `BalancerUnreachable`.
    """

    name = "memory"

    def __init__(self, provider: MemoryProvider, fleet: FleetKey) -> None:
        self._provider, self._fleet = provider, f"{fleet.site}/{fleet}"
        self.sessions: dict[str, int] = {}
        self.unreachable = False

    def open(self) -> None:
        self._reach().do(deeds.open_entrance, verb="open")

    def register(self, instance: Seen) -> None:
        deed = partial(deeds.register, fleet=self._fleet, token=instance.token)
        self._reach().do(deed, verb="register")

    def entries(self) -> Collection[Entry]:
        listed = self._reach().do(partial(deeds.entries, fleet=self._fleet), verb="entries")
        return tuple(replace(e, sessions=self.sessions.get(e.token, 0)) for e in listed)

    def drain(self, token: str, *, timeout: float) -> int:
        deed = partial(deeds.drain, fleet=self._fleet, token=token)
        return self.sessions.get(token, 0) if self._reach().do(deed, verb="drain") else 0

    def deregister(self, token: str) -> None:
        deed = partial(deeds.deregister, fleet=self._fleet, token=token)
        self._reach().do(deed, verb="deregister")

    def close(self) -> None:
        self._reach().do(partial(deeds.close_entrance, fleet=self._fleet), verb="close")

    def _reach(self) -> Memory:
        if self.unreachable:
            raise BalancerUnreachable(
                f"The balancer of {self._fleet} does not answer.", remedy="Make it reachable."
            )
        return self._provider.memory
