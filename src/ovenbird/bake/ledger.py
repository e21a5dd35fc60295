"""What a bake created, written before it is created, so that a dead one can be cleaned.

The same file is what the guard reads: it names the living process of the bake and the one
machine that Ansible may reach.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

TARGET = "build"
"""The name of the one host in a bake's inventory."""


PATIENCE = 30.0
"""Seconds in which whoever still writes into a dead bake's folder has ended."""


@dataclass(slots=True, kw_only=True)
class Ledger:
    """One bake on disk: ``folder/ledger.json``. ``started`` is the kernel's start time of
    ``pid`` in clock ticks, so that a recycled pid does not count as alive; ``oven`` names the
    engine that it bakes on."""

    folder: Path
    token: str
    family: str
    pid: int
    started: str
    containers: list[str]
    images: list[str]
    into: list[str]
    kept: bool = False
    oven: str = "podman"
    name: str = TARGET

    @classmethod
    def open(cls, folder: Path, *, token: str, family: str, oven: str) -> Ledger:
        folder.mkdir(mode=0o700, parents=True)
        pid = os.getpid()
        ledger = cls(
            folder=folder,
            token=token,
            family=family,
            oven=oven,
            pid=pid,
            started=start_time(pid),
            containers=[],
            images=[],
            into=[],
        )
        ledger.write()
        return ledger

    @property
    def path(self) -> Path:
        return self.folder / "ledger.json"

    def write(self) -> None:
        """Make what it says durable, at once and whole."""
        facts = asdict(self)
        del facts["folder"]
        draft = self.path.with_suffix(".new")
        with draft.open("w") as file:
            json.dump(facts, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.path)

    def intend(self, *, container: str = "", image: str = "") -> None:
        """Note something that is about to be created at the engine."""
        self.containers += [container] if container else []
        self.images += [image] if image else []
        self.write()

    def close(self) -> None:
        """Forget the bake: everything that it created is gone or has an owner.

        A program that a killed bake left may still write into the folder; it is outrun. The
        ledger goes last, so that a clean-up which is cut short is done again.
        """
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                for each in self.folder.iterdir():
                    if each.is_dir() and not each.is_symlink():
                        shutil.rmtree(each)
                    elif each != self.path:
                        each.unlink(missing_ok=True)
                shutil.rmtree(self.folder)
                return
            except OSError as error:
                busy = error.errno in (errno.ENOTEMPTY, errno.ENOENT) and self.folder.exists()
                if not busy or time.monotonic() > deadline:
                    raise
            time.sleep(0.1)


def dead(bakes: Path) -> Iterator[Ledger]:
    """Yield the ledgers of bakes whose process is gone."""
    for path in sorted(bakes.glob("*/ledger.json")):
        try:
            ledger = read(path)
        except FileNotFoundError:
            continue  # its bake has ended between the listing and the reading
        if start_time(ledger.pid) != ledger.started:
            yield ledger


def read(path: Path) -> Ledger:
    return Ledger(folder=path.parent, **json.loads(path.read_text()))


def start_time(pid: int) -> str:
    """Return when the kernel started a process, in clock ticks since boot; "" if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return ""
    return stat.rpartition(")")[2].split()[19]
