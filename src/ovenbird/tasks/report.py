"""status, history: what runs, and who changed what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovenbird.console import Console
from ovenbird.tasks.fleet import ENV
from ovenbird.tasks.verb import verb


@verb(
    help={
        "env": "The environment; all of them with --all.",
        "fleet": "Only this fleet.",
        "all": "Every environment.",
        "json": "Print one JSON document on stdout.",
    },
)
def status(_: Any, env: str = ENV, fleet: str = "", all: bool = False, json: bool = False) -> None:
    """Show which instances run, which image, and how they are."""
    from ovenbird import assembly
    from ovenbird.assembly import rolling
    from ovenbird.config import load_environments, load_fleets
    from ovenbird.rollout.records import fleets_with_instances
    from ovenbird.rollout.status import status_of
    from ovenbird.state.site import open_site
    from ovenbird.tasks.documents import status_document
    from ovenbird.tasks.show import show_status

    console = Console()
    project = assembly.project_folder(Path.cwd())
    site = open_site()
    found = []
    envs = load_environments(project) if all else [env]
    for one in envs:
        wanted = load_fleets(project, one)
        if fleet:
            wanted = {fleet: rolling.fleet_named(project, one, fleet)}
        for described in wanted.values():
            found.append(status_of(rolling.setting(project, site, console, described)))
    if json:
        console.document({"fleets": [status_document(status) for status in found]})
        return
    show_status(console, found)
    for one in envs:
        for name, count in fleets_with_instances(site.database, one).items():
            if name not in load_fleets(project, one):
                console.result(
                    f"{one}/{name}: {count} launched and not ended, but the fleet is in no "
                    f"inventories/{one}/fleets.yml any more; put it back with size: 0 and roll it"
                )


@verb(
    help={
        "env": "Only this environment.",
        "subject": "Only this fleet, image or channel.",
        "most": "How many of the newest.",
        "json": "Print one JSON document on stdout.",
    },
)
def history(_: Any, env: str = "", subject: str = "", most: str = "30", json: bool = False) -> None:
    """Tell who changed what, when and why, newest first."""
    import re
    from dataclasses import asdict

    from ovenbird.state.history import deeds
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError

    console = Console()
    if not re.fullmatch(r"[1-9][0-9]{0,5}", most):
        raise ConfigurationError.of(
            f"{most!r} is no number of deeds.", remedy="Write --most 30, for example."
        )
    found = deeds(open_site().database, env=env, subject=subject, most=int(most))
    if json:
        console.document({"deeds": [{**asdict(d), "at": d.at.isoformat()} for d in found]})
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
