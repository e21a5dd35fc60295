"""What sends a fleet its traffic: the port that every balancer speaks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from ovenbird.values.instance import Entry, Seen


class Balancer(Protocol):
    """The traffic of one fleet. A servers's name here is its instance's token.

    Every method raises `BalancerUnreachable` where an endpoint does not answer.
    """

    @property
    def name(self) -> str: ...

    def open(self) -> None:
        """Make the fleet's entrance exist (its frontend and backend). Idempotent."""
        ...

    def register(self, instance: Seen) -> None:
        """Send it traffic from now on. Idempotent; ends a drain of the same instance."""
        ...

    def entries(self) -> Collection[Entry]: ...

    def drain(self, token: str, *, timeout: float) -> int:
        """Send it nothing new; return when its sessions have ended or ``timeout`` s are over.

        It drains from the first moment: with a ``timeout`` of 0 this returns at once, so that
        several can be drained side by side and asked again. Returns the number of sessions left
        (0 where nobody can count). Draining one that is not listed returns 0.
        """
        ...

    def deregister(self, token: str) -> None:
        """Forget it: `entries` lists it no more. Idempotent.

        A failure is fatal: ending it now would drop traffic.
        """
        ...

    def close(self) -> None:
        """Remove the fleet's entrance. Idempotent."""
        ...
