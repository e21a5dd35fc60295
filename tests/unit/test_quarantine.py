"""Quarantine: out of service within the floor, kept for a look, and never back."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care import acts
from ovenbird.care.acts import carry_out
from ovenbird.care.tend import tend
from ovenbird.state.database import Database
from ovenbird.values.errors import ConfigurationError
from ovenbird.values.fleet import VolumeSpec
from ovenbird.values.instance import Verdict
from ovenbird.values.procedure import Budget

DAY = timedelta(hours=24)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def quarantined(scene: Scene, token: str, lasting: timedelta = DAY) -> str:
    return carry_out(acts.quarantine(scene.driver(), token, lasting, because="odd logs"))


def test_a_machine_in_quarantine_runs_on_without_traffic_until_its_time_is_over(
    scene: Scene,
) -> None:
    odd, mark = scene.tokens("web/1")[0], scene.provider.mark()
    told = quarantined(scene, odd)

    assert told.startswith(f"{odd} is kept out of service until ")
    assert scene.serving == {"web/1": 3}
    assert scene.running == {"web/1": 4}
    assert scene.provider.lowest_serving_since(mark, scene.key) == 3
    assert (scene.driver().site.folder / "consoles" / f"{odd}.log").exists()
    tend(scene.driver())
    assert odd in scene.tokens("web/1")
    scene.clock.pass_by(DAY.total_seconds() + 1)
    tend(scene.driver())
    assert odd not in scene.tokens("web/1")
    assert scene.running == scene.serving == {"web/1": 3}


def test_a_machine_in_quarantine_is_never_registered_again(scene: Scene) -> None:
    """Not though all others are lost, by a repair, a rollout or a rollback."""
    odd = scene.tokens("web/1")[0]
    quarantined(scene, odd)
    before = scene.asked("register").count(odd)
    for token in scene.tokens("web/1"):
        if token != odd:
            scene.provider.answer(token, Verdict.FAIL)
    tend(scene.driver())
    scene.roll()
    scene.roll_back()

    assert scene.asked("register").count(odd) == before
    assert odd in scene.tokens("web/1")
    assert scene.serving == {"web/1": 3}


def test_a_second_quarantine_changes_only_when_it_is_over(scene: Scene) -> None:
    odd = scene.tokens("web/1")[0]
    quarantined(scene, odd, timedelta(hours=1))
    launched = scene.asked("launch")

    quarantined(scene, odd, timedelta(hours=48))

    assert scene.asked("launch") == launched
    scene.clock.pass_by(2 * 3600.0)
    tend(scene.driver())
    assert odd in scene.tokens("web/1")
    scene.clock.pass_by(47 * 3600.0)
    tend(scene.driver())
    assert odd not in scene.tokens("web/1")


def test_a_quarantine_whose_time_is_over_before_it_left_is_ended_after_its_successor_serves(
    scene: Scene,
) -> None:
    odd, mark = scene.tokens("web/1")[0], scene.provider.mark()
    scene.provider.fail_next("launch", Killed())
    with pytest.raises(Killed):
        quarantined(scene, odd, timedelta(hours=1))
    scene.clock.pass_by(2 * 3600.0)

    tend(scene.driver())

    assert scene.provider.lowest_serving_since(mark, scene.key) == 3
    assert scene.running == scene.serving == {"web/1": 3}
    assert odd not in scene.tokens("web/1")


def test_a_stateful_fleet_has_no_quarantine_but_a_rebuild(scene: Scene) -> None:
    stateful = scene.wanting(volumes=(VolumeSpec(name="data", path="/data"),))

    with pytest.raises(ConfigurationError, match="holds its volumes") as told:
        acts.quarantine(stateful.driver(), "x", DAY, because="odd")

    assert "invoke fleet.rebuild" in told.value.remedy


def test_a_fleet_without_a_balancer_has_no_quarantine_either(scene: Scene) -> None:
    alone = replace(scene.driver(), balancers=())

    with pytest.raises(ConfigurationError, match="no balancer to be taken out of"):
        acts.quarantine(alone, "x", DAY, because="odd")


def test_a_machine_on_its_way_into_quarantine_counts_in_the_budget_until_it_is_out(
    scene: Scene,
) -> None:
    tight = scene.wanting(budget=Budget(instances=1))
    odd = tight.tokens("web/1")[0]
    setting = tight.driver()
    being_ended = partial(setting.records.being_ended, lost_by=setting.lost_by)
    seen: list[list[str]] = []
    tight.balancer.sessions[odd] = 3
    tight.clock.once(lambda: odd in being_ended(), lambda: seen.append(being_ended()))

    quarantined(tight, odd)

    assert seen == [[odd]]
    assert being_ended() == []
    assert tight.serving == {"web/1": 3}
