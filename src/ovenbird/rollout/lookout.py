"""Look at a fleet: ask the engine, the probe and the balancers, and keep the last looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from ovenbird.fleet.gate import Accepted, judge
from ovenbird.fleet.health import look_at_all
from ovenbird.fleet.observe import observe
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Blocked
from ovenbird.values.instance import EngineState, Entry, Instance, Look, Seen, Verdict


class Lookout:
    """The eyes of one driver. A fresh one has seen nothing yet: what must be known for longer
    than a moment (who passed the gate) stands in the journal."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._looks: dict[str, deque[Look]] = {}
        self._seen: dict[str, Seen] = {}
        self._instances: tuple[Instance, ...] = ()
        health = setting.fleet.health
        self._memory = int(health.min_healthy_time / max(health.interval, 0.05)) + health.passes + 8

    def look(self) -> tuple[Instance, ...]:
        """Report every instance of the fleet as it is now.

        Raises `Blocked` where instances of another site carry this fleet's name, and what the
        engine and the balancers raise where they do not answer.
        """
        setting = self._setting
        launched = setting.journal.launched_at()
        self._seen = {
            seen.token: replace(seen, launched_at=launched.get(seen.token, seen.launched_at))
            for seen in setting.provider.instances(setting.key)
        }
        self._refuse_foreign()
        running = [s for s in self._seen.values() if s.state is EngineState.RUNNING]
        accepted = setting.journal.accepted()
        probe = setting.probe_for(accepted)
        longest = setting.fleet.health.timeout + 1
        for token, look in look_at_all(probe, running, setting.clock, longest=longest).items():
            self._looks.setdefault(token, deque(maxlen=self._memory)).append(look)
        asked = setting.balancers if self._seen else ()  # an empty fleet may have no entrance yet
        entries: list[Mapping[str, Entry]] = [
            {entry.token: entry for entry in balancer.entries()} for balancer in asked
        ]
        self._instances = observe(
            tuple(self._seen.values()),
            self._looks,
            entries,
            accepted,
            health=setting.fleet.health,
            now=setting.clock.now(),
        )
        return self._instances

    def look_twice(self) -> tuple[Instance, ...]:
        """Look as a stranger must: one failure is not yet ill, so a failed look is repeated."""
        instances = self.look()
        last = [looks[-1].verdict for looks in self._looks.values()]
        if all(verdict is Verdict.PASS for verdict in last):
            return instances
        self._setting.clock.sleep(self._setting.fleet.health.interval)
        return self.look()

    def admit(self) -> list[tuple[str, str]]:
        """Let those through the gate that have passed it, and say why: (token, because).

        Durable before anybody registers them, so that a resumed driver knows.
        """
        setting, now = self._setting, self._setting.clock.now()
        admitted = []
        for instance in self._instances:
            if instance.accepted or instance.dying:
                continue
            looks = tuple(self._looks.get(instance.token, ()))
            match judge(instance.launched_at, looks, setting.fleet.health, now):
                case Accepted(because):
                    setting.journal.accept(instance.token, at=now)
                    admitted.append((instance.token, because))
        return admitted

    def seen(self, token: str) -> Seen:
        return self._seen[token]

    def forgotten(self, entries: Mapping[str, Entry]) -> list[str]:
        """Name a balancer's servers that no instance stands behind."""
        return [token for token in entries if token not in self._seen]

    def age(self, instance: Instance) -> timedelta:
        return self._setting.clock.now() - instance.launched_at

    def _refuse_foreign(self) -> None:
        mine = self._setting.key.site
        if foreign := [s for s in self._seen.values() if s.fleet.site != mine]:
            raise Blocked(
                f"{len(foreign)} instances of {self._setting.key} belong to another site "
                f"({foreign[0].fleet.site}; this one is {mine}): {foreign[0].token}.",
                remedy="Nothing was touched. Set OVENBIRD_STATE to the state that they belong to, "
                "or rename this fleet.",
            )
