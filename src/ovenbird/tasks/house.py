"""quickstart, test, doctor, check: what concerns the machine and the project, not a server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb


@verb(help={"clean": "Remove all that the quickstart made."})
def quickstart(_: Any, clean: bool = False) -> None:
    """Bake, prove, roll out under traffic and roll back, in a site of its own."""
    import shlex

    from ovenbird import assembly
    from ovenbird import quickstart as story
    from ovenbird.state.site import open_site, state_folder
    from ovenbird.tasks.show import show_status

    console = Console()
    project = assembly.project_folder(Path.cwd())
    folder = state_folder(os.environ, uid=os.getuid())
    if folder.name != "quickstart":  # as OVENBIRD_STATE says, if the quickstart's advice was taken
        folder /= "quickstart"
    if clean and not folder.exists():
        console.step("There is nothing of the quickstart here.")
        return
    site = open_site({**os.environ, "OVENBIRD_STATE": str(folder)})
    if clean:
        story.clean(project, site, console)
        console.step("The quickstart is gone: its servers, front door, images and state.")
        return
    shown = story.quickstart(project, site, console)
    console.note("")
    show_status(console, [shown.status])
    console.result("")
    for stage, seconds in shown.seconds.items():
        console.result(f"{seconds:6.1f} s  {stage}")
    console.result(f"{sum(shown.seconds.values()):6.1f} s  in all")
    console.result(f"""
The fleet runs on. Look at it:  {shown.address}
Next, in this folder (the first line names the quickstart's site):
  export OVENBIRD_STATE={shlex.quote(str(folder))}
  .venv/bin/invoke status --env quickstart
  .venv/bin/invoke image.list
  .venv/bin/invoke history
Change roles/web/templates, then:
  .venv/bin/invoke image.explain web
  .venv/bin/invoke bake web
  .venv/bin/invoke rollout web --env quickstart --image web/NUMBER
Remove all of it:
  ./bootstrap quickstart --clean""")


@verb(help={"json": "Print one JSON document on stdout."})
def doctor(_: Any, json: bool = False) -> None:
    """Say what this machine has and lacks for baking and rolling out; exit 2 if it lacks."""
    from invoke import Exit

    from ovenbird import assembly
    from ovenbird import doctor as examination
    from ovenbird.state.site import state_folder

    console = Console()
    folder = state_folder(os.environ, uid=os.getuid())
    facts = examination.examine(folder, assembly.project_folder(Path.cwd()))
    if json:
        document = [
            {"name": f.name, "state": str(f.state), "detail": f.detail, "remedy": f.remedy}
            for f in facts
        ]
        console.document({"facts": document})
    else:
        for fact in facts:
            console.result(str(fact))
    if code := examination.exit_code(facts):
        raise Exit(code=code)


@verb()
def check(_: Any) -> None:
    """Refuse what this project does not allow: configuration, playbooks, inventories, templates."""
    from ovenbird import assembly
    from ovenbird.assembly.checking import faults_of_project
    from ovenbird.values.errors import ConfigurationError

    project = assembly.project_folder(Path.cwd())
    if faults := faults_of_project(project):
        raise ConfigurationError(faults)
    Console().step("Nothing is wrong here.")


@verb(
    name="test",
    help={
        "unit": "Only what needs no engine.",
        "keyword": "Only tests whose names match, as pytest's -k.",
    },
)
def run_tests(_: Any, unit: bool = False, keyword: str = "") -> None:
    """Run all tests of this project: lint, unit, contract, golden, integration."""
    import sys

    from invoke import Exit

    from ovenbird import assembly, process

    project = assembly.project_folder(Path.cwd())
    # Two at once, each with a site of its own: live tests wait more than they work.
    places = ["tests/unit", "tests/golden"] if unit else ["-n", "2", "--dist", "loadgroup"]
    words = [sys.executable, "-m", "pytest", *places, *(["-k", keyword] if keyword else [])]
    if code := process.pass_through(words, doing="Running the tests", cwd=project):
        raise Exit(code=code)
