"""How far an image may go: the next move of a family on its way through the environments.

Decided from stored facts. A soak is computed from the time at which the last fleet settled, and
nobody waits for one: the move is simply not there yet. An environment's channel has its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from ovenbird.fleet.gate import seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A fleet that follows its environment's channel. Numbers are versions of the family;
    ``refused`` those that failed there or that it was rolled back from."""

    name: str
    stage: int = 0
    soak: timedelta = timedelta(0)  # how long its stage is watched before the next one
    settled: int | None = None
    settled_at: datetime | None = None
    refused: frozenset[int] = frozenset()
    held: str = ""  # why nothing may be begun here now: a window, a pause


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """One environment: where its channel points, who follows it, and what it asks for."""

    env: str
    channel: int | None = None
    assigned_at: datetime | None = None
    places: tuple[Place, ...] = ()
    soak: timedelta = timedelta(0)
    approval: bool = False
    approved: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A family on its way. ``candidate`` is the newest image that a patch run made, or None;
    ``severity`` what each version is worth (see `due`), ``dead`` those that may not launch."""

    family: str
    stops: tuple[Stop, ...]
    candidate: int | None = None
    dead: frozenset[int] = frozenset()
    severity: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Promote:
    number: int
    env: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Roll:
    number: int
    env: str
    fleet: str
    because: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing can be moved now. ``stuck`` where only a person can help."""

    because: str
    stuck: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    because: str


Move = Promote | Roll | Wait | Arrived


def next_move(line: Line, now: datetime) -> Move:
    """Say what to do next. The last environment is looked at first: what is nearly there goes on
    before something newer is begun."""
    if not line.stops:
        return Wait(because=f"no fleet on the path follows a channel of {line.family}")
    waits: list[Wait] = []
    for index in reversed(range(len(line.stops))):
        move = _at(line, index, now)
        if isinstance(move, Wait):
            waits.append(move)
        elif move is not None:
            return move
    for wait in sorted(waits, key=lambda wait: not wait.stuck):
        return wait
    last = line.stops[-1]
    if last.channel is None:
        return Wait(because=f"no image of {line.family} is on its way")
    return Arrived(because=f"{line.family}/{last.channel} is everywhere")


def _at(line: Line, index: int, now: datetime) -> Move | None:
    """Look at one environment: first its fleets, then what may come to its channel."""
    stop = line.stops[index]
    if (move := _rolling(line, stop, now)) is not None:
        if not isinstance(move, Wait):
            return move
        better = _coming(line, index, now)
        return better if isinstance(better, Promote) else move
    return _coming(line, index, now)


def _rolling(line: Line, stop: Stop, now: datetime) -> Move | None:
    """Find the first fleet, by stage, that does not run its channel's image yet."""
    number = stop.channel
    if number is None:
        return None
    if number in line.dead and stop.places:
        why = f"{stop.env}'s channel names {line.family}/{number}, which may not launch"
        return Wait(because=why, stuck=True)
    before: list[Place] = []
    for place in sorted(stop.places, key=lambda place: place.stage):
        if place.settled != number:
            called = f"{line.family}/{number} in {stop.env}/{place.name}"
            if number in place.refused:
                return Wait(because=f"{called} failed, or was rolled back", stuck=True)
            if place.held:
                return Wait(because=f"{called}: {place.held}")
            if left := _stage_soaks(before, place.stage, now):
                return Wait(because=f"{called} follows when the stage before it has soaked: {left}")
            return Roll(
                number=number,
                env=stop.env,
                fleet=place.name,
                because=f"{stop.env}'s channel is {line.family}/{number}",
            )
        before.append(place)
    return None


def _stage_soaks(before: list[Place], stage: int, now: datetime) -> str:
    ends = [p.settled_at + p.soak for p in before if p.stage < stage and p.settled_at]
    left = max(ends, default=now) - now
    return f"{seconds(left)} more" if left > timedelta(0) else ""


def _coming(line: Line, index: int, now: datetime) -> Move | None:
    """Say whether the environment before has something newer, and whether it may come."""
    stop = line.stops[index]
    before = line.stops[index - 1] if index else None
    number = before.channel if before else line.candidate
    if number is None or number <= (stop.channel or 0):
        return None
    called = f"{line.family}/{number}"
    if before is not None and (reason := _lacks(line, before, stop, number, now)):
        return reason
    if (held := _held(line, index, number)) is not None:
        return held
    if before is None:
        return Promote(number=number, env=stop.env, because="it is the newest, and proven")
    told = f"it soaked in {before.env}"
    if stop.approval:
        told += " and was approved"
    if not stop.soak:
        told = f"{called} serves in {before.env}" + (", approved" if stop.approval else "")
    return Promote(number=number, env=stop.env, because=told)


def _lacks(line: Line, before: Stop, stop: Stop, number: int, now: datetime) -> Wait | None:
    """Name the evidence that a step asks for and that is not there yet."""
    called = f"{line.family}/{number}"
    if any(place.settled != number for place in before.places):
        return Wait(because=f"{called} does not serve everywhere in {before.env} yet")
    times = [p.settled_at for p in before.places if p.settled_at] or [before.assigned_at or now]
    left = stop.soak - (now - max(times))
    if left > timedelta(0):
        return Wait(because=f"{called} soaks in {before.env} for {seconds(left)} more")
    if stop.approval and number not in stop.approved:
        return Wait(
            because=f"{called} waits for approval: invoke image.approve {called} --to {stop.env}"
        )
    return None


def _held(line: Line, index: int, number: int) -> Wait | None:
    """Let what is on its way here go on first, unless the newer one is worth more."""
    stop, following = line.stops[index], line.stops[index + 1 :]
    mine = stop.channel
    if mine is None or not following or mine <= (following[0].channel or 0):
        return None
    if _will_never_arrive(line, mine):
        return None
    if line.severity.get(number, 0) > line.severity.get(mine, 0):
        return None
    return Wait(
        because=f"{line.family}/{number} waits in line: {line.family}/{mine} is on its way to "
        f"{following[0].env}"
    )


def after(line: Line, move: Promote | Roll, now: datetime) -> Line:
    """Tell how things stand once a move has gone well: what a rehearsal goes on from."""
    return replace(line, stops=tuple(_stop_after(stop, move, now) for stop in line.stops))


def _stop_after(stop: Stop, move: Promote | Roll, now: datetime) -> Stop:
    if stop.env != move.env:
        return stop
    if isinstance(move, Promote):
        return replace(stop, channel=move.number, assigned_at=now)
    places = tuple(
        replace(place, settled=move.number, settled_at=now) if place.name == move.fleet else place
        for place in stop.places
    )
    return replace(stop, places=places)


def on_its_way(line: Line) -> int | None:
    """Name the newest image that has begun its way and not ended it; none that failed on it."""
    reached = [stop.channel for stop in line.stops if stop.channel is not None]
    newest = max([*reached, *([line.candidate] if line.candidate else [])], default=None)
    if newest is None or not line.stops or newest <= (line.stops[-1].channel or 0):
        return None
    return None if _will_never_arrive(line, newest) else newest


def _will_never_arrive(line: Line, number: int) -> bool:
    refused = any(number in place.refused for stop in line.stops for place in stop.places)
    return refused or number in line.dead
