"""Take the steps of a wave: intent first, then the call, then its end in the journal."""

from __future__ import annotations

import secrets
from pathlib import Path

from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.plan import Launch, Register, Step, Terminate
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Blocked, ConfigurationError
from ovenbird.values.fleet import BalancerSpec, Order
from ovenbird.values.image import ImageRef, StopPolicy
from ovenbird.values.instance import EntryState

CONSOLE_LINES = 5000
CONSOLE_BYTES = 1_000_000


class Hands:
    """The hands of one driver: launch, register, and end; nothing else."""

    def __init__(self, setting: Setting, chosen: Chosen, begun: Begun, lookout: Lookout) -> None:
        self._setting, self._chosen, self._begun = setting, chosen, begun
        self._lookout = lookout

    def take(self, step: Step, *, wave: int) -> str:
        """Take one step, and return the token of the instance that it was about."""
        match step:
            case Launch(because):
                return self._launch(wave, because)
            case Register(token, because):
                self._register(wave, token, because)
                return token
            case Terminate(token, because):
                self._terminate(wave, token, because)
                return token

    def finish_launches(self) -> None:
        """Deal with what a dead driver left in the air, by its token.

        Never conclude that something was not created. A launch of the goal is made again, which
        makes one of the two; any other is ended, with the launch data that it may have left.
        """
        setting = self._setting
        for step, token, version, slot in setting.journal.in_the_air():
            if version == self._chosen.goal.version:
                setting.console.step(f"Launching {token} again: nobody saw its launch end")
                setting.provider.launch(self._order(token, slot))
            elif all(token != seen.token for seen in setting.provider.instances(setting.key)):
                setting.provider.terminate(token, stop=StopPolicy())
            setting.journal.finished(step, at=setting.clock.now())

    def forget_strangers(self) -> None:
        """Take servers out of a balancer that no instance stands behind.

        Where the engine lists none of the fleet and the balancer has some in service, that engine,
        or our way to it, is not the one that started them: `Blocked`, and nothing is touched.
        """
        setting, ended = self._setting, self._setting.journal.gone()
        blind = not setting.provider.instances(setting.key)
        for balancer in setting.balancers:
            entries = {entry.token: entry for entry in balancer.entries()}
            for token in self._lookout.forgotten(entries):
                serves = entries[token].state is EntryState.IN_SERVICE
                if blind and serves and token not in ended:
                    raise Blocked(
                        f"{balancer.name} has {token} in service, and {setting.fleet.provider} "
                        "does not know it.",
                        remedy="Nothing was ended. See that provider: and the user are those that "
                        "started it; if it is really gone, its balancer will soon find it down.",
                    )
                setting.console.step(f"Removing {token} from {balancer.name}: it is gone")
                balancer.deregister(token)

    def _launch(self, wave: int, because: str) -> str:
        setting, now = self._setting, self._setting.clock.now()
        setting.catalog.launchable(ImageRef.parse(self._chosen.goal.version))  # revoked meanwhile?
        order = self._order(_token(setting), self._free_slot())
        setting.console.step(f"Launching {order.token} of {order.version} ({because})")
        step = setting.journal.intend_launch(self._begun, wave, order, because, now)
        setting.provider.launch(order)
        setting.journal.finished(step, at=setting.clock.now())
        return order.token

    def _register(self, wave: int, token: str, because: str) -> None:
        setting = self._setting
        setting.console.step(f"Registering {token} ({because})")
        step = self._intend(wave, "register", token, because)
        for balancer in setting.balancers:
            balancer.register(self._lookout.seen(token))
        setting.journal.finished(step, at=setting.clock.now())

    def _terminate(self, wave: int, token: str, because: str) -> None:
        setting = self._setting
        setting.console.step(f"Draining and ending {token} ({because})")
        step = self._intend(wave, "terminate", token, because)
        stop = self._stop_of(self._lookout.seen(token).version)
        for balancer, spec in zip(setting.balancers, self._specs(), strict=True):
            left = balancer.drain(token, timeout=spec.drain_timeout)
            if left:
                setting.console.note(f"  {left} sessions are cut after {spec.drain_timeout:g} s")
        for balancer in setting.balancers:
            balancer.deregister(token)
        console = self._save_console(token)
        setting.provider.terminate(token, stop=stop)
        now = setting.clock.now()
        setting.journal.ended(token, because=because, console=str(console), at=now)
        setting.journal.finished(step, at=now)

    def _intend(self, wave: int, verb: str, token: str, because: str) -> int:
        return self._setting.journal.intend(
            self._begun, wave, verb, token, because=because, at=self._setting.clock.now()
        )

    def _order(self, token: str, slot: int) -> Order:
        chosen = self._chosen
        return Order(
            token=token,
            fleet=self._setting.key,
            version=chosen.goal.version,
            artifact=chosen.artifact,
            contract=chosen.version.contract,
            launch=chosen.launch,
            slot=slot,
        )

    def _free_slot(self) -> int:
        """Return the lowest number that no instance of the fleet has."""
        taken = {seen.slot for seen in self._setting.provider.instances(self._setting.key)}
        return next(n for n in range(len(taken) + 1) if n not in taken)

    def _stop_of(self, version: str) -> StopPolicy:
        """Return how an image wants to be stopped, as its own contract says; the usual way for
        one that the catalog does not know any more."""
        try:
            return self._setting.catalog.resolve(ImageRef.parse(version)).contract.stop
        except ConfigurationError:
            return StopPolicy()

    def _specs(self) -> list[BalancerSpec]:
        return [spec for spec in self._setting.fleet.balancers if spec.kind != "none"]

    def _save_console(self, token: str) -> Path:
        """Keep the end of an instance's console, so that yesterday's machine can be read."""
        text = self._setting.provider.console(token, lines=CONSOLE_LINES)
        folder = self._setting.site.folder / "consoles"
        folder.mkdir(exist_ok=True)
        path = folder / f"{token}.log"
        path.write_bytes(text.encode()[-CONSOLE_BYTES:])
        return path


def _token(setting: Setting) -> str:
    """Name a new instance: env, fleet and ten random digits, so that no two sites collide."""
    return f"{setting.key.env}-{setting.key.name}-{secrets.token_hex(5)}"
