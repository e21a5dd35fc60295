"""How one virtual machine is started: what is written first, its disk, its launch data, its QEMU.

Whoever finds it half made goes on from there. What others may read of a process is its argv: that
names the file of the launch data, in a folder that only its owner enters.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from ovenbird import process
from ovenbird.provider import qemu_accelerator, qemu_volumes
from ovenbird.provider.qemu_accelerator import QEMU, comma
from ovenbird.provider.qemu_errors import disk_full, port_taken
from ovenbird.provider.qemu_machine import Machine, Written, machines, this_boot
from ovenbird.provider.qemu_store import Golden
from ovenbird.provider.seed import seed
from ovenbird.values.engine import QemuSettings
from ovenbird.values.errors import CommandFailed, NoCapacity
from ovenbird.values.fleet import Order

SEED = "opt/ovenbird/seed"
"""The name under which a guest finds its launch data: /sys/firmware/qemu_fw_cfg/by_name/…/raw."""

ROOM = 256
"""MiB that must be free for one more overlay: about what a first boot writes, and some air."""

_LONGEST = 60.0
_TRIES = 5
_SAID = "panic=-1 systemd.journald.forward_to_console=1 systemd.journald.max_level_console=info"
"""A panic is an end, and not a silence; and without the rest a bad image would die wordless."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extra:
    """What a proof adds to a machine that is thrown away: ``argv`` for QEMU, words for its
    kernel's command line, and ``forwards`` of loopback ports to ports of the guest's."""

    argv: tuple[str, ...] = ()
    append: str = ""
    forwards: tuple[tuple[int, int], ...] = ()


def intend(
    root: Path, machine: Machine, order: Order, *, site: str, settings: QemuSettings
) -> Written:
    """Write what is ordered, with a port and the volumes of its slot, before anything is made.

    What an earlier attempt wrote of it keeps its id. Raises `NoCapacity` and `Blocked`.
    """
    memory = _memory_of(order, settings)
    inside = None if order.job else order.contract.port
    has_port = inside is not None and not settings.bridge
    with qemu_volumes.deciding(root):
        volumes = qemu_volumes.attachable(root, order, site=site)
        _require_room(root, memory, what=f"Starting {order.token}")
        known = machine.written()
        written = Written(
            id=known.id if known else str(uuid4()),
            token=order.token,
            site=site,
            env=order.fleet.env,
            fleet=order.fleet.name,
            version=order.version,
            launch=order.launch.hash,
            slot=order.slot,
            job=order.job,
            artifact=order.artifact.id,
            launched_at=known.launched_at if known else datetime.now(UTC),
            boot=this_boot(),
            memory=memory,
            port=_free_port(root) if has_port else None,
            inside=inside,
            volumes=volumes,
        )
        machine.write(written)
    return written


def start(
    root: Path,
    machine: Machine,
    order: Order,
    written: Written,
    *,
    golden: Golden,
    accelerator: str,
    settings: QemuSettings,
    extra: Extra,
) -> None:
    """Make its disk and its launch data, and start it. Raises `CommandFailed` and `OSError`."""
    serials = {f"volume-{n}": path for n, path in enumerate(written.volumes.values())}
    _write_privately(machine.seed, seed(order, disks=serials))
    machine.overlay.unlink(missing_ok=True)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(golden.disk)]
    process.run(
        [*argv, str(machine.overlay)],
        doing=f"Making the disk of {order.token}",
        leave_after=_LONGEST,
    )
    for tries_left in reversed(range(_TRIES)):
        argv = [
            *_machine(machine, order, written, settings, accelerator),
            *_disks(root, machine, written),
            *_network(written, settings, extra),
            *_boot(golden, extra, name=order.token),
        ]
        try:
            process.run(
                argv,
                doing=f"Starting {order.token}",
                leave_after=_LONGEST,
                cwd=machine.folder,  # where the monitor's socket is, by a name that is short
            )
            machine.mark_as_started()
            return
        except CommandFailed as failure:
            if not (port_taken(failure.output) and tries_left):
                raise
        with qemu_volumes.deciding(root):
            written = written.model_copy(update={"port": _free_port(root)})
            machine.write(written)


def _memory_of(order: Order, settings: QemuSettings) -> int:
    """Return its memory in MiB, at least 1."""
    said = order.launch.resources.memory or settings.memory
    kib = int(said[:-1]) * {"k": 1, "m": 1 << 10, "g": 1 << 20}[said[-1]]
    return max(1, kib >> 10)


