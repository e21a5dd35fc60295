"""A migration before the first wave, in a real container of a real image."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest
from tests.integration.conftest import JOBS, STOP
from tests.live import LiveFleet
from tests.project import until


@pytest.fixture
def fleet(new_fleet: Callable[..., LiveFleet], second_image: str) -> Iterator[LiveFleet]:
    """A fleet of two that runs web/1; the families know the jobs of the second image."""
    fleet = new_fleet(size=2)
    fleet.rollout()
    file = fleet.project.folder / "packer/images.yml"
    before = file.read_text()
    fleet.project.rewrite_families({STOP: STOP + JOBS})
    yield fleet
    file.write_text(before)


def test_a_migration_that_fails_rolls_nothing_and_shows_its_console(
    fleet: LiveFleet, second_image: str
) -> None:
    before = set(fleet.containers())
    fleet.declare(image=second_image, job="break")
    failed = fleet.rollout(code=1)

    assert "this cannot be migrated" in failed.stderr
    assert set(fleet.containers()) == before
    assert fleet.serving() == ["web/1"] * 2
    assert "failed in" in fleet.rollout(code=1).stderr, "it is refused without another try"


def test_a_migration_runs_once_though_its_driver_is_killed_while_it_runs(
    fleet: LiveFleet, second_image: str
) -> None:
    begun = datetime.now(UTC)
    fleet.declare(image=second_image, job="migrate")
    driver = fleet.start_rollout()
    until(lambda: any("-job-" in name for name in fleet.containers()), seconds=60)
    driver.kill()
    assert fleet.serving() == ["web/1"] * 2
    fleet.rollout()

    made = fleet.created(since=begun)
    jobs = [name for name in made if "-job-" in name]
    assert len(jobs) == 1
    assert fleet.serving() == [second_image] * 2
    assert jobs[0] not in fleet.containers()
    console = fleet.project.run("fleet.logs", jobs[0]).stdout
    assert console.split() == ["migrating", "migrated"]
