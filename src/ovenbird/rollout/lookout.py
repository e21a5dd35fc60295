"""Look at a fleet: ask the engine, the probe and the balancers, and keep the last looks."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from ovenbird.fleet.gate import Accepted, judge, unseen
from ovenbird.fleet.health import look_at_all
from ovenbird.fleet.observe import observe
from ovenbird.rollout.records import Record
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Blocked
from ovenbird.values.instance import (
    EngineState,
    Entry,
    EntryState,
    Expected,
    Instance,
    Look,
    Seen,
    Verdict,
)


class Lookout:
    """The eyes of one driver. A fresh one has seen nothing yet: what must be known for longer
    than a moment (who passed the gate) stands in the records."""

    def __init__(self, setting: Setting, *, tolerant: bool = False) -> None:
        self._setting, self._tolerant = setting, tolerant
        self._looks: dict[str, deque[Look]] = {}
        self._seen: dict[str, Seen] = {}
        self.instances: tuple[Instance, ...] = ()
        """As the last look found them, those that were ordered and are not listed yet too."""
        self.records: Mapping[str, Record] = {}
        self.entries: list[Mapping[str, Entry]] = []
        self._looked_at: datetime | None = None
        self._gaps: list[tuple[datetime, timedelta]] = []  # when we looked again, after how long
        self.jobs: Mapping[str, Seen] = {}
        """What runs a job beside the fleet, by token; ended ones that nobody has removed too."""
        self.unowned: list[Seen] = []
        """What carries the fleet's name and belongs to another site, or stands in no record. Only
        one who changes nothing is ``tolerant`` of it; others are refused."""
        self.late: list[Seen] = []
        """Instances that were ended and run all the same: a dead driver's call landed late."""
        health = setting.fleet.health
        self._memory = int(health.min_healthy_time / max(health.interval, 0.05)) + health.passes + 8

    def look(self) -> tuple[Instance, ...]:
        """Report every instance of the fleet as it is now.

        Raises `Blocked` where instances of another site, or of nobody's record, carry this
        fleet's name, and what the engine and the balancers raise where they do not answer.
        """
        setting = self._setting
        every = setting.provider.instances(setting.key)
        self.jobs = {seen.token: seen for seen in every if seen.job}
        listed = {seen.token: seen for seen in every if not seen.job}
        known = setting.records.of(seen.token for seen in every)
        self.records = {token: record for token, record in known.items() if not record.job}
        if self._tolerant:
            listed = self._set_unowned_aside(listed)
        self._refuse_foreign(listed)
        self._refuse_unknown(listed)
        self.late = [s for s in listed.values() if self._came_late(s)]
        ended_late = {seen.token for seen in self.late}
        self._note_a_gap()
        now = setting.clock.now()
        self._seen = {
            token: replace(
                seen,
                launched_at=self._counted_from(self.records[token].ordered_at),
                since=self._lost_since(seen, now) or seen.since,
            )
            for token, seen in listed.items()
            if token not in ended_late
        }
        running = [s for s in self._seen.values() if s.state is EngineState.RUNNING]
        accepted = {t: r.accepted_at for t, r in self.records.items() if r.accepted_at is not None}
        longest = setting.fleet.health.timeout + 1
        probe = setting.probe_for(accepted)
        for token, look in look_at_all(probe, running, setting.clock, longest=longest).items():
            self._looks.setdefault(token, deque(maxlen=self._memory)).append(look)
        asked = setting.balancers if self._seen else ()  # an empty fleet may have no entrance yet
        self.entries = [{entry.token: entry for entry in each.entries()} for each in asked]
        found = observe(
            tuple(self._seen.values()),
            self._looks,
            self.entries,
            accepted,
            health=setting.fleet.health,
            now=setting.clock.now(),
            condemned={
                t: r.condemned_because for t, r in self.records.items() if r.condemned_because
            },
            kept=[t for t, r in self.records.items() if r.kept_until and r.kept_until > now],
            expected=tuple(self._expected(record) for record in self.not_listed_yet()),
        )
        self.instances = tuple(self._as_wished(instance) for instance in found)
        return self.instances

    def _lost_since(self, seen: Seen, now: datetime) -> datetime | None:
        """Say since when it is gone, where its engine does not: since a driver found it so."""
        if seen.state is not EngineState.LOST or seen.since is not None:
            return None
        return self.records[seen.token].lost_at or now

    def lost(self) -> set[str]:
        """Name those that their engine says are gone, however short a time."""
        return {token for token, seen in self._seen.items() if seen.state is EngineState.LOST}

    def _as_wished(self, instance: Instance) -> Instance:
        """Add what somebody wished of an instance, which no look can show."""
        record = self.records[instance.token]
        held = record.quarantined_until is not None
        return replace(instance, unwanted=record.unwanted_because, quarantined=held)

    def _note_a_gap(self) -> None:
        """Start over after a time in which nobody looked: a host that slept, a driver that was
        stopped. It is no evidence against anybody, so no deadline runs in it."""
        now = self._setting.clock.now()
        health = self._setting.fleet.health
        if self._looked_at and (gap := unseen(health, self._looked_at, now)) is not None:
            self._gaps.append((now, gap))
            self._looks.clear()
        self._looked_at = now

    def _counted_from(self, ordered_at: datetime) -> datetime:
        return ordered_at + sum(
            (gap for until, gap in self._gaps if ordered_at < until), timedelta()
        )

    def look_twice(self) -> tuple[Instance, ...]:
        """Look as a stranger must: one failure is not yet ill, so a failed look is repeated."""
        instances = self.look()
        last = [looks[-1].verdict for looks in self._looks.values()]
        if all(verdict is Verdict.PASS for verdict in last):
            return instances
        self._setting.clock.sleep(self._setting.fleet.health.interval)
        return self.look()

    def ready_for_traffic(self) -> list[tuple[str, str]]:
        """Name those that have just passed their gate, and say why: (token, because)."""
        now, health = self._setting.clock.now(), self._setting.fleet.health
        passed = []
        for instance in self.instances:
            known = self.records.get(instance.token)
            condemned = known is not None and known.condemned_because is not None
            if instance.accepted or instance.dying or condemned:
                continue
            looks = tuple(self._looks.get(instance.token, ()))
            match judge(instance.launched_at, looks, health, now):
                case Accepted(because):
                    passed.append((instance.token, because))
        return passed

    def seen(self, token: str) -> Seen:
        return self._seen[token]

    def in_service(self, token: str) -> bool:
        """Ask the balancers, and nobody else, whether all of them have it in service now."""
        return all(
            any(e.token == token and e.state is EntryState.IN_SERVICE for e in each.entries())
            for each in self._setting.balancers
        )

    def is_leaving(self, token: str) -> bool:
        """Say whether no balancer gave it anything new in the last look."""
        states = [each[token].state for each in self.entries if token in each]
        return all(state is EntryState.DRAINING for state in states)

    def is_listed(self, token: str) -> bool:
        """Say whether the engine showed it in the last look."""
        return token in self._seen or any(seen.token == token for seen in self.late)

    def not_listed_yet(self) -> list[Record]:
        """Name what was ordered a moment ago and the engine does not show: it may be slow."""
        return [r for r in self._never_listed() if self._age(r) <= self._patience]

    def never_listed(self) -> list[Record]:
        """Name what the engine said that it launched, and has not shown for ``lost_after``."""
        return [r for r in self._never_listed() if self._age(r) > self._patience]

    def unlisted(self) -> list[Record]:
        """Name what the engine showed once, does not show now, and nobody was seen to end."""
        return [
            record
            for token, record in self.records.items()
            if record.ended_at is None and record.listed_at and not self.is_listed(token)
        ]

    def _never_listed(self) -> list[Record]:
        return [
            record
            for token, record in self.records.items()
            if record.ended_at is None and not record.listed_at and token not in self._seen
        ]

    def _age(self, record: Record) -> timedelta:
        return self._setting.clock.now() - record.ordered_at

    @property
    def _patience(self) -> timedelta:
        return timedelta(seconds=self._setting.fleet.health.lost_after)

    @staticmethod
    def _expected(record: Record) -> Expected:
        return Expected(
            token=record.token,
            version=record.version,
            launch_hash=record.launch_hash,
            slot=record.slot,
            launched_at=record.ordered_at,
        )

    def _came_late(self, seen: Seen) -> bool:
        ended = self.records[seen.token].ended_at is not None
        return ended and seen.state is not EngineState.DYING

    def _set_unowned_aside(self, listed: Mapping[str, Seen]) -> dict[str, Seen]:
        mine = self._setting.key.site
        owned = {t: s for t, s in listed.items() if s.fleet.site == mine and t in self.records}
        self.unowned = [seen for token, seen in listed.items() if token not in owned]
        return owned

    def _refuse_foreign(self, listed: Mapping[str, Seen]) -> None:
        mine = self._setting.key.site
        if foreign := [s for s in listed.values() if s.fleet.site != mine]:
            raise Blocked(
                f"{len(foreign)} instances of {self._setting.key} belong to another site "
                f"({foreign[0].fleet.site}; this one is {mine}): {foreign[0].token}.",
                remedy="Nothing was touched. Set OVENBIRD_STATE to the state that they belong to, "
                "or rename this fleet.",
            )

    def _refuse_unknown(self, listed: Mapping[str, Seen]) -> None:
        """Whoever has lost part of his memory must not decide who may end."""
        setting = self._setting
        if unknown := sorted(listed.keys() - self.records.keys()):
            raise Blocked(
                f"{len(unknown)} instances of {setting.key} carry this site's mark, and the site "
                f"has no record of them: {unknown[0]}.",
                remedy="Nothing was touched. Restore the site's database from a newer backup. "
                f"Where there is none, end them yourself with {setting.fleet.provider}'s own tool.",
            )
        here = setting.provider.place
        away = [
            record
            for token, record in self.records.items()
            if record.ended_at is None and record.place not in ("", here) and token not in listed
        ]
        if away:
            raise Blocked(
                f"{len(away)} instances of {setting.key} live at {away[0].place}, and this is "
                f"{here}: {away[0].token}.",
                remedy="Nothing was touched. Run this where they live, or end them there first "
                "with size: 0.",
            )
