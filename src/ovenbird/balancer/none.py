"""No balancer: a fleet whose traffic is nobody's business, such as a queue's workers."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck
from ovenbird.values.instance import Entry, Seen


class NoBalancer:
    """Accept everything and list nothing.

    Nothing is ever in service here, so whoever joins entries leaves it out: `balancers_for` does.
    """

    def __init__(
        self, fleet: FleetKey, spec: BalancerSpec, folder: Path, health: HealthCheck
    ) -> None:
        self._fleet = fleet

    @property
    def name(self) -> str:
        return "none"

    def open(self) -> None:
        """Nothing to open."""

    def register(self, instance: Seen) -> None:
        """Nobody to tell."""

    def entries(self) -> Collection[Entry]:
        return ()

    def drain(self, token: str, *, timeout: float) -> int:
        """Return at once: what stops such work is the signal of the family's stop policy."""
        return 0

    def deregister(self, token: str) -> None:
        """Nobody to tell."""

    def close(self) -> None:
        """Nothing to close."""
