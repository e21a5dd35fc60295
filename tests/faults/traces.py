"""What a killed driver may leave in the kernel: programs, network namespaces, mounts."""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.driver import MARK

PATIENCE = 5.0
"""Seconds that an engine may take to clean up behind itself."""

Ask = Callable[..., str]
"""Runs podman with these words and returns what it printed."""


def programs_left(allowed: Callable[[str], bool] = lambda words: False) -> list[str]:
    """Name the programs that a driver started and that still run, but for those ``allowed``."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:  # it has ended, or is not ours to read
            continue
        if MARK.encode() in environment and int(process.name) != os.getpid():
            found += [] if allowed(words) else [f"process {process.name} is left: {words[:150]}"]
    return found


@dataclass(slots=True, kw_only=True)
class PodmanTraces:
    """Programs, namespaces and mounts of podman's that belong to no container.

    What was there when this was made is somebody else's and does not count.
    """

    ask: Ask
    site: Path
    before: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.before = self._look()

    def left(self) -> list[str]:
        """Say what is left, after the time that podman may take to clean up."""
        ends = time.monotonic() + PATIENCE
        while (left := self._look() - self.before) and time.monotonic() < ends:
            time.sleep(0.2)
        return sorted(left)

    def _look(self) -> set[str]:
        ids = self.ask("ps", "--all", "--quiet", "--no-trunc").split()
        known = json.loads(self.ask("inspect", *ids, check=False)) if ids else []
        spaces = {Path(str(each["NetworkSettings"].get("SandboxKey", ""))).name for each in known}
        roots = {
            str(each.get("GraphDriver", {}).get("Data", {}).get("MergedDir")) for each in known
        }
        return {
            *programs_left(lambda words: self._is_known(words, ids)),
            *self._namespaces(spaces),
            *self._mounts(set(ids), roots),
        }

    def _is_known(self, words: str, ids: list[str]) -> bool:
        """Allow what must outlive a driver: the site's HAProxy, and what holds a container."""
        return str(self.site) in words or any(id_ in words for id_ in ids)

    @staticmethod
    def _namespaces(known: set[str]) -> set[str]:
        there = {path.name for path in Path("/run/netns").glob("netns-*")}
        return {f"namespace {name} is left" for name in there - known}

    @staticmethod
    def _mounts(ids: set[str], roots: set[str]) -> set[str]:
        left = set()
        for line in Path("/proc/self/mounts").read_text().splitlines():
            point = line.split(" ")[1]
            of = re.search(r"/overlay-containers/([0-9a-f]{64})/", point)
            lost = of is not None and of.group(1) not in ids
            if lost or (point.endswith("/merged") and point not in roots):
                left.add(f"mount {point} is left")
        return left
