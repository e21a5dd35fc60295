"""What a memory provider remembers, and what can happen to it.

A deed is a function of a `World`; whoever holds the world does it as one change. That may be this
process, a file that several processes share, or a server that outlives them all
(`ovenbird.provider.memory_server`). After every change a timeline notes how many serve.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TypeVar

from pydantic import TypeAdapter

from ovenbird.mishap import wait
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import Change, EngineState, Seen, Verdict, Volume

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhabitant:
    """One imagined instance. Of its secrets only the names are kept; ``volumes`` are the engine's
    names of what it has attached, ``changes`` what somebody did to its files."""

    seen: Seen
    artifact: str
    config: str
    secrets: tuple[str, ...]
    console: str
    verdict: Verdict
    volumes: tuple[str, ...] = ()
    changes: tuple[Change, ...] = ()

    @property
    def answers(self) -> bool:
        """Say whether it runs and a probe of it passes."""
        return self.seen.state is EngineState.RUNNING and self.verdict is Verdict.PASS


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One imagined volume, without its users, and the files that instances wrote to it."""

    volume: Volume
    files: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """A fleet (``dev/web``) after a change: how many serve, and how many there are, jobs left out.

    Serving is running, with a probe that passes, and in service at the balancer.
    """

    fleet: str
    serving: int
    present: int


@dataclass(slots=True, kw_only=True)
class World:
    """Everything there is: ``servers`` maps a fleet to token → draining.

    ``capacity`` is how many instances there is room for, None for any number. ``delays`` holds,
    by verb, how many seconds its next calls take to land. ``job_code`` is how a job that is
    started ends at once, None for one that goes on; ``ran`` has the token of each that was started.
    """

    instances: dict[str, Inhabitant] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    outcomes: dict[str, Verdict] = field(default_factory=dict)
    servers: dict[str, dict[str, bool]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    capacity: int | None = None
    delays: dict[str, list[float]] = field(default_factory=dict)
    moments: list[Moment] = field(default_factory=list)
    volumes: dict[str, Kept] = field(default_factory=dict)
    job_code: int | None = 0
    ran: list[str] = field(default_factory=list)

    def note(self) -> None:
        """Add a moment to the timeline for each fleet that is not as it was at its last one."""
        last = {moment.fleet: moment for moment in self.moments}
        for fleet in {_fleet_of(i.seen.fleet) for i in self.instances.values()} | last.keys():
            now = self._moment(fleet)
            if last.get(fleet) != now:
                self.moments.append(now)

    def since(self, fleet: FleetKey, mark: int) -> list[Moment]:
        """Return the moments of a fleet from ``mark`` on, that which held at the mark first."""
        name = _fleet_of(fleet)
        before = [m for m in self.moments[:mark] if m.fleet == name][-1:]
        return before + [m for m in self.moments[mark:] if m.fleet == name]

    def _moment(self, fleet: str) -> Moment:
        mine = {
            token: i
            for token, i in self.instances.items()
            if _fleet_of(i.seen.fleet) == fleet and not i.seen.job
        }
        dealt = {
            token
            for key, servers in self.servers.items()
            if key.partition("/")[2] == fleet
            for token, draining in servers.items()
            if not draining
        }
        serving = sum(token in dealt and i.answers for token, i in mine.items())
        return Moment(fleet=fleet, serving=serving, present=len(mine))


def _fleet_of(key: FleetKey) -> str:
    return str(key)


class Memory(Protocol):
    """Whoever holds a world."""

    def do(self, deed: Callable[[World], T], *, verb: str = "") -> T:
        """Do ``deed`` as one change, after the delay that awaits the next call of ``verb``."""
        ...


class LocalMemory:
    """A world in this process, or with a folder in a file there."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._world = folder, World()
        self._lock = threading.Lock()

    def do(self, deed: Callable[[World], T], *, verb: str = "") -> T:
        with self._opened() as world:
            delays = world.delays.get(verb, [])
            seconds = delays.pop(0) if delays else 0.0
        if seconds:
            wait(seconds)
        with self._opened() as world:
            done = deed(world)
            world.note()
        return done

    @contextmanager
    def _opened(self) -> Iterator[World]:
        """Lend the world to one at a time; a file is written only if the block returns."""
        with self._lock:
            if self._folder is None:
                yield self._world
                return
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / "memory.lock").open("a") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                file = self._folder / "memory.json"
                before = file.read_bytes() if file.exists() else b"{}"
                world = _AS_JSON.validate_json(before)
                yield world
                after = _AS_JSON.dump_json(world, indent=1)
                if after != before:
                    new = file.with_suffix(".new")
                    new.write_bytes(after)
                    os.replace(new, file)


_AS_JSON = TypeAdapter(World)
