"""What must hold at every call that changes something, whoever makes it and after whatever day.

What a hand does to a fleet is nobody's fault: a rule is broken only by a call of a driver.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy import select
from tests.driving import Scene

from ovenbird.catalog import Catalog
from ovenbird.provider.memory_world import World
from ovenbird.rollout.book import Book
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.records import Record, Records
from ovenbird.state.tables import leases, steps
from ovenbird.values.image import ImageRef
from ovenbird.values.instance import EngineState
from ovenbird.values.limits import Bounds
from ovenbird.values.procedure import Strategy


@dataclass(slots=True)
class Watch:
    """Holds each call against the rules. ``bounds`` are those of the verb that is at work;
    ``broken`` says which rules were broken, in the order of it."""

    scene: Scene
    bounds: Bounds
    broken: list[str] = field(default_factory=list)
    _ended: set[str] = field(default_factory=set)
    _leaving: set[str] = field(default_factory=set)
    _asks_the_budget: bool = False
    _serving: int = 0
    _listed: dict[str, bool] = field(default_factory=dict)
    _there: set[str] = field(default_factory=set)
    _steps: dict[int, str] = field(default_factory=dict)

    def before(self, world: World) -> None:
        self._hold_to_the_budget()
        self._serving = self._served(world)
        self._listed = dict(self._servers(world))
        self._there = set(world.instances)

    def after(self, world: World, what: str, token: str) -> None:
        serving, floor = self._served(world), self.bounds.floor
        if serving < self._serving and serving < floor:
            self._break(f"{what} {token}: {serving} serve, and the floor is {floor}")
        match what:
            case "launch":
                self._launched(world, token)
            case "register":
                self._leaving.discard(token)
                self._registered(token)
            case "drain":
                self._drained(token)
            case "deregister":
                if self._record(token) is not None and self._is_held(token):
                    self._leaving.discard(token)
            case "terminate":
                self._terminated(world, token)
            case _:
                pass

    def between(self) -> None:
        """See what must hold between two verbs: each instance is known, no step began anew."""
        self._hold_to_the_budget()
        known = self._records.of(s.token for s in self.scene.provider.instances(self.scene.key))
        for seen in self.scene.provider.instances(self.scene.key):
            if seen.token not in known:
                self._break(f"{seen.token} runs and stands in no record")
        with self.scene.site.database.reading() as db:
            now = {row.id: row.outcome for row in db.execute(select(steps.c.id, steps.c.outcome))}
        for step, outcome in self._steps.items():
            if outcome != "intended" and now.get(step) != outcome:
                self._break(f"step {step} was {outcome} and is {now.get(step)}")
        self._steps = now
        assert not self.broken, "\n".join(self.broken)

    def _launched(self, world: World, token: str) -> None:
        record = self._record(token)
        if record is None:
            self._break(f"{token} is launched and stands in no record")
            return
        if token in self._ended:
            self._break(f"{token} is launched after its end")
        if token in self._there:
            return  # launched again by its token, and there is one of it
        self._hold_below_the_ceiling(world)
        self._hold_to_the_goal(record)

    def _hold_below_the_ceiling(self, world: World) -> None:
        there = [e for e, i in world.instances.items() if i.seen.state is not EngineState.LOST]
        if len(there) <= self.bounds.ceiling:
            return
        goal, kind = self._settled(), self._kind()
        present = [each for each in there if not self._is_apart(each)]
        if kind == "repair":  # the canary of a rollout is that one's
            records = self._records.of(present)
            present = [
                each
                for each in present
                if records[each].accepted_at
                or records[each].version == goal
                or records[each].unwanted_because
            ]
        if len(present) > self.bounds.ceiling:
            self._break(f"{len(present)} are there, and the ceiling is {self.bounds.ceiling}")

    def _hold_to_the_goal(self, record: Record) -> None:
        standing, kind, version = self._book.standing(), self._kind(), record.version
        if version in standing.pins:
            self._break(f"a {kind} launches {version}, which is pinned")
        if not Catalog(self.scene.site.database).resolve(ImageRef.parse(version)).launchable:
            self._break(f"a {kind} launches {version}, which is revoked")
        last = self._journal.last()
        if kind == "repair":
            settled = standing.settled.version if standing.settled else ""
            if version != settled and settled not in standing.pins:
                self._break(f"a repair launches {version}, and {settled} has settled")
        elif last is None or version != last.goal.version:
            self._break(f"a {kind} launches {version}, and its goal is {last}")
        elif kind == "rollout" and self._book.failure_of(last.goal) is not None:
            self._break(f"{version} is launched, has failed here, and nobody asked for a retry")

    def _registered(self, token: str) -> None:
        record = self._record(token)
        if record is None or record.accepted_at is None:
            self._break(f"{token} gets traffic and never passed its gate")
        elif record.quarantined_until is not None:
            self._break(f"{token} gets traffic, and is in quarantine")

    def _drained(self, token: str) -> None:
        switch = self._kind() == "rollout" and self._is_blue_green and not self._is_held(token)
        if token in self._leaving or self._is_kept(token) or switch:
            return  # a switch keeps what it takes out of service
        if (record := self._record(token)) is None or record.accepted_at is None:
            return  # what never served is taken out of no service
        self._leaving.add(token)
        self._asks_the_budget = self._kind() != "rollback"

    def _hold_to_the_budget(self) -> None:
        """Judge the last drain by what is written now: one whose driver died may go into
        quarantine later, and counts no more once it is out of service; nor does one that is lost
        as long as it is."""
        self._leaving = {
            each
            for each in self._leaving
            if not self._is_kept(each) and not (self._is_held(each) and each not in self._listed)
        }
        most = self.scene.fleet.budget.instances
        instances = self.scene.provider.instances(self.scene.key)
        ending = self._leaving - {i.token for i in instances if i.state is EngineState.LOST}
        if self._asks_the_budget and most is not None and len(ending) > most:
            self._break(f"{sorted(ending)} are being ended, and the budget is {most}")
        self._asks_the_budget = False

    def _terminated(self, world: World, token: str) -> None:
        self._leaving.discard(token)
        self._ended.add(token)
        if token in self._there and self._is_held(token) and self._has_time_left(token):
            self._break(f"{token} is ended before its quarantine is over")
        if token in self._there and self._listed.get(token) is False:
            self._break(f"{token} is ended while it gets traffic")

    def _is_apart(self, token: str) -> bool:
        """Say whether one is held out of service, and counts for nothing."""
        return self._has_time_left(token) and token not in self._listed

    def _has_time_left(self, token: str) -> bool:
        record, now = self._record(token), self.scene.clock.now()
        return record is not None and record.kept_until is not None and record.kept_until > now

    def _is_kept(self, token: str) -> bool:
        """Say whether one is taken out of service and not ended, as a switch does it."""
        record = self._record(token)
        return record is not None and record.kept_until is not None and not self._is_held(token)

    @property
    def _is_blue_green(self) -> bool:
        return self.scene.fleet.procedure.strategy is Strategy.BLUE_GREEN

    def _is_held(self, token: str) -> bool:
        record = self._record(token)
        return record is not None and record.quarantined_until is not None

    def _break(self, what: str) -> None:
        self.broken.append(what)

    def _served(self, world: World) -> int:
        return world._moment(str(self.scene.key)).serving

    def _servers(self, world: World) -> dict[str, bool]:
        return world.servers.get(f"{self.scene.key.site}/{self.scene.key}", {})

    def _record(self, token: str) -> Record | None:
        return self._records.of([token]).get(token)

    def _settled(self) -> str:
        settled = self._book.standing().settled
        return settled.version if settled else ""

    def _kind(self) -> str:
        """Name the work of who holds the lease now."""
        with self.scene.site.database.reading() as db:
            return str(db.execute(select(leases.c.because)).scalar())

    @property
    def _records(self) -> Records:
        return Records(self.scene.site.database, self.scene.key)

    @property
    def _book(self) -> Book:
        return Book(self.scene.site.database, self.scene.key)

    @property
    def _journal(self) -> Journal:
        return Journal(self.scene.site.database, self.scene.key)
