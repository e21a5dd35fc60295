"""On which member of a cluster an instance is made: a fleet is spread over those that are there.

A member that is offline or evacuated gets nothing, and neither does one whose
``scheduler.instance`` is not ``all``: LXD's own way to say that nobody places there unasked.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from zlib import crc32

from pydantic import BaseModel, TypeAdapter

from ovenbird.provider.lxd_api import Lxd
from ovenbird.provider.lxd_seen import Row, label, rows, wanted
from ovenbird.values.errors import Blocked, NoCapacity
from ovenbird.values.fleet import Order


class _Member(BaseModel):
    server_name: str
    status: str
    config: dict[str, str] | None = None


_MEMBERS = TypeAdapter(list[_Member])


class Members:
    """Chooses members for one provider object. Launches at the same time see each other."""

    def __init__(self, lxd: Lxd) -> None:
        self._lxd, self._lock = lxd, threading.Lock()
        self._claims: dict[str, tuple[str, str]] = {}

    @contextmanager
    def chosen(
        self, order: Order, *, only: str | None, but: Collection[str]
    ) -> Iterator[str | None]:
        """Lend a member for one launch: ``only`` that one where it is named, and none of ``but``.
        None where LXD stands alone.

        Raises `NoCapacity` where no member is left, and `Blocked` where ``only`` is not there.
        """
        if not self._lxd.get("cluster", doing="Looking for the cluster")["enabled"]:
            yield None
            return
        with self._lock:
            member = self._choose(order, only=only, but=but)
            self._claims[order.token] = (member, generation(order.version, order.launch.hash))
        try:
            yield member
        finally:
            with self._lock:
                del self._claims[order.token]

    def _choose(self, order: Order, *, only: str | None, but: Collection[str]) -> str:
        listed = self._lxd.get("cluster", "members", doing="Listing members", recursion=1)
        known = _MEMBERS.validate_python(listed)
        online = [m for m in known if m.status == "Online" and m.server_name not in but]
        if only is not None:
            if only not in {m.server_name for m in online}:
                raise Blocked(
                    f"The volumes of {order.fleet.name}-{order.slot} lie on {only}, which is not "
                    "online.",
                    remedy="Nothing was launched: they are nowhere else. Bring that member back: "
                    "lxc cluster list",
                )
            return only
        open_ = [
            m.server_name
            for m in online
            if (m.config or {}).get("scheduler.instance", "all") == "all"
        ]
        if not open_:
            told = ", ".join(f"{m.server_name} is {m.status.lower()}" for m in known)
            told += "" if not online else " (and scheduler.instance is not all)"
            raise NoCapacity(
                f"No member of the cluster can take {order.token}: {told}.",
                remedy="Bring one back: lxc cluster list; lxc cluster restore MEMBER",
            )
        said = {"env": order.fleet.env, "fleet": order.fleet.name}
        asked = self._lxd.get(
            "instances", doing="Listing instances", recursion=1, filter=wanted(said)
        )
        return least_crowded(open_, order, there={**placed(rows(asked)), **self._claims})


def least_crowded(
    members: Collection[str], order: Order, *, there: Mapping[str, tuple[str, str]]
) -> str:
    """Choose the member with the fewest of this version and launch data, then of this fleet.

    ``there`` has member and generation by token. Among equals the slot decides, another member
    for each, so that many fleets of one instance do not all stand on the first.
    """
    mine = generation(order.version, order.launch.hash)

    def crowd(member: str) -> tuple[int, int, int, str]:
        here = [what for where, what in there.values() if where == member]
        turn = crc32(f"{order.fleet} {order.slot} {member}".encode())
        return here.count(mine), len(here), turn, member

    return min(members, key=crowd)


def placed(found: Collection[Row]) -> dict[str, tuple[str, str]]:
    """Say of each instance of ours on which member it is, and of which generation."""
    return {
        row.name: (
            row.location,
            generation(row.config[label("version")], row.config[label("launch")]),
        )
        for row in found
        if row.is_ours
    }


def generation(version: str, launch_hash: str) -> str:
    """Name what a rollout replaces as one: a version with its launch data."""
    return f"{version} {launch_hash}"
