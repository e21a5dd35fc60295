"""The namespace ``schedule.*``: what starts a patch run, and whether it still does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.patch.timetable import Place

UNITS = ("ovenbird-patch.service", "ovenbird-patch.timer")


@verb(
    help={
        "cron": "Print a line for a crontab instead.",
        "ci": "Write the file of a CI instead: github or gitlab.",
        "to": "The folder for the units; else systemd's own for this user.",
        "force": "Write over files that are there and differ.",
    }
)
def install(_: Any, cron: bool = False, ci: str = "", to: str = "", force: bool = False) -> None:
    """Write what runs the patch job at its time: a systemd timer, a line of cron, a CI's file."""
    from ovenbird import assembly
    from ovenbird.assembly.scheduling import installed, place_of
    from ovenbird.config import load_patching
    from ovenbird.patch import timetable
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError

    console = Console()
    project, site = assembly.project_folder(Path.cwd()), open_site()
    at = load_patching(project).at
    if ci not in ("", "github", "gitlab") or (ci and cron):
        raise ConfigurationError.of(
            f"--ci says {ci!r}.", remedy="Write --ci github or --ci gitlab, without --cron."
        )
    place = place_of(project)
    if cron:
        console.result(timetable.cron_line(place, at).rstrip())
        console.note("Put that line into the crontab of who bakes: crontab -e")
    elif ci:
        name = ".github/workflows/ovenbird-patch.yml" if ci == "github" else ".gitlab-ci.yml"
        text = timetable.github(at) if ci == "github" else timetable.gitlab(at)
        _write(console, {project / name: text}, force=force)
    else:
        folder = Path(to).expanduser() if to else _units_of(place)
        texts = (timetable.service(place), timetable.timer(at))
        _write(console, dict(zip((folder / n for n in UNITS), texts, strict=True)), force=force)
        if "://" in place.state:
            console.note(f"Write OVENBIRD_STATE=URL into {timetable.ENVIRONMENT}, mode 0600.")
        user = "" if place.is_root else " --user"
        console.note(
            f"Enable it: systemctl{user} daemon-reload && "
            f"systemctl{user} enable --now ovenbird-patch.timer"
        )
    installed(site, at)


@verb(
    help={
        "check": "Exit 6 where the schedule is disabled, missed its time, or is not there.",
        "json": "Print one JSON document on stdout.",
    }
)
def show(_: Any, check: bool = False, json: bool = False) -> None:
    """Say when the patch job ran, what came of it, and when it runs next."""
    from ovenbird import assembly
    from ovenbird.assembly.scheduling import schedule_of
    from ovenbird.patch.runs import Runs
    from ovenbird.patch.schedule import State
    from ovenbird.report.rows import minute
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import Found

    console, site = Console(), open_site()
    schedule = schedule_of(assembly.project_folder(Path.cwd()), site)
    runs = Runs(site.database).last()
    if json:
        console.document(
            {
                "state": str(schedule.state),
                "because": schedule.because,
                "next_at": schedule.next_at.isoformat() if schedule.next_at else None,
                "runs": [
                    {
                        "started_at": run.started_at.isoformat(),
                        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
                        "by": run.by,
                        "scheduled": run.scheduled,
                        "outcome": run.outcome or "cut short",
                        "families": dict(run.told),
                    }
                    for run in runs
                ],
            }
        )
    else:
        if runs:
            console.table(
                ["began", "by", "outcome", "what each family came to"],
                [
                    [
                        minute(run.started_at),
                        "the schedule" if run.scheduled else run.by,
                        run.outcome or "cut short",
                        "\n".join(f"{name}: {told}" for name, told in run.told.items()),
                    ]
                    for run in runs
                ],
            )
        when = f", next at {minute(schedule.next_at)}" if schedule.next_at else ""
        console.result(f"The schedule is {schedule.state}{when}: {schedule.because}")
    if check and schedule.state is not State.ARMED:
        raise Found(
            f"The schedule is {schedule.state}: {schedule.because}.",
            remedy="See the runs above; run it by hand: invoke patch",
        )


def _units_of(place: Place) -> Path:
    if place.is_root:
        return Path("/etc/systemd/system")
    return Path("~/.config/systemd/user").expanduser()


def _write(console: Console, files: dict[Path, str], *, force: bool) -> None:
    """Write all of them or, where one is there with another text, none."""
    from ovenbird.values.errors import ConfigurationError

    for path, text in files.items():
        if path.exists() and path.read_text() != text and not force:
            raise ConfigurationError.of(
                f"{path} is there already, and says something else.",
                remedy="Nothing was written. Look at it, then write over it with --force.",
            )
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        console.step(f"Wrote {path}")
