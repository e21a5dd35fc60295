"""status, history: what runs, and who changed what."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.fleet import ENV
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.assembly.surveying import Survey
    from ovenbird.state.site import Site


@verb(
    help={
        "env": "The environment; all of them with --all.",
        "fleet": "Only this fleet.",
        "all": "Every environment, also those that have no file any more.",
        "check": "Exit 6 where an instance is unowned or its image revoked.",
        "max_age": "With --check: how old the packages of an image in use may be, as 30d.",
        "max_behind": "With --check: how many newer images there may be.",
        "json": "Print one JSON document on stdout.",
    },
)
def status(
    _: Any,
    env: str = ENV,
    fleet: str = "",
    all: bool = False,
    check: bool = False,
    max_age: str = "",
    max_behind: str = "",
    json: bool = False,
) -> None:
    """Show which instances run, which image, and how they are."""
    from ovenbird import assembly
    from ovenbird.assembly.surveying import survey
    from ovenbird.report.rows import findings
    from ovenbird.state.site import open_site
    from ovenbird.tasks.check import asked_for, demand_nothing_found, nothing_to_show, tell_faults
    from ovenbird.tasks.documents import survey_document
    from ovenbird.tasks.show import show_status

    console = Console()
    asked = asked_for(check=check, max_age=max_age, max_behind=max_behind)
    project = assembly.project_folder(Path.cwd())
    site = open_site()
    seen = survey(project, site, console, env="" if all else env, fleet=fleet)
    found = None if asked is None else findings(seen.rows, asked, seen.now)
    overdue = _overdue(project, site, seen)
    if found is not None and overdue:
        found.append(overdue)
    if json:
        console.document({**survey_document(seen, found), "schedule": overdue or None})
    else:
        show_status(console, seen.fleets, seen.left)
        if not (seen.fleets or seen.left or seen.faults):
            console.result(nothing_to_show(env="" if all else env))
        if overdue and found is None:
            console.result(f"✗ {overdue}")
        for each in found or ():
            console.result(f"✗ {each}")
    tell_faults(console, seen.faults)
    demand_nothing_found(found, unseen=seen.unseen)


def _overdue(project: Path, site: Site, seen: Survey) -> str:
    """Say that the schedule is disabled or missed its time; "" where it is well, or is none."""
    from ovenbird.assembly.scheduling import schedule_of
    from ovenbird.patch.schedule import State
    from ovenbird.values.errors import ConfigurationError

    try:
        schedule = schedule_of(project, site)
    except ConfigurationError as error:
        seen.faults.append(error)
        return ""
    if schedule.state not in (State.DISABLED, State.MISSED):
        return ""
    return f"the schedule of patch runs is {schedule.state}: {schedule.because}"


@verb(
    help={
        "env": "Only this environment.",
        "fleet": "Only this fleet.",
        "subject": "Only this image or channel.",
        "verb": "Only what was done by this verb: rollout, scale, quarantine, …",
        "since": "Only what was done since then: 7d, 12h.",
        "most": "How many of the newest.",
        "json": "Print one JSON document on stdout.",
    },
)
def history(
    _: Any,
    env: str = "",
    fleet: str = "",
    subject: str = "",
    verb: str = "",
    since: str = "",
    most: str = "30",
    json: bool = False,
) -> None:
    """Tell who changed what, from what to what, when and why, newest first."""
    import re
    from dataclasses import asdict

    from ovenbird.clock import SystemClock
    from ovenbird.state.history import deeds
    from ovenbird.state.site import open_site
    from ovenbird.tasks.show import show_history
    from ovenbird.tasks.span import span
    from ovenbird.values.errors import ConfigurationError

    console = Console()
    if not re.fullmatch(r"[1-9][0-9]{0,5}", most):
        raise ConfigurationError.of(
            f"{most!r} is no number of deeds.", remedy="Write --most 30, for example."
        )
    then = SystemClock().now() - span(since, flag="--since") if since else None
    found = deeds(
        open_site().database,
        env=env,
        fleet=fleet,
        subject=subject,
        verb=verb,
        since=then,
        most=int(most),
    )
    if json:
        console.document({"deeds": [{**asdict(d), "at": d.at.isoformat()} for d in found]})
    else:
        show_history(console, found)
