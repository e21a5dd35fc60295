"""image.revoke: never again, and what that means now."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import KEY, verb

if TYPE_CHECKING:
    from ovenbird.report.revoked import Aftermath


@verb(
    positional=["image"],
    help={
        "image": "web/2 or web@stable.",
        "because": "Why. Required.",
        "key": KEY,
        "json": "Print one JSON document on stdout.",
    },
)
def revoke(_: Any, image: str, because: str, key: str = "", json: bool = False) -> None:
    """Never launch an image again, nor what was baked on it, and name who runs one."""
    from ovenbird.assembly.holding import Holding
    from ovenbird.report.revoked import aftermath_of
    from ovenbird.state.site import open_site
    from ovenbird.tasks.image import judged

    console, site = Console(), open_site()
    revoked = judged(site, image, "revoked", because, key)
    aftermath = aftermath_of(site.database, revoked, holds=Holding(Path.cwd(), site))
    if json:
        console.document(document(aftermath))
    else:
        tell(aftermath, console)


def tell(aftermath: Aftermath, console: Console) -> None:
    """Print what was revoked, who has it, and a command for each."""
    for version in aftermath.revoked:
        console.step(f"{version} is revoked: {version.state_because}")
    for fleet in aftermath.struck:
        console.step(fleet.sentence)
        instead = "" if fleet.good else "There is nothing good to go to. Bake it: "
        console.note(f"  {instead}{fleet.remedy}")
    if not aftermath.struck:
        console.step("No fleet runs one of them, and none has settled on one")
    for holder in aftermath.holders:
        names = ", ".join(holder.images)
        if holder.problem:
            console.step(f"{holder.engine} may still hold {names}: {holder.problem}")
        else:
            console.step(f"{holder.engine} still holds {names}, which can be started by hand there")
    for channel, image in aftermath.channels:
        family, _, name = channel.partition("@")
        console.step(f"{channel} still points at {image}")
        if good := aftermath.good[family]:
            console.note(f"  invoke image.promote {good} {name}")
    for family, good in aftermath.good.items():
        if good:
            console.step(f"The newest good image of {family} is {good}")
        else:
            console.step(f"No good image of {family} is left. Bake one: invoke bake {family}")


def document(aftermath: Aftermath) -> dict[str, object]:
    """What ``image.revoke --json`` shows."""
    return {
        "revoked": [
            {"image": str(version), "because": version.state_because}
            for version in aftermath.revoked
        ],
        "fleets": [
            {
                "env": fleet.env,
                "name": fleet.name,
                "image": fleet.image,
                "running": fleet.running,
                "settled": fleet.settled,
                "good": fleet.good or None,
                "remedy": fleet.remedy,
            }
            for fleet in aftermath.struck
        ],
        "engines": [
            {"engine": holder.engine, "images": list(holder.images), "problem": holder.problem}
            for holder in aftermath.holders
        ],
        "channels": [{"channel": channel, "image": image} for channel, image in aftermath.channels],
        "good": {family: good or None for family, good in aftermath.good.items()},
    }
