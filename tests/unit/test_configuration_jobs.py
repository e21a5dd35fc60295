"""The jobs of a family, as they are written and as they are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.unit.test_configuration import BASE, WEB, a_project

from ovenbird import config
from ovenbird.values.errors import ConfigurationError

WRITABLE = "      writable: [/var/log/nginx]\n"


def test_a_family_names_what_its_images_can_run(tmp_path: Path) -> None:
    jobs = "      jobs: {migrate: [/usr/bin/migrate, --all], clean: [/bin/true]}\n"
    project = a_project(tmp_path, images=BASE + WEB.replace(WRITABLE, WRITABLE + jobs))
    assert config.load_families(project)["web"].contract.jobs == (
        ("clean", ("/bin/true",)),
        ("migrate", ("/usr/bin/migrate", "--all")),
    )


@pytest.mark.parametrize("jobs", ["{migrate: [migrate]}", "{migrate: []}", "{Not_so: [/bin/true]}"])
def test_a_job_without_a_name_or_an_absolute_program_is_refused(tmp_path: Path, jobs: str) -> None:
    images = BASE + WEB.replace(WRITABLE, f"{WRITABLE}      jobs: {jobs}\n")
    with pytest.raises(ConfigurationError, match=r"images\.yml:\d+"):
        config.load_families(a_project(tmp_path, images=images))
