"""Many operators on one fleet: one works, the others are told who, and nobody waits for the dead.

On the memory engine for its numbers, and on real instances, where two more things are seen: that
the command line says the same, and that a member lost in mid-rollout holds nobody up.
"""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.faults.crowd import Answer, One, a_crowd
from tests.faults.house import QUICK, House, MemoryHouse, ProjectHouse, add_images
from tests.live import LiveFleet
from tests.project import until

from ovenbird.provider.memory_server import MemoryServer
from ovenbird.state.history import whoami

CROWD = 50
AT_ONCE = 2.0
"""Seconds from asking for the lease to being refused, at the most."""


def test_of_fifty_drivers_one_works_and_whoever_waits_goes_on_when_it_is_killed(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    with a_slow_memory_house(tmp_path / "site") as house:
        told = one_of_fifty(house, "web/1", tmp_path / "said", waiting=3)

    record_property("on memory", told)
    print(f"on memory: {told}")


def test_fifty_drivers_of_real_instances_are_no_more_than_one(
    new_fleet: Callable[..., LiveFleet],
    second_image: str,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    fleet = new_fleet(size=2)
    fleet.rollout()
    house = ProjectHouse(
        project=fleet.project.folder, folder=fleet.project.site, env=fleet.env, name=fleet.name
    )

    told = one_of_fifty(house, second_image, tmp_path / "said", waiting=2)
    served = fleet.serving()
    drivers = [fleet.start_rollout("--image", "web/1") for _ in range(5)]
    said = [(driver.end(code=None), driver.code) for driver in drivers]

    record_property("on podman", told)
    print(f"on podman: {told}")
    assert served == [second_image] * 2
    assert sorted(str(code) for _, code in said) == ["0", "3", "3", "3", "3"], said
    assert all(whoami() in text for text, code in said if code == 3)
    assert fleet.serving() == ["web/1"] * 2
    assert len(fleet.containers()) == 2


def test_members_that_are_lost_in_mid_rollout_do_not_hold_it_up(
    new_fleet: Callable[..., LiveFleet],
    second_image: str,
    record_property: Callable[[str, object], None],
) -> None:
    fleet = new_fleet(size=3)
    fleet.declare(surge=3)
    fleet.rollout()
    old = set(fleet.containers())
    fleet.declare(surge=1)

    with fleet.sampler() as sampler:
        driver = fleet.start_rollout("--image", second_image)
        new = driver.until("Registering ([^ ]+)").group(1)
        ended = set(re.findall("ending ([^ ]+)", driver.text))
        fleet.project.podman("rm", "--force", "--time=0", sorted(old - ended)[-1])
        driver.until("(?s)Registering.*Registering")
        until(lambda: len(sampler.samples[-1].serving) >= 3)
        assert new in fleet.containers()
        fleet.project.podman("rm", "--force", "--time=0", new)
        driver.end()

    lowest = sampler.lowest()
    record_property("lowest of 3 with one lost at a time", lowest)
    print(f"lowest of 3 with one lost at a time: {lowest}")
    assert fleet.serving() == [second_image] * 3
    assert not set(fleet.containers()) & {*old, new}
    assert lowest >= 2


def one_of_fifty(house: House, image: str, folder: Path, *, waiting: int) -> str:
    """Let fifty ask at once, kill the one that works, and see one of those waiting finish it."""
    with a_crowd(house, image, of=CROWD, folder=folder) as crowd:
        until(lambda: sum(one.works for one in crowd) == 1, seconds=60)
        (winner,) = [one for one in crowd if one.works]
        refused = [one.end() for one in crowd if one is not winner]
        with a_crowd(house, image, of=waiting, folder=folder, wait=True) as patient:
            time.sleep(0.5)
            assert winner.works, winner.said.read_text()
            assert all(one.works for one in patient)
            winner.kill()
            killed = time.monotonic()
            finished = ended(patient)
            took = time.monotonic() - killed
    slowest = max(answer.seconds for answer in refused)
    complaints = [a for a in refused if not is_a_refusal(a)]
    assert not complaints, complaints[0]
    assert len(refused) == CROWD - 1
    assert [answer.code for answer in finished] == [0] * waiting, finished
    return (
        f"{len(refused)} refused within {slowest:.2f} s, half of them within "
        f"{sorted(a.seconds for a in refused)[CROWD // 2]:.2f} s; those waiting finished "
        f"{took:.1f} s after the kill"
    )


def is_a_refusal(answer: Answer) -> bool:
    """Exit code 3, at once, with the owner's name and age."""
    named = re.search(rf"a rollout by {re.escape(whoami())}, for [0-9.]+ m?s", answer.said)
    return answer.code == 3 and answer.seconds < AT_ONCE and named is not None


def ended(crowd: Sequence[One]) -> list[Answer]:
    return [one.end() for one in crowd]


@contextmanager
def a_slow_memory_house(folder: Path) -> Iterator[MemoryHouse]:
    """A fleet on memory whose instances take three seconds to be healthy."""
    health = dataclasses.replace(QUICK, min_healthy_time=3.0, interval=0.1)
    house = MemoryHouse(folder=folder, health=health)
    site = house.site()
    try:
        with MemoryServer(folder):
            add_images(site, 1)
            yield house
    finally:
        site.database.close()
