"""Is this machine fit for Ovenbird? One fact a line, and a remedy for each that is not well.

It looks and changes nothing: it neither makes the state folder nor starts an engine. What is
only slower or smaller than it could be is a warning; ``missing`` is what a command would stop at.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from ovenbird.process import run
from ovenbird.values.errors import Blocked, ConfigurationError, OvenbirdError

GIB = 1024**3
ROOMY = 10 * GIB
"""Two families, three versions each, and a bake in progress."""

OLDEST_PACKER = (1, 6)
"""The first whose shell-local provisioner can name the build's container (``build.ID``)."""

OLDEST_HAPROXY = (2, 6)
"""The first that adds and deletes servers at runtime without its experimental mode."""


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    MISSING = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One thing about this machine. ``remedy`` is empty where nothing need be done."""

    name: str
    state: State
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        mark = {State.OK: "✓", State.WARN: "!", State.MISSING: "✗"}[self.state]
        return f"{mark} {self.name:<17} {self.detail}" + (f"  → {self.remedy}" * bool(self.remedy))


class Machine(Protocol):
    """What the examination asks of a machine."""

    def which(self, program: str) -> str | None: ...

    def says(self, argv: Sequence[str]) -> str:
        """Return what a program prints about itself. Raises `OvenbirdError`."""
        ...

    def text(self, path: Path) -> str | None:
        """Return a file's text, or None where there is none that can be read."""
        ...

    def writable(self, folder: Path) -> bool: ...

    def free(self, folder: Path) -> int:
        """Return the bytes that are free where ``folder`` is."""
        ...


class ThisMachine:
    """The machine that we run on, Debian's sbin folders included."""

    def which(self, program: str) -> str | None:
        path = os.environ.get("PATH", os.defpath)
        return shutil.which(program, path=f"{path}:/usr/local/sbin:/usr/sbin:/sbin")

    def says(self, argv: Sequence[str]) -> str:
        done = run(argv, doing=f"Asking {argv[0]} for its version", timeout=30)
        return done.stdout or done.stderr

    def text(self, path: Path) -> str | None:
        try:
            return path.read_text(errors="replace")
        except OSError:
            return None  # absent or forbidden: for an examination that is an answer

    def writable(self, folder: Path) -> bool:
        return os.access(folder, os.W_OK)

    def free(self, folder: Path) -> int:
        return shutil.disk_usage(folder).free


def examine(
    site_folder: Path, project: Path, *, machine: Machine | None = None, podman: bool = True
) -> list[Fact]:
    """Look at everything that a command may need. ``podman=False`` leaves the engine alone."""
    from ovenbird.seals.keys import told

    machine = ThisMachine() if machine is None else machine
    return [
        _python(project),
        _packer(machine),
        _docker_shim(machine),
        _haproxy(machine),
        _mmdebstrap(machine),
        *((*_engine(), _reboot(machine)) if podman else ()),
        _state_folder(site_folder, machine),
        _disk(site_folder, machine),
        _guard(project),
        _qemu(site_folder, machine),
        Fact(name="keys", state=State.OK, detail=told(site_folder)),
    ]


def exit_code(facts: Iterable[Fact]) -> int:
    """2 where something is missing, as for every machine that is not set up; else 0."""
    return 2 if any(fact.state is State.MISSING for fact in facts) else 0


def _python(project: Path) -> Fact:
    version = platform.python_version()
    lock = project / "locks" / f"python{version.rpartition('.')[0]}.txt"
    if lock.exists():
        return Fact(name="python", state=State.OK, detail=version)
    return Fact(
        name="python",
        state=State.WARN,
        detail=f"{version}, for which there is no {lock.parent.name}/{lock.name}",
        remedy="Use a Python that has a lock, or make one: docs/how-to/update-the-locks.md",
    )


def _program(
    machine: Machine,
    name: str,
    *,
    argv: Sequence[str],
    oldest: tuple[int, ...] = (),
    then: Callable[[str, tuple[int, ...]], Fact] | None = None,
) -> Fact:
    """A program that must be there, start, and be ``oldest`` or later."""
    if machine.which(name) is None:
        return Fact(
            name=name,
            state=State.MISSING,
            detail="is not installed",
            remedy=f"./bootstrap doctor installs it, or: apt-get install {name}",
        )
    path = machine.which(name) or name
    try:
        said = machine.says([path, *argv])
    except OvenbirdError as error:
        return Fact(name=name, state=State.MISSING, detail=error.problem, remedy=error.remedy)
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", said)
    if found is None:
        return Fact(name=name, state=State.OK, detail=f"{path}, of a version it does not tell")
    version = tuple(int(part) for part in found.groups() if part)
    if version < oldest:
        return Fact(
            name=name,
            state=State.MISSING,
            detail=f"{found[0]}, and {'.'.join(map(str, oldest))} or later is needed",
            remedy=f"Install a newer {name}, from its maker's package source if need be",
        )
    return then(found[0], version) if then else Fact(name=name, state=State.OK, detail=found[0])


