from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ovenbird.provider.memory import MemoryBalancer, MemoryProbe, MemoryProvider
from ovenbird.values.errors import BalancerUnreachable, Blocked, EngineUnreachable, OvenbirdError
from ovenbird.values.fleet import FleetKey, LaunchData, Order
from ovenbird.values.image import Artifact, Contract, StopPolicy
from ovenbird.values.instance import EngineState, EntryState, Seen, Verdict

WEB = FleetKey(site="memory", env="dev", name="web")
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def an_order(slot: int, *, version: str = "web/1") -> Order:
    artifact = Artifact(
        provider="memory",
        id=version,
        template="",
        parent="",
        token="",
        location="",
        size=0,
        baked_at=NOON,
    )
    return Order(
        token=f"dev-web-{slot}",
        fleet=WEB,
        version=version,
        artifact=artifact,
        contract=Contract(port=80),
        launch=LaunchData(config='{"greeting": "hello"}', secrets=(("token", b"hush"),)),
        slot=slot,
    )


def test_what_a_version_becomes_decides_what_the_probe_says() -> None:
    provider = MemoryProvider()
    probe = MemoryProbe(provider)
    provider.becomes("web/2", Verdict.FAIL)

    good = provider.launch(an_order(0))
    bad = provider.launch(an_order(1, version="web/2"))

    assert probe.look(good, NOON).verdict is Verdict.PASS
    assert probe.look(bad, NOON).verdict is Verdict.FAIL
    assert "ready" in provider.console(good.token, lines=5)
    assert "ready" not in provider.console(bad.token, lines=5)


def test_a_blind_probe_gets_no_answer_from_anybody() -> None:
    provider = MemoryProvider()
    probe = MemoryProbe(provider)
    seen = provider.launch(an_order(0))

    probe.blind = True

    assert probe.look(seen, NOON).verdict is Verdict.NO_ANSWER


def test_a_lost_instance_is_silent_and_may_come_back() -> None:
    provider = MemoryProvider()
    probe, seen = MemoryProbe(provider), provider.launch(an_order(0))

    provider.lose(seen.token)
    assert only(provider).state is EngineState.LOST
    assert probe.look(seen, NOON).verdict is Verdict.NO_ANSWER

    provider.find(seen.token)
    assert probe.look(seen, NOON).verdict is Verdict.PASS


def test_one_that_ended_by_itself_keeps_its_exit_code_and_refuses_looks() -> None:
    provider = MemoryProvider()
    seen = provider.launch(an_order(0))

    provider.exit(seen.token, code=3)

    assert (only(provider).state, only(provider).exit_code) == (EngineState.EXITED, 3)
    assert MemoryProbe(provider).look(seen, NOON).verdict is Verdict.FAIL


def test_a_failure_that_was_asked_for_comes_once_and_changes_nothing() -> None:
    provider = MemoryProvider()
    provider.fail_next("launch", EngineUnreachable("It is silent.", remedy="Wait."))

    with pytest.raises(EngineUnreachable):
        provider.launch(an_order(0))
    assert provider.instances(WEB) == ()

    provider.launch(an_order(0))
    assert provider.asked == [("launch", "dev-web-0")]


def test_a_lingering_instance_is_dying_until_it_is_ended_again() -> None:
    provider = MemoryProvider()
    provider.launch(an_order(0))
    provider.linger = True

    provider.terminate("dev-web-0", stop=StopPolicy())
    assert only(provider).state is EngineState.DYING

    provider.terminate("dev-web-0", stop=StopPolicy())
    assert provider.instances(WEB) == ()


def test_an_instance_reads_who_it_is_and_its_fleets_configuration() -> None:
    provider = MemoryProvider()
    provider.launch(an_order(0))

    config = provider.config("dev-web-0")

    assert '"greeting": "hello"' in config
    assert '"instance": "dev-web-0"' in config


def test_two_processes_share_the_world_of_a_folder(tmp_path: Path) -> None:
    here, there = MemoryProvider(folder=tmp_path), MemoryProvider(folder=tmp_path)

    here.becomes("web/1", Verdict.FAIL)
    seen = there.launch(an_order(0))

    assert only(here) == seen
    assert here.asked == [("launch", "dev-web-0")]
    assert MemoryProbe(here).look(seen, NOON).verdict is Verdict.FAIL
    assert "hush" not in (tmp_path / "memory.json").read_text()


def test_an_artifact_in_use_is_not_deleted_and_a_deleted_one_does_not_launch() -> None:
    provider, order = MemoryProvider(), an_order(0)
    provider.launch(order)
    with pytest.raises(Blocked):
        provider.delete(order.artifact)

    provider.terminate(order.token, stop=StopPolicy())
    provider.delete(order.artifact)
    provider.delete(order.artifact)

    assert not provider.present(order.artifact)
    with pytest.raises(OvenbirdError):
        provider.launch(replace(order, token="dev-web-9"))


def test_its_balancer_serves_what_passes_and_drains_before_it_forgets() -> None:
    provider = MemoryProvider()
    balancer, seen = MemoryBalancer(provider, WEB), provider.launch(an_order(0))
    balancer.open()
    balancer.sessions[seen.token] = 2

    balancer.register(seen)
    assert [e.state for e in balancer.entries()] == [EntryState.IN_SERVICE]

    assert balancer.drain(seen.token, timeout=1) == 2
    assert [(e.state, e.sessions) for e in balancer.entries()] == [(EntryState.DRAINING, 2)]

    balancer.register(seen)
    assert [e.state for e in balancer.entries()] == [EntryState.IN_SERVICE]

    balancer.deregister(seen.token)
    balancer.deregister(seen.token)
    assert (balancer.entries(), balancer.drain(seen.token, timeout=1)) == ((), 0)


def test_its_balancer_marks_an_ill_server_down_and_can_be_out_of_reach() -> None:
    provider = MemoryProvider()
    balancer, seen = MemoryBalancer(provider, WEB), provider.launch(an_order(0))
    balancer.register(seen)

    provider.answer(seen.token, Verdict.FAIL)
    assert [e.state for e in balancer.entries()] == [EntryState.DOWN]

    balancer.unreachable = True
    with pytest.raises(BalancerUnreachable):
        balancer.entries()


def only(provider: MemoryProvider) -> Seen:
    (seen,) = provider.instances(WEB)
    return seen
