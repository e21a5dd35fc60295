"""Killed at every point, stopped, overtaken and lied to: what a rollout on memory survives.

The world is a server that outlives the drivers, and each driver is a process of its own.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from tests.faults.driver import Job, points_of, run, start
from tests.faults.harness import Kill, kill_everywhere
from tests.faults.points import is_after_a_transaction
from tests.faults.scene import MemoryScene, memory_scene
from tests.faults.table import HEAD, PAGE, SIZE, all_rows, line, page
from tests.postgres import PostgresServer
from tests.project import until

from ovenbird.rollout.lease import LIFE
from ovenbird.values.procedure import Checkpoint, Procedure, Strategy

EVERY = bool(os.environ.get("OVENBIRD_TEST_EVERY_POINT"))
"""All points of a rollout, not one of each kind: as ``invoke dev.faults --every``."""

CHANGES = ("launch", "register", "drain", "deregister", "terminate")


REWRITE = "if you mean it: python -m tests.faults.table --write"


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[MemoryScene]:
    with memory_scene(tmp_path / "w") as made:
        yield made


def nothing_is_wrong(kills: list[Kill], note: Callable[[str, object], None]) -> None:
    note("points", str(len(kills)))
    note("killed", str(sum(kill.killed for kill in kills)))
    note("lowest", str(min(kill.lowest for kill in kills)))
    assert not [str(kill) for kill in kills if not kill.is_well]
    assert sum(kill.killed for kill in kills) >= 0.9 * len(kills)


def test_killed_at_each_point_a_rollout_is_finished_by_one_more(
    scene: MemoryScene, record_property: Callable[[str, object], None]
) -> None:
    nothing_is_wrong(kill_everywhere(scene, every=EVERY), record_property)


def test_killed_at_each_point_on_postgresql_it_is_finished_as_well(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with (
        PostgresServer() as server,
        memory_scene(tmp_path / "w", url=server.fresh_database()) as scene,
    ):
        kills = kill_everywhere(scene, every=EVERY, among=is_after_a_transaction)
    nothing_is_wrong(kills, record_property)


def killed_in_a_late_launch(scene: MemoryScene, seconds: float) -> None:
    """Kill a driver while its launch is on the way, which lands ``seconds`` after it was sent."""
    scene.begin()
    scene.provider.delay_next("launch", seconds)
    first = start(scene.job())
    until(lambda: not scene.provider.snapshot().delays["launch"])
    kill(first)


def kill(driver: ForkServerProcess) -> None:
    assert driver.pid is not None
    os.kill(driver.pid, signal.SIGKILL)
    driver.join()


def launches(scene: MemoryScene) -> int:
    begun = len(scene.start.world.asked)
    return sum(verb == "launch" for verb, _ in scene.provider.asked[begun:])


def test_a_launch_that_lands_ten_seconds_after_the_kill_makes_no_second_instance(
    scene: MemoryScene,
) -> None:
    killed_in_a_late_launch(scene, 10.0)

    assert run(scene.job()) == 0
    assert scene.complaints() == []
    before = launches(scene)
    until(lambda: launches(scene) == before + 1, seconds=15)

    assert scene.complaints() == []


def test_a_launch_that_lands_after_the_goal_has_changed_is_ended_by_the_next_command(
    scene: MemoryScene,
) -> None:
    killed_in_a_late_launch(scene, 4.0)

    assert run(scene.job(image=scene.before)) == 0
    assert scene.complaints(goal=scene.before) == []
    until(lambda: launches(scene) >= 1, seconds=10)
    assert run(scene.job(image=scene.before)) == 0

    assert scene.complaints(goal=scene.before) == []


def stop_at(scene: MemoryScene, point: str) -> tuple[ForkServerProcess, Job]:
    """Stop a driver (SIGSTOP) at a point."""
    job = scene.job(stop_at=point, signal=signal.SIGSTOP)
    stopped = start(job)
    until(lambda: point in points_of(job))
    return stopped, job


def test_a_driver_that_was_stopped_for_longer_than_its_lease_does_nothing_more(
    scene: MemoryScene,
) -> None:
    scene.begin()
    stopped, job = stop_at(scene, "after write records.accept 2")
    done = len(points_of(job))
    assert stopped.pid is not None

    refused = run(scene.job())
    time.sleep(LIFE + 1)
    taken_over = run(scene.job())
    os.kill(stopped.pid, signal.SIGCONT)
    stopped.join(30)

    after = [point for point in points_of(job)[done:] if point.split()[1] in CHANGES]
    assert (refused, taken_over, stopped.exitcode, after) == (3, 0, 3, [])
    assert scene.complaints() == []


def test_a_rollback_does_not_wait_for_anothers_soak(tmp_path: Path) -> None:
    soaks = Procedure(strategy=Strategy.STEPPED, checkpoints=(Checkpoint(share=2, soak=600.0),))
    with memory_scene(tmp_path / "w", procedure=soaks) as scene:
        scene.begin()
        job = scene.job()
        rolling = start(job)
        until(lambda: any("checkpoints.reach" in point for point in points_of(job)))

        began = time.monotonic()
        assert run(scene.job(rollback=True, image="")) == 0
        took = time.monotonic() - began
        rolling.join(30)

        assert rolling.exitcode == 3
        assert took < 10
        assert scene.complaints(goal=scene.before) == []


def test_no_fault_hangs_for_ever_or_loses_capacity_and_the_page_says_what_each_does(
    tmp_path: Path,
) -> None:
    """Every other row of the page, where OVENBIRD_TEST_EVERY_POINT does not ask for all."""
    every = EVERY or "OVENBIRD_TEST_REWRITE" in os.environ
    with memory_scene(tmp_path / "w", size=SIZE) as scene:
        rows = all_rows(scene, share=1 if every else 2)

    assert not [f"{row}\n{row.said}" for row in rows if not row.is_well]
    if os.environ.get("OVENBIRD_TEST_REWRITE"):
        PAGE.write_text(page(rows))
    told = PAGE.read_text()
    listed = told.removeprefix(HEAD).splitlines()[1:]
    share = 1 if every else 2
    assert told.startswith(HEAD), REWRITE
    assert [line(row) for row in rows if line(row) not in listed] == [], REWRITE
    assert len(rows) == (len(listed) + share - 1) // share, REWRITE
