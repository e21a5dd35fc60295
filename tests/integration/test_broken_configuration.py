"""Every kind of broken configuration: its file and line, what is allowed, and nothing touched.

The table is ``tests/broken``; each row is tried on a copy of this project.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest
from tests.broken import KINDS
from tests.broken.mutation import (
    DEV,
    IMAGES,
    PLAYBOOK,
    ROOT,
    Kind,
    copy_of_this_project,
    number_of,
    replace,
    sentence,
    write,
)

from ovenbird import config
from ovenbird.assembly.checking import faults_of_project
from ovenbird.values.errors import ConfigurationError


def contents(project: Path) -> dict[str, str]:
    return {
        str(path.relative_to(project)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in project.rglob("*")
        if path.is_file()
    }


def test_what_is_shipped_has_no_faults(tmp_path: Path) -> None:
    project = copy_of_this_project(tmp_path)
    assert faults_of_project(project) == []
    assert config.load_environments(project) == ["dev", "quickstart", "staging"]


def test_every_row_has_a_name_of_its_own() -> None:
    names = [kind.name for kind in KINDS]
    assert len(set(names)) == len(names) >= 25


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_it_is_refused_with_its_line_and_what_is_allowed(kind: Kind, tmp_path: Path) -> None:
    project = copy_of_this_project(tmp_path)
    kind.breaks(project)
    before = contents(project)
    error = ConfigurationError(faults_of_project(project))
    assert error.exit_code == 2
    told = [fault for fault in error.faults if sentence(project, kind) in fault.problem]
    assert len(told) == 1, "\n".join(map(str, error.faults))
    line = number_of(project, kind.file, kind.line)
    assert (told[0].file, told[0].line) == (kind.file, line)
    assert kind.allowed in told[0].remedy
    assert not any("hunter2" in str(fault) for fault in error.faults)
    assert contents(project) == before


def test_all_faults_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    project = copy_of_this_project(tmp_path)
    broken = (
        replace(IMAGES, "port: 80", "port: 0"),
        replace(DEV, "size: 3", "size: -1"),
        replace("inventories/staging/fleets.yml", "podman", "podmn"),
        write(PLAYBOOK, "- hosts: bake\n  roles: [wbe]\n"),
        write("inventories/bake/environment.yml", "miror: host\n"),
    )
    for breaks in broken:
        breaks(project)
    assert [fault.file for fault in faults_of_project(project)] == [
        "inventories/bake/environment.yml",
        DEV,
        "inventories/staging/fleets.yml",
        IMAGES,
        PLAYBOOK,
    ]


def test_a_list_of_tasks_needs_neither_pydantic_nor_yaml() -> None:
    code = "import sys, ovenbird.config; print({'pydantic', 'ruamel.yaml'} & sys.modules.keys())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout == "set()\n"
