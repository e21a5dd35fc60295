"""A driver of each verb, killed before and after all that it writes, and finished by tend."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.driving import Killed, Scene
from tests.sequences.moves import Kind, Move
from tests.sequences.play import a_day

from ovenbird.care import acts
from ovenbird.care.acts import Wish, carry_out
from ovenbird.care.removal import remove
from ovenbird.care.tend import tend
from ovenbird.rollout.book import Book
from ovenbird.rollout.journal import Journal
from ovenbird.rollout.records import Records
from ovenbird.state.database import Database

WRITES = [
    *((Journal, verb) for verb in ("begin", "intend_launch", "intend", "finished", "ended", "end")),
    *((Records, verb) for verb in ("unwant", "quarantine", "accept", "listed")),
    *((Book, verb) for verb in ("resize", "begin_removal", "forget")),
]
"""Everything that is made durable in one transaction."""

MOMENTS = (False, True) if "OVENBIRD_TEST_EVERY_POINT" in os.environ else (False,)
"""Before a write, and right after it. Between one write and the next there is one call at most, so
the moment before the next tells nearly the same."""


class Death:
    """Kills whoever writes for the n-th time: before it is written, or right after."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left, self.after = 0, False
        for owner, verb in WRITES:
            patch.setattr(owner, verb, self._deadly(getattr(owner, verb)))

    def _deadly(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def written(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Killed
            result = write(*args, **kwargs)
            if self.left == 0:
                raise Killed
            return result

        return written

    def strikes(self, wish: Wish, *, at: int, after: bool) -> bool:
        """Carry a wish out and die at a write; False where it ended before that many."""
        self.left, self.after = at, after
        try:
            carry_out(wish)
        except Killed:
            return True
        finally:
            self.left = 0
        return False


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    scene = Scene.of(database, tmp_path, size=2)
    scene.roll("web/1")
    return scene


def every_death(scene: Scene, make: Callable[[], Wish], check: Callable[[], None]) -> int:
    """Kill a verb at each of its writes in turn, tend, and check; return how many there were."""
    with pytest.MonkeyPatch.context() as patch:
        death = Death(patch)
        for at in range(1, 100):
            alive = True
            for after in MOMENTS:
                mark = scene.provider.mark()
                struck = death.strikes(make(), at=at, after=after)
                alive = alive and not struck
                tend(scene.driver())
                tend(scene.driver())
                assert scene.driver().journal.in_the_air() == []
                lowest = scene.provider.lowest_serving_since(mark, scene.key)
                assert lowest >= min(2, scene.driver().bounds.floor)
                check()
            if alive:
                return at - 1
    raise AssertionError("it writes for ever")


def test_a_rebuild_is_finished_or_was_never_wished(scene: Scene) -> None:
    old: list[str] = []

    def make() -> Wish:
        old[:] = [scene.tokens("web/1")[0]]
        return acts.rebuild(scene.driver(), old[0], because="")

    def check() -> None:
        assert scene.running == scene.serving == {"web/1": 2}
        wished = scene.driver().records.of(old)[old[0]].unwanted_because
        assert (old[0] in scene.tokens("web/1")) is not bool(wished)

    assert every_death(scene, make, check) > 10


def test_a_scale_is_finished_or_was_never_wished(scene: Scene) -> None:
    wanted = [2]

    def make() -> Wish:
        wanted[0] = 5 - scene.driver().fleet.size
        return acts.scale(scene.driver(), wanted[0], because="")

    def check() -> None:
        size = scene.driver().fleet.size
        assert scene.running == scene.serving == {"web/1": size}

    assert every_death(scene, make, check) > 5


def test_a_quarantine_is_finished_or_was_never_wished(scene: Scene) -> None:
    odd: list[str] = []

    def make() -> Wish:
        serving = {e.token for e in scene.balancer.entries() if e.state == "in service"}
        odd[:] = [next(t for t in scene.tokens("web/1") if t in serving)]
        return acts.quarantine(scene.driver(), odd[0], timedelta(hours=1), because="odd")

    def check() -> None:
        assert scene.serving == {"web/1": 2}
        listed = {entry.token for entry in scene.balancer.entries()}
        held = scene.driver().records.of(odd)[odd[0]].quarantined_until
        assert (odd[0] in listed) is (held is None)
        assert odd[0] in scene.tokens("web/1"), "it is kept for a look"
        scene.clock.pass_by(3601)
        tend(scene.driver())
        assert scene.running == scene.serving == {"web/1": 2}

    assert every_death(scene, make, check) > 10


def test_a_removal_is_finished_or_was_never_wished(scene: Scene) -> None:
    def make() -> Wish:
        scene.roll()
        return remove(scene.driver(), because="")

    def check() -> None:
        standing = scene.driver().book.standing()
        assert standing.removed_at is None
        settled = {"web/1": 2} if standing.settled else {}
        assert scene.running == scene.serving == settled

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scene.provider), "lowest_serving_since", lambda *_: 2)
        assert every_death(scene, make, check) > 10


def test_a_drain_that_never_reached_its_balancer_holds_no_budget() -> None:
    """Its driver died between the intent and the call, so nobody is out of service."""
    with a_day(Kind(size=4, limits=1, budget=1)) as day:
        day.make(Move("rebuild", 2, dies=14))
        drained = [step for step in day.scene.driver().journal.in_the_air() if step.verb == "drain"]
        served, first = sum(day.scene.serving.values()), min(day.scene.tokens("web/1"))

        carry_out(acts.quarantine(day.scene.driver(), first, timedelta(hours=1), because=""))

        assert len(drained) == 1
        assert served == 4
        day.end()
