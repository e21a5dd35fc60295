"""What is written on an instance and on a volume, whatever the engine calls it: all that anybody
may read who may list them. Each engine puts a prefix of its own before the names."""

from __future__ import annotations

from ovenbird.values.fleet import Order

OF_A_VOLUME = ("site", "env", "fleet", "slot", "volume")


def of_instance(order: Order, *, site: str) -> dict[str, str]:
    """Say whose an instance is and what it runs."""
    said = {
        "site": site,
        "env": order.fleet.env,
        "fleet": order.fleet.name,
        "version": order.version,
        "launch": order.launch.hash,
        "token": order.token,
        "slot": str(order.slot),
    }
    return {**said, "job": order.job} if order.job else said


def of_volume(order: Order, spec: str, *, site: str) -> dict[str, str]:
    """Say whose the volume ``spec`` of an order's slot is, by `OF_A_VOLUME`."""
    fleet = order.fleet
    values = (site, fleet.env, fleet.name, str(order.slot), spec)
    return dict(zip(OF_A_VOLUME, values, strict=True))


def volume_name(order: Order, spec: str, *, site: str) -> str:
    """Name the volume ``spec`` of an order's slot. No name of ours has a dot, so no two fleets'
    parts can make the same whole."""
    return f"ovenbird.{site}.{order.fleet.env}.{order.fleet.name}.{order.slot}.{spec}"
