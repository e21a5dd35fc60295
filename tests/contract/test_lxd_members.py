"""The contract on a cluster of three, one of which goes away and comes back.

What members have no part in is proven on an LXD that stands alone; with OVENBIRD_WHOLE_CONTRACT
set all of it is asked here too (100 s).
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from tests.lxd_members import Members, three_members
from tests.project import until

from ovenbird.provider import Engine
from ovenbird.provider.contract import AnOrder, Opened, ProviderContract
from ovenbird.provider.contract_hosts import HostContract
from ovenbird.provider.lxd import LxdProvider
from ovenbird.values.errors import NoCapacity
from ovenbird.values.fleet import FleetKey
from ovenbird.values.image import Artifact

pytestmark = pytest.mark.xdist_group("lxd")


@pytest.fixture(scope="module")
def members() -> Iterator[Members]:
    with three_members() as made:
        yield made


@pytest.fixture(scope="module")
def small(members: Members) -> Artifact:
    return members.first.import_image()


class TestLxdMembers(HostContract, ProviderContract):
    @pytest.fixture
    def opened(self, members: Members, tmp_path: Path) -> Opened:
        return lambda site: LxdProvider(folder=tmp_path, site=site, settings=members.settings)

    @pytest.fixture
    def artifact(self, small: Artifact) -> Artifact:
        return small

    @pytest.fixture
    def end_by_itself(self, members: Members) -> Callable[[str], None]:
        def end(token: str) -> None:
            members.first.end(token)
            until(lambda: members.first.power_of(token) == "STOPPED")

        return end

    @pytest.fixture
    def full(self, members: Members) -> Callable[[], AbstractContextManager[None]]:
        return members.no_room

    @pytest.fixture
    def shown(self, members: Members) -> Callable[[str], str]:
        def show(token: str) -> str:
            return members.first.run("lxc", "query", f"/1.0/instances/{token}?recursion=1")

        return show

    @pytest.fixture
    def a_member_away(self, members: Members) -> Callable[[str], AbstractContextManager[None]]:
        return members.away

    def test_a_wave_stands_on_all_members_and_an_evacuated_one_gets_nothing(
        self, provider: Engine, an_order: AnOrder, members: Members, key: FleetKey
    ) -> None:
        early, wave = an_order(3), [an_order(n) for n in range(3)]
        with members.evacuated("n2"):
            provider.launch(early)
        elsewhere = members.location_of(early.token)
        provider.terminate(early.token, stop=early.contract.stop)
        for order in wave:
            provider.launch(order)

        assert elsewhere in ("n1", "n3")
        placed = Counter(members.location_of(order.token) for order in wave)
        assert placed == {"n1": 1, "n2": 1, "n3": 1}

    def test_where_no_member_takes_any_nothing_is_left(
        self, provider: Engine, an_order: AnOrder, members: Members, key: FleetKey
    ) -> None:
        with members.no_room(), pytest.raises(NoCapacity, match="n1"):
            provider.launch(an_order(0))

        assert list(provider.instances(key)) == []


OF_MEMBERS = (
    "test_its_place_is_told_and_is_the_same_for_whoever_asks",
    "test_labels_survive_a_restart_of_the_tool",
    "test_launching_twice_with_one_token_gives_one_instance",
    "test_slots_are_kept_and_order_the_list",
    "test_without_room_nothing_is_launched_and_nothing_is_left",
)
if "OVENBIRD_WHOLE_CONTRACT" not in os.environ:
    for name in vars(ProviderContract):
        if name.startswith("test_") and name not in OF_MEMBERS:
            setattr(TestLxdMembers, name, None)
