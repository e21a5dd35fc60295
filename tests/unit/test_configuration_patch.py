"""inventories/patch.yml: when images are baked anew, how they travel, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from ovenbird.config import load_patching
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.patch import Patching, Rule, Step

DAY = timedelta(days=1)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for env in ("dev", "production"):
        (tmp_path / "inventories" / env).mkdir(parents=True)
        (tmp_path / "inventories" / env / "fleets.yml").write_text("fleets: {}\n")
    (tmp_path / "packer").mkdir()
    (tmp_path / "packer/images.yml").write_text("families:\n  web: {}\n")
    return tmp_path


def read(project: Path, text: str) -> Patching:
    (project / "inventories/patch.yml").write_text(text)
    return load_patching(project)


def test_without_the_file_images_are_baked_by_the_default_rules_and_go_nowhere(
    project: Path,
) -> None:
    assert load_patching(project) == Patching() == read(project, "# nothing yet\n")
    assert Patching().rule("web") == Rule(security=0 * DAY, all=7 * DAY, max_age=30 * DAY)


def test_a_path_and_its_rules_are_read(project: Path) -> None:
    found = read(
        project,
        """
path:
  - env: dev
  - {env: production, soak: 36h, approval: true}
rules:
  default: {all: monthly}
  web: {security: 12h, all: never, max_age: 8w}
schedule: {at: "0 4 * * 6", disable_after: 3}
notify: [file:~/.config/ovenbird/slack]
metrics: /var/lib/node/ovenbird.prom
""",
    )

    assert found.path == (
        Step(env="dev"),
        Step(env="production", soak=timedelta(hours=36), approval=True),
    )
    assert found.rule("base").all == 30 * DAY
    assert found.rule("web") == Rule(security=DAY / 2, all=None, max_age=56 * DAY)
    assert (found.at, found.disable_after) == ("0 4 * * 6", 3)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("path:\n  - env: dve\n", 2, "There is no environment 'dve'"),
        ("path:\n  - env: dev\n  - env: dev\n", 3, "dev is on the path twice"),
        ("path:\n  - {env: dev, soak: 1d}\n", 2, "the first environment asks for evidence"),
        ("path:\n  - env: dev\n  - {env: production, soak: soon}\n", 3, "no span of time"),
        ("path:\n  - env: dev\n  - {env: production, soak: 99999w}\n", 3, "longer than ten years"),
        ("rules:\n  wbe: {}\n", 2, "no family 'wbe'"),
        ("rules:\n  web: {all: sometimes}\n", 2, "no span of time: 'sometimes'"),
        ("rules:\n  web: {all: 7}\n", 2, "must be a span of time"),
        ("schedule:\n  at: tonight\n", 2, "no time table of cron"),
        ("schedule:\n  at: 0 0 30 2 *\n", 2, "that ever comes"),
        ("schedule:\n  disable_after: 0\n", 2, "disable_after"),
        ("notify: [https://hooks.example.org/s3cr3t]\n", 1, "not a reference"),
        ("metrics: /tmp/metrics.txt\n", 1, "Prometheus reads only *.prom"),
        ("pathe: []\n", 1, "pathe"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_line(
    project: Path, text: str, line: int, said: str
) -> None:
    with pytest.raises(ConfigurationError) as told:
        read(project, text)

    (fault,) = told.value.faults
    assert (fault.file, fault.line) == ("inventories/patch.yml", line)
    assert said.lower() in fault.problem.lower()
    assert "s3cr3t" not in str(fault)
    assert fault.remedy
