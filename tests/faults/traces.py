"""What a killed driver may leave in the kernel: programs, network namespaces, mounts.

Others may be at work on the same engine, so only what is certainly of one fleet is looked at:
programs by a mark in their environment, the rest by what was known of its containers.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.driver import MARK

PATIENCE = 5.0
"""Seconds that an engine may take to clean up behind itself."""

Ask = Callable[..., str]
"""Runs podman with these words and returns what it printed."""


def programs_left(folder: Path, allowed: Callable[[str], bool] = lambda words: False) -> list[str]:
    """Name the programs that a driver of the site in ``folder`` started and that still run, but
    for those ``allowed``."""
    mark, found = f"{MARK}={folder}/".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
        except OSError:  # it has ended, or is not ours to read
            continue
        if mark in environment and int(process.name) != os.getpid():
            found += [] if allowed(words) else [f"process {process.name} is left: {words[:150]}"]
    return found


@dataclass(slots=True, kw_only=True)
class PodmanTraces:
    """Programs, namespaces and mounts of a fleet's containers that are gone.

    ``list_names`` names the containers that there are. What each of them has is noted by
    `remember`, to be asked whenever there may be new ones.
    """

    ask: Ask
    site: Path
    list_names: Callable[[], Sequence[str]]
    ids: dict[str, str] = field(default_factory=dict)
    spaces: dict[str, str] = field(default_factory=dict)
    roots: dict[str, str] = field(default_factory=dict)

    def remember(self) -> set[str]:
        """Note what the containers have that there are now, and return their names."""
        names = self.list_names()
        told = self.ask("inspect", *names, check=False) if names else "[]"
        for each in json.loads(told or "[]"):
            name = each["Name"]
            self.ids[name] = each["Id"]
            self.spaces[name] = Path(each["NetworkSettings"].get("SandboxKey") or "-").name
            data = each.get("GraphDriver", {}).get("Data") or {}
            self.roots[name] = data.get("MergedDir") or self.roots.get(name, "-")
        return set(names)

    def left(self) -> list[str]:
        """Say what is left, after the time that podman may take to clean up."""
        ends = time.monotonic() + PATIENCE
        while (left := self._look()) and time.monotonic() < ends:
            time.sleep(0.2)
        return left

    def _look(self) -> list[str]:
        there = self.remember()
        gone = self.ids.keys() - there
        alive = [self.ids[name] for name in there if name in self.ids]
        mounts = [line.split(" ")[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        spaces = {path.name for path in Path("/run/netns").glob("netns-*")}
        return [
            *programs_left(self.site, lambda words: self._is_known(words, alive)),
            *(f"the namespace of {name} is left" for name in gone if self.spaces[name] in spaces),
            *(f"the root of {name} is mounted" for name in gone if self.roots[name] in mounts),
            *(
                f"{point} is mounted"
                for name in gone
                for point in mounts
                if f"/overlay-containers/{self.ids[name]}/" in point
            ),
        ]

    def _is_known(self, words: str, alive: Sequence[str]) -> bool:
        """Allow what must outlive a driver: the site's HAProxy, and what holds a container."""
        haproxy = "haproxy" in words.split(" ")[0] and str(self.site) in words
        return haproxy or any(id_ in words for id_ in alive)
