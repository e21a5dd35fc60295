"""What every provider promises of changed files, volumes and jobs, as tests to mix in.

class TestMine(DayTwoContract, ProviderContract):
    ...

The fixtures are those of `ProviderContract` and two more: ``change`` and ``a_job``.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ovenbird.provider import Engine
from ovenbird.provider.contract import AnOrder
from ovenbird.values.errors import Blocked
from ovenbird.values.fleet import FleetKey, VolumeSpec
from ovenbird.values.image import Contract, StopPolicy
from ovenbird.values.instance import ChangeKind, EngineState, Seen

DATA = (VolumeSpec(name="data", path="/srv/data"),)


class DayTwoContract:
    """Tests of the ports Changes and Volumes, and of orders with a job."""

    patience = 10.0
    """Seconds in which a job of one line must have ended; more where a machine has to boot."""

    @pytest.fixture
    def change(self) -> Callable[[str, str], None]:
        """Write a file into the instance with this token behind the provider's back."""
        raise NotImplementedError("a provider's contract needs the fixture: change")

    @pytest.fixture
    def a_job(self) -> Callable[[int | None], tuple[str, ...]]:
        """Name the program of a job that ends at once with this code; with None it goes on."""
        raise NotImplementedError("a provider's contract needs the fixture: a_job")

    @pytest.fixture
    def engine(self, provider: Engine, key: FleetKey, tokens: list[str]) -> Iterator[Engine]:
        yield provider
        for token in tokens:
            provider.terminate(token, stop=StopPolicy(timeout=0))
        for volume in provider.volumes(key):
            provider.delete_volume(volume.name)

    def test_a_changed_file_is_told_with_its_time(
        self, engine: Engine, an_order: AnOrder, change: Callable[[str, str], None]
    ) -> None:
        touched, left_alone = an_order(0), an_order(1)
        for order in (touched, left_alone):
            engine.launch(order)
        before = {c.path for c in engine.changes(touched.token)}

        change(touched.token, "/etc/by-hand")
        found = [c for c in engine.changes(touched.token) if c.path not in before]

        assert [c.path for c in found] == ["/etc/by-hand"]
        assert found[0].kind in (ChangeKind.ADDED, ChangeKind.CHANGED)
        assert found[0].at is None or found[0].at.tzinfo is not None
        assert "/etc/by-hand" not in [c.path for c in engine.changes(left_alone.token)]

    def test_launch_data_and_what_the_engine_mounts_are_no_changes(
        self, engine: Engine, an_order: AnOrder
    ) -> None:
        order = replace(an_order(0), volumes=DATA)
        engine.launch(order)

        told = [c.path for c in engine.changes(order.token)]
        ours = ("/run", "/proc", "/sys", "/dev", "/srv/data/", "/etc/hosts", "/etc/resolv.conf")
        assert [path for path in told if path.startswith(ours)] == []

    def test_one_that_is_gone_has_no_changes(self, engine: Engine, an_order: AnOrder) -> None:
        assert list(engine.changes(an_order(0).token)) == []

    def test_a_volume_outlives_its_instance_and_is_found_by_the_next_one_of_its_slot(
        self, engine: Engine, an_order: AnOrder, key: FleetKey
    ) -> None:
        first, second = (replace(an_order(3), volumes=DATA) for _ in range(2))
        engine.launch(first)
        (made,) = engine.volumes(key)
        engine.terminate(first.token, stop=first.contract.stop)
        (left,) = engine.volumes(key)
        engine.launch(second)
        (again,) = engine.volumes(key)

        assert (made.slot, made.spec, made.fleet, made.used_by) == (3, "data", key, (first.token,))
        assert (left.name, left.used_by) == (made.name, ())
        assert (again.name, again.used_by) == (made.name, (second.token,))

    def test_a_volume_has_one_writer(
        self, engine: Engine, an_order: AnOrder, key: FleetKey
    ) -> None:
        first, second = (replace(an_order(0), volumes=DATA) for _ in range(2))
        engine.launch(first)

        with pytest.raises(Blocked, match=first.token):
            engine.launch(second)

        assert engine.launch(first).token == first.token, "the same order is the same instance"
        assert [seen.token for seen in engine.instances(key)] == [first.token]

    def test_each_slot_has_volumes_of_its_own(
        self, engine: Engine, an_order: AnOrder, key: FleetKey
    ) -> None:
        for n in (1, 0):
            engine.launch(replace(an_order(n), volumes=DATA))

        assert [volume.slot for volume in engine.volumes(key)] == [0, 1]
        assert list(engine.volumes(replace(key, name=f"{key.name}-other"))) == []

    def test_a_volume_in_use_is_not_deleted(
        self, engine: Engine, an_order: AnOrder, key: FleetKey
    ) -> None:
        order = replace(an_order(0), volumes=DATA)
        engine.launch(order)
        (volume,) = engine.volumes(key)

        with pytest.raises(Blocked, match=order.token):
            engine.delete_volume(volume.name)
        engine.terminate(order.token, stop=order.contract.stop)
        engine.delete_volume(volume.name)
        engine.delete_volume(volume.name)

        assert list(engine.volumes(key)) == []

    @pytest.mark.parametrize("code", [0, 3])
    def test_a_job_runs_once_to_its_end_and_is_told_with_its_code(
        self,
        engine: Engine,
        an_order: AnOrder,
        key: FleetKey,
        a_job: Callable[[int | None], tuple[str, ...]],
        code: int,
    ) -> None:
        order = replace(an_order(0), job="once")
        order = replace(order, contract=_with_job(order.contract, a_job(code)))
        engine.launch(order)
        ended = _awaited(engine, key, self.patience)
        again = engine.launch(order)

        assert (ended.job, ended.exit_code, ended.address) == ("once", code, None)
        assert (again.id, again.state) == (ended.id, EngineState.EXITED), "it did not run again"

    def test_a_job_that_goes_on_runs_until_it_is_terminated(
        self,
        engine: Engine,
        an_order: AnOrder,
        key: FleetKey,
        a_job: Callable[[int | None], tuple[str, ...]],
    ) -> None:
        order = replace(an_order(0), job="once")
        order = replace(order, contract=_with_job(order.contract, a_job(None)))
        engine.launch(order)
        (seen,) = engine.instances(key)
        engine.terminate(order.token, stop=StopPolicy(timeout=0))

        assert (seen.job, seen.state) == ("once", EngineState.RUNNING)
        assert list(engine.instances(key)) == []


def _with_job(contract: Contract, program: tuple[str, ...]) -> Contract:
    return replace(contract, jobs=(("once", program),))


def _awaited(engine: Engine, key: FleetKey, patience: float) -> Seen:
    ends = time.monotonic() + patience
    while True:
        (seen,) = engine.instances(key)
        if seen.state is EngineState.EXITED:
            return seen
        assert time.monotonic() < ends, seen
        time.sleep(0.05)
