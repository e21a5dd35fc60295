"""The namespace ``image.*``: what there is, what it is called, and what may run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from ovenbird.console import Console
from ovenbird.tasks.verb import KEY, verb

if TYPE_CHECKING:
    from ovenbird.state.site import Site
    from ovenbird.values.image import Version


def _catalog() -> Any:
    from ovenbird.assembly.sealed import catalog_of
    from ovenbird.state.site import open_site

    return catalog_of(open_site())


@verb(
    name="list",
    help={"family": "Only this family.", "json": "Print one JSON document on stdout."},
)
def list_(_: Any, family: str = "", json: bool = False) -> None:
    """List the images of this site, newest first."""
    from ovenbird.tasks.documents import image_document

    console = Console()
    versions = _catalog().versions(family)
    if json:
        console.document({"images": [image_document(version) for version in versions]})
        return
    if not versions:
        console.note("No image has been baked here yet. Bake one: invoke bake FAMILY")
        return
    console.table(
        ["image", "state", "channels", "parent", "on", "baked", "fingerprint"],
        [
            [
                str(v),
                str(v.state),
                ", ".join(v.channels),
                v.parent or "",
                ", ".join(a.provider for a in v.artifacts),
                f"{v.baked_at.astimezone():%Y-%m-%d %H:%M}",
                v.fingerprint[:8],
            ]
            for v in versions
        ],
    )


@verb(
    positional=["image"],
    help={"image": "web/2 or web@stable.", "json": "Print one JSON document on stdout."},
)
def show(_: Any, image: str, json: bool = False) -> None:
    """Show one image: what it is made of, who made it, and where it is."""
    from ovenbird.tasks.documents import image_document
    from ovenbird.values.image import ImageRef

    console = Console()
    document = image_document(_catalog().resolve(ImageRef.parse(image)))
    if json:
        console.document(document)
        return
    for name, value in document.items():
        console.result(f"{name:>14}  {value}")


@verb(positional=["family"], help={"family": "A family of packer/images.yml."})
def explain(_: Any, family: str) -> None:
    """Say which input of a family changed since which image, and so whether a bake is due."""
    from ovenbird import assembly
    from ovenbird.assembly import baking
    from ovenbird.bake.known import explained
    from ovenbird.state.site import open_site

    console = Console()
    bakery = baking.bakery(assembly.project_folder(Path.cwd()), open_site(), console)
    console.result(explained(family, bakery))


@verb(
    positional=["family"],
    help={"family": "A family of packer/images.yml.", "on": "The engine to render for."},
)
def render(_: Any, family: str, on: str = "podman") -> None:
    """Print what Packer would be given for a family."""
    from ovenbird import assembly
    from ovenbird.assembly import baking
    from ovenbird.bake.known import parent_of
    from ovenbird.bake.template import check
    from ovenbird.bake.template import render as render_template
    from ovenbird.state.site import open_site

    console = Console()
    project = assembly.project_folder(Path.cwd())
    bakery = baking.bakery(project, open_site(), console, on=on)
    parent = parent_of(family, bakery)
    artifact = parent.artifact(on) if parent else None
    rendered = render_template(
        bakery.families[family],
        project=project,
        provider=on,
        parent_artifact=artifact.id if artifact else "the first tree",
    )
    console.result(rendered.text)
    check(rendered, project=project)


@verb(
    positional=["image", "channel"],
    help={
        "image": "The version, web/2, or a channel to copy, web@candidate.",
        "channel": "The channel to move, for example stable.",
        "because": "Why; kept in the history.",
        "key": KEY,
    },
)
def promote(_: Any, image: str, channel: str, because: str = "", key: str = "") -> None:
    """Point a channel at an image."""
    from ovenbird import assembly
    from ovenbird.assembly.advising import require_promotable
    from ovenbird.clock import SystemClock
    from ovenbird.seals.keys import sign_with
    from ovenbird.state.history import whoami
    from ovenbird.state.site import open_site
    from ovenbird.values.errors import ConfigurationError
    from ovenbird.values.image import NAME, ImageRef

    sign_with(key)
    if not NAME.fullmatch(channel):
        raise ConfigurationError.of(
            f"{channel!r} is no name for a channel.",
            remedy="Use lower-case letters, digits and hyphens, beginning with a letter.",
        )
    project, site, catalog = assembly.project_folder(Path.cwd()), open_site(), _catalog()
    version = catalog.launchable(ImageRef.parse(image))
    require_promotable(project, site, version, channel)
    version = catalog.promote(
        ImageRef.parse(str(version)),
        channel,
        by=whoami(),
        because=because,
        at=SystemClock().now(),
    )
    Console().step(f"{version.family}@{channel} is {version} now")


def judged(site: Site, image: str, state: str, because: str, key: str) -> tuple[Version, ...]:
    """Judge an image for a reason that somebody has to give; return all whose state has changed."""
    from ovenbird.assembly.sealed import catalog_of
    from ovenbird.clock import SystemClock
    from ovenbird.seals.keys import sign_with
    from ovenbird.state.history import whoami
    from ovenbird.values.errors import ConfigurationError
    from ovenbird.values.image import ImageRef, ImageState

    sign_with(key)
    if not because.strip():
        raise ConfigurationError.of(
            "Nobody will know why: --because is empty.", remedy="Say why in a few words."
        )
    return catalog_of(site).judge(
        ImageRef.parse(image),
        ImageState(state),
        by=whoami(),
        because=because,
        at=SystemClock().now(),
    )


def _judge(image: str, state: str, because: str, key: str) -> None:
    from ovenbird.state.site import open_site

    console = Console()
    for version in judged(open_site(), image, state, because, key):
        console.step(f"{version} is {version.state}: {version.state_because or 'as before'}")


@verb(
    positional=["image"],
    help={"image": "web/2 or web@stable.", "because": "Why. Required.", "key": KEY},
)
def deprecate(_: Any, image: str, because: str, key: str = "") -> None:
    """Warn about an image; it still launches."""
    _judge(image, "deprecated", because, key)


@verb(
    positional=["image"],
    help={"image": "web/2.", "because": "Why. Required.", "key": KEY},
)
def restore(_: Any, image: str, because: str, key: str = "") -> None:
    """Take a revocation or deprecation of one image back; its descendants keep theirs."""
    _judge(image, "active", because, key)
