"""patch: what the night does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import KEY, verb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ovenbird.patch import Came
    from ovenbird.state.site import Site
    from ovenbird.values.patch import Patching


@verb(
    help={
        "yes": "Do it without asking.",
        "dry_run": "Only say what would be done.",
        "scheduled": "This is the schedule's run: refused while the schedule is disabled.",
        "key": KEY,
        "json": "Print one JSON document on stdout.",
    }
)
def patch(
    _: Any,
    yes: bool = False,
    dry_run: bool = False,
    scheduled: bool = False,
    key: str = "",
    json: bool = False,
) -> None:
    """Bake what is behind, prove it, promote it and roll it out, as far as the evidence allows."""
    from ovenbird import assembly
    from ovenbird.assembly import patching as assembled
    from ovenbird.config import load_patching
    from ovenbird.patch import outcome_of
    from ovenbird.patch import patch as run
    from ovenbird.patch.runs import Runs
    from ovenbird.seals.keys import sign_with
    from ovenbird.state.history import whoami
    from ovenbird.state.site import open_site
    from ovenbird.tasks.rollout import answered

    sign_with(key)
    console = Console()
    project = assembly.project_folder(Path.cwd())
    site, patching = open_site(), load_patching(project)
    world = assembled.world(project, site, console, patching)
    runs = Runs(site.database)
    if scheduled:
        _require_armed(runs, patching)
    if dry_run or not yes:
        came = run(
            world.families, patching, world, clock=world.clock, console=console, rehearse=True
        )
        if dry_run or not any(each.did for each in came):
            _conclude(console, came, json=json)
            return
        if not answered(console):
            return
    with assembled.alone(site):
        began = world.clock.now()
        number = runs.begin(at=began, by=whoami(), scheduled=scheduled)
        came = run(world.families, patching, world, clock=world.clock, console=console)
        told = {each.family: str(each) for each in came}
        runs.end(number, at=world.clock.now(), outcome=outcome_of(came), told=told)
    _tell_others(console, project, site, patching, came)
    _conclude(console, came, json=json)


def _require_armed(runs: Any, patching: Patching) -> None:
    from ovenbird.values.errors import Blocked

    if (failures := runs.failures()) >= patching.disable_after:
        raise Blocked(
            f"The schedule is disabled: the last {failures} runs failed.",
            remedy="See why: invoke schedule.show. A run by hand that succeeds arms it again: "
            "invoke patch",
        )


def _tell_others(
    console: Console, project: Path, site: Site, patching: Patching, came: Sequence[Came]
) -> None:
    """Notify and write the metrics; what cannot be told does not undo what was done."""
    from ovenbird.assembly.patching import tell
    from ovenbird.values.errors import OvenbirdError

    try:
        tell(project, site, patching, came)
    except OvenbirdError as error:
        console.failure(error)


def _conclude(console: Console, came: Sequence[Came], *, json: bool) -> None:
    """End with the exit code of the worst, and its remedy."""
    from ovenbird.patch import outcome_of
    from ovenbird.values.errors import Blocked, Inconclusive, OvenbirdError

    outcome = outcome_of(came)
    if json:
        console.document(
            {
                "outcome": outcome,
                "families": [
                    {
                        "family": each.family,
                        "outcome": each.outcome,
                        "did": each.did,
                        "because": each.told,
                    }
                    for each in came
                ],
            }
        )
    if outcome == "done":
        return
    worst = [each for each in came if each.outcome == outcome]
    kinds = {"failed": OvenbirdError, "inconclusive": Inconclusive, "blocked": Blocked}
    first = next((each for each in worst if each.remedy), worst[0])
    raise kinds[outcome](
        f"{', '.join(each.family for each in worst)}: {'; '.join(first.told)}",
        remedy=first.remedy or "What the others came to stands above.",
        evidence=first.evidence,
    )


@verb(
    positional=["image"],
    help={
        "image": "web/2 or web@staging.",
        "to": "The environment that it may go to.",
        "because": "Why; kept in the history.",
    },
)
def approve(_: Any, image: str, to: str, because: str = "") -> None:
    """Let an image go into an environment that asks for approval; the next patch run takes it."""
    from ovenbird import assembly
    from ovenbird.catalog import Catalog
    from ovenbird.clock import SystemClock
    from ovenbird.config import load_patching
    from ovenbird.patch.approval import approve as write
    from ovenbird.state.history import whoami
    from ovenbird.state.site import open_site
    from ovenbird.values.image import ImageRef

    site = open_site()
    patching = load_patching(assembly.project_folder(Path.cwd()))
    version = Catalog(site.database).resolve(ImageRef.parse(image))
    write(
        version,
        to,
        patching=patching,
        database=site.database,
        by=whoami(),
        because=because,
        at=SystemClock().now(),
    )
    Console().step(f"{version} may go to {to}")
