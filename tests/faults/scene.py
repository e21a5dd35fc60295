"""A fleet on memory that can be put back to where it began, and what must be true after a rollout.

`MemoryScene` is for the kill harness and for the table of faults; a scene says what is wrong in
sentences, so that a report can show all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import delete, insert, select
from tests.faults.driver import Job, run
from tests.faults.house import MemoryHouse, add_images
from tests.faults.traces import programs_left

from ovenbird.balancer import Balancer
from ovenbird.provider.memory import MemoryBalancer, MemoryProvider
from ovenbird.provider.memory_server import MemoryServer
from ovenbird.provider.memory_world import World
from ovenbird.state.database import Database
from ovenbird.state.site import Site
from ovenbird.state.tables import instances, metadata, steps
from ovenbird.values.instance import EntryState
from ovenbird.values.procedure import Procedure

ROLLING = Procedure()

Rows = dict[str, list[dict[str, Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Where each try begins: the whole database and the whole world."""

    rows: Rows
    world: World


@dataclass(slots=True, kw_only=True)
class MemoryScene:
    """A fleet of four of ``web/1`` that is rolled to ``web/2``, again and again from the start."""

    name: str
    house: MemoryHouse
    site: Site
    provider: MemoryProvider
    start: Start
    numbers: Iterator[int] = field(default_factory=lambda: count(1))
    before: str = "web/1"
    goal: str = "web/2"

    def job(self, **wishes: Any) -> Job:
        said = self.house.folder / f"driver-{next(self.numbers)}.said"
        return Job(house=self.house, said=said, **{"image": self.goal, **wishes})

    def begin(self) -> None:
        """Put everything back to the start; the timeline begins there too."""
        write_all(self.site.database, self.start.rows)
        self.provider.restore(self.start.world)

    @property
    def floor(self) -> int:
        return self.house.size

    def lowest(self) -> int:
        """The fewest that served at any moment since the start."""
        return self.provider.lowest_serving_since(self._mark, self.house.key(self.site))

    def remember(self) -> None:
        """A server holds the whole world: there is nothing to note."""

    def failed(self) -> int:
        """Nobody asks an imagined fleet for anything."""
        return 0

    def most(self) -> int:
        return self.provider.most_present(self._mark, self.house.key(self.site))

    def complaints(self, *, goal: str = "") -> list[str]:
        """Say what is not as it must be when a rollout has ended well."""
        return [*self.lost_capacity(), *self.crowded(), *self.left_wrong(goal or self.goal)]

    def left_wrong(self, goal: str) -> list[str]:
        """Say what is not as it must be now, whatever it was meanwhile."""
        return [
            *self._not_as_wanted(goal),
            *self.without_an_owner(),
            *self.left_in_the_air(),
            *programs_left(self.house.folder),
        ]

    def lost_capacity(self) -> list[str]:
        lowest = self.lowest()
        return [f"{lowest} served, floor {self.floor}"] if lowest < self.floor else []

    def crowded(self) -> list[str]:
        most, ceiling = self.most(), self.house.size + 1
        return [f"{most} were there, ceiling {ceiling}"] if most > ceiling else []

    def without_an_owner(self) -> list[str]:
        """Compare the engine with the journal and the balancer, by token."""
        there = {seen.token for seen in self.provider.instances(self.house.key(self.site))}
        with self.site.database.begin() as db:
            query = select(instances.c.token).where(instances.c.ended_at.is_(None))
            ours = set(db.execute(query).scalars())
        listed = {entry.token for entry in self.balancer().entries()}
        return [
            *(f"{token} has no owner in the journal" for token in sorted(there - ours)),
            *(f"{token} is in the journal and not at the engine" for token in sorted(ours - there)),
            *(f"{token} is at the balancer and no instance" for token in sorted(listed - there)),
        ]

    def left_in_the_air(self) -> list[str]:
        with self.site.database.begin() as db:
            query = select(steps.c.verb, steps.c.token).where(steps.c.outcome == "intended")
            return [f"{verb} of {token} is in the air" for verb, token in db.execute(query)]

    def balancer(self) -> Balancer:
        return MemoryBalancer(self.provider, self.house.key(self.site))

    def _not_as_wanted(self, goal: str) -> list[str]:
        seen = self.provider.instances(self.house.key(self.site))
        versions = sorted(each.version for each in seen)
        wanted = [goal] * self.house.size
        served = sum(e.state is EntryState.IN_SERVICE for e in self.balancer().entries())
        return [
            *([] if versions == wanted else [f"it runs {', '.join(versions)}"]),
            *([] if served == self.house.size else [f"{served} are in service"]),
        ]

    @property
    def _mark(self) -> int:
        return len(self.start.world.moments)


@contextmanager
def memory_scene(
    folder: Path, *, url: str = "", size: int = 4, procedure: Procedure = ROLLING
) -> Iterator[MemoryScene]:
    """Make a fleet of ``web/1`` that serves, in a world that outlives every driver."""
    house = MemoryHouse(folder=folder, url=url, size=size, procedure=procedure)
    with MemoryServer(folder):
        site = house.site()
        add_images(site, 2)
        at_once = replace(house, procedure=ROLLING)
        first = Job(house=at_once, said=folder / "first.said", image="web/1")
        code = run(first)
        assert code == 0, f"the first rollout ended with {code}:\n{first.said.read_text()}"
        provider = house.provider(site)
        start = Start(rows=read_all(site.database), world=provider.snapshot())
        where = "PostgreSQL" if url else "SQLite"
        try:
            yield MemoryScene(
                name=f"memory, {where}", house=house, site=site, provider=provider, start=start
            )
        finally:
            site.database.close()


def read_all(database: Database) -> Rows:
    """Return every row of a site, by table."""
    with database.begin() as db:
        return {
            table.name: [dict(row._mapping) for row in db.execute(select(table))]
            for table in metadata.sorted_tables
        }


def write_all(database: Database, rows: Rows) -> None:
    """Make a site's rows what they were."""
    with database.begin() as db:
        for table in reversed(metadata.sorted_tables):
            db.execute(delete(table))
        for table in metadata.sorted_tables:
            if rows[table.name]:
                db.execute(insert(table), rows[table.name])
