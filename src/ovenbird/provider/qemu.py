"""Instances as virtual machines on this host: one QEMU process each, on an overlay of an image.

An instance's token is the name of its folder, which is all that anybody remembers of it: so
launching twice gives one, also for two drivers at once, and a process that outlives the tool is
found again. Nothing starts one again that ended by itself. After a reboot of the host its
instances are `LOST`: golden images are replaced, not revived, and volumes go to the successors.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from ovenbird import process
from ovenbird.provider import (
    qemu_accelerator,
    qemu_changes,
    qemu_launch,
    qemu_qmp,
    qemu_store,
    qemu_volumes,
)
from ovenbird.provider.console_text import last_lines
from ovenbird.provider.qemu_bridge import address_of
from ovenbird.provider.qemu_errors import disk_full, translated
from ovenbird.provider.qemu_launch import Extra
from ovenbird.provider.qemu_machine import Machine, Written, machines
from ovenbird.values.engine import QemuSettings
from ovenbird.values.errors import Blocked, CommandFailed, EngineUnreachable, OvenbirdError
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Change, EngineState, Seen, Volume

_FULL = (errno.ENOSPC, errno.EDQUOT)
_PRESSED_AGAIN = 3.0
"""Seconds between two times that a machine's power button is pressed."""

_LINE = 1 << 12
"""Bytes of the console that are read for a line of it."""


