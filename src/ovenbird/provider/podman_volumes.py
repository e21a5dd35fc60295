"""Volumes of podman: made by a launch, attached to one instance at a time, never ended with it."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import BaseModel, Field, TypeAdapter

from ovenbird.provider import labels
from ovenbird.provider.podman_cli import Podman
from ovenbird.provider.podman_errors import gone, translated
from ovenbird.provider.podman_seen import label
from ovenbird.values.errors import Blocked, CommandFailed
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.instance import Volume


class _Row(BaseModel):
    name: str = Field(alias="Name")
    labels: dict[str, str] | None = Field(alias="Labels", default=None)


_LISTING = TypeAdapter(list[_Row])
_LABELS = tuple(map(label, labels.OF_A_VOLUME))


def listed(podman: Podman, fleet: FleetKey, *, site: str) -> Collection[Volume]:
    """Report a fleet's volumes with the names of the containers that have them."""
    wanted = {label("site"): site, label("env"): fleet.env, label("fleet"): fleet.name}
    # Of several labels podman 4 lists what has any one, so the others are compared here.
    mine = f"--filter=label={label('site')}={site}"
    done = podman.ask("volume", "ls", mine, "--format", "json", doing="Listing volumes")
    found = [
        Volume(
            name=row.name,
            fleet=FleetKey(site=site, env=fleet.env, name=fleet.name),
            slot=int(row.labels[label("slot")]),
            spec=row.labels[label("volume")],
            used_by=_users(podman, row.name),
        )
        for row in _LISTING.validate_json(done.stdout.strip() or "[]")
        if row.labels is not None
        and set(_LABELS) <= row.labels.keys()
        and wanted.items() <= row.labels.items()
    ]
    return tuple(sorted(found, key=lambda volume: (volume.slot, volume.spec)))


def attachable(podman: Podman, order: Order, *, site: str) -> dict[str, str]:
    """Make the volumes of an order's slot where there are none yet; return name and path of each.

    Raises `Blocked` where any other container has one of them, running or not.
    """
    found = {}
    for spec in order.volumes:
        name = labels.volume_name(order, spec.name, site=site)
        if users := [user for user in _users(podman, name) if user != order.token]:
            raise Blocked(
                f"The volume {name} is attached to {users[0]}, so {order.token} was not started.",
                remedy="A volume has one writer. See what that container is (podman ps --all), "
                "and end it first.",
            )
        _make(podman, name, order, spec.name, site=site)
        found[name] = spec.path
    return found


def delete(podman: Podman, name: str) -> None:
    """Delete a volume for ever. Raises `Blocked` while a container has it."""
    if users := _users(podman, name):
        raise Blocked(
            f"The volume {name} is in use by {users[0]}.",
            remedy="Nothing was deleted. End what uses it first.",
        )
    try:
        podman.change("volume", "rm", name, doing=f"Deleting the volume {name}")
    except CommandFailed as failure:
        if not gone(failure.output):
            raise translated(failure, what=name) from failure


def _make(podman: Podman, name: str, order: Order, spec: str, *, site: str) -> None:
    if podman.ask("volume", "exists", name, doing="Looking for a volume", check=False).code == 0:
        return
    said = labels.of_volume(order, spec, site=site)
    flags = [f"--label={label(key)}={value}" for key, value in said.items()]
    try:
        podman.change("volume", "create", *flags, name, doing=f"Making the volume {name}")
    except CommandFailed as failure:
        raise translated(failure, what=name) from failure


def _users(podman: Podman, name: str) -> tuple[str, ...]:
    """Name every container that has a volume, whatever its state."""
    wanted = (f"--filter=volume={name}", "--format", "{{.Names}}")
    done = podman.ask("ps", "--all", *wanted, doing=f"Asking who has {name}")
    return tuple(sorted(done.stdout.split()))
