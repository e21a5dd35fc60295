"""Care between rollouts: one pass, safe to repeat, and beside a rollout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care.tend import tend
from ovenbird.state.database import Database
from ovenbird.values.errors import GoalFailed
from ovenbird.values.image import StopPolicy
from ovenbird.values.instance import Verdict


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def interrupted(scene: Scene) -> None:
    """Leave a rollout to web/2 whose driver died when one of it served."""

    def die() -> None:
        raise Killed

    scene.clock.once(lambda: scene.serving.get("web/2", 0) == 1, die)
    with pytest.raises(Killed):
        scene.roll()


def test_it_starts_nothing_when_all_is_well(scene: Scene) -> None:
    asked, history = scene.provider.asked, scene.history

    assert tend(scene.driver()) == tend(scene.driver()) == "3 of 3 run web/1"
    assert {verb for verb, _ in scene.provider.asked[len(asked) :]} == {"open"}
    assert scene.history == history
    assert scene.said.getvalue().count("Wave") == 2, "the first rollout had two"


def test_it_has_nothing_to_tend_before_anything_has_completed(
    database: Database, tmp_path: Path
) -> None:
    scene = Scene.of(database, tmp_path)

    assert "nothing has completed here yet" in tend(scene.driver())
    assert scene.provider.asked == []


def test_what_its_engine_calls_lost_without_a_time_is_lost_since_a_driver_found_it_so(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each pass is a driver of its own, and none waits as long as it takes to believe it."""
    lost, report = scene.tokens("web/1")[0], type(scene.provider).instances
    monkeypatch.setattr(
        type(scene.provider),
        "instances",
        lambda *asked: [replace(seen, since=None) for seen in report(*asked)],
    )
    scene.provider.lose(lost)
    with pytest.raises(Killed):
        die_after_a_look(scene)
    record = scene.driver().records.of([])[lost]
    scene.clock.pass_by(scene.fleet.health.lost_after + 1)
    tend(scene.driver())

    assert record.lost_at is not None
    assert scene.serving == {"web/1": 3}
    assert len(scene.tokens("web/1")) == 4, "the lost one is ended when its host returns"
    scene.provider.find(lost)
    tend(scene.driver())
    assert scene.driver().records.of([lost])[lost].lost_at is None


def die_after_a_look(scene: Scene) -> None:
    """Kill a driver in the first sleep of its repair."""

    def die() -> None:
        raise Killed

    scene.clock.once(lambda: True, die)
    tend(scene.driver())


def test_a_lost_instance_is_replaced_with_the_settled_image(scene: Scene) -> None:
    lost = scene.tokens("web/1")[0]
    scene.provider.lose(lost)
    scene.clock.pass_by(scene.fleet.health.lost_after + 1)
    tend(scene.driver())

    assert scene.serving == {"web/1": 3}
    assert len(scene.asked("launch")) == 3 + 1
    assert lost not in scene.asked("terminate"), "its host may be back, and is asked then"


def test_one_that_comes_back_after_it_was_replaced_is_surplus(scene: Scene) -> None:
    lost = scene.tokens("web/1")[0]
    scene.provider.lose(lost)
    scene.clock.pass_by(scene.fleet.health.lost_after + 1)
    tend(scene.driver())
    scene.provider.find(lost)
    tend(scene.driver())

    assert scene.running == scene.serving == {"web/1": 3}


@pytest.mark.parametrize("how", ["exit", "removed by hand", "ill"])
def test_what_does_not_serve_any_more_is_replaced_with_the_settled_image(
    how: str, scene: Scene
) -> None:
    token = scene.tokens("web/1")[0]
    match how:
        case "exit":
            scene.provider.exit(token)
        case "removed by hand":
            scene.provider.terminate(token, stop=StopPolicy())
        case "ill":
            scene.provider.answer(token, Verdict.FAIL)
    tend(scene.driver())

    assert scene.running == scene.serving == {"web/1": 3}
    assert token not in scene.tokens("web/1")


