"""Read what a recipe is made of: the family's entry, its playbook, its roles, its parent.

Proofs are no ingredient (they change no image), nor is anything below a role's ``molecule``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

from ovenbird.config import roles_reached
from ovenbird.values.family import Definition, Family
from ovenbird.values.image import Contract, Version
from ovenbird.values.recipe import Recipe

SEAL = "playbooks/seal.yml"
NOT_BAKED = {"molecule", "__pycache__"}
NOT_BESIDE = {"callback_plugins", "vars_plugins", "roles", *NOT_BAKED}
"""Folders beside the playbooks that are no ingredient: the guard, and the link to the roles, of
which only those that are reached count."""


def recipe_of(
    family: Family,
    *,
    project: Path,
    variables: Mapping[str, object],
    parent: Version | None,
) -> Recipe:
    """Hash all that determines the next image of ``family`` but the day's packages."""
    contents: dict[str, bytes] = {
        "parent": parent.identity.encode() if parent else b"",
        "definition": _json(_definition(family.definition) if family.definition else None),
        "sources": _json(family.sources),
        "launch contract": _json(_contract(family.contract)),
    }
    contents |= {f"variable {name}": value.encode() for name, value in family.variables}
    contents |= {f"bake variable {name}": _json(value) for name, value in variables.items()}
    for path in _files(project, family.playbook):
        executable = path.stat().st_mode & 0o100
        contents[str(path.relative_to(project))] = (
            b"x" if executable else b"-"
        ) + path.read_bytes()
    return Recipe.of(family.name, contents)


def _definition(definition: Definition) -> dict[str, object]:
    """Where a line of images begins. As below: `disk` came later."""
    return {key: value for key, value in asdict(definition).items() if value or key != "disk"}


def _contract(contract: Contract) -> dict[str, object]:
    """What an image asks of its launch. A key that came later is left out where it says nothing:
    the recipes of families that do not use it stay what they are."""
    return {key: value for key, value in asdict(contract).items() if value or key != "jobs"}


def _files(project: Path, playbook: str) -> Iterator[Path]:
    yield from (project / playbook, project / SEAL)
    reached = {*roles_reached(project, playbook), *roles_reached(project, SEAL)}
    beside = [
        folder
        for folder in (project / "playbooks").iterdir()
        if folder.is_dir() and folder.name not in NOT_BESIDE
    ]
    for folder in [*(project / "roles" / role for role in sorted(reached)), *sorted(beside)]:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not NOT_BAKED & set(path.relative_to(folder).parts):
                yield path


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True).encode()
