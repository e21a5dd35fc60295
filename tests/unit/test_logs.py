"""What an instance says, and said: read from its engine, or from what was kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.driving import Scene

from ovenbird.report.logs import Logs, new_lines
from ovenbird.report.named import instance_named
from ovenbird.rollout.consoles import Consoles
from ovenbird.state.database import Database
from ovenbird.values.errors import Inconclusive


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    scene = Scene.of(database, tmp_path, size=1)
    scene.roll()
    return scene


def logs_of(scene: Scene, token: str) -> Logs:
    named = instance_named(scene.site.database, token, ended=True)
    consoles = Consoles(scene.site.folder / "here" / "consoles")
    return Logs(named, scene.provider, consoles, scene.clock, site=scene.site.id)


def test_one_that_runs_is_read_from_its_engine(scene: Scene) -> None:
    (token,) = scene.tokens("web/1")

    assert logs_of(scene, token).last(200) == [f"{token} runs web/1", "ready"]
    assert logs_of(scene, token).last(1) == ["ready"]


def test_one_that_has_ended_is_read_from_what_was_kept(scene: Scene) -> None:
    (token,) = scene.tokens("web/1")
    scene.roll("web/2")

    assert scene.provider.inhabitant(token) is None
    assert logs_of(scene, token).last(200) == [f"{token} runs web/1", "ready"]
    named = instance_named(scene.site.database, token, ended=True)
    assert named.ended_at is not None
    assert named.ended_because.startswith("stale")
    assert named.provider == "memory"


def test_what_is_forgotten_is_told(scene: Scene) -> None:
    (token,) = scene.tokens("web/1")
    scene.roll("web/2")
    (scene.site.folder / "here" / "consoles" / f"{token}.log").unlink()

    with pytest.raises(Inconclusive, match="is gone, and its console is not kept here"):
        logs_of(scene, token).last(200)


def test_who_follows_sees_what_is_new_and_stops_at_the_end(scene: Scene) -> None:
    (token,) = scene.tokens("web/1")
    scene.clock.once(lambda: True, lambda: scene.provider.exit(token, code=3))

    parts = list(logs_of(scene, token).follow(200))

    assert parts[0] == [f"{token} runs web/1", "ready"]
    assert len(parts) == 1


def test_who_follows_one_that_is_replaced_stops_as_well(scene: Scene) -> None:
    (token,) = scene.tokens("web/1")
    followed = logs_of(scene, token).follow(1)

    assert next(followed) == ["ready"]
    scene.roll("web/2")
    assert list(followed) == []


@pytest.mark.parametrize(
    ("before", "now", "new"),
    [
        ("", "abc", "abc"),
        ("abc", "abc", ""),
        ("abc", "abcd", "d"),
        ("abc", "bcd", "d"),
        ("abc", "xyz", "xyz"),
        ("aab", "aba", "a"),
        ("abc", "", ""),
        ("aaa", "aaaa", "a"),
    ],
)
def test_new_is_what_does_not_overlap(before: str, now: str, new: str) -> None:
    assert new_lines(list(before), list(now)) == list(new)
