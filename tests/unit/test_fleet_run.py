"""A fleet of jobs runs one at a time, on demand, and a dead driver's run is gone on with."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.rollout.run import run_job
from ovenbird.state.database import Database
from ovenbird.values.errors import Busy, ConfigurationError, GoalFailed
from ovenbird.values.fleet import JobSpec, Kind
from ovenbird.values.image import Contract

JOBS = (("report", ("/usr/bin/report",)),)


@pytest.fixture
def scene(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    monkeypatch.setattr("tests.faults.house.Contract", partial(Contract, jobs=JOBS))
    job = JobSpec(name="report", timeout=30.0)
    return Scene.of(database, tmp_path, size=0, kind=Kind.JOB, job=job, balancers=())


def die() -> None:
    raise Killed


def test_a_run_ends_well_leaves_nothing_and_stands_in_the_history(scene: Scene) -> None:
    ran = run_job(scene.driver(), because="month end")
    assert (ran.version, ran.job, ran.ended.code, ran.adopted) == ("web/1", "report", 0, "")
    assert "runs report" in ran.ended.console
    assert scene.running == {}
    (deed,) = scene.history
    assert (deed.verb, deed.after, deed.because, deed.outcome) == (
        "run",
        "web/1",
        "month end",
        "done",
    )


def test_each_run_is_another_one(scene: Scene) -> None:
    run_job(scene.driver())
    run_job(scene.driver(), image="web/2")
    assert len(set(scene.provider.ran)) == 2


def test_a_run_that_fails_says_how_and_shows_its_end(scene: Scene) -> None:
    scene.provider.end_jobs_with(4)
    ran = run_job(scene.driver())
    with pytest.raises(GoalFailed, match="report of web/1 ended with exit code 4") as failed:
        ran.require_well()
    assert "runs report" in failed.value.evidence
    assert scene.history[-1].outcome == "failed"


def test_a_run_that_takes_too_long_is_ended(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)
    ran = run_job(scene.driver(), timeout=5.0)
    assert ran.ended.code is None
    assert scene.running == {}
    with pytest.raises(GoalFailed, match="within 5 s"):
        ran.require_well()


def test_a_dead_drivers_run_is_waited_for_and_no_other_is_started(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)
    scene.clock.once(lambda: bool(scene.provider.ran), die)
    with pytest.raises(Killed):
        run_job(scene.driver())
    (token,) = scene.provider.ran
    scene.clock.once(lambda: True, lambda: scene.provider.exit(token, code=0))
    ran = run_job(scene.driver(by="bob@here"))
    assert (ran.ended.token, ran.ended.code, ran.adopted) == (token, 0, "ann@here")
    assert scene.provider.ran == [token]


def test_a_second_one_is_refused_while_one_is_under_way(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)
    refused: list[bool] = []

    def again() -> None:
        with pytest.raises(Busy):
            run_job(scene.driver(by="bob@here"))
        refused.append(True)
        scene.provider.exit(scene.provider.ran[0], code=0)

    scene.clock.once(lambda: bool(scene.provider.ran), again)
    assert run_job(scene.driver()).ended.code == 0
    assert refused
    assert len(scene.provider.ran) == 1


def test_a_service_has_nothing_to_run(scene: Scene) -> None:
    service = scene.wanting(kind=Kind.SERVICE, job=None)
    with pytest.raises(ConfigurationError, match="has no job of its own"):
        run_job(service.driver())
