"""What a rollout works with: a fleet as it is wanted, and every port to the world it needs."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from ovenbird.balancer import Balancer
from ovenbird.catalog import Catalog
from ovenbird.clock import Clock
from ovenbird.console import Console
from ovenbird.fleet.health import Probe
from ovenbird.provider import Engine
from ovenbird.rollout.book import Book, Standing
from ovenbird.rollout.calls import Calls
from ovenbird.rollout.checkpoints import Checkpoints
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.lease import Leases
from ovenbird.rollout.records import Records
from ovenbird.rollout.vouched import Vouching
from ovenbird.state.site import Site
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.fleet import Fleet, FleetKey
from ovenbird.values.limits import Bounds


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One fleet and its surroundings. ``probe_for`` makes a probe that is told who is accepted;
    ``standing`` is what the site knew of the fleet when this was made: its size was read there."""

    project: Path
    site: Site
    fleet: Fleet
    key: FleetKey
    catalog: Catalog
    vouching: Vouching
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
    standing: Standing
    bounds: Bounds = field(init=False)

    def __post_init__(self) -> None:
        bounds = self.fleet.procedure.bounds(self.fleet.limits, self.fleet.size)
        bounds = replace(bounds, numbered=self.fleet.is_stateful)
        object.__setattr__(self, "bounds", bounds)

    @property
    def lost_by(self) -> datetime:
        """What an engine has called lost since then, or for longer, is believed to be gone."""
        return self.clock.now() - timedelta(seconds=self.fleet.health.lost_after)


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


def require_unchanged(setting: Setting, *, repairs: bool) -> None:
    """Refuse to do what was planned for a fleet that is another one by now: asked under the lease.

    Somebody may have scaled it, removed it, or, where this ``repairs``, left the settled image.
    Raises `Blocked`.
    """
    before, now = setting.standing, setting.book.standing()
    sized = (before.size, before.removed_at) == (now.size, now.removed_at)
    settled = (before.settled, before.pins.keys()) == (now.settled, now.pins.keys())
    if not sized or (repairs and not settled):
        raise Blocked(
            f"{setting.key} has changed since this was planned.",
            remedy="Nothing was done. See by whom (invoke history), and run the same command "
            "again: it plans anew.",
        )
