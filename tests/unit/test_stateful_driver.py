"""A fleet with volumes as it is driven: one slot after the other, and never two writers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.driving import Killed, Scene

from ovenbird.care.tend import tend
from ovenbird.mishap import Kind as Fault
from ovenbird.mishap import Mishap, Mishaps, Verb
from ovenbird.rollout.stages import in_stages, require_a_service
from ovenbird.state.database import Database
from ovenbird.state.faulty import FaultyDatabase
from ovenbird.values.errors import Blocked, ConfigurationError, GoalFailed
from ovenbird.values.fleet import JobSpec, Kind, Order, VolumeSpec
from ovenbird.values.instance import Seen, Verdict
from ovenbird.values.limits import Limits

DATA = (VolumeSpec(name="data", path="/var/lib/app"),)
ONE_BY_ONE = Limits(max_surge=0, max_unavailable=1)


class Watched:
    """A provider in memory, of which each launch is seen: who had the slot before it."""

    def __init__(self, scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
        self.launched: list[tuple[int, str]] = []
        launch = scene.provider.launch

        def seen(order: Order) -> Seen:
            others = [
                s.token
                for s in scene.provider.instances(scene.key)
                if s.slot == order.slot and s.token != order.token
            ]
            assert not others, f"{order.token} would write beside {others}"
            assert order.volumes == scene.fleet.volumes
            done = launch(order)
            self.launched.append((order.slot, order.version))
            return done

        monkeypatch.setattr(scene.provider, "launch", seen)


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, each with its volume, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path, volumes=DATA, limits=ONE_BY_ONE)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


@pytest.fixture
def watched(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(scene, monkeypatch)


def slots_of(scene: Scene) -> list[int]:
    return sorted(seen.slot for seen in scene.provider.instances(scene.key))


def holder(scene: Scene, slot: int) -> str:
    (token,) = [s.token for s in scene.provider.instances(scene.key) if s.slot == slot]
    return token


def test_slot_by_slot_the_old_one_is_ended_first(scene: Scene, watched: Watched) -> None:
    mark = scene.provider.mark()

    scene.roll()

    assert watched.launched == [(0, "web/2"), (1, "web/2"), (2, "web/2")]
    assert scene.provider.most_present(mark, scene.key) == 3
    assert scene.provider.lowest_serving_since(mark, scene.key) == 2
    assert "data of web-0 is detached" in scene.said.getvalue()
    assert scene.serving == {"web/2": 3}


def test_a_fleet_of_one_is_gone_for_the_moment_of_its_replacement(
    database: Database, tmp_path: Path
) -> None:
    scene = Scene.of(database, tmp_path, volumes=DATA, limits=ONE_BY_ONE, size=1)
    scene.roll("web/1")
    mark = scene.provider.mark()

    scene.roll("web/2")

    assert scene.serving == {"web/2": 1}
    assert scene.provider.most_present(mark, scene.key) == 1
    assert len(scene.driver().provider.volumes(scene.key)) == 1


def test_a_counter_on_a_volume_survives_ten_rollouts_and_a_rollback(
    scene: Scene, watched: Watched
) -> None:
    before = [v.name for v in scene.provider.volumes(scene.key)]
    count(scene)

    for number in range(10):
        scene.roll(f"web/{2 + number % 2}")
        count(scene)
    scene.roll_back()

    assert [v.name for v in scene.provider.volumes(scene.key)] == before
    assert [scene.provider.files(name) for name in before] == [{"count": "11"}] * 3
    assert slots_of(scene) == [0, 1, 2]
    assert len(watched.launched) == 33


def count(scene: Scene) -> None:
    """Let each instance count on its volume, as a program of its own would."""
    used = {v.used_by[0]: v.name for v in scene.provider.volumes(scene.key)}
    for token, name in used.items():
        known = int(scene.provider.files(name).get("count", "0"))
        scene.provider.put(token, "data", "count", str(known + 1))


def test_a_fleet_that_is_given_volumes_is_rolled_for_them(
    database: Database, tmp_path: Path
) -> None:
    """Same image, and slots from a time in which there was one more for a while."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.roll("web/2")
    stateful = scene.wanting(volumes=DATA, limits=ONE_BY_ONE)

    stateful.roll()

    assert slots_of(stateful) == [0, 1, 2]
    assert [len(v.used_by) for v in stateful.provider.volumes(stateful.key)] == [1, 1, 1]
    assert stateful.serving == {"web/2": 3}


@pytest.mark.parametrize("kind", [Fault.FAIL, Fault.FAIL_AFTER])
def test_a_driver_that_dies_at_any_write_leaves_no_second_writer(
    kind: Fault, scene: Scene, watched: Watched
) -> None:
    """Every rollout but the last is cut at its next write to the steps, before or after it."""
    count(scene)
    for number in range(1, 60):
        cut = Mishap(verb=Verb.WRITE, kind=kind, call=1 + number % 4, times=None, table="steps")
        broken = replace(
            scene,
            site=replace(scene.site, database=FaultyDatabase(scene.site.database, Mishaps(cut))),
        )
        try:
            broken.roll()
        except Blocked:
            pass
        else:
            break
        assert len(slots_of(scene)) == len(set(slots_of(scene)))
        assert sum(scene.serving.values()) >= 2

    scene.roll()

    assert scene.serving == scene.running == {"web/2": 3}
    names = [v.name for v in scene.provider.volumes(scene.key)]
    assert [scene.provider.files(name) for name in names] == [{"count": "1"}] * 3


