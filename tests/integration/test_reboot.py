"""The host of a fleet restarts: instances and HAProxy come back, and nobody launches anything."""

from __future__ import annotations

import os
import re
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from tests.engine import PrivateEngine, a_disk
from tests.live import LiveFleet
from tests.project import Project, until

from ovenbird.assembly.rolling import fleet_named, setting
from ovenbird.balancer.haproxy import is_running
from ovenbird.balancer.haproxy_process import Place
from ovenbird.balancer.haproxy_socket import Socket
from ovenbird.care.tend import tend
from ovenbird.console import Console
from ovenbird.state.site import open_site


@pytest.fixture
def engine(oven_project: Project) -> Iterator[PrivateEngine]:
    """A podman of this test's own that launches the images of the project's."""
    store = Path(oven_project.podman("info", "--format={{.Store.GraphRoot}}").strip())
    with a_disk(size="512m") as disk:
        made = PrivateEngine(disk / "engine")
        with made.used(images_of=store):
            yield made


@pytest.fixture
def served(engine: PrivateEngine, new_fleet: Callable[..., LiveFleet]) -> LiveFleet:
    """Three instances behind the site's own HAProxy, on a host that can be restarted."""
    fleet = new_fleet(size=3)
    fleet.rollout()
    return fleet


def test_a_fleet_and_its_haproxy_restarted_together_are_back_with_one_tend(
    served: LiveFleet, engine: PrivateEngine, record_property: Callable[[str, object], None]
) -> None:
    before = ports_of(engine)
    assert answering(served) == set(before)

    engine.lose_power()
    kill_haproxy(served.project.site)
    begun = time.monotonic()
    engine.boot()
    told = tended(served)
    until(lambda: answering(served) == set(before), seconds=30)

    record_property("seconds from boot to all serving", round(time.monotonic() - begun, 1))
    print(f"{told}; all three serve {time.monotonic() - begun:.1f} s after the engine's start")
    assert ports_of(engine) == before
    assert len(served.serving()) == 3
    assert (told, tended(served)) == ("3 of 3 run web/1",) * 2
    assert ports_of(engine) == before
    assert is_running(served.project.site)


def ports_of(engine: PrivateEngine) -> dict[str, str]:
    """Each container by its name: the port and its id, which make it the same one."""
    told = engine.podman("ps", "--format={{.Names}} {{.ID}} {{.Ports}}")
    return {line.split()[0]: line.partition(" ")[2] for line in told.splitlines()}


def answering(fleet: LiveFleet) -> set[str]:
    """Name who answers at the fleet's entrance; nobody where it is down."""
    found: set[str] = set()
    for _ in range(12):
        with suppress(OSError), urllib.request.urlopen(f"{fleet.url}/version", timeout=2) as said:
            found.add(said.read().decode().split("\n")[0].split()[-1])
    return found


def kill_haproxy(site: Path) -> None:
    """Kill master and workers at once, as a power cut does."""
    place = Place.of_site(site)
    master = int(place.pid.read_text().split()[0])
    children = Path(f"/proc/{master}/task/{master}/children").read_text()
    for pid in (master, *map(int, re.findall(r"\d+", children))):
        os.kill(pid, signal.SIGKILL)
    until(lambda: not Socket(place.socket).answers())


def tended(fleet: LiveFleet) -> str:
    """Do what ``invoke tend`` does for one fleet."""
    site = open_site({**os.environ, **fleet.project.environment})
    try:
        wanted = fleet_named(fleet.project.folder, fleet.env, fleet.name)
        return tend(setting(fleet.project.folder, site, Console(), wanted))
    finally:
        site.database.close()