def _packer(machine: Machine) -> Fact:
    def plugins(text: str, version: tuple[int, ...]) -> Fact:
        if version < (1, 7):
            return Fact(name="packer", state=State.OK, detail=f"{text}, its plug-ins built in")
        detail = f"{text}; the first bake fetches its plug-ins with packer init"
        return Fact(name="packer", state=State.OK, detail=detail)

    return _program(machine, "packer", argv=["version"], oldest=OLDEST_PACKER, then=plugins)


def _haproxy(machine: Machine) -> Fact:
    return _program(machine, "haproxy", argv=["-v"], oldest=OLDEST_HAPROXY)


def _mmdebstrap(machine: Machine) -> Fact:
    return _program(machine, "mmdebstrap", argv=["--version"])


def _docker_shim(machine: Machine) -> Fact:
    """Packer's builder calls ``docker``. A bake brings a shim of its own; plain Packer does not."""
    name, shim = "docker shim", Path("/usr/bin/docker")
    text = machine.text(shim)
    if text is None:
        return Fact(
            name=name,
            state=State.WARN,
            detail=f"{shim} is not there; bakes have their own, plain packer on podman has none",
            remedy="./bootstrap doctor installs it, or: apt-get install podman-docker",
        )
    if text.startswith("#!") and "podman" in text:
        return Fact(name=name, state=State.OK, detail=f"{shim} calls podman")
    detail = f"{shim} is a real docker; bakes on podman pass it over for a shim of their own"
    return Fact(name=name, state=State.OK, detail=detail)


def _engine() -> list[Fact]:
    """What podman says of itself: there ``ok`` with a remedy is a warning."""
    from ovenbird.provider import podman_engine

    def state(ok: bool, remedy: str) -> State:
        return State.MISSING if not ok else State.WARN if remedy else State.OK

    return [
        Fact(name=name, state=state(ok, remedy), detail=detail, remedy=remedy)
        for name, ok, detail, remedy in podman_engine.facts()
    ]


def _reboot(machine: Machine) -> Fact:
    unit = "default.target.wants/podman-restart.service"
    if any(machine.text(Path(f"/{where}/systemd/system/{unit}")) for where in ("etc", "usr/lib")):
        detail = "podman-restart.service starts the instances again"
        return Fact(name="reboot", state=State.OK, detail=detail)
    return Fact(
        name="reboot",
        state=State.WARN,
        detail="nothing starts the instances again after a reboot of this host",
        remedy="systemctl enable podman-restart.service; without systemd, at boot: podman start "
        "--all --filter restart-policy=always",
    )


def _state_folder(folder: Path, machine: Machine) -> Fact:
    from ovenbird.state.site import NETWORK, file_system

    name, stands = "state folder", _standing(folder)
    kind = file_system(stands.resolve())
    if kind in NETWORK or kind.startswith("fuse.sshfs"):
        return Fact(
            name=name,
            state=State.MISSING,
            detail=f"{folder} is on a network file system ({kind}), where locks do not hold",
            remedy="Name a local folder, or a PostgreSQL URL, in OVENBIRD_STATE",
        )
    if not machine.writable(stands):
        return Fact(
            name=name,
            state=State.MISSING,
            detail=f"{folder} cannot be written by this user",
            remedy="Correct its owner, or name another folder in OVENBIRD_STATE",
        )
    soon = "" if stands == folder else ", made when it is first needed"
    return Fact(name=name, state=State.OK, detail=f"{folder} ({kind}{soon})")


def _disk(folder: Path, machine: Machine) -> Fact:
    free = machine.free(_standing(folder))
    detail = f"{free / GIB:.1f} GiB free at {folder}"
    if free >= ROOMY:
        return Fact(name="disk", state=State.OK, detail=detail)
    return Fact(
        name="disk",
        state=State.WARN,
        detail=f"{detail}, {ROOMY // GIB} would be comfortable",
        remedy="See which images take it: invoke image.list",
    )


def _guard(project: Path) -> Fact:
    from ovenbird.bake import guard

    try:
        faults = guard.faults_of(project)
    except (Blocked, ConfigurationError) as error:
        return Fact(name="guard", state=State.MISSING, detail=error.problem, remedy=error.remedy)
    if not faults:
        return Fact(name="guard", state=State.OK, detail="Ansible is refused outside a bake")
    first, more = faults[0], len(faults) - 1
    detail = f"{first.file}: {first.problem}" + (f" (and {more} more)" if more else "")
    return Fact(name="guard", state=State.MISSING, detail=detail, remedy=first.remedy)


def _qemu(folder: Path, machine: Machine) -> Fact:
    from ovenbird.provider import qemu_accelerator as accelerator

    if machine.which(accelerator.QEMU) is None:
        detail = f"no {accelerator.QEMU} here; only bakes and fleets on qemu need it"
        return Fact(name="qemu", state=State.OK, detail=detail)
    text = machine.text(accelerator.answer_file(folder))
    opens = machine.writable(accelerator.DEVICE)
    detail, remedy = accelerator.told(folder, text, opens=opens)
    state = State.WARN if remedy else State.OK
    return Fact(name="qemu", state=state, detail=detail, remedy=remedy)


def _standing(folder: Path) -> Path:
    """The folder itself, or the nearest above it that exists."""
    return next(each for each in (folder, *folder.parents) if each.exists())
