"""Count a fleet once, as it is observed, against what is wanted. It decides no step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ovenbird.rollout.bucket import Bucket, age, bucket_of, is_ill
from ovenbird.rollout.decision import Pace
from ovenbird.rollout.slots import by_slot, in_slots
from ovenbird.values.instance import Goal, Instance
from ovenbird.values.limits import Bounds

ABSENT = (Bucket.LOST, Bucket.KEPT)
"""These count for neither ceiling nor floor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What is observed, counted once against what is wanted."""

    goal: Goal
    bounds: Bounds
    untried: bool
    pace: Pace
    present: tuple[tuple[Bucket, Instance], ...]

    @classmethod
    def of_fleet(
        cls,
        goal: Goal,
        bounds: Bounds,
        observed: Collection[Instance],
        *,
        untried: bool,
        pace: Pace,
    ) -> Counts:
        if bounds.numbered:
            ordered = sorted(in_slots(bounds, observed), key=by_slot(bounds))
        else:
            ordered = sorted(observed, key=lambda i: (i.stands_in, *age(i)))
        found = [(bucket_of(goal, i), i) for i in ordered]
        present = tuple(pair for pair in found if pair[0] not in ABSENT)
        return cls(goal=goal, bounds=bounds, untried=untried, pace=pace, present=present)

    def of(self, *buckets: Bucket) -> list[Instance]:
        """List the instances of these buckets, bucket by bucket: the oldest first, and what stands
        in for others last; with numbered slots those beyond the size, then slot by slot."""
        return [i for wanted in buckets for bucket, i in self.present if bucket is wanted]

    @property
    def current(self) -> list[Instance]:
        return [i for _, i in self.present if self.goal.is_run_by(i)]

    @property
    def good(self) -> int:
        """How many of the goal serve."""
        return len(self.of(Bucket.SERVING))

    @property
    def serving(self) -> int:
        return len(self.of(Bucket.STALE, Bucket.SERVING))

    @property
    def in_service(self) -> int:
        """What the floor leans on when something ill is ended: an ill one that the balancers have
        in service counts, as the probe may be wrong, or all of it be overloaded."""
        ill = self.of(Bucket.ILL_STALE, Bucket.ILL)
        return self.serving + sum(i.in_service for i in ill)

    @property
    def standing(self) -> int:
        """Of the goal what serves, of the stale all that is not on its way out."""
        going = (Bucket.DYING, Bucket.LEAVING)
        stale = [b for b, i in self.present if not self.goal.is_run_by(i) and b not in going]
        return self.good + len(stale)

    @property
    def least(self) -> int:
        """How many must be listed before a stale one without traffic is not missed."""
        whole = self.partial or self.pace.switch or not self.proven
        return self.bounds.size if whole else self.bounds.floor

    @property
    def arrived(self) -> bool:
        if self.pace.spares and self.good >= self.bounds.size:
            return len(self.of(Bucket.SERVING, Bucket.UNLISTED)) == len(self.present)
        return self.good == len(self.present) == self.bounds.size

    @property
    def proven(self) -> bool:
        """One instance of the goal serves now (before a switch: would serve), or none is wanted."""
        would = self.pace.switch and bool(self.of(Bucket.UNLISTED))
        return self.bounds.size == 0 or self.good > 0 or would

    @property
    def canary(self) -> bool:
        """The goal has never served here, and does not now: one instance of it is risked."""
        return self.untried and not self.proven

    @property
    def limit(self) -> int:
        """How many of the goal may exist for now."""
        upto = self.pace.upto
        return self.bounds.size if upto is None else min(max(upto, 0), self.bounds.size)

    @property
    def partial(self) -> bool:
        """The rollout goes only part of its way for now."""
        return self.limit < self.bounds.size

    @property
    def switched(self) -> bool:
        """The goal has taken over all of the traffic."""
        return self.good >= self.bounds.size

    @property
    def missing(self) -> int:
        """How many instances of the goal should be launched; 0 or less: none.

        An ill one is missing already once the goal serves, or where it served before it fell
        ill (a host that restarted): it is replaced. A canary is replaced by nobody. Part of the
        way all of the goal that is there counts, and an ill one has to go before its successor
        comes: where 2 are allowed there are never 3.
        """
        if self.canary:
            return min(self.limit, 1) - len(self.current)
        if self.partial:
            return self.limit - len(self.current)
        stands = [i for i in self.current if not i.dying and not self.replaces(i)]
        return self.bounds.size - len(stands)

    def replaces(self, instance: Instance) -> bool:
        return is_ill(instance) and (self.proven or instance.accepted)

    def too_many_for(self, more: int) -> int:
        """Count what the fleet must give up so that ``more`` instances of the goal fit under the
        ceiling. One more of 3 of 3 with surge 0: 1. Of 3 of 4: 0. What is already going gives
        its room first; before a switch what was draining stays."""
        if more <= 0:
            return 0
        going = (Bucket.DYING,) if self.pace.switch else (Bucket.DYING, Bucket.LEAVING)
        stays = len(self.present) - len(self.of(*going))
        return max(stays + more - self.bounds.ceiling, 0)

    @property
    def numbers(self) -> str:
        b = self.bounds
        ill = self.in_service - self.serving
        overloaded = f", {ill} ill but in service" if ill else ""
        return (
            f"{self.serving} serving{overloaded}, floor {b.floor}; "
            f"{count_of_instances(len(self.present))}, ceiling {b.ceiling}"
        )


def count_of_instances(count: int) -> str:
    return f"{count} {'instance' if count == 1 else 'instances'}"
