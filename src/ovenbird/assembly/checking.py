"""Everything that can be wrong in a project's files, found at once."""

from __future__ import annotations

from pathlib import Path

from ovenbird.assembly.baking import OVENS
from ovenbird.bake.guard import faults_of as guard_faults
from ovenbird.bake.template import check, render
from ovenbird.config import faults_of as configuration_faults
from ovenbird.config import load_families
from ovenbird.values.errors import ConfigurationError, Fault


def faults_of_project(project: Path) -> list[Fault]:
    """Find everything that is wrong in a project's files: configuration, guard, templates."""
    faults = [*configuration_faults(project), *guard_faults(project)]
    try:
        families = load_families(project)
    except ConfigurationError:
        return faults  # told above, each with its line
    for family in families.values():
        try:
            rendered = render(family, project=project, provider=OVENS[0], parent_artifact="none")
            check(rendered, project=project)
        except ConfigurationError as error:
            faults += [fault for fault in error.faults if fault not in faults]
    return faults
