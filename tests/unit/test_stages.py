"""A whole environment: its fleets by stage, and each stage after the one before has soaked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.driving import Scene

from ovenbird.care.tend import tend
from ovenbird.rollout.setting import Setting
from ovenbird.rollout.stages import in_stages, roll_all, soak
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked, GoalFailed
from ovenbird.values.procedure import Procedure

SOAK = 120.0


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """A fleet ``web`` in stage 1 that soaks for two minutes."""
    return Scene.of(database, tmp_path, size=2, stage=1, procedure=Procedure(soak=SOAK))


@pytest.fixture
def shop(scene: Scene) -> Scene:
    """A fleet ``shop`` in stage 2 of the same environment."""
    return scene.beside("shop", stage=2)


def roll_every(
    *scenes: Scene, says_no: str = "", emergency: bool = False
) -> list[tuple[str, float]]:
    """Do what ``invoke rollout.all`` does; return which fleet was begun when."""
    clock, begun = scenes[0].clock, list[tuple[str, float]]()
    by_name = {scene.fleet.name: scene for scene in scenes}

    def roll(setting: Setting) -> bool:
        if setting.fleet.name == says_no:
            return False
        begun.append((setting.fleet.name, clock.passed))
        by_name[setting.fleet.name].roll(driver=setting)
        return True

    roll_all([scene.driver() for scene in scenes], roll, soaks=not emergency)
    return begun


def test_fleets_are_grouped_by_stage_the_lowest_first(scene: Scene, shop: Scene) -> None:
    also = scene.beside("also", stage=1)
    stages = in_stages([shop.driver(), scene.driver(), also.driver()])

    assert [[s.fleet.name for s in stage] for stage in stages] == [["web", "also"], ["shop"]]


def test_a_stage_begins_after_the_one_before_has_soaked(scene: Scene, shop: Scene) -> None:
    begun = roll_every(shop, scene)
    settled_at = scene.driver().book.standing().settled_at

    assert [name for name, _ in begun] == ["web", "shop"]
    assert settled_at is not None
    (_, first), (_, second) = begun
    assert second - first >= SOAK
    assert scene.serving == shop.serving == {"web/1": 2}


def test_what_has_soaked_already_is_not_watched_again(scene: Scene, shop: Scene) -> None:
    """It counts from the stored time, whoever watched meanwhile."""
    scene.roll()
    scene.clock.pass_by(SOAK - 10)
    ((_, first), (_, second)) = roll_every(scene, shop)

    assert second - first < 60


def test_the_last_stage_is_not_waited_for(scene: Scene) -> None:
    roll_every(scene)

    assert scene.clock.passed < SOAK


def test_a_fleet_that_falls_ill_while_it_soaks_stops_the_stages_after_it(
    scene: Scene, shop: Scene
) -> None:
    def fall() -> None:
        for token in scene.tokens("web/1"):
            scene.provider.exit(token)

    scene.clock.once(lambda: scene.clock.passed > SOAK / 2, fall)
    with pytest.raises(GoalFailed, match="has 0 serving of 2 while it soaks; the floor is 2") as t:
        roll_every(scene, shop)

    assert t.value.exit_code == 1
    assert shop.running == {}


def test_a_fleet_that_is_rolled_back_while_it_soaks_stops_the_stages_after_it(
    scene: Scene, shop: Scene
) -> None:
    roll_every(scene.wanting(procedure=Procedure()), shop)
    scene.promote("web/2")
    bob = scene.driver(by="bob@there")
    scene.clock.once(
        lambda: scene.serving == {"web/2": 2},
        lambda: scene.clock.once(
            lambda: not scene.driver().journal.unfinished(), lambda: scene.roll_back(driver=bob)
        ),
    )
    with pytest.raises(GoalFailed, match="dev/web left web/2 while it soaked"):
        roll_every(scene, shop)

    assert (scene.serving, shop.serving) == ({"web/1": 2}, {"web/1": 2})


def test_no_to_one_fleet_is_no_to_those_after_it(scene: Scene, shop: Scene) -> None:
    assert roll_every(scene, shop, says_no="web") == []
    assert shop.running == {}


def test_an_emergency_does_not_wait_for_a_soak(scene: Scene, shop: Scene) -> None:
    ((_, first), (_, second)) = roll_every(scene, shop, emergency=True)

    assert second - first < 60


def test_what_stops_one_fleet_stops_everything_after_it(scene: Scene, shop: Scene) -> None:
    scene.provider.make_room(1)

    with pytest.raises(Blocked):
        roll_every(scene, shop)

    assert shop.running == {}


def test_a_fleet_that_has_never_completed_has_nothing_to_soak(scene: Scene) -> None:
    soak(scene.driver())

    assert scene.clock.passed == 0


def test_after_a_rollback_nothing_launches_the_bad_image(scene: Scene, shop: Scene) -> None:
    """Not rollout, not rollout.all, not tend, and not a channel that moves to it anew."""
    scene.roll("web/1")
    scene.roll("web/2")
    scene.roll_back()
    launched = scene.asked("launch")

    with pytest.raises(Blocked, match="was rolled back from web/2, which is refused") as told:
        scene.roll()
    with pytest.raises(Blocked, match="is refused here since"):
        roll_every(scene, shop)
    tend(scene.driver())
    scene.provider.exit(scene.tokens("web/1")[0])
    tend(scene.driver(), resume=True)
    scene.promote("web/1")
    scene.promote("web/2")
    with pytest.raises(Blocked, match="is refused here since"):
        scene.roll()

    assert told.value.exit_code == 3
    assert scene.running == scene.serving == {"web/1": 2}
    assert len(scene.asked("launch")) == len(launched) + 1, "tend replaced the one that exited"


def test_a_second_rollback_does_not_go_to_what_the_first_one_left(scene: Scene) -> None:
    for version in ("web/1", "web/2", "web/3"):
        scene.roll(version)
    scene.roll_back()
    assert scene.running == {"web/2": 2}
    scene.roll_back()

    assert scene.running == {"web/1": 2}
    assert set(scene.driver().book.standing().pins) == {"web/2", "web/3"}
    with pytest.raises(Blocked, match="has nothing to go back to"):
        scene.roll_back()


def test_an_unpinned_image_may_be_rolled_out_again(scene: Scene) -> None:
    scene.roll("web/1")
    scene.roll("web/2")
    scene.roll_back()
    setting = scene.driver()
    setting.book.unpin(by="ann", because="it was the network", at=scene.clock.now())

    assert scene.roll().outcome == "done"
    assert scene.running == {"web/2": 2}
