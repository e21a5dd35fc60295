"""The clocks of a driver run only while it looks."""

from __future__ import annotations

from pathlib import Path

from tests.driving import HEALTH, Scene

from ovenbird.state.database import Database
from ovenbird.values.instance import Verdict
from ovenbird.values.procedure import OnFailure, Procedure

LONG = 10 * HEALTH.progress_deadline


def test_a_driver_that_was_stopped_for_long_blames_no_image(
    database: Database, tmp_path: Path
) -> None:
    """Its host slept, or somebody sent it SIGSTOP: nobody looked, so nothing was seen to fail."""
    scene = Scene.of(database, tmp_path, procedure=Procedure(on_failure=OnFailure.ROLLBACK))
    scene.roll("web/1")
    scene.promote("web/2")
    scene.clock.once(lambda: scene.running.get("web/2") == 1, lambda: scene.clock.pass_by(LONG))

    assert scene.roll().outcome == "done"
    assert scene.serving == {"web/2": 3}
    assert scene.driver().book.standing().pins == {}


def test_an_instance_has_its_whole_deadline_after_a_time_without_looks(
    database: Database, tmp_path: Path
) -> None:
    """The host of driver and instances slept: they are as slow to wake up as it is."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    slow: list[str] = []

    def sleep() -> None:
        slow.extend(scene.tokens("web/2"))
        scene.provider.answer(slow[0], Verdict.FAIL)
        scene.clock.pass_by(LONG)
        woken = scene.clock.passed + HEALTH.healthy_deadline / 2
        scene.clock.once(
            lambda: scene.clock.passed > woken,
            lambda: scene.provider.answer(slow[0], Verdict.PASS),
        )

    scene.clock.once(lambda: scene.running.get("web/2") == 1, sleep)

    assert scene.roll().outcome == "done"
    assert slow[0] in scene.tokens("web/2"), "it was not replaced"
