"""Kill a driver at a point, start one more, and say what is wrong then: nothing may be."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tests.faults.driver import Job, points_of, run
from tests.faults.points import kind_of, one_of_each_kind

KILLED = -signal.SIGKILL


class Scene(Protocol):
    """A fleet that a driver can be killed over."""

    name: str

    def begin(self) -> None:
        """Make ready for one more try."""
        ...

    def job(self, **wishes: Any) -> Job:
        """Describe the driver of the next rollout."""
        ...

    def complaints(self) -> list[str]:
        """Say what is not as it must be when that rollout has ended well."""
        ...

    def lowest(self) -> int:
        """The fewest that served at any moment of this try."""
        ...

    def remember(self) -> None:
        """Note what there is now, to see later whether something of it was left."""
        ...

    def failed(self) -> int:
        """How many requests have failed since the scene was set."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """What came of one kill. ``killed`` is False where the driver never came by the point."""

    point: str
    killed: bool
    code: int
    lowest: int
    failed: int
    complaints: tuple[str, ...]
    seconds: float
    said: str

    @property
    def is_well(self) -> bool:
        return self.code == 0 and not self.complaints

    def __str__(self) -> str:
        wrong = "; ".join(self.complaints) or "as wanted"
        return f"{self.point}: exit code {self.code}, {wrong}"


def all_points(scene: Scene) -> list[str]:
    """Let a driver live, and return the points that it came by."""
    scene.begin()
    job = scene.job()
    code = run(job)
    assert code == 0, f"a driver that nobody killed ended with {code}:\n{job.said.read_text()}"
    wrong = scene.complaints()
    assert not wrong, f"nobody was killed, and {wrong}:\n{job.said.read_text()}"
    return points_of(job)


def kill_at(scene: Scene, point: str) -> Kill:
    """Kill a driver at ``point``, and finish with one more."""
    scene.begin()
    began, failed = time.monotonic(), scene.failed()
    first, second = scene.job(stop_at=point), scene.job()
    killed = run(first)
    scene.remember()
    code = run(second) if killed == KILLED else killed
    wrong = tuple(scene.complaints())
    return Kill(
        point=point,
        killed=killed == KILLED,
        code=code,
        lowest=scene.lowest(),
        failed=scene.failed() - failed,
        complaints=wrong,
        seconds=time.monotonic() - began,
        said=first.said.read_text() + "--- killed\n" + _text(second),
    )


def _text(job: Job) -> str:
    return job.said.read_text() if job.said.exists() else ""


def kill_everywhere(
    scene: Scene,
    *,
    every: bool,
    among: Callable[[str], bool] = lambda point: True,
    tell: Callable[[Kill], None] = lambda kill: None,
) -> list[Kill]:
    """Kill a driver at every point of a rollout, or at one of each kind ``among`` them."""
    points = all_points(scene)
    chosen = points if every else [p for p in one_of_each_kind(points) if among(p)]
    kills = []
    for point in chosen:
        kill = kill_at(scene, point)
        tell(kill)
        kills.append(kill)
    return kills


def table(name: str, kills: Sequence[Kill]) -> Iterator[list[str]]:
    """One row for each kind of point: how many, killed, as wanted, lowest serving, failed."""
    kinds = dict.fromkeys(kind_of(kill.point) for kill in kills)
    for kind in kinds:
        mine = [kill for kill in kills if kind_of(kill.point) == kind]
        yield [
            name,
            kind,
            str(len(mine)),
            str(sum(kill.killed for kill in mine)),
            str(sum(kill.is_well for kill in mine)),
            str(min(kill.lowest for kill in mine)),
            str(sum(kill.failed for kill in mine)),
        ]


HEAD = ["where", "point", "points", "killed", "as wanted", "lowest serving", "failed requests"]
