"""A failure, a rollback or somebody's word that is cut in the middle, and who goes on with it."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird import rollout
from ovenbird.care.tend import tend
from ovenbird.fleet.smoke import SmokeVerdict
from ovenbird.mishap import Kind, Mishap, Mishaps, Verb
from ovenbird.provider.faulty import FaultyProvider
from ovenbird.provider.memory import MemoryProbe, MemoryProvider
from ovenbird.rollout import admission, reins
from ovenbird.state.database import Database
from ovenbird.values.errors import (
    Blocked,
    GoalFailed,
    Inconclusive,
    OvenbirdError,
    RollbackFailed,
    Superseded,
)
from ovenbird.values.fleet import LaunchSpec
from ovenbird.values.instance import Look, Seen, Verdict
from ovenbird.values.limits import Limits
from ovenbird.values.procedure import OnFailure, Procedure, SmokeSpec

GOES_BACK = Procedure(on_failure=OnFailure.ROLLBACK)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    return Scene.of(database, tmp_path)


def kill(*_: object, **__: object) -> None:
    raise Killed


def rolled_half_way(scene: Scene, *, serving: int) -> None:
    """Kill the driver of a rollout to web/2 when so many of it serve."""
    scene.promote("web/2")
    scene.clock.once(lambda: scene.serving.get("web/2") == serving, kill)
    with pytest.raises(Killed):
        scene.roll()


def test_while_a_rollback_is_unfinished_no_repair_launches_what_it_leaves(scene: Scene) -> None:
    scene.roll("web/1")
    scene.roll("web/2")
    scene.clock.once(lambda: scene.serving.get("web/1") == 1, kill)
    with pytest.raises(Killed):
        scene.roll_back()
    launched = len(scene.asked("launch"))
    for token in scene.tokens("web/2"):
        scene.provider.exit(token)
    tend(scene.driver())

    assert scene.serving == {"web/1": 3}
    assert len(scene.asked("launch")) > launched


def test_a_rollback_that_failed_is_gone_on_with_by_the_same_command(scene: Scene) -> None:
    """At one in the morning, with exit 5 on the screen, nobody wants the image before the good."""
    scene.roll("web/3")
    scene.roll("web/1")
    rolled_half_way(scene, serving=2)
    for token in scene.tokens("web/1"):
        scene.provider.answer(token, Verdict.FAIL)
    scene.provider.becomes("web/1", Verdict.FAIL)
    with pytest.raises(RollbackFailed):
        scene.roll_back()

    scene.provider.becomes("web/1", Verdict.PASS)
    scene.roll_back()

    assert scene.serving == {"web/1": 3}
    assert set(scene.driver().book.standing().pins) == {"web/2"}


def test_a_cancel_is_heard_though_only_a_repair_is_at_work(scene: Scene) -> None:
    scene.roll("web/1")
    rolled_half_way(scene, serving=1)
    scene.provider.exit(scene.tokens("web/1")[0])
    told: list[str] = []
    bob = scene.driver(by="bob@there")
    scene.clock.once(
        lambda: scene.driver().leases.holder() is not None,
        lambda: told.append(reins.cancel(bob)),
    )
    with pytest.raises(Superseded):  # the verb takes the lease from the repair
        tend(scene.driver())
    tend(scene.driver(), resume=True)

    assert "is cancelled" in told[0]
    assert scene.driver().journal.unfinished() is None
    assert scene.running.get("web/2") == 1, "tend --resume has rolled nothing on"


def test_a_cancel_whose_driver_died_before_it_heard_is_carried_out(scene: Scene) -> None:
    scene.roll("web/1")
    scene.promote("web/2")

    def cancelled_and_killed() -> None:
        setting = scene.driver()
        open_ = setting.journal.unfinished()
        assert open_ is not None
        setting.journal.ask(open_, "cancel", by="bob@there")
        raise Killed

    scene.clock.once(lambda: scene.serving.get("web/2") == 1, cancelled_and_killed)
    with pytest.raises(Killed):
        scene.roll()

    assert "is cancelled" in tend(scene.driver(), resume=True)
    assert scene.running["web/2"] == 1


@pytest.mark.parametrize("moment", ["before the end is written", "before the way back"])
def test_on_failure_rollback_survives_its_driver(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    scene = scene.wanting(procedure=GOES_BACK)
    scene.roll("web/1")
    scene.provider.becomes("web/2", Verdict.FAIL)
    scene.promote("web/2")
    with monkeypatch.context() as cut:
        if moment == "before the way back":
            cut.setattr(rollout, "choose_rollback", kill)
        else:
            cut.setattr(MemoryProvider, "console", kill)
        with pytest.raises(Killed):
            scene.roll()

    finds_the_failed_canary = moment == "before the end is written"
    with pytest.raises(GoalFailed, match="It was rolled back to web/1"):
        scene.roll() if finds_the_failed_canary else tend(scene.driver())
    assert scene.running == scene.serving == {"web/1": 3}
    assert set(scene.driver().book.standing().pins) == {"web/2"}


def test_a_console_that_cannot_be_read_excuses_no_image(scene: Scene) -> None:
    scene = scene.wanting(procedure=GOES_BACK)
    scene.roll("web/1")
    scene.provider.becomes("web/2", Verdict.FAIL)
    scene.promote("web/2")
    mishaps = Mishaps(Mishap(verb=Verb.CONSOLE, kind=Kind.FAIL))
    engine = FaultyProvider(scene.provider, mishaps)

    with pytest.raises(GoalFailed, match="It was rolled back to web/1") as failed:
        scene.roll(driver=scene.driver(provider=engine))

    assert failed.value.exit_code == 1


def test_a_bad_value_beside_a_good_image_pins_no_image(scene: Scene) -> None:
    scene = scene.wanting(procedure=GOES_BACK)
    scene.roll("web/1")
    scene.roll("web/2")
    typo = scene.wanting(launch=LaunchSpec(config=(("greeting", "typo"),)))
    scene.provider.becomes("web/2", Verdict.FAIL)
    with pytest.raises(GoalFailed) as failed:
        typo.roll()
    with pytest.raises(Blocked, match="changed only its launch data"):
        scene.roll_back()

    scene.provider.becomes("web/2", Verdict.PASS)
    scene.roll()

    assert "changed only its launch data" in "".join(failed.value.__notes__)
    assert scene.running == scene.serving == {"web/2": 3}
    assert scene.driver().book.standing().pins == {}


class Overloaded(MemoryProbe):
    """Finds everything ill, which serves all the same."""

    def look(self, instance: Seen, at: datetime) -> Look:
        return replace(super().look(instance, at), verdict=Verdict.FAIL)


def test_a_rollback_under_overload_begins_with_no_ending_below_the_floor(scene: Scene) -> None:
    scene.roll("web/1")
    scene.promote("web/2")
    scene.clock.once(
        lambda: scene.running.get("web/1") == 1 and scene.serving.get("web/2") == 2, kill
    )
    with pytest.raises(Killed):
        scene.roll()
    driver = replace(scene.driver(), probe_for=lambda _: Overloaded(scene.provider))
    mark = scene.provider.mark()
    with pytest.raises(OvenbirdError):
        scene.roll_back(driver=driver)

    assert scene.provider.lowest_serving_since(mark, scene.key) == 3


def test_a_repair_judges_no_canary_of_somebody_elses_rollout(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = scene.wanting(procedure=Procedure(smoke=SmokeSpec(argv=("./smoke",))))
    good = SmokeVerdict(passed=True, because="", evidence="")
    monkeypatch.setattr(admission, "run_smoke", lambda *_, **__: good)
    scene.roll("web/1")
    scene.promote("web/2")
    monkeypatch.setattr(admission, "run_smoke", kill)
    with pytest.raises(Killed):
        scene.roll()
    scene.provider.exit(scene.tokens("web/1")[0])
    tend(scene.driver())

    assert scene.serving == {"web/1": 3}
    assert scene.running["web/2"] == 1, "it waits for its own rollout"
    monkeypatch.setattr(admission, "run_smoke", lambda *_, **__: good)
    scene.roll()
    assert scene.running == scene.serving == {"web/2": 3}


def test_a_failed_canary_is_kept_for_a_look_through_every_repair(scene: Scene) -> None:
    scene.roll("web/1")
    scene.provider.becomes("web/2", Verdict.FAIL)
    with pytest.raises(GoalFailed):
        scene.roll("web/2")
    tend(scene.driver())
    scene.provider.exit(scene.tokens("web/1")[0])
    tend(scene.driver())

    assert scene.running == {"web/1": 3, "web/2": 1}
    scene.roll_back()
    assert scene.running == {"web/1": 3}


@pytest.mark.parametrize("size", [1, 3])
def test_a_pause_leaves_no_hole_where_an_old_one_was_ended(scene: Scene, size: int) -> None:
    """Without surge the old one goes first, and its successor is the instance in hand."""
    scene = scene.wanting(size=size, limits=Limits(max_surge=0, max_unavailable=1))
    scene.roll("web/1")
    scene.promote("web/2")
    scene.clock.once(
        lambda: scene.running.get("web/1", 0) == size - 1 and not scene.running.get("web/2"),
        lambda: reins.pause(scene.driver(), because="a call with a customer"),
    )
    with pytest.raises(Inconclusive) if size > 1 else nullcontext():
        scene.roll()

    assert sum(scene.serving.values()) == size
