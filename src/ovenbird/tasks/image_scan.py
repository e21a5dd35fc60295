"""``image.scan``: look into an image again, after a rule was added or an exception has ended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.bake.cleanliness import Looked
    from ovenbird.values.secret import Finding


@verb(
    positional=["image"],
    help={
        "image": "web/2 or web@stable.",
        "on": "The engine whose artifact is looked into.",
        "json": "Print one JSON document on stdout.",
    },
)
def scan(_: Any, image: str, on: str = "podman", json: bool = False) -> None:
    """Look for secrets and left-overs in an image that was baked; exit 6 where there is one."""
    from ovenbird import assembly
    from ovenbird.assembly import baking
    from ovenbird.bake.cleanliness import scan_again, tell_cut, tell_exceptions
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import Found
    from ovenbird.values.image import ImageRef

    console = Console()
    project = assembly.project_folder(Path.cwd())
    bakery = baking.bakery(project, open_site(), console, on=on)
    version = bakery.catalog.resolve(ImageRef.parse(image))
    looked = scan_again(version, bakery)
    console.step(f"Looked for secrets in {version} on {on}: {looked}")
    tell_exceptions(looked, bakery)
    tell_cut(looked, bakery)
    if json:
        console.document(scan_document(looked, image=str(version), on=on))
    else:
        for finding in looked.verdict.bad:
            console.result(str(finding))
    if bad := looked.verdict.bad:
        raise Found(
            f"{len(bad)} {'thing' if len(bad) == 1 else 'things'} must not be in {version}.",
            remedy=f'Nothing may launch it again after: invoke image.revoke {version} --because "…"'
            "\nWhat lay in it is known to whoever had it: make new keys and passwords.",
        )


def scan_document(looked: Looked, *, image: str, on: str) -> dict[str, object]:
    """The shape that ``image.scan --json`` promises."""
    return {
        "image": image,
        "on": on,
        "files": looked.scan.files,
        "cut": list(looked.scan.cut),
        "findings": [_finding(finding) for finding in looked.verdict.bad],
        "allowed": [
            {
                **_finding(finding),
                "reason": by.reason,
                "owner": by.owner,
                "expires": by.expires.isoformat(),
            }
            for finding, by in looked.verdict.allowed
        ],
        "unused_exceptions": [
            {"secret": str(each.kind), "path": each.path, "line": each.line}
            for each in looked.verdict.unused
        ],
    }


def _finding(finding: Finding) -> dict[str, object]:
    return {
        "kind": str(finding.kind),
        "path": finding.path,
        "line": finding.line,
        "where": finding.where,
        "hint": finding.hint,
    }
