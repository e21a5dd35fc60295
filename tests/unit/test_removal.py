"""The end of a fleet: all of it goes, its entrance is closed, and the next rollout is the first."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care import acts
from ovenbird.care.acts import carry_out
from ovenbird.care.removal import remove
from ovenbird.care.tend import tend
from ovenbird.rollout.book import being_removed
from ovenbird.rollout.described import fleet_of
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked
from ovenbird.values.instance import Verdict
from ovenbird.values.procedure import Procedure, Strategy


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def removed(scene: Scene) -> str:
    return carry_out(remove(scene.driver(), because="no more sales"))


def test_all_of_a_fleet_is_drained_and_ended_and_its_entrance_closed(scene: Scene) -> None:
    tokens = scene.tokens("web/1")
    told = removed(scene)

    assert told.startswith("dev/web is removed")
    assert scene.running == {}
    drained = scene.asked("drain")
    assert set(tokens) <= set(drained)
    assert scene.asked("close") == [""]
    assert [d.verb for d in scene.history if d.verb == "remove"] == ["remove", "remove"]
    assert [d.outcome for d in scene.history if d.verb == "remove"] == ["begun", "done"]


def test_what_is_kept_or_in_quarantine_goes_too(database: Database, tmp_path: Path) -> None:
    blue = Procedure(strategy=Strategy.BLUE_GREEN, keep_previous=3600.0)
    scene = Scene.of(database, tmp_path, procedure=blue)
    scene.roll("web/1")
    scene.roll("web/2")
    odd = scene.tokens("web/2")[0]
    carry_out(acts.quarantine(scene.driver(), odd, timedelta(hours=2), because="odd"))
    assert scene.running == {"web/1": 3, "web/2": 4}

    wish = remove(scene.driver(), because="")
    assert wish.text.count("kept out of service") == 3
    assert wish.text.count("in quarantine") == 1
    carry_out(wish)

    assert scene.running == {}


def test_its_next_rollout_is_a_first_launch(scene: Scene) -> None:
    scene.roll("web/2")
    scene.roll_back()
    carry_out(acts.scale(scene.driver(), 2, because=""))
    removed(scene)
    standing = scene.driver().book.standing()
    assert (standing.settled, standing.size, dict(standing.pins)) == (None, None, {})
    with pytest.raises(Blocked, match="nothing to go back to"):
        scene.roll_back()
    assert "nothing has completed here yet" in tend(scene.driver())

    outcome = scene.roll("web/2")

    assert outcome.before == ""
    assert len(outcome.waves[0]) <= 2, "one canary first"
    assert scene.running == scene.serving == {"web/2": 3}


def test_a_fleet_that_fails_or_waits_is_removed_too(scene: Scene) -> None:
    """What never passes its gate is not waited for, and the rollout that is open is closed."""

    def die() -> None:
        raise Killed

    scene.provider.becomes("web/2", Verdict.FAIL)
    scene.clock.once(lambda: scene.running.get("web/2", 0) == 1, die)
    with pytest.raises(Killed):
        scene.roll()
    began = scene.clock.passed

    removed(scene)

    assert scene.running == {}
    assert scene.clock.passed - began < scene.fleet.health.healthy_deadline
    assert scene.driver().journal.unfinished() is None


def test_a_rollout_of_a_fleet_under_removal_is_refused_and_says_how_to_end_it(
    scene: Scene,
) -> None:
    scene.provider.fail_next("terminate", Killed())
    with pytest.raises(Killed):
        removed(scene)
    assert being_removed(scene.site.database, "dev") == ["web"]
    assert scene.driver().fleet.size == 0

    for attempt in (scene.roll, scene.roll_back):
        with pytest.raises(Blocked, match="is being removed since") as told:
            attempt()
        assert told.value.exit_code == 3
        assert "invoke fleet.remove web --env dev" in told.value.remedy
    with pytest.raises(Blocked, match="is being removed"):
        acts.scale(scene.driver(), 5, because="")
    with pytest.raises(Blocked, match="is being removed"):
        acts.rebuild(scene.driver(), scene.tokens("web/1")[0], because="")


def test_tend_finishes_what_a_killed_removal_began(scene: Scene) -> None:
    scene.provider.fail_next("terminate", Killed())
    with pytest.raises(Killed):
        removed(scene)

    told = tend(scene.driver())

    assert told.startswith("dev/web is removed")
    assert scene.running == {}
    assert being_removed(scene.site.database, "dev") == []
    assert "nothing has completed here yet" in tend(scene.driver())


def test_a_lost_machine_is_named_since_it_may_come_back(scene: Scene) -> None:
    lost = scene.tokens("web/1")[0]
    scene.provider.lose(lost)
    scene.clock.pass_by(scene.fleet.health.lost_after + 1)

    told = removed(scene)

    assert f"not ended: {lost}" in told
    scene.provider.find(lost)
    assert removed(scene).startswith("dev/web is removed")
    assert scene.running == {}


def test_the_entry_of_its_last_rollout_is_kept_though_it_left_its_file(scene: Scene) -> None:
    book = scene.driver().book

    assert fleet_of(book.described()) == scene.fleet
    carry_out(acts.scale(scene.driver(), 5, because=""))
    scene.roll()
    assert fleet_of(book.described()) == scene.fleet
    removed(scene)
    assert fleet_of(book.described()) == scene.fleet


def test_a_fleet_that_never_ran_is_removed_without_a_call(
    database: Database, tmp_path: Path
) -> None:
    scene = Scene.of(database, tmp_path)

    assert removed(scene) == "dev/web is removed"
    assert {verb for verb, _ in scene.provider.asked} <= {"open", "close"}
