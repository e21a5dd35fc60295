"""The namespace ``fleet.*`` and ``tend``: the reins of a rollout, and care between rollouts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ovenbird.rollout.setting import Setting

ENV = "dev"

FLEET = {"fleet": "A fleet of inventories/ENV/fleets.yml.", "env": "The environment."}
BECAUSE = {"because": "Why; kept in the history."}


def setting_of(env: str, name: str, console: Console) -> Setting:
    """Make everything ready for work on a fleet of the project that we stand in."""
    from ovenbird import assembly
    from ovenbird.assembly import rolling
    from ovenbird.state.site import open_site

    project = assembly.project_folder(Path.cwd())
    fleet = rolling.fleet_named(project, env, name)
    return rolling.setting(project, open_site(), console, fleet)


def settings_to_tend(env: str, console: Console, *, name: str = "") -> Iterator[Setting]:
    """Make all fleets of an environment ready, each when its turn comes: those under removal too
    that have left its file; or only the one of that name."""
    from ovenbird import assembly
    from ovenbird.assembly import rolling
    from ovenbird.state.site import open_site

    project, site = assembly.project_folder(Path.cwd()), open_site()
    if name:
        fleets = [rolling.fleet_known(project, site, env, name)]
    else:
        fleets = rolling.fleets_to_tend(project, site, env)
    for fleet in fleets:
        yield rolling.setting(project, site, console, fleet)


def settings_of(env: str, console: Console) -> list[Setting]:
    """Make everything ready for work on every fleet of an environment."""
    from ovenbird import assembly
    from ovenbird.assembly import rolling
    from ovenbird.config import load_fleets
    from ovenbird.state.site import open_site

    project, site = assembly.project_folder(Path.cwd()), open_site()
    fleets = load_fleets(project, env).values()
    return [rolling.setting(project, site, console, fleet) for fleet in fleets]


@verb(positional=["fleet"], help={**FLEET, "because": "Why. Required."})
def pause(_: Any, fleet: str, because: str, env: str = ENV) -> None:
    """Let rollouts start no more work here; the instance in hand is finished, repairs go on."""
    from ovenbird.rollout.reins import pause

    console = Console()
    console.step(pause(setting_of(env, fleet, console), because=because))


@verb(positional=["fleet"], help={**FLEET, **BECAUSE})
def resume(_: Any, fleet: str, env: str = ENV, because: str = "") -> None:
    """Take a pause back, or let a rollout pass the checkpoint that it waits at."""
    from ovenbird.rollout.reins import resume

    console = Console()
    console.step(resume(setting_of(env, fleet, console), because=because))


@verb(positional=["fleet"], help=FLEET)
def cancel(_: Any, fleet: str, env: str = ENV) -> None:
    """Stop a rollout where it is: neither on nor back. status says which runs what then."""
    from ovenbird.rollout.reins import cancel

    console = Console()
    console.step(cancel(setting_of(env, fleet, console)))


@verb(positional=["fleet"], help={**FLEET, "because": "Why. Required."})
def unpin(_: Any, fleet: str, because: str, env: str = ENV) -> None:
    """Allow again what a rollback refused."""
    console = Console()
    setting = setting_of(env, fleet, console)
    setting.book.unpin(by=setting.by, because=because, at=setting.clock.now())
    console.step(f"{setting.key} is not pinned any more")


@verb(
    help={
        "env": "Only this environment; all of them where none is named.",
        "fleet": "Only this fleet.",
        "resume": "Go on with interrupted rollouts too.",
        "json": "Print one JSON document on stdout.",
    }
)
def tend(_: Any, env: str = "", fleet: str = "", resume: bool = False, json: bool = False) -> None:
    """Look after fleets: replace what is lost, put back what has expired. For a schedule."""
    from ovenbird import assembly
    from ovenbird.care.tend import tend
    from ovenbird.config import load_environments
    from ovenbird.values.errors import OvenbirdError

    console = Console()
    project = assembly.project_folder(Path.cwd())
    told: list[dict[str, object]] = []
    worst: OvenbirdError | None = None
    for one in [env] if env else load_environments(project):
        for setting in settings_to_tend(one, console, name=fleet):
            try:
                sentence, code = tend(setting, resume=resume), 0
                console.step(f"{setting.key}: {sentence}")
            except OvenbirdError as error:  # one fleet does not hold up the others
                console.failure(error)
                sentence, code = error.problem, error.exit_code
                worst = error if worst is None or code > worst.exit_code else worst
            told.append({"fleet": str(setting.key), "exit": code, "because": sentence})
    if json:
        console.document({"fleets": told})
    if worst is not None:
        from invoke import Exit

        raise Exit(code=worst.exit_code)
