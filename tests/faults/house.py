"""Where a driver of the fault tests gets its setting: the one place that knows how it is made.

Fast clocks, and nothing else is different from what ``invoke rollout`` works with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ovenbird.assembly.rolling import fleet_named, setting_with
from ovenbird.balancer import Balancer
from ovenbird.balancer.registry import balancers_for
from ovenbird.catalog import Baked, Catalog
from ovenbird.clock import SystemClock
from ovenbird.console import Console
from ovenbird.provider import Engine
from ovenbird.provider.memory import MemoryBalancer, MemoryProbe, MemoryProvider
from ovenbird.provider.registry import provider_named
from ovenbird.rollout.setting import Setting
from ovenbird.state.database import Database, sqlite_url
from ovenbird.state.site import Site, open_site
from ovenbird.values.fleet import BalancerSpec, Fleet, FleetKey, HealthCheck
from ovenbird.values.image import Artifact, Contract, ImageRef, ImageState, Provenance
from ovenbird.values.procedure import Procedure
from ovenbird.values.recipe import Recipe

SIZE = 4
LONGEST_CALL = 300.0

QUICK = HealthCheck(
    interval=0.01,
    timeout=1.0,
    passes=1,
    min_healthy_time=0.05,
    healthy_deadline=5.0,
    progress_deadline=10.0,
    lost_after=1.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrapping:
    """What is put around the ports of a driver: points, or mishaps."""

    provider: Callable[[Engine], Engine] = lambda inner: inner
    balancer: Callable[[Balancer], Balancer] = lambda inner: inner
    database: Callable[[Database], Database] = lambda inner: inner
    longest_call: float = LONGEST_CALL


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryHouse:
    """A site and a served memory world in one folder. ``url`` is its database, "" for a file."""

    folder: Path
    url: str = ""
    health: HealthCheck = QUICK
    size: int = SIZE
    procedure: Procedure = Procedure()

    def site(self) -> Site:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        database = Database.open(self.url or sqlite_url(self.folder / "ovenbird.db"))
        return Site(id=database.site_id(), folder=self.folder, database=database, key=b"k" * 32)

    def key(self, site: Site) -> FleetKey:
        return FleetKey(site=site.id, env="dev", name="web")

    def fleet(self) -> Fleet:
        return Fleet(
            env="dev",
            name="web",
            image=ImageRef(family="web", version=1),
            size=self.size,
            provider="memory",
            health=self.health,
            procedure=self.procedure,
            balancers=(BalancerSpec(kind="memory", drain_timeout=1.0),),
        )

    def provider(self, site: Site) -> MemoryProvider:
        return MemoryProvider(folder=self.folder, site=site.id)

    def setting(self, site: Site, console: Console, around: Wrapping) -> Setting:
        provider = self.provider(site)
        balancer = MemoryBalancer(provider, self.key(site))
        return setting_with(
            self.folder,
            replace(site, database=around.database(site.database)),
            console,
            self.fleet(),
            provider=around.provider(provider),
            balancers=[around.balancer(balancer)],
            clock=SystemClock(),
            probe_for_fleet=lambda _accepted: MemoryProbe(provider),
            longest_call=around.longest_call,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectHouse:
    """A fleet of a real project, with the engine and the balancers that it names."""

    project: Path
    folder: Path
    env: str
    name: str

    def site(self) -> Site:
        return open_site({"OVENBIRD_STATE": str(self.folder)})

    def setting(self, site: Site, console: Console, around: Wrapping) -> Setting:
        fleet = fleet_named(self.project, self.env, self.name)
        key = FleetKey(site=site.id, env=fleet.env, name=fleet.name)
        provider = provider_named(fleet.provider, folder=site.folder, site=site.id)
        balancers: Sequence[Balancer] = balancers_for(
            key, fleet.balancers, folder=site.folder, health=fleet.health
        )
        return setting_with(
            self.project,
            replace(site, database=around.database(site.database)),
            console,
            fleet,
            provider=around.provider(provider),
            balancers=[around.balancer(each) for each in balancers],
            clock=SystemClock(),
            longest_call=around.longest_call,
        )


House = MemoryHouse | ProjectHouse


def add_images(site: Site, count: int) -> None:
    """Register ``web/1`` … ``web/COUNT``, which memory holds."""
    for number in range(1, count + 1):
        Catalog(site.database).register(
            Baked(
                recipe=Recipe.of("web", {"roles/web/tasks/main.yml": str(number).encode()}),
                packages="p" * 64,
                packages_at=SystemClock().now(),
                parent=None,
                contract=Contract(port=80),
                artifact=Artifact(
                    provider="memory",
                    id=f"m-{number}",
                    template="t" * 64,
                    parent="",
                    token=f"bake-{number}",
                    location="memory",
                    size=1,
                    baked_at=SystemClock().now(),
                ),
                provenance=Provenance(by="a test", because="it asked"),
                log="",
            ),
            state=ImageState.ACTIVE,
        )
