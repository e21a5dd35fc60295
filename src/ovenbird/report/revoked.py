"""What a revocation means: who runs one of the revoked, who holds one, and what to type now.

It tells, and moves nothing: neither a channel nor a fleet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from ovenbird.catalog.retiring import every_version
from ovenbird.rollout.references import running_in
from ovenbird.state.database import Database
from ovenbird.state.tables import fleets, instances
from ovenbird.values.errors import OvenbirdError
from ovenbird.values.image import Artifact, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Struck:
    """A fleet that runs a revoked version or launches one when it loses an instance. ``remedy`` is
    the command that brings it off; ``good`` the version that it goes to, or ""."""

    env: str
    name: str
    image: str
    running: int
    settled: bool
    good: str
    remedy: str

    @property
    def sentence(self) -> str:
        plural = "instances run" if self.running != 1 else "instance runs"
        told = [f"{self.running} {plural} {self.image}"] if self.running else []
        told += [f"it has settled on {self.image}"] if self.settled else []
        return f"{self.env}/{self.name}: {', and '.join(told)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """An engine that could still start a revoked version, since it holds its artifact; ``problem``
    says why that is not known."""

    engine: str
    images: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aftermath:
    """Everything that a revocation leaves to do. ``good`` is the newest of each family that may
    launch, or "" where there is none; ``channels`` are those that point at a revoked one."""

    revoked: tuple[Version, ...]
    struck: tuple[Struck, ...]
    holders: tuple[Holder, ...]
    channels: tuple[tuple[str, str], ...]
    good: Mapping[str, str]


def aftermath_of(
    database: Database, revoked: Sequence[Version], *, holds: Callable[[Artifact], bool]
) -> Aftermath:
    """Look at the whole site. ``holds`` asks an engine for an artifact, and may fail."""
    with database.reading() as db:
        versions = every_version(db)
        struck = tuple(_struck(db, revoked, versions))
    families = dict.fromkeys(version.family for version in revoked)
    return Aftermath(
        revoked=tuple(revoked),
        struck=struck,
        holders=tuple(_holders(revoked, holds)),
        channels=tuple((f"{v.family}@{c}", str(v)) for v in revoked for c in v.channels),
        good={family: newest_good(versions, family) for family in families},
    )


def newest_good(versions: Iterable[Version], family: str, *, on: Iterable[str] = ()) -> str:
    """Name the newest version that may launch and has an artifact on every engine of ``on``, and
    on any where that is empty; "" where there is none."""
    wanted = set(on)
    fit = [
        v
        for v in versions
        if v.family == family and v.launchable and v.artifacts
        if wanted <= {artifact.provider for artifact in v.artifacts}
    ]
    return str(max(fit, key=lambda v: v.number)) if fit else ""


def _struck(
    db: Connection, revoked: Sequence[Version], versions: Sequence[Version]
) -> Iterable[Struck]:
    names, running = {str(v): v for v in revoked}, running_in(db)
    query = select(fleets.c.env, fleets.c.name, fleets.c.settled).where(fleets.c.settled.in_(names))
    settled = {(row.settled, f"{row.env}/{row.name}") for row in db.execute(query)}
    hit = settled | {(name, fleet) for name in names for fleet in running.get(name, ())}
    for name, fleet in sorted(hit, key=lambda each: (each[1], each[0])):
        version, (env, _, own) = names[name], fleet.partition("/")
        engines = _engines_of(db, env, own)
        good = newest_good(versions, version.family, on=engines)
        yield Struck(
            env=env,
            name=own,
            image=name,
            running=running.get(name, {}).get(fleet, 0),
            settled=(name, fleet) in settled,
            good=good,
            remedy=_remedy(version, env, own, good, engines),
        )


def _engines_of(db: Connection, env: str, name: str) -> list[str]:
    """Name where a fleet's instances are that have not ended."""
    query = (
        select(instances.c.provider)
        .where(instances.c.env == env, instances.c.fleet == name)
        .where(instances.c.ended_at.is_(None), instances.c.provider != "")
        .distinct()
    )
    return sorted(db.execute(query).scalars())


def _remedy(bad: Version, env: str, name: str, good: str, engines: Sequence[str]) -> str:
    """Forward to a newer one is a rollout. Back to an older one is a rollback, which pins."""
    if not good:
        on = f" --on {','.join(engines)}" if engines else ""
        return f"invoke bake {bad.family}{on}"
    verb = "rollback" if int(good.rpartition("/")[2]) < bad.number else "rollout"
    return f"invoke {verb} {name} --env {env} --image {good}"


def _holders(revoked: Sequence[Version], holds: Callable[[Artifact], bool]) -> Iterable[Holder]:
    at: dict[str, list[tuple[str, Artifact]]] = {}
    for version in revoked:
        for artifact in version.artifacts:
            at.setdefault(artifact.provider, []).append((str(version), artifact))
    for engine, artifacts in sorted(at.items()):
        problem = ""
        try:
            held = [name for name, artifact in artifacts if holds(artifact)]
        except OvenbirdError as error:
            held, problem = [name for name, _ in artifacts], error.problem
        if held:
            yield Holder(engine=engine, images=tuple(held), problem=problem)
