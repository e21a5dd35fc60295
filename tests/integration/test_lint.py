"""Our habits, as tests: what a reviewer need not look for."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
SCRIPTS = ("bootstrap", ".ci/run")


def accepts(tool: str, *words: str) -> bool:
    """Run a tool of this Python's environment over the project; fail with all that it says."""
    done = subprocess.run(
        [BIN / tool, *words],
        cwd=PROJECT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "NO_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"{tool} {' '.join(words)}\n{done.stdout}", pytrace=False)
    return True


def test_ruff_has_nothing_to_say() -> None:
    assert accepts("ruff", "check", "--no-fix", ".")


def test_every_python_file_is_formatted() -> None:
    assert accepts("ruff", "format", "--check", ".")


def test_mypy_believes_every_type_in_the_sources() -> None:
    assert accepts("mypy")


def test_mypy_believes_every_type_in_the_tests() -> None:
    assert accepts("mypy", "tests")


def test_every_import_goes_down_the_floors_of_the_house() -> None:
    assert accepts("lint-imports", "--no-cache")


def test_ansible_lint_accepts_the_playbooks_and_roles_offline() -> None:
    assert accepts("ansible-lint", "--offline", "--profile", "production", "-q")


def test_every_yaml_file_is_tidy() -> None:
    assert accepts("yamllint", "--strict", ".")


@pytest.mark.parametrize("script", SCRIPTS)
def test_shellcheck_accepts(script: str) -> None:
    assert accepts("shellcheck", script)


@pytest.mark.parametrize("script", SCRIPTS)
def test_what_is_started_by_name_may_be_started(script: str) -> None:
    assert os.access(PROJECT / script, os.X_OK)


@pytest.mark.parametrize(("where", "most"), [("src", 300), ("tests", 350)])
def test_no_file_is_longer_than_a_person_reads(where: str, most: int) -> None:
    """Tests may be a little longer: they are read one by one."""
    long = {
        str(source.relative_to(PROJECT)): lines
        for source in PROJECT.glob(f"{where}/**/*.py")
        if (lines := len(source.read_text().splitlines())) > most
    }
    assert not long, long


def test_the_changelog_begins_with_what_is_not_released_yet() -> None:
    heads = [
        line
        for line in (PROJECT / "CHANGELOG.md").read_text().splitlines()
        if line.startswith("## ")
    ]
    assert heads[0] == "## Unreleased"


def test_every_link_between_pages_leads_somewhere() -> None:
    broken = [
        f"{page.relative_to(PROJECT)}: {target}"
        for page in [*PROJECT.glob("*.md"), *PROJECT.glob("docs/**/*.md")]
        for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken, broken
