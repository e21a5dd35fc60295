"""Make one image, in the order of its life: render, provision and seal, prove, register.

Imported only when an image is really made: a bake that finds its recipe known needs none of it.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird.bake import ledger, packer, tools
from ovenbird.bake.accepted import Accepted
from ovenbird.bake.bakery import Bakery, Wish
from ovenbird.bake.cleanliness import demand_clean, exceptions_of
from ovenbird.bake.ingredients import SEAL
from ovenbird.bake.lend import MOUNTED, lend_to
from ovenbird.bake.origins import with_their_origins
from ovenbird.bake.source import source_of
from ovenbird.bake.template import Rendered, check, render, render_plugins
from ovenbird.bake.upkeep import child_environment, clean, require_size
from ovenbird.bake.watch import Watch
from ovenbird.catalog import Baked
from ovenbird.fleet.launch import resolve
from ovenbird.packages.index import moved, package_state
from ovenbird.packages.sources import Source, apt_options
from ovenbird.values.errors import BakeFailed, CommandFailed, ProofFailed
from ovenbird.values.exception import Exceptions
from ovenbird.values.family import Family
from ovenbird.values.fleet import LaunchSpec
from ovenbird.values.image import Artifact, Contract, ImageState, Provenance, Version
from ovenbird.values.recipe import Recipe

if TYPE_CHECKING:
    from ovenbird.bake.prove import Proof


def make(
    family: Family,
    parent: Version | None,
    recipe: Recipe,
    sources: tuple[Source, ...],
    packages: str,
    bakery: Bakery,
    wish: Wish,
) -> Version:
    """Render, provision and seal, prove, register. What fails is undone in reverse."""
    bakery.catalog.require_signer()  # or all of it would be for nothing
    token = f"bake-{family.name}-{secrets.token_hex(5)}"
    log = bakery.site.folder / "logs" / f"{token}.log"
    log.parent.mkdir(exist_ok=True)
    started = bakery.clock.now()
    allowed = exceptions_of(bakery)
    with ExitStack() as undo:
        book = ledger.Ledger.open(
            bakery.bakes / token, token=token, family=family.name, oven=bakery.oven.name
        )
        undo.callback(clean, book, bakery)
        kitchen = packer.Kitchen(
            folder=book.folder, token=token, environment=child_environment(book, bakery)
        )
        version = tools.packer_version(bakery.site.folder / "cache" / "tools.json")
        if parent is None:  # a fault costs no minute of mmdebstrap
            check(_render(family, "the first tree", bakery), project=bakery.project)
        source = source_of(family, parent, sources, packages, book, bakery)
        rendered = _render(family, source, bakery)
        of_source = bakery.oven.prepare(source, folder=book.folder, token=token)
        kitchen = replace(kitchen, of_source=of_source)
        _prepare(kitchen, rendered, bakery, version)
        kitchen = replace(kitchen, secrets=_lend(kitchen, sources, bakery))
        built = _provision(family, kitchen, book, bakery, wish, log=log)
        made = bakery.oven.artifact_of(built, folder=book.folder, token=token)
        book.intend(image=made)
        artifact = _artifact(made, rendered, bakery, source=source, token=token)
        require_size(family, artifact, parent=parent)
        after = package_state(sources, bakery.environment)
        baked = Baked(
            recipe=recipe,
            packages=packages if after == packages else moved(packages, after),
            packages_at=started,
            parent=str(parent) if parent else None,
            contract=family.contract,
            artifact=artifact,
            provenance=Provenance(
                by=bakery.by,
                because=wish.because,
                tools=tools.provenance(version),
                sources=family.sources,
            ),
            log=str(log),
        )
        proof = _prove(family, baked, kitchen, book, bakery, wish, allowed=allowed)
        inside = with_their_origins(proof.inventory, sources, bakery)
        registered = bakery.catalog.register(
            replace(
                baked,
                ambient=proof.ambient,
                inventory=inside,
                parts=tuple(bakery.oven.parts(made)) if bakery.catalog.is_sealed else (),
            ),
            state=ImageState.ACTIVE,
            joins_since=wish.since,
        )
        book.images.remove(made)  # it has an owner now
        book.write()
        bakery.oven.name_artifact(made, family=family.name, number=registered.number)
        undo.pop_all()  # all went well, so there is nothing to look for
        bakery.oven.clean(containers=(), images=book.images)
        book.close()
        return registered


def _artifact(
    made: str, rendered: Rendered, bakery: Bakery, *, source: str, token: str
) -> Artifact:
    oven = bakery.oven
    return Artifact(
        provider=oven.name,
        id=made,
        template=rendered.hash,
        parent=source,
        token=token,
        location=oven.location(),
        size=oven.size(made),
        baked_at=bakery.clock.now(),
    )


def _render(family: Family, parent_artifact: str, bakery: Bakery) -> Rendered:
    bakery.console.step("Rendering packer/image.pkr.hcl.j2")
    return render(
        family,
        project=bakery.project,
        provider=bakery.oven.name,
        parent_artifact=parent_artifact,
    )


def _prepare(
    kitchen: packer.Kitchen, rendered: Rendered, bakery: Bakery, version: tuple[int, ...]
) -> None:
    """Lay the text out for Packer, and have it checked unless this very text was accepted."""
    accepted = Accepted(bakery.site.folder / "cache" / "accepted")
    plugins = render_plugins(rendered.source_type, project=bakery.project)
    packer.lay_out(kitchen, rendered, plugins=plugins, version=version)
    if not accepted.knows(rendered, packer=version):
        check(rendered, project=bakery.project)
        packer.validate(kitchen, rendered)
        accepted.remember(rendered, packer=version)


def _lend(kitchen: packer.Kitchen, sources: tuple[Source, ...], bakery: Bakery) -> tuple[str, ...]:
    """Fill the folder that the build instance is lent; return what no log may hold."""
    environment = bakery.environment
    lent = resolve(
        LaunchSpec(secrets=environment.secrets),
        contract=Contract(),
        site_key=bakery.site.key,
        project=bakery.project,
        fleet="the bake",
        file="inventories/bake/environment.yml",
    )
    lend_to(
        kitchen.lent,
        sources=sources,
        options=apt_options(environment),
        environment=environment,
        secrets=lent.secrets,
    )
    values = [value.decode(errors="replace").strip() for _, value in lent.secrets]
    return tuple(value for value in (*values, environment.proxy) if value)


def _provision(
    family: Family,
    kitchen: packer.Kitchen,
    book: ledger.Ledger,
    bakery: Bakery,
    wish: Wish,
    *,
    log: Path,
) -> Mapping[str, object]:
    """Let Packer start the build instance and Ansible provision and seal it.

    Returns what Packer's manifest says of the image.
    """
    job = {
        "host": ledger.TARGET,
        "project": str(bakery.project),
        "playbook": family.playbook,
        "seal": SEAL,
        "variables": {
            **bakery.variables,
            **{name: json.loads(value) for name, value in family.variables},
            "ovenbird_family": family.name,
            "ovenbird_sources": list(family.sources),
        },
        "push": {} if bakery.oven.lends_by_mount else {str(kitchen.lent): MOUNTED},
    }
    (kitchen.folder / "job.json").write_text(json.dumps(job))
    into = bakery.oven.into(kitchen.token, folder=book.folder, lent=kitchen.lent)
    book.into = list(into)
    book.intend(container=kitchen.token)
    bakery.console.step(f"Provisioning with {family.playbook}, then sealing")
    with Watch(bakery.console, log=log, verbose=wish.verbose) as watch:
        try:
            made = packer.build(kitchen, keep=wish.keep, line=watch.line)
        except BakeFailed as failed:
            raise _told(failed, watch, kitchen, book, bakery, wish) from failed
    bakery.console.note(f"  {watch.counts()}")
    return made


def _told(
    failed: BakeFailed,
    watch: Watch,
    kitchen: packer.Kitchen,
    book: ledger.Ledger,
    bakery: Bakery,
    wish: Wish,
) -> BakeFailed:
    """Say what failed in Ansible's words, and how to look at a kept build instance."""
    remedy = f"Correct the role, and bake again. The whole log: {watch.log}"
    if wish.keep:
        book.kept = True
        book.write()
        enter, remove = bakery.oven.enter(kitchen.token)
        remedy += f"\nThe build instance is kept. Enter it:  {enter}\nRemove it: {remove}"
    else:
        remedy += "\nWith --keep the build instance stays for a look."
    return BakeFailed(watch.failure() or failed.problem, remedy=remedy, evidence=watch.tail())


