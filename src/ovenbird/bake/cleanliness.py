"""The gate that an image passes before it gets a version for fleets: no secret, no left-over.

What `ovenbird.hygiene` finds fails a bake as a failed proof does, unless an exception of
``inventories/bake/exceptions.yml`` allows it today. There is no flag that turns it off.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path

from ovenbird.bake import ledger
from ovenbird.bake.bakery import Bakery
from ovenbird.bake.upkeep import clean, clean_after_the_dead
from ovenbird.config import load_exceptions
from ovenbird.hygiene.scan import Scan, Verdict, judge, scan
from ovenbird.values.errors import Blocked, ProofFailed
from ovenbird.values.exception import Exceptions
from ovenbird.values.image import Artifact, Version
from ovenbird.values.secret import Finding

FILE = "inventories/bake/exceptions.yml"
_SHOWN = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a scan saw of an image, and what the exceptions make of it."""

    scan: Scan
    verdict: Verdict

    def __str__(self) -> str:
        found = f"{len(self.verdict.bad)} found" if self.verdict.bad else "none"
        allowed = f", {len(self.verdict.allowed)} allowed" if self.verdict.allowed else ""
        return f"{self.scan.files:,} files, {found}{allowed}"


def exceptions_of(bakery: Bakery) -> Exceptions:
    """Read what is allowed today; a fault in the file is told before a bake costs minutes."""
    return load_exceptions(bakery.project, today=bakery.clock.now().date())


def demand_clean(artifact: Artifact, bakery: Bakery, *, folder: Path, allowed: Exceptions) -> None:
    """Look into a candidate. Raises `ProofFailed` with every finding that nothing allows."""
    bakery.console.progress("Looking for secrets")
    looked = look_into(artifact, bakery, folder=folder, allowed=allowed)
    bakery.console.step(f"Looking for secrets: {looked}")
    tell_exceptions(looked, bakery)
    if bad := looked.verdict.bad:
        raise ProofFailed(
            f"{len(bad)} {'thing' if len(bad) == 1 else 'things'} must not be in it: "
            f"{', '.join(dict.fromkeys(f'{each.kind} in {each.path}' for each in bad[:3]))}"
            f"{', …' if len(bad) > 3 else ''}.",
            remedy="Have the role or the seal remove them. What must stay for a while is allowed, "
            f"with a reason, an owner and a day, in {FILE}.",
            evidence=told(bad),
        )


def look_into(artifact: Artifact, bakery: Bakery, *, folder: Path, allowed: Exceptions) -> Looked:
    """Scan one artifact. Its files may have to lie in ``folder`` meanwhile: `Blocked` for no
    room."""
    free = shutil.disk_usage(folder).free
    if free < artifact.size:
        raise Blocked(
            f"Only {free / 1e9:.1f} GB are free in {folder}; to look into the image, "
            f"{artifact.size / 1e9:.1f} GB are needed there.",
            remedy="Free some space, or move the site with OVENBIRD_STATE.",
        )
    with closing(bakery.oven.contents(artifact.id, folder=folder)) as contents:
        found = scan(contents)
    return Looked(scan=found, verdict=judge(found.findings, allowed.secrets))


def scan_again(version: Version, bakery: Bakery) -> Looked:
    """Look into an image that the catalog holds; its state there stays.

    Raises `Blocked` where the engine holds it no more.
    """
    allowed = exceptions_of(bakery)
    artifact = version.artifact(bakery.oven.name)
    if artifact is None or not bakery.oven.present(artifact):
        raise Blocked(
            f"{version} is not held by {bakery.oven.name}.",
            remedy="Name an engine that has it with --on; invoke image.show says which.",
        )
    clean_after_the_dead(bakery)
    token = f"scan-{version.family}-{secrets.token_hex(5)}"
    with ExitStack() as undo:
        book = ledger.Ledger.open(
            bakery.bakes / token, token=token, family=version.family, oven=bakery.oven.name
        )
        undo.callback(clean, book, bakery)
        return look_into(artifact, bakery, folder=book.folder, allowed=allowed)


def tell_exceptions(looked: Looked, bakery: Bakery) -> None:
    """Say what an exception let pass and until when, and which none of the image needed."""
    for finding, by in looked.verdict.allowed:
        bakery.console.note(f"  allowed until {by.expires} ({by.owner}: {by.reason}): {finding}")
    for unused in looked.verdict.unused:
        bakery.console.note(f"  nothing here needs the exception of {FILE}:{unused.line}, {unused}")


def tell_cut(looked: Looked, bakery: Bakery) -> None:
    """Say which files were too large to be looked at as a whole."""
    if cut := looked.scan.cut:
        bakery.console.note(
            f"  of {len(cut)} large files only 6 MiB from the beginning and 2 MiB from the end "
            f"were looked at: {', '.join(cut[:3])}{', …' if len(cut) > 3 else ''}"
        )


def told(findings: Sequence[Finding]) -> str:
    """Name each finding on a line of its own."""
    lines = [str(finding) for finding in findings[:_SHOWN]]
    more = len(findings) - _SHOWN
    return "\n".join([*lines, *([f"and {more} more"] if more > 0 else [])])