@pytest.mark.parametrize("verb", ["launch", "terminate"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_driver_that_dies_at_a_call_leaves_no_second_writer(
    verb: str, number: int, scene: Scene, watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, real = 0, getattr(scene.provider, verb)

    def dies(*args: object, **kwargs: object) -> object:
        nonlocal calls
        calls += 1
        done = real(*args, **kwargs) if calls != number else None
        if calls == number:
            raise Killed
        return done

    with monkeypatch.context() as patch:
        patch.setattr(scene.provider, verb, dies)
        with pytest.raises(Killed):
            scene.roll()

    scene.roll()

    assert scene.serving == scene.running == {"web/2": 3}
    assert slots_of(scene) == [0, 1, 2]


def test_a_bad_image_costs_one_slot_and_a_rollback_brings_it_back(
    scene: Scene, watched: Watched
) -> None:
    scene.provider.becomes("web/2", Verdict.FAIL)
    with pytest.raises(GoalFailed):
        scene.roll()
    assert scene.serving == {"web/1": 2}

    scene.roll_back()

    assert scene.serving == scene.running == {"web/1": 3}
    assert slots_of(scene) == [0, 1, 2]


def test_another_try_gets_out_of_a_slot_that_failed(scene: Scene, watched: Watched) -> None:
    scene.provider.becomes("web/2", Verdict.FAIL)
    with pytest.raises(GoalFailed):
        scene.roll()
    scene.provider.becomes("web/2", Verdict.PASS)

    scene.roll(retry=True)

    assert scene.serving == scene.running == {"web/2": 3}
    assert watched.launched[:2] == [(0, "web/2"), (0, "web/2")]


@pytest.mark.parametrize("size", [1, 3])
def test_tend_replaces_an_ill_one_in_its_own_slot(
    size: int, database: Database, tmp_path: Path
) -> None:
    scene = Scene.of(database, tmp_path, volumes=DATA, limits=ONE_BY_ONE, size=size)
    scene.roll("web/1")
    ill = holder(scene, size - 1)
    scene.provider.exit(ill)

    tend(scene.driver())

    assert scene.serving == scene.running == {"web/1": size}
    assert holder(scene, size - 1) != ill


def test_tend_gets_out_of_a_failed_canary_with_the_settled_image(
    scene: Scene, watched: Watched
) -> None:
    scene.provider.becomes("web/2", Verdict.FAIL)
    with pytest.raises(GoalFailed):
        scene.roll()

    tend(scene.driver())

    assert scene.serving == scene.running == {"web/1": 3}


def test_a_lost_one_keeps_its_slot_until_it_is_proven_gone(scene: Scene, watched: Watched) -> None:
    lost = holder(scene, 1)
    scene.provider.lose(lost)
    scene.clock.pass_by(120)

    with pytest.raises(
        Blocked, match=f"Slot 1 of dev/web is held by {lost}, which is lost"
    ) as told:
        scene.roll()

    assert told.value.exit_code == 3
    assert "Prove that it is gone" in told.value.remedy
    assert lost in scene.tokens("web/1")
    scene.provider.find(lost)
    scene.roll()
    assert scene.serving == scene.running == {"web/2": 3}


def test_a_volume_that_somebody_else_has_is_not_attached(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An administrator looks into it with the engine's own tool."""
    volumes = scene.provider.volumes
    with monkeypatch.context() as patch:
        patch.setattr(
            scene.provider,
            "volumes",
            lambda key: tuple(replace(v, used_by=("a-look",)) for v in volumes(key)),
        )
        with pytest.raises(Blocked, match="of web-0 is in use by a-look"):
            scene.roll()
    assert scene.serving == {"web/1": 2}
    scene.roll()
    assert scene.serving == {"web/2": 3}


def test_a_smaller_fleet_ends_its_highest_slots_and_keeps_their_volumes(scene: Scene) -> None:
    smaller = scene.wanting(size=1)
    ended = [holder(scene, slot) for slot in (2, 1)]

    smaller.roll("web/1")

    assert [t for t in smaller.asked("terminate") if t in ended] == ended
    assert slots_of(smaller) == [0]
    assert [v.slot for v in smaller.provider.volumes(smaller.key)] == [0, 1, 2]


def test_a_fleet_of_jobs_is_neither_rolled_nor_tended(scene: Scene) -> None:
    jobs = scene.wanting(kind=Kind.JOB, job=JobSpec(name="migrate"), volumes=(), size=0).driver()

    with pytest.raises(ConfigurationError, match="is of kind job") as told:
        require_a_service(jobs)

    assert told.value.exit_code == 2
    assert "invoke fleet.run web --env dev" in told.value.remedy
    assert in_stages([jobs]) == []
    assert tend(jobs) == "runs its job on demand, so there is nothing to tend"
