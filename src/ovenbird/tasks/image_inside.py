"""image.packages, image.stale, image.diff: what is inside images, and how far behind it is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from datetime import datetime

    from ovenbird.catalog.inventory import Inventories
    from ovenbird.packages.compare import Change, Difference
    from ovenbird.report.behind import Behind
    from ovenbird.state.site import Site
    from ovenbird.values.advisory import Advisory
    from ovenbird.values.image import Version
    from ovenbird.values.package import Inventory

SHOWN = 20
"""Packages of one image that a table shows; ``--json`` has them all."""


@verb(
    positional=["image"],
    help={
        "image": "web/2 or web@stable.",
        "on": "The engine whose artifact is meant; else the first one that was looked into.",
        "json": "Print one JSON document on stdout.",
    },
)
def packages(_: Any, image: str, on: str = "", json: bool = False) -> None:
    """List the packages that are installed in an image, as it was when it was proven."""
    from dataclasses import asdict

    from ovenbird.catalog import Catalog
    from ovenbird.catalog.inventory import Inventories
    from ovenbird.state.site import open_site
    from ovenbird.values.image import ImageRef

    console, site = Console(), open_site()
    version = Catalog(site.database).resolve(ImageRef.parse(image))
    inside = _inside(version, Inventories(site.database), on=on)
    if json:
        console.document(
            {
                "image": str(version),
                "provider": inside.provider,
                "read_at": inside.read_at.isoformat() if inside.read_at else None,
                "packages": [asdict(package) for package in inside.packages],
                "files": dict(inside.files),
            }
        )
        return
    console.table(
        ["package", "version", "architecture", "source", "from"],
        [[p.name, p.version, p.architecture, p.source, p.origin] for p in inside.packages],
    )


@verb(
    help={
        "family": "Only this family.",
        "check": "Exit 6 where an image in use has an update.",
        "json": "Print one JSON document on stdout.",
    }
)
def stale(_: Any, family: str = "", check: bool = False, json: bool = False) -> None:
    """Say which images in use have updates waiting, from their own sources; boots nothing."""
    from ovenbird import assembly
    from ovenbird.assembly.patching import images_behind
    from ovenbird.clock import SystemClock
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import Found, Inconclusive

    console = Console()
    found = images_behind(assembly.project_folder(Path.cwd()), open_site(), family=family)
    now = SystemClock().now()
    if json:
        console.document({"images": [_behind_document(one, now) for one in found]})
    else:
        _show(console, found, now)
    if unsure := [one for one in found if one.problem]:
        raise Inconclusive(
            f"Nothing can be said of {', '.join(str(one.version) for one in unsure)}: "
            f"{unsure[0].problem}",
            remedy=unsure[0].remedy,
        )
    late = [str(one.version) for one in found if one.late]
    if check and late:
        raise Found(
            f"{', '.join(late)} {'has' if len(late) == 1 else 'have'} updates waiting.",
            remedy="Bake, prove and roll out what has them: invoke patch",
        )


@verb(
    positional=["before", "after"],
    help={
        "before": "The older image: web/41, or web@stable.",
        "after": "The newer image: web/42.",
        "on": "The engine whose artifacts are compared; else the first one that has both.",
        "json": "Print one JSON document on stdout.",
    },
)
def diff(_: Any, before: str, after: str, on: str = "", json: bool = False) -> None:
    """Say what differs between two images: packages, files, and what went into them."""
    from ovenbird.catalog import Catalog
    from ovenbird.catalog.inventory import Inventories
    from ovenbird.packages.compare import difference
    from ovenbird.state.site import open_site
    from ovenbird.values.image import ImageRef
    from ovenbird.values.recipe import explain

    console, site = Console(), open_site()
    catalog, kept = Catalog(site.database), Inventories(site.database)
    old, new = (catalog.resolve(ImageRef.parse(text)) for text in (before, after))
    inside = _inside(new, kept, on=on)
    was = _inside(old, kept, on=on or inside.provider)
    found = difference(was, inside, ignoring={*old.ambient, *new.ambient})
    recipe = explain(catalog.recipe(old), catalog.recipe(new)) if old.family == new.family else ()
    advised, unknown = _advised(site, old, new)
    if json:
        console.document(
            {
                "before": str(old),
                "after": str(new),
                "packages": [_change(each) for each in found.packages],
                "files": [_change(each) for each in found.files],
                "recipe": [{"what": each.what, "name": each.name} for each in recipe],
                "advisories": advised and {name: [a.id for a in each] for name, each in advised},
                "advisories_problem": unknown,
                "summary": str(found),
            }
        )
        return
    _show_difference(console, found)
    for name, each in advised or ():
        for one in each:
            console.result(f"  {name:10} {one.id} ({one.severity}) in {one.package}")
    if unknown:
        console.note(f"Nothing is said of advisories: {unknown}")
    for input_ in recipe:
        console.result(f"  {input_.what:8} {input_.name}")
    console.result(f"{old} → {new}: {found}")


def _advised(
    site: Site, old: Version, new: Version
) -> tuple[list[tuple[str, list[Advisory]]] | None, str]:
    """List the advisories that are fixed and introduced; None where no source is named, and a
    sentence where nothing can be said."""
    from ovenbird import assembly
    from ovenbird.assembly.advising import between
    from ovenbird.values.errors import Inconclusive

    try:
        found = between(assembly.project_folder(Path.cwd()), site, old, new)
    except Inconclusive as error:
        return None, error.problem
    if found is None:
        return None, ""
    return [
        ("fixed", [each.advisory for each in found.fixed]),
        ("introduced", [each.advisory for each in found.introduced]),
    ], ""


def _inside(version: Version, kept: Inventories, *, on: str) -> Inventory:
    from ovenbird.values.errors import Inconclusive

    inventory = kept.of(version, on)
    if inventory is None:
        where = f" on {on}" if on else ""
        raise Inconclusive(
            f"It is not known what is inside {version}{where}.",
            remedy=f"Note it now: invoke prove {version}{f' --on {on}' if on else ''}",
        )
    return inventory


def _show(console: Console, found: list[Behind], now: datetime) -> None:
    if not found:
        console.step("No image is on a channel or in service, so none can be behind")
    for one in found:
        used = f"{one.version} ({', '.join(one.where)})"
        if one.problem:
            console.result(f"? {used}: {one.problem}")
            continue
        if not one.late:
            console.result(f"  {used}: nothing newer in its sources")
        else:
            console.result(f"✗ {used}: {len(one.late)} behind, {one.security} for security")
            console.table(
                ["package", "from", "to", "suite", "security", "days"],
                [
                    [
                        each.update.package.name,
                        each.update.package.version,
                        each.update.version,
                        each.update.suite,
                        "yes" if each.update.security else "",
                        str((now - each.since).days),
                    ]
                    for each in one.late[:SHOWN]
                ],
            )
            if len(one.late) > SHOWN:
                console.result(f"  and {len(one.late) - SHOWN} more: --json has them all")
    if shared := sorted({engine for one in found for engine in one.shared_kernel}):
        console.note(
            f"On {' and '.join(shared)} the kernel is the host's: no image patches it, and it is "
            "not looked at here."
        )


def _show_difference(console: Console, found: Difference) -> None:
    if found.packages:
        console.table(
            ["package", "before", "after", "security"],
            [[c.name, c.before, c.after, "yes" if c.security else ""] for c in found.packages],
        )
    if found.files:
        console.table(["file", ""], [[c.name, c.what] for c in found.files])


def _change(change: Change) -> dict[str, object]:
    return {
        "name": change.name,
        "what": change.what,
        "before": change.before,
        "after": change.after,
        "security": change.security,
    }


def _behind_document(one: Behind, now: datetime) -> dict[str, object]:
    return {
        "image": str(one.version),
        "where": list(one.where),
        "problem": one.problem,
        "host_kernel_on": list(one.shared_kernel),
        "packages_at": one.version.packages_at.isoformat(),
        "updates": [
            {
                "package": each.update.package.name,
                "architecture": each.update.package.architecture,
                "from": each.update.package.version,
                "to": each.update.version,
                "suite": each.update.suite,
                "security": each.update.security,
                "since": each.since.isoformat(),
                "days": (now - each.since).days,
            }
            for each in one.late
        ],
    }
