"""Who goes last is the word of a program of the operator's, and an unclear word ends nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.driving import Scene

from ovenbird import process
from ovenbird.process import Finished
from ovenbird.state.database import Database
from ovenbird.values.errors import Blocked
from ovenbird.values.fleet import OrderHook, VolumeSpec
from ovenbird.values.limits import Limits


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, each with its volume, and web/2 is what the channel means now."""
    scene = Scene.of(
        database,
        tmp_path,
        volumes=(VolumeSpec(name="data", path="/var/lib/app"),),
        limits=Limits(max_surge=0, max_unavailable=1),
    )
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def test_the_leader_goes_last(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slot 0 leads, until it is replaced."""
    leading = scene.wanting(order=OrderHook(argv=("who-leads",)))
    old = scene.tokens("web/1")
    monkeypatch.setattr(process, "run", _says("{rest}\n{first}\n"))

    leading.roll()

    assert [t for t in scene.asked("terminate") if t in old] == [old[1], old[2], old[0]]
    assert scene.serving == {"web/2": 3}


@pytest.mark.parametrize(
    ("printed", "code", "says"),
    [
        ("", 1, "ended with exit code 1"),
        ("", 124, "has not ended for 30 s"),
        ("{rest}\nnobody\n", 0, "names 'nobody', which is none"),
        ("{rest}\n", 0, "names 2 of 3 instances"),
        ("{first}\n{rest}\n{first}\n", 0, "twice"),
    ],
)
def test_an_order_that_is_not_clear_ends_nothing(
    printed: str, code: int, says: str, scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    leading, ended = scene.wanting(order=OrderHook(argv=("who-leads",))), scene.asked("terminate")
    monkeypatch.setattr(process, "run", _says(printed, code=code))

    with pytest.raises(Blocked, match=says) as told:
        leading.roll()

    assert told.value.exit_code == 3
    assert scene.asked("terminate") == ended
    assert scene.serving == {"web/1": 3}


def _says(printed: str, *, code: int = 0) -> object:
    """A program that prints the tokens of the slots above 0, and of slot 0, where it is told."""

    def run(_argv: list[str], *, stdin: bytes, **_: object) -> Finished:
        tokens = [one["token"] for one in json.loads(stdin)]
        said = printed.format(first=tokens[0], rest="\n".join(tokens[1:]))
        return Finished(code=code, stdout=said, stderr="")

    return run
