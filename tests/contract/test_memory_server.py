"""The memory world in a server of its own: the same contracts, and what only a server can do."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path

import pytest
from tests.contract import test_providers

from ovenbird.balancer.contract import A_FLEET, AnInstance, BalancerContract, Connect
from ovenbird.provider.contract import Opened
from ovenbird.provider.memory import MemoryBalancer, MemoryProvider
from ovenbird.provider.memory_server import MemoryServer
from ovenbird.values.errors import EngineUnreachable, NoCapacity
from ovenbird.values.fleet import FleetKey, LaunchData, Order
from ovenbird.values.image import Artifact, Contract
from ovenbird.values.instance import Seen

KEY = FleetKey(site="memory", env="dev", name="web")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Path]:
    """A folder that a server holds a world for."""
    folder = tmp_path / "w"
    with MemoryServer(folder):
        yield folder


class TestMemoryInAServer(test_providers.TestMemoryInAFile):
    @pytest.fixture
    def opened(self, served: Path) -> Opened:
        return lambda site: MemoryProvider(folder=served, site=site)


class TestBalancerInAServer(BalancerContract):
    @pytest.fixture
    def connect(self, served: Path) -> Connect:
        return lambda: MemoryBalancer(MemoryProvider(folder=served, site=A_FLEET.site), A_FLEET)

    @pytest.fixture
    def an_instance(self, served: Path, an_artifact: Artifact) -> AnInstance:
        provider = MemoryProvider(folder=served, site=A_FLEET.site)
        return lambda token: provider.launch(an_order(token, an_artifact, fleet=A_FLEET))


@pytest.fixture
def an_artifact() -> Artifact:
    return Artifact(
        provider="memory",
        id="m-1",
        template="",
        parent="",
        token="",
        location="",
        size=0,
        baked_at=datetime(2026, 11, 22, tzinfo=UTC),
    )


def an_order(token: str, artifact: Artifact, *, fleet: FleetKey = KEY) -> Order:
    return Order(
        token=token,
        fleet=fleet,
        version="web/1",
        artifact=artifact,
        contract=Contract(port=80),
        launch=LaunchData(),
        slot=0,
    )


def test_a_launch_lands_though_its_caller_was_killed(served: Path, an_artifact: Artifact) -> None:
    provider = MemoryProvider(folder=served)
    provider.delay_next("launch", 0.5)
    caller = get_context("spawn").Process(
        target=launch_from_afar, args=(served, an_order("web-a", an_artifact))
    )
    caller.start()
    while provider.snapshot().delays["launch"]:
        time.sleep(0.01)
    assert caller.pid is not None
    os.kill(caller.pid, signal.SIGKILL)
    caller.join()

    assert provider.instances(KEY) == ()
    time.sleep(0.8)
    assert [seen.token for seen in provider.instances(KEY)] == ["web-a"]


def launch_from_afar(folder: Path, order: Order) -> None:
    MemoryProvider(folder=folder).launch(order)


def test_two_launches_of_one_token_give_one_though_one_is_late(
    served: Path, an_artifact: Artifact
) -> None:
    provider, order = MemoryProvider(folder=served), an_order("web-a", an_artifact)
    provider.delay_next("launch", 0.3)
    made: list[Seen] = []
    late = threading.Thread(target=lambda: made.append(provider.launch(order)))
    late.start()
    while provider.snapshot().delays["launch"]:
        time.sleep(0.01)

    made.append(provider.launch(order))
    late.join()

    assert made[0] == made[1]
    assert len(provider.instances(KEY)) == 1


def test_a_world_without_room_says_so_and_starts_nothing(
    served: Path, an_artifact: Artifact
) -> None:
    provider = MemoryProvider(folder=served)
    provider.make_room(1)
    provider.launch(an_order("web-a", an_artifact))

    with pytest.raises(NoCapacity, match="room for 1"):
        provider.launch(an_order("web-b", an_artifact))
    assert len(provider.instances(KEY)) == 1


def test_a_server_that_is_gone_is_an_engine_out_of_reach(tmp_path: Path) -> None:
    with MemoryServer(tmp_path):
        provider = MemoryProvider(folder=tmp_path)
        assert provider.instances(KEY) == ()

    with pytest.raises(EngineUnreachable):
        provider.instances(KEY)


def test_what_a_world_was_can_be_put_back(served: Path, an_artifact: Artifact) -> None:
    provider = MemoryProvider(folder=served)
    provider.launch(an_order("web-a", an_artifact))
    before = provider.snapshot()
    provider.launch(an_order("web-b", an_artifact))

    provider.restore(before)

    assert [seen.token for seen in provider.instances(KEY)] == ["web-a"]
    assert provider.most_present(0, KEY) == 1
