"""An LXD cluster of three for the tests of one session, and what it leaves on this machine."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.live import HEALTH, LiveFleet
from tests.project import Project

from ovenbird import cluster as clusters
from ovenbird.clock import SystemClock
from ovenbird.cluster import Cluster, member, network
from ovenbird.console import Console
from ovenbird.values.errors import CommandFailed


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
        Path(made).chmod(0o711)
        folder, console = Path(made) / "c", Console()
        try:
            yield clusters.up(folder, members=members, console=console, clock=SystemClock())
        finally:
            clusters.down(folder, console=console)


def traces() -> dict[str, set[str]]:
    """Name all that a cluster could leave behind on this machine. What other engines make and
    remove meanwhile is none of it."""
    loops = _said("losetup", "--noheadings", "--output", "NAME,BACK-FILE", "--list")
    return {
        "processes": {
            f"{path.parent.name} {command}"
            for path in Path("/proc").glob("[0-9]*/cmdline")
            if any(word in (command := _read(path)) for word in ("lxd", "lxc monitor", "dnsmasq"))
        },
        "mounts": _ours(Path("/proc/self/mounts").read_text().splitlines()),
        "namespaces": _ours(path.name for path in Path("/run/netns").glob("*")),
        "links": _ours(path.name for path in Path("/sys/class/net").iterdir()),
        "loop devices": {line for line in loops if "/disks/" in line},
        "rules": _ours(
            [*_said("iptables", "-w", "-S"), *_said("iptables", "-w", "-t", "nat", "-S")]
        ),
        "folders": {str(path) for path in Path("/tmp").glob("obc-*")},
    }


def _ours(lines: Iterable[str]) -> set[str]:
    marks = ("ovenbird", "lxd", "lxc", "obc-", network.NET)
    return {line for line in lines if any(mark in line for mark in marks)}


def _said(*argv: str) -> list[str]:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()


def _read(path: Path) -> str:
    try:
        return path.read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


class ClusterFleet(LiveFleet):
    """A fleet of ``web`` on the instances of a cluster."""

    cluster: Cluster

    @classmethod
    def on(cls, cluster: Cluster, project: Project, name: str) -> ClusterFleet:
        fleet = cls(project, name)
        fleet.cluster = cluster
        return fleet

    def rolls_with(self, greeting: str, *words: str) -> float:
        """Change a launch value, which replaces every instance; return how long it took (s)."""
        self.declare(greeting=greeting)
        begun = time.monotonic()
        self.rollout(*words)
        return time.monotonic() - begun

    def members(self) -> dict[str, str]:
        """Ask LXD itself on which member each instance is."""
        return {each["name"]: each["location"] for each in self._instances()}

    def _instances(self) -> list[dict[str, Any]]:
        errors = []
        for each in self.cluster.members:
            try:
                told = member.lxc(each, "query", "/1.0/instances?recursion=1")
            except CommandFailed as error:  # its daemon was killed: any other one answers too
                errors.append(error)
                continue
            # Of one whose member is offline LXD tells the name and no more.
            mine = f"{self.env}-{self.name}-"
            return [row for row in json.loads(told) if row["name"].startswith(mine)]
        raise errors[0]

    def retire(self) -> None:
        for name in self.members():
            member.lxc(self.cluster.members[0], "delete", "--force", name)
        super().retire()

    def _entry(self) -> dict[str, object]:
        health = {**HEALTH, "healthy_deadline": "60s", "progress_deadline": "180s"}
        return {**super()._entry(), "provider": "lxd", "health": {**health, "lost_after": "10s"}}
