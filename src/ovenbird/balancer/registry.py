"""Which balancers there are: the entry points of the group ``ovenbird.balancers``.

A balancer is a class that is called with ``(fleet, spec, folder, health)`` and obeys the port.
``folder`` is the site's state folder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import cast

from ovenbird.balancer import Balancer
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck

GROUP = "ovenbird.balancers"

Maker = Callable[[FleetKey, BalancerSpec, Path, HealthCheck], Balancer]


def balancer_for(
    fleet: FleetKey, spec: BalancerSpec, *, folder: Path, health: HealthCheck
) -> Balancer:
    """Make the balancer that ``spec.kind`` names; raise `ConfigurationError` for an unknown one."""
    found = {point.name: point for point in entry_points(group=GROUP)}
    if spec.kind not in found:
        raise ConfigurationError.of(
            f"{fleet} names an unknown balancer: {spec.kind!r}.",
            remedy=f"Allowed: {', '.join(sorted(found)) or 'none, since nothing is installed'}.",
        )
    maker = cast("Maker", found[spec.kind].load())
    return maker(fleet, spec, folder, health)


def balancers_for(
    fleet: FleetKey, specs: Sequence[BalancerSpec], *, folder: Path, health: HealthCheck
) -> tuple[Balancer, ...]:
    """Make every balancer that can say who is in service, so ``kind: none`` is left out."""
    return tuple(
        balancer_for(fleet, spec, folder=folder, health=health)
        for spec in specs
        if spec.kind != "none"
    )