def test_a_server_of_a_balancer_without_an_instance_is_taken_out(scene: Scene) -> None:
    token = scene.tokens("web/1")[0]
    scene.provider.terminate(token, stop=StopPolicy())
    tend(scene.driver())

    assert token not in {entry.token for entry in scene.balancer.entries()}


def test_it_leaves_a_running_rollout_alone(scene: Scene) -> None:
    told: list[str] = []

    def beside() -> None:
        asked = scene.provider.asked
        scene.provider.exit(scene.tokens("web/1")[0])
        told.append(tend(scene.driver(by="timer@here")))
        told.append(tend(scene.driver(by="timer@here"), resume=True))
        assert scene.provider.asked == asked

    scene.clock.once(lambda: scene.serving.get("web/2", 0) == 1, beside)
    scene.roll()

    assert len(told) == 2
    assert all(t.startswith("left alone: a rollout by ann@here, for") for t in told)
    assert scene.running == {"web/2": 3}


def test_an_interrupted_rollout_is_told_and_rolled_neither_on_nor_back(scene: Scene) -> None:
    """Nor is its canary ended as surplus: a rollout that waits for data waits for its."""
    interrupted(scene)
    before, asked = scene.serving, scene.provider.asked

    told = tend(scene.driver())

    assert "a rollout to web/2 of" in told
    assert "is unfinished" in told
    assert scene.serving == scene.running == before == {"web/1": 3, "web/2": 1}
    assert {verb for verb, _ in scene.provider.asked[len(asked) :]} <= {"open"}


def test_what_an_interrupted_rollout_lost_is_replaced_with_the_settled_image(scene: Scene) -> None:
    interrupted(scene)
    for token in scene.tokens("web/1")[:2]:
        scene.provider.exit(token)
    tend(scene.driver())

    assert scene.serving == scene.running == {"web/1": 2, "web/2": 1}


def test_an_interrupted_rollout_is_gone_on_with_where_that_is_asked_for(scene: Scene) -> None:
    interrupted(scene)

    assert tend(scene.driver(), resume=True).startswith("the interrupted rollout went on")
    assert scene.running == scene.serving == {"web/2": 3}


def test_an_interrupted_rollback_is_gone_on_with_as_a_rollback(scene: Scene) -> None:
    scene.roll()

    def die() -> None:
        raise Killed

    scene.clock.once(lambda: scene.serving.get("web/1", 0) == 1, die)
    with pytest.raises(Killed):
        scene.roll_back()

    assert tend(scene.driver(), resume=True).startswith("the interrupted rollback went on")
    assert scene.running == scene.serving == {"web/1": 3}
    assert set(scene.driver().book.standing().pins) == {"web/2"}


def test_a_settled_image_that_will_not_start_is_not_launched_every_minute(scene: Scene) -> None:
    """Those that failed stay for a look; a retry clears them away."""
    scene.provider.becomes("web/1", Verdict.FAIL)
    for token in scene.tokens("web/1"):
        scene.provider.exit(token)
    with pytest.raises(GoalFailed) as told:
        tend(scene.driver())
    assert told.value.exit_code == 1
    launched = scene.asked("launch")
    with pytest.raises(GoalFailed):
        tend(scene.driver())
    assert scene.asked("launch") == launched
    scene.provider.becomes("web/1", Verdict.PASS)
    scene.roll("web/1", retry=True)

    assert scene.serving == scene.running == {"web/1": 3}


def test_a_repair_changes_neither_the_goal_nor_the_history_of_rollouts(scene: Scene) -> None:
    before = scene.driver().journal.last()
    scene.provider.exit(scene.tokens("web/1")[0])
    tend(scene.driver())

    assert scene.driver().journal.last() == before
    assert scene.driver().journal.completed() == ["web/1"]
    assert [deed.verb for deed in scene.history] == ["rollout", "repair"]
