"""What goes wrong around a rollout: HAProxy dies, nothing is seen, the driver is killed.

Nothing of it says anything about the image, so nothing is ended for it, and the same command
finishes the work afterwards.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest
from tests.live import LiveFleet
from tests.project import until
from tests.traffic import nobody_was_turned_away

from ovenbird.balancer import haproxy
from ovenbird.balancer.haproxy_process import Place
from ovenbird.balancer.haproxy_socket import Socket


def test_haproxy_comes_back_right_in_the_middle_of_a_rollout(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=2)
    fleet.rollout()

    driver = fleet.start_rollout("--image", second_image)
    driver.until("Draining")
    kill_haproxy(fleet)
    haproxy.start(fleet.project.site)
    driver.end()

    assert fleet.serving() == [second_image] * 2
    assert listed(fleet) == set(fleet.containers())
    with fleet.traffic() as traffic:
        until(lambda: traffic.results().served > 100)
    nobody_was_turned_away(traffic.results(), at_least=100)


def test_a_haproxy_that_stays_dead_ends_nothing(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()

    driver = fleet.start_rollout("--image", second_image)
    driver.until("Launching")
    kill_haproxy(fleet)
    before = set(fleet.containers())
    told = driver.end(code=3)
    left = set(fleet.containers())
    fleet.rollout("--image", second_image)

    assert "HAProxy does not answer" in told
    assert before <= left
    assert fleet.serving() == [second_image]
    assert listed(fleet) == set(fleet.containers())


def test_a_haproxy_that_is_silent_from_the_start_ends_nothing(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()
    before = set(fleet.containers())
    worker = Socket(Place.of_site(fleet.project.site).socket).pid()

    os.kill(worker, signal.SIGSTOP)
    try:
        refused = fleet.rollout("--image", second_image, code=3)
    finally:
        os.kill(worker, signal.SIGCONT)

    assert "HAProxy does not answer" in refused.stderr
    assert set(fleet.containers()) == before


def test_instances_that_nobody_can_see_are_left_alone(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=2)
    fleet.rollout()
    before = set(fleet.containers())

    with cut_off(fleet, before):
        told = fleet.rollout("--image", second_image, code=4)
        blind = fleet.status()
    left = set(fleet.containers())
    fleet.rollout("--image", second_image)

    assert "cannot be judged" in told.stderr
    assert [i["health"] for i in blind["instances"]] == ["unknown"] * 2
    assert left == before
    assert fleet.serving() == [second_image] * 2


def test_sight_that_is_lost_in_the_middle_ends_nothing(
    new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=2)
    fleet.rollout()

    driver = fleet.start_rollout("--image", second_image)
    canary = driver.until(r"Launching (\S+)")[1]
    until(lambda: bool(address_of(fleet, canary)))
    everybody = set(fleet.containers())
    with cut_off(fleet, everybody):
        told = driver.end(code=4)
    left = set(fleet.containers())
    fleet.rollout("--image", second_image)

    assert "cannot be judged" in told
    assert len(everybody) == 3
    assert left == everybody
    assert canary in fleet.containers()
    assert fleet.serving() == [second_image] * 2


@pytest.mark.parametrize("moment", ["Launching", "is healthy", "Registering", "Draining"])
def test_a_killed_driver_is_succeeded_by_the_same_command(
    moment: str, new_fleet: Callable[..., LiveFleet], second_image: str
) -> None:
    fleet = new_fleet(size=1)
    fleet.rollout()

    with fleet.sampler() as sampler, fleet.traffic() as traffic:
        driver = fleet.start_rollout("--image", second_image)
        driver.until(moment)
        driver.kill()
        fleet.rollout("--image", second_image)

    assert fleet.serving() == [second_image]
    assert listed(fleet) == set(fleet.containers())
    assert len(fleet.containers()) == 1
    assert sampler.lowest() >= 1
    assert sampler.highest() <= 2
    nobody_was_turned_away(traffic.results(), at_least=100)


def kill_haproxy(fleet: LiveFleet) -> None:
    """End its master and its worker as a crash would."""
    place = Place.of_site(fleet.project.site)
    worker, master = Socket(place.socket).pid(), int(place.pid.read_text().split()[0])
    os.kill(master, signal.SIGKILL)
    # A worker whose master is gone may end by itself before it is hit.
    subprocess.run(["kill", "-KILL", str(worker)], check=False, capture_output=True)
    until(lambda: not Socket(place.socket).answers())


def listed(fleet: LiveFleet) -> set[str]:
    """Name the servers that HAProxy deals requests to."""
    there = Socket(Place.of_site(fleet.project.site).socket).proxy(fleet.backend)
    assert there is not None
    return {name for name, row in there.servers.items() if row.status.startswith("UP")}


@contextmanager
def cut_off(fleet: LiveFleet, names: Iterable[str]) -> Iterator[None]:
    """Drop every packet from this host to these instances, as a firewall would."""
    rules = [["OUTPUT", "-d", address_of(fleet, name), "-j", "DROP"] for name in names]
    try:
        for rule in rules:
            subprocess.run(["iptables", "-w", "-I", *rule], check=True)
        yield
    finally:
        for rule in rules:
            while (
                subprocess.run(
                    ["iptables", "-w", "-D", *rule], check=False, capture_output=True
                ).returncode
                == 0
            ):
                pass


def address_of(fleet: LiveFleet, name: str) -> str:
    """Return the address of an instance inside podman's network, "" while it has none."""
    told = fleet.project.podman(
        "inspect", "--format={{.NetworkSettings.IPAddress}}", name, check=False
    )
    return found[0] if (found := re.findall(r"\d+\.\d+\.\d+\.\d+", told)) else ""
