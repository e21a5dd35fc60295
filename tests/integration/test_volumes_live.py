"""A counter on a volume of real podman: it survives rollouts and a killed driver, and an observer
from outside never sees two containers that have the volume.

OVENBIRD_TEST_ROLLOUTS says how often it is rolled: 2, where nobody asks for more.
"""

from __future__ import annotations

import io
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from pathlib import Path
from typing import NoReturn

import pytest
from tests.contract.conftest import podman_folder, small_artifact  # noqa: F401

from ovenbird import process
from ovenbird.assembly.rolling import setting_with
from ovenbird.catalog import Baked, Catalog
from ovenbird.clock import SystemClock
from ovenbird.console import Console
from ovenbird.provider import podman_engine
from ovenbird.provider.podman import PodmanProvider
from ovenbird.rollout import roll_out
from ovenbird.rollout.drive import Outcome
from ovenbird.rollout.goal import choose
from ovenbird.state.database import Database, sqlite_url
from ovenbird.state.site import Site
from ovenbird.values.errors import Blocked
from ovenbird.values.fleet import Fleet, HealthCheck, Order, VolumeSpec
from ovenbird.values.image import Artifact, Contract, ImageRef, ImageState, Provenance, StopPolicy
from ovenbird.values.instance import Seen
from ovenbird.values.limits import Limits
from ovenbird.values.recipe import Recipe

ROLLOUTS = int(os.environ.get("OVENBIRD_TEST_ROLLOUTS", "2"))
COUNT = "n=0; [ -f /data/count ] && read -r n < /data/count; echo $((n + 1)) > /data/count"
HEALTH = HealthCheck(
    kind="engine",
    ready_line="ready",
    interval=0.1,
    passes=1,
    min_healthy_time=0.2,
    healthy_deadline=30.0,
    progress_deadline=60.0,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the fleet lives. It can be handed to another process, and makes its own ports."""

    folder: Path
    podman: Path

    def site(self) -> Site:
        database = Database.open(sqlite_url(self.folder / "ovenbird.db"))
        return Site(id=database.site_id(), folder=self.folder, database=database, key=b"k" * 32)

    def provider(self) -> PodmanProvider:
        return PodmanProvider(folder=self.podman, site=self.site().id)

    def roll(self, version: int, *, provider: PodmanProvider | None = None) -> None:
        fleet = Fleet(
            env="dev",
            name=f"kept-{self.site().id}",  # the other test may run beside it
            image=ImageRef(family="web", version=version),
            size=1,
            health=HEALTH,
            limits=Limits(max_surge=0, max_unavailable=1),
            volumes=(VolumeSpec(name="data", path="/data"),),
        )
        setting = setting_with(
            self.folder,
            self.site(),
            Console(err=io.StringIO(), out=io.StringIO()),
            fleet,
            provider=provider or self.provider(),
            balancers=[],
            clock=SystemClock(),
        )
        chosen = choose(setting)
        roll_out(setting, chosen, Outcome(before=chosen.before, after=str(chosen.goal)))

    def ask(self, *argv: str, check: bool = True) -> str:
        env = podman_engine.environment(self.podman)
        return process.run(("podman", *argv), doing="Looking", env=env, check=check).stdout

    @property
    def containers(self) -> list[str]:
        label = f"--filter=label=ovenbird.site={self.site().id}"
        return self.ask("ps", "--all", label, "--format={{.Names}}").split()

    @property
    def volumes(self) -> list[str]:
        label = f"--filter=label=ovenbird.site={self.site().id}"
        return self.ask("volume", "ls", label, "--format={{.Name}}").split()


class KilledAtLaunch(PodmanProvider):
    """Its driver is killed when the old instance is gone and the new one is not there."""

    def launch(self, order: Order) -> Seen:
        die()


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("nobody comes here")


def roll_and_die(place: Place, version: int) -> None:
    place.roll(version, provider=KilledAtLaunch(folder=place.podman, site=place.site().id))


@dataclass(slots=True)
class Observer:
    """Asks podman every 50 ms, or as fast as it answers, who has the volume."""

    place: Place
    volume: str
    most: int = 0
    looks: int = 0
    _ends: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        while not self._ends.is_set():
            has = self.place.ask("ps", f"--filter=volume={self.volume}", "--format={{.Names}}")
            self.most, self.looks = max(self.most, len(has.split())), self.looks + 1
            time.sleep(0.05)

    def __enter__(self) -> Observer:
        self._thread = threading.Thread(target=self.watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    _thread: threading.Thread = field(init=False)


@pytest.fixture
def place(
    tmp_path: Path,
    podman_folder: Path,  # noqa: F811
    small_artifact: Artifact,  # noqa: F811
) -> Iterator[Place]:
    """A site of its own with web/1 and web/2; nothing of it is left at the engine."""
    made = Place(folder=tmp_path, podman=podman_folder)
    for number in (1, 2):
        Catalog(made.site().database).register(
            Baked(
                recipe=Recipe.of("web", {"roles/web/tasks/main.yml": str(number).encode()}),
                packages="p" * 64,
                packages_at=SystemClock().now(),
                parent=None,
                contract=Contract(stop=StopPolicy(timeout=5)),
                artifact=replace(small_artifact, token=f"bake-{number}"),
                provenance=Provenance(by="a test", because="it asked"),
                log="",
            ),
            state=ImageState.ACTIVE,
        )
    try:
        yield made
    finally:
        for name in made.containers:
            made.ask("rm", "--force", "--time=0", name)
        for name in made.volumes:
            made.ask("volume", "rm", name)


def test_a_counter_survives_rollouts_and_a_driver_killed_between_detach_and_attach(
    place: Place,
) -> None:
    place.roll(1)
    (volume,) = place.volumes
    count(place)
    with Observer(place, volume) as observer:
        for number in range(ROLLOUTS):
            place.roll(2 - number % 2)
            count(place)
        goal = 2 - ROLLOUTS % 2
        killed = get_context("spawn").Process(target=roll_and_die, args=(place, goal))
        killed.start()
        killed.join(60)
        assert (killed.exitcode, place.containers) == (-signal.SIGKILL, [])
        place.roll(goal)

    (instance,) = place.containers
    said = place.ask("exec", instance, "/bin/cat", "/data/count").strip()
    print(f"{said} counted; {observer.looks} looks from outside, {observer.most} at the most")
    assert said == str(ROLLOUTS + 1)
    assert place.volumes == [volume]
    assert (observer.most, observer.looks > 5) == (1, True)


def test_a_volume_that_a_person_has_open_is_not_attached_twice(place: Place) -> None:
    place.roll(1)
    (volume,) = place.volumes
    image = place.ask("inspect", "--format={{.Image}}", place.containers[0]).strip()
    label = f"--label=ovenbird.looker={place.site().id}"
    looker = place.ask("create", label, f"--volume={volume}:/data", image, "/bin/sleep", "60")
    try:
        with pytest.raises(Blocked) as told:
            place.roll(2)
        assert told.value.exit_code == 3
    finally:
        place.ask("rm", "--force", looker.strip())
    place.roll(2)
    assert len(place.containers) == 1


def count(place: Place) -> None:
    """Let the only instance count, as a program of its own would."""
    (instance,) = place.containers
    place.ask("exec", instance, "/bin/sh", "-c", COUNT)
