"""A memory world in a process of its own, which outlives those that drive it.

A call that was sent is done there, whatever becomes of its caller: as with a real engine, a
driver can be killed and its launch lands ten seconds later. What is spoken is the protocol of
`multiprocessing.managers`; the key lies beside the socket, so the folder must be its owner's.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.managers import BaseManager
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from ovenbird.mishap import wait
from ovenbird.provider.memory_world import LocalMemory, World
from ovenbird.values.errors import EngineUnreachable, OvenbirdError

T = TypeVar("T")

SOCKET, KEY = "memory.socket", "memory.key"


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """An error of ours on its way back: those with keywords do not travel by themselves."""

    kind: type[OvenbirdError]
    problem: str
    remedy: str


class Holder:
    """What the server offers: a world, and one deed at a time to it."""

    def __init__(self) -> None:
        self._memory = LocalMemory(None)

    def do(self, deed: Callable[[World], Any], verb: str) -> Any:
        try:
            return self._memory.do(deed, verb=verb)
        except OvenbirdError as error:
            return Refused(kind=type(error), problem=error.problem, remedy=error.remedy)


_holders: list[Holder] = []


def _the_holder() -> Holder:
    if not _holders:
        _holders.append(Holder())
    return _holders[0]


def _end_with(maker: int) -> None:
    """End this server soon after the process that made it, which may not be able to say so."""

    def watch() -> None:
        while os.getppid() == maker:
            wait(1.0)
        os._exit(0)

    threading.Thread(target=watch, name="maker", daemon=True).start()


class _Door(BaseManager):
    """The server on one side, the way to it on the other."""


_Door.register("holder", callable=_the_holder, exposed=("do",))


class MemoryServer:
    """``with MemoryServer(folder):`` a world for every `MemoryProvider` with that folder.

    It serves until it is closed, whoever of its callers is dead by then, or until the process
    that made it is gone.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder, key = folder, secrets.token_bytes(16)
        with open(os.open(folder / KEY, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as file:
            file.write(key)
        self._server = _Door(str(folder / SOCKET), authkey=key, ctx=get_context("spawn"))
        self._server.start(initializer=_end_with, initargs=(os.getpid(),))

    def __enter__(self) -> MemoryServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the world. Closing twice is closing once."""
        self._server.shutdown()
        for name in (SOCKET, KEY):
            (self._folder / name).unlink(missing_ok=True)


class FarMemory:
    """The way to the server of a folder. Nothing is asked of it before the first deed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._holder: Any = None

    @staticmethod
    def is_there(folder: Path) -> bool:
        return (folder / SOCKET).exists()

    def do(self, deed: Callable[[World], T], *, verb: str = "") -> T:
        """Send a deed and wait for its end. Raises `EngineUnreachable` where nobody serves."""
        try:
            if self._holder is None:
                door = _Door(str(self._folder / SOCKET), authkey=(self._folder / KEY).read_bytes())
                door.connect()
                self._holder = door.holder()  # type: ignore[attr-defined]
            answer = self._holder.do(deed, verb)
        except (OSError, EOFError) as error:
            raise EngineUnreachable(
                "The server of the memory world does not answer.", remedy="Start it again."
            ) from error
        if isinstance(answer, Refused):
            raise answer.kind(answer.problem, remedy=answer.remedy)
        done: T = answer
        return done
