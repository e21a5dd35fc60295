"""rollout, rollback, status, history: what happens to servers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.rollout.goal import Chosen
    from ovenbird.rollout.setting import Setting

ENV = "dev"

COMMON = {
    "fleet": "A fleet of inventories/ENV/fleets.yml.",
    "env": "The environment.",
    "image": "Another image than the fleet's own: web/2 or web@candidate.",
    "yes": "Do it without asking.",
    "plan": "Only print the plan.",
    "because": "Why; kept in the history.",
    "json": "Print one JSON document on stdout.",
}


def _setting(env: str, name: str, console: Console) -> Setting:
    from ovenbird import assembly
    from ovenbird.assembly import rolling
    from ovenbird.state.site import open_site

    project = assembly.project_folder(Path.cwd())
    fleet = rolling.fleet_named(project, env, name)
    return rolling.setting(project, open_site(), console, fleet)


@verb(
    positional=["fleet"],
    help={**COMMON, "retry": "Try a goal again that has failed here: end its failed instance."},
)
def rollout(
    _: Any,
    fleet: str,
    env: str = ENV,
    image: str = "",
    yes: bool = False,
    plan: bool = False,
    retry: bool = False,
    because: str = "",
    json: bool = False,
) -> None:
    """Replace a fleet's instances with an image, wave by wave; prints its plan first."""
    from ovenbird.rollout.goal import choose

    console = Console()
    setting = _setting(env, fleet, console)
    chosen = choose(setting, image=image, retry=retry)
    _carry_out(
        setting, chosen, console, yes=yes, plan=plan, retry=retry, because=because, json=json
    )


@verb(positional=["fleet"], help=COMMON)
def rollback(
    _: Any,
    fleet: str,
    env: str = ENV,
    image: str = "",
    yes: bool = False,
    plan: bool = False,
    because: str = "",
    json: bool = False,
) -> None:
    """Go back to the last image that completed here; pins the fleet against the one it left."""
    from ovenbird.rollout.goal import choose_rollback

    console = Console()
    setting = _setting(env, fleet, console)
    chosen = choose_rollback(setting, image=image)
    _carry_out(
        setting, chosen, console, yes=yes, plan=plan, retry=False, because=because, json=json
    )


def _carry_out(
    setting: Setting,
    chosen: Chosen,
    console: Console,
    *,
    yes: bool,
    plan: bool,
    retry: bool,
    because: str,
    json: bool,
) -> None:
    """Print the plan, ask, and do it."""
    from ovenbird.rollout import Outcome, open_entrances, roll_out
    from ovenbird.rollout.intent import foresee
    from ovenbird.tasks.documents import outcome_document, plan_document
    from ovenbird.values.errors import BalancerUnreachable, ConfigurationError

    try:
        foreseen = foresee(setting, chosen)
    except BalancerUnreachable:
        if plan:
            raise
        open_entrances(setting)  # the site's own front door was down
        foreseen = foresee(setting, chosen)
    console.note(foreseen.text)
    if plan:
        if json:
            console.document(plan_document(foreseen, chosen))
        return
    if foreseen.needs_an_answer and not yes:
        if not console.interactive:
            raise ConfigurationError.of(
                "This changes live servers, and there is no terminal to ask on.",
                remedy="Nothing was done. Answer with --yes, or look only with --plan.",
            )
        if not console.ask("Do it?"):
            console.note("Nothing was done.")
            return
    outcome = Outcome(before=chosen.before, after=str(chosen.goal))
    try:
        roll_out(setting, chosen, outcome, retry=retry, because=because)
    finally:
        if json:
            console.document(outcome_document(outcome))
    console.step(f"{setting.key}: {outcome.because}")


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
    from ovenbird.rollout.journal import fleets_with_instances
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


@verb(
    positional=["fleet"],
    help={"fleet": COMMON["fleet"], "env": COMMON["env"], "because": "Why. Required."},
)
def unpin(_: Any, fleet: str, because: str, env: str = ENV) -> None:
    """Allow again what a rollback refused."""
    console = Console()
    setting = _setting(env, fleet, console)
    setting.book.unpin(by=setting.by, because=because, at=setting.clock.now())
    console.step(f"{setting.key} is not pinned any more")
