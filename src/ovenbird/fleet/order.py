"""Ask a program of the operator's in which order instances may go: the leader last, say.

It runs on the operator's machine, in the project's folder, and is asked anew before each ending,
since leaders change. It gets a JSON list of {token, slot, address} on stdin and prints one token
a line. An order that is not clear is none: then nothing is ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import replace
from pathlib import Path

from ovenbird import process
from ovenbird.values.errors import Blocked, EngineUnreachable
from ovenbird.values.fleet import FleetKey, OrderHook
from ovenbird.values.instance import Health, Instance

GRACE = 1.0
"""Seconds from the signal that asks a late program to end to the one that does not ask."""


def ranked(
    hook: OrderHook, observed: Collection[Instance], *, fleet: FleetKey, project: Path
) -> tuple[Instance, ...]:
    """Return the fleet with its ranks: the first token that the program prints has rank 0.

    What is lost or kept out of service is not asked about. Raises `Blocked` where the program
    fails, takes longer than ``hook.timeout`` seconds, or does not name each instance once.
    """
    asked = [i for i in observed if i.health is not Health.LOST and not i.kept]
    named = _said(hook, asked, fleet=fleet, project=project)
    _require_each_once(hook, named, [i.token for i in asked], fleet=fleet)
    ranks = {token: rank for rank, token in enumerate(named)}
    return tuple(replace(i, rank=ranks.get(i.token, 0)) for i in observed)


def _said(
    hook: OrderHook, asked: Sequence[Instance], *, fleet: FleetKey, project: Path
) -> list[str]:
    """Run the program and return the tokens that it prints."""
    ordered = sorted(asked, key=lambda i: (i.slot, i.token))
    given = [{"token": i.token, "slot": i.slot, "address": i.address} for i in ordered]
    try:
        # timeout ends the whole group, also where a killed driver has left it behind.
        done = process.run(
            ["timeout", f"--kill-after={GRACE}", f"{hook.timeout}", *hook.argv],
            doing=f"The order program {hook.argv[0]} of {fleet}",
            env={"OVENBIRD_FLEET": fleet.name, "OVENBIRD_ENV": fleet.env},
            stdin=json.dumps(given).encode(),
            cwd=project,
            timeout=hook.timeout + 2 * GRACE,
            check=False,
        )
    except EngineUnreachable as late:  # something of it left the group, and holds its output open
        raise _unclear(hook, fleet, f"has not ended for {hook.timeout:g} s") from late
    if done.code in (124, 137):
        raise _unclear(hook, fleet, f"has not ended for {hook.timeout:g} s", done.stderr)
    if done.code != 0:
        raise _unclear(hook, fleet, f"ended with exit code {done.code}", done.stderr)
    return [line.strip() for line in done.stdout.splitlines() if line.strip()]


def _require_each_once(
    hook: OrderHook, named: Sequence[str], known: Collection[str], *, fleet: FleetKey
) -> None:
    if unknown := [token for token in named if token not in known]:
        raise _unclear(hook, fleet, f"names {unknown[0]!r}, which is none of its instances")
    if twice := [token for n, token in enumerate(named) if token in named[:n]]:
        raise _unclear(hook, fleet, f"names {twice[0]} twice")
    if left := sorted(set(known) - set(named)):
        raise _unclear(
            hook, fleet, f"names {len(named)} of {len(known)} instances, and not {left[0]}"
        )


def _unclear(hook: OrderHook, fleet: FleetKey, what: str, said: str = "") -> Blocked:
    return Blocked(
        f"Nobody knows in which order the instances of {fleet} may go: {hook.argv[0]} {what}.",
        remedy="Nothing was ended. It gets a JSON list of {token, slot, address} on stdin and "
        "prints each token once, one a line. It stands in fleets.yml as order:; run this again "
        "when it can answer.",
        evidence="\n".join(said.strip().splitlines()[-10:]),
    )
