"""What an engine and a balancer do to an imagined world: each a function that can be sent to it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial

from ovenbird.provider.memory_world import Inhabitant, Kept, World
from ovenbird.values.errors import Blocked, NoCapacity, OvenbirdError
from ovenbird.values.fleet import FleetKey, Order, VolumeSpec
from ovenbird.values.instance import (
    Change,
    ChangeKind,
    EngineState,
    Entry,
    EntryState,
    Seen,
    Verdict,
    Volume,
)
from ovenbird.values.launch import instance_config


def launch(world: World, *, order: Order, site: str, now: datetime) -> Seen:
    """Start an instance, or return the one that has this token already."""
    world.asked.append(("launch", order.token))
    known = world.instances.get(order.token)
    if known is not None:
        return known.seen
    if order.artifact.id in world.deleted:
        raise OvenbirdError(f"{order.version} is not in memory any more.", remedy="Bake it again.")
    if world.capacity is not None and len(world.instances) >= world.capacity:
        raise NoCapacity(
            f"Memory has room for {world.capacity} instances, and they are there.",
            remedy="End one, or make more room.",
        )
    volumes = tuple(_attach(world, order, spec, site) for spec in order.volumes)
    verdict = world.outcomes.get(order.version, Verdict.PASS)
    console = f"{order.token} runs {order.job or order.version}\n"
    if order.job:
        world.ran.append(order.token)
    made = Inhabitant(
        seen=_started(world, order, site, now),
        artifact=order.artifact.id,
        config=instance_config(order),
        secrets=tuple(name for name, _ in order.launch.secrets),
        console=console + ("ready\n" if verdict is Verdict.PASS else ""),
        verdict=verdict,
        volumes=volumes,
    )
    world.instances[order.token] = made
    return made.seen


def terminate(world: World, *, token: str, site: str, linger: bool, now: datetime) -> None:
    """End an instance; with ``linger`` it is dying first, and gone the second time."""
    world.asked.append(("terminate", token))
    known = world.instances.get(token)
    if known is None or known.seen.fleet.site != site:
        return
    if linger and known.seen.state is not EngineState.DYING:
        turn(world, token=token, state=EngineState.DYING, code=None, now=now)
    else:
        del world.instances[token]


def listed(world: World, *, fleet: FleetKey) -> tuple[Seen, ...]:
    seen = [i.seen for i in world.instances.values()]
    mine = [s for s in seen if (s.fleet.env, s.fleet.name) == (fleet.env, fleet.name)]
    return tuple(sorted(mine, key=lambda s: (s.slot, s.launched_at, s.token)))


def known(world: World, *, token: str) -> Inhabitant | None:
    return world.instances.get(token)


def turn(world: World, *, token: str, state: EngineState, code: int | None, now: datetime) -> None:
    """Let the engine report another state of an instance."""
    who = world.instances[token]
    seen = replace(who.seen, state=state, exit_code=code, since=now)
    world.instances[token] = replace(who, seen=seen)


def answer(world: World, *, token: str, verdict: Verdict) -> None:
    world.instances[token] = replace(world.instances[token], verdict=verdict)


def become(world: World, *, version: str, verdict: Verdict) -> None:
    world.outcomes[version] = verdict


def delete(world: World, *, artifact: str) -> None:
    if is_used(world, artifact=artifact):
        raise Blocked(
            f"{artifact} still runs in an instance.",
            remedy="Roll its fleet to another image first.",
        )
    world.deleted.add(artifact)


def is_used(world: World, *, artifact: str) -> bool:
    return any(i.artifact == artifact for i in world.instances.values())


def is_present(world: World, *, artifact: str) -> bool:
    return artifact not in world.deleted


def asked(world: World) -> list[tuple[str, str]]:
    return list(world.asked)


def make_room(world: World, *, capacity: int | None) -> None:
    world.capacity = capacity


def delay(world: World, *, verb: str, seconds: float) -> None:
    world.delays.setdefault(verb, []).append(seconds)


def register(world: World, *, fleet: str, token: str) -> None:
    world.asked.append(("register", token))
    world.servers.setdefault(fleet, {})[token] = False


def drain(world: World, *, fleet: str, token: str) -> bool:
    """Deal a server nothing new, and say whether it was listed."""
    world.asked.append(("drain", token))
    servers = world.servers.get(fleet, {})
    if token not in servers:
        return False
    servers[token] = True
    return True


def deregister(world: World, *, fleet: str, token: str) -> None:
    world.asked.append(("deregister", token))
    world.servers.get(fleet, {}).pop(token, None)


def open_entrance(world: World) -> None:
    world.asked.append(("open", ""))


def close_entrance(world: World, *, fleet: str) -> None:
    world.asked.append(("close", ""))
    world.servers.pop(fleet, None)


def entries(world: World, *, fleet: str) -> tuple[Entry, ...]:
    return tuple(
        Entry(token=token, address=f"memory:{token}", state=_state(world, token, draining=draining))
        for token, draining in world.servers.get(fleet, {}).items()
    )


def mark(world: World) -> int:
    return len(world.moments)


def lowest(world: World, *, fleet: FleetKey, mark: int) -> int:
    return min((moment.serving for moment in world.since(fleet, mark)), default=0)


def most(world: World, *, fleet: FleetKey, mark: int) -> int:
    return max((moment.present for moment in world.since(fleet, mark)), default=0)


def taken(world: World) -> World:
    """Return a copy of everything there is."""
    return copy.deepcopy(world)


def put_back(world: World, *, other: World) -> None:
    """Make the world what ``other`` is."""
    for name in World.__dataclass_fields__:
        setattr(world, name, copy.deepcopy(getattr(other, name)))


def restoring(other: World) -> Callable[[World], None]:
    return partial(put_back, other=other)


def write(world: World, *, token: str, path: str, kind: ChangeKind, now: datetime) -> None:
    """Change a file of an instance by hand."""
    who = world.instances[token]
    others = (change for change in who.changes if change.path != path)
    changes = tuple(sorted((*others, Change(path=path, kind=kind, at=now))))
    world.instances[token] = replace(who, changes=changes)


def changes(world: World, *, token: str) -> tuple[Change, ...]:
    return world.instances[token].changes if token in world.instances else ()


def volumes(world: World, *, fleet: FleetKey, site: str) -> tuple[Volume, ...]:
    key = replace(fleet, site=site)
    mine = [kept.volume for kept in world.volumes.values() if kept.volume.fleet == key]
    told = [replace(volume, used_by=_users(world, volume.name)) for volume in mine]
    return tuple(sorted(told, key=lambda volume: (volume.slot, volume.spec)))


def delete_volume(world: World, *, name: str) -> None:
    if users := _users(world, name):
        raise Blocked(
            f"The volume {name} is in use by {users[0]}.",
            remedy="Nothing was deleted. End what uses it first.",
        )
    world.volumes.pop(name, None)


def files(world: World, *, volume: str) -> dict[str, str]:
    """Return the files of a volume as they are; what is put in here is not written."""
    return dict(world.volumes[volume].files)


def put(world: World, *, token: str, spec: str, file: str, content: str) -> None:
    """Let an instance that runs write a file to a volume of its slot."""
    who = world.instances[token]
    if who.seen.state is not EngineState.RUNNING:
        raise Blocked(f"{token} does not run.", remedy="Let it run.")
    kept = next(world.volumes[n] for n in who.volumes if world.volumes[n].volume.spec == spec)
    kept.files[file] = content


def end_jobs_with(world: World, *, code: int | None) -> None:
    world.job_code = code


def ran(world: World) -> list[str]:
    return list(world.ran)


def _attach(world: World, order: Order, spec: VolumeSpec, site: str) -> str:
    """Make a volume of a slot where there is none yet; refuse a second user of one."""
    fleet = replace(order.fleet, site=site)
    name = f"{site}.{fleet.env}.{fleet.name}.{order.slot}.{spec.name}"
    if users := _users(world, name):
        raise Blocked(
            f"The volume {name} is attached to {users[0]}, so {order.token} was not started.",
            remedy="End that one first: a volume has one writer.",
        )
    volume = Volume(name=name, fleet=fleet, slot=order.slot, spec=spec.name)
    world.volumes.setdefault(name, Kept(volume=volume))
    return name


def _users(world: World, volume: str) -> tuple[str, ...]:
    return tuple(token for token, who in world.instances.items() if volume in who.volumes)


def _started(world: World, order: Order, site: str, now: datetime) -> Seen:
    code = world.job_code if order.job else None
    return Seen(
        token=order.token,
        id=f"memory-{order.token}",
        fleet=replace(order.fleet, site=site),
        version=order.version,
        launch_hash=order.launch.hash,
        slot=order.slot,
        state=EngineState.RUNNING if code is None else EngineState.EXITED,
        launched_at=now,
        address=None if order.job else f"memory:{order.token}",
        exit_code=code,
        since=now,
        job=order.job,
    )


def _state(world: World, token: str, *, draining: bool) -> EntryState:
    if draining:
        return EntryState.DRAINING
    who = world.instances.get(token)
    return EntryState.IN_SERVICE if who is not None and who.answers else EntryState.DOWN
