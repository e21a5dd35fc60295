"""What every provider promises, as tests: subclass `ProviderContract` and give it your engine.

class TestMine(ProviderContract):
    @pytest.fixture
    def opened(self, tmp_path): return lambda site: MyProvider(folder=tmp_path, site=site)
    ...

The tests ask only what the port can say; a subclass supplies the five things that a test needs
beside it. See docs/how-to/write-a-provider.md.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from uuid import uuid4

import pytest

from ovenbird.provider import Provider
from ovenbird.values.errors import NoCapacity
from ovenbird.values.fleet import FleetKey, LaunchData, Order
from ovenbird.values.image import Artifact, Contract, StopPolicy
from ovenbird.values.instance import EngineState, Seen

SECRET = "hush-3c1f-do-not-tell"
"""The value that no label, name, argument or environment of an instance may show."""

Opened = Callable[[str], Provider]
AnOrder = Callable[[int], Order]


class ProviderContract:
    """Fixtures to override: ``opened``, ``artifact``, ``end_by_itself``, ``shown``, ``full``.

    ``contract`` may be overridden where the artifact has no port or another stop signal.
    """

    @pytest.fixture
    def opened(self) -> Opened:
        """Open a fresh provider object for a site, each time on the same engine and folder."""
        raise NotImplementedError("a provider's contract needs the fixture: opened")

    @pytest.fixture
    def artifact(self) -> Artifact:
        """An image that starts, writes something to its console and stays."""
        raise NotImplementedError("a provider's contract needs the fixture: artifact")

    @pytest.fixture
    def end_by_itself(self) -> Callable[[str], None]:
        """End the instance with this token behind the provider's back."""
        raise NotImplementedError("a provider's contract needs the fixture: end_by_itself")

    @pytest.fixture
    def shown(self) -> Callable[[str], str]:
        """Everything that the engine shows of an instance to whoever may list it."""
        raise NotImplementedError("a provider's contract needs the fixture: shown")

    @pytest.fixture
    def full(self) -> Callable[[], AbstractContextManager[None]]:
        """Leave the engine no room for one more instance, for as long as the context is open."""
        raise NotImplementedError("a provider's contract needs the fixture: full")

    @pytest.fixture
    def contract(self) -> Contract:
        return Contract(port=80, secrets=("token",), stop=StopPolicy(timeout=5))

    @pytest.fixture
    def site(self) -> str:
        return f"contract-{uuid4().hex[:8]}"

    @pytest.fixture
    def key(self, site: str) -> FleetKey:
        """A fleet of this test alone: instances are listed by env and name, whatever the site."""
        return FleetKey(site=site, env="dev", name=f"web-{site[-8:]}")

    @pytest.fixture
    def tokens(self, opened: Opened, site: str) -> Iterator[list[str]]:
        """Tokens of a test, each ended afterwards, whatever the test did."""
        used: list[str] = []
        yield used
        for each in (site, f"{site}-other"):
            for token in used:
                opened(each).terminate(token, stop=StopPolicy(timeout=0))

    @pytest.fixture
    def provider(self, opened: Opened, site: str) -> Provider:
        return opened(site)

    @pytest.fixture
    def an_order(
        self, key: FleetKey, artifact: Artifact, contract: Contract, tokens: list[str]
    ) -> AnOrder:
        """Make an order for slot ``n`` with a token of its own."""

        def order(n: int) -> Order:
            token = f"{key.env}-{key.name}-{uuid4().hex[:8]}"
            tokens.append(token)
            return Order(
                token=token,
                fleet=key,
                version="web/2",
                artifact=artifact,
                contract=contract,
                launch=LaunchData(
                    config='{"greeting": "hello"}',
                    secrets=(("token", SECRET.encode()),),
                    hash="0123456789abcdef",
                ),
                slot=n,
            )

        return order

    def test_a_launched_instance_is_seen_as_it_was_ordered(
        self, provider: Provider, an_order: AnOrder, key: FleetKey
    ) -> None:
        order = an_order(4)

        launched = provider.launch(order)

        assert tokens_of(provider, key) == [order.token]
        assert (launched.token, launched.fleet, launched.slot) == (order.token, key, 4)
        assert (launched.version, launched.launch_hash) == ("web/2", "0123456789abcdef")
        assert launched.state in (EngineState.CREATED, EngineState.RUNNING)
        assert launched.launched_at.tzinfo is not None

    def test_launching_twice_with_one_token_gives_one_instance(
        self, provider: Provider, an_order: AnOrder, key: FleetKey
    ) -> None:
        order = an_order(0)

        first, again = provider.launch(order), provider.launch(order)

        assert first.id == again.id
        assert tokens_of(provider, key) == [order.token]

    def test_terminating_twice_or_the_unknown_is_no_error(
        self, provider: Provider, an_order: AnOrder, key: FleetKey, contract: Contract
    ) -> None:
        order = an_order(0)
        provider.launch(order)

        provider.terminate(order.token, stop=contract.stop)
        provider.terminate(order.token, stop=contract.stop)
        provider.terminate("dev-web-never-was", stop=contract.stop)

        assert tokens_of(provider, key) == []

    def test_an_instance_that_ended_by_itself_is_still_listed_as_ended(
        self,
        provider: Provider,
        an_order: AnOrder,
        key: FleetKey,
        end_by_itself: Callable[[str], None],
    ) -> None:
        order = an_order(0)
        provider.launch(order)

        end_by_itself(order.token)

        (seen,) = provider.instances(key)
        assert (seen.token, seen.state) == (order.token, EngineState.EXITED)
        assert provider.launch(order).state is EngineState.EXITED

    def test_a_dying_instance_is_listed_until_it_is_gone(
        self, opened: Opened, provider: Provider, an_order: AnOrder, key: FleetKey
    ) -> None:
        order, other = an_order(0), an_order(1)
        provider.launch(order)
        provider.launch(other)
        end = threading.Thread(
            target=lambda: opened(key.site).terminate(order.token, stop=StopPolicy(timeout=5))
        )

        end.start()
        seen: list[Seen] = []
        while end.is_alive():
            listed = {s.token: s for s in provider.instances(key)}
            assert other.token in listed
            seen += [listed[order.token]] if order.token in listed else []
        end.join()

        ended = (EngineState.RUNNING, EngineState.DYING, EngineState.EXITED)
        assert {s.state for s in seen} <= set(ended)
        assert tokens_of(provider, key) == [other.token]

    def test_labels_survive_a_restart_of_the_tool(
        self, opened: Opened, provider: Provider, an_order: AnOrder, key: FleetKey
    ) -> None:
        launched = provider.launch(an_order(7))

        (seen,) = opened(key.site).instances(key)

        assert replace(seen, state=launched.state, since=launched.since) == launched

    def test_its_place_is_told_and_is_the_same_for_whoever_asks(
        self, opened: Opened, provider: Provider, site: str
    ) -> None:
        assert provider.place
        assert opened(f"{site}-other").place == provider.place == opened(site).place

    def test_without_room_nothing_is_launched_and_nothing_is_left(
        self,
        provider: Provider,
        an_order: AnOrder,
        key: FleetKey,
        full: Callable[[], AbstractContextManager[None]],
    ) -> None:
        first, order = an_order(0), an_order(1)
        provider.launch(first)

        with full(), pytest.raises(NoCapacity) as refused:
            provider.launch(order)

        assert refused.value.exit_code == 3
        assert tokens_of(provider, key) == [first.token]
        assert provider.launch(order).token == order.token

    def test_fleets_and_environments_never_meet(
        self, provider: Provider, an_order: AnOrder, key: FleetKey
    ) -> None:
        neighbours = [replace(key, name="api"), replace(key, env="staging")]
        for fleet in (key, *neighbours):
            provider.launch(replace(an_order(0), fleet=fleet))

        for fleet in (key, *neighbours):
            assert [s.fleet for s in provider.instances(fleet) if s.fleet.site == key.site] == [
                fleet
            ]

    def test_instances_of_another_site_are_reported_and_never_ended(
        self, opened: Opened, provider: Provider, an_order: AnOrder, key: FleetKey
    ) -> None:
        other = f"{key.site}-other"
        order = replace(an_order(0), fleet=replace(key, site=other))
        opened(other).launch(order)

        provider.terminate(order.token, stop=StopPolicy(timeout=0))

        assert other in {s.fleet.site for s in provider.instances(key)}

    def test_slots_are_kept_and_order_the_list(
        self, provider: Provider, an_order: AnOrder, key: FleetKey
    ) -> None:
        for slot in (2, 0, 1):
            provider.launch(an_order(slot))

        listed = [s.slot for s in provider.instances(key) if s.fleet.site == key.site]

        assert listed == [0, 1, 2]

    def test_the_console_of_one_that_is_gone_is_empty(
        self, provider: Provider, an_order: AnOrder, contract: Contract
    ) -> None:
        order = an_order(0)
        provider.launch(order)
        provider.terminate(order.token, stop=contract.stop)

        assert provider.console(order.token, lines=10) == ""

    def test_launch_data_is_in_nothing_that_the_engine_shows(
        self, provider: Provider, an_order: AnOrder, shown: Callable[[str], str]
    ) -> None:
        order = an_order(0)
        provider.launch(order)

        told = shown(order.token)

        assert order.token in told
        assert SECRET not in told
        assert '"greeting"' not in told

    def test_nothing_can_be_run_inside_an_instance(self, provider: Provider) -> None:
        forbidden = ("run", "exec", "execute", "push_file", "pull_file", "ssh", "shell", "copy")

        assert [name for name in forbidden if hasattr(provider, name)] == []


def tokens_of(provider: Provider, fleet: FleetKey) -> list[str]:
    """What a provider lists of one fleet of one site."""
    return [s.token for s in provider.instances(fleet) if s.fleet.site == fleet.site]
