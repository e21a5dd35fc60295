"""Whether and how a site's patch job is scheduled."""

from __future__ import annotations

import json
import os
import sys
from datetime import datetime
from pathlib import Path

from ovenbird.clock import SystemClock
from ovenbird.config import load_fleets, load_patching
from ovenbird.patch.runs import Runs
from ovenbird.patch.schedule import Schedule, standing
from ovenbird.patch.timetable import Place
from ovenbird.state.site import Site

MARK = "schedule.json"
"""In the site's folder: since when a schedule is installed."""


def place_of(project: Path) -> Place:
    """Say what a service runs here, and with which engines."""
    engines = {
        fleet.provider
        for step in load_patching(project).path
        for fleet in load_fleets(project, step.env).values()
    }
    return Place(
        program=Path(sys.executable).with_name("invoke"),
        project=project.resolve(),
        state=os.environ.get("OVENBIRD_STATE", ""),
        engines=tuple(sorted(engines)),
        is_root=os.geteuid() == 0,
    )


def installed(site: Site, at: str) -> None:
    """Note that a schedule is there, from now on; one that was there keeps its beginning."""
    path = site.folder / MARK
    if not path.exists():
        said = {"installed_at": SystemClock().now().isoformat(), "at": at}
        path.write_text(json.dumps(said))


def schedule_of(project: Path, site: Site) -> Schedule:
    """Say how the schedule stands now, by this machine's own time."""
    path, patching, runs = site.folder / MARK, load_patching(project), Runs(site.database)
    since = (
        datetime.fromisoformat(json.loads(path.read_text())["installed_at"])
        if path.exists()
        else None
    )
    return standing(
        at=patching.at,
        installed_at=since,
        last=next(iter(runs.last(1)), None),
        failures=runs.failures(),
        disable_after=patching.disable_after,
        now=SystemClock().now().astimezone(),
    )
