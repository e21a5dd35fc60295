"""How far a fleet may stretch and shrink while its instances are replaced."""

from __future__ import annotations

from dataclasses import dataclass

from ovenbird.values.errors import ConfigurationError

Share = int | str
"""A number of instances, or a percentage of the fleet's size written ``25%``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """As an operator writes them. ``Limits(max_surge="25%")`` of 3 allows 1 instance more."""

    max_surge: Share = 1
    max_unavailable: Share = 0

    def of(self, size: int) -> Bounds:
        """Turn shares into numbers for a fleet of ``size``.

        Surge rounds up and unavailable down, as in Kubernetes: 25% of 3 is a surge of 1 and
        an unavailability of 0. Raises `ConfigurationError` where both come out as zero, since
        such a rollout could never move.
        """
        surge = count_of(self.max_surge, size, up=True)
        unavailable = count_of(self.max_unavailable, size, up=False)
        if size and surge == 0 and unavailable == 0:
            raise ConfigurationError.of(
                f"max_surge {self.max_surge} and max_unavailable {self.max_unavailable} leave a "
                f"fleet of {size} no room to replace anything.",
                remedy="Set max_surge to 1 or more, or max_unavailable to 1 or more.",
            )
        return Bounds(size=size, surge=surge, unavailable=min(unavailable, size))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """The arithmetic of one fleet: never above the ceiling, never serving below the floor.

    ``numbered`` is a fleet with volumes: its slots are 0 to ``size - 1``, and each instance
    belongs to one of them.
    """

    size: int
    surge: int
    unavailable: int
    numbered: bool = False

    @property
    def ceiling(self) -> int:
        return self.size + self.surge

    @property
    def floor(self) -> int:
        return self.size - self.unavailable


def count_of(share: Share, size: int, *, up: bool) -> int:
    """Turn a share of ``size`` into a number, rounded up or down, in integers."""
    if isinstance(share, int):
        return share
    percent = int(share.rstrip("%"))
    return (size * percent + 99 * up) // 100