def a_free_port() -> int:
    """Choose a port of loopback that nobody listens on."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def mac_of(token: str) -> str:
    """A machine's address on its wire: the same for one token, locally administered."""
    digits = hashlib.sha256(token.encode()).hexdigest()[:10]
    return ":".join(["52", *(digits[n : n + 2] for n in range(0, 10, 2))])


def _machine(
    machine: Machine, order: Order, written: Written, settings: QemuSettings, accelerator: str
) -> list[str]:
    cpus = math.ceil(order.launch.resources.cpus or settings.cpus)
    return [
        *(QEMU, "-name", order.token, "-uuid", written.id),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", "q35", *qemu_accelerator.flags(accelerator)),
        *("-m", str(written.memory), "-smp", str(cpus)),
        *("-device", "virtio-rng-pci"),
        *("-chardev", f"file,id=console,path={comma(machine.console)},append=on"),
        *("-serial", "chardev:console"),
        *("-chardev", "socket,id=qmp,path=qmp.sock,server=on,wait=off"),
        *("-mon", "chardev=qmp,mode=control"),
        *("-fw_cfg", f"name={SEED},file={comma(machine.seed)}"),
        *("-daemonize", "-pidfile", str(machine.pidfile)),
    ]


def _disks(root: Path, machine: Machine, written: Written) -> list[str]:
    files = {"disk": machine.overlay}
    files |= {f"volume-{n}": qemu_volumes.path(root, v) for n, v in enumerate(written.volumes)}
    argv = []
    for name, file in files.items():
        node = f"driver=qcow2,node-name={name},discard=unmap,detect-zeroes=unmap"
        argv += ["-blockdev", f"{node},file.driver=file,file.filename={comma(file)}"]
        # A guest that was stopped for a full disk would never be heard of again: it is told.
        device = f"virtio-blk-pci,drive={name},serial={name},werror=report,rerror=report"
        argv += ["-device", device]
    return argv


def _network(written: Written, settings: QemuSettings, extra: Extra) -> list[str]:
    if settings.bridge:
        way = f"bridge,id=net,br={settings.bridge}"
    else:
        pairs = list(extra.forwards)
        if written.port is not None and written.inside is not None:
            pairs.append((written.port, written.inside))
        forwards = [f",hostfwd=tcp:127.0.0.1:{host}-:{guest}" for host, guest in pairs]
        way = "user,id=net" + "".join(forwards)
    card = f"virtio-net-pci,netdev=net,romfile=,mac={mac_of(written.token)}"
    return ["-netdev", way, "-device", card]


def _boot(golden: Golden, extra: Extra, *, name: str) -> Sequence[str]:
    boot = golden.boot
    if not boot.kernel:
        return list(extra.argv)
    hostname = f"systemd.hostname={name}"
    append = " ".join(filter(None, (boot.append, _SAID, hostname, extra.append)))
    argv = ["-kernel", str(golden.folder / boot.kernel), "-append", append]
    if boot.initrd:
        argv += ["-initrd", str(golden.folder / boot.initrd)]
    return [*argv, *extra.argv]


def _free_port(root: Path) -> int:
    """Choose a loopback port that nobody listens on and no other machine of ours may have."""
    written = (machine.written() for machine in machines(root))
    taken = {each.port for each in written if each}
    while (port := a_free_port()) in taken:
        pass
    return port


def _require_room(root: Path, memory: int, *, what: str) -> None:
    """Raise `NoCapacity` unless an overlay and the guest's memory have room here.

    What running guests were granted and have not touched yet counts as taken.
    """
    root.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(root).free >> 20
    if free < ROOM:
        said = f"{free} MiB are free, {ROOM} are needed."
        raise disk_full(what, where=root, evidence=said)
    granted = 0
    for machine in machines(root):
        written = machine.written()
        if written is not None and machine.pid() is not None:
            granted += max(0, written.memory - machine.resident())
    left = _available_memory() - granted
    if left < memory:
        raise NoCapacity(
            f"{what}: it needs {memory} MiB of memory, and {max(0, left)} are left.",
            remedy="Make the fleet smaller, or ask for less: resources.memory of the fleet.",
        )


def _available_memory() -> int:
    """Return what this host can give without swapping, in MiB."""
    with open("/proc/meminfo") as file:
        facts = dict(line.split(":", 1) for line in file)
    return int(facts["MemAvailable"].split()[0]) >> 10


def _write_privately(path: Path, content: bytes) -> None:
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
