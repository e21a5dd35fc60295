"""What a memory provider remembers, in a process or in a file that several processes share."""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import TypeAdapter

from ovenbird.values.instance import Seen, Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Inhabitant:
    """One imagined instance. Of its secrets only the names are kept."""

    seen: Seen
    artifact: str
    config: str
    secrets: tuple[str, ...]
    console: str
    verdict: Verdict


@dataclass(slots=True, kw_only=True)
class World:
    """Everything there is: ``servers`` maps a fleet to token → draining."""

    instances: dict[str, Inhabitant] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)
    outcomes: dict[str, Verdict] = field(default_factory=dict)
    servers: dict[str, dict[str, bool]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)


_AS_JSON = TypeAdapter(World)


class Memory:
    """Opens the world for one change at a time, whoever else wants it."""

    def __init__(self, folder: Path | None) -> None:
        self._folder, self._world = folder, World()
        self._lock = threading.Lock()

    @contextmanager
    def opened(self) -> Iterator[World]:
        """Lend the world for reading and changing; a file is written only if the block returns."""
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
