"""The clocks of a rollout: how long it may stand still, see nothing, and have no room."""

from __future__ import annotations

from datetime import datetime, timedelta

from ovenbird.fleet.gate import unseen
from ovenbird.rollout.goal import Chosen
from ovenbird.rollout.setting import Setting
from ovenbird.values.errors import Blocked, GoalFailed, Inconclusive
from ovenbird.values.instance import Instance

LONGEST = 10.0
"""Seconds that a fleet may be unseen, or without a step within its limits, before we give up."""


class Patience:
    """The clocks of a rollout: how long it has not moved, not seen, and not had room."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self._moved = self._calm = self._looked = setting.clock.now()
        self._most = 0

    def note(self, chosen: Chosen, observed: tuple[Instance, ...]) -> None:
        """Start the progress clock again when one more instance of the goal serves.

        Time in which nobody looked (a host that slept, a clock that was put right) is no evidence
        against an image: the clocks did not run in it.
        """
        now = self._setting.clock.now()
        if (gap := unseen(self._setting.fleet.health, self._looked, now)) is not None:
            self._moved, self._calm = self._moved + gap, self._calm + gap
        self._looked = now
        serving = sum(chosen.goal.is_run_by(i) and i.is_serving for i in observed)
        if serving > self._most:
            self._most = serving
            self._moved = self._setting.clock.now()

    def acted(self, since: datetime) -> None:
        """Stop the clocks for what a wave took: a long drain is not a lack of progress."""
        self._moved += self._since(since)
        self._calm = self._looked = self._setting.clock.now()

    def rested(self) -> None:
        """Start all clocks again: the fleet is where it should be, and waits on purpose."""
        self._moved = self._calm = self._setting.clock.now()

    def require_budget(self, spent: Blocked) -> None:
        """Wait for others to be done with their endings as long as for any progress."""
        limit = self._setting.fleet.health.progress_deadline
        if self._since(self._moved) > timedelta(seconds=limit):
            raise spent

    def require_progress(self, why: str) -> None:
        self._calm = self._setting.clock.now()
        limit = self._setting.fleet.health.progress_deadline
        if self._since(self._moved) > timedelta(seconds=limit):
            raise GoalFailed(
                f"{self._setting.key} has made no progress for {limit:g} s: {why}.",
                remedy="What served still does. Look at the instances: invoke status",
            )

    def require_sight(self, why: str, *, gone: bool) -> None:
        """Give up on what is not seen; what its engine says is ``gone`` is waited for until that
        is believed."""
        limit = LONGEST + (self._setting.fleet.health.lost_after if gone else 0.0)
        if self._since(self._calm) > timedelta(seconds=limit):
            raise Inconclusive(
                f"{self._setting.key} cannot be judged: {why}.",
                remedy="Nothing was ended. See whether this host reaches the instances, then run "
                "the same command again.",
            )

    def require_room(self, why: str) -> None:
        if self._since(self._calm) > timedelta(seconds=LONGEST):
            raise Blocked(
                f"{self._setting.key} cannot move within its limits: {why}.",
                remedy="Look at the instances that do not serve (invoke status), or raise "
                "max_surge in the fleet's limits.",
            )

    def _since(self, then: datetime) -> timedelta:
        return self._setting.clock.now() - then
