"""Prove an image: boot two throw-away instances of it, look inside, and knock from outside.

Two, because what must differ between instances (machine-id, keys, random seed) can only be seen
on a pair. The checks are the project's own: ``tests/images/`` with pytest and testinfra.
"""

from __future__ import annotations

import json
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from ovenbird import process
from ovenbird.bake.oven import Oven
from ovenbird.clock import Clock
from ovenbird.fleet.drift import ambient_of, while_proven
from ovenbird.fleet.health import CONSOLE_LINES, Probe, probe_for
from ovenbird.packages.inventory import QUESTION, inventory_of
from ovenbird.provider import Provider
from ovenbird.values.errors import ProofFailed
from ovenbird.values.family import Family
from ovenbird.values.fleet import FleetKey, HealthCheck, LaunchData, Order
from ovenbird.values.image import Artifact
from ovenbird.values.instance import EngineState, Seen, Verdict
from ovenbird.values.package import Inventory

ALWAYS = ("tests/images/test_hygiene.py", "tests/images/test_identity.py")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What was shown: how long the slower instance took to boot (s), how many checks held,
    which paths changed by themselves meanwhile, and what is installed."""

    boot_seconds: float
    checks: int
    ambient: tuple[str, ...]
    inventory: Inventory


def prove(
    artifact: Artifact,
    *,
    family: Family,
    project: Path,
    folder: Path,
    site: str,
    oven: Oven,
    clock: Clock,
    environment: Mapping[str, str],
) -> Proof:
    """Boot, look, knock, and throw away. Raises `ProofFailed` with what was seen."""
    provider, orders = oven.prover(folder=folder), _orders(artifact, family, site=site)
    with ExitStack() as undo:
        begun = clock.now()
        for order in orders:
            undo.callback(provider.terminate, order.token, stop=family.contract.stop)
            provider.launch(order)
        smoke = family.proof.smoke or HealthCheck(kind="engine")
        _await_boot(
            orders,
            probe_for(smoke, console=partial(provider.console, lines=CONSOLE_LINES)),
            provider=provider,
            clock=clock,
            deadline=oven.boot_deadline,
        )
        seconds = (clock.now() - begun).total_seconds()
        booted = [provider.changes(order.token) for order in orders]
        checks = _look_inside(
            [oven.proof_host(order.token, folder=folder) for order in orders],
            family=family,
            project=project,
            report=folder / "proof.xml",
            environment=environment,
        )
        inventory = _inventory(oven.proof_host(orders[0].token, folder=folder), environment)
        checked = [provider.changes(order.token) for order in orders]
    own = [while_proven(*looks) for looks in zip(booted, checked, strict=True)]
    return Proof(
        boot_seconds=seconds,
        checks=checks,
        ambient=ambient_of(own),
        inventory=replace(inventory, provider=oven.name, read_at=begun),
    )


def _orders(artifact: Artifact, family: Family, *, site: str) -> list[Order]:
    """Describe the two throw-away instances, with the test values that the family supplies."""
    launch = LaunchData(
        config=json.dumps(dict(family.proof.config), sort_keys=True),
        secrets=tuple((name, value.encode()) for name, value in family.proof.secrets),
        hash="proof",
    )
    return [
        Order(
            token=f"{artifact.token}-proof{slot}",
            fleet=FleetKey(site=site, env="prove", name=family.name),
            version=f"{family.name}/candidate",
            artifact=artifact,
            contract=family.contract,
            launch=launch,
            slot=slot,
        )
        for slot in (1, 2)
    ]


def _await_boot(
    orders: Sequence[Order], probe: Probe, *, provider: Provider, clock: Clock, deadline: float
) -> None:
    waiting = {order.token: "nothing was seen of it" for order in orders}
    begun = clock.now()
    while waiting and (clock.now() - begun).total_seconds() < deadline:
        for seen in provider.instances(orders[0].fleet):
            if seen.token in waiting:
                waiting[seen.token] = detail = _boot_fault(seen, probe, clock)
                if not detail:
                    del waiting[seen.token]
                elif seen.state is EngineState.EXITED:
                    raise _not_booted(seen.token, detail, provider, deadline)
        if waiting:
            clock.sleep(0.2)
    if waiting:
        token, detail = next(iter(waiting.items()))
        raise _not_booted(token, detail, provider, deadline)


def _boot_fault(seen: Seen, probe: Probe, clock: Clock) -> str:
    if seen.state is not EngineState.RUNNING:
        return f"the engine says {seen.state}"
    look = probe.look(seen, clock.now())
    return "" if look.verdict is Verdict.PASS else look.detail


def _not_booted(token: str, detail: str, provider: Provider, deadline: float) -> ProofFailed:
    return ProofFailed(
        f"An instance of the image did not come up within {deadline:g} s: {detail}.",
        remedy="Correct the role; the lines above are the end of its console.",
        evidence=provider.console(token, lines=12),
    )


def _look_inside(
    hosts: Sequence[str],
    *,
    family: Family,
    project: Path,
    report: Path,
    environment: Mapping[str, str],
) -> int:
    own = Path(f"tests/images/test_family_{family.name}.py")
    tests = [*ALWAYS, *family.proof.tests]
    if str(own) not in tests and (project / own).exists():
        tests.append(str(own))
    done = process.run(
        [
            sys.executable,
            "-m",
            "pytest",
            *tests,
            f"--first={hosts[0]}",
            f"--second={hosts[1]}",
            f"--family={family.name}",
            f"--port={family.contract.port or 0}",
            "--quiet",
            "--no-header",
            "--tb=short",
            "-p",
            "no:cacheprovider",
            f"--junitxml={report}",
        ],
        doing=f"Looking inside two instances of {family.name}",
        env=environment,
        cwd=project,
        check=False,
    )
    if done.code:
        raise ProofFailed(
            f"The image of {family.name} booted, and does not pass its proofs.",
            remedy="Correct the role (or the check, in tests/images/), and bake again.",
            evidence=_failures(report) or "\n".join(done.stdout.splitlines()[-10:]) + done.stderr,
        )
    suite = next(ElementTree.parse(report).getroot().iter("testsuite"))
    return int(suite.get("tests", 0)) - int(suite.get("skipped", 0))


def _inventory(host: str, environment: Mapping[str, str]) -> Inventory:
    """Ask the package manager of an instance what is installed, and what no package brought."""
    done = process.run(
        [sys.executable, str(Path(__file__).with_name("inquire.py")), host, str(QUESTION)],
        doing="Listing what is installed",
        env=environment,
        check=False,
    )
    return inventory_of(done.stdout)


def _failures(report: Path) -> str:
    """Name each check that failed, with the line that says why."""
    if not report.exists():
        return ""
    told = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        for bad in (*case.iter("failure"), *case.iter("error")):
            why = (bad.get("message") or "").splitlines() or ["it raised"]
            told.append(f"{case.get('name')}: {why[0][:160]}")
    return "\n".join(told)
