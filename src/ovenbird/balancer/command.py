"""The operator's own script as a balancer: a verb in argv, a JSON document on stdin.

| verb | stdin beside ``fleet`` | must |
|---|---|---|
| ``open`` ``close`` | | make, or remove, the fleet's entrance |
| ``register`` | ``instance: {token, address, version}`` | send it traffic; end a drain |
| ``entries`` | | print a JSON list of ``{token, address, state, sessions}`` |
| ``drain`` | ``token``, ``timeout`` in seconds | send nothing new, wait, print the sessions left |
| ``deregister`` | ``token`` | forget it: ``entries`` lists it no more |

``fleet`` is ``{site, env, name}``; ``state`` is ``in service``, ``unchecked``, ``draining`` or
``down``; ``sessions`` may be left out. Every verb may be called twice. Exit code 0 is done, 3 is
"the balancer does not answer", anything else is fatal. A drain waits until the sessions have ended
or ``timeout`` is over; with 0 it only begins, so that several are drained side by side.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection, Mapping
from pathlib import Path

from ovenbird.process import run
from ovenbird.values.errors import (
    BalancerUnreachable,
    CommandFailed,
    ConfigurationError,
    EngineUnreachable,
)
from ovenbird.values.fleet import BalancerSpec, FleetKey, HealthCheck
from ovenbird.values.instance import Entry, EntryState, Seen

UNREACHABLE = 3

LONGEST_LOOK = 30.0
"""Seconds that ``entries`` may take."""

LONGEST_CALL = 300.0
"""Seconds after which a verb that changes something, beyond what it was told to wait, is left
running: cut short, nobody would know what it did."""


class CommandBalancer:
    """Call ``spec.argv`` with one more argument, the verb."""

    def __init__(
        self, fleet: FleetKey, spec: BalancerSpec, folder: Path, health: HealthCheck
    ) -> None:
        if not spec.argv:
            raise ConfigurationError.of(
                f"The command balancer of {fleet} has no command.",
                remedy="Write it as a list: {command: [/usr/local/bin/our-balancer]}.",
            )
        self._fleet, self._argv = fleet, spec.argv

    @property
    def name(self) -> str:
        return "command"

    def open(self) -> None:
        self._call("open", {})

    def register(self, instance: Seen) -> None:
        self._call(
            "register",
            {
                "instance": {
                    "token": instance.token,
                    "address": instance.address,
                    "version": instance.version,
                }
            },
        )

    def entries(self) -> Collection[Entry]:
        said = self._call("entries", {}, looks=True)
        try:
            return tuple(_entry(server) for server in json.loads(said))
        except (ValueError, KeyError, TypeError, AttributeError) as failure:
            raise BalancerUnreachable(
                f"{self._argv[0]} entries printed no list of servers.",
                remedy="It must print a JSON list of {token, address, state, sessions}.",
                evidence=said[-500:],
            ) from failure

    def drain(self, token: str, *, timeout: float) -> int:
        said = self._call("drain", {"token": token, "timeout": timeout}, longer=timeout).strip()
        return int(said) if said.isdecimal() else 0

    def deregister(self, token: str) -> None:
        self._call("deregister", {"token": token})

    def close(self) -> None:
        self._call("close", {})

    def _call(
        self, verb: str, more: Mapping[str, object], *, looks: bool = False, longer: float = 0
    ) -> str:
        fleet = {"site": self._fleet.site, "env": self._fleet.env, "name": self._fleet.name}
        argv = [*self._argv, verb]
        try:
            done = run(
                argv,
                doing=f"Asking the balancer of {self._fleet} to {verb}",
                stdin=json.dumps({"fleet": fleet, **more}).encode(),
                timeout=LONGEST_LOOK if looks else None,
                leave_after=None if looks else LONGEST_CALL + longer,
                check=False,
            )
        except EngineUnreachable as slow:
            raise BalancerUnreachable(slow.problem, remedy=slow.remedy) from slow
        if done.code == UNREACHABLE:
            raise BalancerUnreachable(
                f"{self._argv[0]} says that the balancer of {self._fleet} does not answer.",
                remedy=f"Run it by hand to see more: {shlex.join(argv)}",
                evidence="\n".join(done.stderr.strip().splitlines()[-10:]),
            )
        if done.code:
            raise CommandFailed(
                doing=f"Asking the balancer of {self._fleet} to {verb}",
                command=f"echo {shlex.quote(json.dumps({'fleet': fleet, **more}))} | "
                f"{shlex.join(argv)}",
                code=done.code,
                output=done.stderr or done.stdout,
            )
        return done.stdout


def _entry(server: Mapping[str, object]) -> Entry:
    sessions = server.get("sessions")
    return Entry(
        token=str(server["token"]),
        address=str(server["address"]),
        state=EntryState(str(server["state"])),
        sessions=sessions if isinstance(sessions, int) else None,
    )
