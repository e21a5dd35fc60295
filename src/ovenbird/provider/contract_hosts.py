"""What every provider promises when two drivers meet, and when hosts and daemons come and go.

class TestMine(HostContract, DayTwoContract, ProviderContract):
    ...

``restart`` and ``a_member_away`` are for engines that have a daemon, or several hosts; the tests
that need one are skipped for the others.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace

import pytest

from ovenbird.provider import Provider
from ovenbird.provider.contract import AnOrder, Opened
from ovenbird.values.errors import EngineUnreachable, OvenbirdError
from ovenbird.values.fleet import FleetKey
from ovenbird.values.image import StopPolicy
from ovenbird.values.instance import EngineState, Seen

SOON = 60.0
"""Seconds in which an engine must know again what it knew before its daemon, or a host, went."""


class HostContract:
    """Tests of two drivers at once, of an engine's daemon that restarts, and of a lost host."""

    @pytest.fixture
    def restart(self) -> Callable[[], None]:
        """End the engine's daemon as a crash does, and start it again."""
        pytest.skip("this engine has no daemon that could restart")

    @pytest.fixture
    def a_member_away(self) -> Callable[[str], AbstractContextManager[None]]:
        """Take the host of the instance with this token away, for as long as the context is
        open; afterwards it is back with all that it had."""
        pytest.skip("this engine has one host")

    def test_two_drivers_that_launch_with_one_token_at_once_make_one_instance(
        self, opened: Opened, site: str, an_order: AnOrder, key: FleetKey
    ) -> None:
        order = an_order(0)

        def launch(_: int) -> str | None:
            try:
                return opened(site).launch(order).id
            except OvenbirdError:
                return None  # told to one of them, who then asks again

        with ThreadPoolExecutor(2) as drivers:
            made = set(drivers.map(launch, range(2))) - {None}
        again = opened(site).launch(order)

        assert made <= {again.id}
        assert again.state in (EngineState.CREATED, EngineState.RUNNING)
        assert [seen.token for seen in opened(site).instances(key)] == [order.token]

    def test_after_one_that_ended_by_itself_its_token_can_be_launched_anew(
        self,
        provider: Provider,
        an_order: AnOrder,
        key: FleetKey,
        end_by_itself: Callable[[str], None],
    ) -> None:
        order = an_order(0)
        provider.launch(order)
        end_by_itself(order.token)

        provider.terminate(order.token, stop=StopPolicy(timeout=0))
        again = provider.launch(order)

        assert again.state in (EngineState.CREATED, EngineState.RUNNING)
        assert [seen.token for seen in provider.instances(key)] == [order.token]

    def test_instances_outlive_a_crash_of_the_daemon_and_are_known_again(
        self,
        opened: Opened,
        site: str,
        an_order: AnOrder,
        key: FleetKey,
        restart: Callable[[], None],
    ) -> None:
        order = an_order(0)
        before = opened(site).launch(order)

        restart()
        after = _awaited(opened(site), key, order.token, EngineState.RUNNING)

        assert _lasting(after) == _lasting(before)
        assert opened(site).launch(order).id == before.id
        opened(site).terminate(order.token, stop=order.contract.stop)
        assert list(opened(site).instances(key)) == []

    def test_of_a_host_that_is_gone_the_instances_are_lost_and_others_are_launched_elsewhere(
        self,
        opened: Opened,
        site: str,
        an_order: AnOrder,
        key: FleetKey,
        a_member_away: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        order, another = an_order(0), an_order(1)
        before = opened(site).launch(order)
        opened(site).instances(key)

        with a_member_away(order.token):
            lost = _awaited(opened(site), key, order.token, EngineState.LOST)
            elsewhere = opened(site).launch(another)
            with pytest.raises(EngineUnreachable):
                opened(site).terminate(order.token, stop=StopPolicy(timeout=0))
        back = _awaited(opened(site), key, order.token, EngineState.RUNNING)

        assert elsewhere.state in (EngineState.CREATED, EngineState.RUNNING)
        assert _lasting(lost) == _lasting(back) == _lasting(before)


def _lasting(seen: Seen) -> Seen:
    """Leave out of a report what differs from one look to the next."""
    return replace(seen, state=EngineState.RUNNING, since=None, address=None)


def _awaited(provider: Provider, key: FleetKey, token: str, state: EngineState) -> Seen:
    ends = time.monotonic() + SOON
    while True:
        listed = {seen.token: seen for seen in provider.instances(key)}
        if token in listed and listed[token].state is state:
            return listed[token]
        assert time.monotonic() < ends, listed
        time.sleep(0.2)
