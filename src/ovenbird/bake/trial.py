"""Try one role with Molecule, in a build instance that is thrown away afterwards.

Molecule runs inside a ledger like any bake, so the guard lets Ansible reach that one machine.
"""

from __future__ import annotations

import secrets
import sys
from contextlib import ExitStack
from pathlib import Path

from ovenbird import process
from ovenbird.bake import ledger
from ovenbird.bake.bakery import Bakery
from ovenbird.bake.guard import CONNECTION_PLUGINS
from ovenbird.bake.lend import lend_to
from ovenbird.bake.upkeep import (
    child_environment,
    clean,
    clean_after_the_dead,
    require_vouched,
)
from ovenbird.packages.sources import apt_options, lend
from ovenbird.values.errors import BakeFailed, ConfigurationError
from ovenbird.values.image import Version


def roles_to_try(project: Path) -> list[str]:
    """List the roles that bring a Molecule scenario."""
    return sorted(p.parents[2].name for p in project.glob("roles/*/molecule/default/molecule.yml"))


def try_role(role: str, bakery: Bakery) -> None:
    """Converge one role on an instance of the newest base image; raise `BakeFailed` if it fails."""
    parent = _newest_root(bakery)
    artifact = parent.artifact(bakery.oven.name)
    if artifact is None or not bakery.oven.present(artifact):
        raise BakeFailed(
            f"{parent} is not held by {bakery.oven.name} any more.",
            remedy=f"Bake it again: invoke bake {parent.family} --force",
        )
    require_vouched(parent, artifact, bakery)
    clean_after_the_dead(bakery)
    token = f"try-{role}-{secrets.token_hex(5)}"
    with ExitStack() as undo:
        book = ledger.Ledger.open(
            bakery.bakes / token, token=token, family=parent.family, oven=bakery.oven.name
        )
        undo.callback(clean, book, bakery)
        lent = book.folder / "lent"
        sources = lend(bakery.families[parent.family].sources, bakery.environment)
        options = apt_options(bakery.environment)
        lend_to(lent, sources=sources, options=options, environment=bakery.environment, secrets=())
        book.into = list(bakery.oven.into(token, folder=book.folder, lent=lent))
        book.intend(container=token)
        bakery.oven.start(artifact.id, name=token, lent=lent)
        environment = {
            **child_environment(book, bakery),
            "ANSIBLE_CONNECTION_PLUGINS": str(CONNECTION_PLUGINS),
            "ANSIBLE_HOME": str(book.folder / "ansible"),
            "MOLECULE_EPHEMERAL_DIRECTORY": str(book.folder / "molecule"),
        }
        programs = Path(sys.executable).parent
        code = process.stream(
            [str(programs / "molecule"), "converge"],
            doing=f"Trying the role {role}",
            env={**environment, "PATH": f"{programs}:{environment['PATH']}"},
            cwd=bakery.project / "roles" / role,
            line=bakery.console.note,
        )
    if code:
        raise BakeFailed(
            f"The role {role} does not converge.",
            remedy="Molecule's own lines stand above; correct the role, and try it again.",
        )


def _newest_root(bakery: Bakery) -> Version:
    """Return the newest image of a family that has no parent: what roles are tried on."""
    for family in bakery.families.values():
        if family.parent is None and (version := bakery.catalog.newest(family.name)):
            return version
    raise ConfigurationError.of(
        "Roles are tried on an image without a parent, and none has been baked yet.",
        remedy="Bake one: invoke bake base",
    )
