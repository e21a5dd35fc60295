"""Values for tests, in one line each, and no worlds that cannot be.

`an_instance` and its kind refuse a combination that `observe` could never report, so that a test
does not prove something about nowhere.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from ovenbird.values.fleet import Fleet, FleetKey, HealthCheck, LaunchData, Order
from ovenbird.values.image import Artifact, Contract, ImageRef, ImageState, Provenance, Version
from ovenbird.values.instance import (
    EngineState,
    Entry,
    EntryState,
    Goal,
    Health,
    Instance,
    Look,
    Seen,
    Verdict,
)
from ovenbird.values.limits import Bounds, Limits
from ovenbird.values.package import Inventory, Package

NOW = datetime(2026, 11, 22, 1, 0, tzinfo=UTC)
"""One in the morning."""

KEY = FleetKey(site="site-1", env="dev", name="web")


def a_goal(version: str = "web/2", *, launch_hash: str = "none") -> Goal:
    return Goal(version=version, launch_hash=launch_hash)


def bounds(size: int, *, surge: int = 1, unavailable: int = 0) -> Bounds:
    return Bounds(size=size, surge=surge, unavailable=unavailable)


def an_instance(
    n: int,
    version: str = "web/1",
    health: Health = Health.SERVING,
    *,
    accepted: bool | None = None,
    registered: bool | None = None,
    leaving: bool = False,
    ready: bool | None = None,
    dying: bool = False,
    launch_hash: str = "none",
    because: str = "",
    in_service: bool | None = None,
    kept: bool = False,
) -> Instance:
    """Make instance number ``n``, launched ``n`` minutes into the fleet's life.

    What is not said follows from the health: a serving one is accepted, registered and ready,
    a pending one is none of these.
    """
    serves = health is Health.SERVING
    was_good = serves or health in (Health.UNKNOWN, Health.LOST)
    instance = Instance(
        token=f"web-{n:03}",
        version=version,
        launch_hash=launch_hash,
        slot=n,
        health=health,
        because=because or f"{health} by decree",
        launched_at=NOW - timedelta(days=1) + timedelta(minutes=n),
        address=f"127.0.0.1:{30000 + n}",
        accepted=was_good if accepted is None else accepted,
        registered=serves if registered is None else registered,
        leaving=leaving or dying,
        ready=serves if ready is None else ready,
        dying=dying,
        in_service=serves if in_service is None else in_service,
        kept=kept,
    )
    _refuse_the_impossible(instance)
    return instance


def _refuse_the_impossible(i: Instance) -> None:
    serves = i.health is Health.SERVING
    impossible = {
        "serves without having all that it takes": serves
        and not (i.accepted and i.registered and i.ready),
        "serves and leaves": serves and i.leaving,
        "is registered everywhere and leaves": i.registered and i.leaving and not i.dying,
        "is ready and was never accepted": i.ready and not i.accepted,
        "is ready, but not healthy": i.ready
        and i.health not in (Health.SERVING, Health.PENDING, Health.FAILED),
        "is in service and is not registered everywhere": i.in_service
        and not (i.registered and i.accepted),
        "dies and is more than pending": i.dying and (i.health is not Health.PENDING or i.ready),
    }
    for what, so in impossible.items():
        if so:
            raise ValueError(f"an impossible world: {i.token} {what}")


def instances(
    count: int, version: str = "web/1", health: Health = Health.SERVING
) -> list[Instance]:
    return [an_instance(n, version, health) for n in range(1, count + 1)]


def ready_unlisted(n: int, version: str = "web/1", *, leaving: bool = False) -> Instance:
    """It passed its gate and gets no traffic: nobody registered it, or a drain has begun."""
    return an_instance(n, version, Health.PENDING, accepted=True, ready=True, leaving=leaving)


def overloaded(n: int, version: str = "web/1") -> Instance:
    """Its probe fails, and the balancers have it in service all the same."""
    return an_instance(n, version, Health.FAILED, accepted=True, registered=True, in_service=True)


def kept(n: int, version: str = "web/1", *, health: Health = Health.PENDING) -> Instance:
    """The previous one of a blue-green rollout: out of service, and held for a switch back."""
    good = health is Health.PENDING
    return an_instance(n, version, health, accepted=True, ready=good, kept=True)


def unwanted(instance: Instance) -> Instance:
    """The same, which somebody wants replaced whatever it runs."""
    return replace(instance, unwanted="changed by hand")


def quarantined(instance: Instance, *, over: bool = False) -> Instance:
    """The same on its way into quarantine, or in it; with ``over`` its time there has passed."""
    return replace(unwanted(instance), quarantined=True, kept=not over)


def with_health(instance: Instance, health: Health) -> Instance:
    """The same instance some time later, serving or ill, by its own means."""
    good = health is Health.SERVING
    return replace(
        instance,
        health=health,
        accepted=instance.accepted or good,
        registered=good,
        ready=good,
        leaving=False if good else instance.leaving,
        dying=False,
        in_service=good,
        because=f"{health} by decree",
    )


def serving(fleet: Collection[Instance]) -> int:
    return sum(i.is_serving for i in fleet)


def a_seen(
    n: int = 1,
    state: EngineState = EngineState.RUNNING,
    *,
    version: str = "web/1",
    age: float = 3600.0,
    since: float | None = None,
    exit_code: int | None = None,
) -> Seen:
    """An engine's report of instance ``n``, launched ``age`` seconds ago, ``state`` for
    ``since`` seconds."""
    if exit_code is not None and state is not EngineState.EXITED:
        raise ValueError("an impossible world: an exit code without an exit")
    return Seen(
        token=f"web-{n:03}",
        id=f"id-{n:03}",
        fleet=KEY,
        version=version,
        launch_hash="none",
        slot=n,
        state=state,
        launched_at=NOW - timedelta(seconds=age),
        address=f"127.0.0.1:{30000 + n}",
        exit_code=exit_code,
        since=None if since is None else NOW - timedelta(seconds=since),
    )


def looks(n: int, verdicts: str, *, every: float = 1.0, ago: float = 0.0) -> Sequence[Look]:
    """Looks at instance ``n``, oldest first: ``"PF-"`` is a pass, a failure, no answer.

    They are ``every`` seconds apart and the last was ``ago`` seconds before `NOW`.
    """
    words = {"P": Verdict.PASS, "F": Verdict.FAIL, "-": Verdict.NO_ANSWER}
    last = len(verdicts) - 1
    return [
        Look(
            token=f"web-{n:03}",
            at=NOW - timedelta(seconds=ago + (last - index) * every),
            verdict=words[letter],
            detail="answered 500" if letter == "F" else "",
        )
        for index, letter in enumerate(verdicts)
    ]


def an_entry(n: int, state: EntryState = EntryState.IN_SERVICE) -> Entry:
    return Entry(token=f"web-{n:03}", address=f"127.0.0.1:{30000 + n}", state=state)


def an_artifact(id_: str = "sha256:9f3c", *, provider: str = "memory") -> Artifact:
    return Artifact(
        provider=provider,
        id=id_,
        template="t" * 64,
        parent="sha256:base",
        token="bake-1",
        location=f"memory:{id_}",
        size=1,
        baked_at=NOW,
    )


def a_version(
    number: int = 1,
    *,
    family: str = "web",
    state: ImageState = ImageState.ACTIVE,
    provider: str = "memory",
    contract: Contract | None = None,
) -> Version:
    return Version(
        family=family,
        number=number,
        fingerprint=f"{number:064x}",
        packages="p" * 64,
        packages_at=NOW,
        baked_at=NOW,
        state=state,
        parent=None if family == "base" else "base/1",
        artifacts=(an_artifact(f"sha256:{family}-{number}", provider=provider),),
        contract=contract or Contract(port=80),
        provenance=Provenance(by="a test", because="it asked"),
    )


def a_package(name: str, version: str = "1.0", *, origin: str = "stable") -> Package:
    return Package(
        name=name,
        version=version,
        architecture="amd64",
        source=name,
        source_version=version,
        origin=origin,
    )


def an_inventory(
    *packages: Package, files: tuple[tuple[str, str], ...] = (), provider: str = "memory"
) -> Inventory:
    return Inventory(packages=packages, files=files, provider=provider, read_at=NOW)


def a_fleet(
    size: int = 3, *, limits: Limits | None = None, health: HealthCheck | None = None
) -> Fleet:
    """A wanted fleet ``dev/web`` of ``web@stable`` in the memory provider."""
    return Fleet(
        env="dev",
        name="web",
        image=ImageRef(family="web", channel="stable"),
        size=size,
        provider="memory",
        limits=limits or Limits(),
        health=health or HealthCheck(),
    )


def an_order(token: str = "web-001", *, version: str = "web/1", slot: int = 1) -> Order:
    return Order(
        token=token,
        fleet=KEY,
        version=version,
        artifact=an_artifact(),
        contract=Contract(port=80),
        launch=LaunchData(),
        slot=slot,
    )
