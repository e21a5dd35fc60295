"""Everything that can be wrong in a project's files, found at once."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from ovenbird.assembly.baking import OVENS
from ovenbird.bake.guard import faults_of as guard_faults
from ovenbird.bake.template import check, render, source_file
from ovenbird.clock import SystemClock
from ovenbird.config import faults_of as configuration_faults
from ovenbird.config import load_exceptions, load_families
from ovenbird.values.errors import ConfigurationError, Fault


def faults_of_project(project: Path) -> list[Fault]:
    """Find everything that is wrong in a project's files: configuration, exceptions whose day is
    over, guard, templates."""
    faults = [*configuration_faults(project), *guard_faults(project)]
    try:
        load_exceptions(project, today=SystemClock().now().date())
    except ConfigurationError as error:
        faults += error.faults
    try:
        families = load_families(project)
    except ConfigurationError:
        return faults  # told above, each with its line
    first, *others = OVENS
    used = [first, *(on for on in others if (project / "packer" / source_file(on)).exists())]
    for family, provider in product(families.values(), used):
        try:
            rendered = render(family, project=project, provider=provider, parent_artifact="none")
            check(rendered, project=project)
        except ConfigurationError as error:
            told = {(fault.file, fault.line) for fault in faults}
            faults += [fault for fault in error.faults if (fault.file, fault.line) not in told]
    return faults