def _prove(
    family: Family,
    baked: Baked,
    kitchen: packer.Kitchen,
    book: ledger.Ledger,
    bakery: Bakery,
    wish: Wish,
    *,
    allowed: Exceptions,
) -> Proof:
    """Look into the candidate and prove it; one that fails is kept in the catalog with its log,
    as failed."""
    from ovenbird.bake.prove import prove

    try:
        bakery.console.step("Proving on two throw-away instances")
        with ThreadPoolExecutor(1) as meanwhile:  # the proof waits for a boot most of its time
            clean_too = meanwhile.submit(
                demand_clean, baked.artifact, bakery, folder=kitchen.folder, allowed=allowed
            )
            proof = prove(
                baked.artifact,
                family=family,
                project=bakery.project,
                folder=kitchen.folder,
                site=bakery.site.id,
                oven=bakery.oven,
                clock=bakery.clock,
                environment=kitchen.environment,
            )
            clean_too.result()
    except (ProofFailed, CommandFailed) as failed:
        with Path(baked.log).open("a") as log:
            print(failed.problem, failed.evidence, sep="\n", file=log)
        if wish.keep:
            book.images.remove(baked.artifact.id)
            book.write()
        bad = bakery.catalog.register(
            baked if wish.keep else replace(baked, artifact=replace(baked.artifact, id="")),
            state=ImageState.FAILED,
            because=failed.problem,
        )
        kept = "it is kept" if wish.keep else "its artifact is deleted"
        raise ProofFailed(
            f"{bad} is not proven: {failed.problem}",
            remedy=f"{failed.remedy}\n{bad} stands in the catalog as failed, {kept}; the log: "
            f"{baked.log}",
            evidence=failed.evidence,
        ) from failed
    bakery.console.note(f"  boots in {proof.boot_seconds:.1f} s, {proof.checks} checks passed")
    return proof
