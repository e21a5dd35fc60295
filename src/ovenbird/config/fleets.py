"""``inventories/<env>/fleets.yml``: what should run, checked against the families' contracts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from ovenbird.config.balancers import Bound, balancers_of, clashes
from ovenbird.config.fleet_entry import FleetEntry
from ovenbird.config.health import health_faults
from ovenbird.config.kind_entry import job_faults, kind_faults
from ovenbird.config.procedure_entry import BudgetEntry, procedure_faults
from ovenbird.config.schema import parse, section
from ovenbird.config.volume_entry import order_faults, volume_faults
from ovenbird.config.wording import allowed, did_you_mean
from ovenbird.config.yaml import Document, Loc, read
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.family import Family
from ovenbird.values.fleet import BalancerSpec, Fleet, Kind
from ovenbird.values.image import NAME, Contract, ImageRef
from ovenbird.values.procedure import Budget, Strategy


def survey(
    project: Path, env: str, families: Mapping[str, Family], known: Collection[str]
) -> tuple[dict[str, Fleet], tuple[Fault, ...]]:
    """Read every fleet of one environment that can be read, and collect what is wrong.

    ``known`` names the families of which an entry exists, ``families`` those that can be read:
    a fleet of a family that cannot is not checked against its contract.
    """
    document = read(project, f"inventories/{env}/fleets.yml")
    faults: list[Fault] = []
    fleets: dict[str, Fleet] = {}
    bounds: list[Bound] = []
    budget = _budget(document, faults)
    for name, value in section(document, "fleets", faults, beside=("budget",)).items():
        loc, called = ("fleets", name), f"fleet {name}"
        if not NAME.fullmatch(name):
            problem = f"{name!r} cannot be the name of a fleet."
            remedy = "Allowed: a small letter, then up to 30 small letters, digits and -."
            faults.append(document.fault(loc, problem, remedy, key=True))
        entry = parse(FleetEntry, value, document=document, loc=loc, called=called, faults=faults)
        balancers = balancers_of(
            value.get("balancer") if isinstance(value, dict) else None,
            document=document,
            loc=(*loc, "balancer"),
            called=called,
            faults=faults,
        )
        bounds += [
            Bound.of(name, spec, line=document.line((*where, "haproxy", "bind")))
            for where, spec in balancers.items()
            if spec.kind == "haproxy"
        ]
        if entry is not None:
            specs = tuple(balancers.values())
            fleet = _fleet(env, name, entry, balancers=specs, document=document)
            fleets[name] = replace(fleet, budget=budget)
            faults += kind_faults(
                fleet, entry.model_fields_set, document=document, loc=loc, called=called
            )
            faults += _family_faults(fleet, entry, families, known, document=document)
            faults += _own_faults(fleet, entry, document=document, loc=loc, project=project)
    faults += clashes(bounds, file=document.file)
    faults += _namesakes(project, env, fleets, document=document)
    return fleets, tuple(dict.fromkeys(faults))


def _own_faults(
    fleet: Fleet, entry: FleetEntry, *, document: Document, loc: Loc, project: Path
) -> Iterator[Fault]:
    """What its volumes, its order and its rollout get wrong by themselves."""
    called = f"fleet {fleet.name}"
    if fleet.kind is Kind.JOB:
        return
    here = (*loc, "volumes")
    yield from volume_faults(entry.volumes, document=document, loc=here, called=called)
    if entry.order is not None:
        here = (*loc, "order")
        yield from order_faults(
            entry.order, document=document, loc=here, called=called, project=project
        )
    yield from procedure_faults(
        entry.rollout,
        size=entry.size,
        with_limits="limits" in entry.model_fields_set,
        stateful=fleet.is_stateful,
        document=document,
        loc=(*loc, "rollout"),
        called=called,
        project=project,
    )


def _namesakes(
    project: Path, env: str, fleets: Collection[str], *, document: Document
) -> Iterator[Fault]:
    """Refuse ``prod/eu-db`` beside ``prod-eu/db``: both would be ``prod-eu-db`` at their balancers
    and in the names of their locks."""
    for name in fleets:
        words = f"{env}-{name}".split("-")
        for n in range(1, len(words)):
            other, theirs = "-".join(words[:n]), "-".join(words[n:])
            there = f"inventories/{other}/fleets.yml"
            if other == env or not (project / there).is_file():
                continue
            try:
                found = read(project, there).data
            except ConfigurationError:
                continue  # told where that environment is read
            named = found.get("fleets") if isinstance(found, dict) else None
            if isinstance(named, dict) and theirs in named:
                yield document.fault(
                    ("fleets", name),
                    f"fleet {name}: {env}/{name} and {other}/{theirs} would share a name at "
                    "balancers and engines.",
                    "Rename one of them.",
                    key=True,
                )


def _budget(document: Document, faults: list[Fault]) -> Budget:
    """What the fleets of the environment share; no limit where nothing is written."""
    data = document.data
    if not isinstance(data, dict) or "budget" not in data:
        return Budget()
    entry = parse(
        BudgetEntry,
        data["budget"],
        document=document,
        loc=("budget",),
        called="budget",
        faults=faults,
    )
    return Budget() if entry is None else entry.value()


def _family_faults(
    fleet: Fleet,
    entry: FleetEntry,
    families: Mapping[str, Family],
    known: Collection[str],
    *,
    document: Document,
) -> Iterator[Fault]:
    """What a well-typed fleet still gets wrong: its own arithmetic, and its family's contract."""
    loc, called = ("fleets", fleet.name), f"fleet {fleet.name}"
    yield from _limit_faults(fleet, document=document, loc=loc, called=called)
    if not fleet.is_stateful:
        yield from _switch_faults(fleet, document=document, loc=loc, called=called)
    family = fleet.image.family
    if family in families:
        contract = families[family].contract
        yield from _contract_faults(fleet, contract, document=document, loc=loc)
        yield from job_faults(fleet, contract, document=document, loc=loc)
        here, port = (*loc, "health"), contract.port
        if fleet.kind is Kind.SERVICE:
            yield from health_faults(
                entry.health, document=document, loc=here, called=called, port=port
            )
    elif family not in known:
        hint = did_you_mean(family, known)
        problem = f"{called}: there is no family {family!r}.{hint}"
        remedy = allowed(known, what="Families in packer/images.yml")
        yield document.fault((*loc, "image"), problem, remedy)


