"""An LXD cluster of three for the tests of one session, and what it leaves on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ovenbird import cluster as clusters
from ovenbird.clock import SystemClock
from ovenbird.cluster import Cluster
from ovenbird.console import Console


def require_lxd() -> None:
    """Skip where this machine has no LXD, or we may not make namespaces."""
    if shutil.which("lxd") is None:
        pytest.skip("LXD is not installed: apt-get install lxd lxd-client btrfs-progs dnsmasq-base")
    if os.geteuid() != 0:
        pytest.skip("network namespaces and mounts need root")


@contextmanager
def a_cluster(*, members: int = 3) -> Iterator[Cluster]:
    """Lend a cluster that is gone afterwards. Its folder is short: a socket's path is."""
    require_lxd()
    with tempfile.TemporaryDirectory(prefix="obc-", dir="/tmp") as made:
        folder, console = Path(made) / "c", Console()
        try:
            yield clusters.up(folder, members=members, console=console, clock=SystemClock())
        finally:
            clusters.down(folder, console=console)


def traces() -> dict[str, set[str]]:
    """Name all that a cluster could leave behind on this machine."""
    loops = _said("losetup", "--noheadings", "--output", "NAME,BACK-FILE", "--list")
    return {
        "processes": {
            f"{path.parent.name} {command}"
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if any(word in (command := _read(path)) for word in ("lxd", "lxc monitor", "dnsmasq"))
        },
        "mounts": set(Path("/proc/self/mounts").read_text().splitlines()),
        "namespaces": {path.name for path in Path("/run/netns").glob("*")},
        "links": {path.name for path in Path("/sys/class/net").iterdir()},
        "loop devices": {line for line in loops if "/disks/" in line},
        "rules": {*_said("iptables", "-S"), *_said("iptables", "-t", "nat", "-S")},
        "folders": {str(path) for path in Path("/tmp").glob("obc-*")},
    }


def _said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def _read(path: Path) -> str:
    try:
        return path.read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""
