"""The namespace ``dev.*``: for those who change roles, the guard, or Ovenbird."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb


@verb(help={"role": "Only this role; all that have a Molecule scenario where none is named."})
def roles(_: Any, role: str = "") -> None:
    """Try roles with Molecule in a build instance of the newest base image."""
    from ovenbird import assembly
    from ovenbird.assembly import baking
    from ovenbird.bake.trial import roles_to_try, try_role
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError

    console = Console()
    project = assembly.project_folder(Path.cwd())
    there = roles_to_try(project)
    if role and role not in there:
        raise ConfigurationError.of(
            f"The role {role!r} has no Molecule scenario; there are {', '.join(there)}.",
            remedy="Name one of those, or add roles/NAME/molecule/default/molecule.yml.",
        )
    bakery = baking.bakery(project, open_site(), console)
    for one in [role] if role else there:
        with console.inside(f"Trying the role {one}"):
            try_role(one, bakery)


@verb()
def guard(_: Any) -> None:
    """Write the files of the bake guard again, as they are shipped."""
    from ovenbird import assembly
    from ovenbird.bake.guard import restore

    console = Console()
    project = assembly.project_folder(Path.cwd())
    written = restore(project)
    for path in written:
        console.step(f"Wrote {path}")
    if not written:
        console.step("The guard is as it is shipped.")


@verb(
    positional=["what"],
    help={
        "what": "up, or down.",
        "members": "How many daemons it has.",
        "folder": "Where it lies; users that are not root must be able to enter it.",
    },
)
def cluster(
    _: Any, what: str, members: str = "3", folder: str = "/var/lib/ovenbird-cluster"
) -> None:
    """Bring an LXD cluster up on this machine, or take it down without leaving anything."""
    from ovenbird import cluster as clusters
    from ovenbird.clock import SystemClock
    from ovenbird.values.errors import ConfigurationError

    console = Console()
    if what not in ("up", "down") or not members.isdecimal():
        raise ConfigurationError.of(
            f"{what} {members} is nothing that can be done to a cluster.",
            remedy="invoke dev.cluster up --members 3, or: invoke dev.cluster down",
        )
    where = Path(folder).absolute()
    if what == "down":
        clusters.down(where, console=console)
        return
    made = clusters.up(where, members=int(members), console=console, clock=SystemClock())
    console.step("It is up. In inventories/engines.yml it is:")
    console.result(made.described().rstrip())


@verb(help={"times": "How many bakes of each side.", "on": "podman or qemu."})
def bench(_: Any, times: str = "5", on: str = "podman") -> None:
    """Bake web in turn with Ovenbird and with plain Packer and Ansible, and compare."""
    import sys

    from invoke import Exit

    from ovenbird import assembly, process

    project = assembly.project_folder(Path.cwd())
    words = [sys.executable, "-m", "tests.bench.compare", "--times", times, "--on", on]
    if code := process.pass_through(words, doing="Comparing", cwd=project):
        raise Exit(code=code)


@verb(
    help={
        "engine": "memory, podman or all.",
        "state": "sqlite, postgresql or all.",
        "every": "Every point of a rollout, not one of each kind.",
    }
)
def faults(_: Any, engine: str = "all", state: str = "all", every: bool = False) -> None:
    """Kill a driver at each point of a rollout of four, finish with one more, and print a table."""
    import sys

    from invoke import Exit

    from ovenbird import assembly, process

    project = assembly.project_folder(Path.cwd())
    words = [sys.executable, "-m", "tests.faults.run", "--engine", engine, "--state", state]
    words += ["--every"] if every else []
    if code := process.pass_through(words, doing="Killing drivers", cwd=project):
        raise Exit(code=code)
