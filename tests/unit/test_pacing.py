"""How far a rollout may go now: checkpoints, windows, metrics, and who ignores them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.console import Console
from ovenbird.fleet.metric import Kind, MetricVerdict
from ovenbird.rollout import pacing, reins
from ovenbird.state.database import Database
from ovenbird.tasks import rollout as rollout_task
from ovenbird.values.errors import Blocked, ConfigurationError, GoalFailed, Inconclusive
from ovenbird.values.procedure import Checkpoint, MetricSpec, Procedure, Strategy, Window

SOAK = 60.0
STEPPED = Procedure(
    strategy=Strategy.STEPPED,
    checkpoints=(Checkpoint(share=1, soak=SOAK), Checkpoint(share="50%", soak=20.0)),
)
APPROVED = Procedure(
    strategy=Strategy.STEPPED, checkpoints=(Checkpoint(share=1, soak=10.0, approve=True),)
)
AT_TWO = Procedure(windows=(Window(cron="0 2 * * *", length=3600),))
"""It is one o'clock when a scene begins."""
MEASURED = Procedure(
    metrics=(MetricSpec(name="errors", url="http://127.0.0.1:1", query="x", threshold=1.0),)
)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Four of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path, size=4)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


@pytest.fixture
def says(monkeypatch: pytest.MonkeyPatch) -> list[Kind]:
    """What the metric says: the first of these, or good."""
    kinds: list[Kind] = []

    def ask(spec: MetricSpec, **_: str) -> MetricVerdict:
        kind = kinds[0] if kinds else Kind.GOOD
        return MetricVerdict(kind=kind, value=None, because=f"{spec.name}: {kind}")

    monkeypatch.setattr(pacing, "ask", ask)
    return kinds


def at_minutes_past_one(scene: Scene, minutes: float) -> None:
    scene.clock.pass_by(minutes * 60 - scene.clock.passed)


def test_a_stepped_rollout_soaks_at_each_checkpoint(scene: Scene) -> None:
    began = scene.clock.passed
    counts: list[int] = []
    for moment in (SOAK / 2, SOAK + 15):
        scene.clock.once(
            lambda moment=moment: scene.clock.passed - began > moment,  # type: ignore[misc]
            lambda: counts.append(scene.running["web/2"]),
        )
    outcome = scene.wanting(procedure=STEPPED).roll()

    assert counts == [1, 2]
    assert scene.clock.passed - began > SOAK + 20
    assert outcome.outcome == "done"
    assert scene.running == scene.serving == {"web/2": 4}


def test_a_soak_goes_on_where_a_killed_driver_left_it(scene: Scene) -> None:
    """It counts from the database: the next driver waits for what is left, and no more."""
    stepped = scene.wanting(procedure=STEPPED)
    began = scene.clock.passed

    def die() -> None:
        raise Killed

    scene.clock.once(lambda: scene.clock.passed - began > SOAK / 2, die)
    with pytest.raises(Killed):
        stepped.roll()
    scene.clock.pass_by(SOAK / 2)
    resumed = scene.clock.passed
    stepped.roll()

    assert scene.clock.passed - resumed < SOAK, "it did not soak for all of it again"
    assert scene.running == {"web/2": 4}


def test_a_rollback_does_not_wait_for_the_soak_of_another(scene: Scene) -> None:
    stepped = scene.wanting(procedure=STEPPED)
    began = scene.clock.passed
    took: list[float] = []

    def go_back() -> None:
        then = scene.clock.passed
        stepped.roll_back(driver=stepped.driver(by="bob@here"))
        took.append(scene.clock.passed - then)

    scene.clock.once(lambda: scene.clock.passed - began > SOAK / 2, go_back)
    with pytest.raises(Blocked) as told:
        stepped.roll()

    assert told.value.exit_code == 3
    assert took[0] < 30 < SOAK
    assert scene.serving == scene.running == {"web/1": 4}


def test_a_checkpoint_waits_for_a_word_and_goes_on_after_it(scene: Scene) -> None:
    approved = scene.wanting(procedure=APPROVED)
    with pytest.raises(Inconclusive, match="waits at checkpoint 1") as told:
        approved.roll()
    assert told.value.exit_code == 4
    assert scene.serving == {"web/1": 3, "web/2": 1}
    with pytest.raises(Inconclusive, match="somebody must approve"):
        approved.roll()

    assert "may pass checkpoint 1" in reins.resume(approved.driver(), because="it looks good")

    assert approved.roll().outcome == "done"
    assert scene.running == {"web/2": 4}


