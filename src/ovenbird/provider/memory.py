"""A world that lives in memory: for tests, previews and the tutorial.

It starts no process and waits for nothing. Everything that a real engine does now and then
(an instance that ends by itself, a host that is lost, a launch that fails) is done here by asking
for it. With a folder the world is a file there, so that two processes see the same one.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from ovenbird.clock import Clock, SystemClock
from ovenbird.provider.memory_world import Inhabitant, Memory
from ovenbird.values.errors import BalancerUnreachable, Blocked, OvenbirdError
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import EngineState, Entry, EntryState, Look, Seen, Verdict
from ovenbird.values.launch import instance_config


class MemoryProvider:
    """Starts instances at once and remembers all that was asked of it.

    ``linger`` makes a terminated instance stay as dying until it is terminated again.
    """

    name = "memory"

    def __init__(
        self, *, folder: Path | None = None, site: str = "memory", clock: Clock | None = None
    ) -> None:
        self.site, self.linger = site, False
        self.memory = Memory(folder)
        self._clock = clock or SystemClock()
        self._failures: list[tuple[str, Exception]] = []

    # What the port says.

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        self._maybe_fail("instances")
        with self.memory.opened() as world:
            seen = [i.seen for i in world.instances.values()]
        mine = [s for s in seen if (s.fleet.env, s.fleet.name) == (fleet.env, fleet.name)]
        return tuple(sorted(mine, key=lambda s: (s.slot, s.launched_at, s.token)))

    def launch(self, order: Order) -> Seen:
        self._maybe_fail("launch")
        with self.memory.opened() as world:
            world.asked.append(("launch", order.token))
            known = world.instances.get(order.token)
            if known is not None:
                return known.seen
            if order.artifact.id in world.deleted:
                raise OvenbirdError(
                    f"{order.version} is not in memory any more.", remedy="Bake it again."
                )
            verdict = world.outcomes.get(order.version, Verdict.PASS)
            seen = self._started(order)
            console = f"{order.token} runs {order.version}\n"
            world.instances[order.token] = Inhabitant(
                seen=seen,
                artifact=order.artifact.id,
                config=instance_config(order),
                secrets=tuple(name for name, _ in order.launch.secrets),
                console=console + ("ready\n" if verdict is Verdict.PASS else ""),
                verdict=verdict,
            )
            return seen

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        self._maybe_fail("terminate")
        with self.memory.opened() as world:
            world.asked.append(("terminate", token))
            known = world.instances.get(token)
            if known is None or known.seen.fleet.site != self.site:
                return
            if self.linger and known.seen.state is not EngineState.DYING:
                world.instances[token] = self._turned(known, EngineState.DYING)
            else:
                del world.instances[token]

    def console(self, token: str, *, lines: int) -> str:
        with self.memory.opened() as world:
            known = world.instances.get(token)
        return "\n".join(known.console.splitlines()[-lines:]) if known else ""

    def present(self, artifact: Artifact) -> bool:
        with self.memory.opened() as world:
            return artifact.id not in world.deleted

    def delete(self, artifact: Artifact) -> None:
        if self.in_use(artifact):
            raise Blocked(
                f"{artifact.id} still runs in an instance.",
                remedy="Roll its fleet to another image first.",
            )
        with self.memory.opened() as world:
            world.deleted.add(artifact.id)

    def in_use(self, artifact: Artifact) -> bool:
        with self.memory.opened() as world:
            return any(i.artifact == artifact.id for i in world.instances.values())

    # What a test makes happen.

    @property
    def asked(self) -> list[tuple[str, str]]:
        """Every launch and terminate so far, with its token, in order."""
        with self.memory.opened() as world:
            return list(world.asked)

    def fail_next(self, verb: str, error: Exception) -> None:
        """Raise ``error`` from the next call of ``verb``, before it does anything."""
        self._failures.append((verb, error))

    def becomes(self, version: str, verdict: Verdict) -> None:
        """Decide what a probe will say of the instances of ``version`` launched from now on.

        Only those that pass write the line ``ready`` to their console.
        """
        with self.memory.opened() as world:
            world.outcomes[version] = verdict

    def answer(self, token: str, verdict: Verdict) -> None:
        """Decide what a probe says of one instance from now on."""
        with self.memory.opened() as world:
            world.instances[token] = replace(world.instances[token], verdict=verdict)

    def exit(self, token: str, *, code: int = 1) -> None:
        """End an instance as if by itself."""
        self._turn(token, EngineState.EXITED, code=code)

    def lose(self, token: str) -> None:
        """Let the engine say that this instance's host is gone."""
        self._turn(token, EngineState.LOST)

    def find(self, token: str) -> None:
        """Let a lost instance come back, running."""
        self._turn(token, EngineState.RUNNING)

    def config(self, token: str) -> str:
        """Return what the instance reads at ``/run/ovenbird/config.json``."""
        with self.memory.opened() as world:
            return world.instances[token].config

    def _started(self, order: Order) -> Seen:
        now = self._clock.now()
        return Seen(
            token=order.token,
            id=f"memory-{order.token}",
            fleet=replace(order.fleet, site=self.site),
            version=order.version,
            launch_hash=order.launch.hash,
            slot=order.slot,
            state=EngineState.RUNNING,
            launched_at=now,
            address=f"memory:{order.token}",
            since=now,
        )

    def _turn(self, token: str, state: EngineState, *, code: int | None = None) -> None:
        with self.memory.opened() as world:
            world.instances[token] = self._turned(world.instances[token], state, code=code)

    def _turned(
        self, who: Inhabitant, state: EngineState, *, code: int | None = None
    ) -> Inhabitant:
        seen = replace(who.seen, state=state, exit_code=code, since=self._clock.now())
        return replace(who, seen=seen)

    def _maybe_fail(self, verb: str) -> None:
        for failure in self._failures:
            if failure[0] == verb:
                self._failures.remove(failure)
                raise failure[1]


