"""A job before the first wave: once, whoever dies over it, and nothing is rolled where it fails."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care.tend import tend
from ovenbird.catalog import Catalog
from ovenbird.provider.memory import MemoryProvider
from ovenbird.rollout.before import JobFailed
from ovenbird.rollout.goal import choose
from ovenbird.rollout.intent import foresee
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.records import Records
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked, GoalFailed, Superseded
from ovenbird.values.fleet import JobSpec
from ovenbird.values.image import Contract, ImageRef, ImageState
from ovenbird.values.procedure import OnFailure, Procedure

JOBS = (("migrate", ("/usr/bin/migrate",)),)


@pytest.fixture
def scene(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Two of web/1 serve, and from now on a job runs before each first wave."""
    monkeypatch.setattr("tests.faults.house.Contract", partial(Contract, jobs=JOBS))
    scene = Scene.of(database, tmp_path, size=2)
    scene.roll("web/1")
    return scene.wanting(before_first_wave=JobSpec(name="migrate", timeout=30.0))


def nothing_is_left(scene: Scene) -> bool:
    return not [s for s in scene.provider.instances(scene.key) if s.job]


def test_a_job_runs_once_before_the_first_wave_and_is_removed(scene: Scene) -> None:
    scene.roll("web/2")
    (token,) = scene.provider.ran
    asked = [t for verb, t in scene.provider.asked if verb == "launch"]
    assert asked.index(token) < asked.index(scene.tokens("web/2")[0])
    assert scene.serving == {"web/2": 2}
    assert nothing_is_left(scene)
    record = scene.driver().records.of([token])[token]
    assert (record.job, record.exit_code) == ("migrate", 0)
    assert record.ended_at is not None


def test_its_plan_says_that_it_runs_first(scene: Scene) -> None:
    scene.promote("web/2")
    setting = scene.driver()
    text = foresee(setting, choose(setting)).text
    assert "first the job migrate runs once, for 30 s at the most" in text


def test_a_rollout_to_what_has_settled_runs_none(scene: Scene) -> None:
    scene.roll()
    assert scene.provider.ran == []


def test_a_job_that_fails_rolls_nothing_and_shows_its_console(scene: Scene) -> None:
    scene.provider.end_jobs_with(3)
    with pytest.raises(JobFailed, match=r"migrate of web/2 ended with exit code 3") as failed:
        scene.roll("web/2")
    assert failed.value.exit_code == 1
    assert "runs migrate" in failed.value.evidence
    assert scene.running == scene.serving == {"web/1": 2}
    assert nothing_is_left(scene)


def test_a_failed_job_refuses_its_goal_at_once_and_a_retry_runs_it_again(scene: Scene) -> None:
    scene.provider.end_jobs_with(1)
    with pytest.raises(JobFailed):
        scene.roll("web/2")
    with pytest.raises(GoalFailed, match="its job migrate ended with exit code 1"):
        scene.roll()
    assert len(scene.provider.ran) == 1
    scene.provider.end_jobs_with(0)
    scene.roll(retry=True)
    assert len(set(scene.provider.ran)) == 2
    assert scene.serving == {"web/2": 2}


def test_a_failed_job_sends_no_fleet_back(scene: Scene) -> None:
    scene = scene.wanting(procedure=Procedure(on_failure=OnFailure.ROLLBACK))
    scene.provider.end_jobs_with(1)
    with pytest.raises(JobFailed):
        scene.roll("web/2")
    assert [deed.verb for deed in scene.history].count("rollback") == 0
    tend(scene.driver())
    assert scene.driver().book.standing().pins == {}


def test_a_job_that_takes_too_long_is_ended_and_has_failed(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)
    with pytest.raises(JobFailed, match="did not end by itself within 30 s"):
        scene.roll("web/2")
    assert 30 <= scene.clock.passed < 45
    assert scene.running == {"web/1": 2}
    assert nothing_is_left(scene)


def test_a_rollback_runs_none(scene: Scene) -> None:
    scene.roll("web/2")
    scene.roll_back()
    assert len(scene.provider.ran) == 1
    assert scene.serving == {"web/1": 2}


