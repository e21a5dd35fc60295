"""Build machines as processes of this host: found by their own state, ended, started by hand."""

from __future__ import annotations

import io
import os
import signal
import tarfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from ovenbird import process
from ovenbird.bake.lend import MOUNTED
from ovenbird.bake.oven_qemu_door import knocked
from ovenbird.values.errors import BakeFailed

MEMORY, CPUS = 1024, 2
"""Of a build machine: MiB, and processors."""


def pid_file(bake: Path) -> Path:
    """Where QEMU writes its process id; ``bake`` is the folder of the bake."""
    return bake / "build.pid"


def running(bake: Path, token: str) -> int | None:
    """Return the process id of a bake's machine. Another process of that id does not count."""
    try:
        pid = int(pid_file(bake).read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return None
    return pid if token in words else None


def end(bake: Path, token: str) -> None:
    """End a bake's machine at once, and return when it is gone. It is thrown away."""
    while (pid := running(bake, token)) is not None:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def start(said: Mapping[str, str], disk: Path, *, name: str) -> None:
    """Start a machine by hand on an overlay of its own. ``said`` is what Packer would be told."""
    of_image = ["-F", "qcow2", "-b", said["disk"]]
    words = ["qemu-img", "create", "-q", "-f", "qcow2", *of_image, str(disk)]
    process.run(words, doing=f"Making a disk for {name}")
    forwarded = f"hostfwd=tcp:127.0.0.1:{said['host_port']}-:{said['guest_port']}"
    words = [
        *("qemu-system-x86_64", "-name", name, "-daemonize", "-display", "none", "-no-reboot"),
        *("-machine", f"q35,accel={said['accelerator']}", "-cpu", said["cpu"]),
        *("-m", str(MEMORY), "-smp", str(CPUS)),
        *("-kernel", said["kernel"], "-initrd", said["initrd"], "-append", said["append"]),
        *("-drive", f"file={disk},format=qcow2,if=virtio"),
        *("-netdev", f"user,id=net,{forwarded}", "-device", "virtio-net-pci,netdev=net"),
        *("-serial", f"file:{said['console']}", "-pidfile", said["pid_file"]),
        *("-fw_cfg", said["door"]),
    ]
    process.run(words, doing=f"Starting {name}")


def lend(into: Sequence[str], lent: Path, *, deadline: float) -> None:
    """Wait until a machine lets us in, at most ``deadline`` seconds, and push what it is lent.

    Raises `BakeFailed` where it does not.
    """
    ends = time.monotonic() + deadline
    while not knocked([*into, "true"]):
        if time.monotonic() > ends:
            raise BakeFailed(
                f"The build machine has let nobody in for {deadline:g} s.",
                remedy="See its console.log beside the bake's ledger; its image needs an sshd.",
            )
        time.sleep(0.5)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        tar.add(lent, arcname=".")
    unpack = f"mkdir -p -m 0700 {MOUNTED} && tar -x -C {MOUNTED} -f - --no-same-owner"
    process.run([*into, "/bin/sh", "-c", unpack], doing="Lending", stdin=packed.getvalue())
