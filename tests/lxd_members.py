"""Three members of one LXD cluster on loopback addresses: no namespaces and no network inside.

What a test needs that takes a member away. Everything of it lies in one folder.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cluster import require_lxd
from tests.lxd import PORT, Lxc, OneLxd
from tests.project import until

from ovenbird.values.engine import LxdSettings

JOIN = (
    'cluster: {{enabled: true, server_name: {name}, server_address: "{at}", cluster_token: {by}}}'
)


class Members:
    """The members by name; each is asked by its socket."""

    def __init__(self, folder: Path) -> None:
        self.known = {
            name: OneLxd(folder / name, folder / f"pool-{name}") for name in ("n1", "n2", "n3")
        }

    @property
    def first(self) -> Lxc:
        return self.known["n1"]

    @property
    def settings(self) -> LxdSettings:
        sockets = (f"unix:{member.folder}/unix.socket" for member in self.known.values())
        return LxdSettings(endpoints=tuple(sockets))

    def prepare(self) -> None:
        """Start the daemons, join them, and give each a pool."""
        port = PORT + 500 + os.getpid() % 400
        for member in self.known.values():
            member.folder.mkdir()
            member.start()
        for number, (name, member) in enumerate(self.known.items()):
            at = f"127.0.0.{11 + number}:{port}"
            if number == 0:
                member.run("lxc", "config", "set", "core.https_address", at)
                member.run("lxc", "config", "set", "images.compression_algorithm", "none")
                member.run("lxc", "cluster", "enable", name)
            else:
                token = self.first.run("lxc", "cluster", "add", name, "-q").split()[-1]
                text = JOIN.format(name=name, at=at, by=token)
                member.run("lxd", "init", "--preseed", stdin=text.encode())
        for name, member in self.known.items():
            member.pool.mkdir()
            source = f"source={member.pool}"
            self.first.run("lxc", "storage", "create", "default", "dir", source, "--target", name)
        self.first.run("lxc", "storage", "create", "default", "dir")
        device = ("root", "disk", "path=/", "pool=default")
        self.first.run("lxc", "profile", "device", "add", "default", *device)

    @contextmanager
    def away(self, token: str) -> Iterator[None]:
        """Take away the member that an instance is on. What runs there goes on, unseen."""
        member = self.known[self.location_of(token)]
        member.kill()
        try:
            yield
        finally:
            member.start()
            until(self.all_online, seconds=60)

    def all_online(self) -> bool:
        listed = json.loads(self.first.run("lxc", "query", "/1.0/cluster/members?recursion=1"))
        return {member["status"] for member in listed} == {"Online"}

    @contextmanager
    def evacuated(self, name: str) -> Iterator[None]:
        """Take a member out of service as an operator does."""
        self.first.run("lxc", "cluster", "evacuate", "--force", name)
        try:
            yield
        finally:
            self.first.run("lxc", "cluster", "restore", "--force", name)

    @contextmanager
    def no_room(self) -> Iterator[None]:
        """Let no member take an instance that is not placed by hand."""
        for name in self.known:
            self.first.run("lxc", "cluster", "set", name, "scheduler.instance=manual")
        try:
            yield
        finally:
            for name in self.known:
                self.first.run("lxc", "cluster", "set", name, "scheduler.instance=all")

    def location_of(self, token: str) -> str:
        said = json.loads(self.first.run("lxc", "query", f"/1.0/instances/{token}"))
        return str(said["location"])

    def close(self) -> None:
        for name in self.first.run("lxc", "list", "--format=csv", "--columns=n").split():
            self.first.run("lxc", "delete", "--force", name)
        for member in reversed(self.known.values()):
            member.shut_down()


@contextmanager
def three_members() -> Iterator[Members]:
    """Lend a cluster that is gone afterwards."""
    require_lxd()
    with tempfile.TemporaryDirectory(prefix="obm-", dir="/tmp") as at:
        # Whoever is root inside must reach its own files, and is nobody here.
        Path(at).chmod(0o711)
        members = Members(Path(at))
        try:
            members.prepare()
            yield members
        finally:
            members.close()
