"""What a killed driver leaves, and what the next one makes of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, update
from tests.builders import an_artifact
from tests.driving import Killed, Scene

from ovenbird.mishap import Kind, Mishap, Mishaps, Verb
from ovenbird.provider.faulty import FaultyProvider
from ovenbird.state.database import Database
from ovenbird.state.faulty import FaultyDatabase
from ovenbird.state.tables import instances, leases
from ovenbird.values.errors import Blocked, EngineUnreachable
from ovenbird.values.fleet import LaunchData, Order
from ovenbird.values.image import Contract, StopPolicy


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def killed_at(scene: Scene, verb: str) -> None:
    """Let a driver die in its next call of ``verb``, which does nothing any more."""
    scene.provider.fail_next(verb, Killed())
    with pytest.raises(Killed):
        scene.roll()


def the_launch_in_the_air(scene: Scene) -> Order:
    """Return the order that a killed driver had written down."""
    (left,) = scene.driver().journal.in_the_air()
    assert left.verb == "launch"
    return Order(
        token=left.token,
        fleet=scene.key,
        version=left.version,
        artifact=an_artifact(f"m-{left.version[-1]}"),
        contract=Contract(port=80),
        launch=LaunchData(hash=left.launch_hash),
        slot=left.slot,
    )


def test_a_launch_in_the_air_is_made_again_with_its_token(scene: Scene) -> None:
    killed_at(scene, "launch")
    order = the_launch_in_the_air(scene)
    assert scene.provider.inhabitant(order.token) is None

    scene.roll()

    assert order.token in scene.tokens("web/2")
    assert scene.asked("launch").count(order.token) == 1
    assert scene.serving == scene.running == {"web/2": 3}


def test_a_launch_that_landed_unseen_is_adopted(scene: Scene) -> None:
    """The engine answers a second launch of the same token with the first one's instance."""
    lost = Mishap(verb=Verb.LAUNCH, kind=Kind.FAIL_AFTER)
    with pytest.raises(EngineUnreachable):
        scene.roll(driver=scene.driver(provider=FaultyProvider(scene.provider, Mishaps(lost))))
    order = the_launch_in_the_air(scene)
    (landed,) = scene.tokens("web/2")

    scene.roll()

    assert landed == order.token
    assert landed in scene.tokens("web/2")
    assert scene.running == {"web/2": 3}


def test_a_launch_in_the_air_of_another_goal_is_ended(scene: Scene) -> None:
    killed_at(scene, "launch")
    order = the_launch_in_the_air(scene)

    scene.roll_back()

    assert order.token not in scene.asked("launch")
    assert order.token in scene.asked("terminate")
    assert scene.driver().journal.in_the_air() == []
    assert scene.running == scene.serving == {"web/1": 3}


def test_an_instance_that_lands_after_its_end_is_ended_again(scene: Scene) -> None:
    killed_at(scene, "launch")
    order = the_launch_in_the_air(scene)
    scene.roll_back()
    scene.provider.launch(order)  # the dead driver's child got through at last
    assert scene.running == {"web/1": 3, "web/2": 1}

    scene.promote("web/1")
    scene.roll()

    assert scene.running == scene.serving == {"web/1": 3}
    assert scene.asked("register").count(order.token) == 0


def test_an_engine_whose_dead_come_back_for_ever_is_not_believed(scene: Scene) -> None:
    killed_at(scene, "launch")
    order = the_launch_in_the_air(scene)
    scene.roll_back()
    scene.provider.launch(order)
    lie = Mishap(verb=Verb.TERMINATE, kind=Kind.LIE, times=None)
    scene.promote("web/3")

    with pytest.raises(EngineUnreachable, match=r"3 times that it ended"):
        scene.roll(driver=scene.driver(provider=FaultyProvider(scene.provider, Mishaps(lie))))

    assert scene.serving["web/1"] + scene.serving.get("web/3", 0) == 3


@pytest.mark.parametrize("verb", ["register", "drain", "deregister"])
def test_a_step_in_the_air_is_left_to_what_is_seen(verb: str, scene: Scene) -> None:
    def die(*_: object, **__: object) -> None:
        raise Killed

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(scene.balancer), verb, die)
        with pytest.raises(Killed):
            scene.roll()
    (left,) = scene.driver().journal.in_the_air()
    assert left.verb == verb

    scene.roll()

    outcome = "void" if verb == "drain" else "left"  # it is in service everywhere, so it was not
    assert (verb, left.token, outcome) in scene.written
    assert scene.running == scene.serving == {"web/2": 3}


