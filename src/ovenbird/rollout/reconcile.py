"""Put in order what a dead driver, a slow engine or somebody's hand left behind.

Before each wave the records, the engine and the balancers are compared, by token; nothing is
ended here that serves, or that a record does not know as ended.
"""

from __future__ import annotations

from ovenbird.rollout.act import Hands
from ovenbird.rollout.journal import InTheAir
from ovenbird.rollout.lease import Lease
from ovenbird.rollout.lookout import Lookout
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Blocked, EngineUnreachable
from ovenbird.values.image import StopPolicy
from ovenbird.values.instance import EntryState, Goal, Health

MOST_ENDINGS = 3
"""How often one driver ends an instance that is said to be gone and runs again."""


class Reconciler:
    """Compares what is remembered with what is there, for one driver."""

    def __init__(self, setting: Setting, hands: Hands, lookout: Lookout, lease: Lease) -> None:
        self._setting, self._hands, self._lookout = setting, hands, lookout
        self._lease = lease
        self._endings: dict[str, int] = {}

    def finish_what_is_in_the_air(self, goal: Goal) -> None:
        """Deal with what a dead driver left, by its token; the fleet has just been looked at.

        Never conclude that something was not created. A launch of the goal is made again, which
        makes one of the two; any other is ended, and ended again should it land late. Of every
        other step the look decides whether it was taken.
        """
        for step in self._setting.journal.in_the_air():
            if step.verb == "launch":
                self._finish_launch(step, goal)
            else:
                self._leave(step)

    def compare(self) -> None:
        """Bring records and balancers in line with the engine, before a wave."""
        setting, now = self._setting, self._setting.clock.now()
        records = self._lookout.records
        new = [t for t, r in records.items() if not r.listed_at and self._lookout.is_listed(t)]
        setting.records.listed(new, at=now)
        lost = self._lookout.lost()
        setting.records.lost([t for t in lost if records[t].lost_at is None], at=now)
        setting.records.found([t for t, r in records.items() if r.lost_at and t not in lost])
        self._end_the_late()
        self._finish_retirements()
        self._forget_strangers()
        self._close_the_vanished()

    def end_the_expired(self) -> bool:
        """End the previous ones whose time is over; True where there were any.

        A repair asks for it: seen through its eyes one that is accepted would be good enough to
        serve again, and what a rollback left is not.
        """
        now, ended = self._setting.clock.now(), False
        served = self._listed_at_a_balancer()
        for token, record in self._lookout.records.items():
            over = record.kept_until is not None and record.kept_until <= now
            if record.quarantined_until is not None and token in served:
                continue  # not out of service yet: the planner ends it when others carry it
            if over and record.ended_at is None and self._lookout.is_listed(token):
                self._setting.console.step(f"Ending {token}: it was kept until now")
                self._hands.end(token, f"kept until {record.kept_until:%Y-%m-%d %H:%M} UTC")
                ended = True
        return ended

    def _finish_launch(self, step: InTheAir, goal: Goal) -> None:
        setting = self._setting
        with setting.calls.alone():
            if not setting.journal.take_again(step, self._lease.require):
                return
            is_goal = (step.version, step.launch_hash) == (goal.version, goal.launch_hash)
            if is_goal and (self._lookout.is_listed(step.token) or self._has_room()):
                setting.console.step(f"Launching {step.token} again: nobody saw its launch end")
                self._hands.launch_again(step.token, step.slot)
                setting.journal.finished(step.step, at=setting.clock.now())
            elif not self._lookout.is_listed(step.token):
                because = "its driver died at its launch, and nobody wants it any more"
                setting.provider.terminate(step.token, stop=StopPolicy())
                at = setting.clock.now()
                setting.journal.ended(step.step, step.token, because=because, console="", at=at)
            else:
                setting.journal.finished(step.step, at=setting.clock.now())

    def _has_room(self) -> bool:
        """Say whether one more is below the ceiling: the fleet may be smaller than it was."""
        there = [
            i
            for i in self._lookout.instances
            if self._lookout.is_listed(i.token)
            and i.health is not Health.LOST
            and self._lookout.records[i.token].kept_until is None
        ]
        return len(there) < self._setting.bounds.ceiling

    def _leave(self, step: InTheAir) -> None:
        setting, now = self._setting, self._setting.clock.now()
        if step.verb == "terminate" and not self._lookout.is_listed(step.token):
            because = "its end was seen by nobody"
            setting.journal.ended(step.step, step.token, because=because, console="", at=now)
        else:
            # A drain that reached no balancer must not stand for one that is being ended.
            void = step.verb == "drain" and self._serves_everywhere(step.token)
            setting.journal.leave(step, at=now, void=void)

    def _end_the_late(self) -> None:
        """End again what was ended and runs all the same: a call of the dead landed late."""
        setting = self._setting
        for seen in self._lookout.late:
            record = self._lookout.records[seen.token]
            if record.vanished:
                setting.records.back(seen.token)
                continue
            tried = self._endings[seen.token] = self._endings.get(seen.token, 0) + 1
            if tried > MOST_ENDINGS:
                raise EngineUnreachable(
                    f"{setting.provider.name} said {MOST_ENDINGS} times that it ended "
                    f"{seen.token}, which still runs.",
                    remedy="See what that engine does with it; it gets no traffic meanwhile.",
                )
            setting.console.step(f"Ending {seen.token} again: it was ended, and is there")
            with setting.calls.alone():
                self._lease.renew_or_raise()
                for balancer in setting.balancers:
                    balancer.deregister(seen.token)
                setting.provider.terminate(seen.token, stop=StopPolicy())

    def _finish_retirements(self) -> None:
        """Take out of the balancers what is kept out of service: its driver died in between.
        What is to go into quarantine waits for its successor, and leaves by the planner's word."""
        listed = self._listed_at_a_balancer()
        for token, record in self._lookout.records.items():
            kept = record.kept_until is not None and record.quarantined_until is None
            if kept and record.ended_at is None and token in listed:
                self._hands.deregister(token, "kept out of service")

    def _serves_everywhere(self, token: str) -> bool:
        entries = [each.get(token) for each in self._lookout.entries]
        return all(e is not None and e.state is EntryState.IN_SERVICE for e in entries)

    def _listed_at_a_balancer(self) -> set[str]:
        return {token for entries in self._lookout.entries for token in entries}

    def _forget_strangers(self) -> None:
        """Take servers out of a balancer that no instance stands behind.

        One that its balancer still finds in service is left: the engine, or our way to it, may
        be the blind one. Where it lists none of the fleet at all: `Blocked`, nothing is touched.
        """
        setting = self._setting
        blind = not setting.provider.instances(setting.key)
        for balancer in setting.balancers:
            for entry in balancer.entries():
                if self._lookout.is_listed(entry.token) or self._is_expected(entry.token):
                    continue
                serves = entry.state is EntryState.IN_SERVICE
                if serves and not self._was_ended(entry.token):
                    if blind:
                        raise _blind(balancer.name, entry.token, setting)
                    continue
                setting.console.step(f"Removing {entry.token} from {balancer.name}: it is gone")
                with setting.calls.alone():
                    self._lease.renew_or_raise()
                    balancer.deregister(entry.token)

    def _was_ended(self, token: str) -> bool:
        known = self._setting.records.of([token]).get(token)
        return known is not None and known.ended_at is not None

    def _is_expected(self, token: str) -> bool:
        return any(record.token == token for record in self._lookout.not_listed_yet())

    def _close_the_vanished(self) -> None:
        """Close the records of what somebody else removed, once no balancer has it in service."""
        setting, now = self._setting, self._setting.clock.now()
        in_service = {
            entry.token
            for balancer in setting.balancers
            for entry in balancer.entries()
            if entry.state is EntryState.IN_SERVICE
        }
        gone = [r.token for r in self._lookout.unlisted() if r.token not in in_service]
        setting.records.vanish(gone, at=now)
        if never := [record.token for record in self._lookout.never_listed()]:
            setting.records.vanish(never, at=now)
            raise EngineUnreachable(
                f"{setting.provider.name} launched {never[0]}, as it said, and has not listed it "
                f"for {setting.fleet.health.lost_after:g} s.",
                remedy="See that engine, then run the same command again.",
            )


def _blind(balancer: str, token: str, setting: Setting) -> Blocked:
    return Blocked(
        f"{balancer} has {token} in service, and {setting.fleet.provider} does not know it.",
        remedy="Nothing was ended. See that provider: and the user are those that started it; if "
        "it is really gone, its balancer will soon find it down.",
    )
