"""image.advisories: which known vulnerabilities the packages of images have."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.assembly.advising import Advised, Report
    from ovenbird.values.advisory import Affected

SHOWN = 20
"""Advisories of one image that a table shows; ``--json`` has them all."""


@verb(
    help={
        "image": "Only this image: web/2 or web@stable; else all that are in use.",
        "family": "Only this family.",
        "check": "Exit 6 where a gate of inventories/advisories.yml would stop an image.",
        "json": "Print one JSON document on stdout.",
    }
)
def advisories(
    _: Any, image: str = "", family: str = "", check: bool = False, json: bool = False
) -> None:
    """Say which known vulnerabilities the packages of images have; boots nothing."""
    from ovenbird import assembly
    from ovenbird.assembly.advising import look
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import Found, Inconclusive

    console = Console()
    project = assembly.project_folder(Path.cwd())
    report = look(project, open_site(), image=image, family=family)
    if json:
        console.document(_document(report))
    else:
        _show(console, report)
    if unsure := [one for one in report.images if one.problem]:
        raise Inconclusive(
            f"Nothing can be said of {', '.join(str(one.version) for one in unsure)}: "
            f"{unsure[0].problem}",
            remedy=unsure[0].remedy,
        )
    stopped = [str(one.version) for one in report.images if one.stopped]
    if check and stopped:
        raise Found(
            f"A gate stops {', '.join(stopped)}.",
            remedy="Bake, prove and roll out what has fixes: invoke bake FAMILY --refresh, or "
            "invoke patch",
        )


def _show(console: Console, report: Report) -> None:
    for note in report.notes:
        console.note(note)
    if not report.images:
        console.step("No image is on a channel or in service, so none was looked at")
    for one in report.images:
        used = f"{one.version} ({', '.join(one.where) or 'not in use'})"
        if one.problem:
            console.result(f"? {used}: {one.problem}")
        elif not one.affected:
            console.result(f"  {used}: none of its packages has a known advisory")
        else:
            _show_one(console, one, used)
    if report.unchanged_since:
        console.note(f"The data is the same as in the look of {report.unchanged_since}.")


def _show_one(console: Console, one: Advised, used: str) -> None:
    fixable = sum(each.fixable for each in one.affected)
    mark = "✗" if one.stopped else " "
    told = f"{len(one.affected)} known, {fixable} with a fix, {len(one.stopped)} stopped"
    console.result(f"{mark} {used}: {told}")
    console.table(
        ["advisory", "severity", "source", "version", "fixed in", "gate"],
        [
            [
                each.advisory.id,
                str(each.advisory.severity),
                each.package.source,
                each.package.source_version,
                each.advisory.fixed_in or "",
                "stops" if each in one.stopped else "",
            ]
            for each in one.affected[:SHOWN]
        ],
    )
    if len(one.affected) > SHOWN:
        console.result(f"  and {len(one.affected) - SHOWN} more: --json has them all")


def _document(report: Report) -> dict[str, object]:
    return {
        "data": {
            "digest": report.digest,
            "at": report.at,
            "notes": list(report.notes),
            "unchanged_since": report.unchanged_since or None,
        },
        "images": [
            {
                "image": str(one.version),
                "where": list(one.where),
                "problem": one.problem,
                "advisories": [_one(each, one) for each in one.affected],
            }
            for one in report.images
        ],
    }


def _one(each: Affected, one: Advised) -> dict[str, object]:
    advisory = each.advisory
    return {
        "id": advisory.id,
        "aliases": list(advisory.aliases),
        "severity": str(advisory.severity),
        "source": each.package.source,
        "version": each.package.source_version,
        "packages": list(each.binaries),
        "fixed_in": advisory.fixed_in,
        "stopped": each in one.stopped,
        "summary": advisory.summary,
    }
