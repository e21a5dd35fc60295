"""fleet.logs: what an instance says, or said before it ended."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.report.logs import Logs
    from ovenbird.report.named import Named
    from ovenbird.state.site import Site


@verb(
    positional=["instance"],
    help={
        "instance": "Its name, or a part that no other one has.",
        "lines": "How many of its last lines.",
        "follow": "Go on until it ends.",
    },
)
def logs(_: Any, instance: str, lines: str = "200", follow: bool = False) -> None:
    """Show the console of an instance, also of one that has ended. Read-only."""
    from ovenbird.report.named import instance_named
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError

    console = Console()
    if not re.fullmatch(r"[1-9][0-9]{0,3}", lines) or int(lines) > 5000:
        raise ConfigurationError.of(
            f"{lines!r} is no number of lines.", remedy="Write a number up to 5000: --lines 200"
        )
    site = open_site()
    named = instance_named(site.database, instance, ended=True)
    _introduce(console, named)
    source = _logs_of(site, named)
    parts = source.follow(int(lines)) if follow else iter([source.last(int(lines))])
    for part in parts:
        if part:
            console.result("\n".join(part))
    if follow:
        again = instance_named(site.database, named.token, ended=True)
        told = f": {again.ended_because}" if again.ended_because else ""
        console.note(f"{named.token} has ended{told}")


def _logs_of(site: Site, named: Named) -> Logs:
    from ovenbird.assembly import project_folder
    from ovenbird.assembly.engines import engine_named
    from ovenbird.clock import SystemClock
    from ovenbird.report.logs import Logs as Source
    from ovenbird.rollout.bounded import BoundedProvider
    from ovenbird.rollout.consoles import Consoles

    project = project_folder(Path.cwd())
    engine = engine_named(named.provider, project=project, site=site)
    consoles = Consoles(site.folder / "consoles")
    return Source(named, BoundedProvider(engine), consoles, SystemClock(), site=site.id)


def _introduce(console: Console, named: Named) -> None:
    """Say of whom this is, and of one that is over since when and why."""
    from ovenbird.report.rows import minute

    what = f"{named.token} of {named.env}/{named.fleet}, {named.version}"
    if named.job:
        what += f", the job {named.job}"
    if named.ended_at is not None:
        code = "" if named.exit_code is None else f", with code {named.exit_code}"
        what += f": over since {minute(named.ended_at)}{code}: {named.ended_because}"
    console.step(what)
