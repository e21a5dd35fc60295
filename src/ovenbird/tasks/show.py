"""How a status looks on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ovenbird.console import Console
from ovenbird.rollout.status import Status


def show_status(console: Console, found: Sequence[Status]) -> None:
    """Print one table of instances, and a sentence a fleet below it."""
    rows = [
        [
            f"{s.fleet.env}/{s.fleet.name}",
            i.token,
            i.version,
            str(i.health),
            i.address or "",
            age(s.now, i.launched_at),
            i.because,
        ]
        for s in found
        for i in s.instances
    ]
    if rows:
        console.table(["fleet", "instance", "image", "health", "address", "age", "because"], rows)
    for s in found:
        console.result(f"{s.fleet.env}/{s.fleet.name}: {s.sentence}")
        for remark in s.remarks:
            console.result(f"  {remark}")


def age(now: datetime, then: datetime) -> str:
    """Tell an age in one unit: "3 d", "5 h", "2 min", "40 s"."""
    seconds = int((now - then).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
