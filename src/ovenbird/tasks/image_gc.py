"""image.gc and image.keep: which images go, which stay, and why."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

if TYPE_CHECKING:
    from ovenbird.care.clean_up import Done, Plan
    from ovenbird.care.store import Store

SHOWN = 20
"""So many of those that stay are told one by one; --json tells all."""


@verb(
    help={
        "yes": "Do it without asking.",
        "plan": "Only print what would go.",
        "family": "Only images of this family; all with a retention where none is named.",
        "at-most": "How many go at a time.",
        "share": "Percent of a family's images that may go at a time.",
        "json": "Print one JSON document on stdout.",
    },
)
def gc(
    _: Any,
    yes: bool = False,
    plan: bool = False,
    family: str = "",
    at_most: str = "20",
    share: str = "50",
    json: bool = False,
) -> None:
    """Delete images that are old and that nobody needs; prints which and why first, and asks."""
    from ovenbird import assembly
    from ovenbird.assembly.cleaning import store_of
    from ovenbird.care.clean_up import plan as make_plan
    from ovenbird.state.site import open_site

    console = Console()
    most, percent = _number(at_most, "--at-most", 1000), _number(share, "--share", 100)
    project = assembly.project_folder(Path.cwd())
    store = store_of(project, open_site(), console, family=family)
    if not store.retention:
        console.step("No family has a retention in packer/images.yml: nothing ever goes")
    carry_out(
        store,
        make_plan(store, at_most=most, share=percent),
        console,
        family=family,
        yes=yes,
        only_look=plan,
        json=json,
    )


def carry_out(
    store: Store,
    plan: Plan,
    console: Console,
    *,
    family: str = "",
    yes: bool = False,
    only_look: bool = False,
    json: bool = False,
) -> None:
    """Print the plan, ask, and do it."""
    from ovenbird.care.clean_up import Done, clean_up
    from ovenbird.tasks.rollout import answered

    done = Done()
    if not json:
        tell(plan, console, family=family)
    try:
        if only_look:
            return
        if plan.is_empty:
            console.step("Nothing goes: nothing was done")
        elif yes or answered(console, "Delete them?", does="deletes images for good"):
            clean_up(store, plan, done)
            console.step(f"Deleted {len(done.deleted)} of {_count(plan)}, {_mib(done.freed)}")
    finally:
        if json:
            console.document(document(plan, done, family=family))


def tell(plan: Plan, console: Console, *, family: str) -> None:
    """Print what goes and what stays, each with its because."""
    at = plan.selection
    rows = [
        [str(v), "goes on", _size(v), f"its clean-up was interrupted; {v.state_because}"]
        for v in plan.unfinished
    ]
    rows += [[str(x.version), "goes", _size(x.version), x.because] for x in at.going]
    rows += [[str(x.version), "later", _size(x.version), x.because] for x in at.waiting[:SHOWN]]
    kept = [line for line in at.kept if family in ("", line.version.family)]
    rows += [[str(x.version), "stays", _size(x.version), x.because] for x in kept[:SHOWN]]
    if rows:
        console.table(["image", "", "size", "because"], rows)
    for more, what in ((len(at.waiting) - SHOWN, "go later"), (len(kept) - SHOWN, "stay")):
        if more > 0:
            console.note(f"… and {more} more that {what}; --json tells all.")


def document(plan: Plan, done: Done, *, family: str) -> dict[str, object]:
    """What ``image.gc --json`` shows."""
    at = plan.selection
    kept = [line for line in at.kept if family in ("", line.version.family)]
    lines = {"going": at.going, "waiting": at.waiting, "kept": kept}
    return {
        **{
            what: [
                {
                    "image": str(line.version),
                    "because": line.because,
                    "engines": [a.provider for a in line.version.artifacts],
                    "size": sum(a.size for a in line.version.artifacts),
                }
                for line in found
            ]
            for what, found in lines.items()
        },
        "unfinished": [str(version) for version in plan.unfinished],
        "deleted": done.deleted,
        "stayed": [{"image": name, "because": why} for name, why in done.stayed],
        "freed": done.freed,
    }


@verb(
    positional=["image"],
    help={
        "image": "A version, web/42.",
        "because": "Why. Required, but with --undo.",
        "undo": "Keep it no longer.",
    },
)
def keep(_: Any, image: str, because: str = "", undo: bool = False) -> None:
    """Keep an image from every clean-up, or with --undo no longer."""
    from ovenbird.catalog import retiring
    from ovenbird.clock import SystemClock
    from ovenbird.state.history import whoami
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError
    from ovenbird.values.image import ImageRef

    if not undo and not because.strip():
        raise ConfigurationError.of(
            "Nobody will know why: --because is empty.", remedy="Say why in a few words."
        )
    ref = ImageRef.parse(image)
    changed = retiring.keep(
        open_site().database,
        ref,
        by=whoami(),
        because=None if undo else because.strip(),
        at=SystemClock().now(),
    )
    told = "is not kept any more" if undo else f"is kept from every clean-up: {because.strip()}"
    already = "was not kept" if undo else "is kept already for just that"
    Console().step(f"{ref} {told if changed else already}")


def _number(text: str, flag: str, most: int) -> int:
    from ovenbird.values.errors import ConfigurationError

    if not text.isdecimal() or not text.isascii() or not 1 <= int(text) <= most:
        raise ConfigurationError.of(
            f"{flag} says {text!r}.", remedy=f"Write a whole number from 1 to {most}."
        )
    return int(text)


def _count(plan: Plan) -> int:
    return len(plan.selection.going) + len(plan.unfinished)


def _size(version: Any) -> str:
    return _mib(sum(artifact.size for artifact in version.artifacts))


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
