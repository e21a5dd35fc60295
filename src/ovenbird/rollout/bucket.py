"""Sort the instances of a fleet by what they are to a rollout, each into exactly one bucket."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from ovenbird.values.instance import Goal, Health, Instance


class Bucket(StrEnum):
    """What an instance is to a rollout: exactly one of these, by the first rule that fits."""

    LOST = "lost"  # counts for nothing
    DYING = "ending"  # its end has begun; it still takes up room
    KEPT = "kept"  # stale, out of service for a switch back or a look: counts for nothing
    UNKNOWN = "unknown"  # never touched
    UNLISTED = "unlisted"  # current and ready, but some balancer does not send it traffic
    LEAVING = "leaving"  # its drain has begun, and it is stale or ill
    ILL_STALE = "ill and stale"
    IDLE = "idle"  # stale and ready, but some balancer does not list it
    ILL = "ill"  # current
    STALE = "stale"  # and serving
    SERVING = "serving"  # and current
    PENDING = "pending"  # never ended


RULES: tuple[tuple[Bucket, Callable[[Instance, bool], bool]], ...] = (
    (Bucket.LOST, lambda i, _: i.health is Health.LOST),
    (Bucket.DYING, lambda i, _: i.dying),
    (Bucket.KEPT, lambda i, current: i.kept and not current and not is_listed(i)),
    (Bucket.UNKNOWN, lambda i, _: i.health is Health.UNKNOWN),
    (Bucket.UNLISTED, lambda i, current: current and _is_unlisted(i)),
    (Bucket.LEAVING, lambda i, current: i.leaving and (not current or is_ill(i))),
    (Bucket.ILL_STALE, lambda i, current: is_ill(i) and not current),
    (Bucket.IDLE, lambda i, current: _is_unlisted(i) and not current),
    (Bucket.ILL, lambda i, _: is_ill(i)),
    (Bucket.STALE, lambda i, current: i.is_serving and not current),
    (Bucket.SERVING, lambda i, _: i.is_serving),
    (Bucket.PENDING, lambda *_: True),
)


def bucket_of(goal: Goal, instance: Instance) -> Bucket:
    """Find the one bucket of an instance."""
    return next(b for b, fits in RULES if fits(instance, goal.is_run_by(instance)))


def is_ill(instance: Instance) -> bool:
    return instance.health is Health.FAILED


def is_listed(instance: Instance) -> bool:
    """Some balancer has it still, were it only to drain it."""
    return instance.registered or instance.leaving or instance.in_service


def _is_unlisted(instance: Instance) -> bool:
    waits = instance.leaving or not instance.registered
    return instance.ready and waits and instance.health is Health.PENDING


def age(instance: Instance) -> tuple[object, ...]:
    """Sort the oldest first, and the same way every time."""
    return instance.launched_at, instance.token