def test_an_end_that_nobody_saw_is_written_down_and_not_made_again(scene: Scene) -> None:
    lost = Mishap(verb=Verb.TERMINATE, kind=Kind.FAIL_AFTER)
    with pytest.raises(EngineUnreachable):
        scene.roll(driver=scene.driver(provider=FaultyProvider(scene.provider, Mishaps(lost))))
    (left,) = scene.driver().journal.in_the_air()

    scene.roll()

    assert scene.asked("terminate").count(left.token) == 1
    assert scene.driver().records.of([left.token])[left.token].ended_at is not None
    assert scene.running == {"web/2": 3}


def test_a_rollout_keeps_its_goal_though_the_channel_has_moved(scene: Scene) -> None:
    killed_at(scene, "launch")
    scene.promote("web/3")
    scene.roll()

    assert scene.running == {"web/2": 3}
    assert scene.roll().after == "web/3"


def test_an_instance_without_a_record_stops_everything(scene: Scene) -> None:
    (unknown, *_) = scene.tokens("web/1")
    ended = scene.asked("terminate")
    with scene.site.database.begin() as db:
        db.execute(delete(instances).where(instances.c.token == unknown))

    with pytest.raises(Blocked, match=f"no record of them: {unknown}") as told:
        scene.roll()

    assert told.value.exit_code == 3

    assert scene.asked("terminate") == ended
    assert scene.serving == {"web/1": 3}


def test_an_instance_that_is_recorded_at_another_place_stops_everything(scene: Scene) -> None:
    (away, *_) = scene.tokens("web/1")
    scene.provider.terminate(away, stop=StopPolicy())  # it is not at this one
    scene.balancer.deregister(away)
    with scene.site.database.begin() as db:
        there = update(instances).where(instances.c.token == away).values(place="memory at db1")
        db.execute(there)
    asked = scene.provider.asked

    with pytest.raises(Blocked, match="live at memory at db1, and this is memory") as told:
        scene.roll()

    assert told.value.exit_code == 3
    assert [deed for deed in scene.provider.asked[len(asked) :] if deed[0] != "open"] == []


def test_instances_of_another_site_stop_everything(scene: Scene) -> None:
    stranger = replace(scene.key, site="elsewhere")
    order = replace(_an_order_of(scene), fleet=stranger, token="theirs")
    scene.provider.site, mine = "elsewhere", scene.provider.site
    scene.provider.launch(order)
    scene.provider.site = mine
    ended = scene.asked("terminate")

    with pytest.raises(Blocked, match="belong to another site") as told:
        scene.roll()

    assert told.value.exit_code == 3
    assert scene.asked("terminate") == ended


def _an_order_of(scene: Scene) -> Order:
    return Order(
        token="x",
        fleet=scene.key,
        version="web/1",
        artifact=an_artifact("m-1"),
        contract=Contract(port=80),
        launch=LaunchData(),
        slot=9,
    )


@pytest.mark.parametrize("table", ["steps", "instances", "rollouts", "leases"])
def test_a_database_that_is_full_before_an_intent_lets_nothing_be_called(
    table: str, scene: Scene
) -> None:
    full = Mishap(verb=Verb.WRITE, kind=Kind.FAIL, table=table, times=None)
    asked = scene.provider.asked
    driver = scene.driver()
    site = replace(scene.site, database=FaultyDatabase(scene.site.database, Mishaps(full)))

    with pytest.raises(Blocked) as told:
        replace(scene, site=site).roll()

    assert told.value.exit_code == 3
    assert [deed for deed in scene.provider.asked[len(asked) :] if deed[0] != "open"] == []
    assert driver.journal.in_the_air() == []
    assert scene.roll().outcome == "done"


def test_the_calls_of_a_dead_driver_on_another_host_are_waited_for(scene: Scene) -> None:
    """Only its intents are known here: each may be under way for as long as a call may take."""
    killed_at(scene, "launch")
    _leave_the_lease(scene, silent=16)
    began = scene.clock.passed

    setting = scene.driver(host="there", longest_call=60.0)
    scene.roll(driver=setting)

    assert scene.clock.passed - began >= 60 - 16 - 1
    assert scene.running == {"web/2": 3}


def _leave_the_lease(scene: Scene, *, silent: float) -> None:
    with scene.site.database.begin() as db:
        then = scene.site.database.now(db) - timedelta(seconds=silent)
        db.execute(update(leases).values(released_at=None, heartbeat_at=then))
