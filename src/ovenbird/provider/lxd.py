"""Instances as system containers of an LXD, alone or a cluster, through its REST API.

An instance's token is its name, so launching twice gives one, also for two drivers at once. LXD
starts again with its host what ran there; until then, and for as long as a member of the cluster
is offline, its instances are `LOST`. Nothing restarts one that ends by itself.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from ovenbird.provider import lxd_contents, lxd_launch, lxd_volumes
from ovenbird.provider.console_text import last_lines
from ovenbird.provider.lxd_api import LONGEST_CALL, Lxd
from ovenbird.provider.lxd_changes import Comparisons
from ovenbird.provider.lxd_errors import Refused, translated
from ovenbird.provider.lxd_known import Known
from ovenbird.provider.lxd_members import Members
from ovenbird.provider.lxd_seen import (
    IMAGE_LABEL,
    Row,
    asked_for,
    label,
    parse,
    rows,
    state_of,
    wanted,
)
from ovenbird.provider.seed import JOB_EXIT_PATH
from ovenbird.values.engine import LxdSettings
from ovenbird.values.errors import Blocked, EngineUnreachable, OvenbirdError
from ovenbird.values.fleet import FleetKey, Order
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import Change, EngineState, Seen, Volume


class LxdProvider:
    """Makes and ends instances that carry this site's labels, and no others.

    ``folder`` is the site's own, for what comparisons remember of an image.
    """

    name = "lxd"

    def __init__(
        self,
        *,
        folder: Path,
        site: str,
        settings: LxdSettings | None = None,
        longest_call: float = LONGEST_CALL,
    ) -> None:
        self.site = site
        self._lxd = Lxd(settings or LxdSettings(), longest_call=longest_call)
        self._members = Members(self._lxd)
        self._comparisons = Comparisons(self._lxd, folder / "cache" / "lxd")
        self._known = Known(folder / "cache" / "lxd" / "fleets")
        self._codes: dict[str, int] = {}

    @cached_property
    def place(self) -> str:
        """Name the cluster by its certificate, which all of its members show, and the project:
        ``lxd 6f0c12ab34cd, project default``."""
        told = self._lxd.get(doing="Asking LXD who it is")
        shown = told["environment"]["certificate_fingerprint"]
        return f"{self.name} {shown[:12]}, project {self._lxd.settings.project}"

    def locate(self) -> str:
        """Return what `Artifact.location` is for images that this LXD holds now."""
        return self.place

    def instances(self, fleet: FleetKey) -> Collection[Seen]:
        """Report them ordered by slot, then by age; in one call, whatever member they are on."""
        said = {"env": fleet.env, "fleet": fleet.name}
        labels = {label(key): value for key, value in said.items()}.items()
        found = self._rows(wanted(said, lost=True))
        listed = [row for row in found if labels <= row.config.items()]
        self._known.listed(_file_of(fleet), listed)
        return tuple(sorted(self._parsed(listed), key=lambda s: (s.slot, s.launched_at, s.token)))

    def launch(self, order: Order) -> Seen:
        """Start one instance. Nothing is left of one that LXD could not start.

        Raises `OvenbirdError` where the image is gone, `NoCapacity` where the pool, a quota or
        the members have no room, and `Blocked` for a name that somebody else's instance has.
        """
        known = self._mine(order.token)
        if known is None:
            self._create(order)
        elif known.state is EngineState.CREATED:
            self._go_on(order)
        else:
            return known
        seen = self._mine(order.token)
        if seen is None:
            raise Blocked(
                f"{order.token} was started and is gone: somebody else removed it.",
                remedy="Find out who cleans up instances of that LXD, then run this again.",
            )
        return seen

    def terminate(self, token: str, *, stop: StopPolicy) -> None:
        """End it with the signal that it was launched with, after ``stop.timeout`` s by force. Its
        volumes stay.

        Raises `EngineUnreachable` for one whose member is offline: it may still run there.
        """
        row = self._row(token)
        known = self._mine(token, row)
        if row is None or known is None:
            return
        if row.status == "Error":
            raise EngineUnreachable(
                f"{token} is on {row.location or 'a member'}, which is offline: it was not ended.",
                remedy="Bring that member back, or, where it is gone for good, remove it: lxc "
                "cluster list; lxc cluster remove --force MEMBER. Then run this again.",
            )
        try:
            if known.state in (EngineState.RUNNING, EngineState.DYING):
                lxd_launch.mark_as_ending(self._lxd, token)
                lxd_launch.stop(self._lxd, token, timeout=stop.timeout)
            lxd_launch.remove(self._lxd, token)
        except Refused as refused:
            raise translated(refused, what=token) from refused

    def console(self, token: str, *, lines: int) -> str:
        """Return plain text, as `last_lines` makes it."""
        path = ("instances", token, "console")
        try:
            log = self._lxd.read(*path, doing=f"Reading the console of {token}") or b""
        except Refused as refused:
            if "no such file" in refused.said.lower():  # of one that has written nothing yet
                return ""
            raise translated(refused, what=token) from refused
        return last_lines(log.decode(errors="replace"), lines)

    def present(self, artifact: Artifact) -> bool:
        """Ask LXD: one call, and no process."""
        try:
            self._lxd.get("images", artifact.id, doing=f"Looking for {artifact.id[:12]}")
        except Refused as refused:
            if refused.is_gone:
                return False
            raise translated(refused, what=artifact.id[:12]) from refused
        return True

    def delete(self, artifact: Artifact) -> None:
        if self.in_use(artifact):
            raise Blocked(
                f"An instance still runs the image {artifact.id[:12]}.",
                remedy="Roll its fleet to another image first: invoke status",
            )
        try:
            self._lxd.delete("images", artifact.id, doing=f"Deleting {artifact.id[:12]}")
        except Refused as refused:
            if not refused.is_gone:
                raise translated(refused, what=artifact.id[:12]) from refused

    def in_use(self, artifact: Artifact) -> bool:
        """Say whether any instance is made from it, whoever made the instance.

        One of an offline member, of which nobody here knows anything, may be.
        """
        asked = f"config.volatile.base_image eq {artifact.id} or status eq Error"
        return any(
            row.config.get("volatile.base_image", artifact.id) == artifact.id
            and IMAGE_LABEL not in row.config
            for row in self._rows(asked, recursion=1)
        )

    def verify(self, artifact: Artifact) -> None:
        lxd_contents.verify(self._lxd, artifact)

    def changes(self, token: str) -> Collection[Change]:
        """See `lxd_changes` for what a comparison can see."""
        row = self._row(token)
        if row is None or not row.is_ours:
            return ()
        try:
            return self._comparisons.compared(row)
        except Refused as refused:
            if refused.is_gone:
                return ()
            raise translated(refused, what=token) from refused

    def volumes(self, fleet: FleetKey) -> Collection[Volume]:
        return lxd_volumes.listed(self._lxd, fleet, site=self.site)

    def delete_volume(self, name: str) -> None:
        lxd_volumes.delete(self._lxd, name)

    def _create(self, order: Order) -> None:
        """Make and start it; on another member where the chosen one turns out to be gone."""
        lost: list[str] = []
        self._known.launched(_file_of(order.fleet), asked_for(order, site=self.site))
        while True:
            volumes = lxd_volumes.attachable(self._lxd, order, site=self.site)
            with self._members.chosen(order, only=volumes.member, but=lost) as member:
                try:
                    lxd_volumes.make(self._lxd, order, site=self.site, member=member)
                    lxd_launch.create(
                        self._lxd, order, site=self.site, volumes=volumes.names, member=member
                    )
                except Refused as refused:
                    if refused.is_there_already:
                        self._adopt(order, refused)
                        return
                    if member is None or not refused.is_of_a_lost_member:
                        raise translated(refused, what=order.version) from refused
                    lost.append(member)
                    continue
            self._start_or_leave_nothing(order)
            return

    def _adopt(self, order: Order, refused: Refused) -> None:
        """Go on with what a driver made that had asked for the same token, if it is ours."""
        ends = time.monotonic() + lxd_launch.START_TIMEOUT
        while (known := self._mine(order.token)) is None:
            if not refused.is_being_made or time.monotonic() > ends:
                raise translated(refused, what=order.version) from refused
            time.sleep(0.1)
        if known.state is EngineState.CREATED:
            self._go_on(order)

    def _go_on(self, order: Order) -> None:
        try:
            lxd_launch.go_on(self._lxd, order, is_started=lambda: self._is_started(order))
        except Refused as refused:
            raise translated(refused, what=order.version) from refused

    def _start_or_leave_nothing(self, order: Order) -> None:
        try:
            # Another driver may have attached them since we looked.
            lxd_volumes.attachable(self._lxd, order, site=self.site)
            lxd_launch.go_on(self._lxd, order, is_started=lambda: self._is_started(order))
        except EngineUnreachable:
            raise  # it may be there, and whoever launches or ends it again goes on from there
        except OvenbirdError as failure:
            if not self._is_started(order):
                lxd_launch.remove(self._lxd, order.token)
            if isinstance(failure, Refused):
                raise translated(failure, what=order.version) from failure
            raise

    def _is_started(self, order: Order) -> bool:
        known = self._mine(order.token)
        return known is not None and known.state is not EngineState.CREATED

    def _mine(self, token: str, row: Row | None = None) -> Seen | None:
        row = row or self._row(token)
        if row is None or row.config.get(label("site")) != self.site:
            return None
        return next(iter(self._parsed([row])), None)

    def _row(self, token: str) -> Row | None:
        """Ask for one; where its member does not answer, what the cluster remembers of it."""
        path = ("instances", token)
        try:
            return rows([self._lxd.get(*path, doing=f"Looking for {token}", recursion=1)])[0]
        except Refused as refused:
            if refused.is_gone:
                return None
            if not refused.is_of_a_lost_member:
                raise translated(refused, what=token) from refused
        return next(iter(self._rows(f"name eq {token}")), None)

    def _rows(self, filter_: str, *, recursion: int = 2) -> list[Row]:
        try:
            listed = self._lxd.get(
                "instances", doing="Listing instances", recursion=recursion, filter=filter_
            )
        except Refused as refused:
            raise translated(refused, what="it") from refused
        return self._known.recalled(rows(listed))

    def _parsed(self, listed: Collection[Row]) -> list[Seen]:
        for row in listed:
            job = row.config.get(label("job"))
            if job and row.name not in self._codes and state_of(row) is EngineState.EXITED:
                self._read_code(row.name)
        return parse(listed, self._codes)

    def _read_code(self, token: str) -> None:
        """Read what an ended job has left; one that was killed has left nothing."""
        path = ("instances", token, "files")
        try:
            said = self._lxd.read(*path, doing=f"Reading the end of {token}", path=JOB_EXIT_PATH)
        except Refused as refused:
            raise translated(refused, what=token) from refused
        if said is not None and said.strip().isdigit():
            self._codes[token] = int(said)


def _file_of(fleet: FleetKey) -> str:
    return f"{fleet.env}.{fleet.name}"
