"""volume.list, volume.delete: what outlives instances, and the one verb that ends it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.assembly.volumes import Stored


@verb(
    name="list",
    help={
        "env": "Only this environment.",
        "fleet": "Only this fleet.",
        "json": "Print one JSON document on stdout.",
    },
)
def list_(_: Any, env: str = "", fleet: str = "", json: bool = False) -> None:
    """List the volumes of all fleets, who uses them, and which nobody wants any more."""
    console = Console()
    found = _stored(env=env, fleet=fleet)
    if json:
        console.document({"volumes": [volume_document(each) for each in found]})
        return
    if not found:
        console.step("There are no volumes: no fleet with volumes has run here")
        return
    rows = [
        [s.volume.name, s.where, s.volume.spec, ", ".join(s.volume.used_by), s.orphaned]
        for s in found
    ]
    console.table(["volume", "slot", "of the file", "used by", "orphaned"], rows)


@verb(
    positional=["name"],
    help={
        "name": "The whole name of a volume, as volume.list shows it.",
        "yes": "Answer the first question; the second stays.",
        "confirm": "Answer the second question: the volume's name once more.",
        "because": "Why; kept in the history.",
    },
)
def delete(_: Any, name: str, yes: bool = False, confirm: str = "", because: str = "") -> None:
    """Delete a volume and all that is on it, for ever; asks twice. Refused while it is in use."""
    from ovenbird.assembly import project_folder
    from ovenbird.assembly.volumes import delete_volume, require_unused, volume_named
    from ovenbird.state.site import open_site

    console = Console()
    stored = volume_named(_stored(), name)
    require_unused(stored)
    console.note(_foretold(stored))
    if not _confirmed(console, name, yes=yes, confirm=confirm):
        console.note("Nothing was deleted.")
        return
    project = project_folder(Path.cwd())
    delete_volume(project, open_site(), stored, because=because)
    console.step(f"{name} is deleted")


def volume_document(stored: Stored) -> dict[str, object]:
    """Tell one volume as ``volume.list --json`` does."""
    volume = stored.volume
    return {
        "name": volume.name,
        "env": volume.fleet.env,
        "fleet": volume.fleet.name,
        "slot": volume.slot,
        "volume": volume.spec,
        "provider": stored.provider,
        "used_by": list(volume.used_by),
        "orphaned": stored.orphaned,
    }


def _stored(*, env: str = "", fleet: str = "") -> list[Stored]:
    from ovenbird import assembly
    from ovenbird.assembly.volumes import volumes_of
    from ovenbird.state.site import open_site

    return volumes_of(assembly.project_folder(Path.cwd()), open_site(), env=env, fleet=fleet)


def _foretold(stored: Stored) -> str:
    volume = stored.volume
    what = f"{volume.name} is {volume.spec} of {stored.where}, at {stored.provider}."
    if stored.orphaned:
        return f"{what} Nobody wants it: {stored.orphaned}."
    return f"{what} The next instance of {stored.where} would want it, and begin with an empty one."


def _confirmed(console: Console, name: str, *, yes: bool, confirm: str) -> bool:
    """Ask twice: whether, and then for the name itself. A wrong name is a no."""
    from ovenbird.values.errors import ConfigurationError

    if confirm and confirm != name:
        raise ConfigurationError.of(
            f"--confirm says {confirm!r}, and the volume is {name!r}.",
            remedy="Nothing was deleted. Say the same name twice.",
        )
    if not (yes and confirm) and not console.interactive:
        raise ConfigurationError.of(
            "This deletes data for ever, and there is no terminal to ask on.",
            remedy=f"Nothing was deleted. Answer both questions: --yes --confirm {name}",
        )
    if not yes and not console.ask("Delete it, with all that is on it?"):
        return False
    if confirm:
        return True
    console.note("There is no way back. Type its name to delete it:")
    return sys.stdin.readline().strip() == name
