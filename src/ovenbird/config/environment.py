"""The folders of ``inventories/``: the environments, and what a bake is lent."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from ovenbird.config.fleet_entry import SecretReference, secret_refs
from ovenbird.config.schema import Entry, Item, parse, refuse
from ovenbird.config.variables import CREDENTIALS, JSON, as_values, variable_faults
from ovenbird.config.wording import allowed, did_you_mean, kind_of
from ovenbird.config.yaml import Document, read
from ovenbird.values.errors import ConfigurationError, Fault
from ovenbird.values.family import BakeEnvironment
from ovenbird.values.image import NAME

BAKE = "bake"
"""The folder of ``inventories/`` that is no environment: it holds what a bake is given."""


def _mirror(text: str) -> str:
    if CREDENTIALS.search(text):
        refuse(
            "has credentials in its URL, and a mirror is named in logs",
            "Lend them with secrets: or in the URL of proxy:, which is never shown.",
        )
    return text


class BakeEntry(Entry):
    mirror: Annotated[str, AfterValidator(_mirror)] = Field(
        default="host", description='a mirror\'s host or URL, host, or "" to leave sources alone'
    )
    proxy: str = Field(default="", description="the URL of an apt proxy")
    secrets: dict[Item, SecretReference] = Field(
        default_factory=dict, description="NAME: file:PATH or command:PROGRAM ARGUMENT…"
    )


def environments(project: Path) -> list[str]:
    """The folders of ``inventories/`` that have a fleets.yml, sorted.

    Raises `ConfigurationError` for one whose name cannot be a label.
    """
    found = sorted(path.parent.name for path in (project / "inventories").glob("*/fleets.yml"))
    faults = []
    for env in found:
        if env == BAKE or not NAME.fullmatch(env):
            problem = f"{env!r} cannot be the name of an environment."
            remedy = "Allowed: a small letter, then up to 30 small letters, digits and -."
            if env == BAKE:
                remedy = "The folder inventories/bake is for bakes: move the fleets to another."
            faults.append(
                Fault(file=f"inventories/{env}/fleets.yml", line=1, problem=problem, remedy=remedy)
            )
    if faults:
        raise ConfigurationError(faults)
    return found


def demand(project: Path, env: str) -> None:
    """Raise `ConfigurationError` unless ``env`` is an environment of this project."""
    known = environments(project)
    if env not in known:
        raise ConfigurationError.of(
            f"There is no environment {env!r}.{did_you_mean(env, known)}",
            remedy=allowed(known, what="Environments"),
            file=f"inventories/{env}/fleets.yml",
            line=1,
        )


def bake_environment(project: Path) -> BakeEnvironment:
    document = _optional(project, f"inventories/{BAKE}/environment.yml")
    if document is None:
        return BakeEnvironment()
    faults: list[Fault] = []
    entry = parse(
        BakeEntry, document.data, document=document, loc=(), called="the bake", faults=faults
    )
    if entry is None:
        raise ConfigurationError(faults)
    return BakeEnvironment(
        mirror=entry.mirror, proxy=entry.proxy, secrets=secret_refs(entry.secrets)
    )


def bake_variables(project: Path) -> dict[str, JSON]:
    document = _optional(project, f"inventories/{BAKE}/variables.yml")
    if document is None:
        return {}
    if not isinstance(document.data, dict):
        problem = f"It holds {kind_of(document.data)}, not a mapping of variables."
        raise ConfigurationError([document.fault((), problem, "Write NAME: VALUE, one a line.")])
    faults = list(
        variable_faults(document.data, document=document, loc=(), called="the bake's variables")
    )
    for name in document.data:
        if not str(name).isidentifier():
            problem = f"{str(name)!r} cannot be the name of a variable."
            remedy = "Allowed: letters, digits and _, beginning with a letter or _."
            faults.append(document.fault((name,), problem, remedy, key=True))
    if faults:
        raise ConfigurationError(faults)
    return as_values(document.data)


def _optional(project: Path, file: str) -> Document | None:
    """A file that may be missing, or hold comments only: None."""
    if not (project / file).exists():
        return None
    document = read(project, file)
    return None if document.data is None else document