def test_a_window_that_is_closed_before_the_start_fixes_no_goal(scene: Scene) -> None:
    closed = scene.wanting(procedure=AT_TWO)
    asked = scene.provider.asked
    with pytest.raises(Blocked, match="outside its windows") as told:
        closed.roll()

    assert told.value.exit_code == 3
    assert scene.provider.asked == asked
    last = closed.driver().journal.last()
    assert last is not None
    assert last.goal.version == "web/1"
    at_minutes_past_one(scene, 61)
    assert closed.roll("web/3").after == "web/3"


def test_a_window_that_closes_lets_the_instance_in_hand_be_finished(scene: Scene) -> None:
    windowed = scene.wanting(procedure=AT_TWO)
    at_minutes_past_one(scene, 119.9)
    with pytest.raises(Blocked, match="outside its windows") as told:
        windowed.roll()

    assert told.value.exit_code == 3
    assert scene.running == scene.serving, "none is left half done"
    assert sum(scene.serving.values()) == 4
    assert 0 < scene.serving["web/2"] < 4
    at_minutes_past_one(scene, 60 + 24 * 60 + 1)
    assert windowed.roll().outcome == "done"


def test_a_rollback_waits_for_no_window(scene: Scene) -> None:
    scene.roll()
    scene.wanting(procedure=AT_TWO).roll_back()

    assert scene.serving == {"web/1": 4}


def test_an_emergency_waits_for_nothing_and_stands_in_the_history(
    scene: Scene, says: list[Kind]
) -> None:
    says.append(Kind.BAD)
    procedure = replace(STEPPED, windows=AT_TWO.windows, metrics=MEASURED.metrics)
    began = scene.clock.passed
    scene.wanting(procedure=procedure).roll(emergency=True, because="a hole in openssl")

    assert scene.clock.passed - began < SOAK
    assert scene.running == {"web/2": 4}
    assert scene.history[-1].because == "emergency: a hole in openssl"
    last = scene.driver().journal.last()
    assert last is not None
    assert last.emergency


def test_an_emergency_without_a_reason_is_refused_before_anything_is_looked_at(
    scene: Scene,
) -> None:
    with pytest.raises(ConfigurationError, match="says no reason") as told:
        rollout_task._carry_out(
            scene.driver(),
            lambda _: pytest.fail("it chose a goal"),
            Console(err=scene.said, out=scene.said),
            yes=True,
            plan=False,
            emergency=True,
            because="",
        )

    assert told.value.exit_code == 2


def test_an_emergency_is_held_by_a_pause_all_the_same(scene: Scene) -> None:
    reins.pause(scene.driver(), because="the database moves")

    with pytest.raises(Inconclusive, match="is paused by ann@here: the database moves"):
        scene.roll(emergency=True, because="a hole in openssl")


def test_a_bad_metric_fails_the_goal_and_the_next_rollout_to_it_is_refused(
    scene: Scene, says: list[Kind]
) -> None:
    measured = scene.wanting(procedure=MEASURED)
    scene.clock.once(lambda: scene.serving.get("web/2") == 1, lambda: says.append(Kind.BAD))
    with pytest.raises(GoalFailed, match=r"web/2 is not good enough in dev/web: errors: bad") as t:
        measured.roll()
    assert t.value.exit_code == 1
    launched = scene.asked("launch")
    with pytest.raises(GoalFailed, match="failed in dev/web on"):
        measured.roll()

    assert scene.asked("launch") == launched
    assert sum(scene.serving.values()) >= 4


def test_without_data_a_rollout_pauses_and_says_nothing_against_its_image(
    scene: Scene, says: list[Kind]
) -> None:
    measured = scene.wanting(procedure=MEASURED)
    scene.clock.once(lambda: scene.serving.get("web/2") == 1, lambda: says.append(Kind.NO_DATA))
    with pytest.raises(Inconclusive, match="cannot be judged") as told:
        measured.roll()
    assert told.value.exit_code == 4
    last = scene.driver().journal.last()
    assert last is not None
    assert last.outcome == "inconclusive"
    says.clear()

    assert measured.roll().outcome == "done"


def test_a_metric_that_turns_bad_at_the_end_is_still_heard(scene: Scene, says: list[Kind]) -> None:
    measured = scene.wanting(procedure=MEASURED)
    scene.clock.once(lambda: scene.serving == {"web/2": 4}, lambda: says.append(Kind.BAD))

    with pytest.raises(GoalFailed):
        measured.roll()

    settled = scene.driver().book.standing().settled
    assert settled is not None
    assert settled.version == "web/1"
