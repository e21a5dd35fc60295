"""Files → frozen values. All faults are told at once, each with file, line and what is allowed.

This is the only place that knows how the files are written. It reads and refuses; it resolves no
secret, asks no engine and changes nothing. Every verb raises `ConfigurationError`. Pydantic and
the YAML parser are imported by the verbs, not by this module: a task list needs neither.
"""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from ovenbird.values.errors import ConfigurationError, Fault

if TYPE_CHECKING:
    from ovenbird.config.variables import JSON
    from ovenbird.values.advisory import AdvisorySettings
    from ovenbird.values.engine import EngineSettings
    from ovenbird.values.exception import Exceptions
    from ovenbird.values.family import BakeEnvironment, Family
    from ovenbird.values.fleet import Fleet
    from ovenbird.values.patch import Patching

__all__ = [
    "faults_of",
    "load_advisories",
    "load_bake_environment",
    "load_bake_variables",
    "load_engines",
    "load_environments",
    "load_exceptions",
    "load_families",
    "load_fleets",
    "load_patching",
    "roles_reached",
]


def load_families(project: Path) -> dict[str, Family]:
    """Every family of ``packer/images.yml``, in the order of the file.

    A playbook, role, test file or parent that is not there is a fault too.
    """
    from ovenbird.config import families

    seen = families.survey(project, with_files=True)
    _raise(seen.faults)
    return seen.families


def load_fleets(project: Path, env: str) -> dict[str, Fleet]:
    """Every fleet of ``inventories/<env>/fleets.yml``, in the order of the file.

    Faults of ``packer/images.yml`` are raised only where they hide the contract of a family that
    a fleet runs: a family half edited must not stand in the way of a rollback of another.
    """
    from ovenbird.config import environment, families, fleets

    environment.demand(project, env)
    seen = families.survey(project, with_files=False)
    found, faults = fleets.survey(project, env, seen.families, seen.names)
    if {fleet.image.family for fleet in found.values()} & (set(seen.names) - seen.families.keys()):
        faults = (*seen.faults, *faults)
    _raise(faults)
    return found


def load_environments(project: Path) -> list[str]:
    """The names of the environments, sorted."""
    from ovenbird.config import environment

    return environment.environments(project)


def load_bake_environment(project: Path) -> BakeEnvironment:
    """What a bake is lent and an image never keeps; the defaults where there is no such file."""
    from ovenbird.config import environment

    return environment.bake_environment(project)


def load_bake_variables(project: Path) -> dict[str, JSON]:
    """``inventories/bake/variables.yml``: what every bake hands to Ansible, by name."""
    from ovenbird.config import environment

    return environment.bake_variables(project)


def load_engines(project: Path) -> dict[str, EngineSettings]:
    """What ``inventories/engines.yml`` says of each engine; {} where there is no such file."""
    from ovenbird.config import engines

    return engines.engines(project)


def load_patching(project: Path) -> Patching:
    """What ``inventories/patch.yml`` says of baking anew and promoting; defaults without it."""
    from ovenbird.config import patch

    return patch.patching(project)


def load_advisories(project: Path) -> AdvisorySettings:
    """What ``inventories/advisories.yml`` says of sources and gates; none where it is missing."""
    from ovenbird.config import advisories

    return advisories.advisory_settings(project)


def load_exceptions(project: Path, *, today: date) -> Exceptions:
    """What ``inventories/bake/exceptions.yml`` allows; nothing where there is no such file.

    One without a reason, an owner or a day, or whose day is over, is a fault.
    """
    from ovenbird.config import exceptions

    return exceptions.exceptions(project, today=today)


def roles_reached(project: Path, playbook: str) -> tuple[str, ...]:
    """The names of the roles that a playbook reaches, sorted, dependencies included.

    Follows ``roles:``, ``include_role``, ``import_role`` and ``meta/main.yml``. Raises
    `ConfigurationError` where a role is missing or cannot be followed.
    """
    from ovenbird.config import roles

    reached, faults = roles.reach(project, playbook)
    _raise(faults)
    return tuple(sorted(reached))


def faults_of(project: Path) -> tuple[Fault, ...]:
    """Everything that is wrong in all configuration files of a project, for ``invoke check``."""
    faults: dict[Fault, None] = {}

    def collect(error: ConfigurationError) -> None:
        faults.update(dict.fromkeys(error.faults))

    whole = (load_bake_environment, load_bake_variables, load_engines, load_patching)
    for verb in (load_families, *whole, load_advisories):
        try:
            verb(project)
        except ConfigurationError as error:
            collect(error)
    try:
        for env in load_environments(project):
            try:
                load_fleets(project, env)
            except ConfigurationError as error:
                collect(error)
    except ConfigurationError as error:
        collect(error)
    return tuple(sorted(faults))


def _raise(faults: tuple[Fault, ...]) -> None:
    if faults:
        raise ConfigurationError(faults)