class MemoryProbe:
    """Looks at instances of a `MemoryProvider`. ``blind`` cuts the way to all of them."""

    def __init__(self, provider: MemoryProvider) -> None:
        self._provider, self.blind = provider, False

    def look(self, instance: Seen, at: datetime) -> Look:
        """Say what was decided for it; one that does not run refuses, a lost one is silent."""
        with self._provider.memory.opened() as world:
            known = world.instances.get(instance.token)
        if self.blind or known is None or known.seen.state is EngineState.LOST:
            verdict = Verdict.NO_ANSWER
        elif known.seen.state is not EngineState.RUNNING:
            verdict = Verdict.FAIL
        else:
            verdict = known.verdict
        return Look(token=instance.token, at=at, verdict=verdict, detail=f"memory: {verdict}")


class MemoryBalancer:
    """Sends one fleet of a `MemoryProvider` its imagined traffic.

    ``sessions`` holds how many a test wants still open when a drain ends; ``unreachable`` makes
    every call raise `BalancerUnreachable`.
    """

    name = "memory"

    def __init__(self, provider: MemoryProvider, fleet: FleetKey) -> None:
        self._provider, self._fleet = provider, f"{fleet.site}/{fleet}"
        self.sessions: dict[str, int] = {}
        self.unreachable = False

    def open(self) -> None:
        self._servers("open")

    def register(self, instance: Seen) -> None:
        servers = self._servers("register", instance.token)
        self._keep({**servers, instance.token: False})

    def entries(self) -> Collection[Entry]:
        servers = self._servers()
        return tuple(
            Entry(
                token=token,
                address=f"memory:{token}",
                state=self._state(token, draining=draining),
                sessions=self.sessions.get(token, 0),
            )
            for token, draining in servers.items()
        )

    def drain(self, token: str, *, timeout: float) -> int:
        servers = self._servers("drain", token)
        if token not in servers:
            return 0
        self._keep({**servers, token: True})
        return self.sessions.get(token, 0)

    def deregister(self, token: str) -> None:
        servers = self._servers("deregister", token)
        self._keep({t: draining for t, draining in servers.items() if t != token})

    def close(self) -> None:
        self._servers("close")
        self._keep({})

    def _state(self, token: str, *, draining: bool) -> EntryState:
        if draining:
            return EntryState.DRAINING
        with self._provider.memory.opened() as world:
            known = world.instances.get(token)
        passes = known is not None and known.verdict is Verdict.PASS
        runs = known is not None and known.seen.state is EngineState.RUNNING
        return EntryState.IN_SERVICE if passes and runs else EntryState.DOWN

    def _servers(self, verb: str = "", token: str = "") -> dict[str, bool]:
        """Return token → draining, after noting what was asked."""
        if self.unreachable:
            raise BalancerUnreachable(
                f"The balancer of {self._fleet} does not answer.", remedy="Make it reachable."
            )
        with self._provider.memory.opened() as world:
            if verb:
                world.asked.append((verb, token))
            return dict(world.servers.get(self._fleet, {}))

    def _keep(self, servers: dict[str, bool]) -> None:
        with self._provider.memory.opened() as world:
            world.servers[self._fleet] = servers
