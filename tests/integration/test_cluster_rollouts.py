"""Rollouts on a cluster of three behind HAProxy, with the mixed load on them.

Takes minutes, so it is run by hand: OVENBIRD_TEST_CLUSTER=10 makes ten rollouts of six, and kills
a leader; OVENBIRD_TEST_SURGE=3 makes room for three at once. One rollout and one rollback of three
are in `test_bake_lxd`.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from itertools import count

import pytest
from tests.cluster import ClusterFleet, a_cluster
from tests.project import Project, until
from tests.traffic import nobody_was_turned_away

from ovenbird.clock import SystemClock
from ovenbird.cluster import Cluster, member

TIMES = int(os.environ.get("OVENBIRD_TEST_CLUSTER", "0"))
SIZE = 6
SURGE = int(os.environ.get("OVENBIRD_TEST_SURGE", "1"))

pytestmark = [
    pytest.mark.xdist_group("lxd"),
    pytest.mark.skipif(not TIMES, reason="takes minutes: by hand with OVENBIRD_TEST_CLUSTER=2"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with a_cluster() as made:
        yield made


@pytest.fixture(scope="module")
def project(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A copy of this project with ``web/1`` baked on the cluster and stable."""
    home = tmp_path_factory.mktemp("cluster")
    made = Project.copied(home / "project", site=home / "site")
    (made.folder / "inventories/engines.yml").write_text(cluster.described())
    try:
        made.run("bake", "web", "--on", "lxd")
        made.run("image.promote", "web/1", "stable")
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def _numbers() -> Iterator[int]:
    return count(os.getpid() * 100)


@pytest.fixture
def fleet(cluster: Cluster, project: Project, _numbers: Iterator[int]) -> Iterator[ClusterFleet]:
    made = ClusterFleet.on(cluster, project, f"web-{next(_numbers)}")
    made.declare(size=SIZE, surge=SURGE)
    made.rollout()
    yield made
    made.retire()


def test_rollouts_in_a_row_turn_nobody_away_and_spread_over_all_members(
    fleet: ClusterFleet, record_property: Callable[[str, object], None]
) -> None:
    took = []
    with fleet.traffic() as traffic:
        for turn in range(TIMES):
            before = set(fleet.members())
            took.append(fleet.rolls_with(f"hello {turn}"))
            after = fleet.members()
            assert len(after) == SIZE
            assert not before & set(after)
            assert set(after.values()) == {"n1", "n2", "n3"}, after
    results = traffic.results()

    each = statistics.median(took) / SIZE
    record_property("seconds an instance", round(each, 2))
    record_property("traffic", str(results))
    print(f"{TIMES} rollouts of {SIZE}: {each:.2f} s an instance; {results}")
    nobody_was_turned_away(results, at_least=100)
    assert fleet.serving() == ["web/1"] * SIZE


def test_a_rollout_goes_on_where_the_leaders_daemon_was_killed(
    cluster: Cluster, fleet: ClusterFleet, record_property: Callable[[str, object], None]
) -> None:
    leader = next(m for m in cluster.members if _is_leader(cluster, m.name))
    old = fleet.members()
    fleet.declare(greeting="hello again")
    with fleet.traffic() as traffic:
        driver = fleet.start_rollout()
        driver.until("Draining and ending")
        member.kill_daemon(leader)
        said = driver.end(code=None)
        if driver.code:  # what it could not see for too long is finished by the same command
            said += fleet.rollout().stderr
        new = {name: where for name, where in fleet.members().items() if name not in old}
        member.start(leader, clock=SystemClock())
        until(lambda: "ONLINE" in _line_of(cluster, leader.name), seconds=60)
        fleet.project.run("tend", "--env", fleet.env)
    results = traffic.results()

    record_property("traffic", str(results))
    print(f"{leader.name} was killed; {results}\n{said}")
    nobody_was_turned_away(results, at_least=100)
    assert sum(where != leader.name for where in new.values()) >= SIZE - 1, new
    assert len(fleet.members()) == SIZE
    assert not set(fleet.members()) & set(old)
    assert fleet.serving() == ["web/1"] * SIZE


def _is_leader(cluster: Cluster, name: str) -> bool:
    return "database-leader" in _line_of(cluster, name)


def _line_of(cluster: Cluster, name: str) -> str:
    """What LXD says of a member; its roles stand on lines of their own."""
    return member.lxc(cluster.members[0], "cluster", "show", name) + member.lxc(
        cluster.members[0], "query", f"/1.0/cluster/members/{name}"
    ).replace('"Online"', "ONLINE")
