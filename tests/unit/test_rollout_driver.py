"""A rollout as it is driven: what it does, what stops it, and what it never ends."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.driving import Scene

from ovenbird.balancer.faulty import FaultyBalancer
from ovenbird.fleet.smoke import SmokeVerdict
from ovenbird.mishap import Kind, Lie, Mishap, Mishaps, Verb
from ovenbird.provider.faulty import FaultyProvider
from ovenbird.rollout import admission
from ovenbird.state.database import Database
from ovenbird.values.errors import (
    BalancerUnreachable,
    Blocked,
    Busy,
    EngineUnreachable,
    GoalFailed,
    NoCapacity,
    RollbackFailed,
    Superseded,
)
from ovenbird.values.instance import Goal, Seen, Verdict
from ovenbird.values.procedure import Budget, OnFailure, Procedure, SmokeSpec


@pytest.fixture
def scene(database: Database, tmp_path: Path) -> Scene:
    """Three of web/1 serve, and web/2 is what the channel means now."""
    scene = Scene.of(database, tmp_path)
    scene.roll("web/1")
    scene.promote("web/2")
    return scene


def test_a_rollout_replaces_a_fleet_within_its_limits(scene: Scene) -> None:
    mark = scene.provider.mark()
    outcome = scene.roll()

    assert outcome.outcome == "done"
    assert scene.running == scene.serving == {"web/2": 3}
    assert scene.provider.lowest_serving_since(mark, scene.key) == 3
    assert scene.provider.most_present(mark, scene.key) == 4


def test_every_step_is_intended_before_its_call_and_done_after_it(scene: Scene) -> None:
    scene.roll()

    assert {outcome for _, _, outcome in scene.written} == {"done"}
    launches = [token for verb, token, _ in scene.written if verb == "launch"]
    ends = [token for verb, token, _ in scene.written if verb == "terminate"]
    assert (scene.asked("launch"), scene.asked("terminate")) == (launches, ends)


def test_a_rollout_of_what_runs_already_takes_no_step(scene: Scene) -> None:
    scene.roll()
    asked = scene.provider.asked

    assert scene.roll().waves == []
    assert [deed for deed in scene.provider.asked[len(asked) :] if deed[0] != "open"] == []


def test_a_second_driver_is_refused_and_the_first_goes_on(scene: Scene) -> None:
    refused: list[str] = []

    def second() -> None:
        with pytest.raises(Busy, match=r"a rollout by ann@here, for .* s") as told:
            scene.roll(driver=scene.driver(by="bob@here"))
        refused.append(told.value.problem)

    scene.clock.once(lambda: scene.serving.get("web/2", 0) == 1, second)

    assert scene.roll().outcome == "done"
    assert len(refused) == 1


@pytest.mark.parametrize("host", ["here", "there"])
def test_a_rollback_supersedes_a_living_rollout_which_writes_nothing_more(
    host: str, scene: Scene
) -> None:
    after: list[object] = []

    def go_back() -> None:
        scene.roll_back(driver=scene.driver(by="bob@db1", host=host))
        after.append((scene.provider.asked, scene.written, scene.history))

    scene.clock.once(lambda: scene.serving.get("web/2", 0) == 1, go_back)

    with pytest.raises(Superseded, match="bob@db1") as told:
        scene.roll()

    assert told.value.exit_code == 3
    assert [(scene.provider.asked, scene.written, scene.history)] == after
    assert scene.serving == scene.running == {"web/1": 3}
    last = scene.driver().journal.last()
    assert last is not None
    assert (last.kind, last.outcome) == ("rollback", "done")
    assert [(deed.verb, deed.outcome) for deed in scene.history[1:]] == [
        ("take over", "done"),
        ("rollback", "done"),
    ]


def test_a_drain_is_not_gone_on_with_by_who_was_superseded(scene: Scene) -> None:
    """The rollback needs the very instance that is being drained, and does not wait for it."""
    old = scene.tokens("web/1")
    scene.balancer.sessions.update(dict.fromkeys(old, 1))
    scene.clock.once(lambda: len(scene.asked("drain")) > 0, scene.roll_back)

    with pytest.raises(Superseded):
        scene.roll()

    assert set(old) == set(scene.tokens("web/1")), "none of the old was ended"
    assert scene.serving == {"web/1": 3}


def test_a_balancer_that_lies_about_letting_go_costs_no_instance(scene: Scene) -> None:
    lie = Mishap(verb=Verb.DEREGISTER, kind=Kind.LIE, lie=Lie.DONE, times=None)
    balancer = FaultyBalancer(scene.balancer, Mishaps(lie))
    ended = len(scene.asked("terminate"))

    with pytest.raises(BalancerUnreachable, match="still lists it") as told:
        scene.roll(driver=scene.driver(balancer=balancer))

    assert told.value.exit_code == 3
    assert len(scene.asked("terminate")) == ended
    assert scene.running["web/1"] == 3
    assert scene.roll().outcome == "done"


def test_an_engine_that_forgets_an_instance_and_shows_it_again_does_not_cost_it(
    scene: Scene,
) -> None:
    scene.roll()
    before, records = scene.tokens("web/2"), scene.driver().records
    forgotten = before[0]
    less = Mishap(verb=Verb.INSTANCES, kind=Kind.LIE, lie=Lie.LESS, call=2, times=6)
    provider = FaultyProvider(scene.provider, Mishaps(less))
    scene.provider.answer(forgotten, Verdict.FAIL)  # so its balancer finds it down
    scene.clock.once(
        lambda: records.of([forgotten])[forgotten].vanished,
        lambda: scene.provider.answer(forgotten, Verdict.PASS),
    )
    scene.roll(driver=scene.driver(provider=provider))
    scene.roll()

    assert len(scene.asked("launch")) == 3 + 3 + 1, "it was missed"
    assert set(scene.asked("terminate")).isdisjoint(before)
    assert records.of([forgotten])[forgotten].ended_at is None
    assert scene.serving == {"web/2": 3}


def test_an_engine_that_never_lists_what_it_launched_is_not_believed(scene: Scene) -> None:
    lie = Mishap(verb=Verb.LAUNCH, kind=Kind.LIE)
    provider = FaultyProvider(scene.provider, Mishaps(lie))

    with pytest.raises(EngineUnreachable, match="has not listed it for 60 s") as told:
        scene.roll(driver=scene.driver(provider=provider))

    assert told.value.exit_code == 3
    assert scene.clock.passed > 60
    assert scene.serving == {"web/1": 3}
    assert scene.roll().outcome == "done"


@pytest.mark.parametrize("verb", [Verb.LAUNCH, Verb.INSTANCES])
def test_an_engine_that_hangs_stops_a_rollout_in_time(verb: Verb, scene: Scene) -> None:
    provider = FaultyProvider(scene.provider, Mishaps(Mishap(verb=verb, kind=Kind.HANG)))

    with pytest.raises(EngineUnreachable, match=r"within 0\.2 s"):
        scene.roll(driver=scene.driver(provider=provider, longest_call=0.2))

    assert scene.serving.get("web/1", 0) + scene.serving.get("web/2", 0) == 3
    assert scene.roll().outcome == "done"
    assert scene.running == {"web/2": 3}


def test_a_new_instance_that_fails_its_smoke_test_gets_no_traffic(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    procedure = Procedure(smoke=SmokeSpec(argv=("./smoke",)))
    bad = SmokeVerdict(passed=False, because="the page is empty", evidence="")
    monkeypatch.setattr(admission, "run_smoke", lambda *_, **__: bad)
    registered = len(scene.asked("register"))

    with pytest.raises(GoalFailed, match="the page is empty") as told:
        scene.wanting(procedure=procedure).roll()

    assert told.value.exit_code == 1
    assert len(scene.asked("register")) == registered
    assert scene.serving == {"web/1": 3}
    (canary,) = scene.tokens("web/2")
    record = scene.driver().records.of([canary])[canary]
    assert (record.accepted_at, record.condemned_because) == (None, "the page is empty")


def test_a_smoke_test_is_asked_once_of_each_new_instance(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    judged: list[str] = []

    def good(_spec: object, seen: Seen, **_: object) -> SmokeVerdict:
        judged.append(seen.token)
        return SmokeVerdict(passed=True, because="", evidence="")

    monkeypatch.setattr(admission, "run_smoke", good)
    scene.wanting(procedure=Procedure(smoke=SmokeSpec(argv=("./smoke",)))).roll()

    assert sorted(judged) == sorted(scene.tokens("web/2"))


def test_no_room_at_the_engine_blocks_and_the_same_command_finishes_it_later(
    scene: Scene,
) -> None:
    scene.provider.make_room(3)

    with pytest.raises(NoCapacity, match="room for 3") as told:
        scene.roll()

    assert told.value.exit_code == 3
    assert scene.serving == {"web/1": 3}
    assert scene.driver().book.failure_of(_goal(scene)) is None, "nothing is wrong with the image"
    scene.provider.make_room(None)
    assert scene.roll().outcome == "done"
    assert scene.running == {"web/2": 3}


def _goal(scene: Scene) -> Goal:
    last = scene.driver().journal.last()
    assert last is not None
    return last.goal


def test_too_many_bad_instances_open_the_circuit_though_some_serve(scene: Scene) -> None:
    scene.clock.once(
        lambda: scene.serving.get("web/2", 0) == 1,
        lambda: scene.provider.becomes("web/2", Verdict.FAIL),
    )

    with pytest.raises(GoalFailed, match="max_failed is 2"):
        scene.roll()

    assert len(scene.asked("launch")) == 3 + 3
    assert sum(scene.serving.values()) == 3


def test_a_canary_that_never_becomes_healthy_fails_the_goal_and_not_the_fleet(
    scene: Scene,
) -> None:
    scene.provider.becomes("web/2", Verdict.FAIL)

    with pytest.raises(GoalFailed, match="canary") as told:
        scene.roll()
    with pytest.raises(GoalFailed, match="failed in dev/web on"):
        scene.roll()

    assert told.value.exit_code == 1
    assert len(scene.tokens("web/2")) == 1
    assert scene.serving == {"web/1": 3}


def test_a_fleet_that_wishes_so_goes_back_by_itself_and_the_failure_stays_one(
    scene: Scene,
) -> None:
    scene.provider.becomes("web/2", Verdict.FAIL)
    wishing = scene.wanting(procedure=Procedure(on_failure=OnFailure.ROLLBACK))

    with pytest.raises(GoalFailed, match=r"rolled back to web/1") as told:
        wishing.roll()

    assert told.value.exit_code == 1
    assert scene.running == scene.serving == {"web/1": 3}
    assert set(scene.driver().book.standing().pins) == {"web/2"}
    assert [(deed.verb, deed.outcome) for deed in scene.history[1:]] == [
        ("rollout", "failed"),
        ("rollback", "done"),
    ]


def test_a_rollback_that_fails_calls_a_person_and_keeps_everything(scene: Scene) -> None:
    scene.roll()
    scene.provider.becomes("web/1", Verdict.FAIL)

    with pytest.raises(RollbackFailed) as told:
        scene.roll_back()

    assert told.value.exit_code == 5
    assert scene.serving == {"web/2": 3}


def test_an_ending_waits_for_the_budget_of_its_environment(scene: Scene) -> None:
    shop = scene.beside("shop", size=1)
    shop.roll("web/1")
    scene.promote("web/2")
    (old,) = shop.tokens("web/1")
    shop.balancer.sessions[old] = 1
    tight = scene.wanting(budget=Budget(instances=1))
    told: list[Blocked] = []

    def beside_the_drain_of_the_shop() -> None:
        with pytest.raises(Blocked, match="1 instances of dev are being ended") as spent:
            tight.roll()
        told.append(spent.value)
        assert scene.running["web/1"] == 3, "nothing is ended beyond the budget"

    scene.clock.once(lambda: old in scene.asked("drain"), beside_the_drain_of_the_shop)

    assert shop.roll().outcome == "done"
    assert [each.exit_code for each in told] == [3]
    assert tight.roll().outcome == "done"


def test_a_rollback_does_not_wait_for_the_budget(scene: Scene) -> None:
    scene.roll()
    shop = scene.beside("shop", size=1)
    shop.roll("web/1")
    scene.promote("web/2")
    (old,) = shop.tokens("web/1")
    shop.balancer.sessions[old] = 1
    tight = scene.wanting(budget=Budget(instances=1))
    scene.clock.once(lambda: old in scene.asked("drain"), tight.roll_back)
    shop.roll()

    assert scene.serving == {"web/1": 3}
