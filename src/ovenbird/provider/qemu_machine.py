"""One virtual machine as its own folder tells it: what was ordered, and whether it runs.

FOLDER/qemu/instances/TOKEN/{order.json,overlay.qcow2,seed.tar,qmp.sock,console,pid,started}.
Nothing else remembers it. It runs if the process in ``pid`` is there and was started with this
very file. It has run if ``started`` is there; where its driver was killed before it wrote that, if
its console has anything in it or its process left ``pid`` behind, which QEMU removes when it ends
in order.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from pydantic import AwareDatetime, BaseModel

from ovenbird.values.errors import Blocked
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import EngineState, Seen

_ENDED = re.compile(rb"ovenbird-job: ended with (\d{1,3})\s")
_TAIL = 1 << 16
_KILL_TIMEOUT = 10.0
PATIENCE = 360.0
"""Seconds to wait for a machine that another driver has in its hands."""


class Written(BaseModel, frozen=True):
    """What is written of a machine before anything of it exists. No launch data is in it.

    ``memory`` is in MiB. ``port`` is forwarded to ``inside``, the one of the image's contract.
    ``volumes`` has each volume's name with its path inside, in the order of their disks. ``boot``
    is the host's boot in which it was started last.
    """

    id: str
    token: str
    site: str
    env: str
    fleet: str
    version: str
    launch: str
    slot: int
    job: str = ""
    artifact: str
    launched_at: AwareDatetime
    boot: str
    memory: int
    port: int | None = None
    inside: int | None = None
    volumes: dict[str, str] = {}


class Machine:
    """The folder of one token, whether there is a machine or not."""

    def __init__(self, root: Path, token: str) -> None:
        self.token, self.folder = token, root / "instances" / token
        self._lock = root / "locks" / f"{token}.lock"
        self.pidfile, self.console = self.folder / "pid", self.folder / "console"
        self.overlay, self.seed = self.folder / "overlay.qcow2", self.folder / "seed.tar"
        self._started, self._ending = self.folder / "started", self.folder / "ending"

    @contextmanager
    def held(self) -> Iterator[int]:
        """Keep every other driver from this token meanwhile; gives the locked file."""
        with held(self._lock) as file:
            try:
                yield file
            finally:
                if not self.folder.exists():
                    self._lock.unlink(missing_ok=True)

    def written(self) -> Written | None:
        """Read what was ordered, or None where there is no such machine."""
        try:
            return Written.model_validate_json((self.folder / "order.json").read_text())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, written: Written) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self.folder / ".order.json"
        with new.open("w") as file:
            file.write(written.model_dump_json(indent=2))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.folder / "order.json")

    def pid(self) -> int | None:
        """Return its process, or None where it has none (any more)."""
        try:
            pid = int(self.pidfile.read_text())
            started_with = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (FileNotFoundError, NotADirectoryError, ProcessLookupError, ValueError):
            return None
        return pid if os.fsencode(self.pidfile) in started_with else None

    def state(self, written: Written) -> EngineState:
        """Say how it is. One that ran when its host went down is lost; a job that had told its
        code by then has ended."""
        if self.pid() is not None:
            return EngineState.DYING if self._ending.exists() else EngineState.RUNNING
        if not self._has_run():
            return EngineState.CREATED
        lost = written.boot != this_boot() and self.exit_code(written) is None
        return EngineState.LOST if lost else EngineState.EXITED

    def exit_code(self, written: Written) -> int | None:
        """Read from the console how its job has ended."""
        if not written.job:
            return None
        found = _ENDED.findall(self.tail(_TAIL))
        return int(found[-1]) if found else None

    def seen(self, *, address: str | None = None) -> Seen | None:
        """Report it; ``address`` is for one that has no forwarded port."""
        written = self.written()
        if written is None:
            return None
        state = self.state(written)
        known = address if written.port is None else f"127.0.0.1:{written.port}"
        return Seen(
            token=written.token,
            id=written.id,
            fleet=FleetKey(site=written.site, env=written.env, name=written.fleet),
            version=written.version,
            launch_hash=written.launch,
            slot=written.slot,
            state=state,
            launched_at=written.launched_at,
            address=known,
            exit_code=self.exit_code(written) if state is EngineState.EXITED else None,
            since=self._started_at() if state is EngineState.RUNNING else None,
            job=written.job,
        )

    def tail(self, size: int) -> bytes:
        """Return the end of its console, at most ``size`` bytes."""
        try:
            with self.console.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                return file.read()
        except (FileNotFoundError, NotADirectoryError):
            return b""

    def mark_as_started(self) -> None:
        self._started.touch()

    def mark_as_ending(self) -> None:
        self._ending.touch()

    def kill(self) -> None:
        """End its process by force, after a moment in which it may write what it has."""
        for signal_, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, _KILL_TIMEOUT)):
            if self._ended(signal_, patience):
                return
        raise Blocked(
            f"The process of {self.token} does not end.",
            remedy=f"See what it waits for: ps -o pid,stat,wchan,args $(cat {self.pidfile})",
        )

    def awaited(self, seconds: float) -> bool:
        """Wait for its end; say whether it has come."""
        ends = time.monotonic() + seconds
        while self.pid() is not None:
            if time.monotonic() > ends:
                return False
            time.sleep(0.05)
        return True

    def remove(self) -> None:
        """Take the folder away: at once, so that nothing of it is believed any more."""
        gone = self.folder.with_name(f".{self.token}.{uuid4().hex[:8]}")
        with suppress(FileNotFoundError):
            self.folder.rename(gone)
        # And what one left that was killed between the two.
        for left in self.folder.parent.glob(f".{self.token}.*"):
            shutil.rmtree(left, ignore_errors=True)

    def resident(self) -> int:
        """Return the memory that its process has now, in MiB."""
        try:
            pages = int(Path(f"/proc/{self.pid()}/statm").read_text().split()[1])
        except (FileNotFoundError, ProcessLookupError):
            return 0
        return pages * os.sysconf("SC_PAGESIZE") >> 20

    def _has_run(self) -> bool:
        if self._started.exists() or self.pidfile.exists():
            return True
        return self.console.exists() and self.console.stat().st_size > 0

    def _started_at(self) -> datetime | None:
        with suppress(FileNotFoundError):
            return datetime.fromtimestamp(self.pidfile.stat().st_mtime, UTC)
        return None

    def _ended(self, signal_: signal.Signals, patience: float) -> bool:
        pid = self.pid()
        if pid is None:
            return True
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            return True
        try:
            if self.pid() == pid:  # it still is the one that we have opened
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(process, signal_)
        finally:
            os.close(process)
        return self.awaited(patience)


def machines(root: Path) -> list[Machine]:
    """Return every machine that there is or was begun, of every site."""
    found = sorted((root / "instances").glob("[!.]*/order.json"))
    return [Machine(root, path.parent.name) for path in found]


def this_boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


@contextmanager
def held(path: Path, *, patience: float = PATIENCE) -> Iterator[int]:
    """Hold a lock of this host's that the kernel frees with its last holder; gives the file, so
    that it can be lent to a program. The holder may remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ends = time.monotonic() + patience
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if _locked(file, path):
                yield file
                return
        finally:
            os.close(file)
        if time.monotonic() > ends:
            raise Blocked(
                f"{path.stem} has been in somebody else's hands for {patience:g} s.",
                remedy=f"See who holds it: fuser -v {path}. Then run this again.",
            )
        time.sleep(0.02)


def _locked(file: int, path: Path) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(file), path.stat())
    except (BlockingIOError, FileNotFoundError):  # or it was removed while we waited
        return False
