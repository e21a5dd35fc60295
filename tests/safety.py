"""What must hold of every planner, whatever it is shown: checked at the worst moments.

`decide` checks one decision, `travel` a whole rollout in which every wave is taken apart: most
crowded, thinnest, in another order, and cut in the middle. They take the planner as a module, so
that a planner with a planted fault can be put in its place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random
from types import ModuleType

from hypothesis import strategies as st
from tests.builders import a_goal, an_instance, instances, ready_unlisted, serving, with_health

from ovenbird.values.instance import Goal, Health, Instance
from ovenbird.values.limits import Bounds

GOAL = a_goal("web/2")


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    bounds: Bounds
    fleet: tuple[Instance, ...]
    untried: bool = True
    goal: Goal = GOAL

    def current(self) -> list[Instance]:
        return [i for i in self.fleet if self.goal.is_run_by(i) and i.health is not Health.LOST]

    def present(self) -> list[Instance]:
        return [i for i in self.fleet if i.health is not Health.LOST]

    @property
    def proven(self) -> bool:
        return self.bounds.size == 0 or any(i.is_serving for i in self.current())


Kind = Callable[[int, str], Instance]

SEEN: dict[str, Kind] = {
    "serving": lambda n, v: an_instance(n, v),
    "pending": lambda n, v: an_instance(n, v, Health.PENDING),
    "accepted and not registered": lambda n, v: ready_unlisted(n, v),
    "draining": lambda n, v: ready_unlisted(n, v, leaving=True),
    "one failed look": lambda n, v: an_instance(n, v, Health.PENDING, accepted=True),
    "ill": lambda n, v: an_instance(n, v, Health.FAILED, accepted=True),
    "never healthy": lambda n, v: an_instance(n, v, Health.FAILED),
    "ill and draining": lambda n, v: an_instance(n, v, Health.FAILED, accepted=True, leaving=True),
    "being ended": lambda n, v: an_instance(n, v, Health.PENDING, dying=True),
    "lost": lambda n, v: an_instance(n, v, Health.LOST),
}
UNSEEN: dict[str, Kind] = {
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


@st.composite
def worlds(draw: st.DrawFn, *, kinds: dict[str, Kind] | None = None) -> World:
    """Any fleet in any state, half of whose instances serve."""
    known = kinds or (SEEN | UNSEEN)
    kind = st.one_of(st.just("serving"), st.sampled_from(sorted(known)))
    version = st.sampled_from(["web/1", "web/1", "web/2", "web/0"])
    shape = draw(st.lists(st.tuples(kind, version), max_size=14))
    fleet = tuple(known[k](n, v) for n, (k, v) in enumerate(shape, start=1))
    return World(bounds=draw(limits()), fleet=fleet, untried=draw(st.booleans()))


@st.composite
def dark_worlds(draw: st.DrawFn) -> World:
    """Nothing is seen: every instance is unknown, some while they leave."""
    world = draw(worlds())
    unknown = [
        an_instance(i.slot, i.version, Health.UNKNOWN, leaving=i.leaving) for i in world.fleet
    ]
    return replace(world, fleet=tuple(unknown))


def healthy_worlds() -> st.SearchStrategy[World]:
    """A full fleet of the old image, all of it serving."""
    return limits().map(lambda b: World(bounds=b, fleet=tuple(instances(b.size))))


def decide(planner: ModuleType, world: World) -> object:
    """Ask for one plan and hold it against every rule. Returns the plan."""
    plan: object = planner.next_wave(world.goal, world.bounds, world.fleet, untried=world.untried)
    assert plan == planner.next_wave(
        world.goal, world.bounds, tuple(reversed(world.fleet)), untried=world.untried
    ), "the order of a report changes the plan"
    if isinstance(plan, planner.Wave):
        ended, launches, registered = taken_apart(planner, world, plan.steps)
        _within_the_limits(world, ended, launches)
        _only_what_is_seen(ended)
        _one_canary(world, ended, launches)
        _only_the_goal_and_no_more(world, ended, launches)
        _only_who_passed_its_gate(world, registered)
        assert all(any(c.isdigit() for c in s.because) for s in plan.steps), (
            "a step without numbers"
        )
    _the_verdict_is_true(planner, world, plan)
    return plan


def taken_apart(
    planner: ModuleType, world: World, steps: tuple[object, ...]
) -> tuple[list[Instance], int, list[Instance]]:
    by_token = {i.token: i for i in world.fleet}
    ended = [by_token[s.token] for s in steps if isinstance(s, planner.Terminate)]
    registered = [by_token[s.token] for s in steps if isinstance(s, planner.Register)]
    tokens = [i.token for i in (*ended, *registered)]
    assert len(tokens) == len(set(tokens)), "two steps for one instance"
    return ended, sum(isinstance(s, planner.Launch) for s in steps), registered


def _within_the_limits(world: World, ended: list[Instance], launches: int) -> None:
    crowded = len(world.present()) + launches
    assert not launches or crowded <= world.bounds.ceiling, "above the ceiling"
    cost, now = serving(ended), serving(world.fleet)
    assert not cost or now - cost >= world.bounds.floor, "below the floor"


def _only_what_is_seen(ended: list[Instance]) -> None:
    for i in ended:
        assert i.health not in (Health.UNKNOWN, Health.LOST), "ended what is not seen"
        assert not i.dying, "ended twice"
        waiting = i.health is Health.PENDING and not i.leaving
        assert not waiting or i.ready, "ended a pending one"


def _one_canary(world: World, ended: list[Instance], launches: int) -> None:
    """Until the goal serves, one is risked, and only its room is given up."""
    if world.proven:
        return
    chosen = [i for i in ended if not i.leaving]
    going = sum(i.dying or i in ended for i in world.present()) - len(chosen)
    room = len(world.present()) - going + 1 - world.bounds.ceiling
    assert len(chosen) <= max(room, 0), "ended more than a canary needs"
    if world.untried:
        assert not launches or len(world.current()) + launches <= 1, "more than one canary"
        ill = [i for i in world.current() if i.health is Health.FAILED and not i.dying]
        assert not ill, "acted though the canary failed"


def _only_the_goal_and_no_more(world: World, ended: list[Instance], launches: int) -> None:
    standing = [i for i in world.current() if i.health is not Health.FAILED and not i.dying]
    assert not launches or len(standing) + launches <= world.bounds.size, "launched a surplus"
    good = [i for i in world.current() if i.is_serving]
    lost = sum(i in ended for i in good)
    assert not lost or len(good) - lost >= world.bounds.size, "ended a good one of the goal"


def _only_who_passed_its_gate(world: World, registered: list[Instance]) -> None:
    for i in registered:
        assert i.ready, "registered who has not passed its gate"
        assert not i.is_serving, "registered who serves already"
        stale = not world.goal.is_run_by(i)
        assert not (stale and i.leaving), "registered a stale one that leaves"


def _the_verdict_is_true(planner: ModuleType, world: World, plan: object) -> None:
    good = [i for i in world.current() if i.is_serving]
    arrived = len(good) == len(world.present()) == world.bounds.size
    assert isinstance(plan, planner.Done) == arrived, "done, and it is not; or not, and it is"
    dark = [i for i in world.present() if not i.dying]
    if dark and all(i.health is Health.UNKNOWN for i in dark):
        assert isinstance(plan, planner.Doubtful), "acted without seeing anything"
    elif world.untried and not world.proven:
        bad = {i.token for i in world.current() if i.health is Health.FAILED and not i.dying}
        said = set(plan.tokens) if isinstance(plan, planner.Failed) else set()
        assert said == bad, "a failed canary is not told, or another is"


def travel(
    planner: ModuleType, world: World, *, outcome: Health = Health.SERVING, chance: Random
) -> tuple[World, object, int]:
    """Roll out until nothing more is done; return the last world, its plan and the waves.

    Every wave is applied step by step in a random order and every fourth is cut: the step in
    hand is left half done, the rest is dropped. All that `decide` checks is checked each time,
    and the limits after every single step.
    """
    trouble = 8 if outcome is Health.SERVING else 1
    patience, waves, plan = trouble * (world.bounds.size + len(world.fleet)) + 24, 0, None
    for _ in range(patience):
        plan = decide(planner, world)
        if isinstance(plan, planner.Wave):
            waves += 1
            *_, world = _apply(planner, world, list(plan.steps), chance)
        elif not isinstance(plan, planner.Wait):
            return world, plan, waves
        world = settle(world, outcome)
    assert outcome is Health.FAILED, "the rollout never ends"
    assert world.proven, "the rollout never ends"
    return world, plan, waves


def _apply(
    planner: ModuleType, world: World, steps: list[object], chance: Random
) -> Iterator[World]:
    """Take the steps of a wave one by one and look at each moment between them."""
    start = world
    chance.shuffle(steps)
    cut = chance.randrange(len(steps)) if chance.random() < 0.25 else len(steps)
    for n, step in enumerate(steps[: cut + 1]):
        world = _after(planner, world, step, half=n == cut)
        low = min(world.bounds.floor, serving(start.fleet))
        high = max(world.bounds.ceiling, len(start.present()))
        assert serving(world.fleet) >= low, "below the floor inside a wave"
        assert len(world.present()) <= high, "above the ceiling inside a wave"
        yield world


def _after(planner: ModuleType, world: World, step: object, *, half: bool) -> World:
    fleet = list(world.fleet)
    if isinstance(step, planner.Launch):
        number = max((i.slot for i in fleet), default=0) + 1
        fleet.append(an_instance(number, world.goal.version, Health.PENDING))
        return replace(world, fleet=tuple(fleet))
    token = step.token  # type: ignore[attr-defined]
    at = next(n for n, i in enumerate(fleet) if i.token == token)
    if isinstance(step, planner.Register):
        fleet[at] = fleet[at] if half else with_health(fleet[at], Health.SERVING)
    elif half and fleet[at].ready:
        fleet[at] = ready_unlisted(fleet[at].slot, fleet[at].version, leaving=True)
    elif not half:
        del fleet[at]
    return replace(world, fleet=tuple(fleet))


def settle(world: World, outcome: Health) -> World:
    """Let the time pass: what is pending becomes ``outcome``, what is dying is gone, and the
    goal is tried once it has served."""
    fleet = []
    for i in world.fleet:
        if i.dying:
            continue
        waits = i.health is Health.PENDING and not i.ready and not i.leaving
        result = outcome if world.goal.is_run_by(i) else Health.SERVING
        fleet.append(with_health(i, result) if waits else i)
    settled = replace(world, fleet=tuple(fleet))
    tried = any(i.is_serving for i in settled.current())
    return replace(settled, untried=settled.untried and not tried)
