"""What must hold of every planner, whatever it is shown: checked at the worst moments.

`decide` checks one decision, `travel` a whole rollout in which every wave is taken apart: most
crowded, thinnest, in another order, and cut in the middle. They take the planner as a module, so
that a planner with a planted fault can be put in its place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from types import ModuleType

from tests.builders import an_instance, kept, ready_unlisted, serving, with_health
from tests.worlds import World, carried, is_ill, is_listed, is_waiting

from ovenbird.values.instance import Health, Instance


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """The steps of one wave by what they do: ``out`` is ended or retired."""

    launches: int
    registered: list[Instance]
    ended: list[Instance]
    retired: list[Instance]

    @property
    def out(self) -> list[Instance]:
        return [*self.ended, *self.retired]


def decide(planner: ModuleType, world: World) -> object:
    """Ask for one plan and hold it against every rule. Returns the plan."""
    plan: object = planner.next_wave(
        world.goal, world.bounds, world.fleet, untried=world.untried, pace=world.pace
    )
    assert plan == planner.next_wave(
        world.goal,
        world.bounds,
        tuple(reversed(world.fleet)),
        untried=world.untried,
        pace=world.pace,
    ), "the order of a report changes the plan"
    if isinstance(plan, planner.Wave):
        taken = taken_apart(planner, world, plan.steps)
        _within_the_limits(world, taken)
        _only_what_is_seen(world, taken)
        _one_canary(world, taken)
        _only_the_goal_and_no_more(world, taken)
        _only_who_passed_its_gate(world, taken)
        _one_ill_for_one_new(world, taken)
        _no_further_than_asked(world, taken)
        _one_switch(world, taken)
        assert all(any(c.isdigit() for c in s.because) for s in plan.steps), (
            "a step without numbers"
        )
    _the_verdict_is_true(planner, world, plan)
    return plan


def taken_apart(planner: ModuleType, world: World, steps: tuple[object, ...]) -> Taken:
    by_token = {i.token: i for i in world.fleet}
    ended = [by_token[s.token] for s in steps if isinstance(s, planner.Terminate)]
    retired = [by_token[s.token] for s in steps if isinstance(s, planner.Retire)]
    registered = [by_token[s.token] for s in steps if isinstance(s, planner.Register)]
    tokens = [i.token for i in (*ended, *retired, *registered)]
    assert len(tokens) == len(set(tokens)), "two steps for one instance"
    launches = sum(isinstance(s, planner.Launch) for s in steps)
    return Taken(launches=launches, registered=registered, ended=ended, retired=retired)


def _within_the_limits(world: World, taken: Taken) -> None:
    crowded = len(world.present()) + taken.launches
    assert not taken.launches or crowded <= world.bounds.ceiling, "above the ceiling"
    cost, now, floor = serving(taken.out), serving(world.fleet), world.bounds.floor
    assert not cost or now - cost >= floor, "below the floor"
    cost, now = carried(taken.out), carried(world.fleet)
    assert not cost or now - cost >= floor, "below the floor, as the balancers see it"


def _only_what_is_seen(world: World, taken: Taken) -> None:
    for i in taken.out:
        assert i.health not in (Health.UNKNOWN, Health.LOST), "ended what is not seen"
        assert not i.dying, "ended twice"
        waiting = i.health is Health.PENDING and not i.leaving
        assert not waiting or i.ready, "ended a pending one"
    assert not [i for i in taken.ended if world.is_kept(i)], "ended what is kept"
    assert all(is_listed(i) for i in taken.retired), "retired what is out of service"


def _one_canary(world: World, taken: Taken) -> None:
    """Until the goal serves, one is risked, and only its room is given up."""
    if world.proven:
        return
    chosen = [i for i in taken.out if not i.leaving]
    if world.partial and chosen and 0 < world.limit <= len(world.current()):
        assert len(chosen) == 1, "ended more than make place for a successor"
        assert world.goal.is_run_by(chosen[0]), "ended an old one though none may be launched"
        return
    going = sum(i.dying or i in taken.out for i in world.present()) - len(chosen)
    room = len(world.present()) - going + 1 - world.bounds.ceiling
    assert len(chosen) <= max(room, 0), "ended more than a canary needs"
    if world.untried:
        many = len(world.current()) + taken.launches
        assert not taken.launches or many <= 1, "more than one canary"
        ill = [i for i in world.current() if is_ill(i)]
        assert not ill, "acted though the canary failed"


def _only_the_goal_and_no_more(world: World, taken: Taken) -> None:
    standing = [i for i in world.current() if not is_ill(i) and not i.dying]
    many = len(standing) + taken.launches
    assert not taken.launches or many <= world.bounds.size, "launched a surplus"
    good = [i for i in taken.out if world.goal.is_run_by(i) and not is_ill(i)]
    assert not (good and world.pace.spares), "ended what an unfinished rollout waits with"
    lost = sum(i.is_serving for i in taken.out if world.goal.is_run_by(i))
    assert not lost or world.good - lost >= world.bounds.size, "ended a good one of the goal"


def _only_who_passed_its_gate(world: World, taken: Taken) -> None:
    for i in taken.registered:
        assert i.ready, "registered who has not passed its gate"
        assert not i.is_serving, "registered who serves already"
        stale = not world.goal.is_run_by(i)
        assert not (stale and i.leaving), "registered a stale one that leaves"
        assert not (stale and i.kept), "registered a stale one that is kept"
        assert not i.quarantined, "registered one in quarantine"


def _standing(world: World) -> int:
    return world.good + sum(not (i.dying or i.leaving) for i in world.stale())


def _room_for(world: World, more: int) -> int:
    """How many must go so that ``more`` fit under the ceiling, beside those that go already."""
    going = [
        i
        for i in world.present()
        if i.dying or (i.leaving and i.health is not Health.UNKNOWN and _is_done_with(world, i))
    ]
    return len(world.present()) - len(going) + more - world.bounds.ceiling


def _is_done_with(world: World, i: Instance) -> bool:
    return is_ill(i) or not world.goal.is_run_by(i)


def _one_ill_for_one_new(world: World, taken: Taken) -> None:
    """What is ill and out of service goes one for each new one in service."""
    if world.pace.switch or not world.proven:
        return
    out = [i for i in taken.out if is_ill(i) and not (i.in_service or i.leaving)]
    out = [i for i in out if not world.goal.is_run_by(i)]
    coming = [i for i in world.current() if i.health is Health.PENDING and not i.dying]
    one_more = not coming and len(out) <= _room_for(world, 1)
    kept_up = _standing(world) - len(out) >= world.bounds.floor
    assert not out or kept_up or one_more, "ended the ill before others serve for them"


def _no_further_than_asked(world: World, taken: Taken) -> None:
    """Part of the way, no more of the goal than allowed, and the old ones keep up the rest."""
    if not world.partial:
        return
    there = len(world.current())
    assert not taken.launches or there + taken.launches <= world.limit, "went on too far"
    old = [i for i in taken.out if not (world.goal.is_run_by(i) or i.leaving)]
    paid = _standing(world) - len(old) >= world.bounds.size
    room = len(old) <= _room_for(world, world.limit - there) if world.limit > there else False
    assert not old or paid or room, "ended old ones that nobody replaces"


def _one_switch(world: World, taken: Taken) -> None:
    """Before a switch nothing gets traffic until all are ready, and nothing is retired until all
    serve; then it is one wave."""
    if not world.pace.switch:
        assert all(i.kept for i in taken.retired), "retired where nothing switches"
        return
    size, goal = world.bounds.size, world.goal
    ready = [i for i in world.current() if i.ready and not is_ill(i)]
    new = [i for i in taken.registered if goal.is_run_by(i)]
    assert not new or world.good or len(ready) >= size, "traffic before all are ready"
    waiting = [i for i in ready if is_waiting(i)]
    if world.good or len(ready) >= size:
        assert len(new) == max(0, min(len(waiting), size - world.good)), "a switch in parts"
    early = [i for i in taken.retired if not i.kept]
    assert not early or world.good >= size, "retired before all of the goal serve"
    if world.good >= size:
        left = [i for i in world.stale() if i.is_serving and i not in taken.retired]
        assert not left, "retired only some"
        healthy = [i for i in taken.ended if i.is_serving and not goal.is_run_by(i)]
        assert not healthy, "ended what a switch back needs"


def _the_verdict_is_true(planner: ModuleType, world: World, plan: object) -> None:
    arrived = world.arrived
    assert isinstance(plan, planner.Done) == arrived, "done, and it is not; or not, and it is"
    dark = [i for i in world.present() if not i.dying]
    if dark and all(i.health is Health.UNKNOWN for i in dark):
        assert isinstance(plan, planner.Doubtful), "acted without seeing anything"
    elif world.broken and not arrived:
        assert isinstance(plan, planner.Failed), "the circuit stays closed"
    elif world.untried and not world.proven:
        bad = {i.token for i in world.current() if is_ill(i)}
        said = set(plan.tokens) if isinstance(plan, planner.Failed) else set()
        assert said == bad, "a failed canary is not told, or another is"
    elif isinstance(plan, planner.Failed):
        assert not world.proven, "failed though some of the goal serve"
        assert any(is_ill(i) and not i.accepted for i in world.current()), "failed for nothing"
    if isinstance(plan, planner.Reached):
        assert world.partial, "stopped where nobody asked"
        able = [i for i in world.current() if i.is_serving or (world.pace.switch and i.ready)]
        assert world.limit <= len(able), "stopped before it was reached"
        assert plan.serving == world.good, "told another number than serve"
        coming = [i for i in world.present() if i.dying or i.health is Health.UNKNOWN]
        assert not coming, "stopped with something in hand"


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
    assert world.pace.max_failed is None, "the circuit never opens"
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
        floor = world.bounds.floor
        high = max(world.bounds.ceiling, len(start.present()))
        assert serving(world.fleet) >= min(floor, serving(start.fleet)), "below the floor in a wave"
        assert carried(world.fleet) >= min(floor, carried(start.fleet)), "capacity lost in a wave"
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
    old, retires = fleet[at], isinstance(step, planner.Retire)
    if isinstance(step, planner.Register):
        fleet[at] = old if half else with_health(old, Health.SERVING)
    elif half and old.ready and is_listed(old):
        fleet[at] = _as_wished(
            old, replace(ready_unlisted(old.slot, old.version, leaving=True), kept=retires)
        )
    elif retires and not half:
        health = Health.PENDING if old.ready else old.health
        fleet[at] = _as_wished(old, kept(old.slot, old.version, health=health))
    elif not half:
        del fleet[at]
    world = replace(world, fleet=tuple(fleet))
    failed = is_ill(old) and not old.accepted and world.goal.is_run_by(old) and not half
    pace = replace(world.pace, failed=world.pace.failed + failed)
    return replace(world, pace=pace) if failed else world


def _as_wished(old: Instance, new: Instance) -> Instance:
    return replace(new, unwanted=old.unwanted, quarantined=old.quarantined)


def settle(world: World, outcome: Health) -> World:
    """Let the time pass: what is pending becomes ``outcome``, what is dying is gone, and the
    goal is tried once it has served."""
    fleet = []
    for i in world.fleet:
        if i.dying:
            continue
        waits = i.health is Health.PENDING and not i.ready and not i.leaving
        current = world.goal.is_run_by(i)
        result = outcome if current else Health.SERVING
        new = with_health(i, result) if waits else i
        if waits and current and world.pace.switch and new.is_serving:
            new = ready_unlisted(i.slot, i.version)
        fleet.append(new)
    settled = replace(world, fleet=tuple(fleet))
    tried = any(i.is_serving for i in settled.current())
    return replace(settled, untried=settled.untried and not tried)
