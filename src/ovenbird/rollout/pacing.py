"""Decide how far a rollout may go now: windows, pauses, checkpoints, metrics.

A rollout that may start no more finishes the machine in hand: the planner is told that the goal
may have as many instances as there are, so it registers them, ends what they replace, and stops.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ovenbird.fleet.gate import seconds
from ovenbird.fleet.metric import Kind, ask
from ovenbird.fleet.window import Closed, state_of
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.journal import Begun
from ovenbird.rollout.plan import Pace
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Blocked, GoalRefuted, Inconclusive, OvenbirdError
from ovenbird.values.instance import Health, Instance
from ovenbird.values.procedure import Checkpoint, Strategy

BETWEEN_METRICS = 5.0
"""Seconds between two questions to Prometheus while a rollout goes on."""


class Cancelled(Blocked):
    """Somebody asked to stop here; what was in hand is finished."""


class Pacer:
    """The pace of one rollout, from what stands in the database and what the clock says."""

    def __init__(self, setting: Setting, chosen: Chosen, begun: Begun, *, emergency: bool) -> None:
        self._setting, self._chosen, self._begun = setting, chosen, begun
        self._emergency, self._free = emergency, emergency or chosen.kind != "rollout"
        self._asked_at: datetime | None = None
        self._forgiven = 0
        self._spares = spares(setting, chosen)

    def pace(self, observed: tuple[Instance, ...]) -> Pace:
        """Say how far it may go now."""
        setting, chosen = self._setting, self._chosen
        procedure = setting.fleet.procedure
        upto = None if self._free else self._checkpoint()[1]
        if self.hold() is not None:
            in_hand = _in_hand(chosen, observed, setting.bounds.size)
            upto = in_hand if upto is None else min(upto, in_hand)
        return Pace(
            upto=upto,
            switch=switches(setting, chosen),
            failed=setting.records.failed_of(self._begun.id) - self._forgiven,
            max_failed=procedure.max_failed if setting.bounds.size else None,
            spares=self._spares,
        )

    def forgive(self) -> None:
        """Count from here on only what fails from here on: somebody asked for another try."""
        self._forgiven = self._setting.records.failed_of(self._begun.id)

    def hold(self) -> OvenbirdError | None:
        """Return why no more may be started, or None: what the rollout ends with when nothing is
        in hand. A rollback is held by a cancel alone."""
        setting = self._setting
        wish, by = setting.journal.wish(self._begun)
        if wish == "cancel":
            return Cancelled(
                f"The {self._chosen.kind} of {setting.key} was cancelled by {by}.",
                remedy="It has stopped where it was, and what was in hand is finished. See "
                "which runs what: invoke status",
            )
        return standing_hold(setting, self._chosen, emergency=self._emergency)

    def reached(self, why: str) -> None:
        """Soak at a checkpoint and return when it may be passed; it is called again and again.

        Raises what holds it when there is nothing in hand, `Inconclusive` where a person's word
        is needed, and what `judge` raises.
        """
        if (hold := self.hold()) is not None:
            raise hold
        number, count, checkpoint = self._checkpoint()
        if checkpoint is None:
            return
        setting, now = self._setting, self._setting.clock.now()
        setting.checkpoints.reach(self._begun, number, at=now)
        since = setting.checkpoints.reached(self._begun)[number].reached_at
        left = since + timedelta(seconds=checkpoint.soak) - now
        if left > timedelta(0):
            self.judge()
            setting.console.progress(
                f"checkpoint {number}: {count} of {setting.bounds.size} run {self._chosen.goal}, "
                f"soaking for {seconds(left)} more ({why})"
            )
            return
        self.judge(now=True)
        raise Inconclusive(
            f"{setting.key} waits at checkpoint {number}: {count} of {setting.bounds.size} run "
            f"{self._chosen.goal}, and somebody must approve.",
            remedy=f"Look at it, then: invoke fleet.resume {setting.fleet.name} "
            f"--env {setting.key.env}, and run the same command again.",
        )

    def judge(self, *, now: bool = False) -> None:
        """Ask the metrics. Raises `GoalRefuted` for a bad one, `Inconclusive` without data."""
        setting, goal = self._setting, self._chosen.goal
        at = setting.clock.now()
        recent = self._asked_at and at - self._asked_at < timedelta(seconds=BETWEEN_METRICS)
        if self._free or (recent and not now):
            return
        self._asked_at = at
        for spec in setting.fleet.procedure.metrics:
            verdict = ask(spec, env=setting.key.env, fleet=setting.fleet.name, image=goal.version)
            if verdict.kind is Kind.BAD:
                raise GoalRefuted(
                    f"{goal} is not good enough in {setting.key}: {verdict.because}.",
                    why=verdict.because,
                    remedy="What served still does. Bake a fixed image, or go back with: "
                    f"invoke rollback {setting.fleet.name}",
                )
            if verdict.kind is Kind.NO_DATA:
                raise Inconclusive(
                    f"{goal} cannot be judged in {setting.key}: {verdict.because}.",
                    remedy="It is paused where it is. When there is data, run the same command.",
                )

    def _checkpoint(self) -> tuple[int, int | None, Checkpoint | None]:
        """Find the checkpoint that is not passed yet: its number, how many it allows, itself.

        Past the last one: no limit, and no checkpoint.
        """
        setting = self._setting
        procedure = setting.fleet.procedure
        if self._free or procedure.strategy is not Strategy.STEPPED:
            return 0, None, None
        now, size = setting.clock.now(), setting.bounds.size
        reached = setting.checkpoints.reached(self._begun)
        counts = procedure.counts(size)
        for number, (count, checkpoint) in enumerate(
            zip(counts, procedure.checkpoints, strict=False), start=1
        ):
            if count >= size:
                break
            passage = reached.get(number)
            if passage is None:
                return number, count, checkpoint
            soaked = now - passage.reached_at >= timedelta(seconds=checkpoint.soak)
            if not soaked or (checkpoint.approve and not passage.approved_by):
                return number, count, checkpoint
        return 0, None, None


def switches(setting: Setting, chosen: Chosen) -> bool:
    """Say whether all traffic changes over at once. A repair replaces one by one."""
    return setting.fleet.procedure.strategy is Strategy.BLUE_GREEN and chosen.kind != "repair"


def spares(setting: Setting, chosen: Chosen) -> bool:
    """Say whether a good one too many is left: a repair beside an unfinished rollout leaves its
    canary, for how should there be data without it? One of a fleet under removal goes."""
    beside = chosen.kind == "repair" and setting.journal.unfinished() is not None
    return beside and setting.book.standing().removed_at is None


def _in_hand(chosen: Chosen, observed: tuple[Instance, ...], size: int) -> int:
    """Count how many of the goal there are, and in a fleet that has run before those whose place
    was made already: an old one that has been ended is replaced before anything rests."""
    there = [i for i in observed if not (i.health is Health.LOST or i.kept)]
    current = sum(chosen.goal.is_run_by(i) for i in there)
    return max(current, size - (len(there) - current)) if chosen.before else current


def standing_hold(setting: Setting, chosen: Chosen, *, emergency: bool) -> OvenbirdError | None:
    """Return why a rollout may not start anything now: a pause, or a window that is closed.

    Rollbacks and repairs are held by neither, an emergency by no window.
    """
    if chosen.kind != "rollout":
        return None
    if paused := setting.book.standing().paused:
        return Inconclusive(
            f"{setting.key} is paused {paused}.",
            remedy=f"Let it go on: invoke fleet.resume {setting.fleet.name} "
            f"--env {setting.key.env}, then run the same command again.",
        )
    return None if emergency else _closed_window(setting)


def _closed_window(setting: Setting) -> OvenbirdError | None:
    match state_of(setting.fleet.procedure.windows, setting.clock.now()):
        case Closed(opens_at=opens_at, because=because):
            return Blocked(
                f"{setting.key} is outside its windows: {because}.",
                remedy=f"It opens {opens_at.astimezone():%Y-%m-%d %H:%M}; then run the same "
                "command. Not to wait: --emergency --because …",
            )
    return None
