"""A fleet in memory, with drivers in this process and a clock that only passes when one sleeps.

What a driver works with is what ``invoke rollout`` works with, but for the ports to the world.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import select
from tests.builders import KEY, NOW
from tests.faults.house import add_images

from ovenbird.assembly.rolling import setting_with
from ovenbird.balancer import Balancer
from ovenbird.catalog import Catalog
from ovenbird.console import Console
from ovenbird.provider import Engine
from ovenbird.provider.memory import MemoryBalancer, MemoryProbe, MemoryProvider
from ovenbird.rollout import roll_out
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import choose, choose_rollback
from ovenbird.rollout.lease import Leases
from ovenbird.rollout.setting import Setting
from ovenbird.state.database import Database
from ovenbird.state.history import Deed, deeds
from ovenbird.state.site import Site
from ovenbird.state.tables import steps
from ovenbird.values.fleet import BalancerSpec, Fleet, FleetKey, HealthCheck
from ovenbird.values.image import ImageRef

HEALTH = HealthCheck(
    interval=1.0,
    timeout=1.0,
    passes=1,
    min_healthy_time=2.0,
    healthy_deadline=30.0,
    progress_deadline=120.0,
    lost_after=60.0,
)
MOST_SLEEPS = 5000
"""More than any rollout of a test needs; beyond it, it goes round in circles."""


class Killed(Exception):
    """A driver ends here, and writes nothing more."""


class FakeClock:
    """Begins at `NOW`, and passes only while somebody sleeps."""

    def __init__(self) -> None:
        self._now, self._slept = NOW, 0
        self._plans: list[tuple[Callable[[], bool], Callable[[], object]]] = []

    def now(self) -> datetime:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._slept += 1
        assert self._slept < MOST_SLEEPS, "it goes round in circles"
        self.pass_by(seconds)
        for plan in tuple(self._plans):
            if plan in self._plans and plan[0]():
                self._plans.remove(plan)
                plan[1]()

    def pass_by(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)

    def once(self, when: Callable[[], bool], then: Callable[[], object]) -> None:
        """Do ``then`` in the middle of the first sleep at whose end ``when`` is so."""
        self._plans.append((when, then))

    def wake(self) -> None:
        """Count the sleeps anew: another verb begins."""
        self._slept = 0

    def forget(self) -> None:
        """Do nothing any more that was planned for a sleep."""
        self._plans.clear()

    @property
    def passed(self) -> float:
        """Seconds since the beginning."""
        return (self._now - NOW).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One fleet ``dev/web`` of ``web@stable``, its site, and whoever drives it."""

    site: Site
    provider: MemoryProvider
    balancer: MemoryBalancer
    clock: FakeClock
    fleet: Fleet
    said: io.StringIO = field(default_factory=io.StringIO)

    @classmethod
    def of(cls, database: Database, folder: Path, **wanted: object) -> Scene:
        """Make a fleet as it is ``wanted`` (fields of `Fleet`), with web/1 to web/4 to roll."""
        clock = FakeClock()
        site = Site(id=database.site_id(), folder=folder, database=database, key=b"k" * 32)
        provider = MemoryProvider(site=site.id, clock=clock)
        fleet = replace(FLEET, **wanted)  # type: ignore[arg-type]
        key = FleetKey(site=site.id, env=fleet.env, name=fleet.name)
        balancer = MemoryBalancer(provider, key)
        scene = cls(site=site, provider=provider, balancer=balancer, clock=clock, fleet=fleet)
        if not Catalog(database).versions("web"):
            add_images(site, 4)
        scene.promote("web/1")
        return scene

    @property
    def key(self) -> FleetKey:
        return FleetKey(site=self.site.id, env=self.fleet.env, name=self.fleet.name)

    def wanting(self, **wanted: object) -> Scene:
        """The same world, after somebody has edited the fleet's entry."""
        return replace(self, fleet=replace(self.fleet, **wanted))  # type: ignore[arg-type]

    def beside(self, name: str, **wanted: object) -> Scene:
        """Another fleet of the same site and world."""
        fleet = replace(self.fleet, name=name, **wanted)  # type: ignore[arg-type]
        key = FleetKey(site=self.site.id, env=fleet.env, name=name)
        return replace(self, fleet=fleet, balancer=MemoryBalancer(self.provider, key))

    def promote(self, version: str) -> None:
        catalog, ref = Catalog(self.site.database), ImageRef.parse(version)
        catalog.promote(ref, "stable", by="ann", because="it is good", at=self.clock.now())

    def driver(
        self,
        *,
        provider: Engine | None = None,
        balancer: Balancer | None = None,
        by: str = "ann@here",
        host: str = "here",
        longest_call: float = 5.0,
    ) -> Setting:
        """A driver of this fleet, on the host that has the others too unless it is another."""
        folder = self.site.folder / host
        folder.mkdir(exist_ok=True)
        site = replace(self.site, folder=folder)
        setting = setting_with(
            folder,
            site,
            Console(err=self.said, out=self.said),
            self.fleet,
            provider=provider or self.provider,
            balancers=[balancer or self.balancer],
            clock=self.clock,
            probe_for_fleet=lambda _accepted: MemoryProbe(self.provider),
            longest_call=longest_call,
        )
        leases = Leases(site.database, setting.key, folder=folder, by=by)
        return replace(setting, by=by, leases=leases)

    def roll(self, image: str = "", *, driver: Setting | None = None, **how: object) -> Outcome:
        """Do what ``invoke rollout`` does, after moving the channel to ``image`` if there is one.

        ``how`` holds ``retry``, ``because`` and ``emergency``.
        """
        if image:
            self.promote(image)
        setting = driver or self.driver()
        chosen = choose(setting, retry=bool(how.get("retry")))
        outcome = Outcome(before=chosen.before, after=str(chosen.goal))
        roll_out(setting, chosen, outcome, **how)  # type: ignore[arg-type]
        return outcome

    def roll_back(self, *, driver: Setting | None = None, because: str = "") -> Outcome:
        setting = driver or self.driver()
        chosen = choose_rollback(setting)
        outcome = Outcome(before=chosen.before, after=str(chosen.goal))
        roll_out(setting, chosen, outcome, because=because)
        return outcome

    # What a test looks back at.

    @property
    def running(self) -> dict[str, int]:
        """Count what runs, by version, whether it gets traffic or not."""
        return _counted(seen.version for seen in self.provider.instances(self.key))

    @property
    def serving(self) -> dict[str, int]:
        """Count what gets traffic, by version."""
        listed = {e.token for e in self.balancer.entries() if e.state == "in service"}
        return _counted(s.version for s in self.provider.instances(self.key) if s.token in listed)

    def tokens(self, version: str) -> list[str]:
        return [s.token for s in self.provider.instances(self.key) if s.version == version]

    def asked(self, verb: str) -> list[str]:
        return [token for what, token in self.provider.asked if what == verb]

    @property
    def history(self) -> list[Deed]:
        """Every deed that was done to this fleet, the oldest first."""
        found = deeds(self.site.database, env=self.fleet.env, subject=self.fleet.name)
        return found[::-1]

    @property
    def written(self) -> list[tuple[str, str, str]]:
        """Every step in the journal: verb, token, outcome."""
        with self.site.database.begin() as db:
            rows = db.execute(select(steps).order_by(steps.c.id)).all()
        return [(row.verb, row.token, row.outcome) for row in rows]


def _counted(versions: Iterable[str]) -> dict[str, int]:
    return dict(Counter(versions))


FLEET = Fleet(
    env=KEY.env,
    name=KEY.name,
    image=ImageRef(family="web", channel="stable"),
    size=3,
    provider="memory",
    health=HEALTH,
    balancers=(BalancerSpec(kind="memory", drain_timeout=5.0),),
)
