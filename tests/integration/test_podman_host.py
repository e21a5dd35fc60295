"""A podman whose host is full, or restarts: one with a store of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests import builders
from tests.contract.conftest import a_small_image, podman_folder  # noqa: F401
from tests.engine import PrivateEngine, a_disk
from tests.integration.test_podman import Bench
from tests.project import until

from ovenbird.values.errors import NoCapacity
from ovenbird.values.image import Artifact, StopPolicy
from ovenbird.values.instance import EngineState


@pytest.fixture
def engine(podman_folder: Path) -> Iterator[PrivateEngine]:  # noqa: F811
    """A whole store of 24 MB, which a test may fill."""
    with a_disk(size="24m") as disk:
        made = PrivateEngine(disk / "engine")
        with made.used():
            yield made


@pytest.fixture
def own(engine: PrivateEngine, tmp_path: Path, an_artifact: Artifact) -> Bench:
    return Bench(tmp_path, an_artifact)


@pytest.fixture
def an_artifact(engine: PrivateEngine) -> Artifact:
    id_ = engine.podman("import", "--quiet", "-", stdin=a_small_image()).strip()
    return builders.an_artifact(id_, provider="podman")


def test_instances_come_back_after_a_reboot_by_podmans_own_means(
    own: Bench, engine: PrivateEngine
) -> None:
    orders = [own.order(), own.order()]
    for order in orders:
        own.provider.launch(order)
        own.console(order.token, until="ready")
    before = {s.token: s for s in own.provider.instances(own.key)}

    engine.lose_power()
    down = own.provider.instances(own.key)
    engine.boot()
    back = {s.token: s for s in own.provider.instances(own.key)}

    assert {s.state for s in down} == {EngineState.LOST}
    assert {s.state for s in back.values()} == {EngineState.RUNNING}
    for token, seen in back.items():
        assert (seen.id, seen.address) == (before[token].id, before[token].address)
        assert (seen.launch_hash, seen.version) == ("h", "web/2")
        has_its_launch_data_again(own, token)


def test_one_that_had_ended_by_itself_is_given_another_chance_by_a_reboot(
    own: Bench, engine: PrivateEngine
) -> None:
    order = own.order()
    own.provider.launch(order)
    os.kill(int(engine.podman("inspect", "--format={{.State.Pid}}", order.token)), signal.SIGKILL)
    until(lambda: engine.podman("inspect", "--format={{.RestartCount}}", order.token) == "1\n")
    (ended,) = own.provider.instances(own.key)

    engine.lose_power()
    engine.boot()
    (back,) = own.provider.instances(own.key)

    assert ended.state is EngineState.EXITED
    assert (back.state, back.restarts) == (EngineState.RUNNING, 0)


def test_a_full_disk_is_no_capacity_and_leaves_nothing(own: Bench, engine: PrivateEngine) -> None:
    first, order = own.order(), own.order()
    own.provider.launch(first)
    engine.fill_the_disk()

    with pytest.raises(NoCapacity, match="the disk is full") as refused:
        own.provider.launch(order)
    engine.make_room()

    assert "Free some space" in refused.value.remedy
    assert [s.token for s in own.provider.instances(own.key)] == [first.token]
    assert own.provider.launch(order).state is EngineState.RUNNING
    own.provider.terminate(first.token, stop=StopPolicy(timeout=1))


def test_its_place_names_the_host_and_the_store(own: Bench, engine: PrivateEngine) -> None:
    assert own.provider.place.startswith("podman on ")
    assert own.provider.place.endswith(f":{engine.folder / 'root'}")


def has_its_launch_data_again(own: Bench, token: str) -> None:
    until(lambda: own.provider.console(token, lines=50).count("ready") == 2)
    said = own.provider.console(token, lines=50)
    assert said.count("400 /run/ovenbird/secrets/token") == 2
    assert said.count(f'"instance": "{token}"') == 2
