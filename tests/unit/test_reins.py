"""Pause, resume, cancel, abort: a person's word to a rollout, whether anybody drives it or not."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care.tend import tend
from ovenbird.rollout import reins
from ovenbird.rollout.pacing import Cancelled
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked, Busy, Inconclusive, Superseded


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Four of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path, size=4)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def half_way(scene: Scene) -> bool:
    return scene.serving.get("web/2", 0) == 2


def stopped_half_way(scene: Scene) -> None:
    def die() -> None:
        raise Killed

    scene.clock.once(lambda: half_way(scene), die)
    with pytest.raises(Killed):
        scene.roll()


def test_a_pause_lets_the_instance_in_hand_be_finished(scene: Scene) -> None:
    told: list[str] = []
    scene.clock.once(
        lambda: len(scene.tokens("web/2")) == 2,
        lambda: told.append(reins.pause(scene.driver(by="bob@db1"), because="a demo")),
    )
    with pytest.raises(Inconclusive, match="is paused by bob@db1: a demo") as paused:
        scene.roll()

    assert paused.value.exit_code == 4
    assert told == ["dev/web is paused; its rollout finishes the instance in hand"]
    assert scene.serving == scene.running == {"web/1": 2, "web/2": 2}


def test_a_paused_rollout_goes_on_after_the_resume(scene: Scene) -> None:
    scene.clock.once(lambda: half_way(scene), lambda: reins.pause(scene.driver(), because="a demo"))
    with pytest.raises(Inconclusive):
        scene.roll()
    with pytest.raises(Inconclusive):
        scene.roll()

    assert "is not paused any more" in reins.resume(scene.driver(), because="it is over")
    assert scene.roll().outcome == "done"
    assert scene.running == {"web/2": 4}


def test_a_pause_holds_neither_a_rollback_nor_a_repair(scene: Scene) -> None:
    scene.roll()
    reins.pause(scene.driver(), because="a demo")
    scene.roll_back()
    assert scene.serving == {"web/1": 4}
    scene.provider.exit(scene.tokens("web/1")[0])
    tend(scene.driver())

    assert scene.serving == {"web/1": 4}


def test_a_fleet_that_is_neither_paused_nor_waiting_is_left_as_it_is(scene: Scene) -> None:
    assert "nothing was done" in reins.resume(scene.driver(), because="")


def test_a_cancel_leaves_a_mixed_fleet_that_nothing_rolls_on(scene: Scene) -> None:
    scene.clock.once(
        lambda: len(scene.tokens("web/2")) == 2, lambda: reins.cancel(scene.driver(by="bob@db1"))
    )
    with pytest.raises(Cancelled, match="was cancelled by bob@db1") as told:
        scene.roll()

    assert told.value.exit_code == 3
    mixed = {"web/1": 2, "web/2": 2}
    assert scene.serving == scene.running == mixed
    last = scene.driver().journal.last()
    assert last is not None
    assert last.outcome == "cancelled"
    assert scene.driver().journal.unfinished() is None
    asked = scene.provider.asked
    tend(scene.driver())
    tend(scene.driver(), resume=True)
    assert scene.running == mixed
    assert {verb for verb, _ in scene.provider.asked[len(asked) :]} <= {"open"}


def test_tend_replaces_what_a_cancelled_rollout_lost_with_the_settled_image(scene: Scene) -> None:
    scene.clock.once(lambda: half_way(scene), lambda: reins.cancel(scene.driver()))
    with pytest.raises(Cancelled):
        scene.roll()
    scene.provider.exit(scene.tokens("web/2")[0])
    tend(scene.driver())

    assert scene.serving == {"web/1": 3, "web/2": 1}


def test_a_cancel_without_a_driver_closes_what_was_interrupted(scene: Scene) -> None:
    stopped_half_way(scene)

    assert "is cancelled" in reins.cancel(scene.driver())
    assert scene.driver().journal.unfinished() is None
    scene.promote("web/3")
    assert scene.roll().after == "web/3"


def test_a_cancel_of_nothing_does_nothing(scene: Scene) -> None:
    assert "nothing was done" in reins.cancel(scene.driver())


def test_a_rollback_hears_a_cancel(scene: Scene) -> None:
    scene.roll()
    scene.clock.once(
        lambda: scene.serving.get("web/1", 0) == 1, lambda: reins.cancel(scene.driver())
    )

    with pytest.raises(Cancelled):
        scene.roll_back()

    assert sum(scene.serving.values()) == 4


def test_an_abort_stops_a_living_rollout_and_rolls_it_back(scene: Scene) -> None:
    aborted: list[str] = []

    def abort() -> None:
        setting = scene.driver(by="bob@db1")
        open_ = reins.require_unfinished(setting)
        scene.roll_back(driver=setting, because=f"aborted the {open_.kind} to {open_.goal}")
        aborted.append(open_.goal.version)

    scene.clock.once(lambda: half_way(scene), abort)
    with pytest.raises(Superseded):
        scene.roll()

    assert aborted == ["web/2"]
    assert scene.serving == scene.running == {"web/1": 4}
    assert scene.history[-1].because == "aborted the rollout to web/2"
    assert scene.driver().book.standing().pins == {"web/2": "aborted the rollout to web/2"}


def test_there_is_nothing_to_abort_in_a_fleet_that_has_arrived(scene: Scene) -> None:
    with pytest.raises(Busy, match="has no rollout to abort"):
        reins.require_unfinished(scene.driver())


def test_a_rollback_that_is_under_way_is_not_aborted(scene: Scene) -> None:
    scene.roll()
    refused: list[Blocked] = []

    def abort() -> None:
        with pytest.raises(Busy, match="is being rolled back already, by ann@here") as told:
            reins.require_unfinished(scene.driver(by="bob@db1"))
        refused.append(told.value)

    scene.clock.once(lambda: scene.serving.get("web/1", 0) == 1, abort)
    scene.roll_back()

    assert len(refused) == 1
