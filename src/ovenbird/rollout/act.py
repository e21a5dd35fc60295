"""Take the steps of a wave: intent first, then the call, then its end in the journal."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection

from ovenbird.fleet.health import CONSOLE_LINES
from ovenbird.rollout.consoles import Consoles
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.journal import Begun, Guard
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.plan import Launch, Register, Retire, Step, Terminate
from ovenbird.rollout.setting import Setting
from ovenbird.rollout.volumes import require_detached, slot_for_a_launch
from ovenbird.values.errors import BalancerUnreachable, Blocked, ConfigurationError
from ovenbird.values.fleet import BalancerSpec, Order
from ovenbird.values.image import ImageRef, StopPolicy

LOOK_AT_A_DRAIN = 0.05
"""Seconds between two looks at how many sessions a drain still has."""


class BudgetSpent(Blocked):
    """As many instances of the environment are being ended as its budget allows."""


class Hands:
    """The hands of one driver: launch, register, retire and end; nothing else.

    Every call is made alone on this host, by who holds the lease, and stands in the journal
    before it is made.
    """

    def __init__(
        self, setting: Setting, chosen: Chosen, begun: Begun, lookout: Lookout, lease: Lease
    ) -> None:
        self._setting, self._chosen, self._begun = setting, chosen, begun
        self._lookout, self._lease = lookout, lease
        self.wave = 0

    def take(self, step: Step) -> str:
        """Take one step, and return the token of the instance that it was about."""
        match step:
            case Launch(because):
                return self._launch(because)
            case Register(token, because):
                self._register(token, because)
                return token
            case Retire(token, because):
                self.retire([(token, because)])
                return token
            case Terminate(token, because):
                self._terminate(token, because)
                return token

    def retire(self, leaving: Sequence[tuple[str, str]]) -> None:
        """Take several out of service at once, and keep them for as long as the fleet says.

        They are drained side by side: the switch is over when the last drain has begun. What goes
        into quarantine waits for the budget as an ending does, and its console is kept at once.
        """
        setting = self._setting
        held = [t for t, _ in leaving if self._lookout.records[t].quarantined_until is not None]
        rolls_back = self._chosen.kind == "rollback"
        keep = 0.0 if rolls_back else setting.fleet.procedure.keep_previous
        for token, because in leaving:
            setting.console.step(f"Taking {token} out of service ({because})")
            self._begin_drain(token, because, costs=token in held)
            if token not in held:
                until = setting.clock.now() + timedelta(seconds=keep)
                setting.records.keep(token, until=until)
        for token, because in leaving:
            self._wait_for_sessions(token)
            self.deregister(token, because)
        for token in held:
            self._save_console(token)

    def _launch(self, because: str) -> str:
        setting, now = self._setting, self._setting.clock.now()
        if self._chosen.barred is not None:
            raise self._chosen.barred
        setting.catalog.launchable(ImageRef.parse(self._chosen.goal.version))  # revoked meanwhile?
        slot = slot_for_a_launch(setting, self._lookout.not_listed_yet())
        if data := require_detached(setting, slot):
            because = f"{because}; {data}"
        order = self._order(_token(setting), slot)
        setting.console.step(f"Launching {order.token} of {order.version} ({because})")
        with setting.calls.alone():
            step = setting.journal.intend_launch(
                self._begun,
                self.wave,
                order,
                because,
                now,
                self._lease.require,
                place=setting.provider.place,
            )
            setting.provider.launch(order)
            setting.journal.finished(step, at=setting.clock.now())
        return order.token

    def _register(self, token: str, because: str) -> None:
        self._setting.console.step(f"Registering {token} ({because})")
        known = self._lookout.records[token]
        if known.kept_until is not None:
            self._setting.records.use(token)
        with self._call("register", token, because):
            for balancer in self._setting.balancers:
                balancer.register(self._lookout.seen(token))

    def _terminate(self, token: str, because: str) -> None:
        setting = self._setting
        setting.console.step(f"Draining and ending {token} ({because})")
        self._begin_drain(token, because, costs=True)
        self._wait_for_sessions(token)
        self.deregister(token, because)
        self.end(token, because)

    def end(self, token: str, because: str) -> None:
        """End an instance that gets no traffic any more, and keep the end of its console."""
        setting = self._setting
        stop = self._stop_of(self._lookout.records[token].version)
        console = self._save_console(token)
        at, guard = setting.clock.now(), self._lease.require
        with setting.calls.alone():
            step = setting.journal.intend(
                self._begun, self.wave, "terminate", token, because=because, at=at, guard=guard
            )
            setting.provider.terminate(token, stop=stop)
            now = setting.clock.now()
            setting.journal.ended(step, token, because=because, console=str(console), at=now)

    def _begin_drain(self, token: str, because: str, *, costs: bool) -> None:
        """Stop sending it traffic; what ``costs`` asks the budget in the transaction of its intent,
        so that no two drivers count the same room; what a switch withdraws is not ended."""

        def guard(db: Connection) -> None:
            self._lease.require(db)
            if costs:
                self._require_budget(token, db)

        with self._call("drain" if costs else "withdraw", token, because, guard=guard):
            for balancer in self._setting.balancers:
                balancer.drain(token, timeout=0)

    def _wait_for_sessions(self, token: str) -> None:
        """Wait until the sessions of a drain have ended, or ``drain_timeout`` is over.

        Nothing is held between two looks: a rollback does not queue behind a drain, and one that
        has taken over meanwhile is not drained against.
        """
        setting = self._setting
        for balancer, spec in zip(setting.balancers, self._specs(), strict=True):
            counts = {entry.token: entry.sessions for entry in balancer.entries()}
            if token not in counts:
                continue
            nobody_counts = counts[token] is None
            ends = setting.clock.now() + timedelta(seconds=spec.drain_timeout)
            quiet = 0
            while quiet < 2:  # a request may have been dealt out and not counted yet
                with setting.calls.alone():
                    self._lease.renew_or_raise()
                    left = balancer.drain(token, timeout=0)
                if setting.clock.now() >= ends:
                    if left:
                        told = f"  {left} sessions are cut after {spec.drain_timeout:g} s"
                        setting.console.note(told)
                    break
                quiet = 0 if left or nobody_counts else quiet + 1
                if quiet < 2:
                    setting.clock.sleep(LOOK_AT_A_DRAIN)

    def deregister(self, token: str, because: str) -> None:
        """Take it out of every balancer, and believe none that still lists it."""
        with self._call("deregister", token, because):
            for balancer in self._setting.balancers:
                balancer.deregister(token)
                if any(entry.token == token for entry in balancer.entries()):
                    raise BalancerUnreachable(
                        f"{balancer.name} said that it let go of {token}, and still lists it.",
                        remedy="It was not ended. See that balancer, then run this again.",
                    )

    @contextmanager
    def _call(
        self, verb: str, token: str, because: str, *, guard: Guard | None = None
    ) -> Iterator[None]:
        """Make one call that changes something: alone, allowed, and written down."""
        setting = self._setting
        with setting.calls.alone():
            at, allowed = setting.clock.now(), guard or self._lease.require
            step = setting.journal.intend(
                self._begun, self.wave, verb, token, because=because, at=at, guard=allowed
            )
            yield
            setting.journal.finished(step, at=setting.clock.now())

    def _require_budget(self, token: str, db: Connection) -> None:
        """Ask the environment's budget before an ending; a rollback does not."""
        setting = self._setting
        most, served = setting.fleet.budget.instances, self._lookout.records[token].accepted_at
        if most is None or served is None or self._chosen.kind == "rollback":
            return
        ending = setting.records.being_ended_in(db, lost_by=setting.lost_by)
        if token in ending and self._lookout.is_leaving(token):
            return  # its place was taken before; who came back from being lost may hold another
        others = [each for each in ending if each != token]
        if len(others) >= most:
            raise BudgetSpent(
                f"{len(others)} instances of {setting.key.env} are being ended, and the "
                f"budget allows {most} at once ({others[0]}).",
                remedy="Wait until they are gone, or raise budget: {instances: …} in "
                f"inventories/{setting.key.env}/fleets.yml.",
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
            volumes=self._setting.fleet.volumes,
        )

    def launch_again(self, token: str, slot: int) -> None:
        """Make a launch again that nobody saw end: the token makes one of the two."""
        if self._chosen.barred is not None:
            raise self._chosen.barred
        self._setting.provider.launch(self._order(token, slot))

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
        setting = self._setting
        text = setting.provider.console(token, lines=CONSOLE_LINES)
        kept = Consoles(setting.site.folder / "consoles")
        return kept.save(token, text, at=setting.clock.now())


def _token(setting: Setting) -> str:
    """Name a new instance: env, fleet and ten random digits, so that no two sites collide."""
    return f"{setting.key.env}-{setting.key.name}-{secrets.token_hex(5)}"
