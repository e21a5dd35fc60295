"""A fleet of real instances behind a real HAProxy, rolled to and fro under the mixed load."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sqlalchemy import select
from tests.faults.driver import Job
from tests.faults.house import ProjectHouse
from tests.faults.traces import PodmanTraces
from tests.live import LiveFleet
from tests.project import Project
from tests.sampler import Sampler
from tests.traffic import Traffic

from ovenbird.balancer.haproxy_process import Place
from ovenbird.state.tables import instances, steps

QUICK = {
    "http": "/healthz",
    "passes": 2,
    "interval": "0.1s",
    "timeout": "2s",
    "min_healthy_time": "0.2s",
    "healthy_deadline": "20s",
    "progress_deadline": "60s",
}


class QuickFleet(LiveFleet):
    """A live fleet that is believed to be healthy sooner."""

    def _entry(self) -> dict[str, object]:
        return {**super()._entry(), "health": QUICK}


@dataclass(slots=True, kw_only=True)
class PodmanScene:
    """A fleet that goes from one of ``images`` to the other with each try."""

    name: str
    fleet: LiveFleet
    size: int
    images: tuple[str, str]
    house: ProjectHouse
    sampler: Sampler
    traffic: Traffic
    traces: PodmanTraces
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    goal: str = ""
    since: int = 0
    failed_before: int = 0

    def begin(self) -> None:
        self.goal = self.images[1] if self.goal == self.images[0] else self.images[0]
        self.since, self.failed_before = len(self.sampler.samples), self.failed()

    def job(self, **wishes: Any) -> Job:
        said = self.house.folder / f"driver-{self.fleet.name}-{next(self.numbers)}.said"
        return Job(house=self.house, said=said, **{"image": self.goal, **wishes})

    def remember(self) -> None:
        self.traces.remember()

    def lowest(self) -> int:
        """The fewest that an observer outside saw serving at any moment of this try."""
        seen = [sample for sample in self.sampler.samples[self.since :] if sample.seen]
        return min((len(sample.serving) for sample in seen), default=0)

    def failed(self) -> int:
        return len(self.traffic.results().failed)

    def complaints(self) -> list[str]:
        time.sleep(0.15)  # the observer looks every 50 ms
        there = self.fleet.containers()
        versions = sorted(labels["ovenbird.version"] for labels in there.values())
        lowest, failed = self.lowest(), self.failed() - self.failed_before
        last = [sample for sample in self.sampler.samples if sample.seen][-1]
        return [
            *([] if versions == [self.goal] * self.size else [f"it runs {', '.join(versions)}"]),
            *([] if len(last.serving) == self.size else [f"{len(last.serving)} serve now"]),
            *([] if lowest >= self.size else [f"{lowest} served, floor {self.size}"]),
            *([] if not failed else [f"{failed} requests failed"]),
            *self._without_an_owner(set(there)),
            *self.traces.left(),
        ]

    def _without_an_owner(self, there: set[str]) -> list[str]:
        site = self.house.site()
        mine = (instances.c.fleet == self.fleet.name) & (instances.c.env == self.fleet.env)
        with site.database.begin() as db:
            alive = select(instances.c.token).where(mine, instances.c.ended_at.is_(None))
            ours = set(db.execute(alive).scalars())
            open_ = (
                select(steps.c.verb, steps.c.token)
                .join(instances, instances.c.token == steps.c.token)
                .where(mine, steps.c.outcome == "intended")
            )
            air = [f"{verb} of {token} is in the air" for verb, token in db.execute(open_)]
        site.database.close()
        return [
            *(f"{token} has no owner in the journal" for token in sorted(there - ours)),
            *(f"{token} is in the journal and not at the engine" for token in sorted(ours - there)),
            *air,
        ]


@contextmanager
def podman_scene(
    project: Project, second: str, *, size: int = 4, rate: float = 50.0
) -> Iterator[PodmanScene]:
    """Make a fleet that has run both images, with load and an observer on it."""
    fleet = QuickFleet(project, "web-killed")
    fleet.declare(size=size)
    try:
        for image in ("web/1", second):
            fleet.rollout("--image", image)
        house = ProjectHouse(
            project=project.folder, folder=project.site, env=fleet.env, name=fleet.name
        )
        traces = PodmanTraces(
            ask=project.podman, site=project.site, list_names=lambda: list(fleet.containers())
        )
        traces.remember()
        traffic = Traffic(fleet.url, rate=rate, longest=4 * 3600.0)
        sampler = Sampler(Place.of_site(project.site).socket, fleet.backend, longest=4 * 3600.0)
        with sampler, traffic:
            yield PodmanScene(
                name="podman, SQLite",
                fleet=fleet,
                size=size,
                images=("web/1", second),
                house=house,
                sampler=sampler,
                traffic=traffic,
                traces=traces,
                goal=second,
            )
    finally:
        fleet.retire()
