"""What somebody did to the files of an instance: two walks over SFTP, of it and of its image.

LXD itself compares nothing. The image is walked once, in an instance of it that is never started
and is removed at once; what was seen is remembered by the image's fingerprint. Compared are the
kind, mode, owner, size and modification time (whole seconds) of each path: who writes other
content of the same size and sets the old time again is not seen. What is mounted inside by the
instance itself counts as its files.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import astuple
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath
from urllib.parse import quote
from uuid import uuid4

from ovenbird.provider import lxd_launch, lxd_way
from ovenbird.provider.lxd_api import Lxd
from ovenbird.provider.lxd_seen import IMAGE_LABEL, Row, rows
from ovenbird.provider.lxd_sftp import Entry, switched, walk
from ovenbird.provider.seed import JOB_EXIT_PATH, SEED_PATH
from ovenbird.values.errors import EngineUnreachable
from ovenbird.values.instance import Change, ChangeKind

MADE_AT_RUN_TIME = ("/proc", "/sys", "/dev", "/run")
_FORGOTTEN = timedelta(minutes=10)
"""What was made for a walk and is older was left by one who died in it."""

_ANSWER = 30.0
_OURS = (SEED_PATH, JOB_EXIT_PATH, str(PurePosixPath(SEED_PATH).parent))


class Comparisons:
    """Compares instances for one provider object; ``folder`` keeps what images hold."""

    def __init__(self, lxd: Lxd, folder: Path) -> None:
        self._lxd, self._folder, self._lock = lxd, folder, threading.Lock()

    def compared(self, row: Row) -> Collection[Change]:
        """Compare one with its image, read-only, ordered by path. Raises `Refused`."""
        with self._lock:  # of several at once the first walks the image, for all of them
            before = self._image(row.config["volatile.base_image"], near=row)
        mounts = row.mounts
        now = self._walked(row.name, skip=(*MADE_AT_RUN_TIME, *mounts))
        folders = {str(parent) for path in mounts for parent in PurePosixPath(path).parents}
        return tuple(
            change
            for change in differences(before, now, since=row.created_at)
            if change.path not in _OURS
            and not any(_is_below(change.path, mount) for mount in mounts)
            # LXD makes the folders in which a volume is mounted.
            and not (change.path in folders and change.kind is ChangeKind.ADDED)
        )

    def _image(self, fingerprint: str, *, near: Row) -> Mapping[str, Entry]:
        known = self._folder / f"{fingerprint}.json"
        if not known.exists():
            self._folder.mkdir(parents=True, exist_ok=True)
            seen = self._walked_image(fingerprint, near=near)
            own = known.with_suffix(f".{os.getpid()}")
            own.write_text(json.dumps({path: astuple(entry) for path, entry in seen.items()}))
            own.replace(known)
            return seen
        return {path: Entry(*facts) for path, facts in json.loads(known.read_text()).items()}

    def _walked_image(self, fingerprint: str, *, near: Row) -> dict[str, Entry]:
        self._remove_the_forgotten(fingerprint)
        name = f"ovenbird-image-{uuid4().hex[:12]}"
        member = near.location if near.location not in ("", "none") else None
        lxd_launch.make_to_look_at(self._lxd, name, fingerprint, member=member)
        try:
            return self._walked(name, skip=MADE_AT_RUN_TIME)
        finally:
            lxd_launch.remove(self._lxd, name)

    def _remove_the_forgotten(self, fingerprint: str) -> None:
        asked = f"config.{IMAGE_LABEL} eq {fingerprint}"
        left = self._lxd.get("instances", doing="Listing instances", recursion=1, filter=asked)
        for row in rows(left):
            if datetime.now(UTC) - row.created_at > _FORGOTTEN:
                lxd_launch.remove(self._lxd, row.name)

    def _walked(self, name: str, *, skip: Collection[str]) -> dict[str, Entry]:
        # A call through the door first: it finds the endpoint that answers.
        self._lxd.get("instances", name, doing=f"Looking for {name}")
        settings = self._lxd.settings
        path = f"/1.0/instances/{quote(name)}/sftp?project={quote(settings.project)}"
        try:
            with lxd_way.stream(self._lxd.endpoint, settings, timeout=_ANSWER) as stream:
                switched(stream, path)
                return walk(stream, skip=skip)
        except OSError as failure:
            raise EngineUnreachable(
                f"LXD stopped showing the files of {name}.",
                remedy="See whether it, or its member, is still there; then run this again.",
                evidence=str(failure),
            ) from failure


def differences(
    before: Mapping[str, Entry], now: Mapping[str, Entry], *, since: datetime
) -> Iterator[Change]:
    """Compare two walks, ordered by path. ``since`` is when the instance was made: a time before
    it came with a file from elsewhere, and does not tell when."""
    for path in sorted({*before, *now}):
        old, new = before.get(path), now.get(path)
        if new is None:
            yield Change(path=path, kind=ChangeKind.DELETED)
        elif old is None:
            yield Change(path=path, kind=ChangeKind.ADDED, at=_when(new, since))
        elif _facts(old) != _facts(new):
            touched = (old.size, old.changed_at) != (new.size, new.changed_at)
            at = _when(new, since) if touched and not new.is_folder else None
            yield Change(path=path, kind=ChangeKind.CHANGED, at=at)


def _facts(entry: Entry) -> tuple[int, ...]:
    """A folder is changed if its own mode or owner is: its time only tells of what is in it."""
    own = (entry.mode, entry.uid, entry.gid)
    return own if entry.is_folder else (*own, entry.size, entry.changed_at)


def _when(entry: Entry, since: datetime) -> datetime | None:
    at = datetime.fromtimestamp(entry.changed_at, UTC)
    return at if at >= since.replace(microsecond=0) else None


def _is_below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
