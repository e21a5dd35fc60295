"""Custom storage volumes of LXD: made by a launch, attached to one instance, never ended with it.

In a cluster a volume of a local pool lies on one member, and its slot's instances with it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from pydantic import BaseModel, TypeAdapter

from ovenbird.provider import labels
from ovenbird.provider.lxd_api import Lxd
from ovenbird.provider.lxd_errors import Refused, translated
from ovenbird.provider.lxd_seen import label
from ovenbird.values.errors import Blocked
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.instance import Volume


class _Row(BaseModel):
    name: str
    config: dict[str, str]
    used_by: list[str] | None = None
    location: str = ""

    @property
    def users(self) -> tuple[str, ...]:
        """Name the instances that have it, running or not; profiles too, by their path."""
        named = (path.partition("?")[0] for path in self.used_by or ())
        return tuple(sorted(path.removeprefix("/1.0/instances/") for path in named))


_ROWS = TypeAdapter(list[_Row])
_LABELS = tuple(map(label, labels.OF_A_VOLUME))


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachable:
    """What a launch needs of its slot's volumes: ``names`` with their paths inside, and the
    member on which they lie; None where there are none yet, or where every member reaches them."""

    names: dict[str, str]
    member: str | None


def listed(lxd: Lxd, fleet: FleetKey, *, site: str) -> Collection[Volume]:
    """Report a fleet's volumes with the names of the instances that have them."""
    mine = {label("site"): site, label("env"): fleet.env, label("fleet"): fleet.name}
    found = [
        Volume(
            name=row.name,
            fleet=FleetKey(site=site, env=fleet.env, name=fleet.name),
            slot=int(row.config[label("slot")]),
            spec=row.config[label("volume")],
            used_by=row.users,
        )
        for row in _all(lxd)
        if set(_LABELS) <= row.config.keys() and mine.items() <= row.config.items()
    ]
    return tuple(sorted(found, key=lambda volume: (volume.slot, volume.spec)))


def attachable(lxd: Lxd, order: Order, *, site: str) -> Attachable:
    """Say which volumes an order's slot has, and where. Nothing is made.

    Raises `Blocked` where any other instance has one of them, running or not.
    """
    names = {labels.volume_name(order, spec.name, site=site): spec.path for spec in order.volumes}
    known = [row for row in _all(lxd) if row.name in names] if names else []
    for row in known:
        if users := [user for user in row.users if user != order.token]:
            raise Blocked(
                f"The volume {row.name} is attached to {users[0]}, so {order.token} was not "
                "started.",
                remedy="A volume has one writer. See what that instance is (lxc list), and end "
                "it first.",
            )
    places = {row.location for row in known} - {"", "none"}
    return Attachable(names=names, member=min(places, default=None))


def make(lxd: Lxd, order: Order, *, site: str, member: str | None) -> None:
    """Make the volumes that are not there yet, where the instance will be."""
    there = {row.name for row in _all(lxd)} if order.volumes else set()
    for spec in order.volumes:
        name = labels.volume_name(order, spec.name, site=site)
        if name in there:
            continue
        said = labels.of_volume(order, spec.name, site=site)
        config = {label(key): value for key, value in said.items()}
        try:
            lxd.post(
                *_path(lxd),
                doing=f"Making the volume {name}",
                body={"name": name, "config": config},
                target=member,
            )
        except Refused as refused:
            if not refused.is_there_already:
                raise translated(refused, what=name) from refused


def delete(lxd: Lxd, name: str) -> None:
    """Delete a volume for ever. Raises `Blocked` while an instance has it."""
    row = next((row for row in _all(lxd) if row.name == name), None)
    if row is None:
        return
    if row.users:
        raise Blocked(
            f"The volume {name} is in use by {row.users[0]}.",
            remedy="Nothing was deleted. End what uses it first.",
        )
    target = row.location if row.location not in ("", "none") else None
    try:
        lxd.delete(*_path(lxd), name, doing=f"Deleting the volume {name}", target=target)
    except Refused as refused:
        if not refused.is_gone:
            raise translated(refused, what=name) from refused


def _path(lxd: Lxd) -> tuple[str, ...]:
    return ("storage-pools", lxd.settings.pool, "volumes", "custom")


def _all(lxd: Lxd) -> list[_Row]:
    try:
        found = lxd.get(*_path(lxd), doing="Listing volumes", recursion=1)
    except Refused as refused:
        raise translated(refused, what=lxd.settings.pool) from refused
    return _ROWS.validate_python(found)
