"""What we have seen of instances, for the time when their member is offline.

Of such a one LXD tells its name and nothing else: no label, not even whose it is. Who has never
listed it, nor launched it from this site's folder, does not see it until its member is back.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

from ovenbird.provider.lxd_seen import Row, label, rows

_FRESH = timedelta(minutes=5)
_KEPT = ("volatile.uuid", "volatile.base_image")


class Known:
    """One small file a fleet, below ``folder``; written when something in it has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()

    def listed(self, fleet: str, found: Iterable[Row]) -> None:
        """Remember a fleet as it was just listed. What is not there is forgotten, but for what was
        launched a moment ago: it may be listed a moment later."""
        listed = {row.name: row for row in found}
        with self._lock:
            known = self._read(self._file(fleet))
            fresh = {n: r for n, r in known.items() if datetime.now(UTC) - r.created_at < _FRESH}
            self._write(fleet, {**fresh, **listed})

    def launched(self, fleet: str, row: Row) -> None:
        """Remember one before it is made: its member may be gone before it is ever listed."""
        with self._lock:
            self._write(fleet, {**self._read(self._file(fleet)), row.name: row})

    def recalled(self, found: Iterable[Row]) -> list[Row]:
        """Give rows that LXD told nothing of what we know of them; the others stay as they are."""
        found = list(found)
        if all(row.config for row in found):
            return found
        known: dict[str, Row] = {}
        for file in sorted(self._folder.glob("*.json")):
            known |= self._read(file)
        return [_filled(row, known) for row in found]

    def _file(self, fleet: str) -> Path:
        return self._folder / f"{fleet}.json"

    def _read(self, file: Path) -> dict[str, Row]:
        try:
            told = rows(json.loads(file.read_text()))
        except FileNotFoundError:
            return {}
        return {row.name: row for row in told}

    def _write(self, fleet: str, found: dict[str, Row]) -> None:
        own = [_worth_keeping(found[name]) for name in sorted(found)]
        text, file = json.dumps(own, indent=1), self._file(fleet)
        if file.exists() and file.read_text() == text:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f".{os.getpid()}-{uuid4().hex[:8]}"
        draft.write_text(text)
        draft.replace(file)


def _filled(row: Row, known: dict[str, Row]) -> Row:
    if row.config or row.name not in known:
        return row
    return known[row.name].model_copy(update={"status": row.status, "location": row.location})


def _worth_keeping(row: Row) -> dict[str, object]:
    """Keep whose it is, and nothing of its state."""
    config = {k: v for k, v in row.config.items() if k in _KEPT or k.startswith(label(""))}
    return {
        "name": row.name,
        "status": "Error",
        "config": config,
        "created_at": row.created_at.isoformat(),
        "last_used_at": row.last_used_at.isoformat(),
        "location": row.location,
    }
