"""What every balancer promises, as a pytest class to inherit from.

    class TestOurs(BalancerContract):
        @pytest.fixture
        def connect(self, tmp_path):
            return lambda: OurBalancer(A_FLEET, A_SPEC, tmp_path, HealthCheck())

``connect`` makes a fresh object for the same fleet each time; ``an_instance`` must give instances
that really answer where the balancer checks them. `lists` is False for one that lists nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from ovenbird.balancer import Balancer
from ovenbird.values.fleet import FleetKey
from ovenbird.values.instance import EngineState, Entry, EntryState, Seen

A_FLEET = FleetKey(site="contract", env="dev", name="web")

Connect = Callable[[], Balancer]
AnInstance = Callable[[str], Seen]


def an_instance_at(token: str, address: str, *, fleet: FleetKey = A_FLEET) -> Seen:
    """A running instance of ``web/1``, as its provider would report it."""
    return Seen(
        token=token,
        id=token,
        fleet=fleet,
        version="web/1",
        launch_hash="none",
        slot=0,
        state=EngineState.RUNNING,
        launched_at=datetime(2026, 1, 1, tzinfo=UTC),
        address=address,
    )


class BalancerContract:
    """Inherit, override `connect`, and be told what is missing."""

    lists: ClassVar[bool] = True
    patience: ClassVar[float] = 10.0
    """Seconds that a registered instance may take until it is in service."""

    @pytest.fixture
    def connect(self) -> Connect:
        raise NotImplementedError("return a function that makes the balancer anew")

    @pytest.fixture
    def an_instance(self) -> AnInstance:
        return lambda token: an_instance_at(token, "127.0.0.1:9")

    @pytest.fixture
    def balancer(self, connect: Connect) -> Iterator[Balancer]:
        made = connect()
        made.open()
        yield made
        made.close()

    def test_it_has_a_name(self, balancer: Balancer) -> None:
        assert balancer.name

    def test_opening_twice_is_opening_once(self, balancer: Balancer) -> None:
        balancer.open()
        assert tokens(balancer) == set()

    def test_a_registered_instance_comes_into_service(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        balancer.register(an_instance("web-a"))
        self.in_service(balancer, {"web-a"})

    def test_an_entry_has_the_address_of_its_instance(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        instance = an_instance("web-a")
        balancer.register(instance)
        assert {e.address for e in balancer.entries()} == (
            {instance.address} if self.lists else set()
        )

    def test_registering_twice_lists_once(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        for _ in range(2):
            balancer.register(an_instance("web-a"))
        self.in_service(balancer, {"web-a"})

    def test_a_draining_instance_is_listed_and_never_in_service(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        for token in ("web-a", "web-b"):
            balancer.register(an_instance(token))
        self.in_service(balancer, {"web-a", "web-b"})
        balancer.drain("web-a", timeout=0.2)
        for _ in range(5):
            if self.lists:
                assert states(balancer)["web-a"] is EntryState.DRAINING
            time.sleep(0.05)
        self.in_service(balancer, {"web-b"})

    def test_a_drain_with_nothing_in_flight_leaves_no_sessions(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        balancer.register(an_instance("web-a"))
        assert balancer.drain("web-a", timeout=0.2) == 0

    def test_several_are_drained_side_by_side_and_at_once(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        names = ("web-a", "web-b", "web-c")
        for token in names:
            balancer.register(an_instance(token))
        self.in_service(balancer, set(names))
        begun = time.monotonic()
        left = {token: balancer.drain(token, timeout=0) for token in names[:2]}
        assert time.monotonic() - begun < 2
        assert left == {"web-a": 0, "web-b": 0}
        if self.lists:
            now = states(balancer)
            assert {now[token] for token in names[:2]} == {EntryState.DRAINING}
        self.in_service(balancer, {"web-c"})

    def test_a_deregistered_instance_is_listed_no_more(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        for token in ("web-a", "web-b"):
            balancer.register(an_instance(token))
            balancer.drain(token, timeout=0)
        balancer.deregister("web-a")
        assert "web-a" not in tokens(balancer)

    def test_draining_twice_is_draining_once(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        balancer.register(an_instance("web-a"))
        for _ in range(2):
            balancer.drain("web-a", timeout=0.1)
        if self.lists:
            assert states(balancer) == {"web-a": EntryState.DRAINING}

    def test_draining_an_unknown_instance_returns_zero_and_lists_nothing(
        self, balancer: Balancer
    ) -> None:
        assert balancer.drain("web-nobody", timeout=0.2) == 0
        assert tokens(balancer) == set()

    def test_registering_ends_a_drain(self, balancer: Balancer, an_instance: AnInstance) -> None:
        balancer.register(an_instance("web-a"))
        balancer.drain("web-a", timeout=0.1)
        balancer.register(an_instance("web-a"))
        self.in_service(balancer, {"web-a"})

    def test_deregistering_forgets_and_may_be_repeated(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        for token in ("web-a", "web-b"):
            balancer.register(an_instance(token))
        for _ in range(2):
            balancer.deregister("web-a")
        self.in_service(balancer, {"web-b"})

    def test_deregistering_an_unknown_instance_is_fine(self, balancer: Balancer) -> None:
        balancer.deregister("web-nobody")
        assert tokens(balancer) == set()

    def test_an_instance_may_be_deregistered_while_it_drains(
        self, balancer: Balancer, an_instance: AnInstance
    ) -> None:
        balancer.register(an_instance("web-a"))
        balancer.drain("web-a", timeout=0.1)
        balancer.deregister("web-a")
        assert tokens(balancer) == set()

    def test_a_fresh_object_sees_the_same_entries(
        self, balancer: Balancer, connect: Connect, an_instance: AnInstance
    ) -> None:
        for token in ("web-a", "web-b"):
            balancer.register(an_instance(token))
        balancer.drain("web-a", timeout=0.1)
        self.in_service(balancer, {"web-b"})
        assert states(connect()) == states(balancer)

    def test_opening_again_keeps_the_entries(
        self, balancer: Balancer, connect: Connect, an_instance: AnInstance
    ) -> None:
        balancer.register(an_instance("web-a"))
        connect().open()
        self.in_service(balancer, {"web-a"})

    def test_closing_twice_is_closing_once(self, balancer: Balancer) -> None:
        balancer.close()
        balancer.close()

    def in_service(self, balancer: Balancer, expected: set[str]) -> None:
        """Wait until exactly these are in service; a balancer that lists nothing passes."""
        deadline = time.monotonic() + self.patience
        while self.lists:
            now = {t for t, state in states(balancer).items() if state is EntryState.IN_SERVICE}
            if now == expected:
                return
            assert time.monotonic() < deadline, f"in service: {now}, expected: {expected}"
            time.sleep(0.05)


def states(balancer: Balancer) -> dict[str, EntryState]:
    listed: list[Entry] = list(balancer.entries())
    assert len({entry.token for entry in listed}) == len(listed), "a token is listed twice"
    return {entry.token: entry.state for entry in listed}


def tokens(balancer: Balancer) -> set[str]:
    return set(states(balancer))
