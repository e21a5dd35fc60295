"""Where instances live: the port to running instances, which cannot run anything.

There is no ``run``, ``push_file`` or ``ssh`` here, and that is the design: what this port cannot
say, Ovenbird cannot do to a running instance.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Seen


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

        Raises `NoCapacity` where the engine has no room, and leaves nothing behind then.
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


class Engine(Provider, Artifacts, Protocol):
    """Both sides of one engine: what runs, and what it holds to run."""
