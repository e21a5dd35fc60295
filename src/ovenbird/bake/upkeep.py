"""The order of a bakery: one bake of a family at a time, room on the disk, no leftovers."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from filelock import Timeout

from ovenbird import process
from ovenbird.bake import ledger
from ovenbird.bake.bakery import Bakery
from ovenbird.bake.lend import MOUNTED
from ovenbird.state.lock import lock_of
from ovenbird.values.errors import BakeFailed, Blocked
from ovenbird.values.family import Family
from ovenbird.values.image import Artifact, StopPolicy, Version

ROOM = 1_500_000_000
"""Bytes that must be free before a bake begins: a tree, an image of it, and some air."""

ROOM_OF_SITE = 500_000_000
"""Bytes that must be free in the site's folder: the tree as a tar, logs, and the database."""

AT_ONCE = StopPolicy(signal="SIGKILL", timeout=0)


@contextmanager
def alone(family: Family, bakery: Bakery) -> Iterator[None]:
    """Let one bake of a family run at a time on an engine; the kernel frees a dead one's lock."""
    lock = lock_of(bakery.site.folder, f"bake-{family.name}-{bakery.oven.name}")
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        bakery.console.step(f"Somebody else is baking {family.name}; waiting for them")
        held = lock.acquire()
    with held:
        yield


def clean_after_the_dead(bakery: Bakery, *, kept_too: bool = False) -> None:
    """Remove what bakes created whose process is gone.

    What somebody kept stays for as long as its build instance stands, unless it is asked for.
    """
    with lock_of(bakery.site.folder, "bakes"):
        for book in ledger.dead(bakery.bakes):
            if book.oven != bakery.oven.name:
                continue  # another engine's: it is cleaned when that one bakes
            if book.kept and not kept_too and bakery.oven.stands(book.token):
                continue
            if not book.kept:
                bakery.console.step(f"Cleaning up after a bake of {book.family} that died")
            book.kept = False
            clean(book, bakery)


def clean(book: ledger.Ledger, bakery: Bakery) -> None:
    """Remove all that a bake created and still owns.

    A kept build instance is left, but not the secrets that it was lent. An image that the
    catalog knows has an owner: its bake died between registering it and saying so.
    """
    if book.kept:
        shutil.rmtree(book.folder / "lent" / "secrets", ignore_errors=True)
        _take_secrets_back(book, bakery)
        return
    for slot in (1, 2):
        bakery.provider.terminate(f"{book.token}-proof{slot}", stop=AT_ONCE)
    bakery.oven.clean(containers=book.containers, images=())
    owned = {_bare(a.id) for v in bakery.catalog.versions() for a in v.artifacts}
    # A killed bake's packer may have committed an image that the ledger never heard of.
    made = dict.fromkeys([*book.images, *bakery.oven.made_by(book.token)])
    left = [image for image in made if _bare(image) not in owned]
    bakery.oven.clean(containers=(), images=left)
    book.close()


def _take_secrets_back(book: ledger.Ledger, bakery: Bakery) -> None:
    """Remove what was lent by pushing it, from a kept build instance."""
    if bakery.oven.lends_by_mount or not bakery.oven.stands(book.token):
        return
    done = process.run(
        [*book.into, "/bin/rm", "-rf", f"{MOUNTED}/secrets"],
        doing="Taking back the secrets that were lent",
        env=bakery.oven.environment(book.folder / "bin"),
        check=False,
    )
    if done.code:
        bakery.console.step(
            f"The kept build instance does not answer, and may still hold {MOUNTED}/secrets"
        )


def _bare(image: str) -> str:
    """An engine writes one id with and without its algorithm: podman does both."""
    return image.removeprefix("sha256:")


def require_room(bakery: Bakery) -> None:
    """Refuse (`Blocked`) to begin what the disk could not finish."""
    places = (
        (f"where {bakery.oven.name} keeps images", bakery.oven.free(), ROOM),
        (f"in {bakery.site.folder}", shutil.disk_usage(bakery.site.folder).free, ROOM_OF_SITE),
    )
    for place, free, needed in places:
        if free < needed:
            raise Blocked(
                f"Only {free / 1e9:.1f} GB are free {place}; a bake needs {needed / 1e9:.1f} GB.",
                remedy="Free some space there, and bake again.",
            )


def require_vouched(version: Version, artifact: Artifact, bakery: Bakery) -> None:
    """Refuse (`Tampered`) to start from an image that is not what was signed, down to its bytes.
    A site without keys signs nothing and asks nothing."""
    if bakery.catalog.is_sealed:
        bakery.catalog.require_vouched(version, artifact)
        bakery.provider.verify(artifact)


def require_size(family: Family, artifact: Artifact, *, parent: Version | None) -> None:
    """Refuse (`BakeFailed`) an image that is larger than its family allows."""
    if not family.max_size or artifact.size <= family.max_size:
        return
    before = parent.artifact(artifact.provider) if parent else None
    of_it = f", {before.size / 2**20:.0f} MiB of it {parent}" if before else ""
    raise BakeFailed(
        f"The image of {family.name} takes {artifact.size / 2**20:.0f} MiB{of_it}, and max_size "
        f"allows {family.max_size / 2**20:.0f} MiB.",
        remedy="Have the role remove what is not needed, or raise max_size in packer/images.yml.",
    )


def child_environment(book: ledger.Ledger, bakery: Bakery) -> Mapping[str, str]:
    """Make the environment of every child of this bake: our shims first, and the ledger."""
    shims = book.folder / "bin"
    shims.mkdir()
    return {
        **bakery.oven.environment(shims),
        "PATH": f"{shims}:{os.environ['PATH']}",
        "OVENBIRD_BAKE_LEDGER": str(book.path),
    }
