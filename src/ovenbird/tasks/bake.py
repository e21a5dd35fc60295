"""bake, prove, and what explains them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ovenbird.console import Console
from ovenbird.tasks.verb import KEY, verb


@verb(
    positional=["family"],
    help={
        "family": "A family of packer/images.yml; ancestors that are not baked yet come first.",
        "on": "The engine to bake on, or several with commas: podman,lxd.",
        "force": "Bake although nothing that goes into the image has changed.",
        "refresh": "Bake the same recipe again if the packages in its sources moved.",
        "keep": "Leave a failed build instance for a look, and say how to enter it.",
        "verbose": "Show Ansible's own output.",
        "because": "Why; kept in the image's provenance.",
        "key": KEY,
        "json": "Print one JSON document about the image on stdout.",
    },
)
def bake(
    _: Any,
    family: str,
    on: str = "podman",
    force: bool = False,
    refresh: bool = False,
    keep: bool = False,
    verbose: bool = False,
    because: str = "",
    key: str = "",
    json: bool = False,
) -> None:
    """Bake a golden image: render, provision, seal, prove, register."""
    from ovenbird import assembly
    from ovenbird.assembly import baking
    from ovenbird.bake import bake as bake_image
    from ovenbird.bake.bakery import Wish
    from ovenbird.seals.keys import sign_with
    from ovenbird.state.site import open_site
    from ovenbird.tasks.documents import image_document

    sign_with(key)
    console = Console()
    project = assembly.project_folder(Path.cwd())
    bakeries = baking.bakeries(project, open_site(), console, on=on)
    wish = Wish(force=force, refresh=refresh, keep=keep, verbose=verbose, because=because)
    result = bake_image(family, bakeries, wish)
    if json:
        told = {"baked": result.fresh, "because": result.because}
        console.document({**told, "image": image_document(result.version)})
    elif result.fresh:
        console.result(str(result.version))
    else:
        console.step(f"{result.version} is that image already: {result.because}.")
        console.result(str(result.version))


@verb(
    positional=["image"],
    help={"image": "web/2 or web@stable.", "on": "The engine to boot it on."},
)
def prove(_: Any, image: str, on: str = "podman") -> None:
    """Boot two throw-away instances of an image and check them; nothing is registered."""
    from ovenbird import assembly
    from ovenbird.assembly import baking
    from ovenbird.bake.proving import prove_again
    from ovenbird.state.site import open_site
    from ovenbird.values.image import ImageRef

    console = Console()
    project = assembly.project_folder(Path.cwd())
    bakery = baking.bakery(project, open_site(), console, on=on)
    version = bakery.catalog.resolve(ImageRef.parse(image))
    console.step(f"Proving {version} on two throw-away instances")
    proof = prove_again(version, bakery)
    console.step(f"Boots in {proof.boot_seconds:.1f} s, {proof.checks} checks passed")
