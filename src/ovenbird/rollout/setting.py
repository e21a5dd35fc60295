"""What a rollout works with: a fleet as it is wanted, and every port to the world it needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ovenbird.balancer import Balancer
from ovenbird.catalog import Catalog
from ovenbird.clock import Clock
from ovenbird.console import Console
from ovenbird.fleet.health import Probe
from ovenbird.provider import Engine
from ovenbird.rollout.book import Book
from ovenbird.rollout.calls import Calls
from ovenbird.rollout.checkpoints import Checkpoints
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.lease import Leases
from ovenbird.rollout.records import Records
from ovenbird.state.site import Site
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import Fleet, FleetKey
from ovenbird.values.limits import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One fleet and its surroundings. ``probe_for`` makes a probe that is told who is accepted."""

    project: Path
    site: Site
    fleet: Fleet
    key: FleetKey
    catalog: Catalog
    provider: Engine
    balancers: Sequence[Balancer]
    probe_for: Callable[[Collection[str]], Probe]
    journal: Journal
    records: Records
    checkpoints: Checkpoints
    book: Book
    leases: Leases
    calls: Calls
    clock: Clock
    console: Console
    by: str
    bounds: Bounds = field(init=False)

    def __post_init__(self) -> None:
        bounds = self.fleet.procedure.bounds(self.fleet.limits, self.fleet.size)
        bounds = replace(bounds, numbered=self.fleet.is_stateful)
        object.__setattr__(self, "bounds", bounds)


def require_room(fleet: Fleet) -> None:
    """Refuse a recorded size that the limits of the file leave no room to replace anything in."""
    try:
        fleet.procedure.bounds(fleet.limits, fleet.size)
    except ConfigurationError as error:
        raise ConfigurationError.of(
            error.problem,
            remedy=f"Change the fleet's limits, or give it another size: invoke fleet.scale "
            f"{fleet.name} N --env {fleet.env} (or reset).",
            file=fleet.file,
            line=fleet.line,
        ) from error
