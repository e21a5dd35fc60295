"""One member of a cluster: a daemon in a namespace, and what can be done to it from outside."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ovenbird import process
from ovenbird.clock import Clock
from ovenbird.values.errors import CommandFailed, EngineUnreachable

POOL_SIZE = "8GiB"
"""Of a sparse file for each member."""

PATIENCE = 60
"""Seconds within which a daemon must answer."""

# A daemon sees its own namespace in /sys, and the cgroups of the host below it.
_START = """\
exec >"$1" 2>&1 </dev/null
mount --make-rprivate /
mkdir -p "$2" && mount --rbind /sys/fs/cgroup "$2"
exec nsenter --net="/run/netns/$3" sh -c '
mount -t sysfs sysfs /sys && mount --rbind "$1" /sys/fs/cgroup && exec lxd --group lxd
' sh "$2"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """``folder`` is its LXD_DIR."""

    name: str
    folder: Path
    netns: str
    link: str
    address: str

    @classmethod
    def numbered(cls, n: int, *, folder: Path) -> Self:
        return cls(
            name=f"n{n}",
            folder=folder / f"n{n}",
            netns=f"ovenbird-n{n}",
            link=f"ovenbird-n{n}",
            address=f"10.78.0.{10 + n}",
        )

    @property
    def endpoint(self) -> str:
        return f"https://{self.address}:8443"


def start(member: Member, *, clock: Clock) -> None:
    """Start the daemon of a member, and wait until it answers. Its instances come back with it."""
    member.folder.mkdir(mode=0o711, exist_ok=True)
    log, cgroups = member.folder.with_suffix(".log"), member.folder.with_suffix(".cgroup")
    began = clock.now()
    words = ["unshare", "--mount", "sh", "-c", _START, "sh", str(log), str(cgroups), member.netns]
    process.run(
        ["sh", "-c", 'exec setsid --fork "$@"', "sh", *words],
        doing=f"Starting LXD as {member.name}",
        env={"LXD_DIR": str(member.folder)},
    )
    while not _answers(member):
        if (clock.now() - began).total_seconds() > PATIENCE:
            raise EngineUnreachable(
                f"LXD as {member.name} does not answer within {PATIENCE} s.",
                remedy=f"See its log: {log}",
                evidence="\n".join(log.read_text().splitlines()[-8:]),
            )
        clock.sleep(0.1)


def lxc(member: Member, *words: str, stdin: bytes | None = None) -> str:
    """Ask a member through its own socket; return what it prints."""
    env = {"LXD_DIR": str(member.folder), "LXD_CONF": str(member.folder.parent / "lxc")}
    doing = f"lxc {' '.join(words[:2])} on {member.name}"
    return process.run(["lxc", *words], doing=doing, env=env, stdin=stdin).stdout


def begin_cluster(member: Member) -> None:
    lxc(member, "config", "set", "core.https_address", f"{member.address}:8443")
    lxc(member, "config", "set", "images.compression_algorithm", "none")
    lxc(member, "cluster", "enable", member.name)


def join_cluster(member: Member, first: Member) -> None:
    token = lxc(first, "cluster", "add", member.name, "--quiet").split()[-1]
    preseed = {
        "cluster": {
            "enabled": True,
            "server_name": member.name,
            "server_address": f"{member.address}:8443",
            "cluster_token": token,
        }
    }
    process.run(
        ["lxd", "init", "--preseed"],
        doing=f"{member.name} joins the cluster",
        env={"LXD_DIR": str(member.folder)},
        stdin=json.dumps(preseed).encode(),
    )


def make_pool(members: Sequence[Member]) -> None:
    """Make the storage pool and the profile that instances use."""
    first = members[0]
    for member in members:
        pool = ("storage", "create", "default", "btrfs", f"size={POOL_SIZE}")
        lxc(first, *pool, "--target", member.name)
    lxc(first, "storage", "create", "default", "btrfs")
    device = ("profile", "device", "add", "default")
    lxc(first, *device, "root", "disk", "path=/", "pool=default")
    lxc(first, *device, "eth0", "nic", "nictype=bridged", "parent=br0", "name=eth0")


def kill_daemon(member: Member) -> None:
    """End the daemon at once, as a crash would; its instances go on."""
    for pid in _daemons(member):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def end(member: Member) -> None:
    """End a member and all that runs in it; what is gone already is fine."""
    for _ in range(10):
        pids = _processes(member)
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if not pids:
            break
    if Path(f"/run/netns/{member.netns}").exists():
        process.run(["ip", "netns", "del", member.netns], doing=f"Removing {member.netns}")
    if Path(f"/sys/class/net/{member.link}").exists():  # the kernel ends a namespace when it likes
        process.run(["ip", "link", "del", member.link], doing="Removing a link", check=False)
    for loop in _loops(member):
        process.run(["losetup", "--detach", loop], doing=f"Letting go of {loop}", check=False)


def _answers(member: Member) -> bool:
    asked = ["lxd", "waitready", "--timeout=2"]
    try:
        process.run(asked, doing="Waiting for LXD", env={"LXD_DIR": str(member.folder)})
    except CommandFailed:
        return False
    return True


def _daemons(member: Member) -> Iterator[int]:
    """Find the daemon of a member, and what else of LXD's own it has started."""
    for pid in _in_namespace(member):
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0] == b"lxd":
                yield pid


def _processes(member: Member) -> set[int]:
    """Find all that belongs to a member: what runs in its namespace, and below that."""
    own = set(_in_namespace(member))
    return own | _below(own)


def _in_namespace(member: Member) -> Iterator[int]:
    space = Path(f"/run/netns/{member.netns}")
    if not space.exists():
        return
    wanted = space.stat()
    for pid in _pids():
        with suppress(OSError):
            if os.path.samestat(wanted, os.stat(f"/proc/{pid}/ns/net")):
                yield pid


def _below(parents: set[int]) -> set[int]:
    """Find the descendants of processes."""
    children: dict[int, set[int]] = {}
    for pid in _pids():
        with suppress(OSError):
            parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, set()).add(pid)
    found: set[int] = set()
    waiting = list(parents)
    while waiting:
        new = children.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def _pids() -> Iterator[int]:
    yield from (int(each.name) for each in Path("/proc").iterdir() if each.name.isdecimal())


def _loops(member: Member) -> Iterator[str]:
    listed = process.run(["losetup", "--json", "--list"], doing="Listing loop devices").stdout
    for device in json.loads(listed or '{"loopdevices": []}')["loopdevices"]:
        if str(device["back-file"]).startswith(f"{member.folder}/"):
            yield device["name"]