def _fleet(
    env: str,
    name: str,
    entry: FleetEntry,
    *,
    balancers: tuple[BalancerSpec, ...],
    document: Document,
) -> Fleet:
    return Fleet(
        env=env,
        name=name,
        image=ImageRef.parse(entry.image),
        size=entry.size,
        provider=entry.provider,
        launch=entry.launch.value(),
        limits=entry.limits.value(stateful=bool(entry.volumes)),
        health=entry.health.value(),
        balancers=balancers,
        stage=entry.stage,
        procedure=entry.rollout.value(),
        kind=Kind(entry.kind),
        job=entry.job.value() if entry.job else None,
        before_first_wave=entry.before_first_wave.value() if entry.before_first_wave else None,
        volumes=tuple(volume.value() for volume in entry.volumes),
        order=entry.order.value() if entry.order else None,
        file=document.file,
        line=document.key_line(("fleets", name)),
    )


def _switch_faults(fleet: Fleet, *, document: Document, loc: Loc, called: str) -> Iterator[Fault]:
    """A switch needs something that switches."""
    blue_green = fleet.procedure.strategy is Strategy.BLUE_GREEN
    if blue_green and all(balancer.kind == "none" for balancer in fleet.balancers):
        yield document.fault(
            (*loc, "rollout", "strategy"),
            f"{called}: a blue-green rollout is one switch at a balancer, and it has none.",
            "Give it a balancer: haproxy, command or file; or set strategy: rolling or stepped.",
        )


def _limit_faults(fleet: Fleet, *, document: Document, loc: Loc, called: str) -> Iterator[Fault]:
    try:
        fleet.limits.of(fleet.size)
    except ConfigurationError as error:
        for fault in error.faults:
            problem, remedy = f"{called}: {fault.problem}", fault.remedy
            if fleet.is_stateful:
                remedy = "Set max_unavailable to 1 or more; a fleet with volumes has no surge."
            yield document.fault((*loc, "limits"), problem, remedy, key=True)


def _contract_faults(
    fleet: Fleet, contract: Contract, *, document: Document, loc: Loc
) -> Iterator[Fault]:
    """The launch gives what the family needs, and HAProxy has a port to send traffic to."""
    given = {
        "config": {key for key, _ in fleet.launch.config},
        "secrets": {secret.name for secret in fleet.launch.secrets},
    }
    sample = {"config": "TEXT", "secrets": "file:PATH"}
    for kind, needed in (("config", contract.config), ("secrets", contract.secrets)):
        for name in needed:
            if name not in given[kind]:
                hint = did_you_mean(name, given[kind]).replace("Did you mean", "Is it")
                yield document.fault(
                    (*loc, "launch", kind),
                    f"fleet {fleet.name}: family {fleet.image.family} needs {name} at launch, "
                    f"and launch.{kind} does not give it.{hint}",
                    f"Add launch: {{{kind}: {{{name}: {sample[kind]}}}}}",
                    key=True,
                )
    if contract.port is None and any(b.kind == "haproxy" for b in fleet.balancers):
        yield document.fault(
            (*loc, "balancer"),
            f"fleet {fleet.name}: haproxy needs a port, and family {fleet.image.family} has none.",
            "Give the family launch: {port: NUMBER} in packer/images.yml, or use another balancer.",
            key=True,
        )
