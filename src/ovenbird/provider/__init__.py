"""Where instances live: the port to running instances, which cannot run anything.

There is no ``run``, ``push_file`` or ``ssh`` here, and that is the design: what this port cannot
say, Ovenbird cannot do to a running instance.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Change, Seen, Volume


class Provider(Protocol):
    """Starts instances of images and ends them; it never reaches inside."""

    @property
    def name(self) -> str: ...

    @property
    def place(self) -> str:
        """Name the engine that holds the instances: a fleet is rolled where it can be seen.

        The same for every object on one engine, and another one where another engine would
        answer: another host or another store. Raises `EngineUnreachable`.
        """
        ...

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        """Report every instance labelled with this env and name, whatever its state or site.

        A dying instance is still reported. Instances of another site are reported too: the
        caller refuses them by ``Seen.fleet.site``. Raises `EngineUnreachable`.
        """
        ...

    def launch(self, order: Order) -> Seen:
        """Start one instance and return at once, before it is healthy. Idempotent by token.

        Raises `NoCapacity` where the engine has no room, and leaves nothing behind then. An
        order with volumes raises `Blocked` while anything else has one of them attached, running
        or not: two writers are never there. An order with a job is launched once and for all;
        after its end it is reported as exited, until it is terminated.
        """
        ...

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        """Ask it to end, then end it by force. Ending one that is gone is not an error."""
        ...

    def console(self, token: str, *, lines: int) -> str:
        """Return the last ``lines`` of its console, or "" for an instance that is gone."""
        ...


class Artifacts(Protocol):
    """What an engine holds of the catalog."""

    def present(self, artifact: Artifact) -> bool:
        """Look without starting a process whether the engine still holds it."""
        ...

    def delete(self, artifact: Artifact) -> None:
        """Remove it. Removing one that is gone is not an error; one in use raises `Blocked`."""
        ...

    def in_use(self, artifact: Artifact) -> bool: ...

    def verify(self, artifact: Artifact) -> None:
        """Read it again, all of it, and raise `Tampered` where it is not what its id says."""
        ...


class Changes(Protocol):
    """What somebody did to an instance, seen from outside of it."""

    def changes(self, token: str) -> Collection[Change]:
        """Compare its files with its image, read-only, ordered by path; () for one that is gone.

        What lies on a volume, in memory or under a mount of the engine's is not compared. Raises
        `EngineUnreachable`.
        """
        ...


class Volumes(Protocol):
    """What outlives instances. A volume is made by the first launch that needs it, belongs to a
    numbered slot of a fleet, and is ended by `delete_volume` alone."""

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        """Report every volume of this site's fleet, ordered by slot and spec, with who uses it."""
        ...

    def delete_volume(self, name: str) -> None:
        """Delete one for ever. One that is gone is not an error; one in use raises `Blocked`."""
        ...


class Engine(Provider, Artifacts, Changes, Volumes, Protocol):
    """All sides of one engine: what runs, what it holds to run, and what outlives both."""
