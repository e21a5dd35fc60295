"""Scale, rebuild and quarantine: a wish that is written, and one repair to the settled image."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.driving import Scene

from ovenbird.care import acts
from ovenbird.care.acts import Wish, carry_out
from ovenbird.care.tend import tend
from ovenbird.catalog import Catalog
from ovenbird.rollout.reins import resume
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked, Busy, ConfigurationError, Inconclusive
from ovenbird.values.image import ImageRef, ImageState
from ovenbird.values.limits import Limits
from ovenbird.values.procedure import Budget, Checkpoint, Procedure, Strategy

DAY = timedelta(hours=24)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def scaled(scene: Scene, size: int | None, because: str = "") -> str:
    return carry_out(acts.scale(scene.driver(), size, because=because))


def rebuilt(scene: Scene, token: str) -> str:
    return carry_out(acts.rebuild(scene.driver(), token, because="it is slow"))


def quarantined(scene: Scene, token: str, lasting: timedelta = DAY) -> str:
    return carry_out(acts.quarantine(scene.driver(), token, lasting, because="odd logs"))


def verbs(scene: Scene) -> list[str]:
    return [deed.verb for deed in scene.history]


def rolled_back(scene: Scene) -> None:
    scene.roll("web/2")
    scene.roll_back()


# Scale.


def test_a_fleet_grows_to_a_recorded_size_with_its_settled_image(scene: Scene) -> None:
    told = scaled(scene, 5, because="a sale")

    assert told == "size 5 (file 3); 5 of 5 run web/1"
    assert scene.running == scene.serving == {"web/1": 5}
    fleet = scene.driver().fleet
    assert (fleet.size, fleet.file_size) == (5, 3)
    deed = next(d for d in scene.history if d.verb == "scale")
    assert (deed.before, deed.after, deed.because) == ("3", "5", "a sale")


def test_a_rollout_and_tend_keep_to_the_recorded_size(scene: Scene) -> None:
    scaled(scene, 2)
    tend(scene.driver())
    assert scene.running == {"web/1": 2}

    scene.roll()

    assert scene.running == scene.serving == {"web/2": 2}


def test_a_reset_takes_the_size_of_the_file_again(scene: Scene) -> None:
    scaled(scene, 1)
    told = scaled(scene, None)

    assert told == "size 3, of its file; 3 of 3 run web/1"
    assert scene.driver().fleet.file_size is None
    assert scene.driver().book.standing().size is None
    assert scene.running == {"web/1": 3}


def test_the_plan_of_a_scale_tells_both_sizes_and_writes_nothing(scene: Scene) -> None:
    wish = acts.scale(scene.driver(), 5, because="")

    assert wish.text.startswith("dev/web: size 3 → size 5 (file 3)\n")
    assert "launch 1 of web/1" in wish.text or "launch 2 of web/1" in wish.text
    assert scene.driver().book.standing().size is None


def test_a_size_that_the_limits_leave_no_room_in_is_refused_before_anything_is_written(
    scene: Scene,
) -> None:
    tight = scene.wanting(limits=Limits(max_surge=0, max_unavailable="34%"))

    with pytest.raises(ConfigurationError, match="no room to replace anything") as told:
        acts.scale(tight.driver(), 2, because="")

    assert told.value.exit_code == 2
    assert scene.driver().book.standing().size is None


def test_a_recorded_size_that_a_changed_file_leaves_no_room_in_can_be_taken_back(
    scene: Scene,
) -> None:
    scaled(scene, 2)
    tight = scene.wanting(limits=Limits(max_surge=0, max_unavailable="34%"))

    with pytest.raises(ConfigurationError, match=r"fleet of 2 no room"):
        tight.driver()


def test_a_fleet_that_was_never_rolled_out_only_records_its_size(
    database: Database, tmp_path: Path
) -> None:
    scene = Scene.of(database, tmp_path)

    told = scaled(scene, 2)

    assert told.endswith("the first rollout uses it")
    assert scene.provider.asked == []
    scene.roll("web/1")
    assert scene.running == {"web/1": 2}


def test_a_revoked_fleet_can_be_scaled_to_nothing(scene: Scene) -> None:
    now = scene.clock.now()
    catalog, image = Catalog(scene.site.database), ImageRef.parse("web/1")
    catalog.judge(image, ImageState.REVOKED, by="ann", because="CVE-2026-1", at=now)

    scaled(scene, 0)

    assert scene.running == {}
    assert tend(scene.driver()) == "none wanted, none runs"


def test_a_fleet_of_ten_shrinks_within_the_budget(scene: Scene) -> None:
    tight = scene.wanting(budget=Budget(instances=1))
    scaled(tight, 6)
    scaled(tight, 1)

    assert scene.running == scene.serving == {"web/1": 1}


# Rebuild.


def test_one_machine_is_rebuilt_with_the_settled_image_and_its_successor_serves_first(
    scene: Scene,
) -> None:
    old, mark = scene.tokens("web/1")[1], scene.provider.mark()
    rebuilt(scene, old)

    assert old not in scene.tokens("web/1")
    assert scene.running == scene.serving == {"web/1": 3}
    assert len(scene.asked("launch")) == 3 + 1
    assert scene.provider.lowest_serving_since(mark, scene.key) == 3
    deed = next(d for d in scene.history if d.verb == "rebuild")
    assert (deed.before, deed.after, deed.because) == (old, "web/1", "it is slow")


def test_the_plan_of_a_rebuild_says_why_the_machine_goes(scene: Scene) -> None:
    old = scene.tokens("web/1")[1]
    wish = acts.rebuild(scene.driver(), old, because="it is slow")

    assert wish.text.startswith("dev/web: web/1 (unwanted) → web/1,")
    assert f"end {old}" in wish.text
    assert "unwanted (rebuild by ann@here: it is slow)" in wish.text
    assert scene.driver().records.of([old])[old].unwanted_because == ""


def test_without_surge_the_old_machine_makes_room_first(database: Database, tmp_path: Path) -> None:
    scene = Scene.of(database, tmp_path, limits=Limits(max_surge=0, max_unavailable=1))
    scene.roll("web/1")
    mark = scene.provider.mark()

    rebuilt(scene, scene.tokens("web/1")[0])

    assert scene.serving == {"web/1": 3}
    assert scene.provider.most_present(mark, scene.key) == 3
    assert scene.provider.lowest_serving_since(mark, scene.key) == 2


def test_a_fleet_of_one_is_rebuilt_without_a_gap(database: Database, tmp_path: Path) -> None:
    scene = Scene.of(database, tmp_path, size=1)
    scene.roll("web/1")
    mark = scene.provider.mark()

    rebuilt(scene, scene.tokens("web/1")[0])

    assert scene.serving == scene.running == {"web/1": 1}
    assert scene.provider.lowest_serving_since(mark, scene.key) == 1


def test_an_unwanted_machine_of_the_goal_is_replaced_by_a_rollout_too(scene: Scene) -> None:
    scene.roll("web/2")
    old, driver = scene.tokens("web/2")[0], scene.driver()
    driver.records.unwant([old], because="asked", at=scene.clock.now())

    scene.roll("web/2")

    assert old not in scene.tokens("web/2")
    assert scene.running == scene.serving == {"web/2": 3}


@pytest.mark.parametrize("verb", ["scale", "rebuild", "lost", "quarantine"])
def test_after_a_rollback_each_launches_the_settled_image(verb: str, scene: Scene) -> None:
    rolled_back(scene)
    token = scene.tokens("web/1")[0]
    before = len(scene.asked("launch"))
    match verb:
        case "scale":
            scaled(scene, 5)
        case "rebuild":
            rebuilt(scene, token)
        case "quarantine":
            quarantined(scene, token)
        case "lost":
            scene.provider.lose(token)
            scene.clock.pass_by(scene.fleet.health.lost_after + 1)
            tend(scene.driver())

    assert len(scene.asked("launch")) > before
    assert set(scene.serving) == {"web/1"}
    assert "web/2" not in scene.running


def test_somebody_at_work_is_not_disturbed_and_nothing_is_written(scene: Scene) -> None:
    told: list[Busy] = []

    def beside() -> None:
        for size in (5, 2):
            with pytest.raises(Busy) as refused:
                scaled(scene, size)
            told.append(refused.value)

    scene.clock.once(lambda: scene.serving.get("web/2", 0) == 1, beside)
    scene.roll()

    assert [error.exit_code for error in told] == [3, 3]
    assert scene.driver().book.standing().size is None


def test_a_machine_that_the_engine_does_not_show_is_not_rebuilt(scene: Scene) -> None:
    with pytest.raises(Blocked, match="does not show dev-web-gone any more"):
        acts.rebuild(scene.driver(), "dev-web-gone", because="")


# Beside a rollout that waits.


def test_beside_a_rollout_that_waits_a_repair_leaves_its_canary(
    database: Database, tmp_path: Path
) -> None:
    steps = Procedure(strategy=Strategy.STEPPED, checkpoints=(Checkpoint(share=1, approve=True),))
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene = scene.wanting(procedure=steps)
    with pytest.raises(Inconclusive, match="somebody must approve"):
        scene.roll("web/2")
    assert scene.serving["web/2"] == 1
    canary = scene.tokens("web/2")

    scene.provider.exit(scene.tokens("web/1")[0])
    tend(scene.driver())
    assert scene.tokens("web/2") == canary
    rebuilt(scene, scene.tokens("web/1")[0])
    assert scene.tokens("web/2") == canary
    scaled(scene, 2)
    assert scene.tokens("web/2") == canary

    resume(scene.driver(), because="good")
    scene.roll()
    assert scene.running == scene.serving == {"web/2": 2}


def wish_of(scene: Scene, verb: str) -> Wish:
    token = scene.tokens("web/1")[0]
    match verb:
        case "rebuild":
            return acts.rebuild(scene.driver(), token, because="")
        case "quarantine":
            return acts.quarantine(scene.driver(), token, DAY, because="odd")
    return acts.scale(scene.driver(), 5, because="")


@pytest.mark.parametrize("verb", ["scale", "rebuild", "quarantine"])
def test_a_plan_calls_nothing(verb: str, scene: Scene) -> None:
    asked, history = scene.provider.asked, scene.history

    wish = wish_of(scene, verb)

    assert wish.needs_an_answer
    assert (scene.provider.asked, scene.history) == (asked, history)
