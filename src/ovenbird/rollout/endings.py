"""Choose what a wave takes out of service: worst first, and never what is missed.

What serves goes only while more serve than the floor; what is ill but in service at the balancers
only while more are in service than the floor; what is stale and ill for both goes one for each
new one in service. Nothing here gets credit for what the same wave launches or registers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from ovenbird.rollout.bucket import Bucket, is_ill, is_listed
from ovenbird.rollout.counts import Counts
from ovenbird.rollout.decision import Retire, Terminate
from ovenbird.values.instance import Instance

OLD = (Bucket.LEAVING, Bucket.ILL_STALE, Bucket.IDLE, Bucket.STALE)


def endings_of(fleet: Counts) -> Iterator[Retire | Terminate]:
    """End, or take out of service and keep, what is worth it."""
    if fleet.pace.switch and fleet.switched:
        yield from _switch_over(fleet)
        return
    purse = _Purse(fleet)
    for bucket, instance, why in _worth_ending(fleet):
        if purse.pays(bucket, instance):
            yield _ending(instance, f"{why}: {purse.numbers}")
            purse.spend(bucket, instance)


def _switch_over(fleet: Counts) -> Iterator[Retire | Terminate]:
    """All of the goal serves: the others leave at once, and the healthy ones are kept."""
    size = fleet.bounds.size
    numbers = f"{fleet.good} of {size} run {fleet.goal} and serve"
    for instance in fleet.of(Bucket.STALE, Bucket.LEAVING):
        if not is_ill(instance):
            yield Retire(instance.token, f"{_stale(instance, 'stale')}: {numbers}")
    for instance in fleet.of(Bucket.LEAVING, Bucket.ILL_STALE, Bucket.ILL):
        if is_ill(instance):
            yield _ending(instance, f"ill ({instance.because}): {numbers}")
    for instance in fleet.of(Bucket.IDLE):
        yield _ending(instance, f"stale, out of service: {numbers}")
    for instance in (*fleet.of(Bucket.UNLISTED), *reversed(fleet.of(Bucket.SERVING)[size:])):
        yield _ending(instance, f"surplus, {size} wanted: {numbers}")


def _ending(instance: Instance, because: str) -> Retire | Terminate:
    """What is kept is not ended, also where a driver died before it was out of service."""
    if instance.kept and is_listed(instance):
        return Retire(instance.token, f"{because}, and it is kept")
    return Terminate(instance.token, because)


class _Purse:
    """What a wave may still spend on endings. Each one makes it smaller, none refills it.

    ``room`` is how many must go so that the launches fit under the ceiling, ``spare`` the one of
    them that may be ill and stale before others serve for it. ``place`` is one of the goal that
    goes, ill, since its successor would be one more than the pace allows.
    """

    def __init__(self, fleet: Counts) -> None:
        self._fleet = fleet
        self._floor, self._size = fleet.bounds.floor, fleet.bounds.size
        self._serving, self._in_service = fleet.serving, fleet.in_service
        self._standing = fleet.standing
        asked = fleet.missing if fleet.proven else min(fleet.missing, 1)
        self._room = fleet.too_many_for(asked)
        in_hand = fleet.of(Bucket.PENDING, Bucket.UNLISTED)
        coming = any(fleet.goal.is_run_by(i) for i in in_hand)
        self._spare = 0 if coming else fleet.too_many_for(min(fleet.missing, 1))
        full = fleet.partial and fleet.missing <= 0 and fleet.limit > 0
        self._place = 1 if full and not coming else 0

    def pays(self, bucket: Bucket, instance: Instance) -> bool:
        if bucket is Bucket.LEAVING and not self._fleet.pace.switch:
            return True
        if not self._fleet.proven:
            place = bucket is Bucket.ILL and self._place > 0
            return (self._room > 0 or place) and self._bears(instance)
        if bucket in OLD and self._fleet.pace.switch:
            return self._room > 0 and self._bears(instance)
        if bucket is Bucket.ILL_STALE and not instance.in_service:
            return self._spare > 0 or self._standing > self._least
        if bucket in OLD and self._fleet.partial and self._room <= 0:
            left = self._serving if instance.is_serving else self._standing
            return left > self._size and self._bears(instance)
        return self._bears(instance)

    @property
    def _least(self) -> int:
        return self._size if self._fleet.partial else self._floor

    def _bears(self, instance: Instance) -> bool:
        """The others carry the service."""
        if instance.is_serving:
            return self._serving > self._floor
        return not (is_ill(instance) and instance.in_service) or self._in_service > self._floor

    def spend(self, bucket: Bucket, instance: Instance) -> None:
        serves, ill = instance.is_serving, is_ill(instance)
        self._serving -= serves
        self._in_service -= serves or (ill and instance.in_service)
        if bucket is Bucket.LEAVING and not self._fleet.pace.switch:
            return
        self._room -= 1
        self._spare -= 1
        self._place -= 1
        self._standing -= bucket in OLD or bucket is Bucket.SERVING

    @property
    def numbers(self) -> str:
        ill = self._in_service - self._serving
        overloaded = f", {ill} ill but in service" if ill else ""
        return f"{self._serving} serving{overloaded}, floor {self._floor}"


def _worth_ending(fleet: Counts) -> Iterable[tuple[Bucket, Instance, str]]:
    """List what may go, worst first: what is ill or out of service costs the least.

    Of the stale the oldest goes first, as it has run longest on what is to be replaced. Of the
    surplus those go first that only stand in for one of the goal, then the youngest: the others
    have proven themselves for longer.
    """
    size, serving = fleet.bounds.size, fleet.of(Bucket.SERVING)
    stale = "stale" if fleet.proven else "makes room for the first of the goal"
    for i in fleet.of(Bucket.LEAVING):
        yield Bucket.LEAVING, i, "its drain had begun"
    for i in fleet.of(Bucket.ILL_STALE):
        yield Bucket.ILL_STALE, i, f"ill ({i.because})"
    for i in fleet.of(Bucket.IDLE):
        if i.quarantined or not fleet.proven or fleet.serving >= fleet.least:
            yield Bucket.IDLE, i, f"{_stale(i, stale)}, out of service"
    spared = not fleet.proven or fleet.pace.spares
    for i in fleet.of(Bucket.UNLISTED)[max(size - len(serving), 0) :]:
        if i.leaving or not spared:  # who began its drain wanted no canary any more
            yield Bucket.UNLISTED, i, f"surplus, {size} wanted"
    for i in fleet.of(Bucket.ILL):
        if fleet.replaces(i):
            yield Bucket.ILL, i, f"ill ({i.because})"
    for i in fleet.of(Bucket.STALE):
        yield Bucket.STALE, i, _stale(i, stale)
    for i in reversed(serving[size:]) if not fleet.pace.spares else ():
        yield Bucket.SERVING, i, f"surplus, {size} wanted"


def _stale(instance: Instance, otherwise: str) -> str:
    """Say why it goes, where somebody wants it replaced whatever it runs."""
    return f"unwanted ({instance.unwanted})" if instance.unwanted else otherwise