class QemuProvider:
    """Starts and ends machines that carry this site's labels, and no others.

    ``folder`` is the site's own: images, disks and volumes are below it.
    """

    name = "qemu"

    def __init__(
        self,
        *,
        folder: Path,
        site: str,
        settings: QemuSettings | None = None,
    ) -> None:
        self.site = site
        self._folder, self._root = folder.absolute(), folder.absolute() / "qemu"
        self._settings = settings or QemuSettings()

    @property
    def place(self) -> str:
        """Name this host and the folder: ``qemu on web1:/var/lib/ovenbird/qemu``."""
        return f"{self.name} on {socket.gethostname()}:{self._root}"

    def locate(self) -> str:
        """Return what `Artifact.location` is for images that are kept here."""
        return str(qemu_store.images(self._folder))

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        """Report them ordered by slot, then by age; no process is started for it."""
        found = [self._seen(machine) for machine in machines(self._root)]
        wanted = (fleet.env, fleet.name)
        listed = [seen for seen in found if seen and (seen.fleet.env, seen.fleet.name) == wanted]
        return tuple(sorted(listed, key=lambda s: (s.slot, s.launched_at, s.token)))

    def launch(self, order: Order) -> Seen:
        """Start one instance. Nothing is left of one that QEMU could not start.

        Raises `OvenbirdError` where the image is gone or damaged, `NoCapacity` where this host
        has no room (space, a port, memory), and `Blocked` where KVM is asked for and does not
        work, or somebody else's machine has the name.
        """
        machine = Machine(self._root, order.token)
        with machine.held() as lock, process.lending(lock):
            known = machine.written()
            if known is not None and known.site != self.site:
                raise Blocked(
                    f"A machine of another site is named {order.token}.",
                    remedy=f"See whose it is: {machine.folder}/order.json",
                )
            if known is None or machine.state(known) is EngineState.CREATED:
                self._create(machine, order)
            seen = self._seen(machine)
        assert seen is not None, "its folder cannot go while we hold its lock"
        return seen

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        """Press its power button, and end it by force after ``stop.timeout`` s. Its volumes stay.

        A signal is nothing that a machine could be sent: how its init stops, its image says.
        """
        if self._mine(token) is None:
            return
        machine = Machine(self._root, token)
        with machine.held():
            if self._mine(token) is None:
                return
            if machine.pid() is not None:
                machine.mark_as_ending()
                if not _powered_off(machine, within=stop.timeout):
                    machine.kill()
            machine.remove()

    def console(self, token: str, *, lines: int) -> str:
        text = Machine(self._root, token).tail(lines * _LINE).decode(errors="replace")
        return last_lines(text, lines)

    def present(self, artifact: Artifact) -> bool:
        return qemu_store.holds(artifact)

    def delete(self, artifact: Artifact) -> None:
        with qemu_volumes.deciding(self._root):
            if self.in_use(artifact):
                raise Blocked(
                    f"A machine still runs on the image {qemu_store.hex_id(artifact)[:12]}.",
                    remedy="Roll its fleet to another image first: invoke status",
                )
            qemu_store.remove(self._folder, artifact.id)

    def in_use(self, artifact: Artifact) -> bool:
        """Say whether the disk of any machine, running or not, is an overlay on it."""
        written = (machine.written() for machine in machines(self._root))
        return artifact.id in {each.artifact for each in written if each}

    def verify(self, artifact: Artifact) -> None:
        qemu_store.verify(self._folder, artifact)

    def changes(self, token: str) -> Collection[Change]:
        """See `qemu_changes` for what a comparison can see."""
        machine = Machine(self._root, token)
        if self._mine(token) is None:
            return ()
        with machine.held():
            written = self._mine(token)
            if written is None:
                return ()
            golden = qemu_store.golden(self._folder, written.artifact, what=written.version)
            return qemu_changes.compared(machine, written, golden=golden)

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        return qemu_volumes.listed(self._root, fleet, site=self.site)

    def delete_volume(self, name: str) -> None:
        qemu_volumes.delete(self._root, name)

    def _create(self, machine: Machine, order: Order) -> None:
        made: list[str] = []
        with self._nothing_left(machine, order, made):
            golden = qemu_store.golden(self._folder, order.artifact.id, what=order.version)
            accelerator = qemu_accelerator.chosen(self._settings, self._folder, golden)
            written = qemu_launch.intend(
                self._root, machine, order, site=self.site, settings=self._settings
            )
            # From here on it is in use, so the image cannot go.
            qemu_store.golden(self._folder, order.artifact.id, what=order.version)
            made += [name for name in written.volumes if qemu_volumes.make(self._root, name)]
            qemu_launch.start(
                self._root,
                machine,
                order,
                written,
                golden=golden,
                accelerator=accelerator,
                settings=self._settings,
                extra=self._extra_of(order),
            )

    def _extra_of(self, order: Order) -> Extra:
        """What its QEMU is told besides. A fleet's machine gets nothing: there is no way in."""
        return Extra()

    @contextmanager
    def _nothing_left(self, machine: Machine, order: Order, made: list[str]) -> Iterator[None]:
        """Take away what was begun where it fails, and say what the failure means."""
        try:
            yield
        except EngineUnreachable:
            raise  # a program was left running, and whoever launches it again goes on from there
        except (OvenbirdError, OSError) as failure:
            machine.remove()
            for name in made:
                qemu_volumes.path(self._root, name).unlink(missing_ok=True)
            if isinstance(failure, CommandFailed):
                raise translated(failure, what=order.version) from failure
            if isinstance(failure, OSError) and failure.errno in _FULL:
                what = f"Starting {order.token}"
                raise disk_full(what, where=self._root, evidence=str(failure)) from failure
            raise

    def _seen(self, machine: Machine) -> Seen | None:
        bridge = self._settings.bridge
        return machine.seen(address=address_of(machine) if bridge else None)

    def _mine(self, token: str) -> Written | None:
        written = Machine(self._root, token).written()
        return written if written is not None and written.site == self.site else None


def _powered_off(machine: Machine, *, within: float) -> bool:
    """Press its power button until it has ended; say whether it has in time. One that still boots
    hears nothing yet, so it is pressed again."""
    ends = time.monotonic() + within
    while (left := ends - time.monotonic()) > 0:
        qemu_qmp.press_the_power_button(machine.folder)
        if machine.awaited(min(left, _PRESSED_AGAIN)):
            return True
    return False
