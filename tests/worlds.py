"""Fleets in any state, and how far a rollout of them may go: what the planner is shown in tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from hypothesis import strategies as st
from tests.builders import (
    a_goal,
    an_instance,
    instances,
    kept,
    overloaded,
    quarantined,
    ready_unlisted,
    unwanted,
)

from ovenbird.rollout.decision import Pace
from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds

GOAL = a_goal("web/2")
ALL = Pace()


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class World:
    bounds: Bounds
    fleet: tuple[Instance, ...]
    untried: bool = True
    goal: Goal = GOAL
    pace: Pace = ALL

    def __repr__(self) -> str:
        """As short as a failure should be to be read."""
        b, told = self.bounds, [f"{i.token}:{i.version}:{_state(i)}" for i in self.fleet]
        limits = f"{b.size}+{b.surge}-{b.unavailable}"
        return f"World({limits}, untried={self.untried}, {self.pace}, {' '.join(told)})"

    def present(self) -> list[Instance]:
        """Whoever takes up room: all but the lost, and the stale that are kept out of service."""
        return [
            i
            for i in self.fleet
            if i.health is not Health.LOST and (i.dying or not self.is_kept(i) or is_listed(i))
        ]

    def is_kept(self, i: Instance) -> bool:
        return i.kept and not self.goal.is_run_by(i)

    def current(self) -> list[Instance]:
        return [i for i in self.present() if self.goal.is_run_by(i)]

    def stale(self) -> list[Instance]:
        return [i for i in self.present() if not self.goal.is_run_by(i)]

    @property
    def good(self) -> int:
        return sum(i.is_serving for i in self.current())

    @property
    def limit(self) -> int:
        size, upto = self.bounds.size, self.pace.upto
        return size if upto is None else min(size, upto)

    @property
    def partial(self) -> bool:
        return self.limit < self.bounds.size

    @property
    def proven(self) -> bool:
        ready = [i for i in self.current() if is_waiting(i)] if self.pace.switch else []
        return self.bounds.size == 0 or self.good > 0 or bool(ready)

    @property
    def arrived(self) -> bool:
        """As many as wanted serve, and nothing else is there; beside an unfinished rollout its
        good ones may be."""
        ready = sum(is_waiting(i) for i in self.current()) if self.pace.spares else 0
        many = self.good >= self.bounds.size if self.pace.spares else self.good == self.bounds.size
        return many and self.good + ready == len(self.present())

    @property
    def broken(self) -> bool:
        """So many of the goal failed that the circuit opens."""
        bad = [i for i in self.current() if is_ill(i) and not i.accepted]
        most = self.pace.max_failed
        return most is not None and self.pace.failed + len(bad) >= most


def _state(i: Instance) -> str:
    flags = (
        *("accepted", "registered", "leaving", "ready", "dying", "in_service", "kept"),
        *("quarantined", "unwanted"),
    )
    return "+".join([str(i.health), *(flag for flag in flags if getattr(i, flag))])


def is_listed(i: Instance) -> bool:
    return i.registered or i.leaving or i.in_service


def is_ill(i: Instance) -> bool:
    return i.health is Health.FAILED and not i.dying


def is_waiting(i: Instance) -> bool:
    """It passed its gate, and has no traffic yet, or no more."""
    return i.ready and i.health is Health.PENDING and (i.leaving or not i.registered)


def carried(fleet: list[Instance] | tuple[Instance, ...]) -> int:
    """How many the balancers have in service and that serve, or are ill only for the probe."""
    return sum(i.is_serving or (is_ill(i) and i.in_service) for i in fleet)


Kind = Callable[[int, str], Instance]

SEEN: dict[str, Kind] = {
    "serving": lambda n, v: an_instance(n, v),
    "pending": lambda n, v: an_instance(n, v, Health.PENDING),
    "accepted and not registered": lambda n, v: ready_unlisted(n, v),
    "draining": lambda n, v: ready_unlisted(n, v, leaving=True),
    "one failed look": lambda n, v: an_instance(n, v, Health.PENDING, accepted=True),
    "ill": lambda n, v: an_instance(n, v, Health.FAILED, accepted=True),
    "ill but in service": lambda n, v: overloaded(n, v),
    "never healthy": lambda n, v: an_instance(n, v, Health.FAILED),
    "ill and draining": lambda n, v: an_instance(n, v, Health.FAILED, accepted=True, leaving=True),
    "being ended": lambda n, v: an_instance(n, v, Health.PENDING, dying=True),
    "lost": lambda n, v: an_instance(n, v, Health.LOST),
    "kept": lambda n, v: kept(n, v),
    "kept and ill": lambda n, v: kept(n, v, health=Health.FAILED),
    "kept and still serving": lambda n, v: an_instance(n, v, kept=True),
    "kept and still draining": lambda n, v: replace(ready_unlisted(n, v, leaving=True), kept=True),
    "unwanted": lambda n, v: unwanted(an_instance(n, v)),
    "unwanted and out of service": lambda n, v: unwanted(ready_unlisted(n, v)),
    "unwanted and ill": lambda n, v: unwanted(an_instance(n, v, Health.FAILED, accepted=True)),
    "on its way into quarantine": lambda n, v: quarantined(an_instance(n, v)),
    "draining into quarantine": lambda n, v: quarantined(ready_unlisted(n, v, leaving=True)),
    "in quarantine": lambda n, v: quarantined(kept(n, v)),
    "its quarantine is over": lambda n, v: quarantined(ready_unlisted(n, v), over=True),
}
UNSEEN: dict[str, Kind] = {
    "kept and not seen": lambda n, v: kept(n, v, health=Health.UNKNOWN),
    "unknown": lambda n, v: an_instance(n, v, Health.UNKNOWN),
    "unknown and draining": lambda n, v: an_instance(n, v, Health.UNKNOWN, leaving=True),
}


@st.composite
def limits(draw: st.DrawFn, *, most: int = 12) -> Bounds:
    """Bounds that `Limits` could give: never both zero."""
    size = draw(st.integers(0, most))
    surge = draw(st.integers(0, 5))
    unavailable = min(size, draw(st.integers(0 if surge else 1, 5)))
    return Bounds(size=size, surge=surge, unavailable=unavailable)


def paces(size: int) -> st.SearchStrategy[Pace]:
    """All the way, part of it, in one switch, or part of the way to one."""
    broken = st.tuples(st.integers(0, 2), st.sampled_from([None, None, 1, 2, 3]))
    upto = st.one_of(st.none(), st.none(), st.integers(0, size + 1))
    return st.builds(
        lambda u, s, f: Pace(upto=u, switch=s, failed=f[0], max_failed=f[1]),
        upto,
        st.booleans(),
        broken,
    )


def whole_paces() -> st.SearchStrategy[Pace]:
    return st.builds(Pace, switch=st.booleans())


@st.composite
def worlds(
    draw: st.DrawFn,
    *,
    kinds: dict[str, Kind] | None = None,
    pace: st.SearchStrategy[Pace] | None = None,
    most: int = 12,
) -> World:
    """Any fleet in any state, half of whose instances serve."""
    known = kinds or (SEEN | UNSEEN)
    kind = st.one_of(st.just("serving"), st.sampled_from(sorted(known)))
    version = st.sampled_from(["web/1", "web/1", "web/2", "web/0"])
    shape = draw(st.lists(st.tuples(kind, version), max_size=most + 2))
    fleet = tuple(known[k](n, v) for n, (k, v) in enumerate(shape, start=1))
    bounds = draw(limits(most=most))
    world = World(bounds=bounds, fleet=fleet, untried=draw(st.booleans()))
    return paced(world, draw(paces(bounds.size) if pace is None else pace))


def paced(world: World, pace: Pace) -> World:
    """A blue-green fleet has the room for a whole second one."""
    size = world.bounds.size
    whole = Bounds(size=size, surge=size, unavailable=0)
    return replace(world, pace=pace, bounds=whole if pace.switch else world.bounds)


@st.composite
def dark_worlds(draw: st.DrawFn) -> World:
    """Nothing is seen: every instance is unknown, some while they leave."""
    world = draw(worlds())
    unknown = [
        an_instance(i.slot, i.version, Health.UNKNOWN, leaving=i.leaving) for i in world.fleet
    ]
    return replace(world, fleet=tuple(unknown))


def healthy_worlds(pace: Pace = ALL) -> st.SearchStrategy[World]:
    """A full fleet of the old image, all of it serving."""
    return limits().map(
        lambda b: paced(World(bounds=b, fleet=tuple(instances(b.size))), pace),
    )


def ill_worlds() -> st.SearchStrategy[World]:
    """Every probe fails; the balancers have all of them in service, or none."""
    return st.builds(
        lambda b, busy: World(
            bounds=b,
            fleet=tuple(
                overloaded(n) if busy else an_instance(n, "web/1", Health.FAILED, accepted=True)
                for n in range(1, b.size + 1)
            ),
        ),
        limits(),
        st.booleans(),
    )


def corners() -> list[World]:
    """What chance alone meets too seldom: at a checkpoint, the one of the goal is ill for the
    probe alone; one that had served is ill, and one failure opens the circuit; what is kept
    drains still; one is too many; one is being ended; beside an unfinished rollout one is too many;
    one is unwanted, on its way into quarantine, or back from it while others are missed."""
    three, four = Bounds(size=3, surge=1, unavailable=0), Bounds(size=4, surge=1, unavailable=0)
    over = quarantined(ready_unlisted(2), over=True)
    draining = replace(ready_unlisted(5, leaving=True), kept=True)
    green = tuple(instances(4, "web/2"))
    known = World(bounds=four, fleet=(), untried=False)
    held_up = (*instances(2), overloaded(3, "web/2"))
    fallen = an_instance(5, "web/2", Health.FAILED, accepted=True)
    return [
        replace(known, bounds=three, fleet=held_up, pace=Pace(upto=1)),
        replace(known, bounds=three, fleet=(*green, fallen), pace=Pace(spares=True)),
        replace(known, bounds=three, fleet=(*green[:2], unwanted(green[2]))),
        replace(known, bounds=three, fleet=(*green[:3], quarantined(green[3]))),
        replace(known, bounds=Bounds(size=2, surge=1, unavailable=0), fleet=(*instances(1), over)),
        replace(known, fleet=(*green[:3], fallen), pace=Pace(max_failed=1)),
        replace(known, fleet=(*green, draining)),
        replace(known, fleet=(*green, an_instance(5, "web/2"))),
        replace(known, fleet=(*green, an_instance(5, health=Health.PENDING, dying=True))),
    ]
