"""Volumes of QEMU: one disk file each, attached to one machine at a time, never ended with it.

FOLDER/qemu/volumes/NAME.qcow2. Who has one is what is written of the machines, so whoever decides
on that holds `deciding`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ovenbird import process
from ovenbird.provider.qemu_machine import held, machines
from ovenbird.values.errors import Blocked
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.instance import Volume

SIZE = "64G"
"""What a guest sees of a new volume. The file only has what was ever written."""


@contextmanager
def deciding(root: Path) -> Iterator[None]:
    """Keep everybody else from deciding who gets a volume or a port: for a moment."""
    with held(root / "locks" / "deciding.lock"):
        yield


def listed(root: Path, fleet: FleetKey, *, site: str) -> Collection[Volume]:
    """Report a fleet's volumes with the tokens of the machines that have them."""
    start = f"ovenbird.{site}.{fleet.env}.{fleet.name}."
    found = []
    for file in (root / "volumes").glob(f"{start}*.qcow2"):
        slot, spec = file.stem.removeprefix(start).split(".")
        found.append(
            Volume(
                name=file.stem,
                fleet=FleetKey(site=site, env=fleet.env, name=fleet.name),
                slot=int(slot),
                spec=spec,
                used_by=_users(root, file.stem),
            )
        )
    return tuple(sorted(found, key=lambda volume: (volume.slot, volume.spec)))


def attachable(root: Path, order: Order, *, site: str) -> dict[str, str]:
    """Return the name and the path of each volume of an order's slot.

    Raises `Blocked` where any other machine has one of them, running or not.
    """
    fleet = order.fleet
    # No name of ours has a dot, so no two fleets' parts can make the same whole.
    start = f"ovenbird.{site}.{fleet.env}.{fleet.name}.{order.slot}"
    found = {f"{start}.{spec.name}": spec.path for spec in order.volumes}
    for name in found:
        if users := [user for user in _users(root, name) if user != order.token]:
            raise Blocked(
                f"The volume {name} is attached to {users[0]}, so {order.token} was not started.",
                remedy="A volume has one writer. End that instance first.",
            )
    return found


def make(root: Path, name: str) -> bool:
    """Make a volume that is not there yet; say whether it was made. Raises `CommandFailed`."""
    file = path(root, name)
    if file.exists():
        return False
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    doing = f"Making the volume {name}"
    process.run(("qemu-img", "create", "-q", "-f", "qcow2", str(new), SIZE), doing=doing)
    new.rename(file)
    return True


def delete(root: Path, name: str) -> None:
    """Delete a volume for ever. Raises `Blocked` while a machine has it."""
    with deciding(root):
        if users := _users(root, name):
            raise Blocked(
                f"The volume {name} is in use by {users[0]}.",
                remedy="Nothing was deleted. End what uses it first.",
            )
        path(root, name).unlink(missing_ok=True)


def path(root: Path, name: str) -> Path:
    return root / "volumes" / f"{name}.qcow2"


def _users(root: Path, name: str) -> tuple[str, ...]:
    written = (machine.written() for machine in machines(root))
    return tuple(sorted(each.token for each in written if each and name in each.volumes))