def test_a_resumed_rollout_waits_for_the_job_of_its_dead_driver(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)

    def die() -> None:
        raise Killed

    scene.clock.once(lambda: bool(scene.provider.ran), die)
    with pytest.raises(Killed):
        scene.roll("web/2")
    (token,) = scene.provider.ran
    scene.clock.once(lambda: True, lambda: scene.provider.exit(token, code=0))
    scene.roll()
    assert scene.provider.ran == [token]
    assert scene.serving == {"web/2": 2}


def test_a_rollback_lets_a_running_job_end_before_it_goes_back(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)
    ended: list[str] = []

    def finish() -> None:
        assert not scene.asked("terminate")
        ended.append(scene.provider.ran[0])
        scene.provider.exit(ended[0], code=0)

    def go_back() -> None:
        scene.clock.once(lambda: True, finish)
        scene.roll_back(driver=scene.driver(by="bob@here"))

    scene.clock.once(lambda: bool(scene.provider.ran), go_back)
    with pytest.raises(Superseded):
        scene.roll("web/2")
    assert ended == scene.provider.ran == scene.asked("terminate")
    assert scene.running == {"web/1": 2}
    assert nothing_is_left(scene)


def test_an_image_that_is_revoked_while_its_job_runs_is_not_rolled(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)

    def revoke() -> None:
        ref = ImageRef.parse("web/2")
        now = scene.clock.now()
        Catalog(scene.site.database).judge(ref, ImageState.REVOKED, by="bob", because="CVE", at=now)
        scene.provider.exit(scene.provider.ran[0], code=0)

    scene.clock.once(lambda: bool(scene.provider.ran), revoke)
    with pytest.raises(Blocked, match="revoked"):
        scene.roll("web/2")
    assert scene.running == {"web/1": 2}
    assert nothing_is_left(scene)


def test_tend_removes_a_job_that_ended_without_its_driver(scene: Scene) -> None:
    scene.provider.end_jobs_with(None)

    def die() -> None:
        scene.provider.exit(scene.provider.ran[0], code=0)
        raise Killed

    scene.clock.once(lambda: bool(scene.provider.ran), die)
    with pytest.raises(Killed):
        scene.roll("web/2")
    tend(scene.driver())
    assert nothing_is_left(scene)
    scene.roll()
    assert len(scene.provider.ran) == 1, "its code was kept"
    assert scene.serving == {"web/2": 2}


WRITES = [
    *((Journal, verb) for verb in ("begin", "intend_launch", "intend", "finished", "ended")),
    *((Records, verb) for verb in ("exited", "listed")),
    *((MemoryProvider, verb) for verb in ("launch", "terminate")),
]


def deaths(patch: pytest.MonkeyPatch, at: int, *, after: bool) -> None:
    """Kill whoever writes or calls for the ``at``-th time, once."""
    left = [at]

    def deadly(owner: type, verb: str) -> None:
        real = getattr(owner, verb)

        def written(*args: object, **kwargs: object) -> object:
            left[0] -= 1
            if left[0] == 0 and not after:
                raise Killed
            result = real(*args, **kwargs)
            if left[0] == 0:
                raise Killed
            return result

        patch.setattr(owner, verb, written)

    for owner, verb in WRITES:
        deadly(owner, verb)


@pytest.mark.parametrize("tended", [False, True])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", range(1, 13))
def test_a_job_runs_exactly_once_wherever_its_driver_is_killed(
    scene: Scene, at: int, after: bool, tended: bool
) -> None:
    scene.promote("web/2")
    with pytest.MonkeyPatch.context() as patch:
        deaths(patch, at, after=after)
        with pytest.raises(Killed):
            scene.roll()
    if tended:
        tend(scene.driver())
    scene.roll()
    assert len(scene.provider.ran) == 1
    assert scene.running == scene.serving == {"web/2": 2}
    assert nothing_is_left(scene)
    journal = scene.driver().journal
    assert journal.in_the_air() == journal.in_the_air(jobs=True) == []
