"""How a status and a history look on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from ovenbird.console import Console
from ovenbird.report.left import Left
from ovenbird.report.rows import Row
from ovenbird.report.status import Status
from ovenbird.state.history import Deed

HEAD = ("fleet", "instance", "image", "behind", "health", "address", "age", "because")


def show_status(console: Console, found: Sequence[Status], left: Sequence[Left] = ()) -> None:
    """Print one table of instances, and a sentence a fleet below it."""
    looked: list[Status | Left] = [*found, *left]
    every = [_cells(row, each.now) for each in looked for row in each.rows]
    if every:
        console.table(HEAD, every)
    for status in found:
        console.result(f"{status.fleet.env}/{status.fleet.name}: {status.sentence}")
        for remark in status.remarks:
            console.result(f"  {remark}")
    for gone in left:
        console.result(f"{gone.env}/{gone.name}: {gone.sentence}")


def show_history(console: Console, found: Sequence[Deed]) -> None:
    """Print one line a deed."""
    if not found:
        console.result("Nothing of that kind is in the history.")
        return
    console.table(
        ["when", "who", "what", "of", "from", "to", "outcome", "because"],
        [
            [
                f"{d.at.astimezone():%Y-%m-%d %H:%M:%S}",
                d.by,
                d.verb,
                f"{d.env}/{d.subject}" if d.env else d.subject,
                d.before,
                d.after,
                d.outcome,
                d.because,
            ]
            for d in found
        ],
    )


def _cells(row: Row, now: datetime) -> list[str]:
    return [
        f"{row.env}/{row.fleet}",
        row.token,
        row.version,
        "?" if row.behind is None else str(row.behind or ""),
        row.health,
        row.address or "",
        age(now, row.launched_at),
        f"unowned: {row.unowned}" if row.unowned else row.told,
    ]


def age(now: datetime, then: datetime) -> str:
    """Tell an age in one unit: "3 d", "5 h", "2 min", "40 s"."""
    seconds = int((now - then).total_seconds())
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
