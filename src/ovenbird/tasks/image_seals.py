"""image.keygen, image.sbom, image.provenance: who says what an image is, and what is in it."""

from __future__ import annotations

from typing import Any

from ovenbird.console import Console
from ovenbird.tasks.verb import verb

ON = {"on": "The engine whose artifact is meant; else the first one."}


@verb(help={"name": "What to call the public half: NAME.pub."})
def keygen(_: Any, name: str = "site") -> None:
    """Make the key that this site signs with; from then on nothing unsigned is launched."""
    import os

    from ovenbird.assembly.sealed import catalog_of, none_trusted
    from ovenbird.catalog.sealing import is_signed
    from ovenbird.seals.keys import NAMED_BY, UNFINISHED, generate, trusts
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError
    from ovenbird.values.image import NAME

    if not NAME.fullmatch(name):
        raise ConfigurationError.of(
            f"{name!r} is no name for a key.",
            remedy="Use lower-case letters, digits and hyphens, beginning with a letter.",
        )
    console, site = Console(), open_site()
    os.environ.pop(NAMED_BY, None)  # the key that is made here signs what is there
    again, unfinished = trusts(site.folder), site.folder / "keys" / UNFINISHED
    if not again and is_signed(site.database):
        raise none_trusted(site.folder)
    if again and unfinished.exists():
        again = False
        console.step("A key is there already, and what it was made for is not signed yet")
    else:
        if not again:  # what another hand may have written since is not signed by the next keygen
            unfinished.parent.mkdir(mode=0o700, exist_ok=True)
            unfinished.touch()
        private, public = generate(site.folder, name=name)
        console.step(f"Wrote the private key {private} (keep a copy elsewhere), and {public}")
    signed, refused = catalog_of(site).seal_all(again=again)
    unfinished.unlink(missing_ok=True)
    count = len(signed)
    console.step(f"Signed {count} image{'s' * (count != 1)} as the catalog has them now")
    console.note("Other hosts of this site need the public half; those that bake or promote both.")
    for tampered in refused:
        console.note(f"Not signed once more: {tampered.problem}")
    if refused:
        raise refused[0]


@verb(positional=["image"], help={"image": "web/2 or web@stable.", **ON})
def sbom(_: Any, image: str, on: str = "") -> None:
    """Print the bill of materials of an image: CycloneDX 1.6 JSON."""
    from ovenbird.catalog import Catalog
    from ovenbird.catalog.inventory import Inventories
    from ovenbird.packages.sbom import sbom as written
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import Inconclusive
    from ovenbird.values.image import ImageRef

    site = open_site()
    version = Catalog(site.database).resolve(ImageRef.parse(image))
    inside = Inventories(site.database).of(version, on)
    if inside is None:
        raise Inconclusive(
            f"It is not known what is inside {version}{f' on {on}' if on else ''}.",
            remedy=f"Note it now: invoke prove {version}",
        )
    at = inside.read_at or version.baked_at
    Console().result(written(version, inside, distribution=_distribution(version), at=at))


@verb(
    positional=["image"],
    help={
        "image": "web/2 or web@stable.",
        **ON,
        "statement": "Print what was signed, without the envelope around it.",
    },
)
def provenance(_: Any, image: str, on: str = "", statement: bool = False) -> None:
    """Print who made an image, of what: a signed in-toto statement with SLSA provenance."""
    import json

    from ovenbird.assembly.sealed import catalog_of
    from ovenbird.seals.keys import keyring
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import Blocked
    from ovenbird.values.image import ImageRef
    from ovenbird.values.seal import Sealed

    site = open_site()
    catalog = catalog_of(site)
    version = catalog.resolve(ImageRef.parse(image))
    provider = on or next((a.provider for a in version.artifacts), "")
    envelope, keys = catalog.statement(version, provider), keyring(site.folder)
    if envelope is None or keys is None:
        raise Blocked(
            f"How {version} was made is signed by nobody{f' for {on}' if on else ''}.",
            remedy="Make a key, and all that is there is signed: invoke image.keygen",
        )
    signed = keys.open(envelope, Sealed.STATEMENT, called=f"The statement of {version}")
    shown = json.loads(signed) if statement else json.loads(envelope)
    Console().result(json.dumps(shown, indent=2))


def _distribution(version: Any) -> str:
    """Name the namespace of package URLs by the archive that the sources name."""
    said = " ".join(version.provenance.sources)
    return "ubuntu" if "ubuntu" in said else "debian"
