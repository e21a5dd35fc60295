"""Blue-green as it is driven: one switch there, and one switch back."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care.tend import tend
from ovenbird.state.database import Database
from ovenbird.values.errors import GoalFailed
from ovenbird.values.instance import Verdict
from ovenbird.values.procedure import Procedure, Strategy

KEPT = 3600.0
BLUE_GREEN = Procedure(strategy=Strategy.BLUE_GREEN, keep_previous=KEPT)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path, procedure=BLUE_GREEN)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def test_nothing_of_the_goal_gets_traffic_before_all_of_it_is_ready(scene: Scene) -> None:
    already = len(scene.provider.asked)
    scene.roll()
    verbs = [(verb, token) for verb, token in scene.provider.asked[already:]]
    first_register = next(n for n, (verb, _) in enumerate(verbs) if verb == "register")
    first_drain = next(n for n, (verb, _) in enumerate(verbs) if verb == "drain")

    assert sum(verb == "launch" for verb, _ in verbs[:first_register]) == 3
    assert sum(verb == "register" for verb, _ in verbs[first_register:first_drain]) == 3
    assert scene.serving == {"web/2": 3}


def test_the_previous_ones_are_kept_out_of_service_and_none_is_ended(scene: Scene) -> None:
    old, mark = scene.tokens("web/1"), scene.provider.mark()
    scene.roll()

    assert scene.running == {"web/1": 3, "web/2": 3}
    assert scene.tokens("web/1") == old
    assert scene.asked("terminate") == []
    assert scene.provider.lowest_serving_since(mark, scene.key) >= 3
    records = scene.driver().records.of(old)
    least = scene.clock.now() + timedelta(seconds=KEPT - 60)
    assert all(records[token].kept_until > least for token in old)  # type: ignore[operator]


def test_a_rollback_switches_back_to_the_kept_ones_and_launches_nothing(scene: Scene) -> None:
    scene.roll()
    old, launched, mark = scene.tokens("web/1"), scene.asked("launch"), scene.provider.mark()
    scene.roll_back()

    assert scene.asked("launch") == launched
    assert scene.serving == {"web/1": 3}
    assert sorted(scene.tokens("web/1")) == sorted(old)
    assert scene.provider.lowest_serving_since(mark, scene.key) >= 3
    records = scene.driver().records.of(old)
    assert [records[token].kept_until for token in old] == [None] * 3


def test_what_a_rollback_leaves_is_not_kept_for_a_switch_to_it(scene: Scene) -> None:
    scene.roll()
    scene.roll_back()
    scene.clock.pass_by(1)
    tend(scene.driver())

    assert scene.running == scene.serving == {"web/1": 3}


def test_kept_ones_stay_while_their_time_lasts_and_are_ended_by_tend_after_it(
    scene: Scene,
) -> None:
    scene.roll()
    tend(scene.driver())
    assert scene.running == {"web/1": 3, "web/2": 3}
    scene.clock.pass_by(KEPT + 1)
    tend(scene.driver())

    assert scene.running == scene.serving == {"web/2": 3}


def test_kept_ones_are_ended_after_their_time_though_another_rollout_is_unfinished(
    scene: Scene,
) -> None:
    def die() -> None:
        raise Killed

    scene.roll()
    scene.clock.once(lambda: len(scene.tokens("web/3")) == 1, die)
    with pytest.raises(Killed):
        scene.roll("web/3")
    scene.clock.pass_by(KEPT + 1)
    tend(scene.driver())

    assert scene.tokens("web/1") == []
    assert scene.serving == {"web/2": 3}


def test_a_rollback_after_their_time_launches_the_previous_anew(scene: Scene) -> None:
    scene.roll()
    scene.clock.pass_by(KEPT + 1)
    tend(scene.driver())
    scene.roll_back()

    assert scene.serving == {"web/1": 3}


def test_a_kept_one_that_has_fallen_ill_is_not_switched_back_to(scene: Scene) -> None:
    scene.roll()
    ill = scene.tokens("web/1")[0]
    scene.provider.exit(ill)
    scene.roll_back()

    assert scene.serving == {"web/1": 3}
    assert ill not in {entry.token for entry in scene.balancer.entries()}


def test_a_goal_that_is_ill_never_gets_traffic(scene: Scene) -> None:
    scene.provider.becomes("web/2", Verdict.FAIL)
    registered = scene.asked("register")

    with pytest.raises(GoalFailed):
        scene.roll()

    assert scene.asked("register") == registered
    assert scene.serving == {"web/1": 3}


@pytest.mark.parametrize("verb", ["register", "drain", "deregister"])
def test_a_switch_that_was_cut_short_is_finished(verb: str, scene: Scene) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    old, mark = scene.tokens("web/1"), scene.provider.mark()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scene.balancer), verb, die)
        with pytest.raises(Killed):
            scene.roll()
    scene.roll()

    assert scene.serving == {"web/2": 3}
    assert scene.tokens("web/1") == old
    assert scene.asked("terminate") == []
    assert scene.provider.lowest_serving_since(mark, scene.key) >= 3
    assert {entry.token for entry in scene.balancer.entries()} == set(scene.tokens("web/2"))
