"""Instances as containers with systemd inside, on this machine, through podman's command line.

An instance's token is its container's name, so launching twice gives one. After a reboot of the
host podman starts every instance again, with its port, its labels and its launch data: by the
restart policy ``always``, the one that its own ``podman-restart.service`` looks for. Until then
they are `LOST`. An instance that ends by itself is restarted by that policy too, but podman counts
this and forgets the count in a reboot: with a count it has ended, whatever runs in its name.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Collection, Mapping
from functools import cached_property
from pathlib import Path
from uuid import uuid4

from ovenbird.provider import (
    podman_changes,
    podman_contents,
    podman_launch,
    podman_store,
    podman_volumes,
)
from ovenbird.provider.console_text import last_lines
from ovenbird.provider.podman_cli import LONGEST_CALL, Podman
from ovenbird.provider.podman_errors import gone, name_taken, translated
from ovenbird.provider.podman_seen import counted, label, parse, suspects
from ovenbird.values.errors import Blocked, CommandFailed, EngineUnreachable
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Change, EngineState, Seen, Volume


class PodmanProvider:
    """Starts and ends containers that carry this site's labels, and no others.

    ``folder`` is the site's own, for podman's settings where this machine needs some. Published
    ports are on loopback, chosen by podman, and stay the same for an instance's life.
    """

    name = "podman"

    def __init__(self, *, folder: Path, site: str, longest_call: float = LONGEST_CALL) -> None:
        self._folder, self.site = folder, site
        self._podman = Podman(folder, longest_call=longest_call)
        self._layers = podman_changes.Layers(self._podman)

    @cached_property
    def place(self) -> str:
        """Name this host and podman's store: ``podman on web1:/var/lib/containers/storage``."""
        return f"{self.name} on {socket.gethostname()}:{Path(self.locate()).parent}"

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        """Report them ordered by slot, then by age."""
        listed = self._listed({"env": fleet.env, "fleet": fleet.name})
        self._layers.listed = [seen.token for seen in listed]
        return tuple(sorted(listed, key=lambda s: (s.slot, s.launched_at, s.token)))

    def launch(self, order: Order) -> Seen:
        """Start one instance. Nothing is left of one that podman could not start.

        Raises `OvenbirdError` where the image is gone, `NoCapacity` where this host has no room
        (space, a port, memory), and `Blocked` for a name that somebody else's container has.
        """
        known = self._mine(order.token)
        if known is None:
            self._create(order)
        elif known.state is EngineState.CREATED:
            self._podman.change("start", order.token, doing=f"Starting {order.token}")
        else:
            return known
        seen = self._mine(order.token)
        if seen is None:
            raise Blocked(
                f"{order.token} was started and is gone: somebody else removed it.",
                remedy="Find out who cleans up containers on this host, then run this again.",
            )
        return seen

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        """End it with the signal that it was launched with, after ``stop.timeout`` s by force. Its
        volumes stay.

        podman fixes the signal when it makes a container, which is right: the signal belongs to
        the image that runs, not to the one that replaces it.
        """
        if self._mine(token) is not None:
            # A stop that fails is not told: rm ends by force what is left, and fails aloud.
            self._podman.change(
                *("stop", "--ignore", "--time", str(stop.timeout), token),
                doing=f"Stopping {token}",
                check=False,
                longer=stop.timeout,
            )
            self._podman.change("rm", "--ignore", "--force", token, doing=f"Removing {token}")
        podman_launch.forget_launch_data(self._podman, token)

    def console(self, token: str, *, lines: int) -> str:
        """Return plain text, as `last_lines` makes it."""
        done = self._podman.ask(
            "logs", "--tail", str(lines), token, doing=f"Reading {token}", check=False
        )
        if done.code and not gone(done.stderr):
            raise CommandFailed(
                doing=f"Reading the console of {token}",
                command=f"{self._podman.cli} logs --tail {lines} {token}",
                code=done.code,
                output=done.stderr,
            )
        return "" if done.code else last_lines(done.stdout, lines)

    def locate(self) -> str:
        """Return what `Artifact.location` is for images that this podman holds now.

        Asked once for as long as neither podman nor its settings are other files than before.
        """
        known, key = (
            self._folder / "cache" / "podman-store.json",
            podman_store.settings_key(self._podman.env),
        )
        if known.exists():
            said: dict[str, str] = json.loads(known.read_text())
            if said.get("key") == key and Path(said["location"]).exists():
                return said["location"]
        location = podman_store.locate(
            self._podman.ask(
                "info", "--format", "json", doing="Asking podman where it stores"
            ).stdout
        )
        known.parent.mkdir(parents=True, exist_ok=True)
        known.write_text(json.dumps({"key": key, "location": location}))
        return location

    def present(self, artifact: Artifact) -> bool:
        return podman_store.holds(artifact)

    def delete(self, artifact: Artifact) -> None:
        if self.in_use(artifact):
            raise Blocked(
                f"A container still runs the image {podman_store.hex_id(artifact)[:12]}.",
                remedy="Roll its fleet to another image first: invoke status",
            )
        # Without --no-prune podman also removes untagged parents: our own base images.
        argv = ("rmi", "--no-prune", podman_store.hex_id(artifact))
        try:
            self._podman.change(*argv, doing=f"Deleting {podman_store.hex_id(artifact)[:12]}")
        except CommandFailed as failure:
            if not gone(failure.output):
                raise translated(failure, what=podman_store.hex_id(artifact)[:12]) from failure

    def in_use(self, artifact: Artifact) -> bool:
        """Say whether any container is made from it, whoever made the container."""
        done = self._podman.ask(
            *("ps", "--all", "--external", "--no-trunc", "--format", "{{.ImageID}}"),
            doing="Listing containers",
        )
        return podman_store.hex_id(artifact) in done.stdout.replace("sha256:", "").split()

    def verify(self, artifact: Artifact) -> None:
        podman_contents.verify(self._podman, artifact)

    def changes(self, token: str) -> Collection[Change]:
        return podman_changes.compared(self._podman, token, known=self._layers)

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        return podman_volumes.listed(self._podman, fleet, site=self.site)

    def delete_volume(self, name: str) -> None:
        podman_volumes.delete(self._podman, name)

    def _create(self, order: Order) -> None:
        volumes = podman_volumes.attachable(self._podman, order, site=self.site)
        # What an attempt left that died between the two: its content may be old.
        podman_launch.forget_launch_data(self._podman, order.token)
        left_running, attempt = False, uuid4().hex
        try:
            podman_launch.run(self._podman, order, site=self.site, volumes=volumes, attempt=attempt)
        except EngineUnreachable:
            left_running = True  # and may read them yet; whoever launches or ends it forgets them
            raise
        except CommandFailed as failure:
            if name_taken(failure.output) and self._mine(order.token) is not None:
                # Another driver, or one that was killed, had asked for it, and its call landed now.
                return
            if self._listed({"site": self.site, "attempt": attempt}):
                # podman makes a container before it starts it, and leaves it when that fails.
                # On a full disk even that may fail, and the launch after it adopts what is left.
                self._podman.change(
                    *("rm", "--ignore", "--force", order.token), doing="Cleaning up", check=False
                )
            raise translated(failure, what=order.version) from failure
        finally:
            # podman copied them into the container; its store needs none of them any more.
            if not left_running:
                podman_launch.forget_launch_data(self._podman, order.token)

    def _mine(self, token: str) -> Seen | None:
        found = self._listed({"site": self.site, "token": token})
        return found[0] if found else None

    def _listed(self, wanted: Mapping[str, str]) -> list[Seen]:
        filters = [f"--filter=label={label(key)}={value}" for key, value in wanted.items()]
        done = self._podman.ask(
            "ps", "--all", *filters, "--format", "json", doing="Listing instances"
        )
        if not (ids := suspects(done.stdout)):
            return parse(done.stdout)
        asked = ("inspect", "--type", "container", "--format", "{{.Id}} {{.RestartCount}}", *ids)
        # One that has gone meanwhile makes this fail, and the others are counted all the same.
        counts = self._podman.ask(*asked, doing="Counting restarts", check=False).stdout
        return parse(done.stdout, counted(counts))
